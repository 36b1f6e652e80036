//! The two providers that come with the registry.

use std::{net::IpAddr, sync::Arc};

use async_trait::async_trait;
use secrecy::SecretString;

use super::{
    AuthError, AuthOptions, AuthProvider, AuthRequest, MintToken, MintedToken, NewUser, RegistryClaims,
    Scope, ScopeSet, TokenFilter, TokenRecord, UserRecord,
    accounts::{check_mint, check_user, token_document},
    decisions::Decisions,
    directory::UserDocument,
    memory::MemoryDirectory,
    password::{Cost, Passwords},
    secret::SecretHash,
    stored::StoredDirectory,
};
use crate::{
    Actor,
    maintenance::GcRun,
    storage::{Storage, UnknownFields},
};

/// The name of the token that the first start makes.
const FIRST_START: &str = "first start";

/// Users and tokens in memory, for tests and for embedding. Everything ends with the process.
///
/// ```
/// use registry_core::auth::{DefaultAuthProvider, ScopeSet};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let auth = DefaultAuthProvider::builder()
///     .user("alice", "correct horse", ScopeSet::parse(["npm:package:@acme/*:*"])?)
///     .token("ci", "a secret of any form", ScopeSet::parse(["npm:package:*:read"])?)
///     .anonymous(ScopeSet::parse(["npm:package:public-*:read"])?)
///     .build()?;
/// # let _ = auth;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct DefaultAuthProvider {
    decisions: Decisions<MemoryDirectory>,
}

/// Users and tokens as documents in the store, shared by all nodes.
///
/// * Of a token only the SHA-256 of its secret is stored, of a password an argon2id hash.
/// * What is read of users and tokens is taken as known for [`AuthOptions::max_staleness`]. A change made through
///   this provider holds at once, one made on another node or by the command line after that time at the latest. This also
///   holds for a signed token ([`AuthProvider::sign`]) whose own token was revoked or whose user was removed; rights that
///   were only narrowed stay in it until it ends.
/// * When a token was last used is written about once a minute, in the background.
/// * A user's name stays taken by a tombstone when the user is removed, so that tokens which were made before can never
///   work for a later user of that name.
/// * Nobody has fewer rights than the anonymous actor: its scopes are added to everybody's.
#[derive(Debug)]
pub struct StoredAuthProvider {
    decisions: Decisions<StoredDirectory>,
}

/// Builds a [`DefaultAuthProvider`].
#[derive(Clone, Debug, Default)]
pub struct DefaultAuthBuilder {
    options: AuthOptions,
    users: Vec<NewUser>,
    tokens: Vec<(MintToken, SecretString)>,
}

impl DefaultAuthProvider {
    /// A builder with no users, no tokens and nothing for the anonymous actor.
    pub fn builder() -> DefaultAuthBuilder {
        DefaultAuthBuilder::default()
    }

    /// Everybody may do everything without credentials: for trying things out.
    pub fn open() -> Result<Self, AuthError> {
        Self::builder().anonymous(ScopeSet::everything()).build()
    }

    /// Forgets tokens that ended longer ago than the run's grace.
    pub async fn collect_garbage(&self, run: &GcRun) -> Result<(), AuthError> {
        self.decisions.collect_garbage(run).await
    }

    /// Ends background work.
    pub async fn shutdown(&self) {
        self.decisions.usage.stop().await;
    }
}

impl DefaultAuthBuilder {
    /// Replaces all options.
    pub fn options(mut self, options: AuthOptions) -> Self {
        self.options = options;
        self
    }

    /// Adds a user with a password.
    pub fn user(
        mut self,
        name: impl Into<String>,
        password: impl Into<SecretString>,
        scopes: ScopeSet,
    ) -> Self {
        self.users.push(NewUser {
            name: name.into(),
            password: Some(password.into()),
            email: None,
            scopes: Some(scopes),
        });
        self
    }

    /// Adds a token with a secret of any form and scopes of its own. Its user need not exist.
    pub fn token(
        mut self,
        user: impl Into<String>,
        secret: impl Into<SecretString>,
        scopes: ScopeSet,
    ) -> Self {
        let mut mint = MintToken::new(user);
        mint.scopes = Some(scopes);
        self.tokens.push((mint, secret.into()));
        self
    }

    /// Adds a token with all that can be said of one.
    pub fn minted(mut self, mint: MintToken, secret: impl Into<SecretString>) -> Self {
        self.tokens.push((mint, secret.into()));
        self
    }

    /// What everybody may do without credentials.
    pub fn anonymous(mut self, scopes: ScopeSet) -> Self {
        self.options.anonymous = scopes;
        self
    }

    /// Lets clients make their own users, who may do this.
    pub fn signup(mut self, scopes: ScopeSet) -> Self {
        self.options.signup = Some(scopes);
        self
    }

    /// The provider, or what is wrong with a user or a token. Two of one name or secret: the last counts.
    pub fn build(self) -> Result<DefaultAuthProvider, AuthError> {
        let Self { options, users, tokens } = self;
        let now = options.clock.now();
        let passwords = Passwords::new(Cost::Memory);
        let mut directory = MemoryDirectory::default();
        for user in users {
            check_user(&user)?;
            directory.add_user(UserDocument {
                password: user
                    .password
                    .as_ref()
                    .map(|password| passwords.hash_blocking(password))
                    .transpose()?,
                password_set: user.password.map(|_| now),
                name: user.name,
                email: user.email,
                scopes: user.scopes.map(|scopes| scopes.to_strings()).unwrap_or_default(),
                created: now,
                updated: now,
                ended: None,
                present: true,
                unknown: UnknownFields::default(),
            });
        }
        for (mint, secret) in tokens {
            check_mint(&mint, now)?;
            let hash = SecretHash::of(&secret);
            directory.add_token(hash.token_id(), token_document(mint, &hash, &secret, now));
        }
        Ok(DefaultAuthProvider { decisions: Decisions::new(directory, options, Cost::Memory)? })
    }
}

