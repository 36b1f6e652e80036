//! A repository in front of another one.

use std::time::Duration;

use futures_util::future::join_all;
use registry_core::{
    testing::{Canned, FakeUpstream, Recorder},
    upstream::{Rule, RuleAction},
};
use serde_json::{Value, json};
use sha1::{Digest as _, Sha1};

use crate::app::{App, Client as _, Reply, Setup, package};

fn bytes(version: &str) -> Vec<u8> {
    format!("the archive of {version}").repeat(1000).into_bytes()
}

fn dist(fake: &FakeUpstream, version: &str, reference: &str, shasum: &str) -> Value {
    json!({
        "type": "zip", "url": format!("{}/files/{version}?ref={reference}", fake.url()), "reference": reference,
        "shasum": shasum,
    })
}

/// The package `theirs/lib`: two tags of one commit, and one whose sum is known; minified.
fn releases(fake: &FakeUpstream) -> Value {
    let sum = hex::encode(Sha1::digest(bytes("1.0")));
    json!({"packages": {"theirs/lib": [
        {"name": "theirs/lib", "version": "v1.2.0", "version_normalized": "1.2.0.0", "keywords": "odd", "extra": {}, "support": [],
         "dist": dist(fake, "1.2", "abc", ""), "time": "2026-03-03T00:00:00+00:00", "transport-options": {"ssl": {}}},
        {"version": "v1.1.0", "version_normalized": "1.1.0.0", "time": "2026-01-01T00:00:00+00:00"},
        {"version": "1.0.0", "version_normalized": "1.0.0.0", "dist": dist(fake, "1.0", "def", &sum)},
    ]}, "minified": "composer/2.0"})
}

/// The repository lies at /repo/ and has its metadata elsewhere.
fn put_on(fake: &FakeUpstream) {
    let root = json!({
        "packages": [], "metadata-url": "/meta/%package%.json", "notify-batch": "/spy", "mirrors": [],
        "search": format!("{}/find?q=%query%&type=%type%", fake.url()),
        "security-advisories": {"metadata": true, "api-url": format!("{}/advisories", fake.url())},
    });
    fake.serve("/repo/packages.json", Canned::json(&root));
    fake.serve("/meta/theirs/lib.json", Canned::json(&releases(fake)).etag("\"m\""));
    for version in ["1.0", "1.2"] {
        let reference = if version == "1.0" { "def" } else { "abc" };
        fake.serve(&format!("/files/{version}?ref={reference}"), Canned::ok(bytes(version)));
    }
}

fn setup(fake: &FakeUpstream) -> Setup {
    Setup::new().upstream_with(&format!("{}/repo/", fake.url()), |config| config.retries = 0)
}

async fn get(app: &App, path: &str) -> Reply {
    app.ask("GET", path).token("alice-token").send().await
}

/// What the client makes of the metadata: version and path of its archive.
async fn shown(app: &App, path: &str) -> Vec<(String, String)> {
    let document = get(app, &format!("/p2/{path}.json")).await.expect(200).json();
    let list = document["packages"].as_object().unwrap().values().next().unwrap().as_array().unwrap().clone();
    let mut dist = Value::Null;
    list.iter()
        .map(|version| {
            if let Some(new) = version.get("dist") {
                dist = new.clone();
            }
            let url = dist["url"].as_str().unwrap_or_default();
            let path = url.strip_prefix("http://registry.example.com/composer").unwrap_or(url);
            (version["version"].as_str().unwrap().to_owned(), path.to_owned())
        })
        .collect()
}

fn names(shown: &[(String, String)]) -> Vec<&str> {
    shown.iter().map(|(version, _)| version.as_str()).collect()
}

#[tokio::test]
async fn checklist_15_16_a_package_of_another_repository_installs_also_when_that_is_down() {
    let fake = FakeUpstream::start().await;
    put_on(&fake);
    let app = setup(&fake).build();
    let check = async || {
        let root = get(&app, "/packages.json").await.expect(200).json();
        assert!(root.get("available-package-patterns").is_none(), "every name is to be asked for: {root}");
        assert_eq!(root["metadata-url"], "http://registry.example.com/composer/p2/%package%.json");
        let found = shown(&app, "theirs/lib").await;
        assert_eq!(names(&found), ["v1.2.0", "v1.1.0", "1.0.0"]);
        let document = get(&app, "/p2/theirs/lib.json").await.expect(200).text();
        for kept in [r#""keywords":"odd""#, r#""extra":{}"#, r#""support":[]"#] {
            assert!(document.contains(kept), "{document}");
        }
        assert!(!document.contains("transport-options") && !document.contains(&fake.url()), "{document}");
        for (at, version) in [(0, "1.2"), (1, "1.2"), (2, "1.0")] {
            let archive = get(&app, &found[at].1).await.expect(200);
            assert_eq!(
                (&archive.body[..], archive.header("content-type")),
                (&bytes(version)[..], Some("application/zip"))
            );
        }
        // Branches are known not to be there: an empty list, and no 404.
        assert!(shown(&app, "theirs/lib~dev").await.is_empty());
    };
    check().await;
    let before = fake.total();
    assert_eq!(before, 6, "a root, both halves, an archive for each: {:?}", fake.seen());
    check().await;
    assert_eq!(fake.total(), before, "{:?}", fake.seen());
    fake.stop().await;
    app.clock.advance(Duration::from_hours(24));
    let stale = get(&app, "/p2/theirs/lib.json").await.expect(200);
    assert_eq!(stale.header("warning"), Some("111 smartregistry \"Revalidation Failed\""));
    let found = shown(&app, "theirs/lib").await;
    get(&app, &found[2].1).await.expect(200);
    get(&app, "/p2/theirs/other.json").await.expect(502);
}

