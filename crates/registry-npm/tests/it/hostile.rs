//! What a publisher or a stranger could send to do harm: it is refused, or harms nobody else.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use registry_core::{catalog::Catalog, clock::ManualClock};
use serde_json::{Value, json};

use crate::app::{App, Client as _, Document, Reply, Setup, tarball};

async fn put(app: &App, text: impl Into<String>) -> Reply {
    app.ask("PUT", "/lib").token("alice-token").body(text.into()).send().await
}

/// Arrays in arrays.
fn nested(levels: usize) -> String {
    format!("{}{}", "[".repeat(levels), "]".repeat(levels))
}

#[tokio::test]
async fn a_member_that_stands_twice_smuggles_nothing() {
    let app = Setup::new().build();
    let document = Document::new("lib", "1.0.0");
    let text = document.value.to_string();
    let attachments = document.value["_attachments"].to_string();
    let data = format!("\"data\":\"{}\"", STANDARD.encode(&document.tarball));
    let versions = document.value["versions"].to_string();
    for twice in [
        text.replacen('{', &format!("{{\"_attachments\":{attachments},"), 1),
        text.replacen('{', "{\"_attachments\":{},", 1),
        text.replacen('{', "{\"name\":\"lib\",", 1),
        text.replacen('{', "{\"_id\":\"other\",", 1),
        text.replacen('{', &format!("{{\"versions\":{versions},"), 1),
        text.replacen("\"_attachments\":{", &format!("\"_attachments\":{{\"lib-1.0.0.tgz\":{{{data}}},"), 1),
        text.replacen(&data, &format!("{data},{data}"), 1),
        text.replacen(&data, &format!("{data},\"data\":\"\""), 1),
    ] {
        assert_ne!(twice, text);
        put(&app, twice).await.expect(400);
        assert!(app.keys().await.is_empty());
    }
    // Within a manifest the last counts, as for every reader of JSON; what is checked is what is served.
    let twice =
        text.replacen("\"description\":\"about lib\"", "\"version\":\"6.6.6\",\"description\":\"a\"", 1);
    assert_ne!(twice, text);
    put(&app, twice).await.expect(201);
    assert_eq!(app.packument("lib").await["versions"]["1.0.0"]["version"], "1.0.0");
    app.get("/lib/6.6.6").await.expect(404);
}

#[tokio::test]
async fn deep_documents_are_refused_or_kept_whole() {
    let app = Setup::new().build();
    let mut document = Document::new("lib", "1.0.0");
    document.manifest()["deep"] = json!("HERE");
    let text = document.value.to_string();
    for levels in [126, 1000, 200_000] {
        put(&app, text.replace("\"HERE\"", &nested(levels))).await.expect(400);
        assert!(app.keys().await.is_empty());
    }
    put(&app, text.replace("\"HERE\"", &nested(120))).await.expect(201);
    let reply = app.get("/lib").await.expect(200);
    assert!(String::from_utf8_lossy(&reply.body).contains(&nested(120)));
    for path in ["/-/npm/v1/security/advisories/bulk", "/-/npm/v1/security/audits", "/-/npm/v1/tokens"] {
        let body = format!("{{\"dependencies\":{}1", "{\"a\":".repeat(9000));
        app.ask("POST", path).token("alice-token").body(body).send().await.expect(400);
    }
}

/// A registry on the storage of another, with a catalog of its own.
fn neighbour(app: &App) -> App {
    let mut services = app.services.clone();
    services.catalog = Catalog::stored(&services.storage, Arc::<ManualClock>::clone(&app.clock));
    let registry = registry_npm::NpmRegistry::new(
        app.instance.clone(),
        services.clone(),
        registry_npm::NpmConfig::default(),
    );
    App {
        registry,
        services,
        clock: Arc::clone(&app.clock),
        instance: app.instance.clone(),
        prefix: app.prefix,
    }
}

