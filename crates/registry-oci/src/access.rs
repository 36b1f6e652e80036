//! Who may do what: identities, rights and challenges (sheet section 3.1).

use std::sync::Arc;

use http::{header, request::Parts};
use registry_core::{
    Actor, ActorSlot, Protocol,
    auth::{Access, Action, AuthError, RegistryClaims, ScopeSet},
};
use secrecy::SecretString;

use crate::{
    error::Error,
    names::RepositoryName,
    registry::Inner,
    wire::{
        challenge::{Challenge, ChallengeError},
        token::{AccessEntry, Actions},
    },
};

/// Who sent a request.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) actor: Actor,
    identity: Identity,
}

#[derive(Clone, Debug)]
enum Identity {
    /// Nobody said who it is.
    Anonymous,
    /// The host, or credentials that stand for a user or a token.
    Known,
    /// One of our signed tokens: it allows what it says and no more.
    Signed(Arc<RegistryClaims>),
}

impl Caller {
    /// Whether valid credentials were sent (a token for nobody in particular is one), or the host vouches for the actor.
    pub(crate) fn is_authenticated(&self) -> bool {
        !matches!(self.identity, Identity::Anonymous)
    }

    /// What upload sessions are bound to.
    pub(crate) fn principal(&self) -> &str {
        self.actor.user.as_deref().unwrap_or_default()
    }

    /// The entries of a signed token.
    pub(crate) fn signed_access(&self) -> Option<Vec<AccessEntry>> {
        match &self.identity {
            Identity::Signed(claims) => {
                Some(serde_json::from_value(claims.access.clone()).unwrap_or_default())
            }
            Identity::Anonymous | Identity::Known => None,
        }
    }
}

/// What a request needs of a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    Pull,
    Push,
    Delete,
}

impl Need {
    pub(crate) fn action(self) -> Action {
        match self {
            Self::Pull => Action::Read,
            Self::Push => Action::Write,
            Self::Delete => Action::Delete,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "push",
            Self::Delete => "delete",
        }
    }

    /// What a challenge asks for: who pushes also pulls.
    fn advertised(self) -> Actions {
        match self {
            Self::Pull => Actions::PULL,
            Self::Push => Actions::PULL_PUSH,
            Self::Delete => Actions::DELETE,
        }
    }

    /// `repository:<name>:<actions>`.
    pub(crate) fn scope(self, repository: &RepositoryName) -> String {
        format!("repository:{repository}:{}", self.advertised().names().join(","))
    }
}

impl Inner {
    /// Who sent the request. Bad credentials are an error, never the anonymous actor.
    pub(crate) async fn identify(&self, parts: &Parts, base: &str, scope: &str) -> Result<Caller, Error> {
        let wrong = |error: AuthError| match error {
            AuthError::Invalid(message) => Error::Unauthorized {
                challenge: Box::new(self.challenge(parts, base, scope, Some(ChallengeError::InvalidToken))),
                message,
            },
            other => other.into(),
        };
        if let Some(token) = signed_token(parts) {
            let claims = self.services.auth.verify(&token, &self.service).await.map_err(wrong)?;
            let mut actor = parts.extensions.get::<Actor>().cloned().unwrap_or_default();
            actor.user = (!claims.sub.is_empty()).then(|| claims.sub.as_str().into());
            actor.scopes = None;
            actor.token_id = claims.token_id.as_deref().map(Into::into);
            if let Some(slot) = parts.extensions.get::<ActorSlot>() {
                slot.fill(&actor);
            }
            return Ok(Caller { actor, identity: Identity::Signed(claims) });
        }
        let actor = self.services.authenticate(&self.instance, parts).await.map_err(wrong)?;
        let vouched =
            parts.extensions.get::<Actor>().is_some_and(|host| host.user.is_some() || host.scopes.is_some());
        let known = !actor.is_anonymous() || vouched;
        Ok(Caller { actor, identity: if known { Identity::Known } else { Identity::Anonymous } })
    }

