//! Lists of what somebody may read, made once for what exists and for what their scopes let through.

use std::{fmt::Write as _, sync::Arc};

use super::CatalogEntry;
use crate::{
    Actor, Instance, Services,
    auth::Action,
    storage::{Revision, StorageError, Store},
};

impl Services {
    /// A form of the list of an instance's packages that the actor may read, which stand in byte order of their names. It is made once
    /// for each state of the catalog and each set of scopes, and kept in the bounded cache: a list of a hundred thousand names then
    /// costs what any document costs. `form` tells lists of one instance apart; the second part of what `make` returns is about
    /// how many bytes the form takes.
    ///
    /// Where the auth provider does not decide by scopes alone ([`crate::auth::AuthProvider::decides_by_scopes`]), it is asked for each name
    /// of each list.
    pub async fn listed<R: Send + Sync + 'static>(
        &self,
        (instance, store): (&Instance, &Store),
        actor: &Actor,
        form: &str,
        make: impl FnOnce(&[Arc<CatalogEntry>]) -> (R, usize),
    ) -> Result<Arc<R>, StorageError> {
        let revision = |edition: u64| Revision(edition.to_string().into());
        let key = store.key().fixed("_listed").build();
        let variant = self.auth.decides_by_scopes().then(|| variant(form, actor));
        if let Some(variant) = &variant {
            let edition = self.catalog.edition(&instance.name).await?;
            if let Some(found) = store.derived_cached(&key, &revision(edition), variant) {
                return Ok(found);
            }
        }
        let (edition, entries) = self.catalog.edited(&instance.name).await?;
        let mut readable = Vec::with_capacity(entries.len());
        for entry in entries {
            if self.authorize(instance, actor, &entry.name, Action::Read).await.is_ok() {
                readable.push(entry);
            }
        }
        Ok(match variant {
            Some(variant) => store.derived(&key, &revision(edition), &variant, || make(&readable)),
            None => Arc::new(make(&readable).0),
        })
    }
}

/// A form for whoever has the same rights.
fn variant(form: &str, actor: &Actor) -> String {
    let mut variant = String::with_capacity(form.len() + 64);
    variant.push_str(form);
    if actor.read_only {
        variant.push_str(" read-only");
    }
    if let Some(scopes) = &actor.scopes {
        for scope in scopes.iter() {
            // Writing to a string cannot fail.
            let _ = write!(variant, " {scope}");
        }
    }
    variant
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use chrono::Utc;

    use super::*;
    use crate::{
        Protocol,
        auth::{DefaultAuthProvider, ScopeSet},
        catalog::Catalog,
        storage::{Storage, StorageOptions},
    };

    fn actor(scope: &str) -> Actor {
        Actor::user("alice").with_scopes(ScopeSet::parse([scope]).unwrap())
    }

    #[tokio::test]
    async fn a_list_is_made_once_for_the_same_rights_and_packages() {
        let storage = Storage::memory(StorageOptions::default());
        let instance = Instance::new(Protocol::Npm.into(), Protocol::Npm, Vec::new());
        let store = storage.store(&instance);
        let auth = Arc::new(DefaultAuthProvider::builder().build().unwrap());
        let services = Services::new(storage, auth, Catalog::memory());
        let made = Cell::new(0);
        let list = async |actor: &Actor, form: &str| {
            let names = |entries: &[Arc<CatalogEntry>]| {
                made.set(made.get() + 1);
                (entries.iter().map(|entry| entry.name.clone()).collect::<Vec<_>>().join(" "), 8)
            };
            (*services.listed((&instance, &store), actor, form, names).await.unwrap()).clone()
        };
        let told = |name: &str| {
            services.catalog.changed(&instance.name, name, Some(CatalogEntry::new(name, Utc::now())));
        };
        told("lib");
        told("@acme/b");
        let (all, some) = (actor("npm:package:*:read"), actor("npm:package:@acme/*:read"));
        for _ in 0..3 {
            assert_eq!(list(&all, "names").await, "@acme/b lib");
            assert_eq!(list(&some, "names").await, "@acme/b");
        }
        assert_eq!(list(&Actor::anonymous(), "names").await, "");
        assert_eq!(made.get(), 3);
        assert_eq!(list(&all, "other").await, "@acme/b lib");
        assert_eq!(made.get(), 4);
        told("@acme/a");
        assert_eq!(list(&all, "names").await, "@acme/a @acme/b lib");
        services.catalog.changed(&instance.name, "@acme/b", None);
        assert_eq!(list(&some, "names").await, "@acme/a");
        assert_eq!(made.get(), 6);
    }
}
