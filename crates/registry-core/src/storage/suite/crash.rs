//! Power cuts: whatever a folder has acknowledged is there afterwards, whatever the disk did with the rest.

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    path::Path as FilePath,
    sync::Arc,
};

use bytes::Bytes;
use futures_util::TryStreamExt;
use object_store::{GetOptions, ObjectStore, PutOptions, PutPayload, path::Path};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::task::JoinSet;

use super::store;
use crate::{
    Actor,
    hooks::Operation,
    storage::{
        ArtifactSpec, DataRef, Document, Draft, Key, Storage, StorageError, StorageOptions, Store,
        cache::Rule,
        engine::Place,
        envelope,
        folder::{
            FolderStore, InPlace,
            disk_model::{DiskModel, Kind, ROOT, Record},
        },
    },
};

/// A package: its versions and their bytes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Package {
    versions: BTreeMap<String, DataRef>,
}

impl Document for Package {
    const SCHEMA: u32 = 1;
}

/// What a client was told.
#[derive(Clone, Debug)]
enum Told {
    /// A version is published.
    Published { package: Key, version: String },
    /// A version is gone, with its bytes.
    Removed { package: Key, version: String, data: Key },
}

/// What is wrong after a power cut.
#[derive(Debug)]
struct Loss(String);

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn open(disk: &DiskModel<Told>) -> (Storage, FolderStore) {
    let folder = FolderStore::open_with(Arc::new(disk.clone()), FilePath::new(ROOT)).unwrap();
    let object_store: Arc<dyn ObjectStore> = Arc::new(folder.clone());
    let place = Place::Folder { folder: folder.clone(), server: true };
    let options = StorageOptions::default();
    (Storage::assemble(Arc::clone(&object_store), object_store, place, Rule::Epoch, options), folder)
}

fn package_key(store: &Store, name: &str) -> Key {
    store.key().fixed("packages").segment(name).fixed("package.json").build()
}

async fn publish(disk: &DiskModel<Told>, store: &Store, name: &str, version: &str, bytes: Bytes) {
    let package = package_key(store, name);
    let readable = store.key().fixed("packages").segment(name).fixed("-").segment(version).build();
    let artifact = store.write_artifact_bytes(&readable, bytes, ArtifactSpec::default()).await.unwrap();
    let mut permit = store.permit(store.event(Operation::Put, &package, &Actor::anonymous())).await.unwrap();
    let data = permit.attach(artifact);
    let of = version.to_owned();
    let change = move |draft: &mut Draft<Package>| {
        draft.edit_or_insert_with(Package::default).versions.insert(of.clone(), data.clone());
        Ok::<_, StorageError>(())
    };
    store.commit(&package, permit, change).await.unwrap();
    disk.note(Told::Published { package, version: version.to_owned() });
}

async fn remove(disk: &DiskModel<Told>, store: &Store, name: &str, version: &str) {
    let package = package_key(store, name);
    let of = version.to_owned();
    let change = move |draft: &mut Draft<Package>| {
        Ok::<_, StorageError>(draft.edit().and_then(|p| p.versions.remove(&of)))
    };
    let (removed, _) = store.update(&package, change).await.unwrap();
    let data = removed.unwrap().key;
    store.remove(&data).await.unwrap();
    disk.note(Told::Removed { package, version: version.to_owned(), data });
}

/// Tells a client what a reader finds that knows nothing of the writers.
async fn observe(disk: &DiskModel<Told>, store: &Store, folder: &FolderStore, name: &str) {
    let package = package_key(store, name);
    for _ in 0..12 {
        let location = Path::parse(package.as_str()).unwrap();
        if let Ok(result) = folder.get_opts(&location, GetOptions::default()).await {
            let bytes = result.bytes().await.unwrap();
            let found = envelope::decode::<Package>(&package, &bytes).unwrap();
            for version in found.document.versions.keys() {
                disk.note(Told::Published { package: package.clone(), version: version.clone() });
            }
        }
        tokio::time::sleep(std::time::Duration::from_micros(300)).await;
    }
}

/// Publishes by several clients, some removals, and a reader.
async fn work(disk: &DiskModel<Told>) {
    let (storage, folder) = open(disk);
    let store = store(&storage);
    let mut clients = JoinSet::new();
    for client in 0..3 {
        let (disk, store) = (disk.clone(), store.clone());
        clients.spawn(async move {
            for (number, name) in ["shared", "own-", "shared"].into_iter().enumerate() {
                let name = if name == "own-" { format!("own-{client}") } else { name.to_owned() };
                let version = format!("{client}.{number}.0");
                let bytes = Bytes::from(format!("{name} {version}"));
                publish(&disk, &store, &name, &version, bytes).await;
            }
            // The last one of a folder: the folder goes, and comes again.
            remove(&disk, &store, &format!("own-{client}"), &format!("{client}.1.0")).await;
            publish(&disk, &store, &format!("own-{client}"), "again", "again".into()).await;
        });
    }
    let (watched, by, through) = (disk.clone(), store.clone(), folder.clone());
    clients.spawn(async move { observe(&watched, &by, &through, "shared").await });
    while let Some(result) = clients.join_next().await {
        result.unwrap();
    }
    // An upload in parts, and a plain rename over an object.
    publish(disk, &store, "large", "1.0.0", Bytes::from(vec![7; 1_100_000])).await;
    storage.drained().await;
}

