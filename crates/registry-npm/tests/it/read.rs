//! Reading packuments, versions and tarballs.

use serde_json::json;

use crate::app::{Client as _, Document, Setup};

const ABBREVIATED: &str = "application/vnd.npm.install-v1+json";

#[tokio::test]
async fn checklist_2_the_form_is_negotiated_and_named() {
    let app = Setup::new().build();
    let mut document = Document::new("lib", "1.0.0");
    document.value["readme"] = json!("hello");
    app.publish(&document).await;
    for (accept, want) in [
        ("application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8, */*", ABBREVIATED),
        (ABBREVIATED, ABBREVIATED),
        ("application/json", "application/json"),
        ("*/*", "application/json"),
        ("image/png", "application/json"),
    ] {
        let reply =
            app.ask("GET", "/lib").token("alice-token").header("accept", accept).send().await.expect(200);
        assert_eq!(reply.header("content-type"), Some(want), "{accept}");
        assert_eq!(reply.json().get("readme").is_some(), want != ABBREVIATED);
        assert_eq!(reply.json()["versions"]["1.0.0"]["dist"]["fileCount"], 2);
    }
}

#[tokio::test]
async fn checklist_3_tarball_urls_follow_the_request() {
    let app = Setup::new().build();
    app.publish(&Document::new("@s/lib", "1.0.0")).await;
    for (host, want) in [
        ("registry.example.com", "http://registry.example.com/npm/@s/lib/-/lib-1.0.0.tgz"),
        ("other.example.com:8080", "http://other.example.com:8080/npm/@s/lib/-/lib-1.0.0.tgz"),
    ] {
        let ask = app.ask("GET", "/@s%2flib").token("alice-token").host(host);
        let reply = ask.header("x-forwarded-host", "evil.example.com").send().await.expect(200);
        assert_eq!(reply.json()["versions"]["1.0.0"]["dist"]["tarball"], want);
    }
}

#[tokio::test]
async fn checklist_8_all_spellings_reach_the_package() {
    let app = Setup::new().build();
    let document = Document::new("@s/n", "1.0.0");
    app.publish(&document).await;
    for name in ["@s/n", "@s%2fn", "@s%2Fn", "%40s/n", "%40s%2Fn"] {
        app.get(&format!("/{name}")).await.expect(200);
        app.get(&format!("/{name}/1.0.0")).await.expect(200);
        app.get(&format!("/{name}/latest")).await.expect(200);
        for file in ["n-1.0.0.tgz", "@s/n-1.0.0.tgz", "@s%2fn-1.0.0.tgz"] {
            assert_eq!(app.get(&format!("/{name}/-/{file}")).await.expect(200).body, document.tarball);
        }
        app.get(&format!("/-/package/{name}/dist-tags")).await.expect(200);
        app.get(&format!("/-/package/{name}/visibility")).await.expect(200);
    }
}

#[tokio::test]
async fn checklist_21_validators() {
    let app = Setup::new().build();
    app.publish(&Document::new("lib", "1.0.0")).await;
    let ask = |headers: &[(&str, &str)]| {
        let mut ask = app.ask("GET", "/lib").token("alice-token");
        for (name, value) in headers {
            ask = ask.header(name, value);
        }
        ask.send()
    };
    let full = ask(&[]).await.expect(200);
    let tag = full.header("etag").unwrap().to_owned();
    let modified = full.header("last-modified").unwrap().to_owned();
    assert_eq!(modified, "Wed, 04 Mar 2026 05:06:07 GMT");
    assert_eq!(full.header("cache-control"), Some("private, no-cache"));
    let vary = full.header("vary").unwrap();
    assert!(["Accept", "Accept-Encoding", "Authorization"].iter().all(|name| vary.contains(name)), "{vary}");
    for held in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".to_owned()] {
        let reply = ask(&[("if-none-match", &held)]).await;
        assert_eq!(reply.status, 304, "{held}");
        assert!(reply.body.is_empty());
    }
    assert_eq!(ask(&[("if-modified-since", &modified)]).await.status, 304);
    let both = [("if-none-match", "\"other\""), ("if-modified-since", modified.as_str())];
    assert_eq!(ask(&both).await.status, 200, "the tag wins");

    let abbreviated = ask(&[("accept", ABBREVIATED)]).await;
    assert_ne!(abbreviated.header("etag"), Some(tag.as_str()));
    let elsewhere = app.ask("GET", "/lib").token("alice-token").host("other.example.com").send().await;
    assert_ne!(elsewhere.header("etag"), Some(tag.as_str()), "other URLs, other bytes");
    let head = app.ask("HEAD", "/lib").token("alice-token").send().await.expect(200);
    assert!(head.body.is_empty());
    assert_eq!(head.headers, full.headers);

    // Every change changes it.
    app.clock.advance(std::time::Duration::from_secs(5));
    let mut last = tag;
    let set = app.ask("PUT", "/-/package/lib/dist-tags/next").token("alice-token").json(&json!("1.0.0"));
    set.send().await.expect(200);
    let patch = json!({"name": "lib", "versions": {"1.0.0": {"deprecated": "old"}}});
    for step in 0..3 {
        match step {
            1 => drop(app.ask("PUT", "/lib").token("alice-token").json(&patch).send().await.expect(201)),
            2 => drop(app.publish(&Document::new("lib", "1.1.0")).await),
            _ => {}
        }
        let reply = ask(&[("if-none-match", &last)]).await.expect(200);
        let next = reply.header("etag").unwrap().to_owned();
        assert_ne!(next, last);
        last = next;
    }
    assert_eq!(ask(&[]).await.header("last-modified"), Some("Wed, 04 Mar 2026 05:06:12 GMT"));
}