#[tokio::test]
async fn no_manifest_breaks_the_search_of_all_nodes() {
    let app = Setup::new().build();
    let (one, two) = (neighbour(&app), neighbour(&app));
    one.publish(&Document::new("usual", "1.0.0")).await;
    let long = "x".repeat(200_000);
    for (name, value) in [("deep", "HERE"), ("long", long.as_str())] {
        let mut document = Document::new(name, "1.0.0");
        for field in ["author", "license", "repository", "bugs", "homepage", "keywords", "description"] {
            document.manifest()[field] = json!(value);
        }
        document.manifest()["author"] = json!({"name": value, "url": value});
        let text = document.value.to_string().replace("\"HERE\"", &nested(115));
        one.ask("PUT", &format!("/{name}")).token("alice-token").body(text).send().await.expect(201);
    }
    one.services.catalog.flush().await.unwrap();
    for app in [&one, &two] {
        let found = app.get("/-/v1/search?text=").await.expect(200);
        assert_eq!(found.json()["total"], 3);
        assert!(found.body.len() < 10_000, "{}", found.body.len());
    }
    one.services.catalog.shutdown().await;
    two.services.catalog.shutdown().await;
}

#[tokio::test]
async fn attachments_named_as_paths_reach_nothing() {
    let app = Setup::new().build();
    let long = format!("lib-1.0.0{}.tgz", "0".repeat(3000));
    let large: Vec<u8> = (0..3_000_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[2]).collect();
    let package: &[u8] = br#"{"name":"lib","version":"1.0.0"}"#;
    for bytes in [tarball(&[("package.json", package)]), tarball(&[("package.json", package), ("x", &large)])]
    {
        for name in
            ["../../../lib-1.0.0.tgz", "/etc/passwd", "..", "lib-1.0.0.tgz\u{0}", "lib-1.0.0.tgz/", "", &long]
        {
            let manifest = json!({"name": "lib", "version": "1.0.0"});
            let mut document = Document::of("lib", "1.0.0", manifest, bytes.clone());
            let attachment = document.attachment().clone();
            document.value["_attachments"] = json!({name: attachment});
            put(&app, document.value.to_string()).await.expect(400);
            assert!(app.keys().await.is_empty(), "{name:?}");
        }
    }
}

#[tokio::test]
async fn lengths_and_sums_that_cannot_be_are_refused() {
    let app = Setup::new().build();
    let document = Document::new("lib", "1.0.0");
    for length in [json!(-1), json!(0), json!("many"), json!(1e30), json!(u64::MAX)] {
        let mut wrong = document.clone();
        wrong.attachment()["length"] = length;
        put(&app, wrong.value.to_string()).await.expect(400);
    }
    for (field, value) in [
        ("integrity", json!("sha512-")),
        ("integrity", json!("sha512-AAAA")),
        ("integrity", json!("nonsense")),
        ("integrity", json!({"a": 1})),
        ("shasum", json!("zz")),
        ("shasum", json!("")),
        ("shasum", json!([1])),
        ("fileCount", json!(-5)),
    ] {
        let mut wrong = document.clone();
        wrong.manifest()["dist"][field] = value.clone();
        let reply = put(&app, wrong.value.to_string()).await;
        assert_eq!(reply.status, 400, "{field} {value}");
    }
    assert!(app.keys().await.is_empty());
    // What the client says of the files is not believed either.
    let mut lies = document;
    lies.manifest()["dist"]["unpackedSize"] = json!(1);
    lies.manifest()["dist"]["signatures"] = json!([{"keyid": "x", "sig": "y"}]);
    put(&app, lies.value.to_string()).await.expect(201);
    let dist = app.packument("lib").await["versions"]["1.0.0"]["dist"].clone();
    assert_ne!(dist["unpackedSize"], 1);
    assert_eq!(dist.get("signatures"), None);
}

#[tokio::test]
async fn texts_that_every_reader_would_carry_have_a_length() {
    let app = Setup::new().build();
    let mut document = Document::new("lib", "1.0.0");
    document.value["readmeFilename"] = json!("r".repeat(5000));
    document.value["readme"] = json!("r");
    app.publish(&document).await;
    assert_eq!(app.packument("lib").await["readmeFilename"].as_str().unwrap().len(), 256);
    let patch =
        |length: usize| json!({"versions": {"1.0.0": {"deprecated": "d".repeat(length)}}}).to_string();
    put(&app, patch(4097)).await.expect(400);
    put(&app, patch(4096)).await.expect(201);
    let mut next = Document::new("lib", "1.1.0");
    next.manifest()["deprecated"] = json!("d".repeat(4097));
    app.put(&next, "alice-token", 400).await;
}

