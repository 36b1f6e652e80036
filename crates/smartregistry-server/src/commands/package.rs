//! `package list`, `package show`, `package yank`, `package delete` and `package forget`.

use std::{
    io::{self, BufRead, IsTerminal, Read, Write},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use smartregistry::core::{
    Actor, Chain, Instance, Protocol,
    administration::{AdministrationError, PackageDetails, VersionDetails, VersionState, Yank},
    catalog::{Catalog, CatalogEntry},
    storage::StorageError,
};

use super::{output, registry_named, token::time};
use crate::{
    assemble::{self, Opened},
    cli::{Package, PackageName},
    config::Config,
    exit::Failure,
};

/// Who does it, as hooks are told.
const OPERATOR: &str = "admin";

/// Runs one of the commands.
pub(crate) async fn run(store: &Opened, config: &Config, command: Package) -> Result<(), Failure> {
    match command {
        Package::List { registry, protocol, prefix, json } => {
            let listed = list(store, config, registry.as_deref(), protocol, &prefix).await?;
            output::print(&if json { list_as_objects(&listed) } else { list_as_table(&listed) })
        }
        Package::Show { package, json } => {
            let registry = registry_named(store.registries(), &package.registry)?;
            let details = registry.show_package(&package.name).await;
            let details = details.map_err(|e| refused(&e))?;
            let instance = registry.instance();
            output::print(&if json { as_object(instance, &details) } else { as_text(instance, &details) })
        }
        Package::Yank { package, version, undo, reason } => {
            let registry = registry_named(store.registries(), &package.registry)?;
            let yank = if undo { Yank::Undo } else { Yank::Set(reason.unwrap_or_default()) };
            let yanked = registry.yank_version(&operator(), &package.name, &version, &yank).await;
            yanked.map_err(|e| refused(&e))?;
            let verb = if undo { "no longer yanked" } else { "yanked" };
            output::print(&format!("{verb}: {} {version}\n", package.name))
        }
        Package::Delete { package, version, yes } => delete(store, &package, version.as_deref(), yes).await,
        Package::Forget { package, version } => {
            let registry = registry_named(store.registries(), &package.registry)?;
            let forgotten = registry.forget_package(&operator(), &package.name, version.as_deref()).await;
            forgotten.map_err(|e| refused(&e))?;
            output::print(&format!("forgotten: {}\n", what(&package, version.as_deref())))
        }
    }
}

fn operator() -> Actor {
    Actor::user(OPERATOR)
}

/// A package or a version of it, as messages call it.
fn what(package: &PackageName, version: Option<&str>) -> String {
    version.map_or_else(|| package.name.clone(), |version| format!("{} {version}", package.name))
}

/// What is wrong with the wish is wrong usage; what is in its way is a failure.
fn refused(error: &AdministrationError) -> Failure {
    let text = Chain(error).to_string();
    if error.is_usage() { Failure::usage(text) } else { Failure::new(text) }
}

async fn delete(
    store: &Opened,
    package: &PackageName,
    version: Option<&str>,
    yes: bool,
) -> Result<(), Failure> {
    let registry = registry_named(store.registries(), &package.registry)?;
    let what = what(package, version);
    if !yes {
        if !io::stdin().is_terminal() {
            return Err(Failure::usage("say --yes to delete: there is nobody to ask"));
        }
        let all = if version.is_none() { " with everything in it" } else { "" };
        let question = format!("Delete {what}{all} from {}?", registry.instance().name);
        if !agrees(&question, io::stderr().lock(), io::stdin().lock())? {
            return Err(Failure::new("nothing was deleted"));
        }
    }
    let deleted = registry.delete_package(&operator(), &package.name, version).await;
    deleted.map_err(|e| refused(&e))?;
    output::print(&format!("deleted: {what}\n"))
}

/// Asks whoever sits at the terminal.
fn agrees(question: &str, mut to: impl Write, from: impl Read) -> Result<bool, Failure> {
    // Where the question cannot be shown, no answer comes either.
    let _ = write!(to, "{question} [y/N] ");
    let mut answer = String::new();
    io::BufReader::new(from.take(64))
        .read_line(&mut answer)
        .map_err(|e| Failure::while_doing("cannot read the answer", &e))?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// A registry's package, in a list.
struct Listed {
    instance: Instance,
    entry: Arc<CatalogEntry>,
}

async fn list(
    store: &Opened,
    config: &Config,
    registry: Option<&str>,
    protocol: Option<Protocol>,
    prefix: &str,
) -> Result<Vec<Listed>, Failure> {
    let failed = |e| Failure::while_doing("cannot read the catalog", &e);
    let instances: Vec<&Instance> = if let Some(name) = registry {
        vec![registry_named(store.registries(), name)?.instance()]
    } else {
        let all = store.registries().iter().map(|registry| registry.instance());
        all.filter(|instance| protocol.is_none_or(|wanted| instance.protocol == wanted)).collect()
    };
    if store.catalog().was_made().await.map_err(failed)? {
        return read(store.catalog(), &instances, prefix).await.map_err(failed);
    }
    // No server has written it yet: what there is, the registries know.
    let own = assemble::with_own_catalog(store, config).await?;
    own.catalog().rescan(own.registries()).await.map_err(failed)?;
    let listed = read(own.catalog(), &instances, prefix).await.map_err(failed);
    own.end_registries().await;
    listed
}

async fn read(catalog: &Catalog, instances: &[&Instance], prefix: &str) -> Result<Vec<Listed>, StorageError> {
    let mut listed = Vec::new();
    for instance in instances {
        let filter = |name: &str| name.starts_with(prefix);
        let entries = catalog.page(&instance.name, None, usize::MAX, &filter).await?;
        listed.extend(entries.into_iter().map(|entry| Listed { instance: (*instance).clone(), entry }));
    }
    Ok(listed)
}

fn list_as_table(listed: &[Listed]) -> String {
    let head = ["REGISTRY", "NAME", "LATEST", "CHANGED"].map(str::to_owned).to_vec();
    let rows = listed.iter().map(|Listed { instance, entry }| {
        vec![
            instance.name.to_string(),
            output::plain(&entry.name),
            or_dash(entry.latest.as_deref()),
            time(Some(entry.changed)),
        ]
    });
    output::columns(&std::iter::once(head).chain(rows).collect::<Vec<_>>())
}

fn list_as_objects(listed: &[Listed]) -> String {
    let objects: Vec<Value> = listed
        .iter()
        .map(|Listed { instance, entry }| {
            json!({
                "registry": instance.name,
                "protocol": instance.protocol,
                "name": entry.name,
                "latest": entry.latest,
                "summary": entry.summary,
                "changed": entry.changed,
            })
        })
        .collect();
    format!("{:#}\n", json!(objects))
}

fn or_dash(text: Option<&str>) -> String {
    text.filter(|text| !text.is_empty()).map_or_else(|| "-".to_owned(), output::plain)
}

fn as_text(instance: &Instance, details: &PackageDetails) -> String {
    let fact = |name: &str, value: &str| vec![name.to_owned(), output::plain(value)];
    let mut facts = vec![
        fact("name", &details.name),
        fact("registry", instance.name.as_str()),
        fact("latest", details.latest.as_deref().unwrap_or("-")),
        fact("changed", &time(Some(details.changed))),
    ];
    facts.extend(details.facts.iter().map(|(name, value)| fact(name, value)));
    let head = ["VERSION", "PUBLISHED", "BYTES", "STATE", "NOTE"].map(str::to_owned).to_vec();
    let rows = details.versions.iter().map(|version| {
        let (state, note, at) = state(version);
        // A tag is known by what it points to.
        let target = version.digest.clone().filter(|_| version.bytes.is_none() && at.is_none());
        let note = at.map(|at| time(Some(at))).or_else(|| note.map(str::to_owned)).or(target);
        vec![
            output::plain(&version.version),
            time(version.published),
            version.bytes.map_or_else(|| "-".to_owned(), |bytes| bytes.to_string()),
            state.to_owned(),
            output::plain(&note.unwrap_or_default()),
        ]
    });
    let versions = output::columns(&std::iter::once(head).chain(rows).collect::<Vec<_>>());
    format!("{}\n{versions}", output::columns(&facts))
}

/// A version's state in one word, what was said of it, and when it was deleted.
fn state(version: &VersionDetails) -> (&'static str, Option<&str>, Option<DateTime<Utc>>) {
    match &version.state {
        VersionState::Deprecated(message) => ("deprecated", Some(message), None),
        VersionState::Yanked(reason) => ("yanked", Some(reason), None),
        VersionState::Deleted(at) => ("deleted", None, *at),
        // What a newer library knows of is there at least.
        _ => ("live", None, None),
    }
}

fn as_object(instance: &Instance, details: &PackageDetails) -> String {
    let versions: Vec<Value> = details
        .versions
        .iter()
        .map(|version| {
            let (state, note, deleted) = state(version);
            json!({
                "version": version.version,
                "published": version.published,
                "bytes": version.bytes,
                "digest": version.digest,
                "state": state,
                "reason": note,
                "deleted": deleted,
            })
        })
        .collect();
    let facts: serde_json::Map<String, Value> =
        details.facts.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    let object = json!({
        "registry": instance.name,
        "protocol": instance.protocol,
        "name": details.name,
        "latest": details.latest,
        "changed": details.changed,
        "facts": facts,
        "versions": versions,
    });
    format!("{object:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_yes_is_one() {
        let asked = |answer: &str| agrees("Delete it?", io::sink(), answer.as_bytes()).unwrap();
        assert!(asked("y\n") && asked("Yes\r\n") && asked(" y "));
        assert!(!asked("") && !asked("\n") && !asked("no\n") && !asked("yy\n") && !asked("n\ny\n"));
    }

    #[test]
    fn what_others_wrote_cannot_play_with_the_terminal() {
        let mut details = PackageDetails::new("lib", DateTime::UNIX_EPOCH);
        let mut version = VersionDetails::new("1.0.0");
        version.state = VersionState::Deprecated("use\n\u{1b}[31mother".to_owned());
        details.versions.push(version);
        let instance = Instance::new(Protocol::Npm.into(), Protocol::Npm, Vec::new());
        let text = as_text(&instance, &details);
        assert!(
            text.ends_with("1.0.0    -          -      deprecated  use\u{fffd}\u{fffd}[31mother\n"),
            "{text}"
        );
        let object: Value = serde_json::from_str(&as_object(&instance, &details)).unwrap();
        assert_eq!(object["versions"][0]["reason"], "use\n\u{1b}[31mother");
        assert_eq!(object["versions"][0]["state"], "deprecated");
    }
}