#[tokio::test]
async fn an_unchanged_document_is_fresh_again_and_keeps_its_time() {
    let fake = FakeUpstream::start().await;
    put_on(&fake);
    let app = setup(&fake).build();
    let first = get(&app, "/p2/theirs/lib.json").await.expect(200);
    let modified = first.header("last-modified").unwrap().to_owned();
    app.clock.advance(Duration::from_mins(30));
    let again = get(&app, "/p2/theirs/lib.json").await.expect(200);
    assert!(again.header("cache-status").unwrap().contains("fwd-status=304"));
    assert_eq!((again.header("last-modified"), &again.body), (Some(modified.as_str()), &first.body));
    let ask =
        app.ask("GET", "/p2/theirs/lib.json").token("alice-token").header("if-modified-since", &modified);
    assert!(ask.send().await.expect(304).body.is_empty());
    let mut newer = releases(&fake);
    newer["packages"]["theirs/lib"][0]["version"] = json!("v1.3.0");
    newer["packages"]["theirs/lib"][0]["version_normalized"] = json!("1.3.0.0");
    fake.serve("/meta/theirs/lib.json", Canned::json(&newer).etag("\"n\""));
    app.clock.advance(Duration::from_mins(30));
    let ask =
        app.ask("GET", "/p2/theirs/lib.json").token("alice-token").header("if-modified-since", &modified);
    let changed = ask.send().await.expect(200).header("last-modified").unwrap().to_owned();
    assert_ne!(changed, modified);
    // What the upstream went back to is not what the client has.
    fake.serve("/meta/theirs/lib.json", Canned::json(&releases(&fake)).etag("\"m\""));
    app.clock.advance(Duration::from_mins(30));
    assert_eq!(since(&app, "/composer/p2/theirs/lib.json", &changed).await.expect(200).body, first.body);
}

#[tokio::test]
async fn checklist_13_14_hosted_and_reserved_names_are_asked_of_nobody() {
    let fake = FakeUpstream::start().await;
    put_on(&fake);
    let mut setup = setup(&fake);
    setup.upstreams.rules.reserved = vec!["acme/*".to_owned()];
    let app = setup.build();
    app.upload("own/lib", "1.0.0", package("own/lib", &json!({}), "a")).await.expect(201);
    app.upload("own/gone", "1.0.0", package("own/gone", &json!({}), "a")).await.expect(201);
    app.ask("DELETE", "/packages/own/gone").token("alice-token").send().await.expect(204);
    let before = fake.total();
    for (name, versions) in [("own/lib", 1), ("own/gone", 0), ("acme/secret", 0)] {
        // It stops the client from looking elsewhere.
        assert_eq!(shown(&app, name).await.len(), versions, "{name}");
        assert!(shown(&app, &format!("{name}~dev")).await.is_empty());
        get(&app, &format!("/dists/{name}/0123.zip")).await.expect(404);
        get(&app, &format!("/search.json?q={name}")).await.expect(200);
    }
    app.upload("acme/new", "1.0.0", package("acme/new", &json!({}), "a")).await.expect(201);
    get(&app, "/search.json?q=acme").await.expect(200);
    get(&app, "/packages/list.json").await.expect(200);
    let told =
        get(&app, "/api/security-advisories?packages[]=own/lib&packages[]=acme/secret").await.expect(200);
    assert_eq!(told.json(), json!({"advisories": {"own/lib": [], "acme/secret": []}}));
    assert_eq!(fake.total(), before, "{:?}", fake.seen());
}