#[tokio::test]
async fn a_document_grows_only_so_far() {
    let mut setup = Setup::new();
    setup.config.max_packument_bytes = 20_000;
    let app = setup.build();
    let large = |version: &str| Document::with("lib", version, json!({"text": "x".repeat(7000)}));
    app.publish(&large("1.0.0")).await;
    app.publish(&large("1.1.0")).await;
    let before = app.objects().await;
    let reply = app.put(&large("1.2.0"), "alice-token", 413).await;
    assert!(reply.error().contains("20000 bytes"), "{}", reply.error());
    let tags: Value =
        (0..200).map(|n| (format!("{n:x>100}"), json!("1.0.0"))).collect::<serde_json::Map<_, _>>().into();
    let ask = app.ask("POST", "/-/package/lib/dist-tags").token("alice-token").json(&tags);
    ask.send().await.expect(413);
    let deprecated = |versions: &[&str], message: &str| {
        let versions: serde_json::Map<_, _> =
            versions.iter().map(|v| ((*v).to_owned(), json!({"deprecated": message}))).collect();
        json!({"versions": versions}).to_string()
    };
    put(&app, deprecated(&["1.0.0", "1.1.0"], &"d".repeat(4000))).await.expect(413);
    assert_eq!(app.objects().await, before, "nothing changed");
    // What makes room is taken.
    put(&app, deprecated(&["1.0.0"], "short")).await.expect(201);
    let mut document = app.packument("lib").await;
    document["versions"].as_object_mut().unwrap().remove("1.0.0");
    let path = format!("/lib/-rev/{}", document["_rev"].as_str().unwrap());
    app.ask("PUT", &path).token("alice-token").json(&document).send().await.expect(201);
    app.publish(&large("1.2.0")).await;
}

#[tokio::test]
async fn a_small_request_that_unpacks_to_a_large_one_is_refused() {
    let app = Setup::open().build();
    let bomb = registry_core::testing::archives::gzip(&vec![b' '; 64 << 20]);
    assert!(bomb.len() < 1 << 20);
    for (method, path) in [
        ("POST", "/-/npm/v1/security/advisories/bulk"),
        ("POST", "/-/npm/v1/security/audits/quick"),
        ("POST", "/-/v1/login"),
        ("PUT", "/-/user/org.couchdb.user:alice"),
    ] {
        let ask = app.ask(method, path).header("content-encoding", "gzip").body(bomb.clone());
        ask.send().await.expect(413);
    }
    for (method, path) in [
        ("PUT", "/lib/-rev/1-x"),
        ("PUT", "/-/package/lib/dist-tags/next"),
        ("POST", "/-/npm/v1/tokens"),
        ("POST", "/-/npm/v1/user"),
    ] {
        let ask = app.ask(method, path).token("alice-token").header("content-encoding", "gzip");
        ask.body(bomb.clone()).send().await.expect(413);
    }
}

#[tokio::test]
async fn names_in_every_odd_spelling_are_answered() {
    let app = Setup::new().build();
    app.publish(&Document::new("@s/n", "1.0.0")).await;
    for path in [
        "/@S/n",
        "/@s/N",
        "/@S%2fN",
        "/Lib",
        "/JSONStream",
        "/@s%252fn",
        "/%2540s/n",
        "/@s%5cn",
        "/@s%2f%2fn",
        "/@s%2f..%2fn",
        "/@s/n%2f1.0.0",
        "/@@s/n",
        "/@s/@n",
        "/%00",
        "/%ff",
        "/@s%00/n",
        "/~a",
        "/a:b",
        "/con",
        "/@s",
        "/@",
        "/@/",
        "/@s/n/-/..%2f..%2fpackument.json",
        "/@s/n/packument.json",
        "/_logins",
        "/packages",
        "/%e2%80%ae",
        "/é",
        "/a%20b",
        "/.well-known",
        "/%2e%2e%2f%2e%2e",
    ] {
        for suffix in ["", "/latest", "/-/n-1.0.0.tgz"] {
            let reply =
                app.ask("GET", &format!("{path}{suffix}").replace('é', "%c3%a9")).token("alice-token");
            reply.send().await.expect(404);
        }
    }
    assert_eq!(app.packument("%40s%2Fn").await["name"], "@s/n");
    let found: Value = app.get("/-/v1/search?text=%00%ff%F0%9F%92%A9").await.expect(200).json();
    assert_eq!(found["total"], 0);
}
