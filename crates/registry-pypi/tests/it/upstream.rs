//! An index in front of another one.

use std::time::Duration;

use registry_core::{
    storage::{Digests, WantedDigests},
    testing::{Canned, FakeUpstream},
    upstream::{Rule, RuleAction},
};
use serde_json::{Value, json};

use crate::app::{App, Client as _, Form, J, Reply, Setup};

const OLD: &str = "foo_bar-1.0-py3-none-any.whl";
const NEW: &str = "foo_bar-2.0-py3-none-any.whl";

fn bytes(file: &str) -> Vec<u8> {
    format!("the bytes of {file}").repeat(1000).into_bytes()
}

fn metadata(version: &str) -> String {
    format!("Metadata-Version: 2.1\nName: Foo.Bar\nVersion: {version}\nSummary: from elsewhere\n\nabout\n")
}

fn sha256(bytes: &[u8]) -> String {
    Digests::of(bytes, WantedDigests::default()).sha256
}

fn entry(fake: &FakeUpstream, file: &str, version: &str, time: &str) -> Value {
    json!({
        "filename": file, "url": format!("{}/f/{file}?sig=1", fake.url()), "hashes": {"sha256": sha256(&bytes(file))},
        "size": bytes(file).len(), "upload-time": time, "requires-python": ">=3.8", "yanked": false,
        "core-metadata": {"sha256": sha256(metadata(version).as_bytes())},
        "provenance": format!("{}/p/{file}", fake.url()),
    })
}

fn page(fake: &FakeUpstream) -> Value {
    let mut new = entry(fake, NEW, "2.0", "2026-03-03T00:00:00.5Z");
    new["yanked"] = json!("broken <b>");
    json!({
        "meta": {"api-version": "1.4", "_last-serial": 7}, "name": "Foo.Bar", "versions": ["1.0", "2.0"],
        "project-status": {"status": "deprecated", "reason": "use other"},
        "files": [entry(fake, OLD, "1.0", "2026-01-01T00:00:00Z"), new],
    })
}

fn canned(page: &Value) -> Canned {
    Canned::ok(page.to_string()).header("content-type", J).etag("\"p\"")
}

/// Everything of `foo-bar`.
fn put_on(fake: &FakeUpstream) {
    fake.serve("/simple/foo-bar/", canned(&page(fake)));
    for (file, version) in [(OLD, "1.0"), (NEW, "2.0")] {
        fake.serve(&format!("/f/{file}?sig=1"), Canned::ok(bytes(file)));
        fake.serve(&format!("/f/{file}.metadata?sig=1"), Canned::ok(metadata(version)));
        fake.serve(&format!("/p/{file}"), Canned::json(&json!({"version": 1})));
    }
}

fn setup(fake: &FakeUpstream) -> Setup {
    Setup::new().upstream_with(&format!("{}/simple/", fake.url()), |config| config.retries = 0)
}

async fn get(app: &App, path: &str) -> Reply {
    app.ask("GET", path).token("alice-token").header("accept", "*/*").send().await
}

