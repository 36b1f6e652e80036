//! A registry in front of another one.

use std::time::Duration;

use futures_util::future::join_all;
use md5::{Digest as _, Md5};
use registry_core::{
    testing::{Canned, FakeUpstream},
    upstream::{Rule, RuleAction},
};
use serde_json::json;
use sha2::Sha256;

use crate::app::{App, Build, Client as _, Reply, Setup};

fn bytes(slug: &str) -> Vec<u8> {
    format!("the gem {slug}").repeat(1000).into_bytes()
}

fn line(slug: &str, created: &str) -> String {
    let sum = hex::encode(Sha256::digest(bytes(slug)));
    let created = if created.is_empty() { String::new() } else { format!(",created_at:{created}") };
    format!("{slug} rack:>= 1&< 3|checksum:{sum},ruby:>= 2.7{created}\n")
}

fn info() -> String {
    format!(
        "---\n{}{}{}",
        line("1.0.0", "2026-01-01T00:00:00Z"),
        line("1.1.0-java", "2026-01-02T00:00:00Z"),
        line("2.0.0", "2026-03-03T00:00:00Z")
    )
}

fn versions(more: &str) -> String {
    let md5 = hex::encode(Md5::digest(info()));
    format!(
        "created_at: 2026-01-01T00:00:00Z\n---\ntheirs 1.0.0,1.1.0-java {md5}\nown 9.9 {md5}\ntheirs 2.0.0 {md5}\n{more}"
    )
}

fn put_on(fake: &FakeUpstream) {
    fake.serve("/info/theirs", Canned::ok(info()).etag("\"i\""));
    fake.serve("/versions", Canned::ok(versions("")).etag("\"v\"").ranges());
    for slug in ["1.0.0", "1.1.0-java", "2.0.0"] {
        fake.serve(&format!("/gems/theirs-{slug}.gem"), Canned::ok(bytes(slug)));
        fake.serve(
            &format!("/quick/Marshal.4.8/theirs-{slug}.gemspec.rz"),
            Canned::ok(format!("quick {slug}")),
        );
    }
}

fn setup(fake: &FakeUpstream) -> Setup {
    Setup::new().upstream_with(&fake.url(), |config| config.retries = 0)
}

async fn get(app: &App, path: &str) -> Reply {
    app.ask("GET", path).token("alice-token").send().await
}

#[tokio::test]
async fn checklist_49_a_gem_of_another_registry_installs_also_when_that_is_down() {
    let fake = FakeUpstream::start().await;
    put_on(&fake);
    let app = setup(&fake).build();
    let check = async || {
        let all = get(&app, "/versions").await.expect(200);
        assert_eq!(all.text(), versions(""), "nothing is here: byte for byte");
        let md5 = format!("\"{}\"", hex::encode(Md5::digest(all.text())));
        assert_eq!(all.header("etag"), Some(md5.as_str()));
        let found = get(&app, "/info/theirs").await.expect(200);
        assert_eq!(found.text(), info());
        assert_eq!(get(&app, "/names").await.expect(200).text(), "---\nown\ntheirs\n");
        for slug in ["1.0.0", "1.1.0-java"] {
            assert_eq!(get(&app, &format!("/gems/theirs-{slug}.gem")).await.expect(200).body, bytes(slug));
        }
        let quick = get(&app, "/quick/Marshal.4.8/theirs-1.0.0.gemspec.rz").await.expect(200);
        assert_eq!(quick.text(), "quick 1.0.0");
        let specs = get(&app, "/specs.4.8").await.expect(200);
        assert!(
            specs.body.windows(6).any(|part| part == b"theirs") && specs.header("content-encoding").is_none()
        );
    };
    check().await;
    assert_eq!(fake.total(), 5, "{:?}", fake.seen());
    app.settled(8).await;
    fake.stop().await;
    check().await;
    app.clock.advance(Duration::from_hours(24));
    let stale = get(&app, "/info/theirs").await.expect(200);
    assert_eq!(stale.header("warning"), Some("111 smartregistry \"Revalidation Failed\""));
    get(&app, "/versions").await.expect(200);
    // What is not here cannot be had, and that is no 404.
    get(&app, "/gems/theirs-2.0.0.gem").await.expect(502);
    get(&app, "/info/other").await.expect(502);
}

