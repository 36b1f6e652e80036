//! Who may do what.

use crate::app::{Client as _, Configured as _, Setup, checksums, pom};

const JAR: &str = "/com/acme/lib/1.0/lib-1.0.jar";

const PATHS: [&str; 14] = [
    JAR,
    "/com/acme/lib/1.0/lib-1.0.jar.sha1",
    "/com/acme/lib/1.0/missing.jar",
    "/com/acme/none/1.0/none-1.0.pom",
    "/com/acme/lib/maven-metadata.xml",
    "/com/acme/lib/maven-metadata.xml.sha1",
    "/com/acme/none/maven-metadata.xml",
    "/com/acme/lib/1.0-SNAPSHOT/maven-metadata.xml",
    "/com/acme/maven-metadata.xml",
    "/com/acme/",
    "/",
    "/.meta/prefixes.txt",
    "/robots.txt",
    "/com/../x",
];

#[tokio::test]
async fn checklist_3_a_private_repository_asks_for_credentials_everywhere() {
    let app = Setup::new().build();
    app.release("com.acme", "lib", "1.0").await;
    for path in PATHS {
        for method in ["GET", "HEAD"] {
            let reply = app.ask(method, path).send().await.expect(401);
            assert_eq!(reply.header("www-authenticate"), Some("Basic realm=\"smartregistry\""), "{path}");
            app.ask(method, path).token("wrong").send().await.expect(401);
        }
    }
    app.ask("GET", JAR).basic("alice", "wrong").send().await.expect(401);
    for method in ["PUT", "POST", "DELETE"] {
        for path in PATHS {
            let ask = app.ask(method, path).body("x").send().await;
            assert_eq!(ask.status, 401, "{method} {path}");
            assert!(ask.header("www-authenticate").is_some());
        }
    }
}

#[tokio::test]
async fn checklist_42_credentials_in_all_places() {
    let app = Setup::new().build();
    app.release("com.acme", "lib", "1.0").await;
    for ask in [
        app.ask("GET", JAR).token("reader-token"),
        app.ask("GET", JAR).basic("token", "reader-token"),
        app.ask("GET", JAR).basic("anybody", "reader-token"),
        app.ask("GET", JAR).basic("reader-token", ""),
        app.ask("GET", JAR).basic("alice", "alice's password"),
    ] {
        ask.send().await.expect(200);
    }
    // Checklist 4: what is not there is 404 to who may read.
    app.ask("GET", "/com/acme/none/maven-metadata.xml").token("reader-token").send().await.expect(404);
}

#[tokio::test]
async fn what_may_not_be_read_is_not_there_or_forbidden_as_set() {
    for (reveal, status) in [(false, 404), (true, 403)] {
        let app = Setup::new().config(|config| config.reveal_forbidden = reveal).build();
        app.release("com.acme", "lib", "1.0").await;
        app.release("com.bob", "lib", "1.0").await;
        for path in [
            JAR,
            "/com/acme/lib/1.0/lib-1.0.jar.sha1",
            "/com/acme/lib/1.0/missing.jar",
            "/com/acme/lib/maven-metadata.xml",
            "/com/acme/lib/1.0-SNAPSHOT/maven-metadata.xml",
        ] {
            app.ask("GET", path).token("bob-token").send().await.expect(status);
        }
        app.ask("GET", "/com/bob/lib/maven-metadata.xml").token("bob-token").send().await.expect(200);
    }
}

#[tokio::test]
async fn who_has_no_rights_here_at_all_finds_nothing() {
    let app = Setup::new().build();
    app.release("com.acme", "lib", "1.0").await;
    for path in PATHS {
        app.ask("GET", path).token("other-token").send().await.expect(404);
    }
    app.refused(app.ask("PUT", "/com/acme/x").token("other-token").body("x"), 403, "permission to deploy")
        .await;
}