#[tokio::test]
async fn checklist_23_24_a_project_of_another_index_installs_also_when_that_is_down() {
    let fake = FakeUpstream::start().await;
    put_on(&fake);
    let app = setup(&fake).build();
    let check = async || {
        let page = app.page("foo-bar").await;
        assert_eq!((&page["name"], &page["versions"]), (&json!("foo-bar"), &json!(["1.0", "2.0"])));
        assert_eq!(page["project-status"], json!({"status": "deprecated", "reason": "use other"}));
        let file = &page["files"][0];
        assert_eq!(file["url"], OLD);
        assert_eq!(file["hashes"]["sha256"], sha256(&bytes(OLD)));
        assert_eq!(file["upload-time"], "2026-01-01T00:00:00.000000Z");
        assert_eq!((&file["requires-python"], &file["yanked"]), (&json!(">=3.8"), &json!(false)));
        assert_eq!(page["files"][1]["yanked"], "broken <b>");
        let ask = app.ask("GET", "/simple/foo-bar/").token("alice-token").header("accept", "text/html");
        let html = ask.send().await.expect(200);
        assert!(html.text().contains(&format!("href=\"{OLD}#sha256={}\"", sha256(&bytes(OLD)))));
        assert!(html.text().contains("data-yanked=\"broken &lt;b&gt;\""), "{}", html.text());
        let host = fake.url().replace("http://", "");
        assert!(!html.text().contains(&host) && !page.to_string().contains(&host));
        let file = get(&app, &format!("/simple/foo-bar/{OLD}")).await.expect(200);
        assert_eq!(file.body, bytes(OLD));
        assert_eq!(file.header("etag"), Some(format!("\"{}\"", sha256(&bytes(OLD))).as_str()));
        let beside = get(&app, &format!("/simple/foo-bar/{OLD}.metadata")).await.expect(200);
        assert_eq!(beside.text(), metadata("1.0"));
        let provenance = get(&app, &format!("/simple/foo-bar/{OLD}.provenance")).await.expect(200);
        assert_eq!(provenance.json(), json!({"version": 1}));
        let known = get(&app, "/pypi/foo-bar/json").await.expect(200).json();
        assert_eq!(known["info"]["version"], "1.0", "the other is yanked");
        assert_eq!(known["info"]["summary"], "from elsewhere");
        assert_eq!(known["releases"]["2.0"][0]["yanked_reason"], "broken <b>");
        assert_eq!(
            known["urls"][0]["url"],
            format!("http://registry.example.com/simple/foo-bar/{OLD}").as_str()
        );
        assert!(!known.to_string().contains(&host));
    };
    check().await;
    assert_eq!(fake.total(), 4, "a page, a file, its metadata, its provenance: {:?}", fake.seen());
    app.settled(7).await;
    fake.stop().await;
    check().await;
    app.clock.advance(Duration::from_hours(24));
    let stale = get(&app, "/simple/foo-bar/").await.expect(200);
    assert_eq!(stale.header("warning"), Some("111 smartregistry \"Revalidation Failed\""));
    // What is not here cannot be had, and that is no 404.
    get(&app, &format!("/simple/foo-bar/{NEW}")).await.expect(502);
}

#[tokio::test]
async fn a_page_is_asked_for_as_json_first_and_an_unchanged_one_is_fresh_again() {
    let fake = FakeUpstream::start().await;
    put_on(&fake);
    let app = setup(&fake).build();
    let first = get(&app, "/simple/foo-bar/").await.expect(200);
    assert!(fake.seen()[0].header("accept").starts_with(J));
    app.clock.advance(Duration::from_hours(1));
    let again = get(&app, "/simple/foo-bar/").await.expect(200);
    assert_eq!(fake.seen()[1].header("if-none-match"), "\"p\"");
    assert!(again.header("cache-status").unwrap().contains("fwd-status=304"));
    assert_eq!((again.header("etag"), again.body.clone()), (first.header("etag"), first.body.clone()));
}

#[tokio::test]
async fn checklist_62_an_index_that_knows_only_html_and_odd_addresses() {
    let fake = FakeUpstream::start().await;
    let old = "Foo.Bar-0.9.zip";
    let html = format!(
        "<html><head><title>Links for foo-bar</title><base href=\"/deep/er/\"><script>alert(1)</script></head><body>\
         <a href=\"../{OLD}#sha256={}\" data-requires-python=\"&gt;=3.9\" data-yanked onclick='x'>{OLD}</a>\
         <a href='{old}'>{old}</a></body>",
        sha256(&bytes(OLD))
    );
    fake.serve("/simple/foo-bar/", Canned::ok(html).header("content-type", "text/html"));
    fake.serve(&format!("/deep/{OLD}"), Canned::ok(bytes(OLD)));
    fake.serve(&format!("/deep/er/{old}"), Canned::ok(bytes(old)));
    let app = setup(&fake).build();
    let page = app.page("foo-bar").await;
    assert_eq!(page["versions"], json!(["0.9", "1.0"]));
    let file = &page["files"][0];
    assert_eq!((&file["requires-python"], &file["yanked"]), (&json!(">=3.9"), &json!(true)));
    assert!(file.get("size").is_none() && file.get("upload-time").is_none());
    assert_eq!(page["files"][1]["hashes"], json!({}));
    let shown = app.ask("GET", "/simple/foo-bar/").token("alice-token").header("accept", "text/html");
    let shown = shown.send().await.expect(200).text();
    assert!(!shown.contains("script") && !shown.contains("onclick") && !shown.contains("deep"), "{shown}");
    for file in [OLD, old] {
        assert_eq!(get(&app, &format!("/simple/foo-bar/{file}")).await.expect(200).body, bytes(file));
    }
}