#[tokio::test]
async fn checklist_17_not_there_failing_and_other_things_are_told_apart() {
    let fake = FakeUpstream::start().await;
    put_on(&fake);
    let app = setup(&fake).build();
    get(&app, "/p2/no/ne.json").await.expect(404);
    let asked = fake.total();
    get(&app, "/p2/no/ne.json").await.expect(404);
    assert_eq!(fake.total(), asked, "that it is not there is remembered");
    for (name, answer, status, text) in [
        ("br/oken", Canned::status(500), 502, "status 500"),
        ("po/rtal", Canned::ok("<html>Log in</html>"), 502, "its metadata is none"),
        ("ot/her", Canned::json(&releases(&fake)), 502, "its metadata is not of ot/her"),
        ("bu/sy", Canned::status(429).header("retry-after", "60"), 503, "up"),
    ] {
        fake.serve(&format!("/meta/{name}.json"), answer);
        let reply = get(&app, &format!("/p2/{name}.json")).await.expect(status);
        assert!(reply.error().contains(text), "{name}: {}", reply.error());
    }
    let without_root = FakeUpstream::start().await;
    let app = setup(&without_root).build();
    let text = get(&app, "/p2/theirs/lib.json").await.expect(502).error();
    assert!(text.contains("has no packages.json"), "{text}");
}

#[tokio::test]
async fn checklist_18_other_bytes_have_no_clean_end_and_kept_bytes_stay() {
    let fake = FakeUpstream::start().await;
    put_on(&fake);
    let app = setup(&fake).build();
    let found = shown(&app, "theirs/lib").await;
    fake.serve("/files/1.0?ref=def", Canned::ok("x".repeat(bytes("1.0").len())));
    assert!(!ends_well(&app, &found[2].1).await, "not the sum that the metadata has");
    assert!(!app.keys().await.iter().any(|key| key.contains("_artifact")), "{:?}", app.keys().await);
    // Without a sum, what came first is what it is.
    get(&app, &found[0].1).await.expect(200);
    app.settled(4).await;
    fake.serve("/files/1.2?ref=abc", Canned::ok("moved"));
    assert_eq!(get(&app, &found[0].1).await.expect(200).body, bytes("1.2"));
}

#[tokio::test]
async fn a_young_version_is_hidden_everywhere_until_it_is_old_enough() {
    let fake = FakeUpstream::start().await;
    put_on(&fake);
    let mut setup = setup(&fake);
    setup.upstreams.rules.min_release_age = Some(Duration::from_hours(7 * 24));
    let app = setup.build();
    assert_eq!(names(&shown(&app, "theirs/lib").await), ["v1.1.0", "1.0.0"]);
    // By a lock file that was made elsewhere.
    let open = self::setup(&fake).build();
    let (_, path) = shown(&open, "theirs/lib").await.remove(0);
    let text = get(&app, &path).await.expect(403).error();
    assert!(
        text.contains("hidden by this registry's rule min_release_age (7d) until 2026-03-10T00:00:00Z"),
        "{text}"
    );
    get(&app, &path.replace("/lib/", "/lib/0")).await.expect(404);
    app.clock.advance(Duration::from_hours(7 * 24));
    assert_eq!(shown(&app, "theirs/lib").await.len(), 3);
    get(&app, &path).await.expect(200);
}

#[tokio::test]
async fn one_version_can_be_denied_in_every_spelling() {
    for rule in ["theirs/lib@v1.2.0", "theirs/lib@1.2.0", "theirs/lib@1.2.0.0"] {
        let fake = FakeUpstream::start().await;
        put_on(&fake);
        let open = setup(&fake).build();
        let (_, path) = shown(&open, "theirs/lib").await.remove(0);
        let mut setup = setup(&fake);
        setup.upstreams.rules.deny = vec![rule.to_owned()];
        let app = setup.build();
        assert_eq!(names(&shown(&app, "theirs/lib").await), ["v1.1.0", "1.0.0"]);
        let refused = get(&app, &path).await.expect(403).error();
        assert!(refused.contains(&format!("denied by this registry's rule `{rule}`")), "{refused}");
    }
}

#[tokio::test]
async fn an_archive_of_a_lock_file_is_there_when_the_metadata_names_it_no_more() {
    let fake = FakeUpstream::start().await;
    put_on(&fake);
    let app = setup(&fake).build();
    let found = shown(&app, "theirs/lib").await;
    get(&app, &found[2].1).await.expect(200);
    app.settled(4).await;
    let mut less = releases(&fake);
    less["packages"]["theirs/lib"].as_array_mut().unwrap().truncate(1);
    fake.serve("/meta/theirs/lib.json", Canned::json(&less).etag("\"l\""));
    app.clock.advance(Duration::from_hours(1));
    assert_eq!(names(&shown(&app, "theirs/lib").await), ["v1.2.0"]);
    assert_eq!(get(&app, &found[2].1).await.expect(200).body, bytes("1.0"));
    get(&app, &found[1].1).await.expect(404);
}