/// Opens the disk and looks for everything that was told, and for anything that is torn.
async fn check(disk: &DiskModel<Told>, told: &[Told]) -> Result<(), Loss> {
    let (storage, _) = open(disk);
    let store = store(&storage);
    let all = store.list(&store.key().build()).await.map_err(|error| Loss(format!("listing: {error}")))?;
    let mut packages = BTreeMap::new();
    for entry in all {
        if !entry.key.as_str().ends_with("package.json") {
            continue;
        }
        let package = store.read::<Package>(&entry.key).await;
        let package = package.map_err(|error| Loss(format!("{}: {error}", entry.key)))?;
        let package = package.ok_or_else(|| Loss(format!("{} is listed but absent", entry.key)))?;
        for (version, data) in &package.versions {
            let torn = |what: &dyn fmt::Display| Loss(format!("{} {version}: {what}", entry.key));
            let body =
                store.read_artifact(std::slice::from_ref(data), None).await.map_err(|error| torn(&error))?;
            let bytes = body.into_data_stream().map_ok(|piece| piece.to_vec()).try_concat().await;
            let digest = hex::encode(Sha256::digest(bytes.map_err(|error| torn(&error))?));
            if data.sha256.as_ref() != Some(&digest) {
                return Err(torn(&"its bytes are wrong"));
            }
        }
        packages.insert(entry.key, package);
    }
    let mut gone = HashSet::new();
    for told in told.iter().rev() {
        match told {
            Told::Removed { package, version, data } => {
                gone.insert((package.clone(), version.clone()));
                let data_is_there = store
                    .list(data)
                    .await
                    .map_err(|error| Loss(error.to_string()))?
                    .iter()
                    .any(|e| e.key == *data);
                let present = packages.get(package).is_some_and(|p| p.versions.contains_key(version));
                let read =
                    store.read_artifact(&[DataRef { key: data.clone(), size: 1, sha256: None }], None).await;
                let there = !matches!(read, Err(StorageError::Missing { .. }));
                if present || data_is_there || there {
                    return Err(Loss(format!("{package} {version} was removed and is back")));
                }
            }
            Told::Published { package, version } => {
                let present = packages.get(package).is_some_and(|p| p.versions.contains_key(version));
                // A removal may have begun after what is noted last.
                if !present && !gone.contains(&(package.clone(), version.clone())) && version_stays(version) {
                    return Err(Loss(format!("{package} {version} was published and is lost")));
                }
            }
        }
    }
    Ok(())
}

/// Whether the work never removes it.
fn version_stays(version: &str) -> bool {
    !version.ends_with(".1.0")
}

/// Tries disks as power cuts at every moment could leave them; `without` a kind of sync.
async fn cut_everywhere(record: &Record<Told>, without: Option<Kind>, seed: u64) -> Result<usize, String> {
    let mut random = seed | 1;
    let mut next = move || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        random >> 33
    };
    let mut tried = HashSet::new();
    for moment in 0..=record.len() {
        let told = record.noted(moment);
        let uncertain = record.uncertain(moment, without);
        let recent = &uncertain[uncertain.len().saturating_sub(16)..];
        let mut losses = vec![Vec::new(), uncertain.clone()];
        losses.extend(recent.iter().map(|one| vec![*one]));
        losses.extend(
            recent.iter().map(|one| uncertain.iter().copied().filter(|other| other != one).collect()),
        );
        for _ in 0..4 {
            losses.push(uncertain.iter().copied().filter(|_| next().is_multiple_of(2)).collect());
        }
        for lost in losses {
            let disk = DiskModel::after_crash(record, moment, &lost);
            if !tried.insert((disk.fingerprint(), told.len())) {
                continue;
            }
            if let Err(loss) = check(&disk, &told).await {
                return Err(format!(
                    "at {moment} without the changes {lost:?}: {loss}\n{}",
                    record.tail(moment)
                ));
            }
        }
    }
    Ok(tried.len())
}

async fn recorded() -> Record<Told> {
    let disk = DiskModel::new();
    work(&disk).await;
    disk.record()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_acknowledged_survives_a_power_cut_at_any_moment() {
    for seed in 1..=2 {
        let record = recorded().await;
        let tried = cut_everywhere(&record, None, seed).await.unwrap_or_else(|loss| panic!("{loss}"));
        assert!(tried > record.len(), "only {tried} disks were tried for a record of {}", record.len());
    }
}

/// Many clients that create names in one folder, with the sharing of syncs that this brings.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn names_that_share_a_sync_survive_a_power_cut_at_any_moment() {
    let disk = DiskModel::<Path>::new();
    let folder = FolderStore::open_with(Arc::new(disk.clone()), FilePath::new(ROOT)).unwrap();
    let mut clients = JoinSet::new();
    for client in 0..12 {
        let (disk, folder) = (disk.clone(), folder.clone());
        clients.spawn(async move {
            for number in 0..4 {
                let location = Path::from(format!("busy/{client}-{number}"));
                let mut options = PutOptions::default();
                if client % 2 == 0 {
                    options.extensions.insert(InPlace);
                }
                folder.put_opts(&location, PutPayload::from_static(b"here"), options).await.unwrap();
                disk.note(location);
            }
        });
    }
    while let Some(result) = clients.join_next().await {
        result.unwrap();
    }
    let record = disk.record();
    for moment in 0..=record.len() {
        let disk = DiskModel::after_crash(&record, moment, &record.uncertain(moment, None));
        let folder = FolderStore::open_with(Arc::new(disk), FilePath::new(ROOT)).unwrap();
        for location in record.noted(moment) {
            let read = folder.get_opts(&location, GetOptions::default()).await;
            let read = read.unwrap_or_else(|error| panic!("at {moment}: {error}\n{}", record.tail(moment)));
            assert_eq!(read.bytes().await.unwrap(), "here", "{location} at {moment}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn without_any_one_kind_of_sync_something_is_lost() {
    let record = recorded().await;
    for kind in Kind::ALL {
        let outcome = cut_everywhere(&record, Some(kind), 1).await;
        assert!(outcome.is_err(), "nothing was lost although no sync covered {kind:?}");
    }
}
