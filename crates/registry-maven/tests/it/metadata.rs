//! `maven-metadata.xml` of artifacts.

use registry_maven::LatestPolicy;

use crate::app::{Client as _, Configured as _, Document as _, Setup, checksums, pom};

const METADATA: &str = "/com/acme/lib/maven-metadata.xml";

#[tokio::test]
async fn checklist_20_versions_ascend_and_the_release_is_none_but_a_release() {
    let app = Setup::new().build();
    for version in ["1.10", "1.9", "2.0-SNAPSHOT", "2.0-rc1", "1.0", "1"] {
        app.release("com.acme", "lib", version).await;
    }
    let metadata = app.get(METADATA).await;
    assert_eq!(metadata.all("version"), ["1", "1.0", "1.9", "1.10", "2.0-rc1", "2.0-SNAPSHOT"]);
    assert_eq!(metadata.one("release"), "2.0-rc1");
    assert_eq!(metadata.one("latest"), "2.0-SNAPSHOT");
    let last = Setup::new().config(|config| config.latest = LatestPolicy::LastDeployed).build();
    for version in ["1.10", "2.0-SNAPSHOT", "1.9"] {
        last.release("com.acme", "lib", version).await;
        last.pass(5);
    }
    let metadata = last.get(METADATA).await;
    assert_eq!((metadata.one("release"), metadata.one("latest")), ("1.9".to_owned(), "1.9".to_owned()));
}

#[tokio::test]
async fn checklist_8_what_a_client_uploads_does_not_change_what_is_there() {
    let app = Setup::new().build();
    app.release("com.acme", "lib", "1.0").await;
    app.release("com.acme", "lib", "1.1").await;
    let before = app.get(METADATA).await;
    let stored = app.objects().await;
    let stale = "<metadata><groupId>com.acme</groupId><artifactId>lib</artifactId><versioning><release>0.1</release>\
        <versions><version>0.1</version></versions><lastUpdated>20990101000000</lastUpdated></versioning></metadata>";
    app.put(METADATA, stale).await.expect(201);
    // The checksums are of the client's document, and no matter.
    for (extension, digits) in checksums(stale.as_bytes()) {
        app.put(&format!("{METADATA}.{extension}"), digits).await.expect(201);
    }
    let after = app.get(METADATA).await;
    assert_eq!(after.body, before.body);
    assert_eq!(app.objects().await, stored);
    app.put("/com/acme/none/maven-metadata.xml", stale).await.expect(201);
    app.get("/com/acme/none/maven-metadata.xml").await.expect(404);
}

#[tokio::test]
async fn a_version_is_listed_with_its_pom_or_module_or_by_its_client_or_by_time() {
    let app = Setup::new().build();
    app.release("com.acme", "lib", "0.1").await;
    for (version, file) in [("1.0", "lib-1.0.pom"), ("1.1", "lib-1.1.module"), ("1.2", "ivy-1.2.xml")] {
        app.put(&format!("/com/acme/lib/{version}/lib-{version}.jar"), "jar").await.expect(201);
        app.get(&format!("/com/acme/lib/{version}/lib-{version}.jar")).await.expect(200);
        assert!(!app.versions("/com/acme/lib").await.contains(&version.to_owned()), "{version}");
        app.put(&format!("/com/acme/lib/{version}/{file}"), "{}").await.expect(201);
        assert!(app.versions("/com/acme/lib").await.contains(&version.to_owned()), "{version}");
    }
    app.put("/com/acme/lib/1.3/lib-1.3.jar", "jar").await.expect(201);
    let named = "<metadata><versioning><versions><version>1.3</version><version>9</version></versions></versioning></metadata>";
    app.put(METADATA, named).await.expect(201);
    app.put("/com/acme/lib/1.4/lib-1.4.jar", "jar").await.expect(201);
    assert_eq!(app.versions("/com/acme/lib").await, ["0.1", "1.0", "1.1", "1.2", "1.3"]);
    let early = app.get(METADATA).await;
    app.pass(601);
    let late = app.get(METADATA).await;
    assert_eq!(late.all("version").last().unwrap(), "1.4");
    assert!(late.one("lastUpdated") > early.one("lastUpdated"));
    assert_eq!(app.get(&format!("{METADATA}.sha1")).await.text(), checksums(&late.body)[1].1);
}

#[tokio::test]
async fn the_document_is_the_same_between_changes_and_later_with_each() {
    let app = Setup::new().build();
    let mut times = Vec::new();
    for version in ["1.0", "1.1", "1.2"] {
        app.release("com.acme", "lib", version).await;
        let first = app.get(METADATA).await;
        let second = app.get(METADATA).await;
        assert_eq!(first.body, second.body);
        times.push(first.one("lastUpdated"));
    }
    // All within one second of the clock.
    assert_eq!(times, ["20260304050607", "20260304050608", "20260304050609"]);
    app.pass(100);
    let same = app.get(METADATA).await;
    assert_eq!(same.one("lastUpdated"), "20260304050609");
    assert_eq!(same.header("cache-control"), Some("no-cache"));
    let again = app.ask("GET", METADATA).token("alice-token");
    again.header("if-none-match", same.header("etag").unwrap()).send().await.expect(304);
}

#[tokio::test]
async fn what_is_no_metadata_is_refused() {
    let app = Setup::new().build();
    for (body, words) in [
        ("", "no well-formed XML"),
        ("<project/>", "root is not <metadata>"),
        ("<!DOCTYPE metadata [<!ENTITY a \"b\">]><metadata>&a;</metadata>", "DOCTYPE"),
        ("<html>", "root is not <metadata>"),
    ] {
        app.refused(app.ask("PUT", METADATA).token("alice-token").body(body), 400, words).await;
    }
    let large = app.ask("PUT", METADATA).token("alice-token").body("x".repeat((5 << 20) + 1));
    app.refused(large, 413, "").await;
    let sum = app.ask("PUT", "/com/acme/lib/maven-metadata.xml.md5").token("alice-token").body("x");
    app.refused(sum, 400, "no MD5 checksum").await;
}

#[tokio::test]
async fn many_versions_are_rendered_aside_and_once() {
    let app = Setup::new().build();
    for number in 0..600 {
        let path = format!("/com/acme/lib/{number}/lib-{number}.pom");
        app.put(&path, pom("com.acme", "lib", &number.to_string(), "jar")).await.expect(201);
    }
    let metadata = app.get(METADATA).await;
    assert_eq!(metadata.all("version").len(), 600);
    assert_eq!(metadata.one("release"), "599");
    assert_eq!(app.get(&format!("{METADATA}.sha512")).await.text(), checksums(&metadata.body)[3].1);
}
