//! One attestation: its form, and what its statement says.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustls_pki_types::CertificateDer;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Map, Value};

use crate::names::FileName;

/// The type of a statement in its envelope.
const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// The type that a statement gives itself.
const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";

/// An attestation that was read. Nothing of it is verified yet.
#[derive(Clone, Debug)]
pub(super) struct Attestation {
    pub(super) certificate: CertificateDer<'static>,
    pub(super) signature: Vec<u8>,
    statement: Vec<u8>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    version: u64,
    verification_material: Material,
    envelope: Envelope,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Material {
    certificate: String,
    /// Kept and served. They are read as a tree, whose depth the parser limits.
    #[serde(rename = "transparency_entries")]
    _transparency_entries: Vec<Map<String, Value>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope {
    statement: String,
    signature: String,
}

#[derive(Deserialize)]
struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Subject>,
    #[serde(rename = "predicateType")]
    predicate_type: String,
    #[serde(rename = "predicate", default)]
    _predicate: IgnoredAny,
}

#[derive(Deserialize)]
struct Subject {
    name: String,
    digest: BTreeMap<String, String>,
}

impl Attestation {
    /// Reads one. The error goes on after "attestation N".
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let raw: Raw = serde_json::from_str(text).map_err(|error| format!("is malformed: {error}"))?;
        if raw.version != 1 {
            return Err(format!("has the version {}: 1 is known", raw.version));
        }
        let decode = |what: &str, text: &str| {
            STANDARD.decode(text).map_err(|_| format!("is malformed: its {what} is not base64"))
        };
        Ok(Self {
            certificate: decode("certificate", &raw.verification_material.certificate)?.into(),
            signature: decode("signature", &raw.envelope.signature)?,
            statement: decode("statement", &raw.envelope.statement)?,
        })
    }

    /// Whether the statement is about this file alone.
    pub(super) fn check_subject(&self, file: &FileName, sha256: &str) -> Result<(), String> {
        let statement: Statement = serde_json::from_slice(&self.statement)
            .map_err(|error| format!("has a statement that is not one of in-toto: {error}"))?;
        if statement.kind != STATEMENT_TYPE {
            return Err(format!("has a statement that is not of the type {STATEMENT_TYPE}"));
        }
        if statement.predicate_type.is_empty() {
            return Err("has a statement without a predicateType".to_owned());
        }
        let [subject] = statement.subject.as_slice() else {
            return Err(format!(
                "has a statement about {} subjects: it must be one",
                statement.subject.len()
            ));
        };
        if !subject.name.parse::<FileName>().is_ok_and(|name| name.is_same_file(file)) {
            return Err(format!("is about another file than {file}"));
        }
        match subject.digest.get("sha256") {
            Some(found) if found == sha256 => Ok(()),
            Some(_) => Err("is about a file with another SHA-256".to_owned()),
            None => Err("has a statement without its subject's sha256".to_owned()),
        }
    }

    /// What is signed.
    pub(super) fn signed(&self) -> Vec<u8> {
        pre_authentication_encoding(PAYLOAD_TYPE, &self.statement)
    }
}