#[tokio::test]
async fn a_version_published_elsewhere_is_found_when_its_archive_is_asked_for() {
    let fake = FakeUpstream::start().await;
    put_on(&fake);
    let mut less = releases(&fake);
    less["packages"]["theirs/lib"].as_array_mut().unwrap().truncate(1);
    let both = [Canned::json(&less).etag("\"l\""), Canned::json(&releases(&fake)).etag("\"m\"")];
    fake.serve_each("/meta/theirs/lib.json", both);
    let (_, path) = {
        let whole = FakeUpstream::start().await;
        put_on(&whole);
        shown(&setup(&whole).build(), "theirs/lib").await.remove(2)
    };
    let app = setup(&fake).build();
    shown(&app, "theirs/lib").await;
    get(&app, &path).await.expect(404);
    app.clock.advance(Duration::from_secs(11));
    assert_eq!(get(&app, &path).await.expect(200).body, bytes("1.0"));
}

#[tokio::test]
async fn merged_names_show_both_and_hosted_versions_win() {
    let fake = FakeUpstream::start().await;
    put_on(&fake);
    let mut setup = setup(&fake);
    let merge = Rule { names: vec!["theirs/*".to_owned()], action: RuleAction::Merge(Vec::new()) };
    setup.upstreams.rules.rules = vec![merge];
    let app = setup.build();
    let ours = package("theirs/lib", &json!({}), "ours");
    app.upload("theirs/lib", "1.1.0", ours.clone()).await.expect(201);
    app.upload("theirs/lib", "2.0.0", package("theirs/lib", &json!({}), "new")).await.expect(201);
    let found = shown(&app, "theirs/lib").await;
    assert_eq!(names(&found), ["2.0.0", "v1.2.0", "1.1.0", "1.0.0"]);
    assert_eq!(get(&app, &found[2].1).await.expect(200).body, ours);
    assert_eq!(get(&app, &found[1].1).await.expect(200).body, bytes("1.2"));
    // What was deleted here does not come back from there.
    app.ask("DELETE", "/packages/theirs/lib/1.1.0").token("alice-token").send().await.expect(204);
    assert_eq!(names(&shown(&app, "theirs/lib").await), ["2.0.0", "v1.2.0", "1.0.0"]);
}

#[tokio::test]
async fn a_name_of_the_other_repository_cannot_be_published_by_accident() {
    let fake = FakeUpstream::start().await;
    put_on(&fake);
    let app = setup(&fake).build();
    let refused = app.upload("theirs/lib", "9.0.0", package("theirs/lib", &json!({}), "a")).await.expect(403);
    assert!(refused.error().contains("have it reserved here"), "{}", refused.error());
    // A failure is no leave to take the name.
    fake.serve("/meta/un/clear.json", Canned::status(500));
    app.upload("un/clear", "1.0.0", package("un/clear", &json!({}), "a")).await.expect(502);
    app.upload("fr/ee", "1.0.0", package("fr/ee", &json!({}), "a")).await.expect(201);
}

#[tokio::test]
async fn checklist_19_many_clients_make_one_request_ranges_work_and_no_credentials_pass() {
    let fake = FakeUpstream::start().await;
    put_on(&fake);
    fake.serve(
        "/files/1.0?ref=def",
        Canned::ok(bytes("1.0")).after(Duration::from_millis(50)).header("set-cookie", "a=b"),
    );
    let app = setup(&fake).build();
    let (_, path) = shown(&app, "theirs/lib").await.remove(2);
    let head = app.ask("HEAD", &path).token("alice-token").send().await.expect(200);
    assert_eq!(head.header("content-length"), Some(bytes("1.0").len().to_string().as_str()));
    let part = app.ask("GET", &path).token("alice-token").header("range", "bytes=10-19");
    let (all, part) = tokio::join!(join_all((0..30).map(|_| get(&app, &path))), part.send());
    for reply in all {
        let reply = reply.expect(200);
        assert_eq!((&reply.body[..], reply.header("set-cookie")), (&bytes("1.0")[..], None));
    }
    assert_eq!(part.expect(206).body, bytes("1.0")[10..20]);
    assert_eq!(fake.count("/files/1.0?ref=def"), 2, "a HEAD and a GET: {:?}", fake.seen());
    assert!(fake.seen().iter().all(|seen| seen.header("authorization").is_empty()));
}