#[tokio::test]
async fn checklist_26_27_hosted_and_reserved_names_are_asked_of_nobody() {
    let fake = FakeUpstream::start().await;
    let mut setup = setup(&fake);
    setup.upstreams.rules.reserved = vec!["acme-*".to_owned()];
    let app = setup.build();
    // The first upload of a new name asks whether it is taken.
    app.upload(&Form::wheel("own", "1.0")).await;
    app.upload(&Form::wheel("gone", "1.0")).await;
    app.ask("DELETE", "/pypi/gone").token("alice-token").send().await.expect(200);
    let before = fake.total();
    for name in ["own", "gone", "acme-secret"] {
        let mut theirs = page(&fake);
        theirs["name"] = json!(name);
        fake.serve(&format!("/simple/{name}/"), canned(&theirs));
        for path in [
            format!("/simple/{name}/"),
            format!("/simple/{name}/{OLD}"),
            format!("/simple/{name}/{OLD}.metadata"),
            format!("/simple/{name}/{OLD}.provenance"),
            format!("/pypi/{name}/json"),
            format!("/pypi/{name}/2.0/json"),
        ] {
            let reply = get(&app, &path).await;
            let hosted = ["/simple/own/", "/pypi/own/json"].contains(&path.as_str());
            assert_eq!(reply.status.as_u16(), if hosted { 200 } else { 404 }, "{path}");
        }
    }
    assert_eq!(app.page("own").await["versions"], json!(["1.0"]));
    app.upload(&Form::wheel("acme-new", "1.0")).await;
    get(&app, "/simple/Acme_Secret/").await.expect(301);
    get(&app, "/simple/").await.expect(200);
    assert_eq!(fake.total(), before, "{:?}", fake.seen());
}

#[tokio::test]
async fn checklist_29_not_there_failing_and_other_things_are_told_apart() {
    let fake = FakeUpstream::start().await;
    let app = setup(&fake).build();
    get(&app, "/simple/none/").await.expect(404);
    get(&app, "/simple/none/").await.expect(404);
    assert_eq!(fake.total(), 1, "that it is not there is remembered");
    app.clock.advance(Duration::from_secs(61));
    get(&app, "/simple/none/").await.expect(404);
    assert_eq!(fake.total(), 2, "for a minute at most");
    fake.serve("/simple/broken/", Canned::status(500));
    let reply = get(&app, "/simple/broken/").await.expect(502);
    assert_eq!(reply.text(), "the upstream registry `up` answered with status 500\n");
    let portal = Canned::ok("<html><title>Log in</title><a href='/login'>x</a>");
    fake.serve("/simple/portal/", portal.header("content-type", "text/html"));
    assert!(get(&app, "/simple/portal/").await.expect(502).text().contains("no page of a project"));
    fake.serve("/simple/other/", canned(&page(&fake)));
    assert!(get(&app, "/simple/other/").await.expect(502).text().contains("page of another project"));
    fake.serve("/simple/busy/", Canned::status(429).header("retry-after", "60"));
    assert_eq!(get(&app, "/simple/busy/").await.expect(503).header("retry-after"), Some("60"));
}

