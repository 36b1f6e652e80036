//! Yanking and owners.

use crate::app::{Build, Client, Setup};

#[tokio::test]
async fn checklist_19_20_a_yanked_version_is_gone_and_comes_back_the_same() {
    let app = Setup::new().build();
    app.push(&Build::new("a", "1.0")).await;
    app.push(&Build::new("a", "1.1")).await;
    let before = (app.text("/info/a").await, app.text("/versions").await);
    let reply = app.yank("a", "1.1", "alice-token").await.expect(200);
    assert_eq!(reply.text(), "Successfully deleted gem: a (1.1)");
    assert!(!app.text("/info/a").await.contains("1.1"));
    let versions = app.text("/versions").await;
    assert!(versions.starts_with(&before.1) && versions.contains("\na -1.1 "), "{versions}");
    app.get("/gems/a-1.1.gem").await.expect(404);
    app.get("/quick/Marshal.4.8/a-1.1.gemspec.rz").await.expect(404);
    assert_eq!(app.get("/api/v1/versions/a.json").await.json().as_array().unwrap().len(), 1);
    app.check_index().await;

    assert_eq!(
        app.yank("a", "1.1", "alice-token").await.expect(422).text(),
        "The version 1.1 has already been yanked."
    );
    app.refused(Build::new("a", "1.1").bytes(), 409, "A yanked version already exists (a-1.1).").await;

    let unyank = async |version: &str| {
        let form = format!("gem_name=a&version={version}");
        app.ask("PUT", "/api/v1/gems/unyank").token("alice-token").body(form).send().await
    };
    assert_eq!(unyank("1.1").await.expect(200).text(), "Successfully restored gem: a (1.1)");
    assert_eq!(app.text("/info/a").await, before.0);
    assert_eq!(app.get("/gems/a-1.1.gem").await.body, Build::new("a", "1.1").bytes());
    unyank("1.1").await.expect(422);
    unyank("9.9").await.expect(404);
    app.check_index().await;
}

#[tokio::test]
async fn checklist_15_a_gem_without_versions_keeps_its_name() {
    let app = Setup::new().build();
    app.push(&Build::new("a", "1.0")).await;
    app.yank("a", "1.0", "alice-token").await.expect(200);
    assert_eq!(app.text("/info/a").await, "---\n");
    assert!(app.text("/versions").await.ends_with("a -1.0 6105347ebb9825ac754615ca55ff3b0c\n"));
    app.get("/api/v1/gems/a.json").await.expect(404);
    app.get("/api/v1/gems/a/owners.json").await.expect(200);
    app.push(&Build::new("a", "1.1")).await;
    app.check_index().await;
}

#[tokio::test]
async fn checklist_21_a_yank_names_one_file_in_a_form_or_in_the_query() {
    let app = Setup::new().build();
    for platform in ["ruby", "java", "x86_64-linux"] {
        app.push(&Build::new("a", "1.0").platform(platform)).await;
    }
    let path = "/api/v1/gems/yank?gem_name=a&version=1.0&platform=java";
    app.ask("DELETE", path).token("alice-token").send().await.expect(200);
    app.get("/gems/a-1.0-java.gem").await.expect(404);
    app.get("/gems/a-1.0-x86_64-linux.gem").await.expect(200);
    app.yank("a", "1.0", "alice-token").await.expect(200);
    app.get("/gems/a-1.0.gem").await.expect(404);
    app.get("/gems/a-1.0-x86_64-linux.gem").await.expect(200);
    for (query, status) in [
        ("gem_name=b&version=1.0", 404),
        ("gem_name=a&version=2.0", 404),
        ("gem_name=a&version=1.0&platform=other", 404),
        ("gem_name=a&version=..", 404),
        ("gem_name=..&version=1", 404),
        ("gem_name=a", 400),
        ("version=1.0", 400),
        ("gem_name=%zz&version=1", 400),
    ] {
        let before = app.objects().await;
        app.ask("DELETE", &format!("/api/v1/gems/yank?{query}"))
            .token("alice-token")
            .send()
            .await
            .expect(status);
        assert_eq!(app.objects().await, before, "{query}");
    }
    app.check_index().await;
}

#[tokio::test]
async fn yanking_can_be_off_and_files_can_be_kept() {
    let mut setup = Setup::new();
    setup.config.yank = false;
    let app = setup.build();
    app.push(&Build::new("a", "1.0")).await;
    app.yank("a", "1.0", "alice-token").await.expect(403);
    app.get("/gems/a-1.0.gem").await.expect(200);
    let mut setup = Setup::new();
    setup.config.keep_yanked_files = true;
    let app = setup.build();
    app.push(&Build::new("a", "1.0")).await;
    app.yank("a", "1.0", "alice-token").await.expect(200);
    app.get("/gems/a-1.0.gem").await.expect(200);
    assert_eq!(app.text("/info/a").await, "---\n");
}

#[tokio::test]
async fn checklist_48_owners_are_told_and_the_last_one_stays() {
    let app = Setup::new().build();
    app.push(&Build::new("a", "1.0")).await;
    let owners = async |method: &str, body: &'static str| {
        app.ask(method, "/api/v1/gems/a/owners").token("alice-token").body(body).send().await
    };
    let list = app.get("/api/v1/gems/a/owners.yaml").await.expect(200);
    let lines: Vec<String> = list.text().lines().map(str::to_owned).collect();
    assert_eq!(lines[0], "---");
    assert!(
        lines.contains(&"- handle: \"alice\"".to_owned())
            || lines.contains(&"  handle: \"alice\"".to_owned()),
        "{lines:?}"
    );
    owners("POST", "email=bob").await.expect(200);
    owners("POST", "email=bob").await.expect(422);
    owners("POST", "email=nobody").await.expect(404);
    owners("POST", "").await.expect(400);
    let list = app.get("/api/v1/gems/a/owners.json").await.json();
    assert_eq!((list[0]["handle"].as_str(), list[1]["handle"].as_str()), (Some("alice"), Some("bob")));
    assert_eq!(owners("DELETE", "email=alice").await.expect(200).text(), "Owner removed successfully.");
    owners("DELETE", "email=alice").await.expect(404);
    owners("DELETE", "email=bob").await.expect(403);
    app.get("/api/v1/gems/b/owners.yaml").await.expect(404);
    let refused =
        app.ask("POST", "/api/v1/gems/a/owners").token("reader-token").body("email=bob").send().await;
    refused.expect(403);
}
