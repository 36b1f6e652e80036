//! Servers killed at random moments: what was acknowledged is there, and nothing is broken.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::BodyExt;
use registry_tests::{Client, Image, Place, Publish, Seed, Server, full};

const WORKERS: u64 = 6;

/// How often a server is killed.
pub(crate) fn rounds() -> u64 {
    if full() { 50 } else { 10 }
}

/// When to kill: so long after so many acknowledgements of a round.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    acknowledged: u64,
    later: Duration,
}

impl Moment {
    pub(crate) fn draw(seed: &mut Seed) -> Self {
        let later = seed.time_between(Duration::ZERO, Duration::from_millis(150));
        Self { acknowledged: seed.below(8), later }
    }
}

/// What the server said it has, over all rounds.
#[derive(Debug)]
pub(crate) struct Acknowledged<T>(Arc<Mutex<Vec<T>>>);

impl<T: Clone> Acknowledged<T> {
    pub(crate) fn new() -> Self {
        Self(Arc::default())
    }

    pub(crate) fn add(&self, what: T) {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(what);
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).len() as u64
    }

    pub(crate) fn all(&self) -> Vec<T> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}

impl<T> Clone for Acknowledged<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// Lets `work` run in several tasks, kills the server at a moment, and waits for the tasks to notice.
pub(crate) async fn run_and_kill<T, W, F>(
    server: Server,
    after: Moment,
    told: &Acknowledged<T>,
    work: W,
) -> Result<()>
where
    T: Clone,
    W: Fn(u64) -> F,
    F: Future<Output = Result<()>> + Send + 'static,
{
    let before = told.count();
    let tasks: Vec<_> = (0..WORKERS).map(|worker| tokio::spawn(work(worker))).collect();
    let deadline = Instant::now() + Duration::from_mins(1);
    while told.count() < before + after.acknowledged && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    tokio::time::sleep(after.later).await;
    server.kill()?;
    for task in tasks {
        task.await??;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_npm_was_told_is_published_survives_a_kill() -> Result<()> {
    let mut seed = Seed::of("npm kills");
    let place = Place::new("")?;
    let token = place.token("alice", &["npm:package:*:*"])?;
    let acknowledged = Acknowledged::<Publish>::new();
    for round in 0..rounds() {
        let server = place.serve()?;
        let client = server.client(&token);
        let dead = Arc::new(AtomicBool::new(false));
        let after = Moment::draw(&mut seed);
        let seeds = seed.fork();
        let flag = Arc::clone(&dead);
        let told = acknowledged.clone();
        run_and_kill(server, after, &acknowledged, move |worker| {
            let (client, told, dead) = (client.clone(), told.clone(), Arc::clone(&flag));
            let mut seed = seeds.clone();
            async move {
                for at in 0_u64.. {
                    // Half of them publish to one package, the others to one of their own.
                    let name = if worker % 2 == 0 { "shared".to_owned() } else { format!("own-{worker}") };
                    let version = format!("{round}.{worker}.{at}");
                    let size = usize::try_from(seed.below(20_000))?;
                    let publish = Publish::new(&name, &version, &seed.bytes(size))?;
                    if dead.load(Ordering::Relaxed) {
                        break;
                    }
                    match publish.send(&client, "/npm").await {
                        Ok(answer) => {
                            answer.expect(201)?;
                            told.add(publish);
                        }
                        // The server is gone, as it should be.
                        Err(_) => break,
                    }
                }
                dead.store(true, Ordering::Relaxed);
                Ok(())
            }
        })
        .await
        .with_context(|| format!("round {round}, killed after {after:?}"))?;
        place.run(&["verify"]).with_context(|| format!("round {round}, killed after {after:?}"))?;
        let server = place.serve()?;
        let client = server.client(&token);
        for publish in acknowledged.all() {
            publish
                .check(&client, "/npm")
                .await
                .with_context(|| format!("round {round}, killed after {after:?}"))?;
        }
        check_listed_versions(&client).await?;
        server.stop()?;
    }
    let count = acknowledged.count();
    assert!(
        count >= 20,
        "only {count} publishes were acknowledged: the kills came too early to show anything"
    );
    Ok(())
}

/// Versions that nobody was told of may be there, but then whole.
async fn check_listed_versions(client: &Client) -> Result<()> {
    let names =
        std::iter::once("shared".to_owned()).chain((0..WORKERS).map(|worker| format!("own-{worker}")));
    for name in names {
        let answer = client.get(&format!("/npm/{name}")).await?;
        if answer.status == 404 {
            continue;
        }
        let packument = answer.expect(200)?.json()?;
        for version in packument.get("versions").and_then(|v| v.as_object()).context("no versions")?.keys() {
            let tarball = client.get(&format!("/npm/{name}/-/{name}-{version}.tgz")).await?;
            tarball.expect(200).with_context(|| format!("{name}@{version} is listed"))?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_oci_was_told_is_pushed_survives_a_kill() -> Result<()> {
    let mut seed = Seed::of("oci kills");
    let place = Place::new("")?;
    let token = place.token("alice", &["oci:repository:*:*"])?;
    let acknowledged = Acknowledged::<(String, String, Image)>::new();
    for round in 0..rounds() {
        let server = place.serve()?;
        let client = server.client(&token);
        let after = Moment::draw(&mut seed);
        let seeds = seed.fork();
        let told = acknowledged.clone();
        run_and_kill(server, after, &acknowledged, move |worker| {
            let (client, told) = (client.clone(), told.clone());
            let mut seed = seeds.clone();
            async move {
                let shared: Bytes = seed.bytes(50_000).into();
                for at in 0_u64.. {
                    let repository =
                        if worker % 2 == 0 { "shared".to_owned() } else { format!("own/{worker}") };
                    let tag = format!("r{round}-{worker}-{at}");
                    // Small ones, that are kept in their descriptors, and such that are data of their own.
                    let size = usize::try_from(seed.below(400_000))?;
                    let layers = [shared.clone(), seed.bytes(size).into()];
                    let image = Image::new(&tag, &layers)?;
                    match image.push(&client, &repository, &tag).await {
                        Ok(()) => told.add((repository, tag, image)),
                        Err(error) if is_refusal(&error) => return Err(error),
                        Err(_) => break,
                    }
                }
                Ok(())
            }
        })
        .await
        .with_context(|| format!("round {round}, killed after {after:?}"))?;
        place.run(&["verify"]).with_context(|| format!("round {round}, killed after {after:?}"))?;
        let server = place.serve()?;
        let client = server.client(&token);
        for (repository, tag, image) in acknowledged.all() {
            image
                .check(&client, &repository, &tag)
                .await
                .with_context(|| format!("round {round}, killed after {after:?}"))?;
        }
        server.stop()?;
    }
    let count = acknowledged.count();
    assert!(count >= 20, "only {count} images were acknowledged: the kills came too early to show anything");
    Ok(())
}

/// A chunk on its way when the server is killed: the next server says how much of the upload is there, and it goes on from there.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_goes_on_after_the_server_was_killed() -> Result<()> {
    let place = Place::new("")?;
    let server = place.serve()?;
    let token = place.token("alice", &["oci:repository:*:*"])?;
    let client = server.client(&token);
    let content: Bytes = Seed::of("killed upload").bytes(3_000_000).into();
    let opened = client.send("POST", "/v2/team/app/blobs/uploads/", &[], "").await?.expect(202)?;
    let location = opened.header("location").context("no Location")?.to_owned();
    client.send("PATCH", &location, &[], content.slice(..1_000_000)).await?.expect(202)?;

    // Some of the second chunk is sent, and then nothing more, until the server is gone.
    let (frames, body) = tokio::sync::mpsc::channel(1);
    let body = futures_util::stream::unfold(body, |mut body: tokio::sync::mpsc::Receiver<Bytes>| async {
        let piece = body.recv().await?;
        Some((Ok::<_, std::io::Error>(hyper::body::Frame::data(piece)), body))
    });
    let body = BodyExt::boxed(http_body_util::StreamBody::new(body));
    let (sending, target) = (client.clone(), location.clone());
    let patch = tokio::spawn(async move { sending.send_body("PATCH", &target, &[], body).await });
    for at in 0..8 {
        let from = 1_000_000 + at * 100_000;
        frames.send(content.slice(from..from + 100_000)).await?;
    }
    server.kill()?;
    drop(frames);
    assert!(patch.await?.is_err(), "a killed server acknowledged a chunk");

    let server = place.serve()?;
    let client = server.client(&token);
    let status = client.get(&location).await?.expect(204)?;
    let range = status.header("range").context("no Range")?.to_owned();
    let last: usize = range.strip_prefix("0-").context("no range")?.parse()?;
    assert!((999_999..1_800_000).contains(&last), "{range}");
    let rest = content.slice(last + 1..);
    let headers = format!("{}-{}", last + 1, content.len() - 1);
    client.send("PATCH", &location, &[("content-range", &headers)], rest).await?.expect(202)?;
    let target = format!("{location}?digest={}", registry_tests::digest_of(&content));
    client.send("PUT", &target, &[], "").await?.expect(201)?;
    client.check_blob("team/app", &content).await?;
    server.stop()?;
    place.run(&["verify"])?;
    Ok(())
}

/// Whether the server answered, but not as it must; a killed server does not answer.
fn is_refusal(error: &anyhow::Error) -> bool {
    error.to_string().contains("in place of")
}
