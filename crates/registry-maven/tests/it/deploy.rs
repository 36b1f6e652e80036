//! Deploying releases.

use futures_util::future::join_all;
use registry_core::Body;
use registry_maven::{VersionPolicy, WritePolicy};

use crate::app::{Client as _, Configured as _, Document as _, Setup, checksums, pom};

const POM: &str = "/com/acme/lib/1.0/lib-1.0.pom";
const JAR: &str = "/com/acme/lib/1.0/lib-1.0.jar";

#[tokio::test]
async fn checklist_1_a_release_is_deployed_and_read() {
    let app = Setup::new().build();
    // As Maven does: the first metadata is not there, and that is no refusal.
    app.put(POM, pom("com.acme", "lib", "1.0", "jar")).await.expect(201);
    app.put(JAR, "jar").await.expect(201);
    app.get("/com/other/maven-metadata.xml").await.expect(404);
    assert_eq!(app.get(JAR).await.expect(200).text(), "jar");
    let metadata = app.get("/com/acme/lib/maven-metadata.xml").await.expect(200);
    assert_eq!(metadata.one("groupId"), "com.acme");
    assert_eq!(metadata.one("artifactId"), "lib");
    assert_eq!(metadata.all("version"), ["1.0"]);
    assert_eq!((metadata.one("release"), metadata.one("latest")), ("1.0".to_owned(), "1.0".to_owned()));
    assert_eq!(metadata.one("lastUpdated"), "20260304050607");
}

#[tokio::test]
async fn checklist_10_the_same_bytes_again_are_fine_and_others_are_not() {
    let app = Setup::new().build();
    app.release("com.acme", "lib", "1.0").await;
    let jar = app.get(JAR).await.text();
    let before = app.objects().await;
    app.put(JAR, jar.clone()).await.expect(200);
    app.ask("POST", JAR).token("alice-token").body(jar.clone()).send().await.expect(200);
    assert_eq!(app.objects().await, before, "nothing is written for what is there");
    let other = || app.ask("PUT", JAR).token("alice-token").body(jar.to_uppercase());
    app.refused(other(), 409, "already exists with different content").await;
    let shorter = app.ask("PUT", JAR).token("alice-token").body("x");
    app.refused(shorter, 409, "deploy a new version").await;
    assert_eq!(app.get(JAR).await.text(), jar);
    let reply = other().send().await;
    assert!(reply.reason.unwrap().contains("already exists"));
}

#[tokio::test]
async fn checklist_44_what_is_new_may_be_added_to_a_release() {
    let app = Setup::new().build();
    app.release("com.acme", "lib", "1.0").await;
    for file in ["lib-1.0.jar.asc", "lib-1.0-sources.jar", "lib-1.0.module", "lib-1.0-build.pom"] {
        app.put(&format!("/com/acme/lib/1.0/{file}"), file).await.expect(201);
    }
    let pom = app.ask("PUT", POM).token("alice-token").body("<project/>");
    app.refused(pom, 409, "lib-1.0.pom already exists").await;
    assert_eq!(app.get("/com/acme/lib/1.0/lib-1.0-build.pom").await.text(), "lib-1.0-build.pom");
}

#[tokio::test]
async fn checklist_7_parallel_deploys_lose_no_version() {
    let app = Setup::new().build();
    let deploys = (0..20).map(|number| {
        let app = &app;
        async move {
            app.release("com.acme", "lib", &format!("1.{number}")).await;
            app.release("com.acme", &format!("module-{number}"), "1.0").await;
        }
    });
    join_all(deploys).await;
    let want: Vec<String> = (0..20).map(|number| format!("1.{number}")).collect();
    assert_eq!(app.versions("/com/acme/lib").await, want);
    for number in 0..20 {
        assert_eq!(app.versions(&format!("/com/acme/module-{number}")).await, ["1.0"]);
    }
}

#[tokio::test]
async fn parallel_uploads_of_one_file_have_one_winner() {
    let app = Setup::new().build();
    let replies = join_all((0..8).map(|number| app.put(JAR, format!("jar {number}")))).await;
    let won: Vec<usize> = (0..8).filter(|at| replies[*at].status == 201).collect();
    assert_eq!(won.len(), 1);
    assert!(replies.iter().all(|reply| reply.status == 201 || reply.status == 409));
    assert_eq!(app.get(JAR).await.text(), format!("jar {}", won[0]));
    assert_eq!(app.objects().await.iter().filter(|(key, ..)| key.contains('~')).count(), 1);
}

#[tokio::test]
async fn checklist_25_repositories_take_the_versions_they_are_for() {
    let releases = Setup::new().config(|config| config.versions = VersionPolicy::Release).build();
    let snapshot = "/com/acme/lib/1.0-SNAPSHOT/lib-1.0-SNAPSHOT.jar";
    let put = releases.ask("PUT", snapshot).token("alice-token").body("x");
    releases.refused(put, 400, "this repository takes releases, and 1.0-SNAPSHOT is a snapshot").await;
    releases.put(JAR, "x").await.expect(201);
    let snapshots = Setup::new().config(|config| config.versions = VersionPolicy::Snapshot).build();
    let put = snapshots.ask("PUT", JAR).token("alice-token").body("x");
    snapshots.refused(put, 400, "this repository takes snapshots, and 1.0 is a release").await;
    snapshots.put(snapshot, "x").await.expect(201);
    for version in ["LATEST", "RELEASE"] {
        let path = format!("/com/acme/lib/{version}/lib-{version}.jar");
        let put = snapshots.ask("PUT", &path).token("alice-token").body("x");
        snapshots.refused(put, 400, "is no version").await;
    }
}

