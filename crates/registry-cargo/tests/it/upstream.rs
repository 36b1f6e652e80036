//! A registry in front of another one.

use std::time::Duration;

use futures_util::future::join_all;
use registry_core::{
    storage::{Storage, StorageOptions},
    testing::{Canned, FakeUpstream, Recorder},
    upstream::{Rule, RuleAction, UpstreamAuth},
};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::app::{App, Client as _, IndexFile as _, Reply, Setup, Upload};

fn bytes(name: &str, version: &str) -> Vec<u8> {
    format!("the bytes of {name} {version}").repeat(1000).into_bytes()
}

/// A line of the index, spelled as this registry would not.
fn line(name: &str, version: &str, time: &str) -> String {
    let cksum = hex::encode(Sha256::digest(bytes(name, version)));
    let pubtime = if time.is_empty() { String::new() } else { format!(r#", "pubtime":"{time}""#) };
    format!(
        r#"{{"vers":"{version}", "name":"{name}","deps":[],"features":{{}},"cksum":"{cksum}","yanked":false,"later":[1]{pubtime}}}"#
    )
}

fn file(lines: &[String]) -> String {
    lines.join("\n") + "\n"
}

fn both(name: &str) -> String {
    file(&[line(name, "1.0.0", "2026-01-01T00:00:00Z"), line(name, "2.0.0", "2026-03-03T00:00:00Z")])
}

/// Everything of the crate `Foo-x`. Its files lie elsewhere than its index, by a template.
fn put_on(fake: &FakeUpstream) {
    let dl = format!("{}/files/{{prefix}}/{{crate}}/{{version}}", fake.url());
    fake.serve("/index/config.json", Canned::json(&json!({"dl": dl, "api": format!("{}/web/", fake.url())})));
    fake.serve("/index/fo/o-/foo-x", Canned::ok(both("Foo-x")).etag("\"i\""));
    for version in ["1.0.0", "2.0.0"] {
        fake.serve(&format!("/files/Fo/o-/Foo-x/{version}"), Canned::ok(bytes("Foo-x", version)));
    }
}

fn setup(fake: &FakeUpstream) -> Setup {
    Setup::new().upstream_with(&format!("{}/index/", fake.url()), |config| config.retries = 0)
}

async fn get(app: &App, path: &str) -> Reply {
    app.ask("GET", path).token("alice-token").send().await
}

const INDEX: &str = "/fo/o-/foo-x";

fn download(name: &str, version: &str) -> String {
    format!("/api/v1/crates/{name}/{version}/download")
}

#[tokio::test]
async fn checklist_34_35_a_crate_of_another_registry_builds_also_when_that_is_down() {
    let fake = FakeUpstream::start().await;
    put_on(&fake);
    let app = setup(&fake).build();
    let check = async || {
        let index = get(&app, INDEX).await.expect(200);
        assert_eq!(index.text(), both("Foo-x"), "byte for byte");
        let krate = get(&app, &download("Foo-x", "1.0.0")).await.expect(200);
        assert_eq!(krate.body, bytes("Foo-x", "1.0.0"));
        let sum = hex::encode(Sha256::digest(bytes("Foo-x", "1.0.0")));
        assert_eq!(krate.header("etag"), Some(format!("\"{sum}\"").as_str()));
        let known = get(&app, "/api/v1/crates/foo-x").await.expect(200).json();
        assert_eq!(
            (&known["crate"]["name"], &known["crate"]["max_version"]),
            (&json!("Foo-x"), &json!("2.0.0"))
        );
        let config = get(&app, "/config.json").await.expect(200).json();
        assert_eq!(config["dl"], "http://registry.example.com/cargo/api/v1/crates", "ours");
    };
    check().await;
    assert_eq!(fake.total(), 3, "an index file, a config, a crate: {:?}", fake.seen());
    app.settled(4).await;
    fake.stop().await;
    check().await;
    app.clock.advance(Duration::from_hours(24));
    let stale = get(&app, INDEX).await.expect(200);
    assert_eq!(stale.header("warning"), Some("111 smartregistry \"Revalidation Failed\""));
    assert_eq!(stale.text(), both("Foo-x"));
    // What is not here cannot be had, and that is no 404.
    get(&app, &download("Foo-x", "2.0.0")).await.expect(502);
    get(&app, "/ot/he/other").await.expect(502);
}

#[tokio::test]
async fn checklist_38_an_unchanged_file_is_fresh_again_and_a_changed_one_is_seen() {
    let fake = FakeUpstream::start().await;
    put_on(&fake);
    let first = both("Foo-x");
    let more = first.clone() + &file(&[line("Foo-x", "3.0.0", "")]);
    let unchanged = Canned::ok(first.clone()).etag("\"i\"");
    fake.serve_each(
        "/index/fo/o-/foo-x",
        [unchanged.clone(), unchanged, Canned::ok(more.clone()).etag("\"j\"")],
    );
    let app = setup(&fake).build();
    let before = get(&app, INDEX).await.expect(200);
    app.clock.advance(Duration::from_hours(1));
    let again = get(&app, INDEX).await.expect(200);
    assert!(again.header("cache-status").unwrap().contains("fwd-status=304"));
    assert_eq!(fake.seen()[1].header("if-none-match"), "\"i\"");
    assert_eq!((again.header("etag"), again.text()), (before.header("etag"), first));
    let unmodified =
        app.ask("GET", INDEX).token("alice-token").header("if-none-match", before.header("etag").unwrap());
    unmodified.send().await.expect(304);
    app.clock.advance(Duration::from_hours(1));
    let changed = get(&app, INDEX).await.expect(200);
    assert_eq!(changed.text(), more);
    assert_ne!(changed.header("etag"), before.header("etag"));
}

#[tokio::test]
async fn checklist_36_hosted_and_reserved_names_are_asked_of_nobody() {
    let fake = FakeUpstream::start().await;
    put_on(&fake);
    let mut setup = setup(&fake);
    setup.upstreams.rules.reserved = vec!["acme-*".to_owned()];
    let app = setup.build();
    app.publish("Own-crate", "1.0.0").await;
    app.publish("gone", "1.0.0").await;
    app.ask("DELETE", "/api/v1/crates/gone").token("alice-token").send().await.expect(200);
    let before = fake.total();
    for (index, name) in [
        ("/ow/n-/own-crate", "own-crate"),
        ("/ow/n_/own_crate", "own_crate"),
        ("/go/ne/gone", "gone"),
        ("/ac/me/acme-secret", "acme-secret"),
        ("/ac/me/acme_secret", "acme_secret"),
    ] {
        fake.serve(&format!("/index{index}"), Canned::ok(both(name)));
        for path in [
            index.to_owned(),
            download(name, "2.0.0"),
            format!("/api/v1/crates/{name}"),
            format!("/api/v1/crates/{name}/versions"),
            format!("/api/v1/crates/{name}/2.0.0"),
        ] {
            let hosted = name == "own-crate" && !path.contains("2.0.0");
            let reply = get(&app, &path).await;
            assert_eq!(reply.status.as_u16(), if hosted { 200 } else { 404 }, "{path}");
        }
    }
    app.publish("acme-new", "1.0.0").await;
    for text in ["own_crate", "acme-secret", "zebra gone"] {
        get(&app, &format!("/api/v1/crates?q={}", text.replace(' ', "+"))).await.expect(200);
    }
    assert_eq!(fake.total(), before, "{:?}", fake.seen());
}

#[tokio::test]
async fn checklist_37_not_there_failing_and_other_things_are_told_apart() {
    let fake = FakeUpstream::start().await;
    let app = setup(&fake).build();
    get(&app, "/no/ne/none").await.expect(404);
    get(&app, "/no/ne/none").await.expect(404);
    assert_eq!(fake.total(), 1, "that it is not there is remembered");
    app.clock.advance(Duration::from_secs(61));
    get(&app, "/no/ne/none").await.expect(404);
    assert_eq!(fake.total(), 2, "for a minute at most");
    // Gone for good is not there, and cargo knows only 404 for that.
    fake.serve("/index/go/ne/gone", Canned::status(410));
    get(&app, "/go/ne/gone").await.expect(404);
    for (path, answer, status, text) in [
        ("/br/ok/broken", Canned::status(500), 502, "status 500"),
        ("/po/rt/portal", Canned::ok("<html>Log in</html>"), 502, "line 1 of the index file is none"),
        ("/ot/he/other", Canned::ok(both("Foo-x")), 502, "one of the crate Foo-x"),
        ("/bu/sy/busy", Canned::status(429).header("retry-after", "60"), 503, "too many requests"),
    ] {
        fake.serve(&format!("/index{path}"), answer);
        let reply = get(&app, path).await.expect(status);
        let error = reply.error();
        assert!(error.contains(text) || path.ends_with("busy"), "{path}: {error}");
        assert_eq!(reply.header("retry-after"), (status == 503).then_some("60"), "{path}");
    }
}

#[tokio::test]
async fn checklist_35_other_bytes_have_no_clean_end_and_are_not_kept() {
    let fake = FakeUpstream::start().await;
    put_on(&fake);
    let good = bytes("Foo-x", "1.0.0");
    let cut = Canned::ok(bytes("Foo-x", "2.0.0")).cut_after(5000);
    fake.serve("/files/Fo/o-/Foo-x/1.0.0", Canned::ok("x".repeat(good.len())));
    fake.serve("/files/Fo/o-/Foo-x/2.0.0", cut);
    let app = setup(&fake).build();
    for version in ["1.0.0", "2.0.0"] {
        let request = http::Request::get(format!("/cargo{}", download("Foo-x", version)));
        let request =
            request.header("authorization", "alice-token").body(registry_core::Body::empty()).unwrap();
        let response = registry_core::PackageRegistry::handle(&app.registry, request).await;
        assert_eq!(response.status(), 200);
        let body = http_body_util::BodyExt::collect(response.into_body()).await;
        assert!(body.is_err(), "a broken transfer of {version}");
    }
    assert_eq!(app.keys().await.len(), 2, "an index file and a config: {:?}", app.keys().await);
}

#[tokio::test]
async fn a_young_version_is_hidden_everywhere_until_it_is_old_enough() {
    let fake = FakeUpstream::start().await;
    put_on(&fake);
    fake.serve("/index/ti/me/timeless", Canned::ok(file(&[line("timeless", "1.0.0", "")])));
    let mut setup = setup(&fake);
    setup.upstreams.rules.min_release_age = Some(Duration::from_hours(7 * 24));
    let app = setup.build();
    let shown = get(&app, INDEX).await.expect(200);
    assert_eq!(shown.text(), file(&[line("Foo-x", "1.0.0", "2026-01-01T00:00:00Z")]));
    let until = "hidden by this registry's rule min_release_age (7d) until 2026-03-10T00:00:00Z";
    for path in [download("Foo-x", "2.0.0"), "/api/v1/crates/foo-x/2.0.0".to_owned()] {
        let text = get(&app, &path).await.expect(403).error();
        assert!(text.contains(until), "{path}: {text}");
    }
    let known = get(&app, "/api/v1/crates/foo-x").await.expect(200).json();
    assert_eq!(
        (&known["crate"]["max_version"], known["versions"].as_array().unwrap().len()),
        (&json!("1.0.0"), 1)
    );
    // Without a time nobody can say how old it is, and nothing is left to show.
    let text = get(&app, "/ti/me/timeless").await.expect(403).error();
    assert!(text.contains("when it was published is not known"), "{text}");
    app.clock.advance(Duration::from_hours(7 * 24));
    assert_eq!(get(&app, INDEX).await.expect(200).text(), both("Foo-x"));
    get(&app, &download("Foo-x", "2.0.0")).await.expect(200);
}

#[tokio::test]
async fn one_version_can_be_denied() {
    let fake = FakeUpstream::start().await;
    put_on(&fake);
    let mut setup = setup(&fake);
    // Another spelling is the same crate.
    setup.upstreams.rules.deny = vec!["foo_X@2.0.0".to_owned()];
    let app = setup.build();
    assert_eq!(get(&app, INDEX).await.expect(200).lines().len(), 1);
    let refused = get(&app, &download("Foo-x", "2.0.0")).await.expect(403).error();
    assert_eq!(refused, "foo_x@2.0.0 is denied by this registry's rule `foo_X@2.0.0`");
}

#[tokio::test]
async fn a_version_published_elsewhere_is_found_when_it_is_asked_for() {
    let fake = FakeUpstream::start().await;
    put_on(&fake);
    let old = file(&[line("Foo-x", "1.0.0", "")]);
    fake.serve_each(
        "/index/fo/o-/foo-x",
        [Canned::ok(old).etag("\"h\""), Canned::ok(both("Foo-x")).etag("\"i\"")],
    );
    let app = setup(&fake).build();
    get(&app, INDEX).await.expect(200);
    get(&app, &download("Foo-x", "2.0.0")).await.expect(404);
    app.clock.advance(Duration::from_secs(11));
    get(&app, &download("Foo-x", "2.0.0")).await.expect(200);
    assert_eq!(fake.count("/index/fo/o-/foo-x"), 2);
}

#[tokio::test]
async fn merged_names_show_both_and_hosted_versions_win() {
    let fake = FakeUpstream::start().await;
    put_on(&fake);
    let mut setup = setup(&fake);
    let merge = Rule { names: vec!["foo-*".to_owned()], action: RuleAction::Merge(Vec::new()) };
    setup.upstreams.rules.rules = vec![merge];
    let app = setup.build();
    let ours = app.publish("Foo-x", "1.0.0+ours").await;
    app.publish("Foo-x", "3.0.0").await;
    let versions = async || -> Vec<String> {
        let lines = get(&app, INDEX).await.expect(200).lines();
        lines.iter().map(|line| line["vers"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(versions().await, ["1.0.0+ours", "3.0.0", "2.0.0"]);
    assert_eq!(get(&app, &download("Foo-x", "1.0.0+ours")).await.expect(200).body, ours.krate);
    get(&app, &download("Foo-x", "1.0.0")).await.expect(404);
    assert_eq!(get(&app, &download("Foo-x", "2.0.0")).await.expect(200).body, bytes("Foo-x", "2.0.0"));
    // What was deleted here does not come back from there.
    app.ask("DELETE", "/api/v1/crates/foo-x/1.0.0+ours").token("alice-token").send().await.expect(200);
    assert_eq!(versions().await, ["3.0.0", "2.0.0"]);
}

#[tokio::test]
async fn a_crate_of_the_other_registry_is_neither_published_nor_changed_here() {
    let fake = FakeUpstream::start().await;
    put_on(&fake);
    let app = setup(&fake).build();
    // Names that cannot exist beside it would take its place as well.
    for name in ["foo-x", "foo_x", "FOO_X"] {
        let refused = app.put(Upload::new(name, "9.0.0").bytes()).await.expect(403).error();
        assert!(refused.to_lowercase().starts_with("\"foo-x\" is a crate of the registry"), "{refused}");
        assert!(refused.contains("have it reserved here"), "{refused}");
    }
    get(&app, INDEX).await.expect(200);
    // A failure is no leave to take the name.
    fake.serve("/index/un/cl/unclear", Canned::status(500));
    app.put(Upload::new("unclear", "1.0.0").bytes()).await.expect(502);
    app.publish("free", "1.0.0").await;
    for (method, path) in [
        ("DELETE", "/api/v1/crates/foo-x/1.0.0/yank"),
        ("PUT", "/api/v1/crates/foo-x/1.0.0/unyank"),
        ("DELETE", "/api/v1/crates/foo-x"),
        ("GET", "/api/v1/crates/foo-x/owners"),
    ] {
        let reply = app.ask(method, path).token("alice-token").send().await.expect(404);
        assert!(
            reply.error().contains("was not published to this registry"),
            "{method} {path}: {}",
            reply.error()
        );
    }
}

#[tokio::test]
async fn many_clients_make_one_request_ranges_work_and_no_credentials_pass() {
    let fake = FakeUpstream::start().await;
    put_on(&fake);
    let good = bytes("Foo-x", "1.0.0");
    fake.serve("/files/Fo/o-/Foo-x/1.0.0", Canned::ok(good.clone()).after(Duration::from_millis(50)));
    let app = setup(&fake).build();
    let path = download("Foo-x", "1.0.0");
    let head = app.ask("HEAD", &path).token("alice-token").send().await.expect(200);
    assert_eq!((head.body.len(), head.header("content-length")), (0, Some(good.len().to_string().as_str())));
    assert_eq!(fake.count("/files/Fo/o-/Foo-x/1.0.0"), 1, "and that was a HEAD");
    let part = app.ask("GET", &path).token("alice-token").header("range", "bytes=10-19");
    let (all, part) = tokio::join!(join_all((0..30).map(|_| get(&app, &path))), part.send());
    for reply in all {
        assert_eq!(reply.expect(200).body, good);
    }
    assert_eq!(part.expect(206).body, good[10..20]);
    assert_eq!(fake.count("/files/Fo/o-/Foo-x/1.0.0"), 2, "{:?}", fake.seen());
    assert!(fake.seen().iter().all(|seen| seen.header("authorization").is_empty()));
}

#[tokio::test]
async fn a_search_shows_what_is_here_and_then_what_is_there() {
    let fake = FakeUpstream::start().await;
    put_on(&fake);
    let theirs = json!({
        "crates": [
            {"name": "zebra-there", "max_version": "1.0.0", "description": "stripes", "secret": 1},
            {"name": "zebra-here", "max_version": "9.9.9", "description": "a trap"},
        ],
        "meta": {"total": 7},
    });
    fake.serve("/web/api/v1/crates?q=zebra&per_page=10&page=1", Canned::json(&theirs));
    let app = setup(&fake).build();
    app.publish("zebra-here", "1.0.0").await;
    let found = get(&app, "/api/v1/crates?q=zebra").await.expect(200).json();
    let names: Vec<_> = found["crates"].as_array().unwrap().iter().map(|one| one["name"].clone()).collect();
    assert_eq!(names, ["zebra-here", "zebra-there"]);
    assert_eq!((&found["crates"][0]["max_version"], &found["meta"]["total"]), (&json!("1.0.0"), &json!(8)));
    assert!(found["crates"][1].get("secret").is_none());
    // A search that fails there shows what is here.
    let before = get(&app, "/api/v1/crates?q=stripes").await.expect(200).json();
    assert_eq!(before["meta"]["total"], 0);
    fake.stop().await;
    let alone = get(&app, "/api/v1/crates?q=zebra").await.expect(200).json();
    assert_eq!(alone["meta"]["total"], 1);
}

#[tokio::test]
async fn a_stale_file_is_served_while_it_is_refreshed() {
    let fake = FakeUpstream::start().await;
    put_on(&fake);
    let app = setup(&fake).build();
    get(&app, INDEX).await.expect(200);
    let more = both("Foo-x") + &file(&[line("Foo-x", "3.0.0", "")]);
    let slow = Canned::ok(more.clone()).etag("\"j\"").after(Duration::from_millis(200));
    fake.serve("/index/fo/o-/foo-x", slow);
    app.clock.advance(Duration::from_mins(8));
    let stale = get(&app, INDEX).await.expect(200);
    assert!(stale.header("cache-status").unwrap().contains("swr"), "{stale:?}");
    assert_eq!(stale.text(), both("Foo-x"));
    for _ in 0..200 {
        if get(&app, INDEX).await.expect(200).text() == more {
            assert_eq!(fake.count("/index/fo/o-/foo-x"), 2, "{:?}", fake.seen());
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
    let storage = Storage::memory(StorageOptions::default());
    let app = setup(&fake).build_on(storage.clone());
    get(&app, INDEX).await.expect(200);
    get(&app, &download("Foo-x", "1.0.0")).await.expect(200);
    app.settled(4).await;
    let before = fake.total();
    let url = format!("{}/index/", fake.url());
    let offline = Setup::new().upstream_with(&url, |config| config.offline = true).build_on(storage.clone());
    offline.clock.advance(Duration::from_hours(24 * 365));
    assert_eq!(get(&offline, INDEX).await.expect(200).text(), both("Foo-x"));
    let krate = get(&offline, &download("Foo-x", "1.0.0")).await.expect(200);
    assert_eq!(krate.body, bytes("Foo-x", "1.0.0"));
    for path in [download("Foo-x", "2.0.0"), "/ot/he/other".to_owned()] {
        let reply = get(&offline, &path).await;
        assert!(reply.status.is_server_error(), "what is not kept is not \"not there\": {reply:?}");
    }
    assert_eq!(fake.total(), before, "{:?}", fake.seen());
    let other = FakeUpstream::start().await;
    let moved = setup(&other).build_on(storage);
    get(&moved, INDEX).await.expect(404);
    assert_eq!(other.count("/index/fo/o-/foo-x"), 1);
}

#[tokio::test]
async fn credentials_go_to_the_registry_and_not_to_where_its_crates_lie() {
    let (fake, files) = (FakeUpstream::start().await, FakeUpstream::start().await);
    let dl = format!("{}/{{crate}}/{{version}}/{{sha256-checksum}}", files.url());
    let config = json!({"dl": dl, "api": format!("{}/index", fake.url()), "auth-required": true});
    fake.serve("/index/config.json", Canned::json(&config).to("their-token"));
    fake.serve("/index/fo/o-/foo-x", Canned::ok(both("Foo-x")).to("their-token"));
    fake.serve("/index/cl/os/closed", Canned::ok(both("closed")).to("another-token"));
    let sum = hex::encode(Sha256::digest(bytes("Foo-x", "1.0.0")));
    files.serve(
        &format!("/Foo-x/1.0.0/{sum}"),
        Canned::ok(bytes("Foo-x", "1.0.0")).header("set-cookie", "a=b"),
    );
    let through = |trusted: Vec<String>| {
        let url = format!("{}/index/", fake.url());
        let setup = Setup::new().upstream_with(&url, |config| {
            let name = http::header::AUTHORIZATION;
            config.auth = UpstreamAuth::Header { name, value: "their-token".to_owned().into() };
            config.trusted_hosts = trusted;
            config.retries = 0;
        });
        setup.build()
    };
    let app = through(vec![files.url().replace("http://", "")]);
    get(&app, INDEX).await.expect(200);
    let krate = get(&app, &download("Foo-x", "1.0.0")).await.expect(200);
    assert_eq!((krate.body.clone(), krate.header("set-cookie")), (bytes("Foo-x", "1.0.0").into(), None));
    assert!(
        fake.seen().iter().all(|seen| seen.header("authorization") == "their-token"),
        "{:?}",
        fake.seen()
    );
    assert!(files.seen().iter().all(|seen| seen.header("authorization").is_empty()), "{:?}", files.seen());
    // Whether clients need a token here is not that registry's to say.
    let ours = get(&app, "/config.json").await.expect(200).json();
    assert_eq!(ours["dl"], "http://registry.example.com/cargo/api/v1/crates");
    // What it wants of this registry is not wanted of the client.
    let refused = get(&app, "/cl/os/closed").await;
    assert!(refused.status.is_server_error(), "{refused:?}");
    assert_eq!(refused.header("www-authenticate"), None);
    // A host that nobody trusts is not asked at all.
    let before = files.total();
    let text = get(&through(Vec::new()), &download("Foo-x", "1.0.0")).await.expect(502).error();
    assert!(text.contains("points to an address"), "{text}");
    assert_eq!(files.total(), before);
}

#[tokio::test]
async fn the_first_registry_that_has_a_crate_decides_alone() {
    let (first, second) = (FakeUpstream::start().await, FakeUpstream::start().await);
    put_on(&first);
    put_on(&second);
    second.serve("/index/fo/o-/foo-x", Canned::ok(file(&[line("Foo-x", "9.0.0", "")])));
    second.serve("/index/on/ly/only", Canned::ok(both("only")));
    second.serve("/files/on/ly/only/1.0.0", Canned::ok(bytes("only", "1.0.0")));
    first.serve("/index/br/ok/broken", Canned::status(500));
    second.serve("/index/br/ok/broken", Canned::ok(both("broken")));
    let url = format!("{}/index/", second.url());
    let app = setup(&first).upstream_with(&url, |config| config.retries = 0).build();
    assert_eq!(
        get(&app, INDEX).await.expect(200).text(),
        both("Foo-x"),
        "lines of two are never in one file"
    );
    get(&app, &download("Foo-x", "9.0.0")).await.expect(404);
    get(&app, "/br/ok/broken").await.expect(502);
    assert_eq!(second.total(), 0, "{:?}", second.seen());
    let krate = get(&app, &download("only", "1.0.0")).await.expect(200);
    assert_eq!(krate.body, bytes("only", "1.0.0"));
    assert_eq!(first.count("/index/config.json"), 0, "bytes come from where their line does");
}

#[tokio::test]
async fn hooks_hear_of_foreign_crates_and_may_refuse() {
    let fake = FakeUpstream::start().await;
    put_on(&fake);
    let recorder = Recorder::new();
    let mut setup = setup(&fake);
    setup.options.hooks = recorder.hooks();
    let app = setup.build();
    recorder.refuse(Some("not today"));
    for path in [INDEX.to_owned(), download("Foo-x", "1.0.0")] {
        assert_eq!(get(&app, &path).await.expect(403).error(), "not today");
    }
    assert_eq!(fake.count("/files/Fo/o-/Foo-x/1.0.0"), 0, "{:?}", fake.seen());
    recorder.refuse(None);
    get(&app, INDEX).await.expect(200);
    get(&app, &download("Foo-x", "1.0.0")).await.expect(200);
    app.services.storage.drained().await;
    let done = recorder.done();
    for told in ["get Foo-x - alice", "get Foo-x 1.0.0 alice"] {
        assert!(done.iter().any(|one| one == told), "{told}: {done:?}");
    }
}

#[tokio::test]
async fn pages_of_a_search_leave_nothing_out() {
    let fake = FakeUpstream::start().await;
    put_on(&fake);
    for page in 1..=3 {
        let crates: Vec<_> = (0..2).map(|at| json!({"name": format!("zebra-{page}{at}")})).collect();
        let theirs = Canned::json(&json!({"crates": crates, "meta": {"total": 6}}));
        fake.serve(&format!("/web/api/v1/crates?q=zebra&per_page=2&page={page}"), theirs);
    }
    let app = setup(&fake).build();
    app.publish("zebra-here", "1.0.0").await;
    let mut names = Vec::new();
    for (page, length) in [(1, 2), (2, 2), (3, 2), (4, 1), (5, 0)] {
        let path = format!("/api/v1/crates?q=zebra&per_page=2&page={page}");
        let found = get(&app, &path).await.expect(200).json();
        let found = found["crates"].as_array().unwrap().clone();
        assert_eq!(found.len(), length, "page {page}: {found:?}");
        names.extend(found.iter().map(|one| one["name"].as_str().unwrap().to_owned()));
    }
    assert_eq!(names, ["zebra-here", "zebra-10", "zebra-11", "zebra-20", "zebra-21", "zebra-30", "zebra-31"]);
}
