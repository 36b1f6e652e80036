//! Deleting.

use crate::app::{Client as _, Configured as _, Document as _, Setup, checksums};

const JAR: &str = "/com/acme/lib/1.0/lib-1.0.jar";
const METADATA: &str = "/com/acme/lib/maven-metadata.xml";

#[tokio::test]
async fn checklist_23_and_24_versions_go_and_the_metadata_follows() {
    let app = Setup::new().build();
    app.release("com.acme", "lib", "1.0").await;
    app.release("com.acme", "lib", "1.1").await;
    let before = app.get(METADATA).await.one("lastUpdated");
    app.delete("/com/acme/lib/1.1/").await.expect(204);
    for path in ["/com/acme/lib/1.1/lib-1.1.jar", "/com/acme/lib/1.1/lib-1.1.pom.sha1", "/com/acme/lib/1.1/"]
    {
        app.get(path).await.expect(404);
    }
    let after = app.get(METADATA).await;
    assert_eq!(after.all("version"), ["1.0"]);
    assert!(after.one("lastUpdated") > before);
    assert_eq!(app.get(&format!("{METADATA}.sha1")).await.text(), checksums(&after.body)[1].1);
    app.delete("/com/acme/lib/1.1/").await.expect(404);
    app.delete("/com/acme/lib/1.0/").await.expect(204);
    for path in [METADATA, "/com/acme/lib/maven-metadata.xml.sha1", "/com/acme/lib/", "/com/"] {
        app.get(path).await.expect(404);
    }
    app.release("com.acme", "lib", "1.2").await;
    assert_eq!(app.versions("/com/acme/lib").await, ["1.2"]);
}

#[tokio::test]
async fn files_go_one_by_one() {
    let app = Setup::new().build();
    app.release("com.acme", "lib", "1.0").await;
    let reply = app.delete(&format!("{JAR}.sha1")).await.expect(405);
    assert_eq!(reply.header("allow"), Some("GET, HEAD, PUT, POST, OPTIONS"));
    app.delete(JAR).await.expect(204);
    app.get(JAR).await.expect(404);
    app.get(&format!("{JAR}.sha1")).await.expect(404);
    app.delete(JAR).await.expect(404);
    assert_eq!(app.versions("/com/acme/lib").await, ["1.0"]);
    app.delete("/com/acme/lib/1.0/lib-1.0.pom").await.expect(204);
    app.get(METADATA).await.expect(404);
    app.delete("/com/acme/none/1.0/none.jar").await.expect(404);
}

#[tokio::test]
async fn a_deleted_release_keeps_its_name_for_its_bytes() {
    let app = Setup::new().build();
    app.put(JAR, "jar").await.expect(201);
    app.delete(JAR).await.expect(204);
    app.refused(app.ask("PUT", JAR).token("alice-token").body("other"), 409, "was deleted").await;
    app.put(JAR, "jar").await.expect(201);
    assert_eq!(app.get(JAR).await.text(), "jar");
    let free = Setup::new().config(|config| config.burn_deleted = false).build();
    free.put(JAR, "jar").await.expect(201);
    free.delete(JAR).await.expect(204);
    free.put(JAR, "other").await.expect(201);
    assert_eq!(free.get(JAR).await.text(), "other");
}

#[tokio::test]
async fn an_artifact_goes_with_all_its_versions_and_a_group_does_not() {
    let app = Setup::new().build();
    app.release("com.acme", "lib", "1.0").await;
    app.release("com.acme", "lib", "1.1-SNAPSHOT").await;
    app.release("com.acme", "other", "1.0").await;
    app.refused(app.ask("DELETE", "/com/").token("alice-token"), 400, "groups cannot").await;
    app.refused(app.ask("DELETE", "/").token("alice-token"), 400, "groups cannot").await;
    app.refused(app.ask("DELETE", "/com/acme/").token("alice-token"), 404, "").await;
    // Without the slash it is a file's path.
    app.refused(app.ask("DELETE", "/com/acme/lib").token("alice-token"), 405, "").await;
    app.delete("/com/acme/lib/").await.expect(204);
    app.get(METADATA).await.expect(404);
    app.get("/com/acme/lib/1.1-SNAPSHOT/maven-metadata.xml").await.expect(404);
    assert_eq!(app.versions("/com/acme/other").await, ["1.0"]);
    app.delete("/com/acme/lib/").await.expect(404);
}

#[tokio::test]
async fn deleting_can_be_switched_off() {
    let app = Setup::new().config(|config| config.allow_delete = false).build();
    app.release("com.acme", "lib", "1.0").await;
    for path in [JAR, "/com/acme/lib/1.0/", "/com/acme/lib/"] {
        app.refused(app.ask("DELETE", path).token("alice-token"), 403, "deletes nothing").await;
    }
}
