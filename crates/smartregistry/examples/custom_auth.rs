//! A host with users of its own: who asks is known from the host's session, what they may do follows from their
//! organisation, every operation is audited, and large artefacts are refused.
//!
//! `cargo run --example custom_auth`

#![expect(clippy::print_stdout, reason = "an example tells what it does")]

use std::{net::IpAddr, sync::Arc};

use sha2::{Digest, Sha256};
use smartregistry::{
    Actor, Body, SecretString, SmartRegistry, async_trait,
    core::{
        auth::{
            AuthError, AuthProvider, AuthRequest, MintToken, MintedToken, NewUser, RegistryClaims, ScopeSet,
            TokenFilter, TokenRecord, UserRecord,
        },
        hooks::{Denied, HookEvent, StorageHooks},
    },
    http::Request,
};

/// Users, tokens and organisations are the host's: nobody logs in here.
#[derive(Debug)]
struct HostAuth;

#[async_trait]
impl AuthProvider for HostAuth {
    async fn authenticate(&self, request: &AuthRequest<'_>) -> Result<Actor, AuthError> {
        // The host's own middleware has put the actor there. Credentials of other kinds are none of ours.
        let Some(actor) = request.host_actor.filter(|actor| actor.user.is_some()) else {
            return if request.credentials.is_some() {
                Err(AuthError::Invalid("log in at the host"))
            } else {
                Ok(Actor::anonymous())
            };
        };
        // Everybody writes below the name of their organisation, and reads everything.
        let org = actor.org.as_deref().unwrap_or("nobody");
        let scopes = [
            format!("npm:package:@{org}/*:read,write"),
            format!("oci:repository:{org}/*:pull,push"),
            "*:*:*:read".to_owned(),
        ];
        let scopes =
            ScopeSet::parse(scopes).map_err(|_| AuthError::Forbidden("no such organisation".to_owned()))?;
        Ok(actor.clone().with_scopes(scopes))
    }

    async fn mint_token(&self, _: MintToken) -> Result<MintedToken, AuthError> {
        Err(AuthError::Unsupported("making tokens"))
    }

    async fn tokens(&self, _: &TokenFilter) -> Result<Vec<TokenRecord>, AuthError> {
        Ok(Vec::new())
    }

    async fn revoke_token(&self, id: &str) -> Result<(), AuthError> {
        Err(AuthError::NotFound(id.to_owned()))
    }

    async fn token_id(&self, _: &SecretString) -> Result<Option<String>, AuthError> {
        Ok(None)
    }

    async fn user(&self, _: &str) -> Result<Option<UserRecord>, AuthError> {
        Ok(None)
    }

    async fn users(&self) -> Result<Vec<UserRecord>, AuthError> {
        Ok(Vec::new())
    }

    async fn create_user(&self, _: NewUser) -> Result<UserRecord, AuthError> {
        Err(AuthError::Unsupported("making users"))
    }

    async fn update_user(&self, _: NewUser) -> Result<UserRecord, AuthError> {
        Err(AuthError::Unsupported("changing users"))
    }

    async fn remove_user(&self, _: &str) -> Result<(), AuthError> {
        Err(AuthError::Unsupported("removing users"))
    }

    async fn check_password(&self, _: &str, _: &SecretString, _: Option<IpAddr>) -> Result<bool, AuthError> {
        Ok(false)
    }

    async fn sign(&self, _: &RegistryClaims) -> Result<SecretString, AuthError> {
        Err(AuthError::Unsupported("signing tokens"))
    }

    async fn verify(&self, _: &SecretString, _: &str) -> Result<Arc<RegistryClaims>, AuthError> {
        Err(AuthError::Invalid("log in at the host"))
    }
}

/// Tells of every operation that took place, and refuses artefacts over a size.
#[derive(Debug)]
struct Audit {
    largest: u64,
}

#[async_trait]
impl StorageHooks for Audit {
    async fn before_put(&self, event: &HookEvent) -> Result<(), Denied> {
        match event.size {
            Some(size) if size > self.largest => {
                Err(Denied::new(format!("{size} bytes are more than the {} that we keep", self.largest)))
            }
            _ => Ok(()),
        }
    }

    async fn after_put(&self, event: &HookEvent) {
        let (org, user) = (event.actor.org.as_deref().unwrap_or("-"), event.actor.name());
        println!("audit: {org}/{user} {} {}", event.operation.as_str(), event.key);
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let registry = SmartRegistry::builder()
        .in_memory()
        .auth(Arc::new(HostAuth))
        .hooks(Arc::new(Audit { largest: 1 << 20 }))
        .build()
        .await?;

    // What the host's middleware does for each request: alice, of acme, from her session.
    let alice = Actor::user("alice").with_org("acme").with_session("s-17").with_attribute("team", "web");
    let push = async |repository: &str, size: usize| {
        let blob = vec![b'x'; size];
        let digest = hex::encode(Sha256::digest(&blob));
        let request = Request::post(format!("/v2/{repository}/blobs/uploads/?digest=sha256:{digest}"))
            .extension(alice.clone())
            .header("content-type", "application/octet-stream")
            .body(Body::from(blob))?;
        Ok::<_, Box<dyn std::error::Error>>(registry.handle_request(request).await.status())
    };
    println!("a blob of her organisation's: {}", push("acme/app", 1000).await?);
    println!("a blob that is too large: {}", push("acme/app", 2 << 20).await?);
    println!("a blob of somebody else's: {}", push("globex/app", 1000).await?);
    registry.shutdown().await;
    Ok(())
}
