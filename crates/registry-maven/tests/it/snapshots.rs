//! Snapshots: builds with times and numbers.

use crate::app::{App, Client as _, Configured as _, Document as _, Setup, checksums};

const FOLDER: &str = "/com/acme/lib/1.0-SNAPSHOT";

/// Deploys a build as Maven does, with these files.
async fn build(app: &App, number: u64, kinds: &[&str]) -> String {
    let base = format!("1.0-2026010{number}.030405-{number}");
    for kind in kinds {
        app.put(&format!("{FOLDER}/lib-{base}{kind}"), format!("{kind} of {number}")).await.expect(201);
    }
    base
}

#[tokio::test]
async fn checklist_5_three_builds_and_the_newest_counts() {
    let app = Setup::new().build();
    for number in 1..=3 {
        build(&app, number, &[".pom", ".jar", "-sources.jar", ".jar.asc"]).await;
        app.pass(10);
    }
    let metadata = app.get(&format!("{FOLDER}/maven-metadata.xml")).await.expect(200);
    assert!(metadata.text().contains("<metadata modelVersion=\"1.1.0\">"));
    assert_eq!(metadata.one("buildNumber"), "3");
    assert_eq!(metadata.one("timestamp"), "20260103.030405");
    assert_eq!(metadata.one("version"), "1.0-SNAPSHOT");
    assert_eq!(metadata.all("value"), ["1.0-20260103.030405-3"; 4]);
    assert_eq!(metadata.all("extension"), ["jar", "jar.asc", "pom", "jar"]);
    assert_eq!(metadata.all("classifier"), ["sources"]);
    assert_eq!(metadata.all("updated"), ["20260103030405"; 4]);
    let artifact = app.get("/com/acme/lib/maven-metadata.xml").await;
    assert_eq!(artifact.all("version"), ["1.0-SNAPSHOT"]);
    assert!(artifact.all("release").is_empty());
    // Older builds stay.
    app.get(&format!("{FOLDER}/lib-1.0-20260101.030405-1.jar")).await.expect(200);
}

#[tokio::test]
async fn checklist_6_sources_that_come_later_leave_the_jar_where_it_is() {
    let app = Setup::new().build();
    let first = build(&app, 1, &[".pom", ".jar"]).await;
    let before = app.get(&format!("{FOLDER}/maven-metadata.xml")).await.one("lastUpdated");
    let second = build(&app, 2, &["-sources.jar"]).await;
    let metadata = app.get(&format!("{FOLDER}/maven-metadata.xml")).await;
    assert_eq!(metadata.all("value"), [first.clone(), first, second]);
    assert_eq!(metadata.one("buildNumber"), "2");
    assert!(metadata.one("lastUpdated") > before);
    for (extension, digits) in checksums(&metadata.body) {
        assert_eq!(app.get(&format!("{FOLDER}/maven-metadata.xml.{extension}")).await.text(), digits);
    }
}

#[tokio::test]
async fn checklist_37_the_name_without_a_build_is_the_newest_one() {
    let app = Setup::new().build();
    build(&app, 2, &[".pom", ".jar"]).await;
    build(&app, 1, &[".jar", "-sources.jar"]).await;
    for (file, text) in [
        ("lib-1.0-SNAPSHOT.jar", ".jar of 2"),
        ("lib-1.0-SNAPSHOT-sources.jar", "-sources.jar of 1"),
        ("lib-1.0-SNAPSHOT.pom", ".pom of 2"),
    ] {
        let reply = app.get(&format!("{FOLDER}/{file}")).await.expect(200);
        assert_eq!(reply.text(), text, "{file}");
        let sha1 = app.get(&format!("{FOLDER}/{file}.sha1")).await;
        assert_eq!(sha1.text(), checksums(text.as_bytes())[1].1);
        assert_eq!(sha1.header("cache-control"), Some("no-cache"));
    }
    app.get(&format!("{FOLDER}/lib-1.0-SNAPSHOT-javadoc.jar")).await.expect(404);
}

#[tokio::test]
async fn builds_never_change_and_files_without_one_do() {
    let app = Setup::new().build();
    let base = build(&app, 1, &[".jar"]).await;
    let path = format!("{FOLDER}/lib-{base}.jar");
    app.put(&path, ".jar of 1").await.expect(200);
    app.refused(app.ask("PUT", &path).token("alice-token").body("other"), 409, "already exists").await;
    let cached = app.get(&path).await;
    assert_eq!(cached.header("cache-control"), Some("private, max-age=31536000, immutable"));
    let literal = format!("{FOLDER}/lib-1.0-SNAPSHOT.jar");
    app.put(&literal, "one").await.expect(201);
    app.put(&literal, "two").await.expect(200);
    let reply = app.get(&literal).await;
    assert_eq!((reply.text().as_str(), reply.header("cache-control")), ("two", Some("no-cache")));
    // Of both kinds clients are told of the build.
    let metadata = app.get(&format!("{FOLDER}/maven-metadata.xml")).await;
    assert_eq!(metadata.all("value"), [base]);
}

#[tokio::test]
async fn a_snapshot_of_files_without_builds_names_itself() {
    let app = Setup::new().build();
    app.put(&format!("{FOLDER}/lib-1.0-SNAPSHOT.pom"), "<project/>").await.expect(201);
    let metadata = app.get(&format!("{FOLDER}/maven-metadata.xml")).await;
    assert_eq!(metadata.all("value"), ["1.0-SNAPSHOT"]);
    assert!(metadata.all("snapshot").is_empty());
}

#[tokio::test]
async fn checklist_41_old_builds_are_cleaned_up_and_what_is_told_stays() {
    let app = Setup::new().config(|config| config.keep_snapshot_builds = 2).build();
    build(&app, 1, &[".pom", ".jar", "-sources.jar"]).await;
    for number in 2..=5 {
        build(&app, number, &[".pom", ".jar"]).await;
    }
    for (file, status) in [
        // The newest sources are of the first build, so all of it stays.
        ("20260101.030405-1.jar", 200),
        ("20260101.030405-1-sources.jar", 200),
        ("20260102.030405-2.jar", 404),
        ("20260103.030405-3.pom", 404),
        ("20260104.030405-4.jar", 200),
        ("20260105.030405-5.pom", 200),
    ] {
        app.get(&format!("{FOLDER}/lib-1.0-{file}")).await.expect(status);
    }
    let metadata = app.get(&format!("{FOLDER}/maven-metadata.xml")).await;
    for value in metadata.all("value") {
        assert!(value.ends_with("-5") || value.ends_with("-1"), "{value}");
    }
    // A build that was cleaned up may come again: clients do not, but nothing stands against it.
    let days = Setup::new().config(|config| config.keep_snapshot_days = 7).build();
    build(&days, 1, &[".jar"]).await;
    days.pass(8 * 24 * 3600);
    build(&days, 2, &[".jar"]).await;
    days.get(&format!("{FOLDER}/lib-1.0-20260101.030405-1.jar")).await.expect(404);
    days.get(&format!("{FOLDER}/lib-1.0-20260102.030405-2.jar")).await.expect(200);
}