#[tokio::test]
async fn checklist_51_52_the_list_of_versions_is_continued_by_range_and_never_broken() {
    let fake = FakeUpstream::start().await;
    put_on(&fake);
    let app = setup(&fake).build();
    get(&app, "/versions").await.expect(200);
    let md5 = hex::encode(Md5::digest("x"));
    let more = versions(&format!("new 1.0 {md5}\n"));
    fake.serve("/versions", Canned::ok(more.clone()).etag("\"w\"").ranges());
    app.clock.advance(Duration::from_hours(1));
    let grown = get(&app, "/versions").await.expect(200);
    assert_eq!(grown.text(), more);
    let asked = fake.seen().pop().unwrap();
    assert_eq!(asked.header("range"), format!("bytes={}-", versions("").len() - 1));
    assert_eq!((asked.header("if-none-match"), asked.header("accept-encoding")), ("\"v\"", "identity"));
    // A client's own range goes on, too.
    let range = format!("bytes={}-", versions("").len() - 1);
    let tail =
        app.ask("GET", "/versions").token("alice-token").header("range", &range).send().await.expect(206);
    assert_eq!(tail.text(), format!("\nnew 1.0 {md5}\n"));
    // What was written anew is asked for whole; what is broken is not kept.
    let anew = versions(&format!("anew 2.0 {md5}\n")).replace("theirs 2.0.0", "theirs 2.0.1");
    fake.serve("/versions", Canned::ok(anew.clone()).etag("\"a\"").ranges());
    app.clock.advance(Duration::from_hours(1));
    let shorter = anew.len() < more.len();
    assert!(!shorter || get(&app, "/versions").await.expect(200).text() == anew);
    fake.serve("/versions", Canned::ok("<html>").etag("\"h\""));
    app.clock.advance(Duration::from_hours(1));
    let stale = get(&app, "/versions").await.expect(200);
    assert!(stale.header("warning").is_some() && stale.text().starts_with("created_at:"));
}

#[tokio::test]
async fn checklist_53_54_55_hosted_and_reserved_gems_are_asked_of_nobody_and_shadow_theirs() {
    let fake = FakeUpstream::start().await;
    put_on(&fake);
    let mut setup = setup(&fake);
    setup.upstreams.rules.reserved = vec!["acme-*".to_owned()];
    let app = setup.build();
    app.push(&Build::new("own", "1.0")).await;
    let before = fake.total();
    for name in ["own", "acme-secret"] {
        fake.serve(&format!("/info/{name}"), Canned::ok(info()));
        for (path, hosted) in [
            (format!("/info/{name}"), true),
            (format!("/gems/{name}-1.0.gem"), true),
            (format!("/gems/{name}-1.0.0.gem"), false),
            (format!("/quick/Marshal.4.8/{name}-1.0.gemspec.rz"), true),
            (format!("/api/v1/gems/{name}.json"), true),
            (format!("/api/v1/versions/{name}.json"), true),
        ] {
            let status = if hosted && name == "own" { 200 } else { 404 };
            get(&app, &path).await.expect(status);
        }
    }
    app.push(&Build::new("acme-new", "1.0")).await;
    assert_eq!(fake.total(), before, "{:?}", fake.seen());
    let all = get(&app, "/versions").await.expect(200).text();
    assert_eq!(all.matches("---\n").count(), 1, "{all}");
    assert!(
        all.contains("\ntheirs 2.0.0 ") && all.contains("\nown 1.0 ") && !all.contains("own 9.9"),
        "{all}"
    );
    assert_eq!(get(&app, "/names").await.expect(200).text(), "---\nacme-new\nown\ntheirs\n");
    let mine = app.text_of("/info/own").await;
    assert!(all.contains(&hex::encode(Md5::digest(mine))), "{all}");
    // Who may read some sees of theirs what they may read.
    let bob = app.ask("GET", "/names").token("bob-token").send().await.expect(200).text();
    assert_eq!(bob, "---\n");
}

