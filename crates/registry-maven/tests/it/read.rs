//! Reading files.

use crate::app::{Client as _, Setup};

const JAR: &str = "/com/acme/lib/1.0/lib-1.0.jar";

#[tokio::test]
async fn checklist_29_ranges_conditions_and_heads() {
    let app = Setup::new().build();
    app.put(JAR, "0123456789").await.expect(201);
    let get = app.get(JAR).await.expect(200);
    let head = app.ask("HEAD", JAR).token("alice-token").send().await.expect(200);
    assert_eq!(head.headers, get.headers);
    assert!(head.body.is_empty());
    assert_eq!(get.header("content-length"), Some("10"));
    assert_eq!(get.header("accept-ranges"), Some("bytes"));
    assert_eq!(get.header("last-modified"), Some("Wed, 04 Mar 2026 05:06:07 GMT"));
    assert_eq!(get.header("cache-control"), Some("private, max-age=31536000, immutable"));
    assert_eq!(get.header("x-content-type-options"), Some("nosniff"));
    let ask = || app.ask("GET", JAR).token("alice-token");
    let part = ask().header("range", "bytes=4-").send().await.expect(206);
    assert_eq!((part.text().as_str(), part.header("content-range")), ("456789", Some("bytes 4-9/10")));
    ask().header("range", "bytes=20-").send().await.expect(416);
    let since = "Wed, 04 Mar 2026 05:06:07 GMT";
    ask().header("range", "bytes=4-").header("if-unmodified-since", since).send().await.expect(206);
    let before = "Wed, 04 Mar 2026 05:06:06 GMT";
    ask().header("range", "bytes=4-").header("if-unmodified-since", before).send().await.expect(412);
    ask().header("if-none-match", get.header("etag").unwrap()).send().await.expect(304);
    // A document that changes is not read in parts.
    let metadata = app.ask("GET", "/com/acme/lib/1.0/lib-1.0.jar.sha1").token("alice-token");
    metadata.header("range", "bytes=4-").send().await.expect(200);
}

#[tokio::test]
async fn media_types_follow_the_names() {
    let app = Setup::new().build();
    for (file, media) in [
        ("lib-1.0.pom", "application/xml"),
        ("lib-1.0.jar", "application/java-archive"),
        ("lib-1.0.war", "application/java-archive"),
        ("lib-1.0.module", "application/json"),
        ("lib-1.0.jar.asc", "text/plain"),
        ("lib-1.0.tar.gz", "application/gzip"),
        ("lib-1.0.html", "application/octet-stream"),
        ("lib-1.0.svg", "application/octet-stream"),
        ("LICENSE", "application/octet-stream"),
    ] {
        let path = format!("/com/acme/lib/1.0/{file}");
        app.put(&path, file).await.expect(201);
        assert_eq!(app.get(&path).await.expect(200).header("content-type"), Some(media), "{file}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_404_and_never_a_page() {
    let app = Setup::new().build();
    app.release("com.acme", "lib", "1.0").await;
    for path in [
        "/com/acme/lib/1.0/lib-1.0.module",
        "/com/acme/lib/1.0/lib-1.0-sources.jar",
        "/com/acme/lib/1.0/lib-1.0.module.sha1",
        "/com/acme/lib/2.0/lib-2.0.pom",
        "/com/acme/none/maven-metadata.xml",
        "/com/acme/lib/1.0-SNAPSHOT/maven-metadata.xml",
        "/org/apache/maven/plugins/maven-metadata.xml",
        "/maven-metadata.xml",
        "/archetype-catalog.xml",
        "/.index/nexus-maven-repository-index.properties",
        "/robots.txt",
        "/favicon.ico",
        "/com/acme",
        "/x",
    ] {
        let reply = app.get(path).await.expect(404);
        assert_eq!(reply.header("content-type"), Some("text/plain; charset=utf-8"), "{path}");
        assert_eq!(reply.header("cache-control"), Some("no-store"), "{path}");
        assert_eq!(reply.reason.as_deref(), Some("there is nothing at this path"), "{path}");
    }
}

#[tokio::test]
async fn other_methods_say_what_there_is() {
    let app = Setup::new().build();
    let options = app.ask("OPTIONS", JAR).token("alice-token").send().await.expect(204);
    assert_eq!(options.header("allow"), Some("GET, HEAD, PUT, POST, DELETE, OPTIONS"));
    assert_eq!(options.header("dav"), None);
    for (method, path, allow) in [
        ("PROPFIND", JAR, "GET, HEAD, PUT, POST, DELETE, OPTIONS"),
        ("MKCOL", "/com/acme/", "GET, HEAD, DELETE, OPTIONS"),
        ("DELETE", "/com/acme/lib/maven-metadata.xml", "GET, HEAD, PUT, POST, OPTIONS"),
        ("PATCH", "/x", "GET, HEAD, OPTIONS"),
    ] {
        let reply = app.ask(method, path).token("alice-token").send().await.expect(405);
        assert_eq!(reply.header("allow"), Some(allow), "{method} {path}");
    }
    for path in ["/x", "/com/acme/lib", "/.meta/prefixes.txt"] {
        let put = app.ask("PUT", path).token("alice-token").body("x");
        app.refused(put, 400, "").await;
    }
}

#[tokio::test]
async fn checklist_36_problems_where_they_are_asked_for() {
    let app = Setup::new().build();
    app.put(JAR, "jar").await.expect(201);
    let put = app.ask("PUT", JAR).token("alice-token").header("accept", "application/problem+json,*/*");
    let reply = put.body("other").send().await.expect(409);
    assert_eq!(reply.header("content-type"), Some("application/problem+json"));
    assert!(reply.text().contains("\"status\":409"), "{}", reply.text());
    assert!(reply.reason.unwrap().contains("lib-1.0.jar already exists"));
}
