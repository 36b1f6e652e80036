//! Users and tokens as documents in the store.

use async_trait::async_trait;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::{Deserialize, Serialize};

use super::{
    AuthError,
    directory::{Directory, TokenChange, TokenDocument, UserChange, UserDocument},
    secret,
};
use crate::storage::{Created, Document, Draft, Key, Storage, StorageError, Store, UnknownFields};

/// How many documents are read at once for a list.
const READS_AT_ONCE: usize = 16;

/// Users and tokens as documents in the store: `_system/users/<name>`, `_system/tokens/<id>` (the id is the beginning of the
/// secret's hash, so that one read finds a token), the signing key at `_system/jwt`.
#[derive(Debug)]
pub(super) struct StoredDirectory {
    store: Store,
}

/// The key for signing short-lived tokens.
#[derive(Clone, Serialize, Deserialize)]
struct SigningKey {
    /// In base64.
    secret: String,
    #[serde(flatten)]
    unknown: UnknownFields,
}

impl Document for SigningKey {
    const SCHEMA: u32 = 1;
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey(…)")
    }
}

/// That the store was started on before.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Started {
    at: chrono::DateTime<chrono::Utc>,
    #[serde(flatten)]
    unknown: UnknownFields,
}

impl Document for Started {
    const SCHEMA: u32 = 1;
}

impl StoredDirectory {
    pub(super) fn new(storage: &Storage) -> Self {
        Self { store: storage.system() }
    }

    /// Whether a server started on this store before.
    pub(super) async fn was_started(&self) -> Result<bool, AuthError> {
        Ok(self.store.read::<Started>(&self.started_key()).await?.is_some())
    }

    /// Notes the first start; `false` where another was first.
    pub(super) async fn note_start(&self, at: chrono::DateTime<chrono::Utc>) -> Result<bool, AuthError> {
        let started = Started { at, unknown: UnknownFields::default() };
        Ok(matches!(self.store.create(&self.started_key(), started).await?, Created::Now(_)))
    }

    fn started_key(&self) -> Key {
        self.store.key().fixed("started").build()
    }

    fn user_key(&self, name: &str) -> Key {
        self.store.key().fixed("users").segment(name).build()
    }

    fn token_key(&self, id: &str) -> Key {
        self.store.key().fixed("tokens").segment(id).build()
    }

    async fn all<D: Document>(&self, folder: &'static str) -> Result<Vec<(Key, D)>, AuthError> {
        // Not by `children`: it leaves out the keys of very long names.
        let listed = self.store.list(&self.store.key().fixed(folder).build()).await?;
        let read = |entry: crate::storage::ListEntry| async move {
            let document = self.store.read_fresh::<D>(&entry.key).await?;
            Ok::<_, AuthError>(document.map(|document| (entry.key, document.value.clone())))
        };
        let found: Vec<_> = stream::iter(listed).map(read).buffered(READS_AT_ONCE).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }
}

#[async_trait]
impl Directory for StoredDirectory {
    async fn user(&self, name: &str) -> Result<Option<UserDocument>, AuthError> {
        let user = self.store.read_fresh::<UserDocument>(&self.user_key(name)).await?;
        Ok(user.map(|user| user.value.clone()))
    }

    async fn users(&self) -> Result<Vec<UserDocument>, AuthError> {
        Ok(self.all("users").await?.into_iter().map(|(_, user)| user).collect())
    }

    async fn change_user(
        &self,
        name: &str,
        mut change: UserChange,
    ) -> Result<Option<UserDocument>, AuthError> {
        let change = move |draft: &mut Draft<UserDocument>| {
            let mut user = draft.get().cloned();
            change(&mut user)?;
            if let Some(user) = user {
                draft.set(user);
            }
            Ok::<(), AuthError>(())
        };
        let ((), user) = self.store.update(&self.user_key(name), change).await?;
        Ok(user.map(|user| user.value.clone()))
    }

    async fn token(&self, id: &str) -> Result<Option<TokenDocument>, AuthError> {
        let token = self.store.read_fresh::<TokenDocument>(&self.token_key(id)).await?;
        Ok(token.map(|token| token.value.clone()))
    }

    async fn tokens(&self) -> Result<Vec<(String, TokenDocument)>, AuthError> {
        let id = |key: &Key| key.as_str().rsplit('/').next().unwrap_or_default().to_owned();
        Ok(self.all("tokens").await?.into_iter().map(|(key, token)| (id(&key), token)).collect())
    }

    async fn create_token(&self, id: &str, token: TokenDocument) -> Result<bool, AuthError> {
        Ok(matches!(self.store.create(&self.token_key(id), token).await?, Created::Now(_)))
    }

    async fn change_token(&self, id: &str, mut change: TokenChange) -> Result<bool, AuthError> {
        let change = move |draft: &mut Draft<TokenDocument>| {
            let Some(mut token) = draft.get().cloned() else { return Ok::<_, AuthError>(false) };
            if change(&mut token) {
                draft.set(token);
            }
            Ok(true)
        };
        Ok(self.store.update(&self.token_key(id), change).await?.0)
    }

    async fn remove_token(&self, id: &str) -> Result<(), AuthError> {
        Ok(self.store.remove(&self.token_key(id)).await?)
    }

    fn may_hold(&self, secret: &str) -> bool {
        secret::has_form(secret)
    }

    async fn signing_key(&self) -> Result<Vec<u8>, AuthError> {
        let key = self.store.key().fixed("jwt").build();
        let document = if let Some(document) = self.store.read::<SigningKey>(&key).await? {
            document
        } else {
            let secret = BASE64_STANDARD.encode(secret::random::<32>()?);
            let made = SigningKey { secret, unknown: UnknownFields::default() };
            match self.store.create(&key, made).await? {
                Created::Exists(document) | Created::Now(document) => document,
            }
        };
        BASE64_STANDARD.decode(&document.secret).map_err(|_| {
            let what = "its secret is not base64".to_owned();
            AuthError::from(StorageError::Damaged { key: key.to_string(), what })
        })
    }
}