#[tokio::test]
async fn write_policies() {
    let never = Setup::new().config(|config| config.writes = WritePolicy::Never).build();
    for path in [JAR, "/com/acme/lib/1.0/lib-1.0.jar.sha1", "/com/acme/lib/maven-metadata.xml"] {
        let put = never.ask("PUT", path).token("alice-token").body("x");
        never.refused(put, 403, "this repository takes no uploads").await;
    }
    let always = Setup::new().config(|config| config.writes = WritePolicy::Always).build();
    always.put(JAR, "one").await.expect(201);
    always.put(JAR, "two").await.expect(200);
    assert_eq!(always.get(JAR).await.text(), "two");
    let sums = checksums(b"two");
    for (extension, digits) in sums {
        assert_eq!(always.get(&format!("{JAR}.{extension}")).await.text(), digits);
    }
}

#[tokio::test]
async fn checklist_28_files_over_the_limit_are_refused_before_and_while_they_come() {
    let app = Setup::new().config(|config| config.max_file_bytes = 10).build();
    app.put(JAR, "0123456789").await.expect(201);
    let at = "/com/acme/lib/1.0/lib-1.0.zip";
    let announced = app.ask("PUT", at).token("alice-token").body("0123456789x");
    app.refused(announced, 413, "larger than 10 bytes").await;
    let pieces = ["012345", "6789", "x"].map(|piece| Ok::<_, std::io::Error>(piece.into()));
    let streamed = Body::from_stream(futures_util::stream::iter(pieces));
    app.refused(app.ask("PUT", at).token("alice-token").body(streamed), 413, "larger than 10 bytes").await;
    app.put("/com/acme/lib/1.0/lib-1.0-empty.jar", "").await.expect(201);
    let empty = app.get("/com/acme/lib/1.0/lib-1.0-empty.jar").await.expect(200);
    assert_eq!((empty.text(), empty.header("content-length")), (String::new(), Some("0")));
}

#[tokio::test]
async fn checklist_27_an_upload_that_is_cut_leaves_nothing() {
    let app = Setup::new().build();
    let cut = || {
        let pieces = [Ok("half".into()), Err(std::io::Error::other("the client went away"))];
        Body::from_stream(futures_util::stream::iter(pieces))
    };
    app.refused(app.ask("PUT", JAR).token("alice-token").body(cut()), 400, "ended early").await;
    app.get(JAR).await.expect(404);
    let snapshot = "/com/acme/lib/1-SNAPSHOT/lib-1-SNAPSHOT.jar";
    app.put(snapshot, "whole").await.expect(201);
    app.refused(app.ask("PUT", snapshot).token("alice-token").body(cut()), 400, "ended early").await;
    assert_eq!(app.get(snapshot).await.text(), "whole");
}

#[tokio::test]
async fn limits_on_files_and_versions() {
    let app = Setup::new()
        .config(|config| {
            config.max_files = 2;
            config.max_versions = 2;
        })
        .build();
    app.release("com.acme", "lib", "1.0").await;
    let third = app.ask("PUT", "/com/acme/lib/1.0/lib-1.0.zip").token("alice-token").body("x");
    app.refused(third, 409, "has 2 files").await;
    app.release("com.acme", "lib", "1.1").await;
    let third = app.ask("PUT", "/com/acme/lib/1.2/lib-1.2.jar").token("alice-token").body("x");
    app.refused(third, 409, "keeps at most 2").await;
}

#[tokio::test]
async fn checklist_45_a_pom_that_cannot_be_read_is_stored_unless_the_repository_is_strict() {
    let bomb = "<!DOCTYPE p [<!ENTITY x \"xxxxxxxx\">]><project>&x;&x;</project>";
    let deep = "<project>".repeat(100);
    let app = Setup::new().build();
    app.put(POM, bomb).await.expect(201);
    app.put("/com/acme/lib/1.1/lib-1.1.pom", deep.clone()).await.expect(201);
    assert_eq!(app.get(POM).await.text(), bomb);
    assert_eq!(app.versions("/com/acme/lib").await, ["1.0", "1.1"]);

    let strict = Setup::new().config(|config| config.strict_poms = true).build();
    for (body, words) in [
        (bomb.to_owned(), "DOCTYPE"),
        (deep, "64 levels"),
        (pom("com.acme", "lib", "1.1", "jar"), "version is \"1.1\", the path's is \"1.0\""),
        (pom("com.acme", "other", "1.0", "jar"), "artifactId"),
        (pom("com.evil", "lib", "1.0", "jar"), "groupId"),
    ] {
        strict.refused(strict.ask("PUT", POM).token("alice-token").body(body), 400, words).await;
    }
    strict.put(POM, pom("com.acme", "lib", "${revision}", "jar")).await.expect(201);
}
