//! Uploading releases and looking for them.

use anyhow::{Context, Result};
use registry_releases::{Ecosystem, Release};

use crate::{Answer, Client};

/// Sends an upload's requests one after the other; gives the first answer that is no success, or else the last one.
pub async fn upload(client: &Client, release: &Release) -> Result<Answer> {
    let mut last = None;
    for step in &release.steps {
        let headers = [("content-type", step.content_type.as_str())];
        let answer = client.send(step.method, &step.path, &headers, step.body.clone()).await?;
        if !(200..300).contains(&answer.status) {
            return Ok(answer);
        }
        last = Some(answer);
    }
    last.context("an upload without requests")
}

/// What the registry's index says of a package; empty where it is not there.
pub async fn index(client: &Client, ecosystem: Ecosystem, name: &str) -> Result<String> {
    let answer = client.get(&ecosystem.index_path(name)).await?;
    if answer.status == 404 {
        return Ok(String::new());
    }
    Ok(String::from_utf8_lossy(&answer.expect(200)?.body).into_owned())
}

/// Checks that the index names a release, and that its files have the bytes that were uploaded.
pub async fn check_release(client: &Client, release: &Release) -> Result<()> {
    let what = format!("{} {} {}", release.ecosystem.name(), release.name, release.version);
    let index = index(client, release.ecosystem, &release.name).await.with_context(|| what.clone())?;
    anyhow::ensure!(release.is_in(&index), "{what} is not in its index:\n{index}");
    for (path, bytes) in release.downloads(&index).with_context(|| what.clone())? {
        let got = client.get(&path).await?.expect(200).with_context(|| what.clone())?;
        anyhow::ensure!(got.body == bytes, "{what}: {path} has other bytes than were uploaded");
    }
    Ok(())
}
