//! Checksums: served of everything, compared with what clients send.

use crate::app::{Client as _, Setup, checksums, pom};

const JAR: &str = "/com/acme/lib/1.0/lib-1.0.jar";

#[tokio::test]
async fn checklist_9_everything_has_four_checksums_in_files_and_headers() {
    let app = Setup::new().build();
    app.release("com.acme", "lib", "1.0").await;
    let snapshot = "/com/acme/lib/1.1-SNAPSHOT/lib-1.1-20260101.000000-1.pom";
    app.put(snapshot, "<project/>").await.expect(201);
    for path in [
        "/com/acme/lib/1.0/lib-1.0.pom",
        JAR,
        snapshot,
        "/com/acme/lib/1.1-SNAPSHOT/lib-1.1-SNAPSHOT.pom",
        "/com/acme/lib/maven-metadata.xml",
        "/com/acme/lib/1.1-SNAPSHOT/maven-metadata.xml",
    ] {
        let file = app.get(path).await.expect(200);
        for (extension, digits) in checksums(&file.body) {
            let beside = app.get(&format!("{path}.{extension}")).await.expect(200);
            assert_eq!(beside.text(), digits, "{path}.{extension}");
            assert_eq!(beside.header("content-type"), Some("text/plain"));
            assert_eq!(file.header(&format!("x-checksum-{extension}")), Some(digits.as_str()), "{path}");
        }
        let sha1 = &checksums(&file.body)[1].1;
        assert_eq!(file.header("etag"), Some(format!("\"{{SHA1{{{sha1}}}}}\"").as_str()));
    }
}

#[tokio::test]
async fn checklist_14_checksums_that_match_are_taken_and_others_are_not() {
    let app = Setup::new().build();
    app.put(JAR, "jar").await.expect(201);
    app.pass(61);
    let stored = app.objects().await;
    for (extension, digits) in checksums(b"jar") {
        for form in [
            digits.clone(),
            digits.to_uppercase(),
            format!("{digits}  lib-1.0.jar\n"),
            format!("{extension} (lib-1.0.jar)= {digits}"),
        ] {
            app.put(&format!("{JAR}.{extension}"), form).await.expect(201);
        }
        let wrong: String = digits.chars().map(|c| if c == '0' { '1' } else { '0' }).collect();
        let put = app.ask("PUT", &format!("{JAR}.{extension}")).token("alice-token").body(wrong);
        app.refused(put, 400, "does not match").await;
        for bad in ["", "abc", "<html>"] {
            let put = app.ask("PUT", &format!("{JAR}.{extension}")).token("alice-token").body(bad);
            app.refused(put, 400, "hexadecimal digits").await;
        }
        assert_eq!(app.get(&format!("{JAR}.{extension}")).await.text(), digits);
    }
    assert_eq!(app.objects().await, stored, "checksums of what is there are only compared");
    let twice = app.ask("PUT", &format!("{JAR}.sha1.md5")).token("alice-token").body("x");
    app.refused(twice, 400, "no checksums of their own").await;
    app.get(&format!("{JAR}.sha1.md5")).await.expect(404);
    let large = app.ask("PUT", &format!("{JAR}.sha1")).token("alice-token").body("x".repeat(5000));
    app.refused(large, 413, "").await;
}

#[tokio::test]
async fn checklist_14_a_file_that_was_damaged_on_its_way_is_not_kept() {
    let app = Setup::new().build();
    app.put("/com/acme/lib/1.0/lib-1.0.pom", "<project/>").await.expect(201);
    app.put(JAR, "torn").await.expect(201);
    app.pass(60);
    let [(_, md5), (_, sha1), ..] = checksums(b"jar");
    let reply = app.put(&format!("{JAR}.sha1"), sha1.clone()).await.expect(400);
    assert!(reply.error().contains("does not match"), "{reply:?}");
    assert!(reply.error().contains("not kept"), "{reply:?}");
    for gone in [JAR.to_owned(), format!("{JAR}.sha1")] {
        app.get(&gone).await.expect(404);
    }
    assert_eq!(app.versions("/com/acme/lib").await, ["1.0"], "the POM is whole");
    // The right bytes can follow, and what is whole stays whatever comes after it from others or late.
    app.put(JAR, "jar").await.expect(201);
    app.put(&format!("{JAR}.sha1"), sha1.clone()).await.expect(201);
    let wrong = checksums(b"torn")[1].1.clone();
    let put = app.ask("PUT", &format!("{JAR}.sha1")).token("writer-token").body(wrong.clone());
    app.refused(put, 400, "does not match").await;
    app.pass(61);
    let put = app.ask("PUT", &format!("{JAR}.sha1")).token("alice-token").body(wrong);
    app.refused(put, 400, "does not match").await;
    assert_eq!(app.get(JAR).await.text(), "jar");
    assert_eq!(app.get(&format!("{JAR}.md5")).await.text(), md5);
}