#[tokio::test]
async fn checklist_25_other_bytes_have_no_clean_end_and_are_not_kept() {
    let fake = FakeUpstream::start().await;
    put_on(&fake);
    fake.serve(&format!("/f/{OLD}?sig=1"), Canned::ok("x".repeat(bytes(OLD).len())));
    fake.serve(&format!("/f/{OLD}.metadata?sig=1"), Canned::ok("something else"));
    let app = setup(&fake).build();
    for path in [format!("/simple/foo-bar/{OLD}"), format!("/simple/foo-bar/{OLD}.metadata")] {
        let request = http::Request::get(&path).header("authorization", "Bearer alice-token");
        let request = request.body(registry_core::Body::empty()).unwrap();
        let response = registry_core::PackageRegistry::handle(&app.registry, request).await;
        let body = http_body_util::BodyExt::collect(response.into_body()).await;
        assert!(body.is_err(), "a broken transfer of {path}");
    }
    assert_eq!(app.keys().await.len(), 1, "only the page: {:?}", app.keys().await);
    // The metadata is what the JSON is made of.
    assert!(get(&app, "/pypi/foo-bar/1.0/json").await.status.is_server_error());
}

#[tokio::test]
async fn a_young_file_is_hidden_everywhere_until_it_is_old_enough() {
    let fake = FakeUpstream::start().await;
    put_on(&fake);
    let mut setup = setup(&fake);
    setup.upstreams.rules.min_release_age = Some(Duration::from_hours(7 * 24));
    setup.upstreams.rules.min_release_age_exclude = vec!["free".to_owned()];
    setup.upstreams.rules.deny = vec!["foo-bar@3.0".to_owned()];
    let app = setup.build();
    let shown = app.page("foo-bar").await;
    assert_eq!((&shown["versions"], shown["files"].as_array().unwrap().len()), (&json!(["1.0"]), 1));
    let until = "hidden by this registry's rule min_release_age (7d) until 2026-03-10T00:00:00Z";
    for path in [
        format!("/simple/foo-bar/{NEW}"),
        format!("/simple/foo-bar/{NEW}.metadata"),
        format!("/simple/foo-bar/{NEW}.provenance"),
        "/pypi/foo-bar/2.0/json".to_owned(),
    ] {
        let text = get(&app, &path).await.expect(403).text();
        assert!(text.contains(until), "{path}: {text}");
    }
    let known = get(&app, "/pypi/foo-bar/json").await.expect(200).json();
    assert!(known["releases"].get("2.0").is_none());
    // Without a time nobody can say how old it is, and nothing is left to show.
    for (name, hidden) in [("timeless", true), ("free", false)] {
        let mut theirs = page(&fake);
        theirs["name"] = json!(name);
        let stem = format!("{name}-1.0-py3-none-any.whl");
        theirs["files"] = json!([{"filename": stem, "url": stem, "hashes": {}}]);
        theirs["versions"] = json!(["1.0"]);
        fake.serve(&format!("/simple/{name}/"), canned(&theirs));
        let reply = get(&app, &format!("/simple/{name}/")).await;
        assert_eq!(reply.status.as_u16(), if hidden { 403 } else { 200 }, "{name}");
        assert_eq!(reply.text().contains("min_release_age (7d)"), hidden, "{}", reply.text());
    }
    app.clock.advance(Duration::from_hours(7 * 24));
    assert_eq!(app.page("foo-bar").await["versions"], json!(["1.0", "2.0"]));
    get(&app, &format!("/simple/foo-bar/{NEW}")).await.expect(200);
}

#[tokio::test]
async fn one_version_can_be_denied() {
    let fake = FakeUpstream::start().await;
    put_on(&fake);
    let mut setup = setup(&fake);
    setup.upstreams.rules.deny = vec!["foo-bar@2.0".to_owned()];
    let app = setup.build();
    assert_eq!(app.page("foo-bar").await["versions"], json!(["1.0"]));
    let refused = get(&app, &format!("/simple/foo-bar/{NEW}")).await.expect(403).text();
    assert_eq!(refused, "foo-bar@2.0 is denied by this registry's rule `foo-bar@2.0`\n");
}

