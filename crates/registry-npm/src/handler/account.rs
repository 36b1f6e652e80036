//! Users: who am I, logging in from the terminal, the profile.

use std::sync::Arc;

use http::StatusCode;
use registry_core::{
    Response,
    auth::{AuthError, MintToken, MintedToken, NewUser},
    http::Refusal,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use super::call::Call;
use crate::{
    error::{Error, json_response},
    wire::packument::iso,
};

/// Every user's revision: users are not documents here, but clients ask for one before they send it back.
const USER_REV: &str = "1-0";

/// `GET /-/whoami`.
pub(crate) async fn whoami(call: &Call<'_>) -> Result<Response, Error> {
    let (user, _) = call.user().await?;
    Ok(json_response(StatusCode::OK, &json!({"username": &*user})))
}

#[derive(Deserialize)]
struct CouchUser {
    name: String,
    #[serde(default)]
    password: Option<SecretString>,
    #[serde(default)]
    email: Option<String>,
}

/// `PUT /-/user/org.couchdb.user:<user>[/-rev/<rev>]`: logging in, or signing up where that is on.
pub(crate) async fn log_in(call: &mut Call<'_>, user: &str) -> Result<Response, Error> {
    let body: CouchUser = call.json().await?;
    if body.name != user {
        return Err(Error::bad("the name in the path and the name in the body differ"));
    }
    let password = body
        .password
        .filter(|password| !password.expose_secret().is_empty())
        .ok_or_else(|| Error::bad("the body holds no password"))?;
    let email = body.email.filter(|email| !email.is_empty());
    log_in_or_sign_up(call, user, &password, email).await?;
    let token = mint(call, user, "npm login").await?;
    let body = json!({
        "ok": true,
        "id": format!("org.couchdb.user:{user}"),
        "rev": USER_REV,
        "token": token.secret.expose_secret(),
    });
    Ok(json_response(StatusCode::CREATED, &body))
}

/// Checks a user's password, or makes the user where clients may.
pub(crate) async fn log_in_or_sign_up(
    call: &Call<'_>,
    user: &str,
    password: &SecretString,
    email: Option<String>,
) -> Result<(), Error> {
    let auth = &call.registry.services().auth;
    let address = call.parts.extensions.get::<registry_core::Actor>().and_then(|actor| actor.address);
    if auth.check_password(user, password, address).await? {
        return Ok(());
    }
    if auth.user(user).await?.is_some() {
        return Err(Error::Login);
    }
    let Some(scopes) = auth.signup() else {
        return Err(Refusal::Forbidden(
            "there is no such user, and this registry lets nobody sign up: ask its administrator for an account"
                .to_owned(),
        ).into());
    };
    let new = NewUser {
        name: user.to_owned(),
        password: Some(password.clone()),
        email,
        scopes: Some(Arc::unwrap_or_clone(scopes)),
    };
    match auth.create_user(new).await {
        Ok(_) => Ok(()),
        // Somebody was faster.
        Err(AuthError::Exists(_)) => Err(Error::Login),
        Err(error) => Err(error.into()),
    }
}

/// Makes a token with all of the user's rights.
pub(crate) async fn mint(call: &Call<'_>, user: &str, name: &str) -> Result<MintedToken, Error> {
    let mut mint = MintToken::new(user);
    mint.name = Some(name.to_owned());
    Ok(call.registry.services().auth.mint_token(mint).await?)
}

/// `GET /-/user/org.couchdb.user:<user>`.
pub(crate) async fn user(call: &Call<'_>, user: &str) -> Result<Response, Error> {
    call.user().await?;
    let found = call.registry.services().auth.user(user).await?;
    let found = found.ok_or_else(|| Refusal::NotFound("user not found".to_owned()))?;
    let body = json!({
        "_id": format!("org.couchdb.user:{}", found.name),
        "_rev": USER_REV,
        "name": found.name,
        "email": found.email.unwrap_or_default(),
        "type": "user",
        "roles": [],
        "date": iso(found.created),
    });
    Ok(json_response(StatusCode::OK, &body))
}

/// `GET /-/npm/v1/user`.
pub(crate) async fn profile(call: &Call<'_>) -> Result<Response, Error> {
    let (user, _) = call.user().await?;
    render_profile(call, &user).await
}

async fn render_profile(call: &Call<'_>, user: &str) -> Result<Response, Error> {
    let found = call.registry.services().auth.user(user).await?;
    let mut body = json!({
        "name": user,
        "email": "",
        "email_verified": false,
        "fullname": "",
        "tfa": false,
        "cidr_whitelist": null,
    });
    if let (Some(found), Some(body)) = (found, body.as_object_mut()) {
        body.insert("email".to_owned(), found.email.unwrap_or_default().into());
        body.insert("created".to_owned(), iso(found.created).into());
        body.insert("updated".to_owned(), iso(found.updated).into());
    }
    Ok(json_response(StatusCode::OK, &body))
}

#[derive(Deserialize)]
struct ProfileChange {
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    password: Option<PasswordChange>,
    #[serde(default)]
    tfa: Value,
    #[serde(flatten)]
    other: serde_json::Map<String, Value>,
}

#[derive(Deserialize)]
struct PasswordChange {
    old: SecretString,
    new: SecretString,
}

/// `POST /-/npm/v1/user`: the e-mail address and the password can be changed.
pub(crate) async fn set_profile(call: &mut Call<'_>) -> Result<Response, Error> {
    let (user, actor) = call.user().await?;
    if actor.read_only {
        return Err(AuthError::Forbidden(String::new()).into());
    }
    let change: ProfileChange = call.json().await?;
    let empty = |value: &Value| matches!(value, Value::Null | Value::Bool(false)) || value == "";
    if !empty(&change.tfa) {
        return Err(Error::bad("this registry has no two-factor authentication"));
    }
    // npm sends the whole profile back; what it holds of its own accord does no harm.
    let shown = ["name", "email_verified", "created", "updated", "cidr_whitelist"];
    if let Some((field, _)) =
        change.other.iter().find(|(key, value)| !shown.contains(&key.as_str()) && !empty(value))
    {
        let field: String = field.chars().take(64).collect();
        return Err(Error::bad(format!(
            "a profile holds no \"{field}\": only email and password can be set"
        )));
    }
    let auth = &call.registry.services().auth;
    let address = actor.address;
    let password = match change.password {
        Some(password) => {
            if !auth.check_password(&user, &password.old, address).await? {
                return Err(Error::Login);
            }
            Some(password.new)
        }
        None => None,
    };
    if change.email.is_some() || password.is_some() {
        let changed = NewUser { name: user.to_string(), password, email: change.email, scopes: None };
        auth.update_user(changed).await?;
    }
    render_profile(call, &user).await
}