#[tokio::test]
async fn checklist_22_gzip() {
    let app = Setup::new().build();
    for n in 0..5 {
        app.publish(&Document::new("lib", &format!("1.{n}.0"))).await;
    }
    let plain = app.get("/lib").await;
    let packed = app.ask("GET", "/lib").token("alice-token").header("accept-encoding", "gzip").send().await;
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert_ne!(packed.header("etag"), plain.header("etag"));
    assert_eq!(packed.header("content-length"), Some(packed.body.len().to_string().as_str()));
    let mut text = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&*packed.body), &mut text).unwrap();
    assert_eq!(text, plain.body);
}

#[tokio::test]
async fn checklist_23_time_is_complete() {
    let app = Setup::new().build();
    app.publish(&Document::new("lib", "1.0.0")).await;
    app.clock.advance(std::time::Duration::from_mins(1));
    app.publish(&Document::new("lib", "1.1.0")).await;
    let want = json!({
        "created": "2026-03-04T05:06:07.890Z", "modified": "2026-03-04T05:07:07.890Z",
        "1.0.0": "2026-03-04T05:06:07.890Z", "1.1.0": "2026-03-04T05:07:07.890Z",
    });
    for accept in ["*/*", ABBREVIATED] {
        let reply = app.ask("GET", "/lib").token("alice-token").header("accept", accept).send().await;
        assert_eq!(reply.json()["time"], want);
    }
}

#[tokio::test]
async fn checklist_35_single_versions() {
    let app = Setup::new().build();
    app.publish(&Document::with("@s/n", "1.0.0", json!({"bin": "cli.js"}))).await;
    for wanted in ["1.0.0", "latest", "v1.0.0"] {
        let version = app.get(&format!("/@s%2fn/{wanted}")).await.expect(200).json();
        assert_eq!(version["_id"], "@s/n@1.0.0");
        assert_eq!(version["bin"], json!({"n": "cli.js"}));
        assert_eq!(version["dist"]["tarball"], "http://registry.example.com/npm/@s/n/-/n-1.0.0.tgz");
        assert!(version["dist"]["shasum"].is_string());
    }
    for missing in ["2.0.0", "next", "^1.0.0", "1", "a%2fb", "%25", "__proto__"] {
        app.get(&format!("/@s%2fn/{missing}")).await.expect(404);
    }
}

