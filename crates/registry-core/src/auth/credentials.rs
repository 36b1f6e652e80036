//! Credentials in every style that clients send.

use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use http::{HeaderMap, header::AUTHORIZATION};
use secrecy::{ExposeSecret as _, SecretString};

/// The longest `Authorization` header that is read, in bytes: twice what a token of many scopes takes.
const MAX_HEADER: usize = 16 * 1024;

/// Some clients leave out the padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a request's `Authorization` header holds. Its `Debug` shows no secret.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// `Basic`: a user's name and password, or a token as the password (any user name), or a token as the user name with
    /// an empty password or `x-oauth-basic`.
    Basic {
        /// The user's name.
        user: SecretString,
        /// The password.
        password: SecretString,
    },
    /// `Bearer`, or `Token` as some registries tell Cargo users to write it: a token.
    Bearer(SecretString),
    /// The header's value without a scheme (Cargo, RubyGems).
    Plain(SecretString),
}

/// The `Authorization` header is there but cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the Authorization header cannot be read")]
pub struct MalformedCredentials;

impl Credentials {
    /// A user's name and password, or a token in the place of either, as a `Basic` header would bring them.
    pub fn basic(user: impl Into<String>, password: impl Into<String>) -> Self {
        Self::Basic { user: user.into().into(), password: password.into().into() }
    }

    /// A token.
    pub fn bearer(token: impl Into<String>) -> Self {
        Self::Bearer(token.into().into())
    }

    /// The credentials of a request, if any. Schemes are compared without regard to case; an empty header and a `Basic`
    /// header with an empty user name and an empty password count as none.
    ///
    /// Malformed are: more than one header, more than 16 KiB, characters that are not visible ASCII, a scheme that is not
    /// known, a scheme with nothing after it, and a `Basic` value that is not base64 of UTF-8 with a colon.
    pub fn from_headers(headers: &HeaderMap) -> Result<Option<Self>, MalformedCredentials> {
        let mut all = headers.get_all(AUTHORIZATION).iter();
        let Some(value) = all.next() else { return Ok(None) };
        if all.next().is_some() || value.len() > MAX_HEADER {
            return Err(MalformedCredentials);
        }
        Self::parse(value.to_str().map_err(|_| MalformedCredentials)?)
    }

    fn parse(value: &str) -> Result<Option<Self>, MalformedCredentials> {
        let value = value.trim();
        let (scheme, rest) = match value.split_once([' ', '\t']) {
            Some((scheme, rest)) => (scheme, rest.trim_start()),
            None if value.is_empty() => return Ok(None),
            None if value.eq_ignore_ascii_case("basic") || value.eq_ignore_ascii_case("bearer") => {
                return Err(MalformedCredentials);
            }
            None => return Ok(Some(Self::Plain(value.into()))),
        };
        if rest.contains([' ', '\t']) {
            Err(MalformedCredentials)
        } else if scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("token") {
            Ok(Some(Self::Bearer(rest.into())))
        } else if scheme.eq_ignore_ascii_case("basic") {
            Self::parse_basic(rest)
        } else {
            Err(MalformedCredentials)
        }
    }

    fn parse_basic(encoded: &str) -> Result<Option<Self>, MalformedCredentials> {
        let bytes = BASE64.decode(encoded).map_err(|_| MalformedCredentials)?;
        // Held as a secret from here on, so that it is wiped when it is dropped.
        let both: SecretString = String::from_utf8(bytes).map_err(|_| MalformedCredentials)?.into();
        match both.expose_secret().split_once(':') {
            None => Err(MalformedCredentials),
            Some(("", "")) => Ok(None),
            Some((user, password)) => Ok(Some(Self::Basic { user: user.into(), password: password.into() })),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    /// The credentials as text, or `-` for none and `!` for malformed ones.
    fn read(values: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        show(Credentials::from_headers(&headers))
    }

    fn show(read: Result<Option<Credentials>, MalformedCredentials>) -> String {
        match read {
            Err(MalformedCredentials) => "!".to_owned(),
            Ok(None) => "-".to_owned(),
            Ok(Some(Credentials::Bearer(token))) => format!("bearer {}", token.expose_secret()),
            Ok(Some(Credentials::Plain(token))) => format!("plain {}", token.expose_secret()),
            Ok(Some(Credentials::Basic { user, password })) => {
                format!("basic {} {}", user.expose_secret(), password.expose_secret())
            }
        }
    }

    #[test]
    fn every_style_is_read() {
        for (values, want) in [
            (&[][..], "-"),
            (&[""], "-"),
            (&["Bearer abc"], "bearer abc"),
            (&["bearer   abc "], "bearer abc"),
            (&["BEARER abc"], "bearer abc"),
            (&["Token abc"], "bearer abc"),
            (&["Bearer"], "!"),
            (&["Bearer "], "!"),
            (&["Bearer a b"], "!"),
            (&["abc"], "plain abc"),
            (&["Digest abc"], "!"),
            (&["Basic"], "!"),
            (&["Basic YTpi"], "basic a b"),
            (&["basic YTpiOmM="], "basic a b:c"),
            (&["Basic YTpiOmM"], "basic a b:c"),
            (&["Basic YTo="], "basic a "),
            (&["Basic OmI="], "basic  b"),
            (&["Basic Og=="], "-"),
            (&["Basic YWI="], "!"),
            (&["Basic a!b"], "!"),
            (&["Basic /zo="], "!"),
            (&["Bearer ü"], "!"),
            (&["Bearer a", "Bearer a"], "!"),
            (&[&format!("Bearer {}", "a".repeat(MAX_HEADER))], "!"),
        ] {
            assert_eq!(read(values), want, "{values:?}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        for credentials in [Credentials::basic("geheim", "geheim"), Credentials::bearer("geheim")] {
            assert!(!format!("{credentials:?}").contains("geheim"));
        }
    }

    proptest! {
        #[test]
        fn basic_round_trips(user in "[^:\\pC]{0,20}", password in "\\PC{1,30}") {
            let value = format!("Basic {}", BASE64.encode(format!("{user}:{password}")));
            prop_assert_eq!(read(&[&value]), format!("basic {user} {password}"));
        }

        #[test]
        fn tokens_round_trip(token in "[!-~]{1,60}") {
            prop_assert_eq!(read(&[&format!("Bearer {token}")]), format!("bearer {token}"));
            if !token.eq_ignore_ascii_case("basic") && !token.eq_ignore_ascii_case("bearer") {
                prop_assert_eq!(read(&[&token]), format!("plain {token}"));
            }
        }

        #[test]
        fn any_value_is_read_or_refused(value in prop::collection::vec(any::<u8>(), 0..60)) {
            let mut headers = HeaderMap::new();
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                headers.append(AUTHORIZATION, value);
                let shown = show(Credentials::from_headers(&headers));
                // What was read is never longer than what was sent.
                prop_assert!(shown.len() <= "bearer ".len() + headers[AUTHORIZATION].len());
            }
        }
    }
}
