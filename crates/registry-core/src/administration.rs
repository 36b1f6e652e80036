//! What an operator does to packages past the protocol: look at one, yank, delete, and forget what was deleted.
//!
//! The methods of [`Administration`], which every [`PackageRegistry`](crate::PackageRegistry) has, take names and versions as the
//! protocol writes them, ask nobody's scopes and no setting that keeps *clients* from deleting, and otherwise do what the protocol's
//! own requests do: the same conditional change of the same arbiter document, the same hooks, the same word to the catalog.
//!
//! *Deleting* leaves a tombstone: the version's number stays used, and the name stays this registry's even when everything in it
//! was deleted. Only *forgetting* clears tombstones, so that the number, or the whole name, can be published again as if it
//! had never been there. It refuses while something would be lost that can still be had.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use http::StatusCode;

use crate::{Actor, Protocol, hooks::Denied, storage::StorageError};

/// What an operator does to a registry's packages. A registry that does not say how has none of it: an empty `impl` is enough.
#[async_trait]
pub trait Administration: Send + Sync {
    /// A package with all that is known of its versions, deleted ones included.
    async fn show_package(&self, name: &str) -> Result<PackageDetails, AdministrationError> {
        let _ = name;
        Err(not_here("way to show packages"))
    }

    /// Yanks a version, or takes that back. Done already is done.
    async fn yank_version(
        &self,
        actor: &Actor,
        name: &str,
        version: &str,
        yank: &Yank,
    ) -> Result<(), AdministrationError> {
        let _ = (actor, name, version, yank);
        Err(not_here("yank"))
    }

    /// Deletes one version, or the package with all of them. What is deleted leaves a tombstone.
    async fn delete_package(
        &self,
        actor: &Actor,
        name: &str,
        version: Option<&str>,
    ) -> Result<(), AdministrationError> {
        let _ = (actor, name, version);
        Err(not_here("way to delete"))
    }

    /// Clears the tombstone of a deleted version, or of a package of which everything was deleted, so that it can be published
    /// again as if it had never been there. Refuses where something would be lost that can still be had.
    async fn forget_package(
        &self,
        actor: &Actor,
        name: &str,
        version: Option<&str>,
    ) -> Result<(), AdministrationError> {
        let _ = (actor, name, version);
        Err(not_here("tombstones to forget"))
    }
}

fn not_here(what: &str) -> AdministrationError {
    AdministrationError::NotOffered(format!("this registry has no {what}"))
}

/// A package as its operator sees it, deleted versions included.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PackageDetails {
    /// Its name as it was published.
    pub name: String,
    /// When it last changed.
    pub changed: DateTime<Utc>,
    /// The version that clients take when they name none, where the protocol has one.
    pub latest: Option<String>,
    /// What else there is to know, as facts (`owners`, `status` …).
    pub facts: Vec<(&'static str, String)>,
    /// Its versions (of an OCI repository its tags, then its manifests), in the order in which people look for them.
    pub versions: Vec<VersionDetails>,
}

impl PackageDetails {
    /// A package without versions so far.
    pub fn new(name: impl Into<String>, changed: DateTime<Utc>) -> Self {
        Self { name: name.into(), changed, latest: None, facts: Vec::new(), versions: Vec::new() }
    }

    /// Adds a fact, unless it is empty.
    pub fn add_fact(&mut self, name: &'static str, value: impl Into<String>) {
        let value = value.into();
        if !value.is_empty() {
            self.facts.push((name, value));
        }
    }
}

/// A version as its operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct VersionDetails {
    /// The version, tag or digest: what the other methods take.
    pub version: String,
    /// When it was published; of a deleted one this may be forgotten.
    pub published: Option<DateTime<Utc>>,
    /// How many bytes its files have together.
    pub bytes: Option<u64>,
    /// The digest of its file (`sha256:…`), or of what a tag points to. `None` where there are several files.
    pub digest: Option<String>,
    /// What has become of it.
    pub state: VersionState,
}

/// What has become of a version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum VersionState {
    /// It can be had.
    #[default]
    Live,
    /// It can be had, and clients warn with this message.
    Deprecated(String),
    /// It can be had, but is not taken unasked. The reason is empty where none was given.
    Yanked(String),
    /// It was deleted then (where that is still known): it cannot be had, and its number stays used.
    Deleted(Option<DateTime<Utc>>),
}

