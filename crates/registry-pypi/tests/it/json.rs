//! The JSON API.

use crate::app::{Client as _, Form, Setup};

#[tokio::test]
async fn checklist_34_projects_and_releases() {
    let app = Setup::new().build();
    let headers = "Summary: about\nKeywords: a,b\nProject-URL: Home, https://example.com\nRequires-Dist: x>1\n\
                   Classifier: A\nRequires-Python: >=3\nAuthor: Ann\n";
    app.upload(&Form::wheel_with("Foo", "1.0", headers)).await;
    app.upload(&Form::sdist("foo", "1.0", "Summary: other\n").and("comment", "hello")).await;
    let json = app.get("/pypi/foo/json").await.expect(200).json();
    let info = &json["info"];
    for key in [
        "author",
        "author_email",
        "bugtrack_url",
        "classifiers",
        "description",
        "description_content_type",
        "docs_url",
        "download_url",
        "downloads",
        "dynamic",
        "home_page",
        "keywords",
        "license",
        "license_expression",
        "license_files",
        "maintainer",
        "maintainer_email",
        "name",
        "package_url",
        "platform",
        "project_url",
        "project_urls",
        "provides_extra",
        "release_url",
        "requires_dist",
        "requires_python",
        "summary",
        "version",
        "yanked",
        "yanked_reason",
    ] {
        assert!(info.get(key).is_some(), "{key}");
    }
    // Of the first file.
    assert_eq!((&info["summary"], &info["author"]), (&"about".into(), &"Ann".into()));
    assert_eq!(info["project_urls"]["Home"], "https://example.com");
    assert_eq!(info["requires_dist"], serde_json::json!(["x>1"]));
    assert_eq!(info["description"], "about Foo\n");
    assert_eq!(json["urls"].as_array().unwrap().len(), 2);
    assert_eq!(json["releases"]["1.0"], json["urls"]);
    assert_eq!(json["vulnerabilities"], serde_json::json!([]));
    assert!(json["last_serial"].is_i64() || json["last_serial"].is_u64());
    let file = &json["urls"][1];
    assert_eq!((&file["packagetype"], &file["comment_text"]), (&"sdist".into(), &"hello".into()));
    assert_eq!(file["url"], "http://registry.example.com/simple/foo/foo-1.0.tar.gz");
    for digest in ["md5", "sha256", "blake2b_256"] {
        assert!(file["digests"][digest].as_str().unwrap().len() >= 32);
    }
    for path in ["/pypi/foo/1.0/json", "/pypi/foo/1.0.0/json/"] {
        let release = app.get(path).await.expect(200).json();
        assert_eq!(release["urls"], json["urls"]);
        assert!(release.get("releases").is_none());
    }
    for path in ["/pypi/foo/2.0/json", "/pypi/foo/x/json", "/pypi/bar/json"] {
        app.get(path).await.expect(404);
    }
    assert_eq!(
        app.get("/pypi/Foo/1.0/json").await.expect(301).header("location"),
        Some("/pypi/foo/1.0/json")
    );
    let tag = app.get("/pypi/foo/json").await.header("etag").unwrap().to_owned();
    let ask = app.ask("GET", "/pypi/foo/json").token("alice-token").header("if-none-match", &tag);
    ask.send().await.expect(304);
}

#[tokio::test]
async fn checklist_35_the_newest_final_release_is_shown() {
    let app = Setup::new().build();
    for version in ["1.9", "1.10", "2.0rc1", "1.11"] {
        app.upload(&Form::wheel("foo", version)).await;
    }
    let shown = async || app.get("/pypi/foo/json").await.json()["info"]["version"].clone();
    assert_eq!(shown().await, "1.11");
    app.ask("POST", "/pypi/foo/1.11/yank").token("alice-token").send().await.expect(200);
    assert_eq!(shown().await, "1.10");
    for version in ["1.9", "1.10"] {
        app.ask("DELETE", &format!("/pypi/foo/{version}")).token("alice-token").send().await.expect(200);
    }
    assert_eq!(shown().await, "2.0rc1");
}
