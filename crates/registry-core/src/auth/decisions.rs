//! What is decided with users and tokens, the same wherever they are kept.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::OnceCell;

use super::{
    AuthError, AuthRequest, Credentials, RegistryClaims, ScopeSet,
    anonymous::AnonymousScopes,
    cidr::Cidr,
    directory::{Directory, TokenDocument, UserDocument},
    guessing::Guesses,
    known::{Identity, Known, KnownCredentials, Meaning, Pace},
    options::AuthOptions,
    password::{Cost, Passwords},
    secret::{self, SecretHash},
    signing::Signer,
    usage::{self, Usage},
};
use crate::{Actor, Instance, InstanceName, clock::Clock};

/// The password of a `Basic` header whose user name is a token.
pub(super) const TOKEN_AS_USER: &str = "x-oauth-basic";
/// The user, and the id of the token, of the administrator's token that the configuration gives.
pub(super) const ADMIN: &str = "admin";

const UNKNOWN_TOKEN: &str = "the token is not known";
const REVOKED: &str = "the token was revoked";
const EXPIRED: &str = "the token has expired";

/// Everything that both providers share.
#[derive(Debug)]
pub(super) struct Decisions<D> {
    pub(super) directory: Arc<D>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) passwords: Passwords,
    pub(super) usage: Usage<D>,
    pub(super) known: KnownCredentials,
    anonymous: AnonymousScopes,
    signup: Option<Arc<ScopeSet>>,
    admin: Option<(SecretHash, Identity)>,
    guesses: Guesses,
    /// Under which passwords that were right are remembered.
    key: [u8; 32],
    jwt_secret: Option<SecretString>,
    signer: OnceCell<Signer>,
}

impl<D: Directory> Decisions<D> {
    pub(super) fn new(directory: D, options: AuthOptions, cost: Cost) -> Result<Self, AuthError> {
        let AuthOptions {
            anonymous,
            instance_anonymous,
            signup,
            admin_token,
            jwt_secret,
            max_staleness,
            clock,
        } = options;
        let anonymous = AnonymousScopes::new(anonymous, instance_anonymous);
        let directory = Arc::new(directory);
        let admin = admin_token.map(|token| {
            let identity = Identity {
                user: ADMIN.into(),
                token_id: Some(ADMIN.into()),
                scopes: anonymous.join(&ScopeSet::everything()),
                read_only: false,
                expires: None,
                cidr: Box::default(),
                last_used: AtomicI64::new(i64::MAX),
            };
            (SecretHash::of(&token), identity)
        });
        Ok(Self {
            passwords: Passwords::new(cost),
            usage: Usage::new(Arc::clone(&directory)),
            known: KnownCredentials::new(Arc::clone(&clock), max_staleness),
            guesses: Guesses::new(secret::random()?),
            key: secret::random()?,
            signup: signup.map(Arc::new),
            signer: OnceCell::new(),
            directory,
            clock,
            anonymous,
            admin,
            jwt_secret,
        })
    }

    pub(super) fn signup(&self) -> Option<Arc<ScopeSet>> {
        self.signup.clone()
    }

    pub(super) fn has_admin_token(&self) -> bool {
        self.admin.is_some()
    }

    pub(super) fn is_admin_token(&self, hash: &SecretHash) -> bool {
        self.admin.as_ref().is_some_and(|(admin, _)| admin.is(hash))
    }

    // ----- credentials

    pub(super) async fn authenticate(&self, request: &AuthRequest<'_>) -> Result<Actor, AuthError> {
        let AuthRequest { instance, credentials, host_actor } = request;
        let address = host_actor.and_then(|actor| actor.address);
        match credentials {
            None => self.without_credentials(instance, *host_actor).await,
            Some(Credentials::Bearer(token) | Credentials::Plain(token)) => {
                match self.by_token(instance, token, *host_actor).await? {
                    Some(actor) => Ok(actor),
                    None => Err(AuthError::Invalid(UNKNOWN_TOKEN)),
                }
            }
            Some(Credentials::Basic { user, password }) => {
                let token = match password.expose_secret() {
                    "" | TOKEN_AS_USER => user,
                    _ => password,
                };
                if let Some(actor) = self.by_token(instance, token, *host_actor).await? {
                    return Ok(actor);
                }
                match self.by_password(user.expose_secret(), password, address).await? {
                    Some(known) => self.actor_of(instance, &known, *host_actor, self.clock.now()),
                    None => Err(AuthError::Invalid("the user name or the password is wrong")),
                }
            }
        }
    }

