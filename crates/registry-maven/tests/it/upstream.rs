//! A repository in front of other ones.

use std::time::Duration;

use futures_util::future::join_all;
use registry_core::{
    testing::{Canned, FakeUpstream},
    upstream::{Rule, RuleAction},
};

use crate::app::{App, Client as _, Document as _, Reply, Setup, checksums, pom};

const FOLDER: &str = "/org/theirs/lib";

fn jar(version: &str) -> Vec<u8> {
    format!("the jar of {version}").repeat(1000).into_bytes()
}

fn metadata(versions: &[&str], updated: &str) -> String {
    let all = format!("<version>{}</version>", versions.join("</version><version>"));
    format!(
        "<metadata><groupId>org.theirs</groupId><artifactId>lib</artifactId><versioning><latest>x</latest><versions>{all}</versions>\
         <lastUpdated>{updated}</lastUpdated></versioning></metadata>"
    )
}

/// A release with its sums and the time of its POM.
fn put_release(fake: &FakeUpstream, version: &str, time: &str) {
    let file = format!("/repo{FOLDER}/{version}/lib-{version}");
    let text = pom("org.theirs", "lib", version, "jar");
    let with_sum = |path: &str, bytes: &[u8]| {
        fake.serve(&format!("{path}.sha1"), Canned::ok(format!("{}  lib\n", checksums(bytes)[1].1)));
    };
    with_sum(&format!("{file}.pom"), text.as_bytes());
    with_sum(&format!("{file}.jar"), &jar(version));
    let pom = Canned::ok(text).header("last-modified", time).header("content-type", "text/xml");
    fake.serve(&format!("{file}.pom"), pom);
    fake.serve(&format!("{file}.jar"), Canned::ok(jar(version)).header("last-modified", time));
}

fn put_on(fake: &FakeUpstream) {
    let all = metadata(&["1.0", "1.10", "1.9"], "20260303000000");
    fake.serve(&format!("/repo{FOLDER}/maven-metadata.xml"), Canned::ok(all).etag("\"m\""));
    put_release(fake, "1.0", "Thu, 01 Jan 2026 00:00:00 GMT");
    put_release(fake, "1.9", "Fri, 02 Jan 2026 00:00:00 GMT");
    put_release(fake, "1.10", "Tue, 03 Mar 2026 00:00:00 GMT");
}

fn setup(fake: &FakeUpstream) -> Setup {
    Setup::new().upstream_with(&format!("{}/repo/", fake.url()), |config| config.retries = 0)
}

async fn get(app: &App, path: &str) -> Reply {
    app.ask("GET", path).token("alice-token").send().await
}

async fn versions(app: &App, folder: &str) -> Vec<String> {
    get(app, &format!("{folder}/maven-metadata.xml")).await.expect(200).all("version")
}

