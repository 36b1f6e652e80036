//! Paths to routes: what is asked for, and which methods it takes.

use crate::wire::path::{Segments, UnreadablePath};

/// The prefix of a user document's id.
const COUCH_USER: &str = "org.couchdb.user:";

/// What a path names. Names and versions are as the client sent them, decoded once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Access(String),
    Attestations(String),
    Audit,
    AuditBulk,
    Collaborators(String),
    DistTag { package: String, tag: String },
    DistTags(String),
    Login,
    LoginDone(String),
    LoginPage(String),
    OrgPackages(String),
    Owner { package: String, user: String },
    Owners(String),
    Package(String),
    PackageRev { package: String, rev: String },
    Ping,
    Profile,
    Root,
    Search,
    Star,
    StarredBy,
    Tarball { package: String, file: String },
    TarballRev { package: String, rev: String, file: String },
    Token(String),
    Tokens,
    User(String),
    UserPackages(String),
    UserStars(String),
    UserToken(String),
    Version { package: String, wanted: String },
    Visibility(String),
    Whoami,
}

impl Route {
    /// Reads a path below the registry's base. `None` where nothing is.
    pub(crate) fn parse(path: &str) -> Result<Option<Self>, UnreadablePath> {
        let segments = Segments::parse(path)?;
        let own = |text: &&str| (*text).to_owned();
        if segments.as_strs().first() == Some(&"-") {
            let at = if segments.as_strs().get(1) == Some(&"package") { 2 } else { usize::MAX };
            let segments = segments.with_name_at(at);
            let route = match segments.as_strs().as_slice() {
                ["-", "ping"] => Self::Ping,
                ["-", "whoami"] => Self::Whoami,
                ["-", "v1", "search"] => Self::Search,
                ["-", "v1", "login"] => Self::Login,
                ["-", "v1", "login", "done", secret] => Self::LoginDone(own(secret)),
                ["-", "v1", "login", id] => Self::LoginPage(own(id)),
                ["-", "_view", "starredByUser"] => Self::StarredBy,
                ["-", "user", "v1", "star"] => Self::Star,
                ["-", "user", "token", token] => Self::UserToken(own(token)),
                ["-", "user", user, "package"] => Self::UserPackages(own(user)),
                ["-", "user", user, "stars"] => Self::UserStars(own(user)),
                ["-", "user", id] | ["-", "user", id, "-rev", _] => match id.strip_prefix(COUCH_USER) {
                    Some(user) => Self::User(user.to_owned()),
                    None => return Ok(None),
                },
                ["-", "org", scope, "package"] => Self::OrgPackages(own(scope)),
                ["-", "npm", "v1", "user"] => Self::Profile,
                ["-", "npm", "v1", "tokens"] => Self::Tokens,
                ["-", "npm", "v1", "tokens", "token", token] => Self::Token(own(token)),
                ["-", "npm", "v1", "security", "advisories", "bulk"] => Self::AuditBulk,
                ["-", "npm", "v1", "security", "audits"] => Self::Audit,
                ["-", "npm", "v1", "security", "audits", "quick"] => Self::Audit,
                ["-", "npm", "v1", "attestations", rest @ ..] if !rest.is_empty() => {
                    Self::Attestations(rest.join("/"))
                }
                ["-", "package", package, "dist-tags"] => Self::DistTags(own(package)),
                ["-", "package", package, "dist-tags", tag] => {
                    Self::DistTag { package: own(package), tag: own(tag) }
                }
                ["-", "package", package, "access"] => Self::Access(own(package)),
                ["-", "package", package, "visibility"] => Self::Visibility(own(package)),
                ["-", "package", package, "collaborators"] => Self::Collaborators(own(package)),
                ["-", "package", package, "owners"] => Self::Owners(own(package)),
                ["-", "package", package, "owners", user] => {
                    Self::Owner { package: own(package), user: own(user) }
                }
                _ => return Ok(None),
            };
            return Ok(Some(route));
        }
        let segments = segments.with_name_at(0);
        let route = match segments.as_strs().as_slice() {
            [] => Self::Root,
            [package] => Self::Package(own(package)),
            [package, "-rev", rev] => Self::PackageRev { package: own(package), rev: own(rev) },
            [package, "-", file @ .., "-rev", rev] if !file.is_empty() => {
                Self::TarballRev { package: own(package), file: file.join("/"), rev: own(rev) }
            }
            [package, "-", file @ ..] if !file.is_empty() => {
                Self::Tarball { package: own(package), file: file.join("/") }
            }
            [package, wanted] => Self::Version { package: own(package), wanted: own(wanted) },
            _ => return Ok(None),
        };
        Ok(Some(route))
    }