    async fn without_credentials(
        &self,
        instance: &Instance,
        host_actor: Option<&Actor>,
    ) -> Result<Actor, AuthError> {
        let mut actor = host_actor.cloned().unwrap_or_default();
        if actor.scopes.is_some() {
            return Ok(actor);
        }
        actor.scopes = Some(match &actor.user {
            None => self.anonymous.at(&instance.name),
            Some(user) => match self.host_user(user).await?.as_deref() {
                Some(Known { meaning: Meaning::Good(identity), .. }) => {
                    self.anonymous.joined_at(&identity.scopes, &instance.name)
                }
                _ => self.anonymous.at(&instance.name),
            },
        });
        Ok(actor)
    }

    /// The actor of a token; `None` where the secret is no token's.
    async fn by_token(
        &self,
        instance: &Instance,
        token: &SecretString,
        host_actor: Option<&Actor>,
    ) -> Result<Option<Actor>, AuthError> {
        let hash = SecretHash::of(token);
        if let Some((admin, identity)) = &self.admin
            && admin.is(&hash)
        {
            return Ok(Some(self.actor(&instance.name, identity, host_actor)));
        }
        let now = self.clock.now();
        let known = match self.known.fresh(&hash, now) {
            Some(known) => known,
            None if !self.directory.may_hold(token.expose_secret()) => return Ok(None),
            None => match self.known.get(&hash, Pace::Quick, self.find_token(&hash, token)).await? {
                Some(known) => known,
                None => return Ok(None),
            },
        };
        self.actor_of(instance, &known, host_actor, now).map(Some)
    }

    fn actor_of(
        &self,
        instance: &Instance,
        known: &Known,
        host_actor: Option<&Actor>,
        now: DateTime<Utc>,
    ) -> Result<Actor, AuthError> {
        let identity = match &known.meaning {
            Meaning::Good(identity) => identity,
            Meaning::Bad(reason) => return Err(AuthError::Invalid(reason)),
            Meaning::Elsewhere => return Err(AuthError::Invalid(UNKNOWN_TOKEN)),
        };
        if identity.expires.is_some_and(|expires| expires <= now) {
            return Err(AuthError::Invalid(EXPIRED));
        }
        if !identity.cidr.is_empty() {
            let address = host_actor.and_then(|actor| actor.address);
            if !address.is_some_and(|address| identity.cidr.iter().any(|block| block.contains(address))) {
                return Err(AuthError::Address);
            }
        }
        if let Some(token_id) = &identity.token_id {
            let (last, now_seconds) = (identity.last_used.load(Ordering::Relaxed), now.timestamp());
            if now_seconds.saturating_sub(last) >= usage::EVERY
                && identity
                    .last_used
                    .compare_exchange(last, now_seconds, Ordering::Relaxed, Ordering::Relaxed)
                    .is_ok()
            {
                self.usage.note(token_id, now);
            }
        }
        Ok(self.actor(&instance.name, identity, host_actor))
    }

    fn actor(&self, instance: &InstanceName, identity: &Identity, host_actor: Option<&Actor>) -> Actor {
        let mut actor = host_actor.cloned().unwrap_or_default();
        actor.user = Some(Arc::clone(&identity.user));
        actor.scopes = Some(self.anonymous.joined_at(&identity.scopes, instance));
        actor.token_id.clone_from(&identity.token_id);
        actor.read_only = identity.read_only;
        actor
    }

    // ----- tokens