#[tokio::test]
async fn checklist_45_repositories_of_older_kinds() {
    let fake = FakeUpstream::start().await;
    let version = |name: &str| {
        json!({"1.0.0": {"name": name, "version": "1.0.0", "dist": dist(&fake, "1.0", "def", "")},
               "dev-main": {"name": name, "version": "dev-main", "dist": dist(&fake, "1.0", "main", "")}})
    };
    fake.serve("/files/1.0?ref=def", Canned::ok(bytes("1.0")));
    // Everything in one file, and in one that it includes.
    let root =
        json!({"packages": {"in/line": version("in/line")}, "includes": {"include/all.json": {"sha1": "x"}}});
    fake.serve("/repo/packages.json", Canned::json(&root));
    fake.serve(
        "/repo/include/all.json",
        Canned::json(&json!({"packages": {"in/cluded": version("in/cluded")}})),
    );
    let app = setup(&fake).build();
    for name in ["in/line", "in/cluded"] {
        let found = shown(&app, name).await;
        assert_eq!(names(&found), ["1.0.0"]);
        assert_eq!(names(&shown(&app, &format!("{name}~dev")).await), ["dev-main"]);
        assert_eq!(get(&app, &found[0].1).await.expect(200).body, bytes("1.0"));
    }
    get(&app, "/p2/in/none.json").await.expect(404);

    // Files that are called by their hashes.
    let sha256 = |text: &str| {
        registry_core::storage::Digests::of(text.as_bytes(), registry_core::storage::WantedDigests::default())
            .sha256
    };
    let file = json!({"packages": {"old/lib": version("old/lib")}}).to_string();
    let list = json!({"providers": {"old/lib": {"sha256": sha256(&file)}}}).to_string();
    let root = json!({
        "packages": [], "providers-url": "/p/%package%$%hash%.json",
        "provider-includes": {"p/all$%hash%.json": {"sha256": sha256(&list)}},
    });
    let old = FakeUpstream::start().await;
    old.serve("/repo/packages.json", Canned::json(&root));
    old.serve(&format!("/repo/p/all${}.json", sha256(&list)), Canned::ok(list.clone()));
    old.serve(&format!("/p/old/lib${}.json", sha256(&file)), Canned::ok(file.clone()));
    let app = setup(&old).build();
    assert_eq!(names(&shown(&app, "old/lib").await), ["1.0.0"]);
    assert_eq!(names(&shown(&app, "old/lib~dev").await), ["dev-main"]);
    get(&app, "/p2/old/none.json").await.expect(404);
    // One that is called by another hash is none.
    let lying = FakeUpstream::start().await;
    lying.serve("/repo/packages.json", Canned::json(&root));
    lying.serve(&format!("/repo/p/all${}.json", sha256(&list)), Canned::ok(list.replace("old", "odd")));
    let text = get(&setup(&lying).build(), "/p2/old/lib.json").await.expect(502).error();
    assert!(text.contains("has not the hash"), "{text}");
}

#[tokio::test]
async fn searches_and_advisories_pass_through_without_what_is_ours() {
    let fake = FakeUpstream::start().await;
    put_on(&fake);
    let found = json!({
        "results": [
            {"name": "theirs/zebra", "description": "stripes", "url": "https://x.example.com", "secret": 1},
            {"name": "own/zebra", "description": "a trap"},
        ],
        "total": 7,
    });
    fake.serve("/find?q=zebra&type=&page=1&per_page=15", Canned::json(&found));
    let advisories =
        json!({"advisories": {"theirs/lib": [{"advisoryId": "A-1"}], "own/zebra": [{"advisoryId": "trap"}]}});
    fake.serve("/advisories", Canned::json(&advisories));
    let app = setup(&fake).build();
    app.upload("own/zebra", "1.0.0", package("own/zebra", &json!({}), "a")).await.expect(201);
    let shown = get(&app, "/search.json?q=zebra").await.expect(200).json();
    let names: Vec<_> = shown["results"].as_array().unwrap().iter().map(|one| one["name"].clone()).collect();
    assert_eq!(names, ["own/zebra", "theirs/zebra"]);
    assert!(shown["results"][1].get("secret").is_none());
    assert_eq!(shown["total"], 8);
    let ask = app.ask("POST", "/api/security-advisories").token("alice-token");
    let told = ask
        .body("packages[]=own/zebra&packages[]=theirs/lib&packages[]=theirs/other")
        .send()
        .await
        .expect(200);
    assert_eq!(
        told.json(),
        json!({"advisories": {"own/zebra": [], "theirs/lib": [{"advisoryId": "A-1"}], "theirs/other": []}})
    );
    // That it cannot be asked does not mean that there are none.
    fake.serve("/advisories", Canned::status(500));
    get(&app, "/api/security-advisories?packages[]=theirs/lib").await.expect(502);
    get(&app, "/api/security-advisories?packages[]=own/zebra").await.expect(200);
    // A search that fails there shows what is here.
    fake.stop().await;
    assert_eq!(get(&app, "/search.json?q=zebra").await.expect(200).json()["total"], 1);
}

/// Whether a transfer comes to a clean end.
async fn ends_well(app: &App, path: &str) -> bool {
    let request =
        http::Request::get(format!("/composer{path}")).header("authorization", "Bearer alice-token");
    let request = request.body(registry_core::Body::empty()).unwrap();
    let response = registry_core::PackageRegistry::handle(&app.registry, request).await;
    http_body_util::BodyExt::collect(response.into_body()).await.is_ok()
}

