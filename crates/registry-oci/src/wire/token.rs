//! Token requests and answers (distribution's token specification; sheet section 3.2).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use url::form_urlencoded;

/// What may be done to a resource, as a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Actions {
    pub(crate) pull: bool,
    pub(crate) push: bool,
    pub(crate) delete: bool,
}

impl Actions {
    pub(crate) const PULL: Self = Self { pull: true, push: false, delete: false };
    pub(crate) const PULL_PUSH: Self = Self { pull: true, push: true, delete: false };
    pub(crate) const DELETE: Self = Self { pull: false, push: false, delete: true };
    pub(crate) const ALL: Self = Self { pull: true, push: true, delete: true };

    /// Reads a list with commas. Unknown actions are dropped.
    fn parse(text: &str) -> Self {
        text.split(',').fold(Self::default(), |actions, action| {
            actions.union(match action.trim() {
                "pull" => Self::PULL,
                "push" => Self { push: true, ..Self::default() },
                "delete" => Self::DELETE,
                "*" => Self::ALL,
                _ => Self::default(),
            })
        })
    }

    pub(crate) fn union(self, other: Self) -> Self {
        Self {
            pull: self.pull || other.pull,
            push: self.push || other.push,
            delete: self.delete || other.delete,
        }
    }

    /// The names of the actions.
    pub(crate) fn names(self) -> Vec<&'static str> {
        [(self.pull, "pull"), (self.push, "push"), (self.delete, "delete")]
            .into_iter()
            .filter_map(|(has, name)| has.then_some(name))
            .collect()
    }
}

/// A resource that a token can be for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Resource {
    /// `repository:<name>`.
    Repository(String),
    /// `registry:catalog`.
    Catalog,
}

/// Reads scopes as `scope` parameters carry them: each value a list with spaces, each scope
/// `type[(class)]:name:actions`. One resource named several times gets the union of its actions; unknown types
/// are dropped.
pub(crate) fn parse_scopes<'a>(values: impl IntoIterator<Item = &'a str>) -> BTreeMap<Resource, Actions> {
    let mut wanted = BTreeMap::<Resource, Actions>::new();
    for scope in values.into_iter().flat_map(str::split_ascii_whitespace) {
        let Some((kind, rest)) = scope.split_once(':') else { continue };
        let Some((name, actions)) = rest.rsplit_once(':') else { continue };
        let kind = kind.split_once('(').map_or(kind, |(kind, _)| kind);
        let resource = match (kind, name) {
            ("repository", "") => continue,
            ("repository", name) => Resource::Repository(name.to_owned()),
            ("registry", "catalog") => Resource::Catalog,
            _ => continue,
        };
        let actions = match resource {
            Resource::Catalog if actions.split(',').any(|a| a == "*" || a == "pull") => Actions::ALL,
            Resource::Catalog => Actions::default(),
            Resource::Repository(_) => Actions::parse(actions),
        };
        let entry = wanted.entry(resource).or_default();
        *entry = entry.union(actions);
    }
    wanted
}

/// One entry of a token's `access` claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AccessEntry {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) actions: Vec<String>,
    /// For the catalog: the scopes that decide which repositories are listed. For mounts: those that decide from which
    /// repositories blobs may be mounted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) scopes: Vec<String>,
}

impl AccessEntry {
    /// What a token allows of a repository.
    pub(crate) fn repository(name: &str, actions: Actions) -> Self {
        let actions = actions.names().into_iter().map(str::to_owned).collect();
        Self { kind: "repository".to_owned(), name: name.to_owned(), actions, scopes: Vec::new() }
    }

    /// What a token allows beyond single repositories, by scopes.
    pub(crate) fn registry(name: &str, action: &str, scopes: Vec<String>) -> Self {
        Self { kind: "registry".to_owned(), name: name.to_owned(), actions: vec![action.to_owned()], scopes }
    }

    pub(crate) fn is_registry(&self, name: &str) -> bool {
        self.kind == "registry" && self.name == name
    }
}

/// A token request's parameters, from the query (GET) or the form (POST).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TokenRequest {
    pub(crate) grant_type: Option<String>,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) refresh_token: Option<String>,
    pub(crate) service: Option<String>,
    pub(crate) scopes: Vec<String>,
    /// `offline_token=true` or `access_type=offline`: a refresh token is wanted.
    pub(crate) offline: bool,
}

impl TokenRequest {
    /// Reads a query or a form.
    pub(crate) fn parse(text: &[u8]) -> Self {
        let mut request = Self::default();
        for (key, value) in form_urlencoded::parse(text) {
            let value = value.into_owned();
            match key.as_ref() {
                "grant_type" => request.grant_type = Some(value),
                "username" => request.username = Some(value),
                "password" => request.password = Some(value),
                "refresh_token" => request.refresh_token = Some(value),
                "service" => request.service = Some(value),
                "scope" => request.scopes.push(value),
                "offline_token" => request.offline |= value == "true" || value == "1",
                "access_type" => request.offline |= value == "offline",
                _ => {}
            }
        }
        request
    }
}

/// The token endpoint's answer.
#[derive(Debug, Serialize)]
pub(crate) struct TokenAnswer<'a> {
    pub(crate) token: &'a str,
    pub(crate) access_token: &'a str,
    pub(crate) expires_in: u64,
    pub(crate) issued_at: String,
    pub(crate) scope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) refresh_token: Option<&'a str>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(values: &[&str], want: &[(&str, &str)]) {
        let got: Vec<_> = parse_scopes(values.iter().copied())
            .into_iter()
            .map(|(resource, actions)| {
                let name = match resource {
                    Resource::Repository(name) => name,
                    Resource::Catalog => "(catalog)".to_owned(),
                };
                (name, actions.names().join(","))
            })
            .collect();
        let want: Vec<_> = want.iter().map(|(n, a)| ((*n).to_owned(), (*a).to_owned())).collect();
        assert_eq!(got, want);
    }

    /// Checklist 10.
    #[test]
    fn scopes_are_united() {
        check(&["repository:a/b:pull", "repository:a/b:pull,push"], &[("a/b", "pull,push")]);
        check(&["repository:a:pull repository:b:push,pull"], &[("a", "pull"), ("b", "pull,push")]);
        check(&["repository:host:5000/a:pull"], &[("host:5000/a", "pull")]);
        check(&["repository(plugin):a:*"], &[("a", "pull,push,delete")]);
        check(
            &["repository:a:sing,pull", "registry:catalog:*"],
            &[("a", "pull"), ("(catalog)", "pull,push,delete")],
        );
        check(&["", "x", "x:y", "alien:a:pull", "repository::pull", "registry:other:*"], &[]);
    }

    #[test]
    fn forms_and_queries() {
        let request = TokenRequest::parse(
            b"grant_type=password&username=u&password=p%26&scope=a+b&scope=c&access_type=offline&service=s",
        );
        assert_eq!(request.scopes, ["a b", "c"]);
        assert_eq!(request.password.as_deref(), Some("p&"));
        assert!(request.offline);
        assert!(!TokenRequest::parse(b"offline_token=false").offline);
    }

    proptest! {
        #[test]
        fn no_text_panics(values in prop::collection::vec("\\PC{0,80}", 0..5)) {
            let _ = parse_scopes(values.iter().map(String::as_str));
            let _ = TokenRequest::parse(values.join("&").as_bytes());
        }
    }
}
