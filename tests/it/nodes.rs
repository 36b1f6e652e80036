//! Several servers on one bucket. `TEST_S3_ENDPOINT`, `TEST_S3_BUCKET`, `TEST_S3_ACCESS_KEY_ID` and
//! `TEST_S3_SECRET_ACCESS_KEY` say where; the feature `test-s3` asks for these tests.

mod packages;

use std::{env, sync::Arc};

use anyhow::{Context, Result};
use futures_util::future::try_join_all;
use registry_tests::{Client, Image, Place, Publish, Seed, Server};

/// A prefix of the bucket that no other run uses.
fn storage(test: &str) -> Result<String> {
    let setting = |name: &str| env::var(name).with_context(|| format!("{name} is not set"));
    let started = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_nanos();
    Ok(format!(
        "[storage]\nurl = \"s3://{}/{test}-{started}\"\nendpoint = \"{}\"\nregion = \"us-east-1\"\n\
         access_key_id = \"{}\"\nsecret_access_key = \"{}\"\nallow_http = true\n",
        setting("TEST_S3_BUCKET")?,
        setting("TEST_S3_ENDPOINT")?,
        setting("TEST_S3_ACCESS_KEY_ID")?,
        setting("TEST_S3_SECRET_ACCESS_KEY")?,
    ))
}

struct Nodes {
    place: Place,
    servers: Vec<Server>,
    token: String,
}

impl Nodes {
    fn start(test: &str, count: usize) -> Result<Self> {
        let place = Place::with_storage(&storage(test)?, "")?;
        let token = place.token("alice", &["*:*:*:*"])?;
        let servers = (0..count).map(|_| place.serve()).collect::<Result<_>>()?;
        Ok(Self { place, servers, token })
    }

