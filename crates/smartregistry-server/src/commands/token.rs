//! `token create`, `token list` and `token revoke`.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use secrecy::ExposeSecret;
use serde_json::json;
use smartregistry::core::auth::{AuthProvider, MintToken, ScopeError, ScopeSet, TokenFilter, TokenRecord};

use super::output;
use crate::{
    assemble::Opened,
    cli::{CreateToken, Token},
    exit::Failure,
};

/// Runs one of the commands.
pub(crate) async fn run(store: &Opened, command: Token) -> Result<(), Failure> {
    match command {
        Token::Create(create) => mint(store, create).await,
        Token::List { user, json } => list(store, user, json).await,
        Token::Revoke { id } => store
            .auth()
            .revoke_token(&id)
            .await
            .map_err(|e| Failure::while_doing("cannot revoke the token", &e)),
    }
}

/// Scopes from the command line; a wrong one is wrong usage.
pub(super) fn scopes(texts: &[String]) -> Result<ScopeSet, Failure> {
    let scopes: Result<ScopeSet, ScopeError> = texts.iter().map(|text| text.parse()).collect();
    scopes.map_err(|e| Failure::usage(e.to_string()))
}

async fn mint(store: &Opened, create: CreateToken) -> Result<(), Failure> {
    let mut mint = MintToken::new(create.user);
    mint.scopes = Some(scopes(&create.scopes)?);
    mint.expires = match create.expires {
        None => None,
        Some(span) => {
            let span = TimeDelta::from_std(span.0).ok();
            let end = span.and_then(|span| Utc::now().checked_add_signed(span));
            Some(end.ok_or_else(|| Failure::usage("the token would end too late"))?)
        }
    };
    mint.read_only = create.read_only;
    mint.name = create.name;
    let minted =
        store.auth().mint_token(mint).await.map_err(|e| Failure::while_doing("cannot make the token", &e))?;
    output::print(&format!("{}\n", minted.secret.expose_secret()))
}

async fn list(store: &Opened, user: Option<String>, as_json: bool) -> Result<(), Failure> {
    let filter = TokenFilter { user, include_ended: true };
    let tokens =
        store.auth().tokens(&filter).await.map_err(|e| Failure::while_doing("cannot list the tokens", &e))?;
    let now = Utc::now();
    output::print(&if as_json { as_objects(&tokens, now) } else { as_table(&tokens, now) })
}

fn state(token: &TokenRecord, now: DateTime<Utc>) -> &'static str {
    if token.revoked.is_some() {
        "revoked"
    } else if token.expires.is_some_and(|end| end <= now) {
        "expired"
    } else {
        "active"
    }
}

/// A time as people read it, or a dash.
pub(super) fn time(time: Option<DateTime<Utc>>) -> String {
    time.map_or_else(|| "-".to_owned(), |t| t.to_rfc3339_opts(SecondsFormat::Secs, true))
}

fn scopes_text(token: &TokenRecord) -> String {
    let text = match &token.scopes {
        None => "(those of its user)".to_owned(),
        Some(scopes) => scopes.join(","),
    };
    if token.read_only { format!("{text} (read-only)") } else { text }
}

fn as_table(tokens: &[TokenRecord], now: DateTime<Utc>) -> String {
    let head =
        ["ID", "USER", "SCOPES", "CREATED", "EXPIRES", "LAST USED", "STATE"].map(str::to_owned).to_vec();
    let rows = tokens.iter().map(|token| {
        vec![
            token.id.clone(),
            token.user.clone(),
            scopes_text(token),
            time(Some(token.created)),
            time(token.expires),
            time(token.last_used),
            state(token, now).to_owned(),
        ]
    });
    output::columns(&std::iter::once(head).chain(rows).collect::<Vec<_>>())
}

fn as_objects(tokens: &[TokenRecord], now: DateTime<Utc>) -> String {
    let objects: Vec<_> = tokens
        .iter()
        .map(|token| {
            json!({
                "id": token.id,
                "user": token.user,
                "name": token.name,
                "prefix": token.prefix,
                "scopes": token.scopes,
                "read_only": token.read_only,
                "cidr": token.cidr,
                "created": token.created,
                "expires": token.expires,
                "last_used": token.last_used,
                "revoked": token.revoked,
                "state": state(token, now),
            })
        })
        .collect();
    format!("{:#}\n", json!(objects))
}
