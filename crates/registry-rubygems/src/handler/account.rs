//! Signing in, and who asks.

use http::{HeaderValue, StatusCode, header};
use registry_core::{
    Actor, PackageRegistry as _, Protocol, Response,
    auth::{AuthError, MintToken, Scope, ScopeSet},
    http::{Refusal, respond_json, respond_text, respond_with},
};
use secrecy::ExposeSecret as _;
use serde_json::json;

use super::{
    call::{Call, Parameters},
    owners::{id, yaml},
    route::Form,
};
use crate::{error::Error, names::GemName};

/// What a key may be asked for, and the actions of scopes that are meant.
const RIGHTS: [(&str, &str); 9] = [
    ("index_rubygems", "read"),
    ("show_dashboard", "read"),
    ("push_rubygem", "write"),
    ("add_owner", "write"),
    ("update_owner", "write"),
    ("remove_owner", "write"),
    ("configure_trusted_publishers", "write"),
    ("access_webhooks", "write"),
    ("yank_rubygem", "delete"),
];

/// The longest name of a key.
const MAX_NAME: usize = 255;

/// `POST /api/v1/api_key`: a key for a user's name and password. The body is the key and nothing else, as clients keep it.
pub(crate) async fn sign_in(call: &mut Call<'_>) -> Result<Response, Error> {
    let actor = call.actor().await?;
    let user = actor.user.clone().ok_or(AuthError::Missing)?;
    if actor.token_id.is_some() {
        return Err(AuthError::Invalid("sign in with your user name and password, not with a key").into());
    }
    let parameters = call.parameters().await?;
    let mut mint = MintToken::new(user.to_string());
    mint.scopes = Some(scopes(call, &actor, &parameters)?);
    mint.read_only = actor.read_only;
    let name = parameters.get("name")?.unwrap_or_else(|| "gem signin".to_owned());
    mint.name = Some(name.chars().filter(|c| !c.is_control()).take(MAX_NAME).collect());
    let minted = call.registry.services().auth.mint_token(mint).await?;
    let mut response = respond_text(StatusCode::OK, minted.secret.expose_secret());
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// What the key may do: of the user's own rights in this registry those that were asked for.
fn scopes(call: &Call<'_>, actor: &Actor, parameters: &Parameters) -> Result<ScopeSet, Error> {
    let mut wanted = Vec::new();
    for (right, action) in RIGHTS {
        if parameters.is_set(right)? && !wanted.contains(&action) {
            wanted.push(action);
        }
    }
    if wanted.is_empty() {
        return Err(Error::Unprocessable(
            "A key needs at least one right: index_rubygems, push_rubygem, yank_rubygem …".to_owned(),
        ));
    }
    let only: Option<GemName> = match parameters.get("rubygem_name")? {
        Some(name) => Some(name.parse()?),
        None => None,
    };
    let instance = call.registry.instance();
    let own = actor.scopes.as_deref().cloned().unwrap_or_default();
    let scope = |name: &str, action: &str| {
        format!("{}:{}:{name}:{action}", instance.name, instance.protocol.resource_type())
    };
    let mut texts = Vec::new();
    let mut grant = |name: &str| {
        for action in &wanted {
            let text = scope(name, action);
            let is_own = text
                .parse::<Scope>()
                .is_ok_and(|scope| own.covers_within(&instance.name, Protocol::Rubygems, &scope));
            if is_own && !texts.contains(&text) {
                texts.push(text);
            }
        }
    };
    if let Some(name) = &only {
        grant(name.as_str());
    } else {
        grant("*");
        for scope in own.iter() {
            if let Some(name) = name_of(scope) {
                grant(name);
            }
        }
    }
    if texts.is_empty() {
        return Err(
            Refusal::Forbidden("You have none of the rights that the key is to have.".to_owned()).into()
        );
    }
    Ok(ScopeSet::parse(&texts).map_err(Refusal::internal)?)
}

/// The name in a scope: everything between its second and its last colon.
fn name_of(scope: &Scope) -> Option<&str> {
    let (_, rest) = scope.as_str().split_once(':')?;
    let (_, rest) = rest.split_once(':')?;
    Some(rest.rsplit_once(':')?.0)
}

/// `GET /api/v1/api_key`: keys are shown once.
pub(crate) fn no_key() -> Error {
    Refusal::Gone(
        "Keys are only shown when they are made: sign in with a newer version of RubyGems.".to_owned(),
    )
    .into()
}

/// `GET /api/v1/profile/me`.
pub(crate) async fn profile(call: &Call<'_>, form: Form) -> Result<Response, Error> {
    let actor = call.actor().await?;
    let user = actor.user.clone().ok_or(AuthError::Missing)?;
    let me = json!({"id": id(&user), "handle": &*user, "mfa": "disabled"});
    Ok(match form {
        Form::Json => respond_json(StatusCode::OK, &me),
        Form::Yaml => {
            let content_type = HeaderValue::from_static("application/yaml; charset=utf-8");
            respond_with(StatusCode::OK, content_type, format!("---\n{}", yaml(&me, "", "")))
        }
    })
}