impl VersionDetails {
    /// A live version of which nothing else is known yet.
    pub fn new(version: impl Into<String>) -> Self {
        Self {
            version: version.into(),
            published: None,
            bytes: None,
            digest: None,
            state: VersionState::default(),
        }
    }
}

/// What to do with a version's yank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Yank {
    /// Yank it, for this reason (empty: for none).
    Set(String),
    /// Take the yank back.
    Undo,
}

/// Why an operator's wish was not done. `Display` is a sentence for the operator, which says what to do where that is known.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdministrationError {
    /// A hook refused.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// A name, a version or a reason that the protocol does not know.
    #[error("{0}")]
    Invalid(String),
    /// No such package or version.
    #[error("{0}")]
    NotFound(String),
    /// The protocol has nothing like it.
    #[error("{0}")]
    NotOffered(String),
    /// It would lose something, or does not fit what there is.
    #[error("{0}")]
    Refused(String),
    /// The store failed.
    #[error("the store failed")]
    Storage(#[source] StorageError),
}

impl AdministrationError {
    /// The protocol has nothing like `what`; `instead` is a sentence about what to do.
    pub fn not_offered(protocol: Protocol, what: &str, instead: &str) -> Self {
        let colon = if instead.is_empty() { "" } else { ": " };
        Self::NotOffered(format!("{protocol} has no {what}{colon}{instead}"))
    }

    /// What a refusal of the protocol's own comes to, by the status that its clients would see.
    pub fn of_status(status: StatusCode, text: impl Into<String>) -> Self {
        let text = text.into();
        match status {
            StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => Self::Invalid(text),
            StatusCode::NOT_FOUND | StatusCode::GONE => Self::NotFound(text),
            _ => Self::Refused(text),
        }
    }

    /// Whether the wish itself was wrong, whatever is stored.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Invalid(_) | Self::NotOffered(_))
    }

    /// A version that cannot be forgotten because it is there.
    pub fn version_is_live(package: &str, version: &str) -> Self {
        Self::Refused(format!("{package} {version} is there, so there is nothing to forget: delete it first"))
    }

    /// A package that cannot be forgotten because it has something.
    pub fn package_is_live(package: &str, versions: usize) -> Self {
        let versions = if versions == 1 { "a version".to_owned() } else { format!("{versions} versions") };
        Self::Refused(format!(
            "{package} has {versions}, which would be lost: delete the package first, or name the deleted version to forget"
        ))
    }

    /// Nothing of this name was ever published, or it was forgotten already.
    pub fn nothing_to_forget(package: &str, version: Option<&str>) -> Self {
        Self::NotFound(match version {
            Some(version) => format!("{package} has no deleted version {version} to forget"),
            None => format!("there is no deleted package {package} to forget"),
        })
    }
}

impl From<StorageError> for AdministrationError {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Denied(denied) => Self::Denied(denied),
            error => Self::Storage(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_say_what_they_are() {
        let error = AdministrationError::not_offered(Protocol::Npm, "yank", "deprecate the version");
        assert_eq!(error.to_string(), "npm has no yank: deprecate the version");
        assert!(error.is_usage());
        for (status, usage) in
            [(400, true), (403, false), (404, false), (409, false), (410, false), (422, true)]
        {
            let error = AdministrationError::of_status(StatusCode::from_u16(status).unwrap(), "why");
            assert_eq!((error.to_string().as_str(), error.is_usage()), ("why", usage), "{status}");
        }
        let denied = StorageError::Denied(Denied::new("not today"));
        assert!(matches!(AdministrationError::from(denied), AdministrationError::Denied(_)));
    }

    #[tokio::test]
    async fn a_registry_that_says_nothing_offers_nothing() {
        struct Bare;
        impl Administration for Bare {}

        let operator = Actor::user("operator");
        let refused = [
            Bare.show_package("lib").await.unwrap_err(),
            Bare.yank_version(&operator, "lib", "1.0", &Yank::Undo).await.unwrap_err(),
            Bare.delete_package(&operator, "lib", None).await.unwrap_err(),
            Bare.forget_package(&operator, "lib", None).await.unwrap_err(),
        ];
        for error in refused {
            assert!(error.is_usage() && error.to_string().starts_with("this registry has no "), "{error}");
        }
    }

    #[test]
    fn an_empty_fact_is_none() {
        let mut details = PackageDetails::new("lib", Utc::now());
        details.add_fact("owners", "");
        details.add_fact("status", "archived");
        assert_eq!(details.facts, [("status", "archived".to_owned())]);
    }
}
