//! What of the registry somebody may see: all of it, or some gems. Lists are made for that.

use std::collections::HashSet;

use registry_core::{Actor, PackageRegistry as _, Protocol, auth::Action};
use sha2::{Digest as _, Sha256};

use super::call::Call;
use crate::{error::Error, store::index::Index};

/// The gems that somebody may see.
#[derive(Clone, Debug)]
pub(crate) enum View {
    All,
    Some {
        names: HashSet<Box<str>>,
        /// The same for the same gems.
        fingerprint: String,
    },
}

impl View {
    /// What the actor may see, where that is something. Scopes that cover every gem are believed; otherwise the auth provider is asked
    /// gem by gem.
    pub(crate) async fn of(call: &Call<'_>, actor: &Actor, index: &Index) -> Result<Self, Error> {
        call.allows_some(actor, Action::Read)?;
        let instance = &call.registry.instance().name;
        let all = actor.scopes.as_deref().zip(call.registry.everything());
        if all.is_some_and(|(scopes, everything)| {
            scopes.covers_within(instance, Protocol::Rubygems, everything)
        }) {
            return Ok(Self::All);
        }
        let (mut names, mut hash) = (HashSet::new(), Sha256::new());
        for name in index.all_names() {
            if call.allows(actor, name, Action::Read).await.is_ok() {
                hash.update(name);
                hash.update("\n");
                names.insert(name.into());
            }
        }
        Ok(Self::Some { names, fingerprint: hex::encode(hash.finalize()) })
    }

    /// Whether a gem is in it.
    pub(crate) fn has(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Some { names, .. } => names.contains(name),
        }
    }

    /// What tells it from other views.
    pub(crate) fn fingerprint(&self) -> &str {
        match self {
            Self::All => "all",
            Self::Some { fingerprint, .. } => fingerprint,
        }
    }

    /// `/versions` as it is seen: the head, and the lines of what is in the view. As the log grows, so does this.
    pub(crate) fn filter(&self, log: &str) -> String {
        let (head, lines) = log.split_once(crate::wire::compact::SEPARATOR).unwrap_or((log, ""));
        let mut out = format!("{head}{}", crate::wire::compact::SEPARATOR);
        for line in lines.split_inclusive('\n') {
            if self.has(line.split(' ').next().unwrap_or_default()) {
                out.push_str(line);
            }
        }
        out
    }
}