async fn since(app: &App, path: &str, modified: &str) -> Reply {
    app.ask_at("GET", path).token("alice-token").header("if-modified-since", modified).send().await
}

#[tokio::test]
async fn a_name_that_no_upstream_may_be_asked_for_is_left_to_other_repositories() {
    let fake = FakeUpstream::start().await;
    put_on(&fake);
    let setup = Setup::new().upstream_with(&format!("{}/repo/", fake.url()), |config| {
        config.allow = vec!["partner/*".to_owned()];
    });
    let app = setup.build();
    // An empty list would be the end of the client's search.
    get(&app, "/p2/theirs/lib.json").await.expect(404);
    get(&app, "/dists/theirs/lib/0123.zip").await.expect(404);
    let told = get(&app, "/api/security-advisories?packages[]=theirs/lib").await.expect(200);
    assert_eq!(told.json(), json!({"advisories": {}}));
    assert_eq!(fake.total(), 0, "{:?}", fake.seen());
}

#[tokio::test]
async fn a_denied_package_has_no_versions_and_its_archives_say_why() {
    let fake = FakeUpstream::start().await;
    put_on(&fake);
    let (_, path) = shown(&setup(&fake).build(), "theirs/lib").await.remove(0);
    let before = fake.total();
    let mut setup = setup(&fake);
    setup.upstreams.rules.deny = vec!["theirs/lib".to_owned()];
    let app = setup.build();
    // 403 for one package would be the end of the client's whole update, and 404 would send it elsewhere.
    assert!(shown(&app, "theirs/lib").await.is_empty() && shown(&app, "theirs/lib~dev").await.is_empty());
    let text = get(&app, &path).await.expect(403).error();
    assert!(text.contains("denied by this registry's rule `theirs/lib`"), "{text}");
    assert_eq!(fake.total(), before, "{:?}", fake.seen());
}

#[tokio::test]
async fn an_archive_of_a_lock_file_is_there_when_its_package_is_not() {
    for (min_release_age, deny) in [(None, vec![]), (Some(7), vec![]), (None, vec!["theirs/lib@9.9.9"])] {
        let fake = FakeUpstream::start().await;
        put_on(&fake);
        let mut setup = setup(&fake);
        setup.upstreams.rules.min_release_age = min_release_age.map(|days| Duration::from_hours(days * 24));
        setup.upstreams.rules.deny = deny.iter().map(|&rule| rule.to_owned()).collect();
        let app = setup.build();
        let (_, path) = shown(&app, "theirs/lib").await.pop().unwrap();
        get(&app, &path).await.expect(200);
        app.settled(4).await;
        fake.serve("/meta/theirs/lib.json", Canned::status(404));
        for _ in 0..2 {
            app.clock.advance(Duration::from_hours(1));
            get(&app, "/p2/theirs/lib.json").await;
        }
        get(&app, "/p2/theirs/lib.json").await.expect(404);
        if !deny.is_empty() {
            let text = get(&app, &path).await.expect(403).error();
            assert!(text.contains("some are denied"), "{text}");
            continue;
        }
        if min_release_age.is_some() {
            // When it was published is known no more, but surely it was before it was fetched.
            let text = get(&app, &path).await.expect(403).error();
            assert!(text.contains("until 2026-03-11T"), "{text}");
            app.clock.advance(Duration::from_hours(7 * 24));
        }
        assert_eq!(get(&app, &path).await.expect(200).body, bytes("1.0"));
        get(&app, &path.replace("/lib/", "/lib/0")).await.expect(404);
        fake.stop().await;
    }
}

#[tokio::test]
async fn not_modified_is_said_of_this_text_alone() {
    let fake = FakeUpstream::start().await;
    put_on(&fake);
    let mut setup = setup(&fake);
    setup.bases = &["/composer", "/moved"];
    setup.upstreams.rules.min_release_age = Some(Duration::from_hours(7 * 24));
    let app = setup.build();
    let (here, moved) = ("/composer/p2/theirs/lib.json", "/moved/p2/theirs/lib.json");
    let modified = |reply: &Reply| reply.header("last-modified").unwrap().to_owned();
    let first = modified(&get(&app, "/p2/theirs/lib.json").await.expect(200));
    since(&app, here, &first).await.expect(304);
    // Another base URL.
    let other = since(&app, moved, &first).await.expect(200);
    since(&app, here, &modified(&other)).await.expect(200);
    assert!(other.text().contains("/moved/dists/"), "{}", other.text());
    // Other versions are hidden.
    app.clock.advance(Duration::from_hours(7 * 24));
    let all = since(&app, here, &first).await.expect(200);
    assert!(all.text().contains("v1.2.0"), "{}", all.text());
    since(&app, here, &modified(&all)).await.expect(304);
    // Another state upstream, and the earlier one again.
    let mut newer = releases(&fake);
    newer["packages"]["theirs/lib"].as_array_mut().unwrap().truncate(1);
    fake.serve("/meta/theirs/lib.json", Canned::json(&newer).etag("\"n\""));
    app.clock.advance(Duration::from_hours(1));
    let fewer = since(&app, here, &modified(&all)).await.expect(200);
    fake.serve("/meta/theirs/lib.json", Canned::json(&releases(&fake)).etag("\"m\""));
    app.clock.advance(Duration::from_hours(1));
    let again = since(&app, here, &modified(&fewer)).await.expect(200);
    assert_eq!(again.body, all.body);
}

