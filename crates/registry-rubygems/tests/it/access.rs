//! Who may do what.

use crate::app::{App, Build, Client, Setup};

async fn filled(setup: Setup) -> App {
    let app = setup.build();
    app.push(&Build::new("bob-tool", "1.0").needs("secret", &[(">=", "0")])).await;
    app.push(&Build::new("secret", "1.0")).await;
    app.push(&Build::new("secret", "1.1.rc1")).await;
    app
}

const READS: [&str; 16] = [
    "/versions",
    "/names",
    "/info/secret",
    "/gems/secret-1.0.gem",
    "/quick/Marshal.4.8/secret-1.0.gemspec.rz",
    "/specs.4.8.gz",
    "/latest_specs.4.8.gz",
    "/prerelease_specs.4.8.gz",
    "/api/v1/dependencies?gems=secret",
    "/api/v1/gems/secret.json",
    "/api/v1/versions/secret.json",
    "/api/v1/versions/secret/latest.json",
    "/api/v2/rubygems/secret/versions/1.0.json",
    "/api/v1/gems/secret/owners.json",
    "/api/v1/gems/secret/reverse_dependencies.json",
    "/api/v1/search.json?query=secret",
];

#[tokio::test]
async fn checklist_22_tokens_in_every_place() {
    let app = filled(Setup::new()).await;
    for path in READS {
        let ask = || app.ask("GET", path);
        for ask in [
            ask().header("authorization", "reader-token"),
            ask().token("reader-token"),
            ask().basic("reader-token", ""),
            ask().basic("anybody", "reader-token"),
            ask().basic("alice", "alice's password"),
        ] {
            ask.send().await.expect(200);
        }
    }
}

#[tokio::test]
async fn checklist_23_without_credentials_the_client_is_asked_for_them() {
    let app = filled(Setup::new()).await;
    for path in READS.into_iter().chain(["/info/nothing", "/gems/nothing-1.0.gem", "/api/v1/profile/me.yaml"])
    {
        let reply = app.ask("GET", path).send().await.expect(401);
        assert_eq!(reply.header("www-authenticate"), Some("Basic realm=\"rubygems\""), "{path}");
        for wrong in ["wrong", "Bearer wrong", "Basic d3Jvbmc6", "Basic !", "Digest x"] {
            app.ask("GET", path).header("authorization", wrong).send().await.expect(401);
        }
    }
    // Where everybody may read, wrong credentials are refused all the same.
    let app = filled(Setup::open()).await;
    for path in READS {
        app.ask("GET", path).send().await.expect(200);
        app.ask("GET", path).token("wrong").send().await.expect(401);
    }
}

#[tokio::test]
async fn checklist_15_61_who_may_read_some_gems_sees_no_trace_of_the_others() {
    let app = filled(Setup::new()).await;
    let get = async |path: &str| app.ask("GET", path).basic("bob-token", "").send().await;
    let versions = get("/versions").await.expect(200);
    assert!(versions.text().contains("\nbob-tool 1.0 ") && !versions.text().contains("secret"));
    assert_eq!(versions.header("cache-control"), Some("private, no-cache"));
    assert_eq!(
        versions.header("etag").unwrap().trim_matches('"'),
        hex::encode(<md5::Md5 as md5::Digest>::digest(&versions.body))
    );
    assert_eq!(get("/names").await.expect(200).text(), "---\nbob-tool\n");
    for path in [
        "/info/secret",
        "/gems/secret-1.0.gem",
        "/quick/Marshal.4.8/secret-1.0.gemspec.rz",
        "/api/v1/gems/secret.json",
        "/api/v1/versions/secret.json",
        "/api/v1/gems/secret/owners.json",
        "/api/v2/rubygems/secret/versions/1.0.json",
    ] {
        let hidden = get(path).await.expect(404);
        let absent = get(&path.replace("secret", "absent")).await.expect(404);
        assert_eq!(hidden.text(), absent.text(), "{path}");
    }
    assert_eq!(get("/prerelease_specs.4.8").await.expect(200).body, &b"\x04\x08[\x00"[..]);
    assert!(!get("/specs.4.8").await.text().contains("secret"));
    assert_eq!(get("/api/v1/search.json?query=s").await.json().as_array().unwrap().len(), 0);
    assert_eq!(
        get("/api/v1/dependencies.json?gems=secret,bob-tool").await.json().as_array().unwrap().len(),
        1
    );
    // What they see grows only at its end.
    app.push(&Build::new("other-secret", "1.0")).await;
    app.push(&Build::new("bob-tool", "1.1")).await;
    let after = get("/versions").await.text();
    assert!(
        after.starts_with(&versions.text()) && after.contains("\nbob-tool 1.1 ") && !after.contains("secret")
    );
    for line in after.lines().skip(2) {
        get(&format!("/info/{}", line.split(' ').next().unwrap())).await.expect(200);
    }
}

#[tokio::test]
async fn checklist_24_25_writes_want_their_scope_on_their_gem() {
    let app = filled(Setup::new()).await;
    let (mine, other) = (Build::new("bob-new", "1.0").bytes(), Build::new("new", "1.0").bytes());
    let before = app.objects().await;
    for (token, bytes, status) in
        [("reader-token", &mine, 403), ("bob-token", &other, 403), ("wrong", &mine, 401), ("", &mine, 401)]
    {
        let reply = app.post(bytes.clone(), token).await.expect(status);
        let text = reply.text();
        assert!(!text.starts_with("You have enabled") && !text.starts_with("The API key doesn't"), "{text}");
        assert_eq!(app.objects().await, before, "{token}");
    }
    for (token, gem, status) in [
        ("reader-token", "secret", 403),
        ("bob-token", "secret", 403),
        ("wrong", "secret", 401),
        ("bob-token", "nothing", 403),
        ("alice-token", "nothing", 404),
    ] {
        app.yank(gem, "1.0", token).await.expect(status);
        let form = format!("gem_name={gem}&version=1.0");
        app.ask("PUT", "/api/v1/gems/unyank")
            .header("authorization", token)
            .body(form)
            .send()
            .await
            .expect(status);
        assert_eq!(app.objects().await, before, "{token}");
    }
    app.post(mine, "bob-token").await.expect(200);
    app.yank("bob-new", "1.0", "bob-token").await.expect(200);
    app.post(other, "writer-token").await.expect(200);
    // Who may write may yank.
    app.yank("new", "1.0", "writer-token").await.expect(200);
}