#[tokio::test]
async fn checklist_46_writing_and_deleting_need_their_rights() {
    let app = Setup::new().anonymous(&["maven:artifact:*:read"]).build();
    app.release("com.acme", "lib", "1.0").await;
    app.ask("GET", JAR).send().await.expect(200);
    app.ask("GET", "/com/acme/lib/maven-metadata.xml").send().await.expect(200);
    let document =
        "<metadata><versioning><versions><version>1.0</version></versions></versioning></metadata>";
    for (token, status) in
        [(None, 401), (Some("wrong"), 401), (Some("reader-token"), 403), (Some("bob-token"), 403)]
    {
        for (method, path, body) in [
            ("PUT", "/com/acme/lib/1.1/lib-1.1.jar", "x".to_owned()),
            ("POST", "/com/acme/lib/1.1/lib-1.1.jar", "x".to_owned()),
            ("PUT", "/com/acme/lib/1.0/lib-1.0.jar.md5", checksums(b"x")[0].1.clone()),
            ("PUT", "/com/acme/lib/maven-metadata.xml", document.to_owned()),
            ("PUT", "/com/acme/maven-metadata.xml", document.to_owned()),
            ("DELETE", JAR, String::new()),
            ("DELETE", "/com/acme/lib/1.0/", String::new()),
            ("DELETE", "/com/acme/lib/", String::new()),
        ] {
            let ask = app.ask(method, path).body(body);
            let ask = match token {
                Some(token) => ask.token(token),
                None => ask,
            };
            app.refused(ask, status, "").await;
        }
    }
    for path in [JAR, "/com/acme/lib/1.0/", "/com/acme/lib/"] {
        app.refused(app.ask("DELETE", path).token("writer-token"), 403, "permission to delete").await;
    }
    let put = app.ask("PUT", "/com/acme/lib/1.1/lib-1.1.pom").token("writer-token");
    put.body(pom("com.acme", "lib", "1.1", "jar")).send().await.expect(201);
}

#[tokio::test]
async fn checklist_13_refusals_come_before_the_body() {
    use futures_util::StreamExt as _;
    let app = Setup::new().config(|config| config.max_file_bytes = 10).build();
    app.put(JAR, "jar").await.expect(201);
    let anonymous = Setup::new().build();
    // Its first piece would never come: whoever waits for it waits for ever.
    let never = |length| {
        let pieces = futures_util::stream::pending::<Result<bytes::Bytes, std::io::Error>>().boxed();
        registry_core::Body::from_sized_stream(length, pieces)
    };
    for (ask, status) in [
        (anonymous.ask("PUT", JAR).body(never(5)), 401),
        (app.ask("PUT", JAR).token("reader-token").body(never(5)), 403),
        (app.ask("PUT", JAR).token("alice-token").body(never(5)), 409),
        (app.ask("PUT", "/com/acme/lib/1.0/lib-1.0.zip").token("alice-token").body(never(11)), 413),
        (app.ask("PUT", "/com/acme/x").token("alice-token").body(never(5)), 400),
    ] {
        let answer = ask.header("expect", "100-continue").send();
        let reply = tokio::time::timeout(std::time::Duration::from_secs(20), answer).await.unwrap();
        reply.expect(status);
    }
}

#[tokio::test]
async fn checklist_43_the_realm_is_one_and_can_be_set() {
    let app = Setup::new().config(|config| config.realm = "Acme \"Artifacts\"".to_owned()).build();
    for path in PATHS {
        let reply = app.ask("GET", path).send().await.expect(401);
        assert_eq!(reply.header("www-authenticate"), Some("Basic realm=\"Acme Artifacts\""));
    }
}

#[tokio::test]
async fn some_may_be_public_and_the_rest_private() {
    let app = Setup::new().anonymous(&["maven:artifact:com.acme:*:read"]).build();
    app.release("com.acme", "lib", "1.0").await;
    app.release("com.acmeevil", "lib", "1.0").await;
    app.ask("GET", JAR).send().await.expect(200);
    app.ask("GET", "/com/acmeevil/lib/1.0/lib-1.0.jar").send().await.expect(401);
    app.ask("GET", "/com/acmeevil/lib/maven-metadata.xml").send().await.expect(401);
    app.ask("GET", "/com/acmeevil/lib/").send().await.expect(401);
    let page = app.ask("GET", "/com/").send().await.expect(200);
    assert!(page.text().contains("acme/") && !page.text().contains("acmeevil"), "{}", page.text());
}