#[tokio::test]
async fn checklist_49_tarballs_in_part() {
    let app = Setup::new().build();
    let document = Document::new("lib", "1.0.0");
    app.publish(&document).await;
    let ask = |method: &str, name: &str, value: &str| {
        app.ask(method, "/lib/-/lib-1.0.0.tgz").token("alice-token").header(name, value).send()
    };
    let part = ask("GET", "range", "bytes=2-5").await.expect(206);
    assert_eq!(part.body, document.tarball[2..6]);
    let head = ask("HEAD", "accept", "*/*").await.expect(200);
    assert_eq!(head.header("content-length"), Some(document.tarball.len().to_string().as_str()));
    assert_eq!(head.header("accept-ranges"), Some("bytes"));
    assert!(head.header("cache-control").unwrap().contains("immutable"));
    let tag = head.header("etag").unwrap().to_owned();
    assert_eq!(ask("GET", "if-none-match", &tag).await.status, 304);
    assert_eq!(ask("GET", "range", "bytes=99999999-").await.status, 416);
    for missing in
        ["lib-2.0.0.tgz", "other-1.0.0.tgz", "lib-1.0.0.zip", "lib-1.0.0.tgz/x", "..%2fx-1.0.0.tgz"]
    {
        app.get(&format!("/lib/-/{missing}")).await.expect(404);
    }
}

#[tokio::test]
async fn checklist_34_attestations_are_stored_and_served() {
    let app = Setup::new().build();
    app.publish(&Document::new("@s/n", "1.0.0").attested()).await;
    let dist = &app.packument("@s/n").await["versions"]["1.0.0"]["dist"];
    let url = dist["attestations"]["url"].as_str().unwrap();
    assert_eq!(url, "http://registry.example.com/-/npm/v1/attestations/@s/n@1.0.0");
    assert_eq!(dist["attestations"]["provenance"]["predicateType"], "https://slsa.dev/provenance/v1");
    // Below the base, where npm looks, and at the host's root, as the URL says.
    for path in ["/-/npm/v1/attestations/@s/n@1.0.0", "/-/npm/v1/attestations/@s%2fn@1.0.0"] {
        let at_root = path.replace("%2f", "/");
        let ask = app.ask_at("GET", &at_root).token("alice-token");
        assert_eq!(ask.send().await.expect(200).body, app.get(path).await.body);
        let found = app.get(path).await.expect(200).json();
        assert_eq!(found["attestations"][0]["predicateType"], "https://slsa.dev/provenance/v1");
        assert_eq!(found["attestations"][0]["bundle"]["dsseEnvelope"]["signatures"][0]["sig"], "é\n\"x\"");
    }
    app.get("/-/npm/v1/attestations/@s%2fn@2.0.0").await.expect(404);
    app.ask("GET", "/-/npm/v1/attestations/@s%2fn@1.0.0").send().await.expect(401);
    app.publish(&Document::new("@s/n", "2.0.0")).await;
    app.get("/-/npm/v1/attestations/@s%2fn@2.0.0").await.expect(404);

    let mut bad = Document::new("@s/n", "3.0.0").attested();
    bad.value["_attachments"]["@s/n-3.0.0.sigstore"]["data"] = json!("{}");
    app.put(&bad, "alice-token", 400).await;
}

#[tokio::test]
async fn checklist_36_ping_and_what_is_not_there() {
    let app = Setup::new().build();
    assert_eq!(app.ask("GET", "/-/ping").send().await.expect(200).json(), json!({}));
    app.ask("GET", "/-/ping?write=true").send().await.expect(200);
    for path in ["/-/x", "/-/npm/v1/keys", "/-/all", "/-/stage", "/-/org/o/team", "/-/team/o/t/user", "/-"] {
        app.get(path).await.expect(404);
    }
    for (method, path, allow) in [
        ("POST", "/lib", "GET, HEAD, PUT"),
        ("DELETE", "/lib", "GET, HEAD, PUT"),
        ("PUT", "/lib/1.0.0", "GET, HEAD"),
        ("POST", "/-/whoami", "GET, HEAD"),
        ("GET", "/-/v1/login", "POST"),
        ("PATCH", "/-/npm/v1/tokens", "GET, HEAD, POST"),
    ] {
        let reply = app.ask(method, path).token("alice-token").send().await.expect(405);
        assert_eq!(reply.header("allow"), Some(allow));
    }
    for (method, path) in [
        ("PUT", "/-/pnpm/v1/publish"),
        ("POST", "/-/npm/v1/oidc/token/exchange/package/lib"),
        ("GET", "/-/package/lib/trust"),
        ("POST", "/-/stage/package/lib"),
    ] {
        app.ask(method, path).token("alice-token").json(&json!({})).send().await.expect(404);
    }
    let ask = app.ask_at("POST", "/-/npm/v1/oidc/token/exchange/package/lib").token("alice-token");
    ask.json(&json!({})).send().await.expect(404);
}