#[tokio::test]
async fn what_is_cut_off_has_no_clean_end_and_is_not_kept() {
    let fake = FakeUpstream::start().await;
    put_on(&fake);
    let app = setup(&fake).build();
    for (at, version, reference) in [(2, "1.0", "def"), (0, "1.2", "abc")] {
        let place = format!("/files/{version}?ref={reference}");
        let (_, path) = shown(&app, "theirs/lib").await.remove(at);
        let before = app.keys().await.len();
        fake.serve(&place, Canned::ok(bytes(version)).cut_after(1000));
        assert!(!ends_well(&app, &path).await, "{version}");
        let (_, file) = path.rsplit_once('/').unwrap();
        let kept = async || app.keys().await.into_iter().filter(|key| key.contains(file)).count();
        assert_eq!(kept().await, 0, "{:?}", app.keys().await);
        fake.serve(&place, Canned::ok(bytes(version)));
        assert_eq!(get(&app, &path).await.expect(200).body, bytes(version));
        app.settled(before + 2).await;
        assert_eq!(kept().await, 2, "a record and its bytes: {:?}", app.keys().await);
    }
}

#[tokio::test]
async fn a_stale_document_is_served_while_it_is_refreshed() {
    let fake = FakeUpstream::start().await;
    put_on(&fake);
    let app = setup(&fake).build();
    shown(&app, "theirs/lib").await;
    let mut less = releases(&fake);
    less["packages"]["theirs/lib"].as_array_mut().unwrap().truncate(1);
    fake.serve("/meta/theirs/lib.json", Canned::json(&less).etag("\"l\"").after(Duration::from_millis(200)));
    app.clock.advance(Duration::from_mins(8));
    let stale = get(&app, "/p2/theirs/lib.json").await.expect(200);
    assert!(stale.header("cache-status").unwrap().contains("swr"), "{stale:?}");
    for _ in 0..200 {
        if shown(&app, "theirs/lib").await.len() == 1 {
            assert_eq!(fake.count("/meta/theirs/lib.json"), 2, "{:?}", fake.seen());
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it is not refreshed: {:?}", fake.seen());
}

#[tokio::test]
async fn offline_what_is_kept_is_served_and_copies_of_another_url_are_none() {
    let fake = FakeUpstream::start().await;
    put_on(&fake);
    let storage = registry_core::storage::Storage::memory(registry_core::storage::StorageOptions::default());
    let app = setup(&fake).build_on(storage.clone());
    let found = shown(&app, "theirs/lib").await;
    get(&app, &found[2].1).await.expect(200);
    app.settled(4).await;
    let before = fake.total();
    let url = format!("{}/repo/", fake.url());
    let offline = Setup::new().upstream_with(&url, |config| config.offline = true).build_on(storage.clone());
    offline.clock.advance(Duration::from_hours(24 * 365));
    assert_eq!(shown(&offline, "theirs/lib").await, found);
    assert_eq!(get(&offline, &found[2].1).await.expect(200).body, bytes("1.0"));
    for path in ["/p2/theirs/other.json", &found[0].1] {
        let reply = get(&offline, path).await;
        assert!(reply.status.is_server_error(), "what is not kept is not \"not there\": {reply:?}");
    }
    assert_eq!(fake.total(), before, "{:?}", fake.seen());
    let other = FakeUpstream::start().await;
    let moved = setup(&other).build_on(storage);
    get(&moved, "/p2/theirs/lib.json").await.expect(502);
    assert!(other.total() > 0);
}

#[tokio::test]
async fn checklist_19_credentials_go_to_the_repository_and_not_to_where_its_archives_lie() {
    let (fake, files) = (FakeUpstream::start().await, FakeUpstream::start().await);
    let basic = "Basic dXM6c2VjcmV0";
    let root = json!({"packages": [], "metadata-url": "/repo/meta/%package%.json"});
    fake.serve("/repo/packages.json", Canned::json(&root).to(basic));
    let of = |fake: &FakeUpstream, name: &str| json!({"packages": {name: [{"name": name, "version": "1.0.0", "dist": dist(fake, "1.0", "def", "")}]}});
    for (name, at) in [("theirs/lib", &files), ("theirs/trap", &FakeUpstream::start().await)] {
        fake.serve(&format!("/repo/meta/{name}.json"), Canned::json(&of(at, name)).to(basic));
    }
    files.serve("/files/1.0?ref=def", Canned::ok(bytes("1.0")));
    let url = format!("{}/repo/", fake.url()).replace("http://", "http://us:secret@");
    let setup = Setup::new().upstream_with(&url, |config| {
        config.retries = 0;
        config.trusted_hosts = vec![files.url().replace("http://", "")];
    });
    let app = setup.build();
    let found = shown(&app, "theirs/lib").await;
    assert_eq!(get(&app, &found[0].1).await.expect(200).body, bytes("1.0"));
    assert!(files.seen().iter().all(|seen| seen.header("authorization").is_empty()), "{:?}", files.seen());
    assert!(fake.seen().iter().all(|seen| seen.header("authorization") == basic), "{:?}", fake.seen());
    // A host that nobody trusts is not asked at all.
    let trap = shown(&app, "theirs/trap").await;
    let text = get(&app, &trap[0].1).await.expect(502).error();
    assert!(text.contains("points to an address"), "{text}");
    // And what the repository wants of us is not wanted of the client.
    fake.serve("/repo/meta/theirs/closed.json", Canned::json(&of(&files, "theirs/closed")).to("Basic other"));
    let refused = get(&app, "/p2/theirs/closed.json").await;
    assert!(refused.status.is_server_error(), "{refused:?}");
    assert_eq!(refused.header("www-authenticate"), None);
}

#[tokio::test]
async fn each_upstream_is_told_of_the_names_that_are_its_own() {
    let (fake, partner) = (FakeUpstream::start().await, FakeUpstream::start().await);
    for one in [&fake, &partner] {
        put_on(one);
        let both = json!({"advisories": {"theirs/lib": [{"advisoryId": one.url()}], "partner/lib": [{"advisoryId": one.url()}]}});
        one.serve("/advisories", Canned::json(&both));
        one.serve(
            "/find?q=lib&type=&page=1&per_page=15",
            Canned::json(&json!({"results": [{"name": "theirs/lib"}, {"name": "partner/lib"}], "total": 2})),
        );
    }
    let mut setup = setup(&fake).upstream_with(&format!("{}/repo/", partner.url()), |_| {});
    let names = vec!["partner/*".to_owned()];
    let action = RuleAction::Route(vec!["up2".parse().unwrap()]);
    setup.upstreams.rules.rules = vec![Rule { names, action }];
    let app = setup.build();
    let ask = app.ask("POST", "/api/security-advisories").token("alice-token");
    let told = ask.body("packages[]=partner/lib&packages[]=theirs/lib").send().await.expect(200).json();
    assert_eq!(told["advisories"]["theirs/lib"][0]["advisoryId"], fake.url(), "{told}");
    assert_eq!(told["advisories"]["partner/lib"][0]["advisoryId"], partner.url(), "{told}");
    // Neither a search for its name nor what the other one finds under it.
    get(&app, "/search.json?q=partner/lib").await.expect(200);
    let found = get(&app, "/search.json?q=lib").await.expect(200).json();
    assert_eq!(found["results"].as_array().unwrap().len(), 1, "{found}");
    for seen in fake.seen() {
        let body = String::from_utf8_lossy(&seen.body).into_owned();
        assert!(!seen.path.contains("partner") && !body.contains("partner"), "{seen:?}");
    }
    assert!(partner.seen().iter().all(|seen| !String::from_utf8_lossy(&seen.body).contains("theirs")));
}

#[tokio::test]
async fn hooks_hear_of_foreign_packages_and_may_refuse() {
    let fake = FakeUpstream::start().await;
    put_on(&fake);
    let (_, path) = shown(&setup(&fake).build(), "theirs/lib").await.remove(0);
    let recorder = Recorder::new();
    let mut setup = setup(&fake);
    setup.options.hooks = recorder.hooks();
    let app = setup.build();
    recorder.refuse(Some("not today"));
    for path in ["/p2/theirs/lib.json", &path] {
        assert_eq!(get(&app, path).await.expect(403).error(), "not today");
    }
    assert_eq!(fake.count("/files/1.2?ref=abc"), 0, "{:?}", fake.seen());
    recorder.refuse(None);
    get(&app, "/p2/theirs/lib.json").await.expect(200);
    get(&app, &path).await.expect(200);
    app.services.storage.drained().await;
    let done = recorder.done();
    for told in ["get theirs/lib - alice", "get theirs/lib v1.2.0 alice"] {
        assert!(done.iter().any(|one| one == told), "{told}: {done:?}");
    }
}
