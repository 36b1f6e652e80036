//! Paths to routes: what is asked for, and which methods it takes.

use registry_core::http::decode_path_segment;

use crate::{names::CrateName, version::Version};

/// What a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Config,
    Crate(CrateName),
    Download { krate: CrateName, version: Version },
    Index(CrateName),
    Me,
    New,
    Owners(CrateName),
    Root,
    Search,
    Unyank { krate: CrateName, version: Version },
    Version { krate: CrateName, version: Version },
    Versions(CrateName),
    Yank { krate: CrateName, version: Version },
}

impl Route {
    /// Reads a path below the registry's base. `None` where nothing is: a name or version that cannot be is one that is not there.
    pub(crate) fn parse(path: &str) -> Option<Self> {
        let below = path.strip_prefix('/').unwrap_or(path);
        if let Some(api) =
            below.strip_prefix("api/v1/crates").filter(|rest| rest.is_empty() || rest.starts_with('/'))
        {
            return Self::api(api.strip_prefix('/').unwrap_or(api));
        }
        match below {
            "" => Some(Self::Root),
            "config.json" => Some(Self::Config),
            "me" => Some(Self::Me),
            _ => {
                // Cargo builds these paths from names, which need no encoding: another spelling would be another key of every cache.
                let name: CrateName = below.rsplit('/').next()?.parse().ok()?;
                (name.index_path() == below).then_some(Self::Index(name))
            }
        }
    }

    fn api(path: &str) -> Option<Self> {
        let segments: Vec<_> = path.split('/').map(decode_path_segment).collect::<Result<_, _>>().ok()?;
        let segments: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
        let name = |text: &str| text.parse::<CrateName>().ok();
        let version = |text: &str| text.parse::<Version>().ok();
        Some(match segments.as_slice() {
            [""] => Self::Search,
            ["new"] => Self::New,
            [krate] => Self::Crate(name(krate)?),
            [krate, "owners"] => Self::Owners(name(krate)?),
            [krate, "versions"] => Self::Versions(name(krate)?),
            [krate, wanted] => Self::Version { krate: name(krate)?, version: version(wanted)? },
            [krate, wanted, "download"] => Self::Download { krate: name(krate)?, version: version(wanted)? },
            [krate, wanted, "yank"] => Self::Yank { krate: name(krate)?, version: version(wanted)? },
            [krate, wanted, "unyank"] => Self::Unyank { krate: name(krate)?, version: version(wanted)? },
            _ => return None,
        })
    }

    /// The methods that this route takes, as an `Allow` header has them.
    pub(crate) const fn allow(&self) -> &'static str {
        match self {
            Self::Config
            | Self::Download { .. }
            | Self::Index(_)
            | Self::Me
            | Self::Root
            | Self::Search
            | Self::Versions(_) => "GET, HEAD",
            Self::Crate(_) | Self::Version { .. } => "GET, HEAD, DELETE",
            Self::New | Self::Unyank { .. } => "PUT",
            Self::Owners(_) => "GET, HEAD, PUT, DELETE",
            Self::Yank { .. } => "DELETE",
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths() {
        let name = |text: &str| text.parse::<CrateName>().unwrap();
        let both = || (name("Foo"), "1.0.0+b.5".parse::<Version>().unwrap());
        let (krate, version) = both();
        for (path, want) in [
            ("", Route::Root),
            ("/", Route::Root),
            ("/config.json", Route::Config),
            ("/me", Route::Me),
            ("/1/a", Route::Index(name("a"))),
            ("/2/ab", Route::Index(name("ab"))),
            ("/3/a/abc", Route::Index(name("abc"))),
            ("/ba/r_/bar_b", Route::Index(name("bar_b"))),
            ("/api/v1/crates", Route::Search),
            ("/api/v1/crates/", Route::Search),
            ("/api/v1/crates/new", Route::New),
            ("/api/v1/crates/Foo", Route::Crate(name("Foo"))),
            ("/api/v1/crates/foo/owners", Route::Owners(name("foo"))),
            ("/api/v1/crates/foo/versions", Route::Versions(name("foo"))),
            (
                "/api/v1/crates/Foo/1.0.0+b.5/download",
                Route::Download { krate: krate.clone(), version: version.clone() },
            ),
            (
                "/api/v1/crates/Foo/1.0.0%2Bb.5/download",
                Route::Download { krate: krate.clone(), version: version.clone() },
            ),
            (
                "/api/v1/crates/Foo/1.0.0%2bb.5/yank",
                Route::Yank { krate: krate.clone(), version: version.clone() },
            ),
            (
                "/api/v1/crates/Foo/1.0.0+b.5/unyank",
                Route::Unyank { krate: krate.clone(), version: version.clone() },
            ),
            ("/api/v1/crates/Foo/1.0.0+b.5", Route::Version { krate, version }),
        ] {
            assert_eq!(Route::parse(path), Some(want), "{path}");
        }
    }

    #[test]
    fn checklist_6_what_is_no_path() {
        for path in [
            "/config.json/",
            "/index.html",
            "/1",
            "/1/",
            "/1/ab",
            "/2/a",
            "/3/b/abc",
            "/fo/o/foo",
            "/fo/ob/Foobar",
            "/Fo/ob/foobar",
            "/fo/ob/fo%6fbar",
            "/fo/ob/foobar/",
            "/ab/cd/abce",
            "/../config.json",
            "/api",
            "/api/v1",
            "/api/v1/cratesx",
            "/api/v1/crates/1a",
            "/api/v1/crates/foo/1.0",
            "/api/v1/crates/foo/1.0.0/x",
            "/api/v1/crates/foo/1.0.0/download/",
            "/api/v1/crates/fo%ff",
            "/api/v1/crates/foo%2fbar",
        ] {
            assert_eq!(Route::parse(path), None, "{path}");
        }
    }

    proptest! {
        #[test]
        fn every_name_has_one_path(text in "[A-Za-z][A-Za-z0-9_-]{0,63}") {
            let name: CrateName = text.parse().unwrap();
            let lower: CrateName = text.to_ascii_lowercase().parse().unwrap();
            prop_assert_eq!(Route::parse(&format!("/{}", name.index_path())), Some(Route::Index(lower)));
        }

        #[test]
        fn no_path_makes_it_panic(path in "\\PC{0,60}") {
            let _ = Route::parse(&path);
            let _ = Route::parse(&format!("/api/v1/crates/{path}"));
        }
    }
}