#[tokio::test]
async fn checklist_53_slashes_too_many() {
    let app = Setup::new().build();
    app.publish(&Document::new("@s/n", "1.0.0")).await;
    for path in ["//@s/n", "/@s/n/", "//@s%2fn/1.0.0/", "//-/ping", "/-/ping/"] {
        app.get(path).await.expect(200);
    }
}

#[tokio::test]
async fn checklist_32_audits_are_answered() {
    let app = Setup::new().build();
    let post = |path: &str, body: Vec<u8>, encoding: &str| {
        app.ask("POST", path).token("alice-token").header("content-encoding", encoding).body(body).send()
    };
    let bulk = br#"{"lib":["1.0.0"]}"#;
    let bulk_path = "/-/npm/v1/security/advisories/bulk";
    assert_eq!(post(bulk_path, bulk.to_vec(), "identity").await.expect(200).json(), json!({}));
    assert_eq!(
        post(bulk_path, registry_core::testing::archives::gzip(bulk), "gzip").await.expect(200).json(),
        json!({})
    );
    post(bulk_path, b"[]".to_vec(), "identity").await.expect(400);
    let tree = br#"{"name":"x","requires":{},"dependencies":{"a":{"version":"1","dependencies":{"b":{"dev":true}}}},"metadata":{}}"#;
    for path in ["/-/npm/v1/security/audits", "/-/npm/v1/security/audits/quick"] {
        let report =
            post(path, registry_core::testing::archives::gzip(tree), "gzip").await.expect(200).json();
        assert_eq!(report["advisories"], json!({}));
        assert_eq!(report["metadata"]["vulnerabilities"]["critical"], 0);
        assert_eq!(report["metadata"]["totalDependencies"], 2);
    }
}

#[tokio::test]
async fn checklist_41_a_packument_of_many_versions_is_rendered_once() {
    let app = Setup::new().build();
    for n in 0..205 {
        app.publish(&Document::new("lib", &format!("1.0.{n}"))).await;
    }
    let reads = (0..8).map(|_| app.get("/lib"));
    let replies = futures_util::future::join_all(reads).await;
    assert!(replies.iter().all(|reply| reply.status == 200 && reply.body == replies[0].body));
    assert_eq!(replies[0].json()["versions"].as_object().unwrap().len(), 205);
}

#[tokio::test]
async fn checklist_52_two_instances_of_the_program_share_a_store() {
    let app = Setup::new().build();
    let other = registry_npm::NpmRegistry::new(
        app.instance.clone(),
        app.services.clone(),
        registry_npm::NpmConfig::default(),
    );
    app.publish(&Document::new("lib", "1.0.0")).await;
    let other = crate::app::App {
        registry: other,
        services: app.services.clone(),
        clock: std::sync::Arc::clone(&app.clock),
        instance: app.instance.clone(),
        prefix: app.prefix,
    };
    other.get("/lib/-/lib-1.0.0.tgz").await.expect(200);
    other.publish(&Document::new("lib", "1.1.0")).await;
    assert_eq!(app.packument("lib").await["versions"].as_object().unwrap().len(), 2);
}

#[tokio::test]
async fn checklist_59_odd_keys_round_trip() {
    let app = Setup::new().build();
    let dependencies = json!({"__proto__": "1.0.0", "constructor": "^2"});
    app.publish(&Document::with("lib", "1.0.0", json!({"dependencies": dependencies})).tag("__proto__"))
        .await;
    let packument = app.packument("lib").await;
    assert_eq!(packument["versions"]["1.0.0"]["dependencies"], dependencies);
    assert_eq!(packument["dist-tags"]["__proto__"], "1.0.0");
}

#[tokio::test]
async fn anonymous_caching_is_a_setting() {
    let mut setup = Setup::open();
    setup.config.anonymous_max_age_seconds = Some(60);
    let app = setup.build();
    app.publish(&Document::new("lib", "1.0.0")).await;
    let cache = async |ask: crate::app::Ask<'_>| ask.send().await.header("cache-control").unwrap().to_owned();
    assert_eq!(cache(app.ask("GET", "/lib")).await, "public, max-age=60");
    assert_eq!(cache(app.ask("GET", "/lib?write=true")).await, "private, no-cache");
    assert_eq!(cache(app.ask("GET", "/lib").token("alice-token")).await, "private, no-cache");
}
