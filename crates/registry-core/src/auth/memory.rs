//! Users and tokens in memory.

use std::collections::HashMap;

use async_trait::async_trait;
use parking_lot::Mutex;

use super::{
    AuthError,
    directory::{Directory, TokenChange, TokenDocument, UserChange, UserDocument},
    secret,
};

/// Users and tokens in memory; they end with the process.
#[derive(Debug, Default)]
pub(super) struct MemoryDirectory {
    users: Mutex<HashMap<String, UserDocument>>,
    tokens: Mutex<HashMap<String, TokenDocument>>,
    signing_key: Mutex<Option<Vec<u8>>>,
}

impl MemoryDirectory {
    /// Adds a user or a token before anybody else sees the directory.
    pub(super) fn add_user(&mut self, user: UserDocument) {
        self.users.get_mut().insert(user.name.clone(), user);
    }

    /// [`MemoryDirectory::add_user`] of a token.
    pub(super) fn add_token(&mut self, id: String, token: TokenDocument) {
        self.tokens.get_mut().insert(id, token);
    }
}

#[async_trait]
impl Directory for MemoryDirectory {
    async fn user(&self, name: &str) -> Result<Option<UserDocument>, AuthError> {
        Ok(self.users.lock().get(name).cloned())
    }

    async fn users(&self) -> Result<Vec<UserDocument>, AuthError> {
        Ok(self.users.lock().values().cloned().collect())
    }

    async fn change_user(
        &self,
        name: &str,
        mut change: UserChange,
    ) -> Result<Option<UserDocument>, AuthError> {
        let mut users = self.users.lock();
        let mut user = users.get(name).cloned();
        change(&mut user)?;
        if let Some(user) = &user {
            users.insert(name.to_owned(), user.clone());
        }
        Ok(user)
    }

    async fn token(&self, id: &str) -> Result<Option<TokenDocument>, AuthError> {
        Ok(self.tokens.lock().get(id).cloned())
    }

    async fn tokens(&self) -> Result<Vec<(String, TokenDocument)>, AuthError> {
        Ok(self.tokens.lock().iter().map(|(id, token)| (id.clone(), token.clone())).collect())
    }

    async fn create_token(&self, id: &str, token: TokenDocument) -> Result<bool, AuthError> {
        let mut tokens = self.tokens.lock();
        let new = !tokens.contains_key(id);
        if new {
            tokens.insert(id.to_owned(), token);
        }
        Ok(new)
    }

    async fn change_token(&self, id: &str, change: TokenChange) -> Result<bool, AuthError> {
        Ok(self.tokens.lock().get_mut(id).map(change).is_some())
    }

    async fn remove_token(&self, id: &str) -> Result<(), AuthError> {
        self.tokens.lock().remove(id);
        Ok(())
    }

    fn may_hold(&self, _secret: &str) -> bool {
        // Tokens may be given with secrets of any form here, and a lookup costs nothing.
        true
    }

    async fn signing_key(&self) -> Result<Vec<u8>, AuthError> {
        let mut key = self.signing_key.lock();
        if let Some(key) = &*key {
            return Ok(key.clone());
        }
        let made = secret::random::<32>()?.to_vec();
        *key = Some(made.clone());
        Ok(made)
    }
}
