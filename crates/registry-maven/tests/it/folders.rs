//! Folders as pages, and prefixes.

use crate::app::{Client as _, Configured as _, Setup, checksums, pom};

fn links(page: &str) -> Vec<&str> {
    page.split("<a href=\"").skip(1).map(|piece| piece.split('"').next().unwrap()).collect()
}

#[tokio::test]
async fn checklist_32_folders_are_pages_with_relative_links() {
    let app = Setup::new().build();
    app.release("com.acme", "lib", "1.9").await;
    app.release("com.acme", "lib", "1.10").await;
    app.release("com.acme.tools", "cli.core", "1.0").await;
    app.release("com", "acme", "3.0").await;
    for (path, want) in [
        ("/", &["com/"][..]),
        ("", &["com/"]),
        ("/com/", &["../", "acme/"]),
        ("/com/acme/", &["../", "lib/", "tools/", "3.0/", "maven-metadata.xml"]),
        ("/com/acme/lib/", &["../", "1.9/", "1.10/", "maven-metadata.xml"]),
        ("/com/acme/tools/", &["../", "cli.core/"]),
        ("/com/acme/lib/1.9/", &["../", "lib-1.9.jar", "lib-1.9.pom"]),
    ] {
        let page = app.get(path).await.expect(200);
        assert_eq!(links(&page.text()), want, "{path}");
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
        assert!(page.header("content-security-policy").unwrap().starts_with("default-src 'none'"));
        let head = app.ask("HEAD", path).token("alice-token").send().await.expect(200);
        assert!(head.body.is_empty());
    }
    for path in ["/org/", "/com/acme/lib/2.0/", "/com/acm/", "/com/acme/lib/1.9/lib-1.9.jar/"] {
        app.get(path).await.expect(404);
    }
    let snapshot = "/com/acme/lib/2-SNAPSHOT/lib-2-20260101.000000-1.pom";
    app.put(snapshot, pom("com.acme", "lib", "2-SNAPSHOT", "jar")).await.expect(201);
    let page = app.get("/com/acme/lib/2-SNAPSHOT/").await.text();
    assert_eq!(links(&page), ["../", "lib-2-20260101.000000-1.pom", "maven-metadata.xml"]);
}

#[tokio::test]
async fn only_what_may_be_read_is_shown() {
    let app = Setup::new().build();
    app.release("com.acme", "lib", "1.0").await;
    app.release("com.bob", "lib", "1.0").await;
    let as_bob = |path: &'static str| app.ask("GET", path).token("bob-token").send();
    assert_eq!(links(&as_bob("/com/").await.expect(200).text()), ["../", "bob/"]);
    for path in ["/com/acme/", "/com/acme/lib/", "/com/acme/lib/1.0/"] {
        as_bob(path).await.expect(404);
    }
    // An empty repository that may be read is empty, not missing.
    let empty = Setup::new().anonymous(&["maven:artifact:*:read"]).build();
    assert!(links(&empty.ask("GET", "/").send().await.expect(200).text()).is_empty());
    empty.ask("GET", "/com/").send().await.expect(404);
}

#[tokio::test]
async fn people_are_led_to_folders_and_clients_are_not() {
    let app = Setup::new().build();
    app.release("com.acme", "lib", "1.0").await;
    for (path, location) in [("/com/acme", "acme/"), ("/com/acme/lib/1.0", "1.0/"), ("/com", "com/")] {
        app.get(path).await.expect(404);
        let browser = app.ask("GET", path).token("alice-token").header("accept", "text/html,*/*;q=0.8");
        let reply = browser.send().await.expect(302);
        assert_eq!(reply.header("location"), Some(location));
    }
    let missing =
        app.ask("GET", "/com/acme/lib/1.0/none.jar").token("alice-token").header("accept", "text/html");
    missing.send().await.expect(404);
}

#[tokio::test]
async fn listings_and_prefixes_can_be_switched_off() {
    let app = Setup::new()
        .config(|config| {
            config.listings = false;
            config.prefixes = false;
        })
        .build();
    app.release("com.acme", "lib", "1.0").await;
    for path in ["/", "/com/acme/", "/.meta/prefixes.txt"] {
        app.get(path).await.expect(404);
    }
    app.ask("GET", "/com/acme/").send().await.expect(401);
}

#[tokio::test]
async fn checklist_22_prefixes_of_what_may_be_read() {
    let app = Setup::new().build();
    app.get("/.meta/prefixes.txt").await.expect(404);
    app.release("com.acme.deep", "lib", "1.0").await;
    app.release("com.bob", "lib", "1.0").await;
    let all = app.get("/.meta/prefixes.txt").await.expect(200);
    assert_eq!(all.text().lines().next(), Some("## repository-prefixes/2.0"));
    assert!(all.text().contains("\n/com/acme\n/com/bob\n"), "{}", all.text());
    for (extension, digits) in checksums(&all.body) {
        assert_eq!(app.get(&format!("/.meta/prefixes.txt.{extension}")).await.text(), digits);
    }
    let bobs = app.ask("GET", "/.meta/prefixes.txt").token("bob-token").send().await.expect(200);
    assert!(!bobs.text().contains("acme"));
}

#[tokio::test]
async fn files_and_folders_do_not_take_each_other_s_place() {
    let app = Setup::new().build();
    app.release("com.acme", "lib", "1.0").await;
    app.release("com.acme", "tool", "2").await;
    app.put("/com/acme/tool/2/notes", "text").await.expect(201);
    app.put("/com/acme/deep/er/core/1.0/core-1.0.jar", "jar").await.expect(201);
    for (path, words) in [
        ("/com/acme/lib/1.0", "com/acme/lib/1.0 is a folder"),
        ("/com/acme/tool/2", "com/acme/tool/2 is a folder"),
        ("/com/acme/deep/er", "com/acme/deep/er is a folder"),
        ("/com/acme/deep/er/core", "com/acme/deep/er/core is a folder"),
        ("/com/acme/lib/1.0/", "folder's path takes no content"),
        ("/com/acme/lib/1.0/lib-1.0.jar/x", "lib-1.0.jar is a file"),
        ("/com/acme/tool/2/notes/x", "notes is a file"),
        ("/com/acme/tool/2/notes/1.0/notes-1.0.jar", "notes is a file"),
        ("/com/acme/tool/2/notes/more/1.0/more-1.0.pom", "notes is a file"),
    ] {
        app.refused(app.ask("PUT", path).token("alice-token").body("x"), 409, words).await;
    }
    // What was there is as it was, and can be deployed again.
    app.put("/com/acme/tool/2/notes", "text").await.expect(200);
    app.release("com.acme.lib", "other", "1.0").await;
    // A name is free again once its folder is empty.
    app.delete("/com/acme/tool/2/").await.expect(204);
    app.put("/com/acme/tool/2", "text").await.expect(201);
}