trait Text {
    async fn text_of(&self, path: &str) -> String;
}

impl Text for App {
    async fn text_of(&self, path: &str) -> String {
        get(self, path).await.expect(200).text()
    }
}

#[tokio::test]
async fn checklist_56_not_there_failing_and_other_things_are_told_apart() {
    let fake = FakeUpstream::start().await;
    let app = setup(&fake).build();
    get(&app, "/info/none").await.expect(404);
    get(&app, "/info/none").await.expect(404);
    assert_eq!(fake.total(), 1, "that it is not there is remembered");
    fake.serve("/info/broken", Canned::status(500));
    get(&app, "/info/broken").await.expect(502);
    fake.serve("/info/portal", Canned::ok("<html>Log in</html>"));
    assert!(get(&app, "/info/portal").await.expect(502).text().contains("its info file has no head"));
    fake.serve("/info/busy", Canned::status(429).header("retry-after", "60"));
    assert_eq!(get(&app, "/info/busy").await.expect(503).header("retry-after"), Some("60"));
}

#[tokio::test]
async fn checklist_50_other_bytes_have_no_clean_end_and_are_not_kept() {
    let fake = FakeUpstream::start().await;
    put_on(&fake);
    fake.serve("/gems/theirs-1.0.0.gem", Canned::ok("x".repeat(bytes("1.0.0").len())));
    fake.serve("/gems/theirs-2.0.0.gem", Canned::ok(bytes("2.0.0")).cut_after(5000));
    let app = setup(&fake).build();
    for slug in ["1.0.0", "2.0.0"] {
        let request = http::Request::get(format!("/rubygems/gems/theirs-{slug}.gem"));
        let request =
            request.header("authorization", "Bearer alice-token").body(registry_core::Body::empty());
        let response = registry_core::PackageRegistry::handle(&app.registry, request.unwrap()).await;
        assert_eq!(response.status(), 200);
        assert!(http_body_util::BodyExt::collect(response.into_body()).await.is_err(), "{slug}");
    }
    assert!(!app.keys().await.iter().any(|key| key.contains("_artifact")), "{:?}", app.keys().await);
}

#[tokio::test]
async fn a_young_or_denied_version_is_hidden_everywhere() {
    let fake = FakeUpstream::start().await;
    put_on(&fake);
    fake.serve("/info/timeless", Canned::ok(format!("---\n{}", line("1.0", ""))));
    let mut setup = setup(&fake);
    setup.upstreams.rules.min_release_age = Some(Duration::from_hours(7 * 24));
    setup.upstreams.rules.deny = vec!["theirs@1.1.0-java".to_owned()];
    let app = setup.build();
    let shown = get(&app, "/info/theirs").await.expect(200);
    assert_eq!(shown.text(), format!("---\n{}", line("1.0.0", "2026-01-01T00:00:00Z")));
    for (path, text) in [
        ("/gems/theirs-2.0.0.gem", "until 2026-03-10T00:00:00Z"),
        ("/quick/Marshal.4.8/theirs-2.0.0.gemspec.rz", "until 2026-03-10T00:00:00Z"),
        ("/gems/theirs-1.1.0-java.gem", "denied by this registry's rule `theirs@1.1.0-java`"),
        ("/info/timeless", "when it was published is not known"),
    ] {
        let refused = get(&app, path).await.expect(403).text();
        assert!(refused.contains(text), "{path}: {refused}");
    }
    app.clock.advance(Duration::from_hours(7 * 24));
    assert!(get(&app, "/info/theirs").await.expect(200).text().contains("2.0.0 "));
    get(&app, "/gems/theirs-2.0.0.gem").await.expect(200);
}

