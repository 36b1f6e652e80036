//! Opening storages: one server a folder, layouts, what dead processes leave, and buckets that break their word.

use std::sync::Arc;

use object_store::{
    ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, memory::InMemory, path::Path,
};

use super::Ledger;
use crate::storage::{
    Connection, Created, ProcessRole, Storage, StorageError, StorageLocation, StorageOptions, probe,
    puts::PutsBy, single_writer::SingleWriter,
};

async fn open(folder: &tempfile::TempDir, role: ProcessRole) -> Result<Storage, StorageError> {
    Storage::folder(folder.path(), role, StorageOptions::default()).await
}

#[tokio::test]
async fn a_folder_has_one_server_and_any_number_of_commands() {
    let folder = tempfile::tempdir().unwrap();
    let server = open(&folder, ProcessRole::Server).await.unwrap();
    let refused = open(&folder, ProcessRole::Server).await.unwrap_err();
    assert!(refused.to_string().contains("another server runs on the folder"), "{refused}");
    let command = open(&folder, ProcessRole::Command).await.unwrap();
    let also = open(&folder, ProcessRole::Command).await.unwrap();
    command.ready().await.unwrap();
    also.ready().await.unwrap();
    drop(server);
    open(&folder, ProcessRole::Server).await.unwrap();
}

#[tokio::test]
async fn a_newer_layout_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(&folder, ProcessRole::Server).await.unwrap());
    let path = folder.path().join("_system/layout.json");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(r#""version":1"#), "{text}");
    std::fs::write(&path, text.replace(r#""version":1"#, r#""version":2"#)).unwrap();
    for role in [ProcessRole::Server, ProcessRole::Command] {
        let refused = open(&folder, role).await.unwrap_err();
        assert!(matches!(refused, StorageError::Newer { found: 2, known: 1, .. }), "{refused}");
    }
}

#[tokio::test]
async fn temporary_files_of_dead_processes_go_and_those_of_living_ones_stay() {
    let folder = tempfile::tempdir().unwrap();
    let temporary = folder.path().join("_tmp");
    let server = open(&folder, ProcessRole::Server).await.unwrap();
    let own = std::fs::read_dir(&temporary).unwrap().next().unwrap().unwrap().path();
    std::fs::write(own.join("half"), "x").unwrap();
    let dead = temporary.join("dead");
    std::fs::create_dir(&dead).unwrap();
    std::fs::write(dead.join("lock"), "").unwrap();
    std::fs::write(dead.join("half"), "x").unwrap();

    let command = open(&folder, ProcessRole::Command).await.unwrap();
    assert!(!dead.exists());
    assert!(own.join("half").exists());
    drop((server, command));
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0);
}

#[tokio::test]
async fn a_folder_keeps_its_own_keys_to_itself() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(&folder, ProcessRole::Server).await.unwrap();
    let objects = &storage.engine.documents;
    for key in ["_tmp/x", "_locks/x", "_tmp"] {
        let path = Path::parse(key).unwrap();
        assert!(objects.put(&path, PutPayload::from_static(b"x")).await.is_err(), "{key}");
    }
    let all = storage.system().list(&storage.system().key().build()).await.unwrap();
    assert_eq!(all.len(), 1, "{all:?}");
    let level = objects.list_with_delimiter(None).await.unwrap();
    assert_eq!(level.common_prefixes, [Path::parse("_system").unwrap()]);
}

#[tokio::test]
async fn locations_open_what_they_name() {
    let (connection, options) = (Connection::default(), StorageOptions::default());
    let connect = async |location: &str| {
        let location: StorageLocation = location.parse()?;
        Storage::connect(&location, ProcessRole::Server, &connection, options.clone()).await
    };
    connect("memory:").await.unwrap().ready().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let deep = format!("file:{}/a/b", folder.path().display());
    let storage = connect(&deep).await.unwrap();
    let key = storage.system().key().segment("x").build();
    let created = storage.system().create(&key, Ledger::default()).await.unwrap();
    assert!(matches!(created, Created::Now(_)));
    assert!(folder.path().join("a/b/_system/x").is_file());
    #[cfg(not(feature = "s3"))]
    {
        let refused = connect("s3://bucket").await.unwrap_err();
        assert!(refused.to_string().contains("feature `s3`"), "{refused}");
    }
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert!(connect(&format!("file:{}", file.display())).await.is_err());
}

#[tokio::test]
async fn a_bucket_without_conditional_writes_is_refused_and_one_writer_makes_up_for_it() {
    let good: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    probe::conditional_writes(&good).await.unwrap();
    assert!(good.list_with_delimiter(Some(&Path::from("_system"))).await.unwrap().objects.is_empty());

    let careless: Arc<dyn ObjectStore> = Arc::new(PutsBy::new(super::careless::Careless, good));
    let refused = probe::conditional_writes(&careless).await.unwrap_err();
    assert!(refused.to_string().contains("20 succeeded instead of one"), "{refused}");

    let alone: Arc<dyn ObjectStore> = Arc::new(PutsBy::new(SingleWriter::default(), careless));
    probe::conditional_writes(&alone).await.unwrap();
    let path = Path::from("x");
    let create = || PutOptions { mode: PutMode::Create, ..PutOptions::default() };
    alone.put_opts(&path, PutPayload::new(), create()).await.unwrap();
    let again = alone.put_opts(&path, PutPayload::new(), create()).await.unwrap_err();
    assert!(matches!(again, object_store::Error::AlreadyExists { .. }), "{again}");
}
