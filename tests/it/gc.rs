//! Garbage collection beside a server that is pushed to.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use anyhow::Result;
use bytes::Bytes;
use registry_tests::{Image, Place, Publish, Seed, full};

#[tokio::test(flavor = "multi_thread")]
async fn collecting_while_pushing_takes_nothing_that_is_needed() -> Result<()> {
    let place = Place::new("")?;
    let server = place.serve()?;
    let token = place.token("alice", &["npm:package:*:*", "oci:repository:*:*"])?;
    let client = server.client(&token);
    let over = Arc::new(AtomicBool::new(false));
    let mut seed = Seed::of("gc");
    let images = if full() { 200 } else { 25 };
    // Layers that come, go and come again, so that collecting meets them in each state.
    let layers: Vec<Bytes> = (0..4).map(|_| seed.bytes(30_000).into()).collect();
    let flag = Arc::clone(&over);
    let pushing = tokio::spawn(async move {
        let mut kept = Vec::new();
        let mut published = Vec::new();
        for at in 0..images {
            let pick = layers.iter().filter(|_| seed.below(2) == 0).cloned().collect::<Vec<_>>();
            let image = Image::new(&at.to_string(), &pick)?;
            let repository = format!("team/app-{}", seed.below(3));
            let tag = format!("v{at}");
            image.push(&client, &repository, &tag).await?;
            if seed.below(2) == 0 {
                let target = format!("/v2/{repository}/manifests/{}", image.digest());
                client.send("DELETE", &target, &[], "").await?.expect(202)?;
            } else {
                kept.push((repository, tag, image));
            }
            let publish = Publish::new("collected", &format!("1.0.{at}"), &seed.bytes(500))?;
            publish.send(&client, "/npm").await?.expect(201)?;
            published.push(publish);
        }
        flag.store(true, Ordering::Relaxed);
        anyhow::Ok((kept, published))
    });
    let mut runs = 0;
    while !over.load(Ordering::Relaxed) && !pushing.is_finished() {
        place.run(&["gc", "--grace", "0s"])?;
        runs += 1;
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let (kept, published) = pushing.await??;
    assert!(runs >= 2, "gc ran {runs} times while there were pushes");
    place.run(&["gc", "--grace", "0s"])?;
    let client = server.client(&token);
    for (repository, tag, image) in &kept {
        image.check(&client, repository, tag).await?;
    }
    for publish in &published {
        publish.check(&client, "/npm").await?;
    }
    server.stop()?;
    place.run(&["verify"])?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_changes_nothing() -> Result<()> {
    let place = Place::new("")?;
    let server = place.serve()?;
    let client = server.client(&place.token("alice", &["oci:repository:*:*"])?);
    let image = Image::new("x", &[Seed::of("dry run").bytes(10_000).into()])?;
    image.push(&client, "team/app", "v1").await?;
    let target = format!("/v2/team/app/manifests/{}", image.digest());
    client.send("DELETE", &target, &[], "").await?.expect(202)?;
    server.stop()?;
    let before = objects(&place.path().join("store"))?;
    place.run(&["gc", "--dry-run", "--grace", "0s"])?;
    assert_eq!(objects(&place.path().join("store"))?, before);
    Ok(())
}

/// All files below a folder with their sizes, but for those that the program keeps for itself.
fn objects(dir: &std::path::Path) -> Result<Vec<(std::path::PathBuf, u64)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name() == "_system" {
            continue;
        }
        if entry.file_type()?.is_dir() {
            found.extend(objects(&entry.path())?);
        } else {
            found.push((entry.path(), entry.metadata()?.len()));
        }
    }
    found.sort();
    Ok(found)
}