#[tokio::test]
async fn a_version_pushed_elsewhere_is_found_when_it_is_asked_for() {
    let fake = FakeUpstream::start().await;
    put_on(&fake);
    let old = format!("---\n{}", line("1.0.0", ""));
    fake.serve_each("/info/theirs", [Canned::ok(old).etag("\"o\""), Canned::ok(info()).etag("\"i\"")]);
    let app = setup(&fake).build();
    get(&app, "/info/theirs").await.expect(200);
    get(&app, "/gems/theirs-2.0.0.gem").await.expect(404);
    app.clock.advance(Duration::from_secs(11));
    get(&app, "/gems/theirs-2.0.0.gem").await.expect(200);
}

#[tokio::test]
async fn merged_names_show_both_and_hosted_versions_win() {
    let fake = FakeUpstream::start().await;
    put_on(&fake);
    let mut setup = setup(&fake);
    let merge = Rule { names: vec!["theirs".to_owned()], action: RuleAction::Merge(Vec::new()) };
    setup.upstreams.rules.rules = vec![merge];
    let app = setup.build();
    let ours = Build::new("theirs", "2.0.0");
    app.push(&ours).await;
    let shown = get(&app, "/info/theirs").await.expect(200).text();
    let slugs: Vec<_> =
        shown.lines().skip(1).map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(slugs, ["2.0.0", "1.0.0", "1.1.0-java"]);
    assert_eq!(get(&app, "/gems/theirs-2.0.0.gem").await.expect(200).body, ours.bytes());
    assert_eq!(get(&app, "/gems/theirs-1.0.0.gem").await.expect(200).body, bytes("1.0.0"));
}

#[tokio::test]
async fn a_gem_of_the_other_registry_cannot_be_pushed_by_accident() {
    let fake = FakeUpstream::start().await;
    put_on(&fake);
    let app = setup(&fake).build();
    let refused = app.post(Build::new("theirs", "9.0").bytes(), "alice-token").await.expect(403).text();
    assert!(refused.contains("have it reserved here"), "{refused}");
    // A failure is no leave to take the name.
    fake.serve("/info/unclear", Canned::status(500));
    app.post(Build::new("unclear", "1.0").bytes(), "alice-token").await.expect(502);
    app.push(&Build::new("free", "1.0")).await;
    app.yank("theirs", "1.0.0", "alice-token").await.expect(404);
}

#[tokio::test]
async fn many_clients_make_one_request_ranges_work_and_no_credentials_pass() {
    let fake = FakeUpstream::start().await;
    put_on(&fake);
    let path = "/gems/theirs-1.0.0.gem";
    fake.serve(path, Canned::ok(bytes("1.0.0")).after(Duration::from_millis(50)));
    let app = setup(&fake).build();
    let head = app.ask("HEAD", path).token("alice-token").send().await.expect(200);
    assert_eq!(head.header("content-length"), Some(bytes("1.0.0").len().to_string().as_str()));
    let part = app.ask("GET", path).token("alice-token").header("range", "bytes=10-19");
    let (all, part) = tokio::join!(join_all((0..30).map(|_| get(&app, path))), part.send());
    for reply in all {
        assert_eq!(reply.expect(200).body, bytes("1.0.0"));
    }
    assert_eq!(part.expect(206).body, bytes("1.0.0")[10..20]);
    assert_eq!(fake.count(path), 2, "a HEAD and a GET: {:?}", fake.seen());
    assert!(fake.seen().iter().all(|seen| seen.header("authorization").is_empty()));
}

#[tokio::test]
async fn what_is_said_of_a_gem_passes_with_its_file_here() {
    let fake = FakeUpstream::start().await;
    put_on(&fake);
    let told = json!({"name": "theirs", "version": "2.0.0", "gem_uri": "https://files.example.com/gems/theirs-2.0.0.gem"});
    fake.serve("/api/v1/gems/theirs.json", Canned::json(&told));
    let app = setup(&fake).build();
    let found = get(&app, "/api/v1/gems/theirs.json").await.expect(200).json();
    assert_eq!(found["gem_uri"], "http://registry.example.com/rubygems/gems/theirs-2.0.0.gem");
    get(&app, "/api/v1/gems/none.json").await.expect(404);
}
