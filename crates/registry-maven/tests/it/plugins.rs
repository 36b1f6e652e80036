//! Plugins and the prefixes of their goals.

use registry_core::testing::archives::zip;

use crate::app::{App, Client as _, Document as _, Setup, checksums, pom};

async fn plugin(app: &App, group: &str, artifact: &str) {
    let folder = format!("/{}/{artifact}/1.0/{artifact}-1.0", group.replace('.', "/"));
    app.put(&format!("{folder}.pom"), pom(group, artifact, "1.0", "maven-plugin")).await.expect(201);
}

fn metadata(plugins: &[(&str, &str, &str)]) -> String {
    let plugin = |(name, prefix, artifact): &(&str, &str, &str)| {
        format!(
            "<plugin><name>{name}</name><prefix>{prefix}</prefix><artifactId>{artifact}</artifactId></plugin>"
        )
    };
    format!("<metadata><plugins>{}</plugins></metadata>", plugins.iter().map(plugin).collect::<String>())
}

#[tokio::test]
async fn checklist_34_a_group_tells_its_plugins() {
    let app = Setup::new().build();
    app.release("com.acme", "lib", "1.0").await;
    app.get("/com/acme/maven-metadata.xml").await.expect(404);
    plugin(&app, "com.acme", "demo-maven-plugin").await;
    let guessed = app.get("/com/acme/maven-metadata.xml").await.expect(200);
    assert_eq!(
        (guessed.one("prefix"), guessed.one("name")),
        ("demo".to_owned(), "The demo-maven-plugin".to_owned())
    );
    // What the client says counts more than what its name suggests, and others' plugins do not get lost.
    plugin(&app, "com.acme", "other-maven-plugin").await;
    let document = metadata(&[("Demo &amp; more", "dm", "demo-maven-plugin"), ("No", "no", "missing")]);
    app.put("/com/acme/maven-metadata.xml", document).await.expect(201);
    let told = app.get("/com/acme/maven-metadata.xml").await.expect(200);
    assert_eq!(told.all("prefix"), ["dm", "other"]);
    assert_eq!(told.all("artifactId"), ["demo-maven-plugin", "other-maven-plugin"]);
    assert!(told.text().contains("<name>Demo &amp; more</name>"));
    for (extension, digits) in checksums(&told.body) {
        let beside = app.get(&format!("/com/acme/maven-metadata.xml.{extension}")).await.expect(200);
        assert_eq!(beside.text(), digits);
    }
    // Another deployment of the same plugin leaves the prefix.
    let at = "/com/acme/demo-maven-plugin/1.1/demo-maven-plugin-1.1.pom";
    app.put(at, pom("com.acme", "demo-maven-plugin", "1.1", "maven-plugin")).await.expect(201);
    assert_eq!(app.get("/com/acme/maven-metadata.xml").await.all("prefix"), ["dm", "other"]);
}

#[tokio::test]
async fn the_prefix_is_read_out_of_the_jar_whichever_comes_first() {
    let app = Setup::new().build();
    let description = "<plugin><name>Hello</name><goalPrefix>hi</goalPrefix></plugin>";
    let jar = zip(&[("META-INF/maven/plugin.xml", description.as_bytes())]);
    for (artifact, jar_first) in [("one-maven-plugin", true), ("two-maven-plugin", false)] {
        let path = format!("/com/acme/{artifact}/1.0/{artifact}-1.0");
        if jar_first {
            app.put(&format!("{path}.jar"), jar.clone()).await.expect(201);
            plugin(&app, "com.acme", artifact).await;
        } else {
            plugin(&app, "com.acme", artifact).await;
            app.put(&format!("{path}.jar"), jar.clone()).await.expect(201);
        }
    }
    // Neither what is no JAR nor a description without a usable prefix is a reason to refuse a deployment.
    for (artifact, jar) in [
        ("bad-maven-plugin", b"no zip".to_vec()),
        (
            "odd-maven-plugin",
            zip(&[("META-INF/maven/plugin.xml", b"<plugin><goalPrefix>a&lt;b</goalPrefix></plugin>")]),
        ),
    ] {
        plugin(&app, "com.acme", artifact).await;
        app.put(&format!("/com/acme/{artifact}/1.0/{artifact}-1.0.jar"), jar).await.expect(201);
    }
    let told = app.get("/com/acme/maven-metadata.xml").await.expect(200);
    assert_eq!(told.all("prefix"), ["bad", "odd", "hi", "hi"]);
    assert_eq!(told.all("name")[2..], ["Hello", "Hello"]);
    assert_eq!(told.all("artifactId")[2..], ["one-maven-plugin", "two-maven-plugin"]);
}

#[tokio::test]
async fn a_folder_can_be_a_group_and_an_artifact() {
    let app = Setup::new().build();
    app.release("com", "acme", "2.0").await;
    plugin(&app, "com.acme", "demo-maven-plugin").await;
    let both = app.get("/com/acme/maven-metadata.xml").await.expect(200);
    assert_eq!(both.all("version"), ["2.0"]);
    assert_eq!(both.one("prefix"), "demo");
    assert_eq!(app.get("/com/acme/maven-metadata.xml.sha1").await.text(), checksums(&both.body)[1].1);
}

#[tokio::test]
async fn plugins_are_shown_and_changed_only_with_rights_on_them() {
    let app = Setup::new().build();
    plugin(&app, "com.acme", "demo-maven-plugin").await;
    plugin(&app, "com.bob", "bob-maven-plugin").await;
    let as_bob = |path: &'static str| app.ask("GET", path).token("bob-token").send();
    as_bob("/com/acme/maven-metadata.xml").await.expect(404);
    as_bob("/com/bob/maven-metadata.xml").await.expect(200);
    let put = |path| {
        let document = metadata(&[("x", "evil", "demo-maven-plugin"), ("y", "b", "bob-maven-plugin")]);
        app.ask("PUT", path).token("bob-token").body(document)
    };
    app.refused(put("/com/acme/maven-metadata.xml"), 403, "permission to deploy").await;
    put("/com/bob/maven-metadata.xml").send().await.expect(201);
    assert_eq!(app.get("/com/acme/maven-metadata.xml").await.one("prefix"), "demo");
    assert_eq!(app.get("/com/bob/maven-metadata.xml").await.one("prefix"), "b");
}

#[tokio::test]
async fn a_plugin_that_is_deleted_leaves_its_group() {
    let app = Setup::new().build();
    plugin(&app, "com.acme", "demo-maven-plugin").await;
    plugin(&app, "com.acme", "other-maven-plugin").await;
    app.delete("/com/acme/demo-maven-plugin/").await.expect(204);
    assert_eq!(app.get("/com/acme/maven-metadata.xml").await.all("prefix"), ["other"]);
    app.delete("/com/acme/other-maven-plugin/1.0/").await.expect(204);
    app.get("/com/acme/maven-metadata.xml").await.expect(404);
}
