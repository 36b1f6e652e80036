//! Attestations: verified on their way in, and served as the provenance of their file.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    PKCS_ECDSA_P384_SHA384, SanType, SigningKey as _, date_time_ymd,
};
use registry_core::storage::{Digests, WantedDigests};
use registry_pypi::AttestationRoots;
use serde_json::{Value, json};

use crate::app::{App, Client as _, Form, J, Setup};

const WHEEL: &str = "foo-1.0-py3-none-any.whl";
const WORKFLOW: &str = "https://github.com/acme/foo/.github/workflows/release.yml@refs/tags/v1";
const INTEGRITY: &str = "/pypi/integrity/foo/1.0/foo-1.0-py3-none-any.whl/provenance";

/// The UTF8String `https://token.actions.githubusercontent.com`.
fn github_issuer() -> Vec<u8> {
    let text = b"https://token.actions.githubusercontent.com";
    [&[0x0c, u8::try_from(text.len()).unwrap()][..], text].concat()
}

/// Who makes certificates: a root, and an intermediate of it.
struct Authority {
    pem: String,
    intermediate: Issuer<'static, KeyPair>,
}

/// A certificate and its key.
struct Signer {
    certificate: Vec<u8>,
    key: KeyPair,
}

impl Authority {
    fn new(name: &str) -> Self {
        let ca = |name: String| {
            let mut params = CertificateParams::default();
            params.distinguished_name.push(rcgen::DnType::CommonName, name);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2040, 1, 1);
            params
        };
        let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
        let root = ca(format!("{name} root"));
        let mut pem = root.self_signed(&key).unwrap().pem();
        let root = Issuer::new(root, key);
        let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
        let params = ca(format!("{name} intermediate"));
        pem += &params.signed_by(&key, &root).unwrap().pem();
        Self { pem, intermediate: Issuer::new(params, key) }
    }

    fn roots(&self) -> AttestationRoots {
        AttestationRoots::from_pem(self.pem.as_bytes()).unwrap()
    }

    /// A certificate of the one day on which the tests run.
    fn signer(&self) -> Signer {
        self.signer_with(|_| {})
    }

    fn signer_with(&self, change: impl FnOnce(&mut CertificateParams)) -> Signer {
        let mut params = CertificateParams::default();
        params.not_before = date_time_ymd(2026, 3, 4);
        params.not_after = date_time_ymd(2026, 3, 5);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
        params.subject_alt_names = vec![SanType::URI(WORKFLOW.try_into().unwrap())];
        let issuer = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 57264, 1, 8], github_issuer());
        params.custom_extensions = vec![issuer];
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        Signer { certificate: params.signed_by(&key, &self.intermediate).unwrap().der().to_vec(), key }
    }
}

impl Signer {
    /// Its attestation of a statement.
    fn attest(&self, statement: &Value) -> Value {
        let statement = statement.to_string();
        let kind = "application/vnd.in-toto+json";
        let signed = format!("DSSEv1 {} {kind} {} {statement}", kind.len(), statement.len());
        json!({
            "version": 1,
            "verification_material": {
                "certificate": STANDARD.encode(&self.certificate),
                "transparency_entries": [{"logIndex": "1"}],
            },
            "envelope": {
                "statement": STANDARD.encode(&statement),
                "signature": STANDARD.encode(self.key.sign(signed.as_bytes()).unwrap()),
            },
        })
    }
}

fn statement(form: &Form) -> Value {
    let sha256 = Digests::of(form.content(), WantedDigests::default()).sha256;
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": WHEEL, "digest": {"sha256": sha256}}],
        "predicateType": "https://example.com/attestations/publish/v1",
        "predicate": null,
    })
}

fn app(authority: &Authority) -> App {
    let mut setup = Setup::open();
    setup.config.attestation_roots = Some(authority.roots());
    setup.build()
}

fn with(form: &Form, attestations: &Value) -> Form {
    form.clone().and("attestations", &attestations.to_string())
}

