//! The `WWW-Authenticate` challenge.

/// Why a challenge is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChallengeError {
    /// The token is malformed, expired, or another's.
    InvalidToken,
    /// The token is good but does not reach.
    InsufficientScope,
}

/// A Bearer challenge: one scheme, one line, all values quoted (sheet section 3.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Challenge {
    /// Where tokens are had: an absolute URL.
    pub(crate) realm: String,
    /// For whom they are.
    pub(crate) service: String,
    /// What the request would need; empty on the ping.
    pub(crate) scope: String,
    /// What is wrong with what was sent, if anything was.
    pub(crate) error: Option<ChallengeError>,
}

impl Challenge {
    /// The header's value.
    pub(crate) fn render(&self) -> String {
        let mut out = String::from("Bearer ");
        quoted(&mut out, "realm", &self.realm);
        out.push(',');
        quoted(&mut out, "service", &self.service);
        if !self.scope.is_empty() {
            out.push(',');
            quoted(&mut out, "scope", &self.scope);
        }
        if let Some(error) = self.error {
            out.push(',');
            let text = match error {
                ChallengeError::InvalidToken => "invalid_token",
                ChallengeError::InsufficientScope => "insufficient_scope",
            };
            quoted(&mut out, "error", text);
        }
        out
    }
}

/// `name="value"`, with what a quoted string cannot hold escaped or left out.
fn quoted(out: &mut String, name: &str, value: &str) {
    out.push_str(name);
    out.push_str("=\"");
    for c in value.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            ' '..='~' => out.push(c),
            _ => {}
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checklist 1 and 12.
    #[test]
    fn challenges() {
        let mut challenge = Challenge {
            realm: "https://registry.example.com/v2/token".into(),
            service: "smartregistry".into(),
            scope: String::new(),
            error: None,
        };
        assert_eq!(
            challenge.render(),
            r#"Bearer realm="https://registry.example.com/v2/token",service="smartregistry""#
        );
        challenge.scope = "repository:a/b:pull,push".into();
        challenge.error = Some(ChallengeError::InsufficientScope);
        assert_eq!(
            challenge.render(),
            r#"Bearer realm="https://registry.example.com/v2/token",service="smartregistry",scope="repository:a/b:pull,push",error="insufficient_scope""#
        );
    }

    #[test]
    fn quotes_and_controls_cannot_leave_the_value() {
        let mut out = String::new();
        quoted(&mut out, "realm", "a\"b\\c\r\nd");
        assert_eq!(out, r#"realm="a\"b\\cd""#);
    }
}
