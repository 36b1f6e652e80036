//! What a deployment asks of the store.

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use crate::app::{App, Client as _, Document as _, Reply, Setup, pom};

fn counted() -> (App, PrometheusHandle) {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    (metrics::with_local_recorder(&recorder, || Setup::new().build()), handle)
}

/// So many operations of these kinds so far.
fn operations(handle: &PrometheusHandle, kinds: &[&str]) -> u64 {
    let text = handle.render();
    let of_kind = |line: &&str| {
        line.starts_with("storage_operations_total{")
            && kinds.iter().any(|kind| line.contains(&format!("operation=\"{kind}\"")))
    };
    let lines = text.lines().filter(of_kind);
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

#[tokio::test]
async fn a_deployment_costs_the_same_with_few_versions_and_with_many() {
    let (app, handle) = counted();
    let all = &["get", "put", "delete", "list", "copy", "upload_part", "upload_complete"];
    let mut costs = Vec::new();
    for number in 0..200 {
        let before = (operations(&handle, all), operations(&handle, &["put"]));
        app.release("com.acme", "lib", &format!("1.{number}")).await;
        app.get("/com/acme/lib/maven-metadata.xml").await.expect(200);
        costs.push((operations(&handle, all) - before.0, operations(&handle, &["put"]) - before.1));
    }
    // The POM's bytes, the version, the artifact; the JAR's bytes, the version.
    assert!(costs.iter().all(|(_, puts)| *puts == 5), "{costs:?}");
    assert!(costs[1..].iter().all(|cost| *cost == costs[1]), "{costs:?}");
    assert_eq!(operations(&handle, &["list"]), 0);
}

#[tokio::test]
async fn a_build_of_a_snapshot_costs_the_same_with_few_builds_and_with_many() {
    let (app, handle) = counted();
    let mut costs = Vec::new();
    for number in 1..=100 {
        let before = operations(&handle, &["put"]);
        for extension in ["pom", "jar"] {
            let path = format!("/com/acme/lib/1-SNAPSHOT/lib-1-20260101.000000-{number}.{extension}");
            app.put(&path, format!("{extension} {number}")).await.expect(201);
        }
        costs.push(operations(&handle, &["put"]) - before);
    }
    assert_eq!(costs[0], 5);
    assert!(costs[1..].iter().all(|puts| *puts == 4), "{costs:?}");
}

#[tokio::test]
async fn metadata_that_was_read_once_costs_no_request_of_the_store() {
    let (app, handle) = counted();
    let all = &["get", "put", "delete", "list", "copy", "upload_part", "upload_complete"];
    app.release("com.acme", "lib", "1.0").await;
    // Nobody announced this one yet.
    app.put("/com/acme/lib/2.0/lib-2.0.jar", "jar").await.expect(201);
    let plugin = "/com/acme/lib/hi-maven-plugin/1.0/hi-maven-plugin-1.0.pom";
    app.put(plugin, pom("com.acme.lib", "hi-maven-plugin", "1.0", "maven-plugin")).await.expect(201);
    app.put("/com/acme/lib/1-SNAPSHOT/lib-1-20260101.000000-1.jar", "jar").await.expect(201);
    for folder in ["/com/acme/lib", "/com/acme/lib/hi-maven-plugin", "/com/acme/lib/1-SNAPSHOT"] {
        let path = format!("{folder}/maven-metadata.xml");
        let first = app.get(&path).await.expect(200);
        let etag = first.header("etag").unwrap().to_owned();
        let before = operations(&handle, all);
        assert_eq!(app.get(&path).await.body, first.body);
        for extension in ["md5", "sha1", "sha256", "sha512"] {
            app.get(&format!("{path}.{extension}")).await.expect(200);
        }
        let again = app.ask("GET", &path).token("alice-token").header("if-none-match", &etag);
        again.send().await.expect(304);
        assert_eq!(operations(&handle, all), before, "{path}");
    }
    // What changes is seen at once: another version, another plugin, and a version whose time has come.
    let both = "/com/acme/lib/maven-metadata.xml";
    let tell = |reply: &Reply| (reply.all("version").join(" "), reply.all("prefix").join(" "));
    let state = |versions: &str, prefixes: &str| (versions.to_owned(), prefixes.to_owned());
    assert_eq!(tell(&app.get(both).await), state("1.0", "hi"));
    app.release("com.acme", "lib", "1.1").await;
    assert_eq!(tell(&app.get(both).await), state("1.0 1.1", "hi"));
    app.pass(601);
    assert_eq!(tell(&app.get(both).await), state("1-SNAPSHOT 1.0 1.1 2.0", "hi"));
    let plugin = "/com/acme/lib/ho-maven-plugin/1.0/ho-maven-plugin-1.0.pom";
    app.put(plugin, pom("com.acme.lib", "ho-maven-plugin", "1.0", "maven-plugin")).await.expect(201);
    assert_eq!(tell(&app.get(both).await), state("1-SNAPSHOT 1.0 1.1 2.0", "hi ho"));
    app.delete("/com/acme/lib/hi-maven-plugin/").await.expect(204);
    app.delete("/com/acme/lib/1.1/").await.expect(204);
    assert_eq!(tell(&app.get(both).await), state("1-SNAPSHOT 1.0 2.0", "ho"));
}
