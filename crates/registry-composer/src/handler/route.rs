//! Paths to routes: what is asked for, and which methods it takes.

use registry_core::http::{MalformedUrl, decode_path_segment};

use crate::wire::metadata::Part;

/// What a path names. Names and versions are as the client sent them, decoded once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Abandoned(String),
    Advisories,
    Archive { package: String, file: String },
    Downloads,
    List,
    Metadata { package: String, part: Part },
    Package(String),
    Providers(String),
    Root,
    Search,
    Upload { package: String, version: String },
    Version { package: String, version: String },
}

impl Route {
    /// Reads a path below the registry's base. `None` where nothing is. Slashes count once: clients and proxies join base and
    /// path with one too many.
    pub(crate) fn parse(path: &str) -> Result<Option<Self>, MalformedUrl> {
        let mut segments = Vec::new();
        for segment in path.split('/').filter(|segment| !segment.is_empty()) {
            segments.push(decode_path_segment(segment)?);
        }
        let segments: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
        let name = |vendor: &str, package: &str| format!("{vendor}/{package}");
        let route = match segments.as_slice() {
            ["packages.json"] => Self::Root,
            ["p2", vendor, file] => {
                let Some(file) = file.strip_suffix(".json") else { return Ok(None) };
                match file.strip_suffix("~dev") {
                    Some(package) => Self::Metadata { package: name(vendor, package), part: Part::Branches },
                    None => Self::Metadata { package: name(vendor, file), part: Part::Releases },
                }
            }
            ["dists", vendor, package, file] => {
                Self::Archive { package: name(vendor, package), file: (*file).to_owned() }
            }
            ["packages", "list.json"] => Self::List,
            ["search.json"] => Self::Search,
            ["providers", rest @ ..] if !rest.is_empty() => {
                let rest = rest.join("/");
                let Some(package) = rest.strip_suffix(".json") else { return Ok(None) };
                Self::Providers(package.to_owned())
            }
            ["downloads"] => Self::Downloads,
            ["api", "security-advisories"] => Self::Advisories,
            // A branch may have slashes in its name.
            ["packages", "upload", vendor, package, version @ ..] if !version.is_empty() => {
                Self::Upload { package: name(vendor, package), version: version.join("/") }
            }
            ["packages", vendor, package] => Self::Package(name(vendor, package)),
            ["packages", vendor, package, "abandoned"] => Self::Abandoned(name(vendor, package)),
            ["packages", vendor, package, version @ ..] => {
                Self::Version { package: name(vendor, package), version: version.join("/") }
            }
            _ => return Ok(None),
        };
        Ok(Some(route))
    }

    /// The methods that this route takes, as an `Allow` header has them.
    pub(crate) const fn allow(&self) -> &'static str {
        match self {
            Self::Abandoned(_) => "PUT, DELETE",
            Self::Advisories => "GET, HEAD, POST",
            Self::Archive { .. }
            | Self::List
            | Self::Metadata { .. }
            | Self::Providers(_)
            | Self::Root
            | Self::Search => "GET, HEAD",
            Self::Downloads => "POST",
            Self::Package(_) => "PUT, POST, DELETE",
            Self::Upload { .. } => "PUT, POST",
            Self::Version { .. } => "DELETE",
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(path: &str, want: impl Into<Option<Route>>) {
        assert_eq!(Route::parse(path).unwrap(), want.into(), "{path}");
    }

    #[test]
    fn routes() {
        let s = str::to_owned;
        check("/packages.json", Route::Root);
        check("//packages.json", Route::Root);
        check("/p2/a/b.json", Route::Metadata { package: s("a/b"), part: Part::Releases });
        check("/p2/a/b~dev.json", Route::Metadata { package: s("a/b"), part: Part::Branches });
        check("/p2/a/b%7Edev.json", Route::Metadata { package: s("a/b"), part: Part::Branches });
        check("/p2/a/b", None);
        check("/p2/a/b/c.json", None);
        check("/dists/a/b/0123.zip", Route::Archive { package: s("a/b"), file: s("0123.zip") });
        check("/packages/list.json", Route::List);
        check("/providers/ext-json.json", Route::Providers(s("ext-json")));
        check("/providers/psr/log-implementation.json", Route::Providers(s("psr/log-implementation")));
        check("/packages/upload/a/b/1.0", Route::Upload { package: s("a/b"), version: s("1.0") });
        check("/packages/upload/a/b/dev-x%2Fy", Route::Upload { package: s("a/b"), version: s("dev-x/y") });
        check("/packages/a/b", Route::Package(s("a/b")));
        check("/packages/a/b/1.0", Route::Version { package: s("a/b"), version: s("1.0") });
        check("/packages/a/b/dev-x/y", Route::Version { package: s("a/b"), version: s("dev-x/y") });
        check("/packages/a/b/abandoned", Route::Abandoned(s("a/b")));
        check("/", None);
        check("/p2/a%2fb/c.json", Route::Metadata { package: s("a/b/c"), part: Part::Releases });
        assert!(Route::parse("/p2/a/%00.json").is_err());
    }

    proptest! {
        #[test]
        fn no_path_panics(path in "\\PC{0,60}", parts in proptest::collection::vec("p2|packages|dists|upload|[a-z0-9%~._-]{0,6}", 0..7)) {
            let _ = Route::parse(&path);
            let _ = Route::parse(&parts.join("/"));
        }
    }
}
