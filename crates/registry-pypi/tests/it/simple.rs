//! The simple API's pages.

use serde_json::json;

use crate::app::{App, Client as _, Form, J, Setup};

async fn ask(app: &App, path: &str, accept: &str) -> crate::app::Reply {
    app.ask("GET", path).token("alice-token").header("accept", accept).send().await
}

#[tokio::test]
async fn checklist_4_every_file_entry_is_whole() {
    let app = Setup::new().build();
    app.upload(&Form::wheel_with("foo", "1.0", "Requires-Python: >=3.9,<4\n")).await;
    app.upload(&Form::sdist("foo", "1.0", "")).await;
    let page = app.page("foo").await;
    assert_eq!(page["meta"], json!({"api-version": "1.4"}));
    let files = page["files"].as_array().unwrap();
    assert_eq!(files.len(), 2);
    let wheel = &files[0];
    assert_eq!(wheel["filename"], "foo-1.0-py3-none-any.whl");
    assert_eq!(wheel["url"], "foo-1.0-py3-none-any.whl");
    assert_eq!(wheel["requires-python"], ">=3.9,<4");
    for file in files {
        assert_eq!(file["hashes"]["sha256"].as_str().unwrap().len(), 64);
        assert!(file["size"].is_u64());
        assert_eq!(file["upload-time"], "2026-03-04T05:06:07.890000Z");
        assert_eq!(file["yanked"], false);
    }
    // A source distribution's metadata before 2.2 may change when it is built.
    assert_eq!(files[1]["core-metadata"], false);
    assert!(page.get("project-status").is_none());
}

#[tokio::test]
async fn checklist_5_6_metadata_is_what_the_wheel_holds() {
    let app = Setup::new().build();
    app.upload(&Form::wheel("Foo", "1.0")).await;
    app.upload(&Form::sdist("foo", "1.1", "")).await;
    let page = ask(&app, "/simple/foo/", J).await;
    assert!(!page.text().contains("dist-info-metadata"));
    let html = ask(&app, "/simple/foo/", "text/html").await;
    assert!(!html.text().contains("dist-info-metadata"));
    let reply = app.get("/simple/foo/foo-1.0-py3-none-any.whl.metadata").await.expect(200);
    assert_eq!(reply.text(), "Metadata-Version: 2.1\nName: Foo\nVersion: 1.0\n\nabout Foo\n");
    let digests =
        registry_core::storage::Digests::of(&reply.body, registry_core::storage::WantedDigests::default());
    assert_eq!(page.json()["files"][0]["core-metadata"]["sha256"], digests.sha256);
    assert!(html.text().contains(&format!("data-core-metadata=\"sha256={}\"", digests.sha256)));
    app.get("/simple/foo/foo-1.1.tar.gz.metadata").await.expect(404);
}

#[tokio::test]
async fn checklist_3_pages_come_in_three_forms() {
    let app = Setup::new().build();
    app.upload(&Form::wheel("foo", "1.0")).await;
    let reply = ask(&app, "/simple/foo/", J).await.expect(200);
    assert_eq!(reply.header("content-type"), Some(J));
    for accept in ["*/*", "text/html"] {
        let reply = ask(&app, "/simple/foo/", accept).await.expect(200);
        assert_eq!(reply.header("content-type"), Some("text/html; charset=utf-8"));
        assert!(reply.text().contains(">foo-1.0-py3-none-any.whl</a>"), "{}", reply.text());
    }
    assert_eq!(app.get("/simple/foo/").await.header("content-type"), Some("text/html; charset=utf-8"));
    let reply = ask(&app, "/simple/foo/", "image/png").await.expect(406);
    assert!(reply.text().contains(J));
    let format = "/simple/foo/?format=application/vnd.pypi.simple.v1+json";
    assert_eq!(ask(&app, format, "text/html").await.expect(200).header("content-type"), Some(J));
    ask(&app, "/simple/foo/?format=x", "*/*").await.expect(406);
    let mut setup = Setup::new();
    setup.config.lenient_accept = true;
    ask(&setup.build(), "/simple/", "image/png").await.expect(200);
}