    /// Whether the caller may mount blobs of a repository: by a signed token's own access, or because whom it was made for
    /// may pull there. Clients ask for a token to push before they know what they could mount.
    pub(crate) async fn may_mount_from(
        &self,
        caller: &Caller,
        source: &RepositoryName,
    ) -> Result<bool, Error> {
        if let Identity::Signed(claims) = &caller.identity {
            if grants(claims, source.as_str(), Need::Pull.name()) {
                return Ok(true);
            }
            let entries = caller.signed_access().unwrap_or_default();
            let mount = entries.into_iter().find(|entry| entry.is_registry("mount"));
            // They were written by us into a token that we signed.
            let scopes = mount.and_then(|mount| ScopeSet::parse(mount.scopes).ok()).unwrap_or_default();
            return Ok(scopes.allows(&Access {
                protocol: Protocol::Oci,
                instance: &self.instance.name,
                kind: Protocol::Oci.resource_type(),
                name: source.as_str(),
                action: Action::Read,
            }));
        }
        match self.services.authorize(&self.instance, &caller.actor, source.as_str(), Action::Read).await {
            Ok(()) => Ok(true),
            Err(AuthError::Missing | AuthError::Forbidden(_)) => Ok(false),
            Err(other) => Err(other.into()),
        }
    }

    /// Identifies the caller and refuses who may not do this. `also` is advertised beside the own scope (a mount's source).
    pub(crate) async fn admit(
        &self,
        parts: &Parts,
        base: &str,
        repository: &RepositoryName,
        need: Need,
        also: Option<&RepositoryName>,
    ) -> Result<Caller, Error> {
        let scope = || {
            let mut scope = need.scope(repository);
            if let Some(also) = also.filter(|also| *also != repository) {
                scope.push(' ');
                scope.push_str(&Need::Pull.scope(also));
            }
            scope
        };
        let caller = match self.identify(parts, base, "").await {
            Ok(caller) => caller,
            Err(Error::Unauthorized { message, .. }) => {
                let challenge = self.challenge(parts, base, &scope(), Some(ChallengeError::InvalidToken));
                return Err(Error::Unauthorized { challenge: Box::new(challenge), message });
            }
            Err(other) => return Err(other),
        };
        let refused = match &caller.identity {
            Identity::Signed(claims) if grants(claims, repository.as_str(), need.name()) => {
                return Ok(caller);
            }
            Identity::Signed(_) => Error::Unauthorized {
                challenge: Box::new(self.challenge(
                    parts,
                    base,
                    &scope(),
                    Some(ChallengeError::InsufficientScope),
                )),
                message: "the token does not allow this: ask for one with the scope of the challenge",
            },
            Identity::Known | Identity::Anonymous => {
                let action = need.action();
                match self
                    .services
                    .authorize(&self.instance, &caller.actor, repository.as_str(), action)
                    .await
                {
                    Ok(()) => return Ok(caller),
                    Err(AuthError::Missing) => Error::Unauthorized {
                        challenge: Box::new(self.challenge(parts, base, &scope(), None)),
                        message: "authentication is required",
                    },
                    Err(AuthError::Forbidden(text)) => Error::Denied(text),
                    Err(other) => other.into(),
                }
            }
        };
        Err(refused)
    }

    /// The challenge of this request.
    pub(crate) fn challenge(
        &self,
        parts: &Parts,
        base: &str,
        scope: &str,
        error: Option<ChallengeError>,
    ) -> Challenge {
        Challenge {
            realm: format!("{}{base}/token", self.services.public_url.origin(parts)),
            service: self.service.clone(),
            scope: scope.to_owned(),
            error,
        }
    }
}

/// The Bearer token of a request, where it has the form of a signed one.
fn signed_token(parts: &Parts) -> Option<SecretString> {
    let header = parts.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = header.split_once(' ')?;
    let token = token.trim();
    let signed = scheme.eq_ignore_ascii_case("bearer")
        && token.starts_with("eyJ")
        && token.bytes().filter(|&b| b == b'.').count() == 2;
    signed.then(|| token.into())
}

/// Whether a signed token's `access` names the repository with the action. It was made by us, so it holds plain names.
fn grants(claims: &RegistryClaims, name: &str, action: &str) -> bool {
    let Some(entries) = claims.access.as_array() else { return false };
    entries.iter().any(|entry| {
        entry.get("type").and_then(|kind| kind.as_str()) == Some("repository")
            && entry.get("name").and_then(|of| of.as_str()) == Some(name)
            && entry
                .get("actions")
                .and_then(|actions| actions.as_array())
                .is_some_and(|actions| actions.iter().any(|one| one.as_str() == Some(action)))
    })
}
