//! The JSON documents.

use serde_json::{Value, json};

use crate::app::{App, Build, Client, Setup};

async fn filled() -> App {
    let app = Setup::new().build();
    app.push(&Build::new("rack", "2.0")).await;
    let demo = |version: &str| {
        Build::new("demo", version)
            .needs("rack", &[(">=", "1.0"), ("<", "3")])
            .needs_for_development("rake")
            .line("description: All about it")
            .line("homepage: https://example.com/demo")
            .line("metadata: {source_code_uri: 'https://example.com/src'}")
    };
    app.push(&demo("1.10")).await;
    app.push(&demo("1.9")).await;
    app.push(&demo("2.0.rc1")).await;
    app.push(&demo("1.10").platform("java")).await;
    app
}

#[tokio::test]
async fn checklist_58_documents_have_all_their_keys() {
    let app = filled().await;
    let gem = app.get("/api/v1/gems/demo.json").await.expect(200).json();
    for key in [
        "name",
        "downloads",
        "version",
        "version_created_at",
        "version_downloads",
        "platform",
        "authors",
        "info",
        "licenses",
        "metadata",
        "yanked",
        "sha",
        "spec_sha",
        "project_uri",
        "gem_uri",
        "homepage_uri",
        "wiki_uri",
        "documentation_uri",
        "mailing_list_uri",
        "source_code_uri",
        "bug_tracker_uri",
        "changelog_uri",
        "funding_uri",
        "dependencies",
    ] {
        assert!(gem.get(key).is_some(), "{key}");
    }
    assert_eq!((gem["version"].as_str(), gem["platform"].as_str()), (Some("1.10"), Some("ruby")));
    assert_eq!(gem["authors"], "Ann Author");
    assert_eq!(gem["source_code_uri"], "https://example.com/src");
    assert_eq!(gem["gem_uri"], "http://registry.example.com/rubygems/gems/demo-1.10.gem");
    assert_eq!(
        gem["dependencies"],
        json!({
            "development": [{"name": "rake", "requirements": ">= 0"}],
            "runtime": [{"name": "rack", "requirements": "< 3, >= 1.0"}],
        })
    );
    let versions = app.get("/api/v1/versions/demo.json").await.expect(200);
    assert!(versions.header("last-modified").is_some());
    let versions = versions.json();
    let numbers: Vec<&str> =
        versions.as_array().unwrap().iter().map(|v| v["number"].as_str().unwrap()).collect();
    assert_eq!(numbers, ["2.0.rc1", "1.10", "1.10", "1.9"]);
    for key in [
        "authors",
        "built_at",
        "created_at",
        "description",
        "downloads_count",
        "metadata",
        "number",
        "summary",
        "platform",
        "rubygems_version",
        "ruby_version",
        "prerelease",
        "licenses",
        "requirements",
        "sha",
        "spec_sha",
    ] {
        assert!(versions[0].get(key).is_some(), "{key}");
    }
    assert_eq!(versions[0]["prerelease"], true);
    assert_eq!(versions[1]["created_at"], "2026-03-04T05:06:07.890Z");
    let quick = app.get("/quick/Marshal.4.8/demo-1.10.gemspec.rz").await.body;
    assert_eq!(
        gem["spec_sha"].as_str().unwrap(),
        hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&quick))
    );
    for path in ["/api/v1/gems/none.json", "/api/v1/versions/none.json"] {
        assert_eq!(app.get(path).await.expect(404).text(), "This rubygem could not be found.");
    }
    assert_eq!(app.get("/api/v1/versions/demo/latest.json").await.json(), json!({"version": "1.10"}));
    assert_eq!(app.get("/api/v1/versions/none/latest.json").await.json(), json!({"version": "unknown"}));
}

#[tokio::test]
async fn one_version() {
    let app = filled().await;
    let version = app.get("/api/v2/rubygems/demo/versions/1.10.json").await.expect(200).json();
    assert_eq!((version["number"].as_str(), version["platform"].as_str()), (Some("1.10"), Some("ruby")));
    let java = app.get("/api/v2/rubygems/demo/versions/1.10.json?platform=java").await.expect(200).json();
    assert_eq!(java["gem_uri"], "http://registry.example.com/rubygems/gems/demo-1.10-java.gem");
    for path in ["1.8.json", "x.json", "1.10.json?platform=other", "1.10.json?platform=.."] {
        app.get(&format!("/api/v2/rubygems/demo/versions/{path}")).await.expect(404);
    }
}

#[tokio::test]
async fn checklist_59_what_bundler_asks_without_a_compact_index() {
    let app = filled().await;
    let bare = app.get("/api/v1/dependencies").await.expect(200);
    assert!(bare.body.is_empty());
    let marshal = app.get("/api/v1/dependencies?gems=rack,demo,none").await.expect(200);
    assert!(marshal.body.starts_with(b"\x04\x08[\x0a{\x09:\x09nameI\"\x09rack"), "{:?}", marshal.body);
    let list = app.get("/api/v1/dependencies.json?gems=demo").await.expect(200).json();
    assert_eq!(list.as_array().unwrap().len(), 4);
    assert_eq!(list[0]["dependencies"], json!([["rack", "< 3, >= 1.0"]]));
    let names = vec!["x"; 201].join(",");
    app.get(&format!("/api/v1/dependencies?gems={names}")).await.expect(422);
    let mut setup = Setup::new();
    setup.config.dependencies_api = false;
    setup.build().get("/api/v1/dependencies?gems=rack").await.expect(404);
}

#[tokio::test]
async fn searches() {
    let app = filled().await;
    let names = |value: &Value| -> Vec<String> {
        value.as_array().unwrap().iter().map(|gem| gem["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&app.get("/api/v1/search.json?query=dem").await.expect(200).json()), ["demo"]);
    assert_eq!(names(&app.get("/api/v1/search.json?query=about").await.json()), ["demo", "rack"]);
    assert_eq!(names(&app.get("/api/v1/search.json?query=about&page=2").await.json()), [""; 0]);
    for bad in ["", "?query=", "?query=a&page=x"] {
        app.get(&format!("/api/v1/search.json{bad}")).await.expect(400);
    }
    assert_eq!(app.get("/api/v1/search/autocomplete?query=ra").await.json(), json!(["rack"]));
    assert_eq!(app.get("/api/v1/gems/rack/reverse_dependencies.json").await.json(), json!(["demo"]));
    assert_eq!(
        app.get("/api/v1/gems/rack/reverse_dependencies.json?only=development").await.json(),
        json!([])
    );
    assert_eq!(names(&app.get("/api/v1/gems.json").await.json()), ["demo", "rack"]);
    let reader = app.ask("GET", "/api/v1/gems.json").token("reader-token").send().await.expect(200);
    assert_eq!(reader.json(), json!([]));
}