impl StoredAuthProvider {
    /// The users and tokens of a storage. Reads nothing yet; fails only where the system has no random numbers.
    pub fn new(storage: &Storage, options: AuthOptions) -> Result<Self, AuthError> {
        let directory = StoredDirectory::new(storage);
        Ok(Self { decisions: Decisions::new(directory, options, Cost::Stored)? })
    }

    /// Makes the administrator's token at the first start on a store that has no user and no token with all rights: user
    /// `admin`, all rights, no end. `None` at later starts, and where [`AuthOptions::admin_token`] is given. Of nodes that start
    /// at once on one store, one gets it.
    pub async fn ensure_admin_token(&self) -> Result<Option<MintedToken>, AuthError> {
        let directory = &self.decisions.directory;
        if self.decisions.has_admin_token() || directory.was_started().await? {
            return Ok(None);
        }
        let now = self.decisions.clock.now();
        if self.has_administrator().await? {
            directory.note_start(now).await?;
            return Ok(None);
        }
        let mut mint = MintToken::new("admin");
        mint.scopes = Some(ScopeSet::everything());
        mint.name = Some(FIRST_START.to_owned());
        let minted = self.mint_token(mint).await?;
        if directory.note_start(now).await? {
            Ok(Some(minted))
        } else {
            self.revoke_token(&minted.record.id).await?;
            Ok(None)
        }
    }

    /// Whether there is a user or a token that works and may do everything.
    async fn has_administrator(&self) -> Result<bool, AuthError> {
        let may_all = |scopes: &[String]| {
            ScopeSet::parse(scopes).is_ok_and(|scopes| scopes.covers(&Scope::everything()))
        };
        if self.users().await?.iter().any(|user| may_all(&user.scopes)) {
            return Ok(true);
        }
        // One of this name is of a first start that did not come to its end: nobody has seen its secret.
        let counts = |token: &TokenRecord| {
            token.name.as_deref() != Some(FIRST_START)
                && !token.read_only
                && token.scopes.as_deref().is_some_and(may_all)
        };
        Ok(self.tokens(&TokenFilter::default()).await?.iter().any(counts))
    }

    /// Removes the records of tokens that ended longer ago than the run's grace. Safe while serving.
    pub async fn collect_garbage(&self, run: &GcRun) -> Result<(), AuthError> {
        self.decisions.collect_garbage(run).await
    }

    /// Writes when tokens were last used, and ends background work.
    pub async fn shutdown(&self) {
        self.decisions.usage.stop().await;
    }
}

/// Both providers hand everything to [`Decisions`].
macro_rules! decided {
    ($provider:ty) => {
        #[async_trait]
        impl AuthProvider for $provider {
            async fn authenticate(&self, request: &AuthRequest<'_>) -> Result<Actor, AuthError> {
                self.decisions.authenticate(request).await
            }

            fn decides_by_scopes(&self) -> bool {
                true
            }

            async fn mint_token(&self, mint: MintToken) -> Result<MintedToken, AuthError> {
                self.decisions.mint_token(mint).await
            }

            async fn tokens(&self, filter: &TokenFilter) -> Result<Vec<TokenRecord>, AuthError> {
                self.decisions.tokens(filter).await
            }

            async fn revoke_token(&self, id: &str) -> Result<(), AuthError> {
                self.decisions.revoke_token(id).await
            }

            async fn token_id(&self, secret: &SecretString) -> Result<Option<String>, AuthError> {
                self.decisions.token_id(secret).await
            }

            async fn user(&self, name: &str) -> Result<Option<UserRecord>, AuthError> {
                self.decisions.user(name).await
            }

            async fn users(&self) -> Result<Vec<UserRecord>, AuthError> {
                self.decisions.users().await
            }

            async fn create_user(&self, user: NewUser) -> Result<UserRecord, AuthError> {
                self.decisions.create_user(user).await
            }

            async fn update_user(&self, user: NewUser) -> Result<UserRecord, AuthError> {
                self.decisions.update_user(user).await
            }

            async fn remove_user(&self, name: &str) -> Result<(), AuthError> {
                self.decisions.remove_user(name).await
            }

            async fn check_password(
                &self,
                name: &str,
                password: &SecretString,
                address: Option<IpAddr>,
            ) -> Result<bool, AuthError> {
                self.decisions.check_password(name, password, address).await
            }

            fn signup(&self) -> Option<Arc<ScopeSet>> {
                self.decisions.signup()
            }

            async fn sign(&self, claims: &RegistryClaims) -> Result<SecretString, AuthError> {
                self.decisions.sign(claims).await
            }

            async fn verify(
                &self,
                token: &SecretString,
                audience: &str,
            ) -> Result<Arc<RegistryClaims>, AuthError> {
                self.decisions.verify(token, audience).await
            }
        }
    };
}

decided!(DefaultAuthProvider);
decided!(StoredAuthProvider);
