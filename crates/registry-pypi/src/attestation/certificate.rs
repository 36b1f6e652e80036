//! What a signing certificate says of who it was made for. Read only of certificates that were verified, so that nothing here decides
//! whether one is trusted.

use serde_json::{Value, json};

/// `subjectAltName`, 2.5.29.17.
const ALTERNATIVE_NAMES: &[u8] = &[0x55, 0x1d, 0x11];

/// `extKeyUsage`, 2.5.29.37.
const KEY_USAGES: &[u8] = &[0x55, 0x1d, 0x25];

/// `id-kp-codeSigning`, 1.3.6.1.5.5.7.3.3.
pub(super) const CODE_SIGNING: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x03];

/// The issuer of the identity that the certificate was made for, as Sigstore's authorities write it: 1.3.6.1.4.1.57264.1.8, a UTF8String.
const ISSUER: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0x83, 0xbf, 0x30, 0x01, 0x08];

/// The same as they used to write it: 1.3.6.1.4.1.57264.1.1, the bare text.
const OLD_ISSUER: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0x83, 0xbf, 0x30, 0x01, 0x01];

/// Who issues the identities of GitHub's workflows.
const GITHUB: &str = "https://token.actions.githubusercontent.com";

const OBJECT_IDENTIFIER: u8 = 0x06;
const OCTET_STRING: u8 = 0x04;
const UTF8_STRING: u8 = 0x0c;
const BOOLEAN: u8 = 0x01;
const SEQUENCE: u8 = 0x30;
const EXTENSIONS: u8 = 0xa3;
const EMAIL: u8 = 0x81;
const DNS: u8 = 0x82;
const URI: u8 = 0x86;

/// The publisher as a provenance names it: what the certificate says, and nothing that it does not.
pub(super) fn publisher(certificate: &[u8]) -> Value {
    let names = alternative_names(certificate);
    let issuer = issuer(certificate);
    let claims = json!({"issuer": issuer, "subject_alternative_names": names});
    if let (Some(GITHUB), [name]) = (issuer, names.as_slice())
        && let Some((repository, workflow)) = github(name)
    {
        return json!({"kind": "GitHub", "repository": repository, "workflow": workflow, "claims": claims});
    }
    json!({"kind": "Certificate", "claims": claims})
}

/// Whether the certificate says that it is for signing code.
pub(super) fn signs_code(certificate: &[u8]) -> bool {
    extension(certificate, KEY_USAGES).and_then(|value| content(SEQUENCE, value)).is_some_and(|list| {
        elements(list).any(|(tag, value)| tag == OBJECT_IDENTIFIER && value == CODE_SIGNING)
    })
}

/// Repository and workflow of a workflow's URL.
fn github(name: &str) -> Option<(&str, &str)> {
    let (repository, rest) = name.strip_prefix("https://github.com/")?.split_once("/.github/workflows/")?;
    let (workflow, _) = rest.split_once('@')?;
    let plain = |part: &str| !part.is_empty() && !part.contains('/');
    let (owner, name) = repository.split_once('/')?;
    (plain(owner) && plain(name) && plain(workflow)).then_some((repository, workflow))
}

/// The names that are texts.
fn alternative_names(certificate: &[u8]) -> Vec<&str> {
    let list = extension(certificate, ALTERNATIVE_NAMES).and_then(|value| content(SEQUENCE, value));
    elements(list.unwrap_or_default())
        .filter(|(tag, _)| matches!(*tag, EMAIL | DNS | URI))
        .filter_map(|(_, value)| std::str::from_utf8(value).ok())
        .collect()
}

fn issuer(certificate: &[u8]) -> Option<&str> {
    let new = extension(certificate, ISSUER).and_then(|value| content(UTF8_STRING, value));
    std::str::from_utf8(new.or_else(|| extension(certificate, OLD_ISSUER))?).ok()
}

/// An extension's value.
fn extension<'a>(certificate: &'a [u8], identifier: &[u8]) -> Option<&'a [u8]> {
    let signed = content(SEQUENCE, content(SEQUENCE, certificate)?)?;
    let (_, extensions) = elements(signed).find(|(tag, _)| *tag == EXTENSIONS)?;
    elements(content(SEQUENCE, extensions)?).find_map(|(_, one)| {
        let mut parts = elements(one);
        if parts.next()? != (OBJECT_IDENTIFIER, identifier) {
            return None;
        }
        // Whether it is critical may stand between.
        let (tag, value) = parts.find(|(tag, _)| *tag != BOOLEAN)?;
        (tag == OCTET_STRING).then_some(value)
    })
}

/// The content of the first element, if it has this tag.
fn content(tag: u8, input: &[u8]) -> Option<&[u8]> {
    elements(input).next().filter(|(found, _)| *found == tag).map(|(_, content)| content)
}

/// Elements in DER: tags and contents, up to the first that is malformed.
fn elements(mut input: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let (tag, content, rest) = element(input)?;
        input = rest;
        Some((tag, content))
    })
}

fn element(input: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = input.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81..=0x83 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
        }
        // Longer than any certificate here, or not DER.
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn elements_end_where_they_are_malformed() {
        let found = |input: &'static [u8]| elements(input).collect::<Vec<_>>();
        assert_eq!(found(&[4, 1, 7, 5, 0]), [(4, &[7][..]), (5, &[])]);
        assert_eq!(found(&[4, 0x81, 1, 7]), [(4, &[7][..])]);
        assert_eq!(found(&[4, 1, 7, 4, 2, 7]), [(4, &[7][..])]);
        for bad in [&[][..], &[4], &[4, 0x80], &[4, 0x82, 1], &[4, 0xff, 1, 1]] {
            assert!(elements(bad).next().is_none(), "{bad:?}");
        }
    }

    #[test]
    fn workflows_are_read_from_their_url() {
        let at = |path: &str| format!("https://github.com/{path}");
        assert_eq!(github(&at("o/r/.github/workflows/w.yml@refs/tags/v1")), Some(("o/r", "w.yml")));
        for bad in [
            "o/.github/workflows/w.yml@x",
            "o/r/.github/workflows/w.yml",
            "o/r/s/.github/workflows/w.yml@x",
            "o/r",
        ] {
            assert_eq!(github(&at(bad)), None, "{bad}");
        }
        assert_eq!(github("https://example.com/o/r/.github/workflows/w.yml@x"), None);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = (publisher(&bytes), signs_code(&bytes));
        }
    }
}
