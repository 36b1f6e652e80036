//! The token endpoint (sheet section 3.2): credentials become a short-lived token with what was asked for and is allowed.

use chrono::{SecondsFormat, TimeDelta};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use registry_core::{
    Actor, Body, Protocol, Response,
    auth::{Action, AuthError, AuthRequest, Credentials, MintToken, RegistryClaims, Scope, ScopeSet},
    http::{ReadBodyError, read_body, respond_json},
};
use secrecy::{ExposeSecret as _, SecretString};

use super::Call;
use crate::{
    access::Need,
    error::Error,
    names::RepositoryName,
    wire::token::{AccessEntry, Actions, Resource, TokenAnswer, TokenRequest, parse_scopes},
};

/// The largest form.
const FORM_BYTES: u64 = 64 * 1024;
/// The most resources of one token: it has to fit into a header.
const MAX_RESOURCES: usize = 64;
/// The most scopes that decide what a list of repositories shows and what may be mounted.
const MAX_LISTED_SCOPES: usize = 32;
/// How long a refresh token holds that was made for a password.
const REFRESH_DAYS: i64 = 90;

/// `GET /v2/token`, with credentials in the header or none.
pub(super) async fn get(call: &Call<'_>) -> Result<Response, Error> {
    let request = TokenRequest::parse(call.parts.uri.query().unwrap_or_default().as_bytes());
    let malformed = |_| Error::BadCredentials("the Authorization header cannot be read");
    let credentials = Credentials::from_headers(&call.parts.headers).map_err(malformed)?;
    grant(call, &request, credentials).await
}

/// `POST /v2/token`, with credentials in a form.
pub(super) async fn post(call: &Call<'_>, body: Body) -> Result<Response, Error> {
    let form = read_body(&HeaderMap::new(), body, FORM_BYTES).await.map_err(|error| match error {
        ReadBodyError::TooLarge { limit } => Error::ManifestTooLarge { limit },
        other => Error::Body(other),
    })?;
    let request = TokenRequest::parse(&form);
    let given = |value: &Option<String>| SecretString::from(value.clone().unwrap_or_default());
    let credentials = match request.grant_type.as_deref() {
        Some("password") => {
            let (user, password) = (given(&request.username), given(&request.password));
            let none = user.expose_secret().is_empty() && password.expose_secret().is_empty();
            (!none).then_some(Credentials::Basic { user, password })
        }
        Some("refresh_token") if request.refresh_token.as_deref().is_some_and(|token| !token.is_empty()) => {
            Some(Credentials::Bearer(given(&request.refresh_token)))
        }
        Some("refresh_token") => return Err(Error::TokenRequest("`refresh_token` is missing")),
        _ => return Err(Error::TokenRequest("`grant_type` must be `password` or `refresh_token`")),
    };
    grant(call, &request, credentials).await
}

