//! What operators do to packages from the command line, while servers are at work on the bucket: each of them knows at once.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use registry_releases::Ecosystem;
use registry_tests::{Client, Publish, Seed, check_release, index, upload};

use super::Nodes;

/// Lists may be so far behind.
const CATALOG: Duration = Duration::from_secs(30);

#[derive(Clone, Copy)]
enum Kind {
    Npm,
    Other(Ecosystem),
}

impl Kind {
    /// Registry and package, as the commands are told.
    fn names(self, name: &str) -> (&'static str, String) {
        match self {
            Self::Npm => ("npm", format!("@acme/{name}")),
            Self::Other(Ecosystem::Cargo) => ("cargo", name.to_owned()),
            Self::Other(Ecosystem::Composer) => ("composer", format!("acme/{name}")),
            Self::Other(Ecosystem::Maven) => ("maven", format!("com.example:{name}")),
            Self::Other(Ecosystem::PyPi) => ("pypi", name.to_owned()),
            Self::Other(Ecosystem::RubyGems) => ("rubygems", name.to_owned()),
        }
    }

    /// What the index says of a yanked version. `None`: there are no yanks.
    fn yanked(self) -> Option<fn(&str) -> bool> {
        match self {
            Self::Npm | Self::Other(Ecosystem::Composer | Ecosystem::Maven) => None,
            Self::Other(Ecosystem::Cargo) => Some(|index| index.contains("\"yanked\":true")),
            Self::Other(Ecosystem::PyPi) => Some(|index| index.contains("data-yanked=\"broken\"")),
            Self::Other(Ecosystem::RubyGems) => Some(|index| !index.contains("\n1.0.1 ")),
        }
    }

    /// Publishes a version, and gives the status.
    async fn publish(self, client: &Client, name: &str, version: &str, payload: &[u8]) -> Result<u16> {
        match self {
            Self::Npm => Ok(Publish::new(&format!("@acme/{name}"), version, payload)?
                .send(client, "/npm")
                .await?
                .status),
            Self::Other(ecosystem) => {
                Ok(upload(client, &ecosystem.release(name, version, payload)?).await?.status)
            }
        }
    }

    /// Checks that a version is there with its bytes.
    async fn check(self, client: &Client, name: &str, version: &str, payload: &[u8]) -> Result<()> {
        match self {
            Self::Npm => {
                Publish::new(&format!("@acme/{name}"), version, payload)?.check(client, "/npm").await
            }
            Self::Other(ecosystem) => {
                check_release(client, &ecosystem.release(name, version, payload)?).await
            }
        }
    }

    /// What a server says of the package; empty where it is not there.
    async fn index(self, client: &Client, name: &str) -> Result<String> {
        match self {
            Self::Npm => {
                let answer = client.get(&format!("/npm/@acme%2f{name}")).await?;
                if answer.status == 404 {
                    return Ok(String::new());
                }
                Ok(answer.expect(200)?.json()?.get("versions").map(ToString::to_string).unwrap_or_default())
            }
            Self::Other(ecosystem) => index(client, ecosystem, name).await,
        }
    }

    fn has(self, index: &str, name: &str, version: &str) -> Result<bool> {
        match self {
            Self::Npm => Ok(index.contains(&format!("\"{version}\":{{"))),
            Self::Other(ecosystem) => Ok(ecosystem.release(name, version, b"")?.is_in(index)),
        }
    }
}

fn is_good(status: u16) -> bool {
    (200..300).contains(&status)
}

