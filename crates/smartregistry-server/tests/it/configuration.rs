//! Where settings come from, and how wrong ones are told.

use crate::harness::{ADMIN, Place};

#[test]
fn check_config_says_what_it_comes_to() {
    let place = Place::new("listen = '1.2.3.4:5'\n[[registry]]\nname = 'npm-internal'\nprotocol = 'npm'");
    let text = place.run(&["check-config", "--storage", "file:elsewhere"]).ok();
    for line in [
        "listen      http://1.2.3.4:5",
        "storage     file:elsewhere",
        "registry    cargo (cargo) at /cargo",
        "registry    npm (npm) at /npm",
        "registry    oci (oci) at /v2 and /oci",
        "registry    npm-internal (npm) at /npm-internal",
    ] {
        assert!(text.lines().any(|l| l == line), "{line}\n{text}");
    }
    assert!(!place.path().join("elsewhere").exists(), "nothing is opened");
}

#[test]
fn every_kind_of_mistake_is_told_before_anything_starts() {
    for (config, expect) in [
        ("listn = 'x'", "unknown key `listn`; the nearest known one is `listen`"),
        ("[storage]\nurl = 'ftp://x'", "`storage.url`"),
        ("[auth]\nanonymous = ['nonsense']", "`auth.anonymous`"),
        ("[[upstreams.npm]]\nid = 'x'", "`upstreams.npm[0].url`: is missing"),
        ("[[upstreams.other]]\nid = 'x'", "there is no registry named other"),
        ("[npm]\nmembers = ['a']", "`npm.members` is not supported in this version"),
        ("[npm]\nweb_login = 'perhaps'", "npm"),
        ("[oci]\nmax_tags_per_push = -1", "oci"),
        ("[[registry]]\nname = 'x'\nprotocol = 'npm'\nallow_sparse = true", "allow_sparse"),
        ("[pypi]\nattestation_roots = 'no.pem'", "`pypi.attestation_roots`: cannot read no.pem"),
        ("listen = ", "smartregistry.toml, line 1"),
        ("[tls]\ncert = 'no.pem'\nkey = 'no.pem'", "no.pem"),
    ] {
        let place = Place::new(config);
        for command in ["check-config", "serve"] {
            let error = place.run(&[command]).fails(1);
            assert!(error.contains(expect), "{command}: {config}\n{error}");
        }
        assert!(!place.path().join("smartregistry-data").exists());
    }
}

#[test]
fn variables_and_flags_win_and_unknown_variables_are_refused() {
    let place = Place::new("listen = '1.2.3.4:5'");
    let check = |variables: &[(&str, &str)], arguments: &[&str]| {
        let mut command = place.command(arguments);
        command.envs(variables.iter().copied());
        let output = command.output().unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr),
        )
    };
    let listen = ("SMARTREGISTRY_LISTEN", "2.3.4.5:6");
    assert!(check(&[listen], &["check-config"]).1.contains("http://2.3.4.5:6"));
    assert!(check(&[listen], &["check-config", "--listen", "3.4.5.6:7"]).1.contains("http://3.4.5.6:7"));
    let (code, text) = check(&[("SMARTREGISTRY_STORAGE_URL", "memory:")], &["check-config"]);
    assert_eq!(code, Some(1));
    assert!(
        text.contains("SMARTREGISTRY_STORAGE_URL") && text.contains("SMARTREGISTRY_STORAGE__URL"),
        "{text}"
    );
    let other = place.write("other.toml", "listen = '4.5.6.7:8'");
    let other = other.to_str().unwrap();
    assert!(check(&[], &["check-config", "--config", other]).1.contains("http://4.5.6.7:8"));
    assert!(check(&[("SMARTREGISTRY_CONFIG", other)], &["check-config"]).1.contains("http://4.5.6.7:8"));
    assert_eq!(check(&[], &["check-config", "--config", "missing.toml"]).0, Some(1));
    let (code, text) = check(&[("SMARTREGISTRY_ADMIN_TOKEN", "short")], &["check-config"]);
    assert!(code == Some(1) && text.contains("SMARTREGISTRY_ADMIN_TOKEN"), "{text}");
    let (code, text) = check(&[("SMARTREGISTRY_NPM__MEMBERS", "[]")], &["check-config"]);
    assert!(code == Some(1) && text.contains("not supported in this version"), "{text}");
    let upstream = "[{ id = 'a', url = 'https://registry.example.com' }]";
    let (code, text) = check(&[("SMARTREGISTRY_UPSTREAMS__NPM", upstream)], &["check-config"]);
    assert!(code == Some(0) && text.contains("upstream    a of npm"), "{text}");
}

#[test]
fn anonymous_scopes_from_the_environment_open_the_registry() {
    let place = Place::new("");
    let server = place.serve_as(&["--listen", "127.0.0.1:0"], |command| {
        command.env("SMARTREGISTRY_AUTH__ANONYMOUS", r#"["npm:package:*:read"]"#);
        command.env("SMARTREGISTRY_ADMIN_TOKEN", ADMIN);
    });
    assert_eq!(server.get("/npm/lib").status, 404);
    assert_eq!(server.request("PUT", "/npm/lib", &[], "{}").status, 401);
    server.stop();
}

#[test]
fn secrets_are_in_no_message() {
    let place = Place::new(
        "[auth]\njwt_secret = 'hunter2hunter2hunter2hunter2hunter2'\n[storage]\nsecret_access_key = 'hunter2'\n[log]\nlevel = 'trace'",
    );
    assert!(!place.run(&["check-config"]).ok().contains("hunter2"));
    let server = place.serve();
    server.get_as(ADMIN, "/v2/token?service=x");
    server.request(
        "GET",
        "/v2/token",
        &[("authorization", "Basic YWRtaW46YWRtaW5pc3RyYXRvcnMtb3duLXRva2Vu")],
        "",
    );
    let lines = server.stop().join("\n");
    for secret in ["hunter2", ADMIN, "YWRtaW46YWRtaW5pc3RyYXRvcnMtb3duLXRva2Vu"] {
        assert!(!lines.contains(secret), "{secret} is in the log");
    }
}