#[tokio::test]
async fn checklist_38_an_artifact_of_another_repository_resolves_also_when_that_is_down() {
    let fake = FakeUpstream::start().await;
    put_on(&fake);
    let app = setup(&fake).build();
    let check = async || {
        let told = get(&app, &format!("{FOLDER}/maven-metadata.xml")).await.expect(200);
        assert_eq!(told.all("version"), ["1.0", "1.9", "1.10"], "in Maven's order");
        assert_eq!((told.one("latest"), told.one("release")), ("1.10".into(), "1.10".into()));
        assert_eq!(told.one("lastUpdated"), "20260303000000");
        for (ending, digits) in checksums(&told.body) {
            let sum = get(&app, &format!("{FOLDER}/maven-metadata.xml.{ending}")).await.expect(200);
            assert_eq!(sum.text(), digits, "of what is served");
        }
        for (file, bytes) in [
            ("lib-1.9.pom", pom("org.theirs", "lib", "1.9", "jar").into_bytes()),
            ("lib-1.9.jar", jar("1.9")),
        ] {
            let found = get(&app, &format!("{FOLDER}/1.9/{file}")).await.expect(200);
            assert_eq!(found.body, bytes);
            app.settled(2).await;
            for (ending, digits) in checksums(&bytes) {
                let deadline = std::time::Instant::now() + Duration::from_secs(5);
                // All four are known once the bytes are kept.
                loop {
                    let sum = get(&app, &format!("{FOLDER}/1.9/{file}.{ending}")).await;
                    if sum.status == 200 || std::time::Instant::now() > deadline {
                        assert_eq!(sum.expect(200).text(), digits, "{file}.{ending}");
                        break;
                    }
                    app.clock.advance(Duration::from_secs(31));
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
        }
        get(&app, "/.meta/prefixes.txt").await.expect(404);
    };
    check().await;
    fake.stop().await;
    check().await;
    app.clock.advance(Duration::from_hours(24));
    let stale = get(&app, &format!("{FOLDER}/maven-metadata.xml")).await.expect(200);
    assert_eq!(stale.header("warning"), Some("111 smartregistry \"Revalidation Failed\""));
    // checklist 12: what is not here cannot be had, and that is no 404.
    get(&app, &format!("{FOLDER}/1.10/lib-1.10.jar")).await.expect(502);
    get(&app, "/org/theirs/other/maven-metadata.xml").await.expect(502);
}

#[tokio::test]
async fn checklist_38_40_documents_are_refreshed_and_what_was_not_there_is_seen_later() {
    let fake = FakeUpstream::start().await;
    put_on(&fake);
    let app = setup(&fake).build();
    let path = format!("{FOLDER}/maven-metadata.xml");
    let first = get(&app, &path).await.expect(200);
    app.clock.advance(Duration::from_mins(30));
    let again = get(&app, &path).await.expect(200);
    assert!(again.header("cache-status").unwrap().contains("fwd-status=304"));
    assert_eq!((again.header("etag"), &again.body), (first.header("etag"), &first.body));
    let more = metadata(&["1.0", "1.10", "1.9", "2.0"], "20260304000000");
    fake.serve(&format!("/repo{path}"), Canned::ok(more).etag("\"n\""));
    get(&app, &format!("{FOLDER}/2.0/lib-2.0.jar")).await.expect(404);
    put_release(&fake, "2.0", "Tue, 03 Mar 2026 00:00:00 GMT");
    let asked = fake.total();
    get(&app, &format!("{FOLDER}/2.0/lib-2.0.jar")).await.expect(404);
    assert_eq!(fake.total(), asked, "that it is not there is remembered");
    app.clock.advance(Duration::from_mins(30));
    assert_eq!(versions(&app, FOLDER).await.last().unwrap(), "2.0");
    get(&app, &format!("{FOLDER}/2.0/lib-2.0.jar")).await.expect(200);
}

#[tokio::test]
async fn checklist_18_19_hosted_and_reserved_artifacts_are_asked_of_nobody() {
    let fake = FakeUpstream::start().await;
    put_on(&fake);
    let mut setup = setup(&fake);
    setup.upstreams.rules.reserved = vec!["com.acme.*".to_owned()];
    let app = setup.build();
    app.release("com.own", "lib", "1.0").await;
    let before = fake.total();
    for path in [
        "/com/own/lib/maven-metadata.xml",
        "/com/own/lib/maven-metadata.xml.sha1",
        "/com/own/lib/1.0/lib-1.0.jar",
        "/com/own/lib/1.0/lib-1.0.jar.sha512",
    ] {
        get(&app, path).await.expect(200);
    }
    for path in [
        "/com/own/lib/2.0/lib-2.0.jar",
        "/com/own/lib/1.0/lib-1.0.jar.asc",
        "/com/acme/secret/maven-metadata.xml",
        "/com/acme/secret/1.0/secret-1.0.pom",
        "/com/acme/deep/er/secret/1.0-SNAPSHOT/maven-metadata.xml",
        "/com/acme/maven-metadata.xml.sha1",
    ] {
        get(&app, path).await.expect(404);
    }
    app.release("com.acme", "new", "1.0").await;
    let asked: Vec<String> = fake.seen().into_iter().skip(before).map(|seen| seen.path).collect();
    // A folder of the group's name may be the artifact `com:acme`, which is nobody's own.
    assert!(asked.iter().all(|path| path == "/repo/com/acme/maven-metadata.xml"), "{asked:?}");
    get(&app, "/com/acmeevil/lib/1.0/lib-1.0.jar").await.expect(404);
    assert!(fake.seen().iter().any(|seen| seen.path.starts_with("/repo/com/acmeevil/")));
}

#[tokio::test]
async fn checklist_39_pages_and_other_bytes_are_neither_kept_nor_served_whole() {
    let fake = FakeUpstream::start().await;
    put_on(&fake);
    let page = || Canned::ok("<html>Log in</html>").header("content-type", "text/html");
    let folder = "/repo/org/theirs/portal";
    fake.serve(&format!("{folder}/maven-metadata.xml"), page());
    fake.serve(&format!("{folder}/1.0/portal-1.0.pom"), page());
    fake.serve(&format!("/repo{FOLDER}/1.0/lib-1.0.jar"), Canned::ok("x".repeat(jar("1.0").len())));
    fake.serve(&format!("/repo{FOLDER}/1.9/lib-1.9.jar"), Canned::ok(jar("1.9")).cut_after(5000));
    fake.serve("/repo/org/theirs/broken/maven-metadata.xml", Canned::status(500));
    let app = setup(&fake).build();
    for path in [
        "/org/theirs/portal/maven-metadata.xml",
        "/org/theirs/portal/1.0/portal-1.0.pom",
        "/org/theirs/broken/maven-metadata.xml",
    ] {
        get(&app, path).await.expect(502);
    }
    for version in ["1.0", "1.9"] {
        let request = http::Request::get(format!("/maven{FOLDER}/{version}/lib-{version}.jar"));
        let request =
            request.header("authorization", "Bearer alice-token").body(registry_core::Body::empty());
        let response = registry_core::PackageRegistry::handle(&app.registry, request.unwrap()).await;
        assert_eq!(response.status(), 200);
        assert!(http_body_util::BodyExt::collect(response.into_body()).await.is_err(), "{version}");
    }
    let kept = app.keys().await;
    assert!(!kept.iter().any(|key| key.contains("_artifact")), "{kept:?}");
}

#[tokio::test]
async fn a_young_version_is_hidden_everywhere_until_it_is_old_enough() {
    let fake = FakeUpstream::start().await;
    put_on(&fake);
    fake.serve("/repo/org/theirs/timeless/maven-metadata.xml", Canned::ok(metadata(&["1.0"], "")));
    let text = pom("org.theirs", "timeless", "1.0", "jar");
    fake.serve("/repo/org/theirs/timeless/1.0/timeless-1.0.pom", Canned::ok(text));
    let mut setup = setup(&fake);
    setup.upstreams.rules.min_release_age = Some(Duration::from_hours(7 * 24));
    let app = setup.build();
    let told = get(&app, &format!("{FOLDER}/maven-metadata.xml")).await.expect(200);
    assert_eq!((told.all("version"), told.one("release")), (vec!["1.0".into(), "1.9".into()], "1.9".into()));
    for file in ["lib-1.10.jar", "lib-1.10.pom", "lib-1.10.jar.sha1"] {
        let text = get(&app, &format!("{FOLDER}/1.10/{file}")).await.expect(403).error();
        let until = "hidden by this registry's rule min_release_age (7d) until 2026-03-10T00:00:00Z";
        assert!(text.contains(until), "{file}: {text}");
    }
    get(&app, &format!("{FOLDER}/1.9/lib-1.9.jar")).await.expect(200);
    // Without a time nobody can say how old it is, and nothing is left to show.
    for path in ["/org/theirs/timeless/maven-metadata.xml", "/org/theirs/timeless/1.0/timeless-1.0.pom"] {
        let text = get(&app, path).await.expect(403).error();
        assert!(text.contains("when it was published is not known"), "{text}");
    }
    app.clock.advance(Duration::from_hours(7 * 24));
    assert_eq!(versions(&app, FOLDER).await.len(), 3);
    get(&app, &format!("{FOLDER}/1.10/lib-1.10.jar")).await.expect(200);
}

#[tokio::test]
async fn one_version_can_be_denied() {
    let fake = FakeUpstream::start().await;
    put_on(&fake);
    let mut setup = setup(&fake);
    setup.upstreams.rules.deny = vec!["org.theirs:lib@1.10".to_owned()];
    let app = setup.build();
    assert_eq!(versions(&app, FOLDER).await, ["1.0", "1.9"]);
    let refused = get(&app, &format!("{FOLDER}/1.10/lib-1.10.jar")).await.expect(403).error();
    assert!(refused.contains("denied by this registry's rule `org.theirs:lib@1.10`"), "{refused}");
}

#[tokio::test]
async fn checklist_16_metadata_is_merged_over_upstreams_and_a_failing_one_is_told() {
    let (first, second) = (FakeUpstream::start().await, FakeUpstream::start().await);
    put_on(&first);
    let theirs = metadata(&["1.9", "3.0"], "20260304000000");
    second.serve(&format!("/repo{FOLDER}/maven-metadata.xml"), Canned::ok(theirs));
    put_release(&second, "3.0", "Thu, 01 Jan 2026 00:00:00 GMT");
    let url = format!("{}/repo/", second.url());
    let app = setup(&first).upstream_with(&url, |config| config.retries = 0).build();
    let told = get(&app, &format!("{FOLDER}/maven-metadata.xml")).await.expect(200);
    assert_eq!(told.all("version"), ["1.0", "1.9", "1.10", "3.0"]);
    assert_eq!((told.one("release"), told.one("lastUpdated")), ("3.0".into(), "20260304000000".into()));
    assert_eq!(get(&app, &format!("{FOLDER}/3.0/lib-3.0.jar")).await.expect(200).body, jar("3.0"));
    // One that fails is left out, which nobody may remember; where nothing else is left, it is the answer.
    second.serve("/repo/org/theirs/half/maven-metadata.xml", Canned::status(500));
    first.serve("/repo/org/theirs/half/maven-metadata.xml", Canned::ok(metadata(&["1.0"], "20260101000000")));
    let half = get(&app, "/org/theirs/half/maven-metadata.xml").await.expect(200);
    assert_eq!((half.all("version"), half.header("cache-control")), (vec!["1.0".into()], Some("no-store")));
    second.serve("/repo/org/theirs/none/maven-metadata.xml", Canned::status(500));
    get(&app, "/org/theirs/none/maven-metadata.xml").await.expect(502);
}

#[tokio::test]
async fn merged_names_show_both_and_hosted_versions_win() {
    let fake = FakeUpstream::start().await;
    put_on(&fake);
    let mut setup = setup(&fake);
    let merge = Rule { names: vec!["org.theirs".to_owned()], action: RuleAction::Merge(Vec::new()) };
    setup.upstreams.rules.rules = vec![merge];
    let app = setup.build();
    app.release("org.theirs", "lib", "1.9").await;
    app.release("org.theirs", "lib", "2.0").await;
    assert_eq!(versions(&app, FOLDER).await, ["1.0", "1.9", "1.10", "2.0"]);
    assert_eq!(get(&app, &format!("{FOLDER}/1.9/lib-1.9.jar")).await.expect(200).text(), "jar of lib 1.9");
    assert_eq!(get(&app, &format!("{FOLDER}/1.0/lib-1.0.jar")).await.expect(200).body, jar("1.0"));
    // Nothing of another's version stands beside what was deployed here.
    fake.serve(&format!("/repo{FOLDER}/1.9/lib-1.9-sources.jar"), Canned::ok("sources"));
    get(&app, &format!("{FOLDER}/1.9/lib-1.9-sources.jar")).await.expect(404);
    // What is hosted is told also while the upstream fails, and that it is not all is nobody's to keep.
    app.release("org.theirs", "mine", "1.0").await;
    fake.serve("/repo/org/theirs/mine/maven-metadata.xml", Canned::status(500));
    let partial = get(&app, "/org/theirs/mine/maven-metadata.xml").await.expect(200);
    assert_eq!(
        (partial.all("version"), partial.header("cache-control")),
        (vec!["1.0".into()], Some("no-store"))
    );
}

#[tokio::test]
async fn plugins_of_a_group_come_from_all_but_those_that_are_ours() {
    let fake = FakeUpstream::start().await;
    let plugin = |artifact: &str, prefix: &str| {
        format!(
            "<plugin><name>{artifact}</name><prefix>{prefix}</prefix><artifactId>{artifact}</artifactId></plugin>"
        )
    };
    let all =
        [plugin("a-maven-plugin", "a"), plugin("own-maven-plugin", "own"), plugin("x-maven-plugin", "taken")];
    let text = format!("<metadata><plugins>{}</plugins></metadata>", all.concat());
    fake.serve("/repo/org/theirs/maven-metadata.xml", Canned::ok(text));
    let mut setup = setup(&fake);
    setup.upstreams.rules.reserved = vec!["org.theirs:own-*".to_owned()];
    let app = setup.build();
    let told = get(&app, "/org/theirs/maven-metadata.xml").await.expect(200);
    assert_eq!(told.all("prefix"), ["a", "taken"]);
}

#[tokio::test]
async fn checklist_17_snapshots_come_by_their_newest_build() {
    let fake = FakeUpstream::start().await;
    let folder = "/repo/org/theirs/lib/1.0-SNAPSHOT";
    let build = |number: u32| format!("1.0-20260102.03040{number}-{number}");
    let text = |number: u32| {
        format!(
            "<metadata><versioning><snapshot><timestamp>20260102.03040{number}</timestamp><buildNumber>{number}</buildNumber></snapshot>\
             <snapshotVersions><snapshotVersion><extension>jar</extension><value>{}</value></snapshotVersion></snapshotVersions>\
             <lastUpdated>2026010203040{number}</lastUpdated></versioning></metadata>",
            build(number)
        )
    };
    for number in [1, 2] {
        fake.serve(&format!("{folder}/lib-{}.jar", build(number)), Canned::ok(jar(&build(number))));
    }
    fake.serve(&format!("{folder}/maven-metadata.xml"), Canned::ok(text(1)));
    fake.serve(&format!("{folder}/lib-1.0-SNAPSHOT.txt"), Canned::ok("first").etag("\"1\""));
    let app = setup(&fake).build();
    let told = get(&app, "/org/theirs/lib/1.0-SNAPSHOT/maven-metadata.xml").await.expect(200);
    assert_eq!(told.text(), text(1));
    let literal = "/org/theirs/lib/1.0-SNAPSHOT/lib-1.0-SNAPSHOT";
    assert_eq!(get(&app, &format!("{literal}.jar")).await.expect(200).body, jar(&build(1)));
    // One that has no builds is told apart by its validator.
    assert_eq!(get(&app, &format!("{literal}.txt")).await.expect(200).text(), "first");
    fake.serve(&format!("{folder}/lib-1.0-SNAPSHOT.txt"), Canned::ok("second").etag("\"2\""));
    fake.serve(&format!("{folder}/maven-metadata.xml"), Canned::ok(text(2)));
    app.clock.advance(Duration::from_mins(30));
    let newest = get(&app, &format!("{literal}.jar")).await.expect(200);
    assert_eq!((&newest.body[..], newest.header("cache-control")), (&jar(&build(2))[..], Some("no-cache")));
    assert_eq!(get(&app, &format!("{literal}.txt")).await.expect(200).text(), "second");
}

/// A snapshot's metadata: the builds of its kinds of files, `classifier.extension` or `extension`.
fn snapshot_metadata(files: &[(&str, &str)], updated: &str) -> String {
    let one = |(kind, build): &(&str, &str)| {
        let (classifier, extension) = match kind.split_once('.') {
            Some((classifier, extension)) => (format!("<classifier>{classifier}</classifier>"), extension),
            None => (String::new(), *kind),
        };
        format!(
            "<snapshotVersion>{classifier}<extension>{extension}</extension><value>1.0-{build}</value></snapshotVersion>"
        )
    };
    let all: String = files.iter().map(one).collect();
    format!(
        "<metadata><versioning><lastUpdated>{updated}</lastUpdated><snapshotVersions>{all}</snapshotVersions></versioning></metadata>"
    )
}

const SNAPSHOT: &str = "/org/theirs/lib/1.0-SNAPSHOT";

#[tokio::test]
async fn checklist_17_of_each_kind_of_file_the_newest_build_of_all_upstreams_is_told() {
    let (first, second) = (FakeUpstream::start().await, FakeUpstream::start().await);
    let (old, new) = ("20260101.000000-1", "20260102.000000-2");
    let path = format!("/repo{SNAPSHOT}/maven-metadata.xml");
    let sources = snapshot_metadata(&[("jar", old), ("sources.jar", new), ("pom", old)], "20260102000000");
    first.serve(&path, Canned::ok(sources));
    let jars = snapshot_metadata(&[("jar", new), ("zip", "SNAPSHOT"), ("pom", old)], "20260103000000");
    second.serve(&path, Canned::ok(jars));
    second.serve(&format!("/repo{SNAPSHOT}/lib-1.0-{new}.jar"), Canned::ok("the newest"));
    let url = format!("{}/repo/", second.url());
    let app = setup(&first).upstream_with(&url, |config| config.retries = 0).build();
    let told = get(&app, &format!("{SNAPSHOT}/maven-metadata.xml")).await.expect(200);
    // By classifier and extension; none of them is a file without a build.
    let expected = [format!("1.0-{new}"), format!("1.0-{old}"), format!("1.0-{new}")];
    assert_eq!(told.all("value"), expected, "{}", told.text());
    assert_eq!(told.all("extension"), ["jar", "pom", "jar"]);
    assert_eq!((told.one("timestamp"), told.one("buildNumber")), ("20260102.000000".into(), "2".into()));
    assert_eq!(told.one("lastUpdated"), "20260103000000");
    for (ending, digits) in checksums(&told.body) {
        let sum = get(&app, &format!("{SNAPSHOT}/maven-metadata.xml.{ending}")).await.expect(200);
        assert_eq!(sum.text(), digits, "of what is served");
    }
    let literal = get(&app, &format!("{SNAPSHOT}/lib-1.0-SNAPSHOT.jar")).await.expect(200);
    assert_eq!(literal.text(), "the newest");
    // One that fails is left out, which nobody may remember.
    let half = "/org/theirs/half/1.0-SNAPSHOT/maven-metadata.xml";
    second.serve(&format!("/repo{half}"), Canned::status(500));
    first.serve(&format!("/repo{half}"), Canned::ok(snapshot_metadata(&[("jar", old)], "20260101000000")));
    assert_eq!(get(&app, half).await.expect(200).header("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn young_builds_and_denied_snapshots_are_hidden_everywhere() {
    let fake = FakeUpstream::start().await;
    let (old, young) = ("20260101.000000-1", "20260303.000000-2");
    let text = snapshot_metadata(&[("jar", young), ("pom", old)], "20260303000000");
    fake.serve(&format!("/repo{SNAPSHOT}/maven-metadata.xml"), Canned::ok(text.clone()));
    for build in [old, young] {
        fake.serve(&format!("/repo{SNAPSHOT}/lib-1.0-{build}.jar"), Canned::ok(build.to_owned()));
    }
    let denied = "/org/theirs/lib/2.0-SNAPSHOT/maven-metadata.xml";
    fake.serve(&format!("/repo{denied}"), Canned::ok(text.clone()));
    let mut setup = setup(&fake);
    setup.upstreams.rules.min_release_age = Some(Duration::from_hours(7 * 24));
    setup.upstreams.rules.deny = vec!["org.theirs:lib@2.0-SNAPSHOT".to_owned()];
    let app = setup.build();
    let told = get(&app, &format!("{SNAPSHOT}/maven-metadata.xml")).await.expect(200);
    assert_eq!((told.all("value"), told.all("extension")), (vec![format!("1.0-{old}")], vec!["pom".into()]));
    for file in [format!("lib-1.0-{young}.jar"), "lib-1.0-SNAPSHOT.jar".into()] {
        let text = get(&app, &format!("{SNAPSHOT}/{file}")).await.expect(403).error();
        assert!(text.contains("until 2026-03-10T00:00:00Z"), "{file}: {text}");
    }
    get(&app, &format!("{SNAPSHOT}/lib-1.0-{old}.jar")).await.expect(200);
    let refused = get(&app, denied).await.expect(403).error();
    assert!(refused.contains("denied by this registry's rule"), "{refused}");
    app.clock.advance(Duration::from_hours(7 * 24));
    let told = get(&app, &format!("{SNAPSHOT}/maven-metadata.xml")).await.expect(200);
    assert_eq!(told.text(), text, "nothing is hidden: as it is there");
    assert_eq!(get(&app, &format!("{SNAPSHOT}/lib-1.0-SNAPSHOT.jar")).await.expect(200).text(), young);
}

#[tokio::test]
async fn an_artifact_of_the_other_repository_cannot_be_deployed_by_accident() {
    let fake = FakeUpstream::start().await;
    put_on(&fake);
    let app = setup(&fake).build();
    let path = format!("{FOLDER}/9.0/lib-9.0.jar");
    let refused = app.put(&path, "jar").await.expect(403).error();
    assert!(refused.contains("have it reserved here"), "{refused}");
    // A failure is no leave to take the name.
    fake.serve("/repo/org/theirs/unclear/maven-metadata.xml", Canned::status(500));
    app.put("/org/theirs/unclear/1.0/unclear-1.0.jar", "jar").await.expect(502);
    app.release("org.free", "lib", "1.0").await;
}

#[tokio::test]
async fn many_clients_make_one_request_ranges_work_and_no_credentials_pass() {
    let fake = FakeUpstream::start().await;
    put_on(&fake);
    let path = format!("{FOLDER}/1.9/lib-1.9.jar");
    fake.serve(&format!("/repo{path}"), Canned::ok(jar("1.9")).after(Duration::from_millis(50)));
    let app = setup(&fake).build();
    let head = app.ask("HEAD", &path).token("alice-token").send().await.expect(200);
    assert_eq!(head.header("content-length"), Some(jar("1.9").len().to_string().as_str()));
    assert_eq!(fake.total(), 1, "a HEAD asks for nothing else: {:?}", fake.seen());
    let part = app.ask("GET", &path).token("alice-token").header("range", "bytes=10-19");
    let (all, part) = tokio::join!(join_all((0..30).map(|_| get(&app, &path))), part.send());
    for reply in all {
        assert_eq!(reply.expect(200).body, jar("1.9"));
    }
    assert_eq!(part.expect(206).body, jar("1.9")[10..20]);
    assert_eq!(fake.total(), 3, "a HEAD, a checksum, a GET: {:?}", fake.seen());
    assert!(fake.seen().iter().all(|seen| seen.header("authorization").is_empty()));
}

#[tokio::test]
async fn the_list_of_archetypes_is_the_other_repository_s() {
    let fake = FakeUpstream::start().await;
    let text = "<archetype-catalog><archetypes/></archetype-catalog>";
    fake.serve("/repo/archetype-catalog.xml", Canned::ok(text));
    let app = setup(&fake).build();
    assert_eq!(get(&app, "/archetype-catalog.xml").await.expect(200).text(), text);
    let sum = get(&app, "/archetype-catalog.xml.sha1").await.expect(200).text();
    assert_eq!(sum, checksums(text.as_bytes())[1].1);
    get(&app, "/robots.txt").await.expect(404);
}
