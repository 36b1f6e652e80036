//! Many publishes at the same time.

use anyhow::{Context, Result};
use futures_util::future::{join_all, try_join_all};
use registry_tests::{Image, Place, Publish, Seed, digest_of};

const SCOPES: &[&str] = &["npm:package:*:*", "oci:repository:*:*"];

#[tokio::test(flavor = "multi_thread")]
async fn parallel_publishes_of_different_versions_lose_none() -> Result<()> {
    let place = Place::new("")?;
    let server = place.serve()?;
    let client = server.client(&place.token("alice", SCOPES)?);
    let mut seed = Seed::of("different versions");
    let versions: Vec<Publish> = (0..32)
        .map(|at| Publish::new("@acme/busy", &format!("1.0.{at}"), &seed.bytes(2000)))
        .collect::<Result<_>>()?;
    let answers = try_join_all(versions.iter().map(|version| version.send(&client, "/npm"))).await?;
    for answer in answers {
        answer.expect(201)?;
    }
    try_join_all(versions.iter().map(|version| version.check(&client, "/npm"))).await?;
    server.stop()?;
    place.run(&["verify"])?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_parallel_publishes_of_one_version_one_wins() -> Result<()> {
    let place = Place::new("")?;
    let server = place.serve()?;
    let client = server.client(&place.token("alice", SCOPES)?);
    let mut seed = Seed::of("one version");
    for round in 0..3 {
        let name = format!("contested-{round}");
        let rivals: Vec<Publish> =
            (0..16).map(|_| Publish::new(&name, "1.0.0", &seed.bytes(2000))).collect::<Result<_>>()?;
        let answers = try_join_all(rivals.iter().map(|rival| rival.send(&client, "/npm"))).await?;
        let winners: Vec<&Publish> = rivals
            .iter()
            .zip(&answers)
            .filter(|(_, answer)| answer.status == 201)
            .map(|(rival, _)| rival)
            .collect();
        let [winner] = winners.as_slice() else { anyhow::bail!("{} rivals have won", winners.len()) };
        for answer in answers.iter().filter(|answer| answer.status != 201) {
            assert_eq!(answer.status, 403, "{answer:?}");
            let said = answer.json()?["error"].as_str().unwrap_or_default().to_owned();
            assert!(said.contains("previously published"), "{said}");
        }
        winner.check(&client, "/npm").await?;
    }
    server.stop()?;
    place.run(&["verify"])?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_pushes_keep_every_tag_and_every_blob() -> Result<()> {
    let place = Place::new("")?;
    let server = place.serve()?;
    let client = server.client(&place.token("alice", SCOPES)?);
    let mut seed = Seed::of("pushes");
    // All images share a layer, which all push at the same time.
    let shared: bytes::Bytes = seed.bytes(100_000).into();
    let images: Vec<Image> = (0..16)
        .map(|at| Image::new(&at.to_string(), &[shared.clone(), seed.bytes(3000).into()]))
        .collect::<Result<_>>()?;
    let pushes = images.iter().enumerate().map(|(at, image)| {
        let client = &client;
        async move { image.push(client, "team/app", &format!("v{at}")).await }
    });
    for pushed in join_all(pushes).await {
        pushed?;
    }
    let listed = client.get("/v2/team/app/tags/list").await?.expect(200)?.json()?;
    let tags = listed["tags"].as_array().context("no tags")?;
    assert_eq!(tags.len(), images.len(), "{tags:?}");
    for (at, image) in images.iter().enumerate() {
        image.check(&client, "team/app", &format!("v{at}")).await?;
    }
    server.stop()?;
    place.run(&["verify"])?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_that_is_moved_while_it_is_read_is_never_gone() -> Result<()> {
    let place = Place::new("")?;
    let server = place.serve()?;
    let client = server.client(&place.token("alice", SCOPES)?);
    let mut seed = Seed::of("moving tag");
    let images: Vec<Image> =
        (0..4).map(|at| Image::new(&at.to_string(), &[seed.bytes(1000).into()])).collect::<Result<_>>()?;
    for image in &images {
        image.push(&client, "team/moving", "latest").await?;
    }
    let known: Vec<String> = images.iter().map(Image::digest).collect();
    let moving = async {
        for round in 0..25 {
            let image = images.get(round % images.len()).context("no image")?;
            client.push_manifest("team/moving", "latest", &image.manifest).await?;
        }
        anyhow::Ok(())
    };
    let reading = async {
        for _ in 0..100 {
            let got = client.get("/v2/team/moving/manifests/latest").await?.expect(200)?;
            let digest = got.header("docker-content-digest").unwrap_or_default().to_owned();
            assert!(known.contains(&digest) && digest == digest_of(&got.body), "{digest}");
        }
        anyhow::Ok(())
    };
    tokio::try_join!(moving, reading)?;
    server.stop()?;
    Ok(())
}
