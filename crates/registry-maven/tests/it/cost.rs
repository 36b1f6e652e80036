//! What a deployment asks of the store.

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use crate::app::{App, Client as _, Setup};

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