#[tokio::test]
async fn a_version_of_which_nothing_is_whole_is_not_listed() {
    let app = Setup::new().build();
    let path = "/com/acme/lib/1.0/lib-1.0.pom";
    app.put(path, pom("com.acme", "lib", "1.0", "jar")).await.expect(201);
    app.put(&format!("{path}.md5"), checksums(b"other")[0].1.clone()).await.expect(400);
    app.get("/com/acme/lib/maven-metadata.xml").await.expect(404);
    app.get("/com/acme/lib/1.0/").await.expect(404);
    app.release("com.acme", "lib", "1.0").await;
    assert_eq!(app.versions("/com/acme/lib").await, ["1.0"]);
}

#[tokio::test]
async fn checklist_15_a_checksum_may_come_before_its_file() {
    let app = Setup::new().build();
    let [(_, md5), (_, sha1), ..] = checksums(b"jar");
    app.put(&format!("{JAR}.sha1"), sha1.clone()).await.expect(201);
    app.put(&format!("{JAR}.md5"), md5).await.expect(201);
    app.get(&format!("{JAR}.sha1")).await.expect(404);
    app.get("/com/acme/lib/1.0/").await.expect(404);
    let before = app.objects().await;
    let reply = app.put(JAR, "torn").await.expect(400);
    assert!(reply.text().contains("does not match"), "{}", reply.text());
    assert!(reply.text().contains(&checksums(b"torn")[0].1), "{}", reply.text());
    assert_eq!(app.objects().await, before, "nothing of the file is kept");
    app.get(JAR).await.expect(404);
    app.put(JAR, "jar").await.expect(201);
    assert_eq!(app.get(&format!("{JAR}.sha1")).await.text(), sha1);
}

#[tokio::test]
async fn an_announced_checksum_is_forgotten_after_a_while() {
    let app = Setup::new().build();
    app.put(&format!("{JAR}.sha1"), checksums(b"other")[1].1.clone()).await.expect(201);
    app.pass(601);
    app.put(JAR, "jar").await.expect(201);
    // And of what waits there is only so much.
    for number in 0..256 {
        let path = format!("/com/acme/lib/2.0/lib-2.0-{number}.jar.md5");
        app.put(&path, checksums(b"x")[0].1.clone()).await.expect(201);
    }
    let more = app.ask("PUT", "/com/acme/lib/2.0/lib-2.0.jar.md5").token("alice-token");
    app.refused(more.body(checksums(b"x")[0].1.clone()), 409, "wait for their files").await;
}

#[tokio::test]
async fn checksums_in_headers_are_compared_too() {
    let app = Setup::new().build();
    for (extension, digits) in checksums(b"other") {
        let name = format!("x-checksum-{extension}");
        let put = app.ask("PUT", JAR).token("alice-token").header(&name, &digits).body("jar");
        app.refused(put, 409, "does not match").await;
        let put = app.ask("PUT", JAR).token("alice-token").header(&name, "abc").body("jar");
        app.refused(put, 400, "hexadecimal digits").await;
    }
    let sha256 = checksums(b"jar")[2].1.to_uppercase();
    let put = app.ask("PUT", JAR).token("alice-token").header("x-checksum-sha256", &sha256).body("jar");
    put.send().await.expect(201);
}