    /// A client of one of the nodes.
    fn any(&self, seed: &mut Seed) -> Result<Client> {
        let at = usize::try_from(seed.below(self.servers.len() as u64))?;
        Ok(self.servers.get(at).context("no node")?.client(&self.token))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn publishes_on_two_nodes_lose_none() -> Result<()> {
    let nodes = Nodes::start("versions", 2)?;
    let mut seed = Seed::of("nodes, versions");
    let versions: Vec<(Publish, Client)> = (0..32)
        .map(|at| {
            Ok((Publish::new("@acme/busy", &format!("1.0.{at}"), &seed.bytes(1000))?, nodes.any(&mut seed)?))
        })
        .collect::<Result<_>>()?;
    let answers = try_join_all(versions.iter().map(|(version, client)| version.send(client, "/npm"))).await?;
    for answer in answers {
        answer.expect(201)?;
    }
    for server in &nodes.servers {
        let client = server.client(&nodes.token);
        try_join_all(versions.iter().map(|(version, _)| version.check(&client, "/npm"))).await?;
    }
    nodes.place.run(&["verify"])?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_version_on_two_nodes_has_one_winner() -> Result<()> {
    let nodes = Nodes::start("winner", 2)?;
    let mut seed = Seed::of("nodes, winner");
    let rivals: Vec<(Publish, Client)> = (0..16)
        .map(|_| Ok((Publish::new("contested", "1.0.0", &seed.bytes(1000))?, nodes.any(&mut seed)?)))
        .collect::<Result<_>>()?;
    let answers = try_join_all(rivals.iter().map(|(rival, client)| rival.send(client, "/npm"))).await?;
    let winners: Vec<_> = rivals.iter().zip(&answers).filter(|(_, answer)| answer.status == 201).collect();
    assert_eq!(winners.len(), 1, "{answers:?}");
    assert!(answers.iter().all(|answer| matches!(answer.status, 201 | 403)), "{answers:?}");
    for server in &nodes.servers {
        for ((winner, _), _) in &winners {
            winner.check(&server.client(&nodes.token), "/npm").await?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_may_change_nodes_with_every_request() -> Result<()> {
    let nodes = Nodes::start("upload", 2)?;
    let mut seed = Seed::of("nodes, upload");
    let content: bytes::Bytes = seed.bytes(700_000).into();
    let opened =
        nodes.any(&mut seed)?.send("POST", "/v2/team/app/blobs/uploads/", &[], "").await?.expect(202)?;
    let mut location = opened.header("location").context("no Location")?.to_owned();
    let mut start = 0;
    while start < content.len() {
        let end = (start + 1 + usize::try_from(seed.below(120_000))?).min(content.len());
        let range = format!("{start}-{}", end - 1);
        let chunk = content.slice(start..end);
        let patched =
            nodes.any(&mut seed)?.send("PATCH", &location, &[("content-range", &range)], chunk).await?;
        location = patched.expect(202)?.header("location").context("no Location")?.to_owned();
        start = end;
    }
    let digest = registry_tests::digest_of(&content);
    let separator = if location.contains('?') { '&' } else { '?' };
    let target = format!("{location}{separator}digest={digest}");
    nodes.any(&mut seed)?.send("PUT", &target, &[], "").await?.expect(201)?;
    for server in &nodes.servers {
        server.client(&nodes.token).check_blob("team/app", &content).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_node_was_told_the_other_shows_at_once() -> Result<()> {
    let nodes = Nodes::start("fresh", 2)?;
    let mut seed = Seed::of("nodes, fresh");
    let [one, two] = nodes.servers.as_slice() else { anyhow::bail!("two nodes") };
    let (one, two) = (one.client(&nodes.token), two.client(&nodes.token));
    for at in 0..10 {
        let image = Image::new(&at.to_string(), &[seed.bytes(1000).into()])?;
        let (writer, reader) = if at % 2 == 0 { (&one, &two) } else { (&two, &one) };
        image.push(writer, "team/app", "latest").await?;
        image.check(reader, "team/app", "latest").await?;
        let publish = Publish::new("fresh", &format!("1.0.{at}"), &seed.bytes(100))?;
        publish.send(writer, "/npm").await?.expect(201)?;
        publish.check(reader, "/npm").await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_killed_takes_nothing_with_it() -> Result<()> {
    let mut nodes = Nodes::start("killed", 2)?;
    let mut seed = Seed::of("nodes, killed");
    let first = nodes.servers.remove(0);
    let client = first.client(&nodes.token);
    let acknowledged = Arc::new(tokio::sync::Semaphore::new(0));
    let count = Arc::clone(&acknowledged);
    let task = tokio::spawn(async move {
        let mut told = Vec::new();
        for at in 0.. {
            let publish = Publish::new("survivor", &format!("1.0.{at}"), &seed.bytes(5000))?;
            match publish.send(&client, "/npm").await {
                Ok(answer) => {
                    answer.expect(201)?;
                    told.push(publish);
                    count.add_permits(1);
                }
                Err(_) => break,
            }
        }
        anyhow::Ok(told)
    });
    // In the middle of the next one.
    let some =
        tokio::time::timeout(std::time::Duration::from_mins(1), acknowledged.acquire_many(4)).await??;
    some.forget();
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    first.kill()?;
    let told = task.await??;
    assert!(!told.is_empty(), "nothing was published before the kill");
    let other = nodes.servers.first().context("no node")?.client(&nodes.token);
    for publish in &told {
        publish.check(&other, "/npm").await?;
    }
    nodes.place.run(&["verify"])?;
    Ok(())
}

/// Blobs come from the bucket itself, at addresses that no log shows.
#[tokio::test(flavor = "multi_thread")]
async fn blobs_are_read_from_the_bucket_where_that_is_wanted() -> Result<()> {
    let place =
        Place::with_storage(&storage("redirect")?, "[log]\nlevel = \"trace\"\n[oci]\nredirect = true\n")?;
    let server = place.serve()?;
    let client = server.client(&place.token("alice", &["oci:repository:*:*"])?);
    let content: bytes::Bytes = Seed::of("nodes, redirect").bytes(700_000).into();
    client.push_blob("team/app", &content).await?;
    let target = format!("/v2/team/app/blobs/{}", registry_tests::digest_of(&content));
    client.send("HEAD", &target, &[], "").await?.expect(200)?;
    let sent = client.get(&target).await?.expect(307)?;
    let location = sent.header("location").context("no Location")?.to_owned();
    let signature = location.split("X-Amz-Signature=").nth(1).context("no signature")?.to_owned();

    let url: http::Uri = location.parse()?;
    let endpoint: std::net::SocketAddr = url.authority().context("no host")?.as_str().parse()?;
    let bucket = Client::anonymous(endpoint);
    let path = url.path_and_query().context("no path")?.as_str();
    let whole = bucket.get(path).await?.expect(200)?;
    assert!(whole.body == content);
    assert_eq!(whole.header("content-type"), Some("application/octet-stream"));
    assert_eq!(whole.header("content-encoding"), None);
    let part = bucket.send("GET", path, &[("range", "bytes=500-1499")], "").await?.expect(206)?;
    assert!(part.body == content.slice(500..1500));
    // The address is good for this object, to read it, and for nothing else.
    assert!(bucket.send("PUT", path, &[], "x").await?.status >= 400);
    let without = path.split('?').next().context("no path")?;
    assert!(bucket.get(without).await?.status >= 400);
    let other = path.replacen("/oci/", "/npm/", 1);
    assert_ne!(other, path);
    assert!(bucket.get(&other).await?.status >= 400);

    let log = server.stop()?;
    assert!(log.contains("307"), "{log}");
    assert!(!log.contains(&signature), "the log shows an address");
    Ok(())
}

/// Whether a server is at work is known on a bucket by what servers say there.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_on_the_bucket_keeps_young_data_from_gc() -> Result<()> {
    let nodes = Nodes::start("alone", 1)?;
    let server = nodes.servers.first().context("no node")?;
    let client = server.client(&nodes.token);
    let image = Image::new("kept", &[Seed::of("nodes, kept").bytes(300_000).into()])?;
    image.push(&client, "team/app", "v1").await?;
    let lost: bytes::Bytes = Seed::of("nodes, lost").bytes(300_000).into();
    client.push_blob("team/app", &lost).await?;
    let beside = nodes.place.run(&["gc", "--grace", "0s"])?;
    assert!(!beside.contains("removed oci/"), "{beside}");
    client.check_blob("team/app", &lost).await?;
    let mut nodes = nodes;
    nodes.servers.remove(0).stop()?;
    let promised = nodes.place.run(&["gc", "--dry-run", "--grace", "0s"])?;
    let alone = nodes.place.run(&["gc", "--grace", "0s"])?;
    for text in [&promised, &alone] {
        assert!(text.contains("remove") && text.contains("/_blobs/") && text.contains('~'), "{text}");
    }
    let server = nodes.place.serve()?;
    let client = server.client(&nodes.token);
    image.check(&client, "team/app", "v1").await?;
    let target = format!("/v2/team/app/blobs/{}", registry_tests::digest_of(&lost));
    client.get(&target).await?.expect(404)?;
    server.stop()?;
    nodes.place.run(&["verify"])?;
    Ok(())
}