/// What an envelope's signature is over (DSSE, version 1): type and payload, each with its length in bytes before it.
fn pre_authentication_encoding(kind: &str, payload: &[u8]) -> Vec<u8> {
    let mut out = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).into_bytes();
    out.extend_from_slice(payload);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const FILE: &str = "foo-1.0-py3-none-any.whl";

    fn of(statement: &Value) -> Attestation {
        let statement = statement.to_string().into_bytes();
        Attestation { certificate: Vec::new().into(), signature: Vec::new(), statement }
    }

    fn statement() -> Value {
        json!({
            "_type": STATEMENT_TYPE,
            "subject": [{"name": FILE, "digest": {"sha256": "ab", "sha512": "cd"}, "uri": "x"}],
            "predicateType": "https://example.com/publish/v1",
            "predicate": null,
        })
    }

    fn attestation() -> Value {
        json!({
            "version": 1,
            "verification_material": {"certificate": "AQI=", "transparency_entries": [{"a": [1]}]},
            "envelope": {"statement": "e30=", "signature": "Aw=="},
        })
    }

    #[test]
    fn an_envelope_signs_type_and_payload_with_their_lengths_in_bytes() {
        assert_eq!(
            pre_authentication_encoding("http://example.com/HelloWorld", b"hello world"),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
        let two_bytes = pre_authentication_encoding("\u{e9}", "\u{e9} ".as_bytes());
        assert_eq!(two_bytes, "DSSEv1 2 \u{e9} 3 \u{e9} ".as_bytes());
        assert_eq!(pre_authentication_encoding("", b""), b"DSSEv1 0  0 ");
        let signed = Attestation::parse(&attestation().to_string()).unwrap().signed();
        assert_eq!(signed, b"DSSEv1 28 application/vnd.in-toto+json 2 {}");
    }

    #[test]
    fn an_attestation_is_read_strictly() {
        let read = Attestation::parse(&attestation().to_string()).unwrap();
        assert_eq!((read.certificate.as_ref(), read.signature.as_slice()), (&[1, 2][..], &[3][..]));
        for (at, value, words) in [
            ("/version", json!(2), "version 2"),
            ("/version", json!("1"), "malformed"),
            ("/envelope/signature", json!("Aw"), "signature is not base64"),
            ("/envelope/statement", json!("e30=\n"), "statement is not base64"),
            ("/verification_material/certificate", json!("-----"), "certificate is not base64"),
            ("/verification_material/transparency_entries", json!([1]), "malformed"),
            ("/envelope", json!({"statement": "e30=", "signature": "Aw==", "more": 1}), "more"),
        ] {
            let mut changed = attestation();
            *changed.pointer_mut(at).unwrap() = value;
            let error = Attestation::parse(&changed.to_string()).unwrap_err();
            assert!(error.contains(words), "{at}: {error}");
        }
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        let deep = attestation().to_string().replace("[1]", &deep);
        assert!(Attestation::parse(&deep).unwrap_err().contains("recursion limit"));
    }

    #[test]
    fn a_statement_is_about_one_file_and_this_one() {
        let file: FileName = FILE.parse().unwrap();
        of(&statement()).check_subject(&file, "ab").unwrap();
        // A version in another spelling is the same file.
        of(&statement()).check_subject(&"foo-1.0.0-py3-none-any.whl".parse().unwrap(), "ab").unwrap();
        let subject = statement()["subject"][0].clone();
        for (at, value, words) in [
            ("/_type", json!("https://in-toto.io/Statement/v0.1"), "not of the type"),
            ("/_type", json!(1), "not one of in-toto"),
            ("/subject", json!([]), "0 subjects"),
            ("/subject", json!([subject, subject]), "2 subjects"),
            ("/predicateType", json!(""), "predicateType"),
            ("/subject/0/name", json!("foo-1.0-py2-none-any.whl"), "another file"),
            ("/subject/0/name", json!("foo-1.1-py3-none-any.whl"), "another file"),
            ("/subject/0/name", json!("foo-1.0.tar.gz"), "another file"),
            ("/subject/0/name", json!("x"), "another file"),
            ("/subject/0/digest", json!({"sha256": "aa"}), "another SHA-256"),
            ("/subject/0/digest", json!({"sha512": "ab"}), "without its subject's sha256"),
        ] {
            let mut changed = statement();
            *changed.pointer_mut(at).unwrap() = value;
            let error = of(&changed).check_subject(&file, "ab").unwrap_err();
            assert!(error.contains(words), "{at}: {error}");
        }
        let twice = statement().to_string().replacen('{', r#"{"subject":[],"#, 1);
        let twice = Attestation { statement: twice.into_bytes(), ..of(&statement()) };
        assert!(twice.check_subject(&file, "ab").unwrap_err().contains("duplicate field"));
    }

    proptest! {
        #[test]
        fn no_text_panics(
            text in "\\PC{0,60}",
            odd in r#"(\{|\}|\[|\]|:|,|"version"|1|"envelope"|"verification_material"|"statement"|"e30="|null){0,20}"#,
            statement in r#"(\{|\}|\[|\]|:|,|"_type"|"subject"|"name"|"digest"|"sha256"|"x"|1){0,20}"#,
        ) {
            for text in [&text, &odd] {
                let _ = Attestation::parse(text);
            }
            let read = Attestation { statement: statement.into_bytes(), ..of(&Value::Null) };
            prop_assert!(read.check_subject(&FILE.parse().unwrap(), "ab").is_err());
        }
    }
}
