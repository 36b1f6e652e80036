//! Paths to routes: what is asked for, and which methods it takes.

use registry_core::http::decode_path_segment;

use crate::wire::specs::SpecsKind;

/// What a path names. Names and versions are as the client sent them, decoded once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// The key that a user signs in with.
    ApiKey,
    /// Names that begin with a text.
    Autocomplete,
    /// What Bundler asks where it has no compact index.
    Dependencies { json: bool },
    /// What a gem's newest version says of itself.
    Gem(String),
    /// A version's file.
    GemFile(String),
    /// The caller's gems, and where gems are pushed.
    Gems,
    /// The caller's gems.
    GemsJson,
    /// A gem in the compact index.
    Info(String),
    /// The number of a gem's newest version.
    Latest(String),
    /// The names of all gems.
    Names,
    /// A gem's owners.
    Owners { gem: String, form: Form },
    /// Who asks.
    Profile(Form),
    /// A version's quick specification.
    Quick(String),
    /// The gems that need a gem.
    ReverseDependencies(String),
    /// The registry itself.
    Root,
    /// Gems by words.
    Search,
    /// A list of versions.
    Specs { kind: SpecsKind, gzip: bool },
    /// Where a yank is taken back.
    Unyank,
    /// A version.
    Version { gem: String, version: String },
    /// A gem's versions as JSON.
    VersionsOf(String),
    /// All versions in the compact index.
    Versions,
    /// Where versions are yanked.
    Yank,
}

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Json,
    Yaml,
}

impl Form {
    /// Splits the ending off.
    fn of(text: &str) -> Option<(&str, Self)> {
        text.strip_suffix(".json")
            .map(|stem| (stem, Self::Json))
            .or_else(|| Some((text.strip_suffix(".yaml")?, Self::Yaml)))
    }
}

impl Route {
    /// Reads a path below the base path. Slashes that are doubled count as one. `None` where nothing is.
    pub(crate) fn parse(path: &str) -> Option<Self> {
        let mut segments = Vec::new();
        for segment in path.split('/').filter(|segment| !segment.is_empty()) {
            let decoded = decode_path_segment(segment).ok()?;
            if decoded.contains('/') {
                return None;
            }
            segments.push(decoded.into_owned());
        }
        let parts: Vec<&str> = segments.iter().map(String::as_str).collect();
        let own = |text: &str| text.to_owned();
        let json = |text: &str| text.strip_suffix(".json").map(str::to_owned);
        Some(match parts.as_slice() {
            [] => Self::Root,
            ["versions"] => Self::Versions,
            ["names"] => Self::Names,
            ["info", gem] => Self::Info(own(gem)),
            ["gems", file] => Self::GemFile(own(file.strip_suffix(".gem")?)),
            ["quick", "Marshal.4.8", file] => Self::Quick(own(file.strip_suffix(".gemspec.rz")?)),
            [file] => {
                let (stem, gzip) = file.strip_suffix(".gz").map_or((*file, false), |stem| (stem, true));
                let kind = SpecsKind::ALL.into_iter().find(|kind| kind.file_stem() == stem)?;
                Self::Specs { kind, gzip }
            }
            ["api", "v1", rest @ ..] => match rest {
                ["api_key"] => Self::ApiKey,
                ["dependencies"] => Self::Dependencies { json: false },
                ["dependencies.json"] => Self::Dependencies { json: true },
                ["gems"] => Self::Gems,
                ["gems.json"] => Self::GemsJson,
                ["gems", "yank"] => Self::Yank,
                ["gems", "unyank"] => Self::Unyank,
                ["gems", gem] => Self::Gem(json(gem)?),
                ["gems", gem, "owners"] => Self::Owners { gem: own(gem), form: Form::Json },
                ["gems", gem, "reverse_dependencies.json"] => Self::ReverseDependencies(own(gem)),
                ["gems", gem, owners] => match Form::of(owners)? {
                    ("owners", form) => Self::Owners { gem: own(gem), form },
                    _ => return None,
                },
                ["profile", me] => match Form::of(me)? {
                    ("me", form) => Self::Profile(form),
                    _ => return None,
                },
                ["search.json"] => Self::Search,
                ["search", "autocomplete" | "autocomplete.json"] => Self::Autocomplete,
                ["versions", gem] => Self::VersionsOf(json(gem)?),
                ["versions", gem, "latest.json"] => Self::Latest(own(gem)),
                _ => return None,
            },
            ["api", "v2", "rubygems", gem, "versions", version] => {
                Self::Version { gem: own(gem), version: json(version)? }
            }
            _ => return None,
        })
    }

    /// The methods that this route takes, as an `Allow` header has them.
    pub(crate) const fn allow(&self) -> &'static str {
        match self {
            Self::ApiKey => "GET, HEAD, POST",
            Self::Gems => "POST",
            Self::Owners { form: Form::Json, .. } => "GET, HEAD, POST, DELETE",
            Self::Unyank => "PUT",
            Self::Yank => "DELETE",
            _ => "GET, HEAD",
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(path: &str, want: impl Into<Option<Route>>) {
        assert_eq!(Route::parse(path), want.into(), "{path}");
    }

    #[test]
    fn checklist_46_routes() {
        check("", Route::Root);
        check("/", Route::Root);
        check("//versions", Route::Versions);
        check("/info/foo.bar-1", Route::Info("foo.bar-1".into()));
        check("/info/..%2f..", None);
        check("/info/%2e%2e", Route::Info("..".into()));
        check("/info/a%00", None);
        check("/gems/a-1.0.gem", Route::GemFile("a-1.0".into()));
        check("/gems/a-1.0", None);
        check("/quick/Marshal.4.8/a-1%2E0.gemspec.rz", Route::Quick("a-1.0".into()));
        check("/specs.4.8.gz", Route::Specs { kind: SpecsKind::Releases, gzip: true });
        check("/latest_specs.4.8", Route::Specs { kind: SpecsKind::Latest, gzip: false });
        check("/other.4.8.gz", None);
        check("//api/v1/gems", Route::Gems);
        check("/api/v1/gems/yank", Route::Yank);
        check("/api/v1/gems/a.json", Route::Gem("a".into()));
        check("/api/v1/gems/a", None);
        check("/api/v1/gems/a/owners", Route::Owners { gem: "a".into(), form: Form::Json });
        check("/api/v1/gems/a/owners.yaml", Route::Owners { gem: "a".into(), form: Form::Yaml });
        check("/api/v1/profile/me.yaml", Route::Profile(Form::Yaml));
        check("/api/v1/dependencies", Route::Dependencies { json: false });
        check("/api/v1/versions/a/latest.json", Route::Latest("a".into()));
        check(
            "/api/v2/rubygems/a/versions/1.0.json",
            Route::Version { gem: "a".into(), version: "1.0".into() },
        );
        check("/api/v1/webauthn_verification", None);
    }

    proptest! {
        #[test]
        fn no_path_panics(
            path in "\\PC{0,60}",
            odd in "(/|%2f|%2B|api|v1|gems|owners|\\.json|\\.gem|versions|[a-z.%+-]{0,4}){0,9}",
        ) {
            for path in [path, odd] {
                if let Some(route) = Route::parse(&path) {
                    prop_assert!(!route.allow().is_empty());
                }
            }
        }
    }
}
