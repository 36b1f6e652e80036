//! Short-lived signed tokens: JWTs by HS256.

use std::{fmt, sync::Arc};

use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use quick_cache::{Weighter, sync::Cache};
use secrecy::{ExposeSecret as _, SecretString};

use super::{AuthError, RegistryClaims, secret::SecretHash};

/// How far the clocks of two nodes may be apart, in seconds: a token counts as valid so long before it begins and after it ends.
const LEEWAY: i64 = 5;
/// The longest token that is read, in bytes.
const MAX_TOKEN: usize = 16 * 1024;
/// How many bytes of verified claims are kept.
const KEPT_BYTES: u64 = 2 * 1024 * 1024;

/// Signs and reads claims with one key.
pub(super) struct Signer {
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
    /// Claims whose signature was checked, by the hash of the whole token.
    verified: Cache<SecretHash, Arc<RegistryClaims>, ByLength>,
}

#[derive(Clone)]
struct ByLength;

impl Weighter<SecretHash, Arc<RegistryClaims>> for ByLength {
    fn weight(&self, _: &SecretHash, claims: &Arc<RegistryClaims>) -> u64 {
        let text = claims.iss.len() + claims.sub.len() + claims.aud.len() + claims.jti.len();
        // A parsed JSON value takes several times its text.
        let access = json_weight(&claims.access);
        (256 + text + access) as u64
    }
}

fn json_weight(value: &serde_json::Value) -> usize {
    use serde_json::Value;
    32 + match value {
        Value::Array(items) => items.iter().map(json_weight).sum(),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| 64 + name.len() + json_weight(value)).sum()
        }
        Value::String(text) => text.len(),
        Value::Bool(_) | Value::Null | Value::Number(_) => 0,
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("verified", &self.verified.len()).finish_non_exhaustive()
    }
}

impl Signer {
    pub(super) fn new(key: &[u8]) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_required_spec_claims(&["aud", "exp", "iss", "nbf", "sub"]);
        // Times and audience are checked here each time, also of claims whose signature was checked before, and by the
        // injected clock.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        Self {
            encoding: EncodingKey::from_secret(key),
            decoding: DecodingKey::from_secret(key),
            validation,
            verified: Cache::with_weighter(256, KEPT_BYTES, ByLength),
        }
    }

    pub(super) fn sign(&self, claims: &RegistryClaims) -> Result<SecretString, AuthError> {
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &self.encoding)
            .map(Into::into)
            .map_err(|error| AuthError::Unavailable(Box::new(error)))
    }

    pub(super) fn verify(
        &self,
        token: &SecretString,
        audience: &str,
        now: DateTime<Utc>,
    ) -> Result<Arc<RegistryClaims>, AuthError> {
        if token.expose_secret().len() > MAX_TOKEN {
            return Err(AuthError::Invalid("the token is too long"));
        }
        let hash = SecretHash::of(token);
        if let Some(claims) = self.verified.get(&hash) {
            check(&claims, audience, now)?;
            return Ok(claims);
        }
        let read = jsonwebtoken::decode(token.expose_secret(), &self.decoding, &self.validation)
            .map_err(|_| AuthError::Invalid("the token was not made by this registry"))?;
        let claims = Arc::new(read.claims);
        check(&claims, audience, now)?;
        self.verified.insert(hash, Arc::clone(&claims));
        Ok(claims)
    }
}