#[tokio::test]
async fn a_file_uploaded_elsewhere_is_found_when_it_is_asked_for() {
    let fake = FakeUpstream::start().await;
    put_on(&fake);
    let mut before = page(&fake);
    before["files"].as_array_mut().unwrap().pop();
    fake.serve_each("/simple/foo-bar/", [canned(&before), canned(&page(&fake)).etag("\"q\"")]);
    let app = setup(&fake).build();
    app.page("foo-bar").await;
    get(&app, &format!("/simple/foo-bar/{NEW}")).await.expect(404);
    app.clock.advance(Duration::from_secs(11));
    get(&app, &format!("/simple/foo-bar/{NEW}")).await.expect(200);
    assert_eq!(fake.count("/simple/foo-bar/"), 2);
}

#[tokio::test]
async fn merged_names_show_both_and_hosted_files_win() {
    let fake = FakeUpstream::start().await;
    put_on(&fake);
    let mut setup = setup(&fake);
    let merge = Rule { names: vec!["foo-*".to_owned()], action: RuleAction::Merge(Vec::new()) };
    setup.upstreams.rules.rules = vec![merge];
    let app = setup.build();
    let ours = Form::wheel("foo-bar", "1.0");
    app.upload(&ours).await;
    app.upload(&Form::wheel("foo-bar", "3.0")).await;
    let shown = app.page("foo-bar").await;
    assert_eq!(shown["versions"], json!(["1.0", "2.0", "3.0"]));
    let names: Vec<_> =
        shown["files"].as_array().unwrap().iter().map(|file| file["filename"].clone()).collect();
    assert_eq!(names, [OLD, "foo_bar-3.0-py3-none-any.whl", NEW]);
    assert_eq!(shown["files"][0]["hashes"]["sha256"], sha256(ours.content()));
    assert_eq!(get(&app, &format!("/simple/foo-bar/{OLD}")).await.expect(200).body, ours.content());
    assert_eq!(get(&app, &format!("/simple/foo-bar/{NEW}")).await.expect(200).body, bytes(NEW));
    assert_eq!(get(&app, "/pypi/foo-bar/2.0/json").await.expect(200).json()["info"]["version"], "2.0");
    // What was deleted here does not come back from there.
    app.ask("DELETE", &format!("/pypi/foo-bar/1.0/{OLD}")).token("alice-token").send().await.expect(200);
    assert_eq!(app.page("foo-bar").await["versions"], json!(["1.0", "2.0", "3.0"]));
    get(&app, &format!("/simple/foo-bar/{OLD}")).await.expect(404);
}

#[tokio::test]
async fn a_name_of_the_other_index_cannot_be_uploaded_by_accident() {
    let fake = FakeUpstream::start().await;
    put_on(&fake);
    let app = setup(&fake).build();
    let refused = app.post(&Form::wheel("foo-bar", "9.0"), "alice-token").await.expect(403);
    assert!(refused.text().contains("have it reserved here"), "{}", refused.text());
    // A failure is no leave to take the name.
    fake.serve("/simple/unclear/", Canned::status(500));
    app.post(&Form::wheel("unclear", "1.0"), "alice-token").await.expect(502);
    app.upload(&Form::wheel("free", "1.0")).await;
}

#[tokio::test]
async fn many_clients_make_one_request_and_no_credentials_pass() {
    let fake = FakeUpstream::start().await;
    put_on(&fake);
    fake.serve(&format!("/f/{OLD}?sig=1"), Canned::ok(bytes(OLD)).after(Duration::from_millis(50)));
    let app = setup(&fake).build();
    let path = format!("/simple/foo-bar/{OLD}");
    let all = futures_util::future::join_all((0..30).map(|_| get(&app, &path))).await;
    for reply in all {
        assert_eq!(reply.expect(200).body, bytes(OLD));
    }
    assert_eq!(fake.total(), 2, "{:?}", fake.seen());
    assert!(fake.seen().iter().all(|seen| seen.header("authorization").is_empty()));
}