#[tokio::test]
async fn checklist_55_a_good_attestation_is_taken_and_served_as_it_came() {
    let authority = Authority::new("a");
    let wheel = Form::wheel("foo", "1.0");
    for content_first in [false, true] {
        let app = app(&authority);
        let attestation = authority.signer().attest(&statement(&wheel));
        // Spaces and the order of keys are kept.
        let text = serde_json::to_string_pretty(&attestation).unwrap();
        let other = authority.signer_with(|params| {
            params.custom_extensions.clear();
            params.subject_alt_names.push(SanType::Rfc822Name("a@example.com".try_into().unwrap()));
        });
        let other = other.attest(&statement(&wheel));
        let mut form = wheel.clone().and("attestations", &format!("[{text}, {other}]"));
        form.content_first = content_first;
        app.upload(&form).await;
        assert_eq!(app.objects().await.len(), 4);

        let page = app.page("foo").await;
        let url = format!("http://registry.example.com/simple/foo/{WHEEL}.provenance");
        assert_eq!(page["files"][0]["provenance"], url);
        let html = app.ask("GET", "/simple/foo/").header("accept", "text/html").send().await.expect(200);
        assert!(html.text().contains(&format!(" data-provenance=\"{url}\"")), "{}", html.text());

        for path in [INTEGRITY, &url["http://registry.example.com".len()..]] {
            let reply = app.ask("GET", path).send().await.expect(200);
            assert_eq!(reply.header("content-type"), Some("application/vnd.pypi.integrity.v1+json"));
            assert!(reply.header("vary").unwrap().starts_with("Accept"));
            assert!(reply.text().contains(&text));
            let claims =
                |issuer: Value, names: Value| json!({"issuer": issuer, "subject_alternative_names": names});
            let github = json!({
                "kind": "GitHub", "repository": "acme/foo", "workflow": "release.yml",
                "claims": claims(json!("https://token.actions.githubusercontent.com"), json!([WORKFLOW])),
            });
            let plain = json!({
                "kind": "Certificate", "claims": claims(Value::Null, json!([WORKFLOW, "a@example.com"])),
            });
            let want = json!({"version": 1, "attestation_bundles": [
                {"publisher": github, "attestations": [attestation]},
                {"publisher": plain, "attestations": [other]},
            ]});
            assert_eq!(reply.json(), want);
        }
        assert_eq!(app.faults().await, Vec::<String>::new());
        // They go with their file.
        app.ask("DELETE", "/pypi/foo").token("alice-token").send().await.expect(200);
        app.get(INTEGRITY).await.expect(404);
        app.collect(app.now() + Duration::from_hours(2), Duration::from_hours(1), false).await;
        assert_eq!(app.objects().await.len(), 1);
    }
}

#[tokio::test]
async fn checklist_55_a_provenance_is_negotiated_and_may_be_missing() {
    let authority = Authority::new("a");
    let app = app(&authority);
    let wheel = Form::wheel("foo", "1.0");
    app.upload(&with(&wheel, &json!([authority.signer().attest(&statement(&wheel))]))).await;
    app.upload(&Form::sdist("foo", "1.0", "")).await;
    app.upload(&with(&Form::wheel("foo", "1.1"), &json!([]))).await;
    let accepting = async |accept: &str| app.ask("GET", INTEGRITY).header("accept", accept).send().await;
    for (accept, want) in [
        ("application/json", "application/json"),
        (
            "application/json;q=0.5, application/vnd.pypi.integrity.v1+json",
            "application/vnd.pypi.integrity.v1+json",
        ),
        ("*/*", "application/vnd.pypi.integrity.v1+json"),
    ] {
        assert_eq!(accepting(accept).await.expect(200).header("content-type"), Some(want), "{accept}");
    }
    for accept in ["text/html", J, "application/json;q=0"] {
        let reply = accepting(accept).await.expect(406);
        assert!(reply.text().contains("application/vnd.pypi.integrity.v1+json"));
    }
    for path in [
        "/pypi/integrity/foo/1.0/foo-1.0.tar.gz/provenance",
        "/pypi/integrity/foo/1.1/foo-1.1-py3-none-any.whl/provenance",
        "/pypi/integrity/foo/2.0/foo-1.0-py3-none-any.whl/provenance",
        "/pypi/integrity/foo/x/foo-1.0-py3-none-any.whl/provenance",
        "/pypi/integrity/bar/1.0/foo-1.0-py3-none-any.whl/provenance",
        "/simple/foo/foo-1.0.tar.gz.provenance",
    ] {
        app.get(path).await.expect(404);
    }
    // A version in another spelling is the same.
    app.get("/pypi/integrity/foo/1.0.0/foo-1.0-py3-none-any.whl/provenance").await.expect(200);
    app.ask("POST", INTEGRITY).token("alice-token").send().await.expect(405);
    // The page is told by whole URLs, so each host has its own.
    let ask = app.ask("GET", "/simple/foo/").host("other.example.com").token("alice-token");
    let other = ask.header("accept", J).send().await.expect(200).json();
    let url = format!("http://other.example.com/simple/foo/{WHEEL}.provenance");
    assert_eq!(other["files"][0]["provenance"], url);
    let page = app.page("foo").await;
    let found: Vec<bool> =
        page["files"].as_array().unwrap().iter().map(|f| f["provenance"].is_null()).collect();
    assert_eq!(found, [false, true, true]);
}

