//! Index files, downloads, search and the JSON for tools.

use serde_json::json;

use crate::app::{Client as _, IndexFile as _, Setup};

#[tokio::test]
async fn checklist_14_42_conditional_requests() {
    let app = Setup::new().build();
    app.publish("foo", "1.0.0").await;
    let first = app.get("/3/f/foo").await.expect(200);
    let (etag, modified) = (first.header("etag").unwrap(), first.header("last-modified").unwrap());
    assert!(etag.is_ascii() && etag.starts_with('"') && etag.ends_with('"'));
    assert_eq!(first.header("cache-control"), Some("private, no-cache"));
    let ask = |name: &'static str, value: String| {
        let ask = app.ask("GET", "/3/f/foo").token("alice-token").header("cargo-protocol", "version=1");
        let ask = ask.header("accept", "text/plain").header("accept-encoding", "deflate, gzip");
        ask.header("connection", "Upgrade, HTTP2-Settings")
            .header("upgrade", "h2c")
            .header(name, &value)
            .send()
    };
    for value in [etag.to_owned(), format!("W/{etag}"), format!("\"x\", {etag}"), "*".to_owned()] {
        let reply = ask("if-none-match", value).await;
        assert!(reply.status == 304 && reply.body.is_empty(), "{reply:?}");
    }
    assert_eq!(ask("if-modified-since", modified.to_owned()).await.status, 304);
    let last = |reply: &crate::app::Reply| reply.header("last-modified").unwrap().to_owned();
    // The clock stands still, and yet every change is told.
    app.publish("foo", "1.0.1").await;
    let second = ask("if-none-match", etag.to_owned()).await.expect(200);
    assert_ne!(last(&second), last(&first));
    assert_eq!(ask("if-modified-since", last(&first)).await.status, 200);
    app.ask("DELETE", "/api/v1/crates/foo/1.0.0/yank").token("alice-token").send().await.expect(200);
    let third = ask("if-none-match", second.header("etag").unwrap().to_owned()).await.expect(200);
    assert_ne!(third.header("etag"), second.header("etag"));
}

#[tokio::test]
async fn checklist_15_what_is_not_there() {
    let app = Setup::new().build();
    app.publish("Foo", "1.0.0").await;
    for path in [
        "/no/ne/none",
        "/3/f/Foo",
        "/3/o/foo",
        "/fo/o/foo",
        "/1/foo",
        "/x",
        "/api/v1/crates/none",
        "/api/v1/crates/foo/2.0.0/download",
        "/api/v1/crates/foo/1.0/download",
        "/api/v1/crates/foo/1.0.0+b/download",
        "/index.html",
        "/3/f/foo/",
    ] {
        let reply = app.get(path).await.expect(404);
        assert_eq!(reply.header("cache-control"), Some("no-store"), "{path}");
    }
    let reply = app.ask("POST", "/config.json").token("alice-token").send().await.expect(405);
    assert_eq!(reply.header("allow"), Some("GET, HEAD"));
}

#[tokio::test]
async fn checklist_5_6_names_of_every_kind() {
    let app = Setup::new().build();
    let longest = format!("L{}", "x".repeat(63));
    for (name, path) in [
        ("a", "/1/a"),
        ("Bc", "/2/bc"),
        ("d-E", "/3/d/d-e"),
        ("Bar_b", "/ba/r_/bar_b"),
        ("foo-x", "/fo/o-/foo-x"),
        (longest.as_str(), &format!("/lx/xx/{}", longest.to_lowercase())),
    ] {
        let upload = app.publish(name, "1.0.0").await;
        assert_eq!(app.get(path).await.expect(200).lines()[0]["name"], name);
        for spelling in [name.to_owned(), name.to_lowercase()] {
            let file = app.get(&format!("/api/v1/crates/{spelling}/1.0.0/download")).await.expect(200);
            assert_eq!(file.body, upload.krate);
        }
    }
    app.get(&format!("/lx/xx/{}x", longest.to_lowercase())).await.expect(404);
}

#[tokio::test]
async fn checklist_21_build_metadata_in_paths() {
    let app = Setup::new().build();
    app.publish("foo", "1.0.0+build.5").await;
    for version in ["1.0.0+build.5", "1.0.0%2Bbuild.5", "1.0.0%2bbuild.5"] {
        app.get(&format!("/api/v1/crates/foo/{version}/download")).await.expect(200);
        let yank = app.ask("DELETE", &format!("/api/v1/crates/foo/{version}/yank")).token("alice-token");
        yank.send().await.expect(200);
        assert_eq!(app.get("/3/f/foo").await.lines()[0]["yanked"], true);
        let undo = app.ask("PUT", &format!("/api/v1/crates/foo/{version}/unyank")).token("alice-token");
        undo.send().await.expect(200);
        assert_eq!(app.get("/3/f/foo").await.lines()[0]["yanked"], false);
    }
    app.get("/api/v1/crates/foo/1.0.0%20build.5/download").await.expect(404);
}

