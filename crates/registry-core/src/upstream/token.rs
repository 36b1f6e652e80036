//! The token exchange of OCI registries: a 401 names a token endpoint, which gives a token for a scope.

use std::{collections::HashMap, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, TimeDelta, Utc};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use parking_lot::Mutex;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use tokio::time::timeout;
use url::Url;

use super::{
    Failure, FailureKind, address::Standing, body::read_limited, call::Call, config::UpstreamAuth,
    source::Upstream, transport::Outgoing,
};

/// The largest answer of a token endpoint.
const MOST_BYTES: u64 = 64 << 10;
/// A token without a time lives so long.
const USUAL_LIFE: u64 = 60;
/// A token is renewed so long before it ends.
const EARLY: TimeDelta = TimeDelta::seconds(10);
/// The most scopes whose tokens are kept.
const MOST_TOKENS: usize = 1024;

/// A token, and when it ends.
type Held = (SecretString, DateTime<Utc>);

/// The tokens of one upstream, by scope.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    held: Mutex<HashMap<Arc<str>, Held>>,
    /// One exchange at a time: whoever waited finds what the one before got.
    exchange: tokio::sync::Mutex<()>,
}

impl Tokens {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// The token for a scope, if there is one that lives.
    pub(crate) fn get(&self, scope: &str, now: DateTime<Utc>) -> Option<SecretString> {
        let held = self.held.lock();
        held.get(scope).filter(|(_, until)| *until > now).map(|(token, _)| token.clone())
    }

    fn put(&self, scope: &Arc<str>, token: SecretString, until: DateTime<Utc>, now: DateTime<Utc>) {
        let mut held = self.held.lock();
        if held.len() >= MOST_TOKENS {
            held.retain(|_, (_, until)| *until > now);
        }
        if held.len() < MOST_TOKENS {
            held.insert(Arc::clone(scope), (token, until));
        }
    }

    fn forget(&self, scope: &str, refused: &SecretString) {
        let mut held = self.held.lock();
        if held.get(scope).is_some_and(|(token, _)| token.expose_secret() == refused.expose_secret()) {
            held.remove(scope);
        }
    }
}

