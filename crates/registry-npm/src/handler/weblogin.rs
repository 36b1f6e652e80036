//! Logging in with a browser: the client starts, its user grants by name and password, the client collects a token.

use std::sync::LazyLock;

use base64::Engine as _;
use http::{HeaderValue, StatusCode, header};
use registry_core::{
    Body, Response,
    auth::AuthError,
    http::{Refusal, escape_html, protect_page},
    storage::{Created, UnknownFields},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{
    account::{log_in_or_sign_up, mint},
    call::Call,
};
use crate::{
    error::{Error, json_response},
    store::login::{Login, LoginId, LoginSecret},
};

/// How many seconds a client waits between two questions.
const RETRY_SECONDS: u64 = 1;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;margin:4rem auto;max-width:26rem;padding:0 1rem}\
label{display:block;margin:1rem 0}input{box-sizing:border-box;display:block;font:inherit;padding:.4rem;width:100%}\
button{font:inherit;padding:.4rem 1.2rem}.problem{color:#a00}";

/// The page loads nothing, runs nothing, can be framed by nobody and sends its form only here.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let hash = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(STYLE.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
});

fn off() -> Error {
    Refusal::NotFound("this registry offers no login with a browser".to_owned()).into()
}

fn over() -> Error {
    Refusal::NotFound("this login is over: start again".to_owned()).into()
}

/// `POST /-/v1/login`. Nothing is stored: the secret carries its own time.
pub(crate) async fn start(call: &mut Call<'_>) -> Result<Response, Error> {
    if !call.registry.config().web_login {
        return Err(off());
    }
    // The body says at most that the user wants to sign up, which the page finds out by itself.
    call.small_body().await?;
    let secret = LoginSecret::new(call.registry.services().clock.now());
    let base = call.urls().base;
    let body = json!({
        "loginUrl": format!("{base}/-/v1/login/{}", secret.id().as_str()),
        "doneUrl": format!("{base}/-/v1/login/done/{}", secret.as_str()),
    });
    Ok(json_response(StatusCode::OK, &body))
}

/// `GET` the `doneUrl`: 202 until the user granted the login, then a token, once.
pub(crate) async fn poll(call: &Call<'_>, secret: &str) -> Result<Response, Error> {
    if !call.registry.config().web_login {
        return Err(off());
    }
    let now = call.registry.services().clock.now();
    let secret = LoginSecret::parse(secret, now).ok_or_else(over)?;
    let packages = call.registry.packages();
    let key = secret.id().key(packages);
    if packages.store().read::<Login>(&key).await?.is_none() {
        let mut response = json_response(StatusCode::ACCEPTED, &json!({}));
        // Without it npm asks again at once, for ever.
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(RETRY_SECONDS));
        return Ok(response);
    }
    let (user, _) = packages
        .store()
        .update::<Login, Option<String>, Error, _>(&key, move |draft| {
            if draft.get().is_none_or(|login| login.collected.is_some()) {
                return Ok(None);
            }
            Ok(draft.edit().map(|login| {
                login.collected = Some(now);
                login.user.clone()
            }))
        })
        .await?;
    let user = user.ok_or_else(over)?;
    let token = mint(call, &user, "npm login (web)").await?;
    Ok(json_response(StatusCode::OK, &json!({"token": token.secret.expose_secret()})))
}

/// `GET` the `loginUrl`: the form.
pub(crate) fn page(call: &Call<'_>, id: &str) -> Result<Response, Error> {
    if !call.registry.config().web_login {
        return Err(off());
    }
    match read_id(call, id) {
        Ok(_) => Ok(form(call, StatusCode::OK, None, "")),
        Err(_) => Ok(message(StatusCode::NOT_FOUND, "This login is over. Start again with npm login.")),
    }
}

/// `POST` the form: the user grants the login.
pub(crate) async fn grant(call: &mut Call<'_>, id: &str) -> Result<Response, Error> {
    if !call.registry.config().web_login {
        return Err(off());
    }
    let Ok(id) = read_id(call, id) else {
        return Ok(message(StatusCode::NOT_FOUND, "This login is over. Start again with npm login."));
    };
    let body = call.small_body().await?;
    let (mut user, mut password, mut email) = (String::new(), String::new(), None);
    for (key, value) in url::form_urlencoded::parse(&body) {
        match &*key {
            "user" => user = value.trim().to_owned(),
            "password" => password = value.into_owned(),
            "email" => email = Some(value.trim().to_owned()).filter(|email| !email.is_empty()),
            _ => {}
        }
    }
    if user.is_empty() || password.is_empty() {
        return Ok(form(call, StatusCode::BAD_REQUEST, Some("Give your name and password."), &user));
    }
    let password = SecretString::from(password);
    if let Err(error) = log_in_or_sign_up(call, &user, &password, email).await {
        return match error {
            Error::Login | Error::Common(Refusal::Forbidden(_)) => {
                Ok(form(call, StatusCode::UNAUTHORIZED, Some("The name or the password is wrong."), &user))
            }
            Error::Common(Refusal::Auth(AuthError::Rejected(reason))) => {
                Ok(form(call, StatusCode::BAD_REQUEST, Some(&reason), &user))
            }
            Error::Common(Refusal::Auth(AuthError::TooManyAttempts(wait))) => {
                let text = "Too many attempts. Wait a while and try again.";
                let mut response = form(call, StatusCode::TOO_MANY_REQUESTS, Some(text), &user);
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
                Ok(response)
            }
            error => Err(error),
        };
    }
    let packages = call.registry.packages();
    let login = Login {
        user,
        granted: call.registry.services().clock.now(),
        collected: None,
        unknown: UnknownFields::default(),
    };
    match packages.store().create(&id.key(packages), login).await? {
        Created::Now(_) => {
            Ok(message(StatusCode::OK, "You are logged in. Close this page and go back to your terminal."))
        }
        Created::Exists(_) => {
            Ok(message(StatusCode::CONFLICT, "This login was granted before. Start again with npm login."))
        }
    }
}

fn read_id(call: &Call<'_>, id: &str) -> Result<LoginId, Error> {
    LoginId::parse(id, call.registry.services().clock.now()).ok_or_else(over)
}

fn form(call: &Call<'_>, status: StatusCode, problem: Option<&str>, user: &str) -> Response {
    let problem =
        problem.map(|text| format!("<p class=\"problem\">{}</p>", escape_html(text))).unwrap_or_default();
    let email = if call.registry.services().auth.signup().is_some() {
        "<label>E-mail (for a new account)<input name=\"email\" type=\"email\" autocomplete=\"email\"></label>"
    } else {
        ""
    };
    let body = format!(
        "<h1>Log in</h1><p>A package manager asks to be logged in to <b>{}</b> in your name. Go on only if you \
         started this yourself, just now.</p>{problem}<form method=\"post\">\
         <label>Name<input name=\"user\" value=\"{}\" autocomplete=\"username\" required autofocus></label>\
         <label>Password<input name=\"password\" type=\"password\" autocomplete=\"current-password\" required></label>\
         {email}<button>Log in</button></form>",
        escape_html(call.urls().base),
        escape_html(user),
    );
    html(status, &body)
}

fn message(status: StatusCode, text: &str) -> Response {
    html(status, &format!("<h1>Log in</h1><p>{}</p>", escape_html(text)))
}

fn html(status: StatusCode, body: &str) -> Response {
    let page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Log in</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style></head><body>{body}</body></html>"
    );
    let mut response = Response::new(Body::from(page));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    protect_page(headers, POLICY.clone());
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_allows_only_its_own_style() {
        let response = message(StatusCode::OK, "x");
        let policy = response.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'"));
    }
}
