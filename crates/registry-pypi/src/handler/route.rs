//! Paths to routes: what is asked for, and which methods it takes.

use registry_core::http::decode_path_segment;

/// What a path names. Names and versions are as the client sent them, decoded once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// A file of a project, its metadata or signature, beside the project's page.
    File { project: String, file: String },
    /// The list of projects.
    Index,
    /// A page without the slash at its end: the path below the base that it should be.
    Slash(String),
    /// A project's page; `at` is the simple API's path below the base.
    Page { project: String, at: &'static str },
    /// What is known of a project or of a release as JSON.
    Json { project: String, version: Option<String> },
    /// A project, release or file that is to be deleted.
    Target { project: String, version: Option<String>, file: Option<String> },
    /// A project's status.
    Status(String),
    /// Where files are uploaded.
    Upload,
    /// What attests where a file comes from.
    Provenance { project: String, version: String, file: String },
    /// A release or file that is to be yanked.
    Yank { project: String, version: String, file: Option<String> },
}

impl Route {
    /// Reads a path below a base path, which is that of the simple API itself or of all. `None` where nothing is.
    pub(crate) fn parse(is_index: bool, path: &str) -> Option<Self> {
        let slash = path.ends_with('/');
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
        if is_index {
            return Self::simple("", &parts, slash);
        }
        let route = match parts.as_slice() {
            [] | ["legacy"] => Self::Upload,
            ["simple", rest @ ..] => return Self::simple("/simple", rest, slash),
            ["+simple", rest @ ..] => return Self::simple("/+simple", rest, slash),
            [project] => Self::Target { project: own(project), version: None, file: None },
            [project, "json"] => Self::Json { project: own(project), version: None },
            [project, "status"] => Self::Status(own(project)),
            [project, version, "json"] => Self::Json { project: own(project), version: Some(own(version)) },
            [project, version, "yank"] => {
                Self::Yank { project: own(project), version: own(version), file: None }
            }
            [project, version] => {
                Self::Target { project: own(project), version: Some(own(version)), file: None }
            }
            [project, version, file] => {
                Self::Target { project: own(project), version: Some(own(version)), file: Some(own(file)) }
            }
            ["integrity", project, version, file, "provenance"] => {
                Self::Provenance { project: own(project), version: own(version), file: own(file) }
            }
            [project, version, file, "yank"] => {
                Self::Yank { project: own(project), version: own(version), file: Some(own(file)) }
            }
            _ => return None,
        };
        Some(route)
    }

    fn simple(at: &'static str, parts: &[&str], slash: bool) -> Option<Self> {
        let route = match parts {
            [] if slash => Self::Index,
            [] => Self::Slash(format!("{at}/")),
            [project] if slash => Self::Page { project: (*project).to_owned(), at },
            [project] => {
                let name: crate::names::ProjectName = project.parse().ok()?;
                Self::Slash(format!("{at}/{name}/"))
            }
            [project, file] if !slash => {
                Self::File { project: (*project).to_owned(), file: (*file).to_owned() }
            }
            _ => return None,
        };
        Some(route)
    }

    /// The methods that this route takes, as an `Allow` header has them.
    pub(crate) const fn allow(&self) -> &'static str {
        match self {
            Self::File { .. }
            | Self::Index
            | Self::Json { .. }
            | Self::Page { .. }
            | Self::Provenance { .. }
            | Self::Slash(_) => "GET, HEAD",
            Self::Status(_) => "PUT",
            Self::Target { .. } => "DELETE",
            Self::Upload => "POST",
            Self::Yank { .. } => "POST, DELETE",
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(is_index: bool, path: &str, want: impl Into<Option<Route>>) {
        assert_eq!(Route::parse(is_index, path), want.into(), "{path}");
    }

    fn page(project: &str, at: &'static str) -> Route {
        Route::Page { project: project.to_owned(), at }
    }

    #[test]
    fn routes() {
        let file = |file: &str| Route::File { project: "p".into(), file: file.into() };
        check(true, "/", Route::Index);
        check(true, "", Route::Slash("/".into()));
        check(true, "/Foo.Bar", Route::Slash("/foo-bar/".into()));
        check(true, "//p//", page("p", ""));
        check(true, "/p/p-1+a.whl", file("p-1+a.whl"));
        check(true, "/p/p-1%2Ba.whl", file("p-1+a.whl"));
        check(true, "/p/a%2fb", None);
        check(true, "/p/f/", None);
        check(true, "/%ff/", None);
        check(false, "", Route::Upload);
        check(false, "/", Route::Upload);
        check(false, "/legacy", Route::Upload);
        check(false, "/legacy/", Route::Upload);
        check(false, "/simple/", Route::Index);
        check(false, "/simple", Route::Slash("/simple/".into()));
        check(false, "/%2Bsimple/p/", page("p", "/+simple"));
        check(false, "/+simple/p/", page("p", "/+simple"));
        check(false, "/p/json", Route::Json { project: "p".into(), version: None });
        check(false, "/p/1/json/", Route::Json { project: "p".into(), version: Some("1".into()) });
        check(false, "/p/1/yank", Route::Yank { project: "p".into(), version: "1".into(), file: None });
        check(false, "/p/status", Route::Status("p".into()));
        let provenance =
            Route::Provenance { project: "p".into(), version: "1".into(), file: "p-1.tar.gz".into() };
        check(false, "/integrity/p/1/p-1.tar.gz/provenance", provenance);
        check(false, "/a/b/c/d/e", None);
    }

    proptest! {
        #[test]
        fn no_path_panics(path in "\\PC{0,60}", odd in "(/|%2f|%2B|simple|json|yank|[a-z.%+-]{0,4}){0,9}") {
            for is_index in [true, false] {
                let _ = Route::parse(is_index, &path);
                if let Some(route) = Route::parse(is_index, &odd) {
                    prop_assert!(!route.allow().is_empty());
                }
            }
        }
    }
}