#[tokio::test]
async fn checklist_55_what_does_not_verify_is_refused_and_nothing_changes() {
    let authority = Authority::new("a");
    let app = app(&authority);
    let wheel = Form::wheel("foo", "1.0");
    let good = statement(&wheel);
    let signer = authority.signer();
    let changed = |at: &str, value: Value| {
        let mut changed = good.clone();
        *changed.pointer_mut(at).unwrap() = value;
        signer.attest(&changed)
    };
    let tampered = {
        let mut attestation = signer.attest(&good);
        attestation["envelope"]["statement"] = json!(STANDARD.encode(format!(" {good}")));
        attestation
    };
    let with_foreign_key = {
        let mut attestation = signer.attest(&good);
        attestation["envelope"]["signature"] =
            authority.signer().attest(&good)["envelope"]["signature"].clone();
        attestation
    };
    let subject = good["subject"][0].clone();
    for (attestation, words) in [
        (changed("/subject/0/digest/sha256", json!("0".repeat(64))), "is about a file with another SHA-256"),
        (changed("/subject/0/name", json!("bar-1.0-py3-none-any.whl")), "is about another file than foo-1.0"),
        (changed("/subject", json!([subject, subject])), "2 subjects"),
        (changed("/_type", json!("x")), "not of the type"),
        (tampered, "has a signature that is not of its certificate's key"),
        (with_foreign_key, "has a signature that is not of its certificate's key"),
        // Even under the same name.
        (Authority::new("a").signer().attest(&good), "cannot be verified"),
        (Authority::new("b").signer().attest(&good), "does not lead to a root"),
        (authority.signer_with(|p| p.extended_key_usages.clear()).attest(&good), "not for signing code"),
        (
            authority
                .signer_with(|p| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth])
                .attest(&good),
            "not for signing code",
        ),
        (
            authority.signer_with(|p| p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)).attest(&good),
            "cannot be",
        ),
        (json!({"version": 1}), "malformed"),
        (json!(1), "malformed"),
    ] {
        for content_first in [false, true] {
            // A good one before it does not help.
            let mut form = with(&wheel, &json!([signer.attest(&good), attestation]));
            form.content_first = content_first;
            app.refused(&form, 400, "attestation 2 ").await;
            app.refused(&form, 400, words).await;
        }
    }
    for (text, words) in [
        ("{}", "not a JSON array"),
        ("[", "not a JSON array"),
        ("[] x", "not a JSON array"),
        (&format!("[{}]", vec!["1"; 17].join(",")), "more than 16"),
        (&format!("[{}]", " ".repeat(512 << 10)), "larger than"),
    ] {
        app.refused(&wheel.clone().and("attestations", text), 400, words).await;
    }
    let twice = with(&with(&wheel, &json!([])), &json!([]));
    app.refused(&twice, 400, "several values").await;
    assert_eq!(app.objects().await, []);
    // The same file again is judged alike.
    app.upload(&with(&wheel, &json!([signer.attest(&good)]))).await;
    app.refused(&with(&wheel, &json!([changed("/_type", json!("x"))])), 400, "not of the type").await;
    app.upload(&with(&wheel, &json!([signer.attest(&good)]))).await;
}

#[tokio::test]
async fn a_certificate_counts_for_a_day_after_its_end() {
    let authority = Authority::new("a");
    let app = app(&authority);
    let wheel = Form::wheel("foo", "1.0");
    let of = |from: (i32, u8, u8), to: (i32, u8, u8)| {
        let signer = authority.signer_with(|params| {
            params.not_before = date_time_ymd(from.0, from.1, from.2);
            params.not_after = date_time_ymd(to.0, to.1, to.2);
        });
        with(&wheel, &json!([signer.attest(&statement(&wheel))]))
    };
    // It is five in the morning of the fourth of March 2026.
    app.refused(&of((2026, 3, 1), (2026, 3, 3)), 400, "ended more than a day before").await;
    app.refused(&of((2026, 3, 5), (2026, 3, 6)), 400, "not valid yet").await;
    app.upload(&of((2026, 3, 3), (2026, 3, 4))).await;
}

#[tokio::test]
async fn checklist_55_attestations_are_ignored_where_no_root_is_named() {
    let app = Setup::open().build();
    let form = Form::wheel("foo", "1.0").and("attestations", "[{").and("attestations", "x");
    app.upload(&form).await;
    assert_eq!(app.objects().await.len(), 3);
    assert!(app.page("foo").await["files"][0]["provenance"].is_null());
    let html = app.ask("GET", "/simple/foo/").header("accept", "text/html").send().await.expect(200);
    assert!(!html.text().contains("data-provenance"));
    app.get(INTEGRITY).await.expect(404);
}

#[test]
fn roots_are_read_from_pem() {
    let authority = Authority::new("a");
    let refused = |pem: &str| AttestationRoots::from_pem(pem.as_bytes()).unwrap_err().to_string();
    assert!(refused("").contains("no root"));
    assert!(refused("nonsense").contains("no root"));
    let at = authority.pem.rfind("-----BEGIN").unwrap();
    assert!(refused(&authority.pem[at..]).contains("no root"));
    let broken = "-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----\n";
    assert!(refused(&format!("{}{broken}", authority.pem)).contains("certificate 3 cannot be read"));
    assert!(refused("-----BEGIN CERTIFICATE-----\nAQID\n").contains("certificate 1 cannot be read"));
    assert_eq!(authority.roots(), authority.roots());
}