#[tokio::test]
async fn checklist_40_ranges_and_head() {
    let app = Setup::new().build();
    let upload = app.publish("foo", "1.0.0").await;
    let path = "/api/v1/crates/foo/1.0.0/download";
    let whole = app.get(path).await.expect(200);
    assert_eq!(whole.header("content-type"), Some("application/gzip"));
    assert_eq!(whole.header("content-encoding"), None);
    assert_eq!(whole.header("accept-ranges"), Some("bytes"));
    assert_eq!(whole.header("content-length"), Some(&*upload.krate.len().to_string()));
    assert_eq!(whole.header("cache-control"), Some("private, max-age=31536000, immutable"));
    let head = app.ask("HEAD", path).token("alice-token").send().await;
    assert!(head.status == 200 && head.body.is_empty());
    assert_eq!(head.headers, whole.headers);
    let part =
        app.ask("GET", path).token("alice-token").header("range", "bytes=2-5").send().await.expect(206);
    assert_eq!(part.body, upload.krate[2..6]);
    let etag = whole.header("etag").unwrap();
    let same = app.ask("GET", path).token("alice-token").header("if-none-match", etag).send().await;
    assert_eq!(same.status, 304);
    let head = app.ask("HEAD", "/3/f/foo").token("alice-token").send().await;
    assert!(head.status == 200 && head.body.is_empty());
}

#[tokio::test]
async fn checklist_23_search() {
    let app = Setup::new().build();
    for name in ["foo", "foo-bar", "a-foo", "other", "Zoo"] {
        app.publish(name, "1.0.0").await;
    }
    app.publish("foo", "2.0.0-rc.1").await;
    let search = async |query: &str| {
        let body = app.get(&format!("/api/v1/crates?{query}")).await.expect(200).json();
        let names: Vec<String> = body["crates"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| c["name"].as_str().unwrap().to_owned())
            .collect();
        (names, body["meta"]["total"].as_u64().unwrap())
    };
    assert_eq!(search("q=FOO&per_page=10").await, (vec!["foo".into(), "foo-bar".into(), "a-foo".into()], 3));
    assert_eq!(search("q=foo%5Fbar").await, (vec!["foo-bar".into()], 1));
    assert_eq!(search("q=zebra&per_page=2").await.1, 5);
    assert_eq!(search("q=zebra&per_page=2&page=3").await.0.len(), 1);
    assert_eq!(search("q=about%20zoo&per_page=200").await, (vec!["Zoo".into()], 1));
    assert_eq!(search("q=%C3%BC%26x").await, (Vec::new(), 0));
    let body = app.get("/api/v1/crates?q=foo&per_page=1").await.json();
    assert_eq!(body["crates"][0], json!({"name": "foo", "max_version": "1.0.0", "description": "about foo"}));
    for bad in ["per_page=x", "q=%ff", "page=-1"] {
        app.get(&format!("/api/v1/crates?{bad}")).await.expect(400);
    }
}

#[tokio::test]
async fn tools_are_told_of_crates() {
    let app = Setup::new().build();
    app.publish("foo", "1.0.0").await;
    app.publish("foo", "2.0.0-rc.1").await;
    let body = app.get("/api/v1/crates/foo").await.expect(200).json();
    assert_eq!(body["crate"]["max_version"], "1.0.0");
    assert_eq!(body["crate"]["newest_version"], "2.0.0-rc.1");
    assert_eq!(body["crate"]["homepage"], "https://www.example.com");
    assert_eq!(body["versions"][0]["num"], "2.0.0-rc.1");
    let lines = app.get("/3/f/foo").await.lines();
    assert_eq!(body["versions"][1]["checksum"], lines[0]["cksum"]);
    assert_eq!(app.get("/api/v1/crates/foo/versions").await.expect(200).json()["versions"], body["versions"]);
    let one = app.get("/api/v1/crates/foo/1.0.0").await.expect(200).json();
    assert_eq!(one["version"], body["versions"][1]);
    // No success holds what cargo takes for a failure.
    assert!(body.get("errors").is_none() && one.get("errors").is_none());
}
