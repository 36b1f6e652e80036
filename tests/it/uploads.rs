//! Uploads of crates, gems, and the like at the same time, and to servers that are killed.

use std::sync::Arc;

use anyhow::{Context, Result};
use futures_util::future::try_join_all;
use registry_releases::{Ecosystem, Release};
use registry_tests::{Place, Seed, check_release, index, upload};

use crate::kills::{Acknowledged, Moment, rounds, run_and_kill};

/// Different versions of one package at the same time: none is lost.
async fn different_versions(ecosystem: Ecosystem) -> Result<()> {
    let place = Place::new("")?;
    let server = place.serve()?;
    let client = server.client(&place.token("alice", &["*:*:*:*"])?);
    let mut seed = Seed::of("uploads of different versions");
    let releases: Vec<Release> = (0..32)
        .map(|at| ecosystem.release("busy", &format!("1.0.{at}"), &seed.bytes(2000)))
        .collect::<Result<_>>()?;
    let answers = try_join_all(releases.iter().map(|release| upload(&client, release))).await?;
    for answer in answers {
        assert!((200..300).contains(&answer.status), "{answer:?}");
    }
    try_join_all(releases.iter().map(|release| check_release(&client, release))).await?;
    server.stop()?;
    place.run(&["verify"])?;
    Ok(())
}

/// The same version with different contents at the same time: one is taken, and stays what it is.
async fn one_winner(ecosystem: Ecosystem) -> Result<()> {
    let place = Place::new("")?;
    let server = place.serve()?;
    let client = server.client(&place.token("alice", &["*:*:*:*"])?);
    let mut seed = Seed::of("uploads of one version");
    for round in 0..2 {
        let name = format!("contested-{round}");
        let rivals: Vec<Release> =
            (0..16).map(|_| ecosystem.release(&name, "1.0.0", &seed.bytes(2000))).collect::<Result<_>>()?;
        let answers = try_join_all(rivals.iter().map(|rival| upload(&client, rival))).await?;
        let won = |status: u16| (200..300).contains(&status);
        let winners: Vec<&Release> = rivals
            .iter()
            .zip(&answers)
            .filter(|(_, answer)| won(answer.status))
            .map(|(rival, _)| rival)
            .collect();
        let [winner] = winners.as_slice() else {
            anyhow::bail!("{} rivals of {} have won: {answers:?}", winners.len(), ecosystem.name())
        };
        assert!(answers.iter().all(|answer| answer.status < 500), "{answers:?}");
        check_release(&client, winner).await?;
    }
    server.stop()?;
    place.run(&["verify"])?;
    Ok(())
}

/// First releases of many packages at the same time: what lists them all loses none.
async fn different_packages(ecosystem: Ecosystem) -> Result<()> {
    let place = Place::new("")?;
    let server = place.serve()?;
    let client = server.client(&place.token("alice", &["*:*:*:*"])?);
    let mut seed = Seed::of("uploads of different packages");
    let releases: Vec<Release> = (0..40)
        .map(|at| ecosystem.release(&format!("package-{at}"), "1.0.0", &seed.bytes(500)))
        .collect::<Result<_>>()?;
    let answers = try_join_all(releases.iter().map(|release| upload(&client, release))).await?;
    for answer in answers {
        assert!((200..300).contains(&answer.status), "{answer:?}");
    }
    try_join_all(releases.iter().map(|release| check_release(&client, release))).await?;
    if ecosystem == Ecosystem::RubyGems {
        let listed = client.get("/rubygems/versions").await?.expect(200)?;
        let listed = String::from_utf8_lossy(&listed.body).into_owned();
        for release in &releases {
            let start = format!("{} {} ", release.name, release.version);
            assert_eq!(
                listed.lines().filter(|line| line.starts_with(&start)).count(),
                1,
                "{start}\n{listed}"
            );
        }
    }
    server.stop()?;
    place.run(&["verify"])?;
    Ok(())
}

/// What was acknowledged before a server was killed is there after it, and what an index names is whole.
async fn survives_kills(ecosystem: Ecosystem) -> Result<()> {
    let mut seed = Seed::of(ecosystem.name());
    let place = Place::new("")?;
    let token = place.token("alice", &["*:*:*:*"])?;
    let (acknowledged, begun) = (Acknowledged::<Release>::new(), Acknowledged::<Release>::new());
    for round in 0..rounds() {
        let server = place.serve()?;
        let client = server.client(&token);
        let after = Moment::draw(&mut seed);
        let seeds = Arc::new(seed.fork());
        let (told, tried) = (acknowledged.clone(), begun.clone());
        let killed = run_and_kill(server, after, &acknowledged, move |worker| {
            let (client, told, tried) = (client.clone(), told.clone(), tried.clone());
            let mut seed = Seed::clone(&seeds);
            async move {
                for at in 0_u64.. {
                    // Half of them upload to one package, the others to one of their own.
                    let name = if worker % 2 == 0 { "shared".to_owned() } else { format!("own-{worker}") };
                    let size = usize::try_from(seed.below(20_000))?;
                    let version = format!("{round}.{worker}.{at}");
                    let payload = [version.as_bytes(), &seed.bytes(size)].concat();
                    let release = ecosystem.release(&name, &version, &payload)?;
                    tried.add(release.clone());
                    match upload(&client, &release).await {
                        Ok(answer) => {
                            assert!((200..300).contains(&answer.status), "{answer:?}");
                            told.add(release);
                        }
                        // The server is gone, as it should be.
                        Err(_) => break,
                    }
                }
                Ok(())
            }
        });
        let when = || format!("round {round}, killed after {after:?}");
        killed.await.with_context(when)?;
        place.run(&["verify"]).with_context(when)?;
        let server = place.serve()?;
        let client = server.client(&token);
        try_join_all(acknowledged.all().iter().map(|release| check_release(&client, release)))
            .await
            .with_context(when)?;
        // Maven's clients upload a release file by file: what is half there is theirs to finish.
        if ecosystem != Ecosystem::Maven {
            for release in begun.all() {
                if release.is_in(&index(&client, ecosystem, &release.name).await?) {
                    check_release(&client, &release).await.with_context(when)?;
                }
            }
        }
        server.stop()?;
    }
    let count = acknowledged.count();
    assert!(count >= 20, "only {count} uploads were acknowledged: the kills came too early to show anything");
    Ok(())
}

/// The four tests for each kind of packages.
macro_rules! uploads {
    ($($module:ident: $ecosystem:expr;)*) => {$(
        mod $module {
            use super::{Ecosystem, Result};

            #[tokio::test(flavor = "multi_thread")]
            async fn of_different_versions_none_is_lost() -> Result<()> {
                super::different_versions($ecosystem).await
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn of_one_version_one_wins() -> Result<()> {
                super::one_winner($ecosystem).await
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn of_different_packages_none_is_lost() -> Result<()> {
                super::different_packages($ecosystem).await
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn survive_a_kill() -> Result<()> {
                super::survives_kills($ecosystem).await
            }
        }
    )*};
}

uploads! {
    cargo: Ecosystem::Cargo;
    composer: Ecosystem::Composer;
    maven: Ecosystem::Maven;
    pypi: Ecosystem::PyPi;
    rubygems: Ecosystem::RubyGems;
}
