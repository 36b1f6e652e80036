//! Making, changing and ending users and tokens.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use secrecy::SecretString;

use super::{
    AuthError, MintToken, MintedToken, NewUser, TokenFilter, TokenRecord, UserRecord,
    cidr::Cidr,
    decisions::{ADMIN, Decisions, name_fault},
    directory::{Directory, TokenDocument, UserDocument},
    known::KnownCredentials,
    secret::{self, SecretHash},
};
use crate::{maintenance::GcRun, storage::UnknownFields};

/// The longest name or address of a person, and name of a token, in bytes.
const MAX_TEXT: usize = 320;
/// The most blocks of addresses, and the most scopes, of one token or user.
const MAX_LIST: usize = 256;

/// Forgets what is known when a change is over, however it ended.
struct Forget<'a>(&'a KnownCredentials);

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.0.forget();
    }
}

impl<D: Directory> Decisions<D> {
    // ----- tokens

    pub(super) async fn mint_token(&self, mint: MintToken) -> Result<MintedToken, AuthError> {
        let secret = secret::generate()?;
        let record = self.mint_with_secret(mint, &secret).await?;
        Ok(MintedToken { secret, record })
    }

    async fn mint_with_secret(
        &self,
        mint: MintToken,
        secret: &SecretString,
    ) -> Result<TokenRecord, AuthError> {
        let now = self.clock.now();
        check_mint(&mint, now)?;
        let user = self.directory.user(&mint.user).await?;
        if mint.scopes.is_none() && !user.as_ref().is_some_and(|user| user.present) {
            return Err(AuthError::Rejected(format!(
                "there is no user `{}` whose rights the token could have; give it scopes",
                mint.user
            )));
        }
        // A removal on a node whose clock is ahead must not end what is made after it.
        let ended = user.and_then(|user| user.ended);
        let created = ended.map_or(now, |ended| now.max(ended + chrono::Duration::milliseconds(1)));
        let hash = SecretHash::of(secret);
        let token = token_document(mint, &hash, secret, created);
        let id = hash.token_id();
        let record = token.record(&id);
        let _forget = Forget(&self.known);
        if self.directory.create_token(&id, token).await? {
            Ok(record)
        } else {
            // One in 2^96.
            Err(AuthError::Exists("a token with this id exists; try again".to_owned()))
        }
    }

    pub(super) async fn tokens(&self, filter: &TokenFilter) -> Result<Vec<TokenRecord>, AuthError> {
        let now = self.clock.now();
        let mut records: Vec<_> = self
            .living_and_ended()
            .await?
            .into_iter()
            .filter(|(_, token)| filter.user.as_ref().is_none_or(|user| *user == token.user))
            .filter(|(_, token)| filter.include_ended || token.ended(now).is_none())
            .map(|(id, token)| {
                let mut record = token.record(&id);
                record.last_used = record.last_used.max(self.usage.pending(&id));
                record
            })
            .collect();
        records.sort_by(|a, b| a.created.cmp(&b.created).then_with(|| a.id.cmp(&b.id)));
        Ok(records)
    }

    pub(super) async fn revoke_token(&self, id: &str) -> Result<(), AuthError> {
        if id == ADMIN && self.has_admin_token() {
            return Err(AuthError::Rejected(
                "the administrator's token is given by the configuration and ends when it is taken out there"
                    .to_owned(),
            ));
        }
        if secret::is_token_id(id) && self.revoke(id).await? {
            Ok(())
        } else {
            Err(AuthError::NotFound(format!("there is no token `{}`", shorten(id))))
        }
    }

    pub(super) async fn token_id(&self, secret: &SecretString) -> Result<Option<String>, AuthError> {
        let hash = SecretHash::of(secret);
        if self.is_admin_token(&hash) {
            return Ok(Some(ADMIN.to_owned()));
        }
        let id = hash.token_id();
        let token = self.directory.token(&id).await?;
        Ok(token.filter(|token| hash.is_hex(&token.hash)).map(|_| id))
    }

    async fn revoke(&self, id: &str) -> Result<bool, AuthError> {
        let now = self.clock.now();
        let _forget = Forget(&self.known);
        let change = move |token: &mut TokenDocument| {
            let first = token.revoked.is_none();
            token.revoked.get_or_insert(now);
            first
        };
        self.directory.change_token(id, Box::new(change)).await
    }

