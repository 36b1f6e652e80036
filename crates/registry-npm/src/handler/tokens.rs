//! Tokens: listed, made and revoked by their user.

use std::fmt::Write as _;

use chrono::Duration;
use http::{HeaderValue, StatusCode, header};
use registry_core::{
    Actor, Body, PackageRegistry as _, Response,
    auth::{AuthError, MintToken, Scope, ScopeSet, TokenFilter, TokenRecord},
    http::Refusal,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use super::call::Call;
use crate::{
    error::{Error, json_response},
    names::PackageName,
    wire::packument::iso,
};

/// Tokens of one page when the query does not say.
const PAGE: usize = 10;

/// The most tokens of one page.
const MAX_PAGE: usize = 1000;

fn render(record: &TokenRecord) -> Value {
    let cidr = if record.cidr.is_empty() { Value::Null } else { json!(record.cidr) };
    json!({
        // The token's first characters: npm finds a whole token by them.
        "token": record.prefix,
        "key": record.id,
        "name": record.name,
        "cidr_whitelist": cidr,
        "readonly": record.read_only,
        "created": iso(record.created),
        "updated": iso(record.created),
        "expires": record.expires.map(iso),
        "last_used": record.last_used.map(iso),
        "scopes": record.scopes,
    })
}

async fn own_tokens(call: &Call<'_>, user: &str) -> Result<Vec<TokenRecord>, Error> {
    let filter = TokenFilter { user: Some(user.to_owned()), include_ended: false };
    Ok(call.registry.services().auth.tokens(&filter).await?)
}

/// `GET /-/npm/v1/tokens`.
pub(crate) async fn list(call: &Call<'_>) -> Result<Response, Error> {
    let (user, _) = call.user().await?;
    let number = |key: &str, default: usize| match call.query(key) {
        Some(text) => {
            text.parse::<usize>().map_err(|_| Error::bad(format!("{key} must be a whole number, 0 or more")))
        }
        None => Ok(default),
    };
    let page = number("page", 0)?;
    let size = number("perPage", PAGE)?.clamp(1, MAX_PAGE);
    let tokens = own_tokens(call, &user).await?;
    let from = page.saturating_mul(size);
    let objects: Vec<Value> = tokens.iter().skip(from).take(size).map(render).collect();
    let mut urls = serde_json::Map::new();
    let url = |page: usize| format!("{}/-/npm/v1/tokens?page={page}&perPage={size}", call.urls().base);
    if from.saturating_add(size) < tokens.len() {
        urls.insert("next".to_owned(), url(page + 1).into());
    }
    if page > 0 {
        urls.insert("prev".to_owned(), url(page - 1).into());
    }
    let body = json!({"objects": objects, "total": tokens.len(), "urls": urls});
    Ok(json_response(StatusCode::OK, &body))
}

/// A token as its user wants it: the old form (`readonly`, `cidr_whitelist`) and the newer one.
#[derive(Deserialize)]
struct NewToken {
    #[serde(default)]
    password: Option<SecretString>,
    #[serde(default)]
    readonly: Option<bool>,
    #[serde(default, alias = "cidr")]
    cidr_whitelist: Option<Vec<String>>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    expires: Option<i64>,
    #[serde(default)]
    packages: Option<Vec<String>>,
    #[serde(default)]
    packages_all: Option<bool>,
    #[serde(default)]
    scopes: Option<Vec<String>>,
    #[serde(default)]
    orgs: Option<Vec<String>>,
    #[serde(default)]
    packages_and_scopes_permission: Option<String>,
    #[serde(default)]
    orgs_permission: Option<String>,
}

/// `POST /-/npm/v1/tokens`. A restriction that cannot be kept is refused, never dropped.
pub(crate) async fn create(call: &mut Call<'_>) -> Result<Response, Error> {
    let (user, actor) = call.user().await?;
    let wanted: NewToken = call.json().await?;
    let auth = &call.registry.services().auth;
    let password = wanted
        .password
        .as_ref()
        .filter(|password| !password.expose_secret().is_empty())
        .ok_or_else(|| Error::bad("making a token needs your password"))?;
    if !auth.check_password(&user, password, actor.address).await? {
        return Err(Error::Login);
    }
    let mint = read_wishes(call, &actor, &user, &wanted).await?;
    let minted = auth.mint_token(mint).await?;
    let mut body = render(&minted.record);
    if let Some(body) = body.as_object_mut() {
        body.insert("token".to_owned(), minted.secret.expose_secret().into());
    }
    Ok(json_response(StatusCode::CREATED, &body))
}

async fn read_wishes(
    call: &Call<'_>,
    actor: &Actor,
    user: &str,
    wanted: &NewToken,
) -> Result<MintToken, Error> {
    let some = |list: &Option<Vec<String>>| list.as_ref().is_some_and(|list| !list.is_empty());
    let has_orgs = wanted.orgs_permission.as_deref().is_some_and(|permission| permission != "no-access");
    if some(&wanted.orgs) || has_orgs {
        return Err(Error::bad("this registry has no organisations to give a token access to"));
    }
    let mut mint = MintToken::new(user);
    mint.read_only = wanted.readonly.unwrap_or(false);
    let restricted = some(&wanted.packages) || some(&wanted.scopes);
    match wanted.packages_and_scopes_permission.as_deref() {
        None | Some("read-write") => {}
        Some("read-only") => mint.read_only = true,
        Some("no-access") if restricted || wanted.packages_all == Some(true) => {
            return Err(Error::bad("a token for packages needs read-only or read-write permission for them"));
        }
        Some("no-access") => mint.scopes = Some(ScopeSet::nothing()),
        Some(_) => return Err(Error::bad("a permission is read-only, read-write or no-access")),
    }
    if actor.read_only && !mint.read_only {
        return Err(Refusal::Forbidden("a read-only token can make only read-only tokens".to_owned()).into());
    }
    if restricted && wanted.packages_all != Some(true) {
        mint.scopes = Some(package_scopes(call, user, wanted, mint.read_only).await?);
    }
    if let Some(days) = wanted.expires {
        let lasts = Duration::try_days(days).filter(|lasts| *lasts > Duration::zero());
        let expires = lasts.and_then(|lasts| call.registry.services().clock.now().checked_add_signed(lasts));
        mint.expires = Some(expires.ok_or_else(|| Error::bad("expires is a number of days, 1 or more"))?);
    }
    mint.name = wanted.name.as_ref().map(|name| name.chars().take(256).collect());
    mint.cidr = wanted.cidr_whitelist.clone().unwrap_or_default();
    Ok(mint)
}

/// The scopes of a token for some packages: within what its user may do.
async fn package_scopes(
    call: &Call<'_>,
    user: &str,
    wanted: &NewToken,
    read_only: bool,
) -> Result<ScopeSet, Error> {
    let own = call.registry.services().auth.user(user).await?.map(|user| user.scopes).unwrap_or_default();
    let own = ScopeSet::parse(own).map_err(Refusal::internal)?;
    let instance = call.registry.instance();
    let mut names = Vec::new();
    for package in wanted.packages.iter().flatten() {
        names.push(package.parse::<PackageName>()?.to_string());
    }
    for scope in wanted.scopes.iter().flatten() {
        let scope = scope.trim_start_matches('@');
        // A scope is a name's first part: let a whole name be checked.
        names.push(format!("@{scope}/x").parse::<PackageName>().map(|_| format!("@{scope}/*"))?);
    }
    let mut scopes = Vec::new();
    for name in names {
        let scope = |actions: &str| -> Result<Option<Scope>, Error> {
            let mut text = String::new();
            // Writing to a string cannot fail.
            let _ = write!(text, "{}:package:{name}:{actions}", instance.name);
            let scope: Scope =
                text.parse().map_err(|_| Error::bad("a name of the token's packages is no name"))?;
            Ok(Some(scope).filter(|scope| own.covers_within(&instance.name, instance.protocol, scope)))
        };
        let found = if read_only {
            scope("read")?
        } else {
            match scope("read,write,delete")? {
                Some(scope) => Some(scope),
                None => scope("read,write")?,
            }
        };
        scopes.push(found.ok_or_else(|| {
            Error::bad(format!("a token cannot allow what you may not do yourself with \"{name}\""))
        })?);
    }
    Ok(scopes.into_iter().collect())
}

/// `DELETE /-/npm/v1/tokens/token/<key or token>`.
pub(crate) async fn revoke(call: &Call<'_>, token: &str) -> Result<Response, Error> {
    revoke_own(call, token).await?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// `DELETE /-/user/token/<token>`: logging out.
pub(crate) async fn log_out(call: &Call<'_>, token: &str) -> Result<Response, Error> {
    revoke_own(call, token).await?;
    Ok(json_response(StatusCode::OK, &json!({"ok": true})))
}

/// Revokes a token of the asker's, by its id or by itself.
async fn revoke_own(call: &Call<'_>, token: &str) -> Result<(), Error> {
    let (user, actor) = call.user().await?;
    let auth = &call.registry.services().auth;
    let by_secret = auth.token_id(&SecretString::from(token)).await?;
    let id = by_secret.as_deref().unwrap_or(token);
    let owned = own_tokens(call, &user).await?.iter().any(|record| record.id == id);
    if !owned {
        return Err(Refusal::NotFound("no such token".to_owned()).into());
    }
    // Giving itself up is all that a read-only token may do.
    if actor.read_only && actor.token_id.as_deref() != Some(id) {
        return Err(AuthError::Forbidden(String::new()).into());
    }
    Ok(auth.revoke_token(id).await?)
}
