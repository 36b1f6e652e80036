//! A host's say in what happens.

use registry_core::testing::Recorder;

use crate::app::{Client as _, Setup, checksums};

#[tokio::test]
async fn hooks_hear_of_everything_and_may_refuse() {
    let recorder = Recorder::new();
    let mut setup = Setup::new();
    setup.options.hooks = recorder.hooks();
    let app = setup.build();
    let jar = "/com/acme/lib/1.0/lib-1.0.jar";
    app.put(jar, "jar").await.expect(201);
    app.get(jar).await.expect(200);
    recorder.refuse(Some("the house does not want this"));
    let other = app.ask("PUT", "/com/acme/lib/1.1/lib-1.1.pom").token("alice-token").body("<project/>");
    app.refused(other, 403, "the house does not want this").await;
    app.refused(app.ask("DELETE", "/com/acme/lib/1.0/").token("alice-token"), 403, "the house").await;
    app.get(jar).await.expect(403);
    recorder.refuse(None);
    app.get("/com/acme/lib/maven-metadata.xml").await.expect(404);
    app.delete("/com/acme/lib/1.0/").await.expect(204);
    app.services.storage.drained().await;
    assert_eq!(
        recorder.done(),
        ["put com.acme:lib 1.0 alice", "get com.acme:lib 1.0 alice", "delete com.acme:lib 1.0 alice",]
    );
}

#[tokio::test]
async fn a_damaged_file_is_taken_back_as_a_deletion_and_stays_where_hooks_refuse_that() {
    let recorder = Recorder::new();
    let mut setup = Setup::new();
    setup.options.hooks = recorder.hooks();
    let app = setup.build();
    let jar = "/com/acme/lib/1.0/lib-1.0.jar";
    let sha1 = checksums(b"jar")[1].1.clone();
    app.put(jar, "torn").await.expect(201);
    recorder.refuse(Some("nothing is deleted here"));
    let put = app.ask("PUT", &format!("{jar}.sha1")).token("alice-token").body(sha1.clone());
    app.refused(put, 400, "does not match").await;
    recorder.refuse(None);
    assert_eq!(app.get(jar).await.text(), "torn");
    app.put(&format!("{jar}.sha1"), sha1).await.expect(400);
    app.get(jar).await.expect(404);
    app.services.storage.drained().await;
    assert_eq!(recorder.done().last().unwrap(), "delete com.acme:lib 1.0 alice");
}