    async fn find_token(
        &self,
        hash: &SecretHash,
        token: &SecretString,
    ) -> Result<Option<Meaning>, AuthError> {
        let id = hash.token_id();
        match self.directory.token(&id).await? {
            Some(found) if hash.is_hex(&found.hash) => Ok(Some(self.meaning_of(&id, &found).await?)),
            // What does not look like a token may be a password, and no hash of one is kept.
            _ if !secret::has_form(token.expose_secret()) => Ok(None),
            _ => Ok(Some(Meaning::Bad(UNKNOWN_TOKEN))),
        }
    }

    async fn meaning_of(&self, id: &str, token: &TokenDocument) -> Result<Meaning, AuthError> {
        if token.revoked.is_some() {
            return Ok(Meaning::Bad(REVOKED));
        }
        let user = self.directory.user(&token.user).await?;
        if user.as_ref().is_some_and(|user| user.outlived(token.created)) {
            return Ok(Meaning::Bad(REVOKED));
        }
        let scopes = match (&token.scopes, user.filter(|user| user.present)) {
            (Some(scopes), _) => scopes_of(scopes, id),
            (None, Some(user)) => scopes_of(&user.scopes, &user.name),
            (None, None) => return Ok(Meaning::Bad("the token's user does not exist")),
        };
        let cidr: Option<Box<[Cidr]>> = token.cidr.iter().map(|block| Cidr::parse(block)).collect();
        let Some(cidr) = cidr else {
            return Ok(Meaning::Bad("the token's addresses cannot be read"));
        };
        Ok(Meaning::Good(Identity {
            user: token.user.as_str().into(),
            token_id: Some(id.into()),
            scopes: self.anonymous.join(&scopes),
            read_only: token.read_only,
            expires: token.expires,
            cidr,
            last_used: AtomicI64::new(token.last_used.map_or(0, |at| at.timestamp())),
        }))
    }

    // ----- passwords

    pub(super) async fn check_password(
        &self,
        name: &str,
        password: &SecretString,
        address: Option<IpAddr>,
    ) -> Result<bool, AuthError> {
        Ok(self.by_password(name, password, address).await?.is_some())
    }

    /// The user with this name and password. A right password is remembered by a keyed hash for a short time; a check that
    /// was wrong counts as a guess.
    async fn by_password(
        &self,
        name: &str,
        password: &SecretString,
        address: Option<IpAddr>,
    ) -> Result<Option<Arc<Known>>, AuthError> {
        let hash = SecretHash::keyed(&self.key, &["password", name, password.expose_secret()]);
        self.known.get(&hash, Pace::Slow, self.find_by_password(name, password, address)).await
    }

    async fn find_by_password(
        &self,
        name: &str,
        password: &SecretString,
        address: Option<IpAddr>,
    ) -> Result<Option<Meaning>, AuthError> {
        let attempt = self.guesses.attempt(name, address, self.clock.now())?;
        // A name that no user can have is not looked up, but costs the same.
        let user = if name_fault(name).is_none() { self.directory.user(name).await? } else { None };
        let user = user.filter(|user| user.present);
        let hash = user.as_ref().and_then(|user| user.password.as_deref());
        let right = self.passwords.check(password, hash).await?;
        let Some(user) = user.filter(|_| right) else { return Ok(None) };
        self.guesses.succeeded(&attempt);
        Ok(Some(Meaning::Good(self.identity_of(&user))))
    }

    fn identity_of(&self, user: &UserDocument) -> Identity {
        Identity {
            user: user.name.as_str().into(),
            token_id: None,
            scopes: self.anonymous.join(&scopes_of(&user.scopes, &user.name)),
            read_only: false,
            expires: None,
            cidr: Box::default(),
            last_used: AtomicI64::new(0),
        }
    }

    /// A user whose host says that it is them.
    async fn host_user(&self, name: &str) -> Result<Option<Arc<Known>>, AuthError> {
        let hash = SecretHash::keyed(&self.key, &["user", name]);
        let find = async {
            let user = if name_fault(name).is_none() { self.directory.user(name).await? } else { None };
            Ok(Some(match user.filter(|user| user.present) {
                Some(user) => Meaning::Good(self.identity_of(&user)),
                None => Meaning::Elsewhere,
            }))
        };
        self.known.get(&hash, Pace::Quick, find).await
    }

