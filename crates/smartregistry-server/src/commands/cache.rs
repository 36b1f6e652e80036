//! `cache`: what is kept of upstreams.

use serde_json::json;
use smartregistry::core::{
    PackageRegistry,
    upstream::{Purge, UpstreamId},
};

use super::{output, registry_named};
use crate::{assemble::Opened, cli::Cache, exit::Failure};

/// Runs one of the commands.
pub(crate) async fn run(store: &Opened, command: Cache) -> Result<(), Failure> {
    match command {
        Cache::Stats { json } => stats(store, json).await,
        Cache::Purge { registry, name, upstream } => {
            let registry = registry_named(store.registries(), &registry)?;
            purge(store, registry, name, upstream).await
        }
    }
}

async fn stats(store: &Opened, json: bool) -> Result<(), Failure> {
    let mut rows =
        vec![["REGISTRY", "UPSTREAM", "DOCUMENTS", "ARTIFACTS", "BYTES"].map(str::to_owned).to_vec()];
    let mut list = Vec::new();
    for registry in store.registries() {
        let name = registry.instance().name.as_str();
        let kept = store.upstreams_of(&**registry).kept().await;
        let kept = kept.map_err(|e| Failure::while_doing(format!("cannot look at what {name} keeps"), &e))?;
        for (upstream, kept) in kept {
            list.push(json!({
                "registry": name, "upstream": upstream, "documents": kept.documents, "artifacts": kept.artifacts,
                "bytes": kept.bytes,
            }));
            let numbers = [kept.documents, kept.artifacts, kept.bytes].map(|number| number.to_string());
            rows.push([name.to_owned(), upstream].into_iter().chain(numbers).collect());
        }
    }
    if json {
        return output::print(&format!("{}\n", json!(list)));
    }
    output::print(&output::columns(&rows))
}

async fn purge(
    store: &Opened,
    registry: &dyn PackageRegistry,
    name: Option<String>,
    upstream: Option<UpstreamId>,
) -> Result<(), Failure> {
    let mut purge = Purge::everything();
    if let Some(name) = name {
        purge = purge.named(name);
    }
    if let Some(upstream) = upstream {
        purge = purge.of(upstream);
    }
    let purged = store.upstreams_of(registry).purge(&purge).await;
    let (count, bytes) = purged.map_err(|e| Failure::while_doing("cannot drop what is kept", &e))?;
    output::print(&format!("{count} dropped, {bytes} bytes\n"))
}
