//! Files.

use crate::app::{Client as _, Form, Setup};

#[tokio::test]
async fn checklist_16_heads_and_ranges() {
    let app = Setup::open().build();
    let form = Form::wheel("foo", "1.0");
    app.upload(&form).await;
    let (path, length) = ("/simple/foo/foo-1.0-py3-none-any.whl", form.content().len());
    let head = app.ask("HEAD", path).send().await.expect(200);
    assert_eq!(head.header("content-length"), Some(length.to_string().as_str()));
    assert_eq!(head.header("accept-ranges"), Some("bytes"));
    assert!(head.body.is_empty());
    let get = app.ask("GET", path).header("accept-encoding", "gzip").send().await.expect(200);
    assert_eq!(get.header("content-encoding"), None);
    assert_eq!(get.header("cache-control"), Some("public, max-age=31536000, immutable"));
    assert_eq!(get.header("content-type"), Some("application/octet-stream"));
    let suffix = app.ask("GET", path).header("range", "bytes=-10000").send().await.expect(206);
    assert_eq!(suffix.body, form.content());
    let beyond = app.ask("GET", path).header("range", "bytes=100000-").send().await.expect(416);
    assert_eq!(beyond.header("content-range"), Some(format!("bytes */{length}").as_str()));
}

#[tokio::test]
async fn checklist_17_interrupted_downloads_go_on() {
    let app = Setup::new().build();
    let form = Form::wheel("foo", "1.0");
    app.upload(&form).await;
    let path = "/simple/foo/foo-1.0-py3-none-any.whl";
    let whole = app.get(path).await;
    assert!(whole.header("cache-control").unwrap().starts_with("private"));
    let resume = async |tag: &str| {
        let ask = app.ask("GET", path).token("alice-token").header("range", "bytes=100-");
        ask.header("if-range", tag).send().await
    };
    let rest = resume(whole.header("etag").unwrap()).await.expect(206);
    assert_eq!(rest.body, form.content()[100..]);
    assert_eq!(resume("\"other\"").await.expect(200).body, form.content());
}

#[tokio::test]
async fn what_is_not_there() {
    let app = Setup::new().build();
    app.upload(&Form::wheel("foo", "1.0")).await;
    for path in
        ["/simple/foo/x.whl", "/simple/foo/foo-1.0-py3-none-any.whl.asc", "/simple/bar/foo-1.0.tar.gz"]
    {
        app.get(path).await.expect(404);
    }
}
