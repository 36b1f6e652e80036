//! What clients other than Maven send, as it was seen on the wire.

use crate::app::{App, Client as _, Document as _, Setup, checksums, pom};

/// A file with checksums beside it.
async fn put_with(app: &App, path: &str, text: &str, extensions: &[&str]) {
    app.put(path, text.to_owned()).await.expect(201);
    for (extension, digits) in checksums(text.as_bytes()) {
        if extensions.contains(&extension) {
            app.put(&format!("{path}.{extension}"), digits).await.expect(201);
        }
    }
}

#[tokio::test]
async fn checklist_11_gradle_publishes_with_four_checksums_and_a_module_file() {
    let app = Setup::new().build();
    let folder = "/com/acme/lib";
    let four = &["md5", "sha1", "sha256", "sha512"];
    let pom = pom("com.acme", "lib", "1.0", "jar")
        .replace("<modelVersion>", "<!-- published-with-gradle-metadata --><modelVersion>");
    for round in ["first", "second"] {
        let expect = if round == "first" { 201 } else { 200 };
        for (file, text) in
            [("lib-1.0.jar", "jar"), ("lib-1.0.module", "{\"formatVersion\":\"1.1\"}"), ("lib-1.0.pom", &pom)]
        {
            let path = format!("{folder}/1.0/{file}");
            app.put(&path, text.to_owned()).await.expect(expect);
            for (extension, digits) in checksums(text.as_bytes()) {
                app.put(&format!("{path}.{extension}"), digits).await.expect(201);
            }
        }
        // Gradle reads the metadata, adds its version and puts it back, with checksums of its own document.
        let document = "<metadata><groupId>com.acme</groupId><artifactId>lib</artifactId><versioning><latest>1.0</latest>\
            <release>1.0</release><versions><version>1.0</version></versions><lastUpdated>20260304050607</lastUpdated></versioning></metadata>";
        put_with(&app, &format!("{folder}/maven-metadata.xml"), document, four).await;
    }
    assert_eq!(app.get("/com/acme/lib/1.0/lib-1.0.pom").await.text(), pom, "the POM is kept as it came");
    let module = app.get("/com/acme/lib/1.0/lib-1.0.module").await.expect(200);
    assert_eq!(module.header("content-type"), Some("application/json"));
    app.get("/com/acme/lib/1.0/lib-1.0-none.module").await.expect(404);
    // The marker of a plugin is an artifact of its own, with only a POM.
    let marker = "/com/acme/hello/com.acme.hello.gradle.plugin/1.0/com.acme.hello.gradle.plugin-1.0.pom";
    put_with(&app, marker, &pom, four).await;
    assert_eq!(app.versions("/com/acme/hello/com.acme.hello.gradle.plugin").await, ["1.0"]);
}

#[tokio::test]
async fn checklist_31_ivy_asks_before_each_upload_and_sends_no_metadata() {
    let app = Setup::new().build();
    for (file, text) in [("lib-1.0.jar", "jar"), ("ivy-1.0.xml", "<ivy-module/>")] {
        let path = format!("/com/acme/lib/1.0/{file}");
        app.ask("HEAD", &path).token("writer-token").send().await.expect(404);
        put_with(&app, &path, text, &["sha1", "md5"]).await;
        app.ask("HEAD", &path).token("writer-token").send().await.expect(200);
    }
    assert_eq!(app.versions("/com/acme/lib").await, ["1.0"]);
}

#[tokio::test]
async fn checklist_30_sbt_plugins_lie_in_folders_of_other_names() {
    let app = Setup::new().build();
    let folder = "/com/acme/sbt-x_2.12_1.0/1.0.2";
    put_with(
        &app,
        &format!("{folder}/sbt-x-1.0.2.pom"),
        &pom("com.acme", "sbt-x", "1.0.2", "jar"),
        &["sha1"],
    )
    .await;
    put_with(&app, &format!("{folder}/sbt-x-1.0.2.jar"), "jar", &["sha1"]).await;
    assert_eq!(app.get(&format!("{folder}/sbt-x-1.0.2.jar")).await.expect(200).text(), "jar");
    assert_eq!(app.versions("/com/acme/sbt-x_2.12_1.0").await, ["1.0.2"]);
}

#[tokio::test]
async fn checklist_33_coursier_finds_versions_by_metadata_or_by_the_page() {
    let app = Setup::new().build();
    app.release("com.acme", "lib_3", "1.0").await;
    app.release("com.acme", "lib_3", "1.1").await;
    let page = app.get("/com/acme/lib_3/").await.expect(200).text();
    assert!(page.contains("<a href=\"1.0/\">") && page.contains("<a href=\"1.1/\">"), "{page}");
    assert!(page.contains("<a href=\"maven-metadata.xml\">"), "{page}");
    assert_eq!(app.get("/com/acme/lib_3/maven-metadata.xml").await.one("release"), "1.1");
}

#[tokio::test]
async fn checklist_35_maven_4_deploys_the_pom_of_the_build_beside_the_consumers() {
    let app = Setup::new().build();
    let folder = "/com/acme/lib/1.0";
    app.put(&format!("{folder}/lib-1.0-build.pom"), "<project root=\"true\"/>").await.expect(201);
    app.get("/com/acme/lib/maven-metadata.xml").await.expect(404);
    app.put(&format!("{folder}/lib-1.0.pom"), pom("com.acme", "lib", "1.0", "jar")).await.expect(201);
    assert!(app.get(&format!("{folder}/lib-1.0.pom")).await.text().contains("The lib"));
    assert_eq!(app.get(&format!("{folder}/lib-1.0-build.pom")).await.text(), "<project root=\"true\"/>");
    assert_eq!(app.versions("/com/acme/lib").await, ["1.0"]);
}

#[tokio::test]
async fn slashes_count_once() {
    let app = Setup::new().build();
    app.put("//com/acme//lib/1.0/lib-1.0.pom", pom("com.acme", "lib", "1.0", "jar")).await.expect(201);
    app.get("/com/acme/lib/1.0//lib-1.0.pom").await.expect(200);
    app.get("///com/acme/lib/maven-metadata.xml").await.expect(200);
}