    /// All tokens; those that ended with their user are shown as revoked then.
    async fn living_and_ended(&self) -> Result<Vec<(String, TokenDocument)>, AuthError> {
        let mut tokens = self.directory.tokens().await?;
        let ends: HashMap<String, UserDocument> = self
            .directory
            .users()
            .await?
            .into_iter()
            .filter(|user| user.ended.is_some())
            .map(|user| (user.name.clone(), user))
            .collect();
        for (_, token) in &mut tokens {
            if token.revoked.is_none()
                && let Some(user) = ends.get(&token.user)
                && user.outlived(token.created)
            {
                token.revoked = user.ended;
            }
        }
        Ok(tokens)
    }

    /// Removes the records of tokens that ended longer ago than the grace.
    pub(super) async fn collect_garbage(&self, run: &GcRun) -> Result<(), AuthError> {
        let grace = chrono::Duration::from_std(run.grace).unwrap_or(chrono::Duration::MAX);
        for (id, token) in self.living_and_ended().await? {
            run.report.examined();
            let over = token.ended(run.now).is_some_and(|ended| run.now - ended >= grace);
            if over {
                run.report.removed(&format!("token {id} of {}", token.user), 0);
                if !run.dry_run {
                    self.directory.remove_token(&id).await?;
                }
            }
        }
        Ok(())
    }

    // ----- users

    pub(super) async fn user(&self, name: &str) -> Result<Option<UserRecord>, AuthError> {
        if name_fault(name).is_some() {
            return Ok(None);
        }
        let user = self.directory.user(name).await?;
        Ok(user.filter(|user| user.present).map(|user| user.record()))
    }

    pub(super) async fn users(&self) -> Result<Vec<UserRecord>, AuthError> {
        let users = self.directory.users().await?;
        let mut users: Vec<_> = users.iter().filter(|user| user.present).map(UserDocument::record).collect();
        users.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(users)
    }

    pub(super) async fn create_user(&self, new: NewUser) -> Result<UserRecord, AuthError> {
        check_user(&new)?;
        let password = self.hash_of(&new).await?;
        let now = self.clock.now();
        let _forget = Forget(&self.known);
        let NewUser { name, email, scopes, .. } = new;
        let key = name.clone();
        let change = move |user: &mut Option<UserDocument>| {
            let (ended, unknown) = match user.take() {
                Some(there) if there.present => {
                    let refused = AuthError::Exists(format!("there is a user `{name}` already"));
                    *user = Some(there);
                    return Err(refused);
                }
                Some(tombstone) => (tombstone.ended, tombstone.unknown),
                None => (None, UnknownFields::default()),
            };
            *user = Some(UserDocument {
                name: name.clone(),
                password_set: password.as_ref().map(|_| now),
                password: password.clone(),
                email: email.clone(),
                scopes: scopes.as_ref().map(super::ScopeSet::to_strings).unwrap_or_default(),
                created: now,
                updated: now,
                ended,
                present: true,
                unknown,
            });
            Ok(())
        };
        made(self.directory.change_user(&key, Box::new(change)).await?, &key)
    }

    pub(super) async fn update_user(&self, new: NewUser) -> Result<UserRecord, AuthError> {
        check_user(&new)?;
        let password = self.hash_of(&new).await?;
        let now = self.clock.now();
        let _forget = Forget(&self.known);
        let NewUser { name, email, scopes, .. } = new;
        let key = name.clone();
        let change = move |user: &mut Option<UserDocument>| {
            let Some(user) = user.as_mut().filter(|user| user.present) else { return Err(no_user(&name)) };
            if let Some(password) = &password {
                user.password = Some(password.clone());
                user.password_set = Some(now);
            }
            if let Some(email) = &email {
                user.email = Some(email.clone());
            }
            if let Some(scopes) = &scopes {
                user.scopes = scopes.to_strings();
            }
            user.updated = now;
            Ok(())
        };
        made(self.directory.change_user(&key, Box::new(change)).await?, &key)
    }