    // ----- signed tokens

    pub(super) async fn sign(&self, claims: &RegistryClaims) -> Result<SecretString, AuthError> {
        self.signer().await?.sign(claims)
    }

    pub(super) async fn verify(
        &self,
        token: &SecretString,
        audience: &str,
    ) -> Result<Arc<RegistryClaims>, AuthError> {
        let claims = self.signer().await?.verify(token, audience, self.clock.now())?;
        let origin = match claims.token_id.as_deref() {
            Some(ADMIN) if self.admin.is_some() => return Ok(claims),
            Some(ADMIN) => return Err(AuthError::Invalid(REVOKED)),
            Some(id) => self.token_by_id(id).await?,
            None if claims.sub.is_empty() => return Ok(claims),
            None => self.session(&claims).await?,
        };
        match origin.as_deref() {
            None | Some(Known { meaning: Meaning::Elsewhere, .. }) => Ok(claims),
            Some(Known { meaning: Meaning::Bad(reason), .. }) => Err(AuthError::Invalid(reason)),
            Some(Known { meaning: Meaning::Good(identity), .. }) => {
                if identity.expires.is_some_and(|expires| expires <= self.clock.now()) {
                    Err(AuthError::Invalid(EXPIRED))
                } else {
                    Ok(claims)
                }
            }
        }
    }

    async fn token_by_id(&self, id: &str) -> Result<Option<Arc<Known>>, AuthError> {
        let hash = SecretHash::keyed(&self.key, &["token", id]);
        let find = async {
            Ok(Some(match self.directory.token(id).await? {
                Some(found) => self.meaning_of(id, &found).await?,
                None => Meaning::Bad(REVOKED),
            }))
        };
        self.known.get(&hash, Pace::Quick, find).await
    }

    /// What became of the user whom claims were signed for. A user that is not kept here (a host's) has no end here.
    async fn session(&self, claims: &RegistryClaims) -> Result<Option<Arc<Known>>, AuthError> {
        if name_fault(&claims.sub).is_some() {
            return Ok(None);
        }
        let hash = SecretHash::keyed(&self.key, &["session", &claims.sub, &claims.iat.to_string()]);
        let find = async {
            let Some(user) = self.directory.user(&claims.sub).await? else {
                return Ok(Some(Meaning::Elsewhere));
            };
            let removed = user.ended.is_some_and(|at| claims.iat <= at.timestamp());
            let changed = user.password_set.is_some_and(|at| claims.iat < at.timestamp());
            Ok(Some(if removed || changed {
                Meaning::Bad("the user was removed or has a new password")
            } else {
                Meaning::Good(self.identity_of(&user))
            }))
        };
        self.known.get(&hash, Pace::Quick, find).await
    }

    async fn signer(&self) -> Result<&Signer, AuthError> {
        self.signer
            .get_or_try_init(|| async {
                Ok(match &self.jwt_secret {
                    Some(secret) => Signer::new(secret.expose_secret().as_bytes()),
                    None => Signer::new(&self.directory.signing_key().await?),
                })
            })
            .await
    }
}

/// The scopes that can be read. One that cannot (a newer version wrote it) grants nothing.
fn scopes_of(texts: &[String], owner: &str) -> ScopeSet {
    texts
        .iter()
        .filter_map(|text| {
            text.parse()
                .inspect_err(|error| tracing::warn!(owner, %error, "a stored scope is passed over"))
                .ok()
        })
        .collect()
}

/// Why a text is no user's name.
pub(super) fn name_fault(name: &str) -> Option<&'static str> {
    let mut bytes = name.bytes();
    let good = name.len() <= 128
        && bytes.next().is_some_and(|first| first.is_ascii_alphanumeric())
        && bytes.all(|b| b.is_ascii_alphanumeric() || b"._@+-".contains(&b));
    (!good).then_some(
        "a user's name has letters, digits and `._@+-`, begins with a letter or digit, and is at most 128 characters long",
    )
}
