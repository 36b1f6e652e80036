//! Folders as pages, and which groups are here.

use std::collections::BTreeSet;

use http::{HeaderValue, StatusCode, header};
use registry_core::{
    Actor, Response,
    auth::{Action, AuthError},
    http::{protect_page, respond_empty, respond_text, respond_with},
    storage::{Digests, WantedDigests},
};

use super::call::Call;
use crate::{
    error::Error,
    names::{Folder, RepositoryPath},
    version::sort,
    wire::{
        checksum::{Algorithm, Checksums},
        listing::{self, Entry},
        prefixes,
    },
};

/// The most entries of a page.
const MAX_ENTRIES: usize = 50_000;

/// `GET <folder>/`.
pub(crate) async fn list(call: &Call<'_>, folder: Folder<'_>) -> Result<Response, Error> {
    let actor = call.actor().await?;
    let entries = match entries(call, &actor, folder).await? {
        Some(entries) => entries,
        None if actor.is_anonymous() && !readable(call, &actor, folder).await => {
            return Err(AuthError::Missing.into());
        }
        None => return Err(Error::no_file()),
    };
    if !call.registry.config().listings {
        return Err(Error::no_file());
    }
    let page = listing::render(&folder.segments().join("/"), &entries);
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    let mut response = respond_with(StatusCode::OK, html, page);
    let policy = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
    protect_page(response.headers_mut(), policy);
    Ok(response)
}

/// Whether the actor may read something, and what the folder would be if it were an artifact's or a version's.
async fn readable(call: &Call<'_>, actor: &Actor, folder: Folder<'_>) -> bool {
    if !call.allows_some(actor, Action::Read) {
        return false;
    }
    let version = folder.version().map(|version| version.artifact().clone());
    let mut names = folder.artifact().into_iter().chain(version).peekable();
    if names.peek().is_none() {
        return true;
    }
    for name in names {
        if call.allows(actor, &name, Action::Read).await.is_ok() {
            return true;
        }
    }
    false
}

/// What is in a folder for this actor. `None`: there is no such folder.
async fn entries(call: &Call<'_>, actor: &Actor, folder: Folder<'_>) -> Result<Option<Vec<Entry>>, Error> {
    let artifacts = call.registry.artifacts();
    // Groups and artifacts, out of what the actor may read.
    let path = folder.segments();
    let prefix = path.join(".");
    let inside = |name: &str| {
        path.is_empty() || name.strip_prefix(&prefix).is_some_and(|rest| rest.starts_with(['.', ':']))
    };
    let mut folders = BTreeSet::new();
    for entry in call.readable(actor, inside).await? {
        let rest =
            if path.is_empty() { Some(entry.name.as_str()) } else { entry.name.get(prefix.len() + 1..) };
        let Some(rest) = rest else { continue };
        let below = rest.split(['.', ':']).next().unwrap_or_default();
        // After a colon all is the artifact's own name, dots included.
        let own =
            !path.is_empty() && entry.name.get(prefix.len()..).is_some_and(|rest| rest.starts_with(':'));
        folders.insert(if own { rest.to_owned() } else { below.to_owned() });
        if folders.len() >= MAX_ENTRIES {
            break;
        }
    }
    let mut found: Vec<Entry> = Vec::new();
    let mut metadata = false;
    if let Some(name) = folder.artifact()
        && call.allows(actor, &name, Action::Read).await.is_ok()
        && let Some(artifact) = artifacts.artifact(&name).await?
    {
        metadata = true;
        let versions = sort(artifact.versions.keys().map(String::as_str));
        found.extend(versions.into_iter().map(Entry::folder));
    }
    let mut groups: Vec<Entry> = folders.iter().map(|name| Entry::folder(name)).collect();
    groups.retain(|entry| !found.contains(entry));
    let mut all = groups;
    all.append(&mut found);
    if let Some(version) = folder.version()
        && call.allows(actor, version.artifact(), Action::Read).await.is_ok()
        && let Some(document) = artifacts.version(&version).await?
    {
        metadata |= version.is_snapshot();
        all.extend(document.files.iter().map(|(name, file)| Entry {
            name: name.clone(),
            modified: Some(file.uploaded.format("%Y-%m-%d %H:%M").to_string()),
            size: Some(file.data.size),
        }));
    }
    if metadata {
        all.push(Entry { name: "maven-metadata.xml".to_owned(), modified: None, size: None });
    }
    Ok((!all.is_empty() || path.is_empty() && call.allows_some(actor, Action::Read)).then_some(all))
}

/// What a path leads to that names no file: a person in a browser who left out the slash of a folder is shown it.
pub(crate) async fn redirect(
    call: &Call<'_>,
    actor: &Actor,
    path: &RepositoryPath,
) -> Result<Response, Error> {
    let accept = call.parts.headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let browser = accept.is_some_and(|accept| accept.contains("text/html"));
    if browser
        && call.registry.config().listings
        && entries(call, actor, path.folder()).await?.is_some()
        && let Some(last) = path.segments().last()
        && let Ok(location) = HeaderValue::try_from(format!("{last}/"))
    {
        let mut response = respond_empty(StatusCode::FOUND);
        response.headers_mut().insert(header::LOCATION, location);
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        return Ok(response);
    }
    Err(Error::no_file())
}

/// `GET .meta/prefixes.txt`, also with the ending of a checksum.
pub(crate) async fn prefixes(call: &Call<'_>, checksum: Option<Algorithm>) -> Result<Response, Error> {
    let actor = call.somebody().await?;
    // Which groups upstreams have nobody knows beforehand, and clients ask for no other than those that stand here.
    if !call.registry.config().prefixes || call.registry.upstreams().exist() {
        return Err(Error::no_file());
    }
    let readable = call.readable(&actor, |_| true).await?;
    let groups = readable.iter().filter_map(|entry| Some(entry.name.split_once(':')?.0));
    let text = prefixes::render(groups).ok_or_else(Error::no_file)?;
    let text = match checksum {
        None => text,
        Some(algorithm) => {
            let wanted = WantedDigests { md5: true, sha1: true, sha512: true, ..WantedDigests::default() };
            let checksums = Checksums::from(&Digests::of(text.as_bytes(), wanted));
            checksums.get(algorithm).unwrap_or_default().to_owned()
        }
    };
    let mut response = respond_text(StatusCode::OK, text);
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::VARY, HeaderValue::from_static("Authorization"));
    Ok(response)
}