/// Waits until `package list` has a package, or has it no more.
async fn listed(nodes: &Nodes, registry: &str, package: &str, wanted: bool) -> Result<()> {
    let begun = Instant::now();
    loop {
        let list = nodes.place.run(&["package", "list", registry])?;
        if list.lines().any(|line| line.split_whitespace().any(|word| word == package)) == wanted {
            return Ok(());
        }
        ensure!(begun.elapsed() < CATALOG, "{package} in the list should be {wanted}:\n{list}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn operate(nodes: &Nodes, kind: Kind) -> Result<()> {
    let name = "operated";
    let (registry, package) = kind.names(name);
    let package = package.as_str();
    let [one, two] = nodes.servers.as_slice() else { anyhow::bail!("two nodes") };
    let clients = [one.client(&nodes.token), two.client(&nodes.token)];
    let run = |args: &[&str]| nodes.place.run(args);
    let refused = |args: &[&str], code: i32| -> Result<()> {
        let output = nodes.place.try_run(args)?;
        ensure!(output.status.code() == Some(code), "`{}`: {output:?}", args.join(" "));
        Ok(())
    };
    for (number, version) in ["1.0.0", "1.0.1"].into_iter().enumerate() {
        let client = clients.get(number).context("a node")?;
        ensure!(is_good(kind.publish(client, name, version, version.as_bytes()).await?), "{version}");
    }
    listed(nodes, registry, package, true).await?;
    let shown = run(&["package", "show", registry, package])?;
    ensure!(
        shown.contains("1.0.0") && shown.contains("1.0.1") && shown.matches("live").count() == 2,
        "{shown}"
    );

    // Every server knows of each command as soon as it has ended, however warm what it has in memory is.
    let every = async |wanted: &dyn Fn(&str) -> Result<bool>, what: &str| -> Result<()> {
        for client in &clients {
            let index = kind.index(client, name).await?;
            ensure!(wanted(&index)?, "{what}:\n{index}");
        }
        Ok(())
    };
    let has = |version: &'static str| move |index: &str| kind.has(index, name, version);
    let has_not = |version: &'static str| move |index: &str| kind.has(index, name, version).map(|has| !has);
    every(&has("1.0.1"), "published").await?;
    match kind.yanked() {
        Some(is_yanked) => {
            let mut yank = vec!["package", "yank", registry, package, "1.0.1"];
            // Python's clients can be told why.
            if let Kind::Other(Ecosystem::PyPi) = kind {
                yank.extend(["--reason", "broken"]);
            }
            run(&yank)?;
            every(&|index| Ok(is_yanked(index)), "yanked").await?;
            ensure!(run(&["package", "show", registry, package])?.contains("yanked"));
            run(&["package", "yank", registry, package, "1.0.1", "--undo"])?;
            every(&|index| Ok(!is_yanked(index)), "no longer yanked").await?;
        }
        None => refused(&["package", "yank", registry, package, "1.0.1"], 2)?,
    }

    refused(&["package", "forget", registry, package, "1.0.0"], 1)?;
    run(&["package", "delete", registry, package, "1.0.0", "--yes"])?;
    every(&has_not("1.0.0"), "deleted").await?;
    every(&has("1.0.1"), "the other version stays").await?;
    for client in &clients {
        let status = kind.publish(client, name, "1.0.0", b"others").await?;
        ensure!((400..500).contains(&status), "a deleted version was published again: {status}");
    }
    run(&["package", "forget", registry, package, "1.0.0"])?;
    ensure!(is_good(kind.publish(&clients[1], name, "1.0.0", b"others").await?), "forgotten");
    for client in &clients {
        kind.check(client, name, "1.0.0", b"others").await?;
        kind.check(client, name, "1.0.1", b"1.0.1").await?;
    }

    run(&["package", "delete", registry, package, "--yes"])?;
    every(&has_not("1.0.1"), "everything deleted").await?;
    listed(nodes, registry, package, false).await?;
    run(&["package", "forget", registry, package])?;
    refused(&["package", "show", registry, package], 1)?;
    ensure!(is_good(kind.publish(&clients[0], name, "1.0.1", b"anew").await?), "the name is free");
    for client in &clients {
        kind.check(client, name, "1.0.1", b"anew").await?;
    }
    listed(nodes, registry, package, true).await
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_and_servers_change_packages_of_one_bucket() -> Result<()> {
    let nodes = Nodes::start("operators", 2)?;
    operate(&nodes, Kind::Npm).await.context("npm")?;
    for ecosystem in Ecosystem::ALL {
        operate(&nodes, Kind::Other(ecosystem)).await.context(ecosystem.name())?;
    }
    nodes.place.run(&["verify"])?;
    Ok(())
}

/// A gem that a killed node had in its document, and not yet in the list of all, is in the other's list a few seconds later.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_node_pushed_is_in_the_list_of_the_other() -> Result<()> {
    let mut nodes = Nodes::start("gems", 3)?;
    let mut seed = Seed::of("nodes, gems");
    let survivor = nodes.servers.pop().context("a node")?;
    let other = survivor.client(&nodes.token);
    other.get("/rubygems/versions").await?.expect(200)?;
    for (number, dying) in std::mem::take(&mut nodes.servers).into_iter().enumerate() {
        let client = dying.client(&nodes.token);
        let pushes = (0..8).map(|at| {
            let (client, name) = (client.clone(), format!("gem-{number}-{at}"));
            tokio::spawn(
                async move { upload(&client, &Ecosystem::RubyGems.release(&name, "1.0.0", b"x")?).await },
            )
        });
        let pushes: Vec<_> = pushes.collect();
        tokio::time::sleep(Duration::from_millis(20 + seed.below(120))).await;
        dying.kill()?;
        for push in pushes {
            // Some were answered, some were cut.
            let _ = push.await?;
        }
        tokio::time::sleep(Duration::from_secs(6)).await;
        let versions = other.get("/rubygems/versions").await?.expect(200)?;
        let versions = String::from_utf8_lossy(&versions.body).into_owned();
        for at in 0..8 {
            let name = format!("gem-{number}-{at}");
            let is_there = index(&other, Ecosystem::RubyGems, &name).await?.contains("\n1.0.0 ");
            assert_eq!(versions.contains(&format!("\n{name} 1.0.0 ")), is_there, "{name}:\n{versions}");
        }
    }
    survivor.stop()?;
    nodes.place.run(&["verify"])?;
    Ok(())
}