    pub(super) async fn remove_user(&self, name: &str) -> Result<(), AuthError> {
        if name_fault(name).is_some() {
            return Err(no_user(name));
        }
        let now = self.clock.now();
        let _forget = Forget(&self.known);
        let tokens: Vec<String> = self
            .living_and_ended()
            .await?
            .into_iter()
            .filter(|(_, token)| token.user == name && token.revoked.is_none())
            .map(|(id, _)| id)
            .collect();
        let (owned, has_tokens) = (name.to_owned(), !tokens.is_empty());
        let change = move |user: &mut Option<UserDocument>| {
            let present = user.as_ref().is_some_and(|user| user.present);
            if !present && !has_tokens {
                return Err(no_user(&owned));
            }
            let created = user.as_ref().map_or(now, |user| user.created);
            let ended = user.as_ref().and_then(|user| user.ended);
            let unknown = user.take().map(|user| user.unknown).unwrap_or_default();
            *user = Some(UserDocument {
                name: owned.clone(),
                password: None,
                email: None,
                scopes: Vec::new(),
                created,
                updated: now,
                password_set: None,
                ended: ended.max(Some(now)),
                present: false,
                unknown,
            });
            Ok(())
        };
        // From this write on every token of the user has ended; marking each is for who lists them.
        self.directory.change_user(name, Box::new(change)).await?;
        for id in tokens {
            self.revoke(&id).await?;
        }
        Ok(())
    }

    async fn hash_of(&self, new: &NewUser) -> Result<Option<String>, AuthError> {
        match &new.password {
            Some(password) => self.passwords.hash(password).await.map(Some),
            None => Ok(None),
        }
    }
}

/// What is kept of a new token.
pub(super) fn token_document(
    mint: MintToken,
    hash: &SecretHash,
    secret: &SecretString,
    created: DateTime<Utc>,
) -> TokenDocument {
    TokenDocument {
        hash: hash.to_hex(),
        user: mint.user,
        prefix: secret::shown_prefix(secret),
        scopes: mint.scopes.map(|scopes| scopes.to_strings()),
        read_only: mint.read_only,
        name: mint.name,
        cidr: mint.cidr,
        created,
        expires: mint.expires,
        last_used: None,
        revoked: None,
        unknown: UnknownFields::default(),
    }
}

/// Refuses a token that could not be what it says.
pub(super) fn check_mint(mint: &MintToken, now: DateTime<Utc>) -> Result<(), AuthError> {
    let fault = if let Some(fault) = name_fault(&mint.user) {
        fault
    } else if mint.name.as_deref().is_some_and(|name| !is_plain(name)) {
        "a token's name is at most 320 bytes long and has no control characters"
    } else if mint.expires.is_some_and(|expires| expires <= now) {
        "the token would have expired already"
    } else if mint.cidr.len() > MAX_LIST
        || mint.scopes.as_ref().is_some_and(|set| set.iter().count() > MAX_LIST)
    {
        "a token has at most 256 scopes and 256 blocks of addresses"
    } else if mint.cidr.iter().any(|block| Cidr::parse(block).is_none()) {
        "a block of addresses is written like `192.0.2.0/24` or `2001:db8::/32`"
    } else {
        return Ok(());
    };
    Err(AuthError::Rejected(fault.to_owned()))
}

/// Refuses a user that could not be kept.
pub(super) fn check_user(new: &NewUser) -> Result<(), AuthError> {
    let fault = if let Some(fault) = name_fault(&new.name) {
        fault
    } else if new.email.as_deref().is_some_and(|email| !is_plain(email)) {
        "an e-mail address is at most 320 bytes long and has no control characters"
    } else if new.scopes.as_ref().is_some_and(|set| set.iter().count() > MAX_LIST) {
        "a user has at most 256 scopes"
    } else {
        return Ok(());
    };
    Err(AuthError::Rejected(fault.to_owned()))
}

fn is_plain(text: &str) -> bool {
    text.len() <= MAX_TEXT && !text.chars().any(char::is_control)
}

fn made(user: Option<UserDocument>, name: &str) -> Result<UserRecord, AuthError> {
    user.map(|user| user.record()).ok_or_else(|| no_user(name))
}

fn no_user(name: &str) -> AuthError {
    AuthError::NotFound(format!("there is no user `{}`", shorten(name)))
}

/// Text from outside in a message: no longer than needed to recognise it.
fn shorten(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(64).collect()
}