#[tokio::test]
async fn checklist_18_19_pages_are_fresh_and_conditional() {
    let app = Setup::open().build();
    app.upload(&Form::wheel("foo", "1.0")).await;
    let get = async |accept: &str, tag: Option<&str>| {
        let ask = app.ask("GET", "/simple/foo/").header("accept", accept);
        match tag {
            Some(tag) => ask.header("if-none-match", tag).send().await,
            None => ask.send().await,
        }
    };
    let (json, html) = (get(J, None).await.expect(200), get("text/html", None).await.expect(200));
    let tag = json.header("etag").unwrap();
    assert_ne!(tag, html.header("etag").unwrap());
    assert_eq!(json.header("cache-control"), Some("no-cache"));
    let same = get(J, Some(tag)).await.expect(304);
    for reply in [&json, &same] {
        assert!(reply.header("vary").unwrap().starts_with("Accept, "));
        assert_eq!(reply.header("etag"), Some(tag));
    }
    app.upload(&Form::wheel("foo", "1.1")).await;
    let fresh = get(J, Some(tag)).await.expect(200).json();
    assert_eq!(fresh["versions"], json!(["1.0", "1.1"]));
    assert_eq!(app.get("/simple/foo/").await.header("cache-control"), Some("private, no-cache"));
}

#[tokio::test]
async fn checklist_45_what_is_stored_is_escaped() {
    let app = Setup::new().build();
    app.upload(&Form::wheel_with("foo", "1.0", "Requires-Python: >=3.9,<4\n")).await;
    let html = ask(&app, "/simple/foo/", "text/html").await.text();
    assert!(html.contains("data-requires-python=\"&gt;=3.9,&lt;4\""), "{html}");
    app.refused(&Form::wheel_with("foo", "1.1", "Requires-Python: <script>\n"), 400, "Requires-Python").await;
    let ask =
        app.ask("POST", "/pypi/foo/1.0/yank").token("alice-token").body(r#"{"reason": "a \"<b>\" & c"}"#);
    ask.send().await.expect(200);
    let html = app.get("/simple/foo/").await.text();
    assert!(html.contains("data-yanked=\"a &quot;&lt;b&gt;&quot; &amp; c\""), "{html}");
    assert_eq!(app.page("foo").await["files"][0]["yanked"], "a \"<b>\" & c");
}

#[tokio::test]
async fn checklist_47_hatch_finds_what_is_there() {
    let app = Setup::new().build();
    app.upload(&Form::wheel("foo", "1.0")).await;
    for path in ["/pypi/%2Bsimple/foo/", "/pypi/+simple/foo/"] {
        let reply = ask(&app, path, "*/*").await.expect(200);
        assert!(reply.text().contains(">foo-1.0-py3-none-any.whl</a>"));
    }
    app.get("/pypi/+simple/foo/foo-1.0-py3-none-any.whl").await.expect(200);
}

#[tokio::test]
async fn checklist_50_the_root_lists_every_project_once() {
    let app = Setup::new().build();
    for (name, version) in [("Foo.Bar", "1.0"), ("foo-bar", "1.1"), ("zed", "1")] {
        app.upload(&Form::wheel(name, version)).await;
    }
    let list = ask(&app, "/simple/", J).await.expect(200).json();
    assert_eq!(list["projects"], json!([{"name": "foo-bar"}, {"name": "zed"}]));
    let html = app.get("/simple/").await.expect(200).text();
    assert_eq!(html.matches("<a href=\"foo-bar/\">foo-bar</a>").count(), 1, "{html}");
    assert_eq!(app.get("/simple?x=y").await.expect(301).header("location"), Some("/simple/?x=y"));
    assert_eq!(app.get("/pypi/simple").await.expect(301).header("location"), Some("/pypi/simple/"));
    assert_eq!(app.get("/simple/Zed").await.expect(301).header("location"), Some("/simple/zed/"));
}

#[tokio::test]
async fn checklist_59_other_methods_are_refused() {
    let app = Setup::new().build();
    for path in ["/simple/", "/simple/foo/", "/simple/foo/f.whl", "/pypi/foo/json"] {
        let reply = app.ask("POST", path).token("alice-token").body("x").send().await.expect(405);
        assert_eq!(reply.header("allow"), Some("GET, HEAD"), "{path}");
    }
    assert_eq!(app.get("/pypi/").await.expect(405).header("allow"), Some("POST"));
    app.get("/simple/nothing/").await.expect(404);
    app.get("/elsewhere").await.expect(404);
}

#[tokio::test]
async fn checklist_14_44_what_is_no_name_is_not_there() {
    let app = Setup::new().build();
    let long = "a".repeat(300);
    for name in ["%2e%2e", ".", "-a", "a-", "%C3%9Cn", "a%20b", long.as_str()] {
        app.get(&format!("/simple/{name}/")).await.expect(404);
    }
    for name in ["-a", "a-", "\u{dc}n\u{ef}code", long.as_str()] {
        app.refused(&Form::wheel("foo", "1.0").set("name", Some(name)), 400, "not a project name").await;
    }
}