fn check(claims: &RegistryClaims, audience: &str, now: DateTime<Utc>) -> Result<(), AuthError> {
    let now = now.timestamp();
    if claims.aud != audience {
        Err(AuthError::Invalid("the token was made for another service"))
    } else if claims.exp.saturating_add(LEEWAY) <= now {
        Err(AuthError::Invalid("the token has expired"))
    } else if claims.nbf.saturating_sub(LEEWAY) > now || claims.iat.saturating_sub(LEEWAY) > now {
        Err(AuthError::Invalid("the token is not valid yet"))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
    use serde_json::json;

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
    }

    fn claims() -> RegistryClaims {
        RegistryClaims {
            iss: "registry.example.com".to_owned(),
            sub: "alice".to_owned(),
            aud: "registry.example.com".to_owned(),
            exp: at(300).timestamp(),
            nbf: at(0).timestamp(),
            iat: at(0).timestamp(),
            jti: "1".to_owned(),
            token_id: None,
            access: json!([{ "type": "repository", "name": "a", "actions": ["pull"] }]),
        }
    }

    fn part(value: &serde_json::Value) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(value.to_string())
    }

    #[track_caller]
    fn refused(signer: &Signer, token: &str, audience: &str, now: DateTime<Utc>) -> &'static str {
        match signer.verify(&token.into(), audience, now) {
            Err(AuthError::Invalid(reason)) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_was_signed_is_read_until_it_ends() {
        let signer = Signer::new(b"0123456789abcdef0123456789abcdef");
        let token = signer.sign(&claims()).unwrap();
        for _ in 0..2 {
            let read = signer.verify(&token, "registry.example.com", at(1)).unwrap();
            assert_eq!((read.sub.as_str(), &read.access), ("alice", &claims().access));
        }
        let token = token.expose_secret();
        let aud = "registry.example.com";
        assert!(signer.verify(&token.into(), aud, at(304)).is_ok());
        assert_eq!(refused(&signer, token, aud, at(305)), "the token has expired");
        assert!(signer.verify(&token.into(), aud, at(-5)).is_ok());
        assert_eq!(refused(&signer, token, aud, at(-6)), "the token is not valid yet");
        assert_eq!(refused(&signer, token, "other", at(1)), "the token was made for another service");
    }

    #[test]
    fn what_others_made_is_refused() {
        let signer = Signer::new(b"0123456789abcdef0123456789abcdef");
        let own = signer.sign(&claims()).unwrap().expose_secret().to_owned();
        let body = serde_json::to_value(claims()).unwrap();
        let (signed, signature) = own.rsplit_once('.').unwrap();
        let (_, payload) = signed.split_once('.').unwrap();
        let mut admin = body.clone();
        admin["sub"] = json!("admin");
        let mut endless = body.clone();
        endless.as_object_mut().unwrap().remove("exp");
        let other = Signer::new(b"another key that is long enough.");
        let hs512 = Header::new(Algorithm::HS512);
        for bad in [
            String::new(),
            "a.b.c".to_owned(),
            format!("{}.{payload}.", part(&json!({ "alg": "none", "typ": "JWT" }))),
            format!("{}.{payload}.{signature}", part(&json!({ "alg": "none", "typ": "JWT" }))),
            format!("{}.{}.{signature}", part(&json!({ "alg": "HS256", "typ": "JWT" })), part(&admin)),
            other.sign(&claims()).unwrap().expose_secret().to_owned(),
            jsonwebtoken::encode(&hs512, &body, &signer.encoding).unwrap(),
            jsonwebtoken::encode(&Header::new(Algorithm::HS256), &endless, &signer.encoding).unwrap(),
            own.chars().take(own.len() - 3).collect(),
            "a".repeat(20_000),
        ] {
            let reason = refused(&signer, &bad, "registry.example.com", at(1));
            assert!(reason.contains("made by this registry") || reason.contains("too long"), "{reason}");
        }
        assert_eq!(signer.verified.len(), 0);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let signer = Signer::new(b"0123456789abcdef0123456789abcdef");
        for n in 0..2000 {
            let mut claims = claims();
            claims.jti = format!("{n}-{}", "x".repeat(4000));
            let token = signer.sign(&claims).unwrap();
            signer.verify(&token, &claims.aud, at(1)).unwrap();
        }
        assert!(signer.verified.weight() <= KEPT_BYTES, "{}", signer.verified.weight());
    }
}