/// `Basic` with a name and a password.
pub(crate) fn basic(username: &str, password: &SecretString) -> Option<HeaderValue> {
    let text = STANDARD.encode(format!("{username}:{}", password.expose_secret()));
    let mut value = HeaderValue::try_from(format!("Basic {text}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

impl Upstream {
    /// Gets a token where the challenge asks for one and the call has a scope. Says whether it is worth to ask again.
    pub(crate) async fn answer_challenge(&self, call: &Call, headers: &HeaderMap) -> Result<bool, Failure> {
        let Some(scope) = &call.scope else { return Ok(false) };
        let Some(challenge) = headers.get_all(header::WWW_AUTHENTICATE).iter().find_map(Challenge::parse)
        else {
            return Ok(false);
        };
        let refused = self.tokens.get(scope, self.now());
        let _turn = self.tokens.exchange.lock().await;
        match (refused, self.tokens.get(scope, self.now())) {
            // Somebody else got one while we waited.
            (None, Some(_)) => return Ok(true),
            (Some(refused), Some(held)) if refused.expose_secret() != held.expose_secret() => {
                return Ok(true);
            }
            (Some(refused), _) => self.tokens.forget(scope, &refused),
            (None, None) => {}
        }
        let failed = || self.failure(FailureKind::Credentials);
        let mut url = challenge.realm;
        {
            let mut query = url.query_pairs_mut();
            if let Some(service) = &challenge.service {
                query.append_pair("service", service);
            }
            query.append_pair("scope", scope);
        }
        let standing = self.reach.standing(&url);
        let known = standing.is_some_and(|standing| standing != Standing::Learnt);
        // A realm that is known from the challenge alone is asked without credentials, over TLS alone, and never at a private address.
        if !(known || (url.scheme() == "https" && standing.is_some())) {
            let host = url.host_str().unwrap_or_default();
            tracing::warn!(upstream = %self.id(), host, "a token endpoint is not asked: add its host to trusted_hosts if it belongs to the upstream");
            return Err(self.failure(FailureKind::Forbidden));
        }
        let mut headers = HeaderMap::new();
        if let (true, UpstreamAuth::Basic { username, password }) = (known, &self.config.auth)
            && let Some(value) = basic(username, password)
        {
            headers.insert(header::AUTHORIZATION, value);
        }
        let guarded = standing.is_none_or(|standing| standing == Standing::Learnt);
        let outgoing = Outgoing { method: Method::GET, url, guarded, headers, body: bytes::Bytes::new() };
        let sent = timeout(self.config.document_timeout, self.transport.send(outgoing)).await;
        let incoming = sent
            .map_err(|_| self.failure(FailureKind::Timeout))?
            .map_err(|_| self.failure(FailureKind::Unreachable))?;
        match incoming.status {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Ok(false),
            other => return Err(self.failure(FailureKind::Status(other.as_u16()))),
        }
        let body =
            read_limited(incoming.body, MOST_BYTES, Duration::from_secs(10)).await.map_err(|_| failed())?;
        let answer: TokenAnswer = serde_json::from_slice(&body).map_err(|_| failed())?;
        let token = answer.token.or(answer.access_token).filter(|token| !token.is_empty());
        let token = SecretString::from(token.ok_or_else(failed)?);
        let now = self.now();
        let life = i64::try_from(answer.expires_in.unwrap_or(USUAL_LIFE)).unwrap_or(60).clamp(1, 86_400);
        let life = TimeDelta::seconds(life);
        let until = now + if life > EARLY + EARLY { life - EARLY } else { life };
        self.tokens.put(scope, token, until, now);
        Ok(true)
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Challenge {
    realm: Url,
    service: Option<String>,
}

impl Challenge {
    /// Reads `Bearer realm="…",service="…"`.
    fn parse(value: &HeaderValue) -> Option<Self> {
        let text = value.to_str().ok()?;
        let (scheme, mut rest) = text.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let (mut realm, mut service) = (None, None);
        while let Some((name, after)) = rest.split_once('=') {
            let after = after.trim_start();
            let (value, next) = match after.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"')?,
                None => after.split_once(',').unwrap_or((after, "")),
            };
            match name.trim_matches([' ', ',']).to_ascii_lowercase().as_str() {
                "realm" => realm = value.parse::<Url>().ok(),
                "service" => service = Some(value.to_owned()),
                _ => {}
            }
            rest = next;
        }
        Some(Self { realm: realm?, service })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read() {
        for (text, want) in [
            (
                r#"Bearer realm="https://auth.example.com/token",service="registry.example.com",scope="a:b:pull,push""#,
                Some(("https://auth.example.com/token", Some("registry.example.com"))),
            ),
            ("bearer realm=https://auth.example.com/token", Some(("https://auth.example.com/token", None))),
            (r#"Bearer service="x", realm="http://a/t""#, Some(("http://a/t", Some("x")))),
            (r#"Basic realm="x""#, None),
            (r#"Bearer realm="no url""#, None),
            (r#"Bearer realm="https://a/"#, None),
            ("Bearer", None),
        ] {
            let found = Challenge::parse(&HeaderValue::from_static(text));
            let found = found.as_ref().map(|c| (c.realm.as_str(), c.service.as_deref()));
            assert_eq!(found, want, "{text}");
        }
    }

    #[test]
    fn tokens_end() {
        let tokens = Tokens::new();
        let now: DateTime<Utc> = "2026-03-04T00:00:00Z".parse().unwrap();
        tokens.put(&"a".into(), SecretString::from("t"), now + TimeDelta::seconds(50), now);
        assert!(tokens.get("a", now).is_some() && tokens.get("b", now).is_none());
        assert!(tokens.get("a", now + TimeDelta::seconds(51)).is_none());
        assert!(!format!("{tokens:?}").contains("\"t\""));
    }
}
