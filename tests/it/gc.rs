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

/// Without a server on the folder there is no push under way: what is young goes, and what a dry run says is what goes.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_server_young_garbage_goes_at_once() -> Result<()> {
    let place = Place::new("")?;
    let server = place.serve()?;
    let client = server.client(&place.token("alice", &["npm:package:*:*", "oci:repository:*:*"])?);
    let image = Image::new("kept", &[Seed::of("kept").bytes(300_000).into()])?;
    image.push(&client, "team/app", "v1").await?;
    let lost: Bytes = Seed::of("lost").bytes(300_000).into();
    client.push_blob("team/app", &lost).await?;
    let (gone, kept) = (Publish::new("gone", "1.0.0", b"gone")?, Publish::new("kept", "1.0.0", b"kept")?);
    for publish in [&gone, &kept] {
        publish.send(&client, "/npm").await?.expect(201)?;
    }
    client.send("DELETE", "/npm/gone/-rev/undefined", &[], "").await?.expect(200)?;
    let store = place.path().join("store");
    // A publish that died between its two writes.
    let orphan = store.join(format!("npm/packages/kept/-/kept-2.0.0.tgz~{}", "0".repeat(32)));
    std::fs::write(&orphan, "lost")?;

    let beside = place.run(&["gc", "--grace", "0s"])?;
    assert!(!beside.contains("oci/") && !beside.contains("kept-2.0.0"), "{beside}");
    assert!(beside.contains("removed npm/packages/gone/-/gone-1.0.0.tgz"), "{beside}");
    client.check_blob("team/app", &lost).await?;
    server.stop()?;

    let before = objects(&store)?;
    let promised = place.run(&["gc", "--dry-run", "--grace", "0s"])?;
    assert_eq!(objects(&store)?, before);
    let done = place.run(&["gc", "--grace", "0s"])?;
    let removed = |text: &str, verb: &str| {
        let mut lines: Vec<String> =
            text.lines().filter_map(|line| Some(line.strip_prefix(verb)?.to_owned())).collect();
        lines.sort();
        lines
    };
    assert_eq!(removed(&promised, "would remove "), removed(&done, "removed "));
    assert!(done.contains("oci/_uploads/") && done.contains("kept-2.0.0"), "{done}");
    assert!(!orphan.exists());
    assert_eq!(objects(&store)?.iter().filter(|(_, size)| *size == 300_000).count(), 1, "the kept layer");

    let server = place.serve()?;
    let client = server.client(&place.token("alice", &["npm:package:*:*", "oci:repository:*:*"])?);
    image.check(&client, "team/app", "v1").await?;
    kept.check(&client, "/npm").await?;
    let target = format!("/v2/team/app/blobs/{}", registry_tests::digest_of(&lost));
    client.get(&target).await?.expect(404)?;
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