    /// The methods that this route takes, as an `Allow` header has them.
    pub(crate) const fn allow(&self) -> &'static str {
        match self {
            Self::Attestations(_)
            | Self::Collaborators(_)
            | Self::LoginDone(_)
            | Self::OrgPackages(_)
            | Self::Ping
            | Self::Root
            | Self::Search
            | Self::StarredBy
            | Self::Tarball { .. }
            | Self::UserPackages(_)
            | Self::UserStars(_)
            | Self::Version { .. }
            | Self::Visibility(_)
            | Self::Whoami => "GET, HEAD",
            Self::Access(_) => "GET, HEAD, POST",
            Self::Audit | Self::AuditBulk | Self::Login => "POST",
            Self::DistTag { .. } => "PUT, POST, DELETE",
            Self::DistTags(_) => "GET, HEAD, PUT, POST",
            Self::LoginPage(_) => "GET, HEAD, POST",
            Self::Owner { .. } => "PUT, DELETE",
            Self::Owners(_) => "GET, HEAD, PUT",
            Self::Package(_) => "GET, HEAD, PUT",
            Self::PackageRev { .. } => "PUT, DELETE",
            Self::Profile => "GET, HEAD, POST",
            Self::Star => "GET, HEAD, PUT, DELETE",
            Self::TarballRev { .. } | Self::Token(_) | Self::UserToken(_) => "DELETE",
            Self::Tokens => "GET, HEAD, POST",
            Self::User(_) => "GET, HEAD, PUT",
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_path_panics(path in "\\PC{0,80}", parts in proptest::collection::vec("-|@s|%2f|n|%40|-rev|[a-z0-9%@._-]{0,6}", 0..9)) {
            let _ = Route::parse(&path);
            if let Ok(Some(Route::Version { package, wanted })) = Route::parse(&parts.join("/")) {
                prop_assert!(!package.is_empty() && !wanted.is_empty());
            }
        }
    }

    #[track_caller]
    fn check(path: &str, want: impl Into<Option<Route>>) {
        assert_eq!(Route::parse(path).unwrap(), want.into(), "{path}");
    }

    #[test]
    fn routes() {
        let s = || "@s/n".to_owned();
        check("/", Some(Route::Root));
        check("/lib", Some(Route::Package("lib".into())));
        check("/@s/n", Some(Route::Package(s())));
        check("/@s%2fn/latest", Some(Route::Version { package: s(), wanted: "latest".into() }));
        check("/@s/n/a%2fb", Some(Route::Version { package: s(), wanted: "a/b".into() }));
        check("/@s/n/-/n-1.0.0.tgz", Some(Route::Tarball { package: s(), file: "n-1.0.0.tgz".into() }));
        check("/@s/n/-/@s/n-1.0.0.tgz", Some(Route::Tarball { package: s(), file: "@s/n-1.0.0.tgz".into() }));
        check(
            "/@s/n/-/n-1.0.0.tgz/-rev/1-x",
            Some(Route::TarballRev { package: s(), file: "n-1.0.0.tgz".into(), rev: "1-x".into() }),
        );
        check("/@s%2fn/-rev/1-x", Some(Route::PackageRev { package: s(), rev: "1-x".into() }));
        check("/-/package/@s/n/dist-tags", Some(Route::DistTags(s())));
        check("/-/package/@s%2fn/dist-tags/a%2fb", Some(Route::DistTag { package: s(), tag: "a/b".into() }));
        check("/-/user/org.couchdb.user:a%40b", Some(Route::User("a@b".into())));
        check("/-/user/org.couchdb.user:a/-rev/1-0", Some(Route::User("a".into())));
        check("/-/npm/v1/attestations/@s%2fn@1.0.0", Some(Route::Attestations("@s/n@1.0.0".into())));
        check("/-/npm/v1/attestations/@s/n@1.0.0", Some(Route::Attestations("@s/n@1.0.0".into())));
        for nothing in
            ["/-", "/-/x", "/-/npm/v1/keys", "/-/user/x", "/lib/a/b", "/@s/n/a/b", "/-/package/lib"]
        {
            check(nothing, None);
        }
    }
}