async fn grant(
    call: &Call<'_>,
    request: &TokenRequest,
    credentials: Option<Credentials>,
) -> Result<Response, Error> {
    let registry = call.registry;
    let host_actor = call.parts.extensions.get::<Actor>();
    let auth = &registry.services.auth;
    let actor =
        auth.authenticate(&AuthRequest::new(&registry.instance, credentials.as_ref(), host_actor)).await?;
    if let Some(slot) = call.parts.extensions.get::<registry_core::ActorSlot>() {
        slot.fill(&actor);
    }
    let access = allowed(call, request, &actor).await?;
    let now = registry.store.now();
    let ttl = registry.config.token_ttl();
    let lifetime = TimeDelta::from_std(ttl).unwrap_or(TimeDelta::seconds(900));
    let scope = render_scope(&access);
    let claims = RegistryClaims {
        iss: "smartregistry".to_owned(),
        sub: actor.user.as_deref().unwrap_or_default().to_owned(),
        aud: registry.service.clone(),
        exp: (now + lifetime).timestamp(),
        nbf: now.timestamp(),
        iat: now.timestamp(),
        jti: uuid::Uuid::new_v4().simple().to_string(),
        token_id: actor.token_id.as_deref().map(str::to_owned),
        access: serde_json::to_value(&access).unwrap_or_default(),
    };
    let token = auth.sign(&claims).await?;
    let refresh = if request.offline && !actor.is_anonymous() {
        refresh_token(call, credentials.as_ref(), &actor).await?
    } else {
        None
    };
    let answer = TokenAnswer {
        token: token.expose_secret(),
        access_token: token.expose_secret(),
        expires_in: ttl.as_secs(),
        issued_at: now.to_rfc3339_opts(SecondsFormat::Secs, true),
        scope,
        refresh_token: refresh.as_ref().map(SecretString::expose_secret),
    };
    let mut response = respond_json(StatusCode::OK, &answer);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// What was asked for and is allowed; nothing at all is an answer too.
async fn allowed(call: &Call<'_>, request: &TokenRequest, actor: &Actor) -> Result<Vec<AccessEntry>, Error> {
    let wanted = parse_scopes(request.scopes.iter().map(String::as_str));
    let (mut access, mut pushes) = (Vec::new(), false);
    for (resource, wanted) in wanted.into_iter().take(MAX_RESOURCES) {
        match resource {
            Resource::Repository(name) => {
                let Ok(name) = name.parse::<RepositoryName>() else { continue };
                let granted = Actions {
                    pull: wanted.pull && may(call, actor, &name, Need::Pull).await?,
                    push: wanted.push && may(call, actor, &name, Need::Push).await?,
                    delete: wanted.delete && may(call, actor, &name, Need::Delete).await?,
                };
                pushes |= granted.push;
                if granted != Actions::default() {
                    access.push(AccessEntry::repository(name.as_str(), granted));
                }
            }
            Resource::Catalog => {
                let scopes = readable(call, actor);
                if wanted.pull && !scopes.is_empty() {
                    access.push(AccessEntry::registry("catalog", "*", scopes));
                }
            }
        }
    }
    // Who pushes may mount what they may pull, though they did not know when they asked for the token.
    let scopes = readable(call, actor);
    if pushes && !scopes.is_empty() {
        access.push(AccessEntry::registry("mount", "pull", scopes));
    }
    Ok(access)
}

/// The actor's scopes that let some repository of this registry be pulled.
fn readable(call: &Call<'_>, actor: &Actor) -> Vec<String> {
    let reads = |scope: &&Scope| {
        let alone: ScopeSet = [(*scope).clone()].into_iter().collect();
        alone.allows_any(Protocol::Oci, &call.registry.instance.name, Action::Read)
    };
    let scopes = actor.scopes.iter().flat_map(|scopes| scopes.iter());
    scopes.filter(reads).take(MAX_LISTED_SCOPES).map(ToString::to_string).collect()
}

async fn may(call: &Call<'_>, actor: &Actor, name: &RepositoryName, need: Need) -> Result<bool, Error> {
    let registry = call.registry;
    match registry.services.authorize(&registry.instance, actor, name.as_str(), need.action()).await {
        Ok(()) => Ok(true),
        Err(AuthError::Missing | AuthError::Forbidden(_)) => Ok(false),
        Err(other) => Err(other.into()),
    }
}

/// A token that can be exchanged for signed ones until it is revoked: the one that was sent, or, for a password, a new
/// one. None where neither can be.
async fn refresh_token(
    call: &Call<'_>,
    credentials: Option<&Credentials>,
    actor: &Actor,
) -> Result<Option<SecretString>, Error> {
    let auth = &call.registry.services.auth;
    let sent = match credentials {
        Some(Credentials::Basic { user, password }) => vec![password, user],
        Some(Credentials::Bearer(secret) | Credentials::Plain(secret)) => vec![secret],
        None => Vec::new(),
    };
    for secret in sent {
        if auth.token_id(secret).await?.is_some() {
            return Ok(Some(secret.clone()));
        }
    }
    let Some(name) = actor.user.as_deref() else { return Ok(None) };
    if auth.user(name).await?.is_none() {
        return Ok(None);
    }
    let mut mint = MintToken::new(name);
    mint.expires = Some(call.registry.store.now() + TimeDelta::days(REFRESH_DAYS));
    mint.name = Some("OCI login".to_owned());
    match auth.mint_token(mint).await {
        Ok(minted) => Ok(Some(minted.secret)),
        Err(AuthError::Unsupported(_)) => Ok(None),
        Err(other) => Err(other.into()),
    }
}

/// The access as the answer's `scope` shows it: what can be asked for.
fn render_scope(access: &[AccessEntry]) -> String {
    let shown = access.iter().filter(|entry| !entry.is_registry("mount"));
    let one = |entry: &AccessEntry| format!("{}:{}:{}", entry.kind, entry.name, entry.actions.join(","));
    shown.map(one).collect::<Vec<_>>().join(" ")
}
