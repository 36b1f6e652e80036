//! An object store in a local folder, where every success is durable.
//!
//! - A put writes a temporary file, syncs it, renames it and syncs the folder (and the parents of folders
//!   that it created), in that order. Immutable data under a name that nobody else can choose is written
//!   in place ([`InPlace`]), which saves one of the two commits of a journaling file system.
//! - `PutMode::Create` and `PutMode::Update` hold between threads and between processes.
//! - An ETag is a file's identity, size and time of modification, and the store gives each file that it
//!   writes a time of its own, so that no two revisions of a key look alike.
//! - Nobody reads a change before it is durable.
//! - Lists are in byte order of the keys.
//!
//! Attributes and tags of a put are ignored; nothing in this crate relies on them.

mod dirs;
#[cfg(test)]
pub(super) mod disk_model;
#[cfg(test)]
pub(super) mod failing;
pub(crate) mod fs_ops;
mod list;
mod locks;
mod pending;
mod pieces;
mod read;
mod upload;
mod write;

use std::{
    fmt::{Display, Formatter},
    io::{self, ErrorKind},
    path::{Path as FilePath, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use object_store::{
    CopyMode, CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, path::Path,
};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use self::{
    dirs::Folders,
    fs_ops::{FileOps, LockFile, NativeFiles, Stat},
    locks::Locks,
    pending::Pending,
};

pub(crate) use self::read::OpenedFile;

/// Marks a put or an upload of immutable data under a name that no other writer can choose. The file is
/// written where it stays, so an interrupted write leaves a part of it there; nothing may name it yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InPlace;

const TEMPORARY: &str = "_tmp";
const LOCKS: &str = "_locks";
/// Threads that write at the same time; they mostly wait for the disk.
const CONCURRENT_WRITES: usize = 32;
/// Threads that read at the same time.
const CONCURRENT_READS: usize = 32;
/// Removals of one `delete_stream` that run at the same time.
const CONCURRENT_DELETES: usize = 8;

/// An object store in a local folder.
#[derive(Clone, Debug)]
pub(crate) struct FolderStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    files: Arc<dyn FileOps>,
    root: PathBuf,
    /// This process' own folder for temporary files.
    temporary: PathBuf,
    /// Held as long as the process lives; others remove the temporary files of those who hold it no more.
    temporary_lock: Box<dyn LockFile>,
    /// Held by the one server of this folder.
    server_lock: Box<dyn LockFile>,
    /// Counts writes of processes that are not the server.
    epoch: Box<dyn LockFile>,
    locks: Locks,
    folders: Folders,
    pending: Pending,
    last_stamp: Mutex<u64>,
    writes: Semaphore,
    reads: Semaphore,
}

impl FolderStore {
    /// Opens the folder and creates it where it is missing. Removes what dead processes left half
    /// written. Blocks.
    pub(crate) fn open(root: &FilePath) -> io::Result<Self> {
        Self::open_with(Arc::new(NativeFiles), root)
    }

    pub(crate) fn open_with(files: Arc<dyn FileOps>, root: &FilePath) -> io::Result<Self> {
        create_all(&*files, root)?;
        let locks_folder = root.join(LOCKS);
        let temporary_folder = root.join(TEMPORARY);
        create_all(&*files, &locks_folder)?;
        create_all(&*files, &temporary_folder)?;
        files.sync_dir(root)?;
        remove_abandoned(&*files, &temporary_folder)?;
        let temporary = temporary_folder.join(uuid::Uuid::new_v4().simple().to_string());
        files.create_dir(&temporary)?;
        let temporary_lock = files.open_lock(&temporary.join("lock"))?;
        temporary_lock.lock()?;
        let removals = files.open_lock(&locks_folder.join("removed-folders"))?;
        Ok(Self {
            inner: Arc::new(Inner {
                locks: Locks::open(&*files, &locks_folder)?,
                folders: Folders::new(Arc::clone(&files), root.to_owned(), removals)?,
                server_lock: files.open_lock(&locks_folder.join("server"))?,
                epoch: files.open_lock(&locks_folder.join("epoch"))?,
                files,
                root: root.to_owned(),
                temporary,
                temporary_lock,
                pending: Pending::default(),
                last_stamp: Mutex::new(0),
                writes: Semaphore::new(CONCURRENT_WRITES),
                reads: Semaphore::new(CONCURRENT_READS),
            }),
        })
    }

    /// Becomes the server of this folder until the store is dropped; `false` if there is one already.
    pub(crate) fn try_serve(&self) -> io::Result<bool> {
        self.inner.server_lock.try_lock()
    }

    /// [`Self::try_serve`] beside other tasks.
    pub(crate) async fn serve_alone(self) -> io::Result<bool> {
        let locked = tokio::task::spawn_blocking(move || self.try_serve()).await;
        locked.unwrap_or_else(|error| Err(io::Error::other(error)))
    }

    /// How often processes other than the server have written. Cheap: one system call.
    pub(crate) fn epoch(&self) -> io::Result<u64> {
        self.inner.epoch.counter()
    }

    /// Tells the server that something was written which it may have cached.
    pub(crate) fn bump_epoch(&self) -> io::Result<()> {
        self.inner.epoch.lock()?;
        let result = self.inner.epoch.bump();
        self.inner.epoch.unlock()?;
        result
    }

    /// Runs `work` in the blocking pool.
    async fn read<T: Send + 'static>(
        &self,
        location: &Path,
        work: impl FnOnce(&Inner) -> io::Result<T> + Send + 'static,
    ) -> object_store::Result<T> {
        let _permit = self.inner.reads.acquire().await.map_err(|_| closed())?;
        let inner = Arc::clone(&self.inner);
        let done = tokio::task::spawn_blocking(move || work(&inner)).await.map_err(panicked)?;
        done.map_err(|error| store_error(location, error))
    }

    /// Runs `work` in the blocking pool; it goes on to its end when the caller goes away.
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> object_store::Result<T> + Send + 'static,
    ) -> object_store::Result<T> {
        let _permit = self.inner.writes.acquire().await.map_err(|_| closed())?;
        let inner = Arc::clone(&self.inner);
        tokio::task::spawn_blocking(move || work(&inner)).await.map_err(panicked)?
    }
}

impl Inner {
    /// Where a key lies. Keys that the store keeps for itself, or that would leave it, are refused.
    fn file_path(&self, location: &Path) -> object_store::Result<PathBuf> {
        let refuse = |why: &'static str| object_store::Error::NotSupported {
            source: format!("{location}: {why}").into(),
        };
        let mut path = self.root.clone();
        for (index, part) in location.parts().enumerate() {
            let name = part.as_ref();
            if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\\', '\0']) {
                return Err(refuse("a part of the key cannot be a file's name"));
            }
            if index == 0 && is_reserved(name) {
                return Err(refuse("the key is reserved"));
            }
            path.push(name);
        }
        if path == self.root {
            return Err(refuse("the key is empty"));
        }
        Ok(path)
    }

    /// A time of modification that no other file of this process has.
    fn stamp(&self) -> SystemTime {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let mut last = self.last_stamp.lock();
        *last = now.max(last.saturating_add(1));
        UNIX_EPOCH.checked_add(Duration::from_nanos(*last)).unwrap_or(UNIX_EPOCH)
    }

    fn stat(&self, path: &FilePath) -> io::Result<Option<Stat>> {
        match self.files.stat(path) {
            Ok(stat) => Ok(Some(stat)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Best effort: the next process to open the folder removes what stays.
        let _unlocked = self.temporary_lock.unlock();
        remove_tree(&*self.files, &self.temporary);
    }
}

impl Display for FolderStore {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "folder {}", self.inner.root.display())
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ObjectStore for FolderStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> object_store::Result<PutResult> {
        let location = location.clone();
        self.write(move |inner| inner.put(&location, &payload, &options)).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        let in_place = options.extensions.get::<InPlace>().is_some();
        let upload = upload::FolderUpload::start(self.clone(), location.clone(), in_place).await?;
        Ok(Box::new(upload))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        read::get(self, location, options).await
    }

    async fn get_ranges(
        &self,
        location: &Path,
        ranges: &[std::ops::Range<u64>],
    ) -> object_store::Result<Vec<bytes::Bytes>> {
        read::get_ranges(self, location, ranges.to_vec()).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        let store = self.clone();
        locations
            .map(move |location| {
                let store = store.clone();
                async move {
                    let location = location?;
                    store
                        .write(move |inner| {
                            inner.delete(&location)?;
                            Ok(location)
                        })
                        .await
                }
            })
            .buffered(CONCURRENT_DELETES)
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        list::list(self.clone(), prefix.cloned(), None)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        list::list(self.clone(), prefix.cloned(), Some(offset.clone()))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        list::list_with_delimiter(self, prefix.cloned()).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> object_store::Result<()> {
        let mode = match options.mode {
            CopyMode::Overwrite => PutMode::Overwrite,
            CopyMode::Create => PutMode::Create,
        };
        let (from, to) = (from.clone(), to.clone());
        self.write(move |inner| inner.copy(&from, &to, &mode)).await
    }

    async fn rename_opts(
        &self,
        from: &Path,
        to: &Path,
        options: object_store::RenameOptions,
    ) -> object_store::Result<()> {
        let mode = match options.target_mode {
            object_store::RenameTargetMode::Overwrite => CopyMode::Overwrite,
            object_store::RenameTargetMode::Create => CopyMode::Create,
        };
        self.copy_opts(from, to, CopyOptions::new().with_mode(mode)).await?;
        let from = from.clone();
        let mut deleted = self.delete_stream(stream::once(async move { Ok(from) }).boxed());
        while let Some(result) = deleted.next().await {
            result?;
        }
        Ok(())
    }
}

fn is_reserved(first_segment: &str) -> bool {
    first_segment == TEMPORARY || first_segment == LOCKS
}

fn object_meta(location: Path, stat: &Stat) -> ObjectMeta {
    let nanos = i64::try_from(stat.modified_nanos).unwrap_or(i64::MAX);
    ObjectMeta {
        location,
        last_modified: DateTime::<Utc>::from_timestamp_nanos(nanos),
        size: stat.size,
        e_tag: Some(e_tag(stat)),
        version: None,
    }
}

fn e_tag(stat: &Stat) -> String {
    format!("\"{:x}-{:x}-{:x}\"", stat.identity, stat.modified_nanos, stat.size)
}

fn closed() -> object_store::Error {
    object_store::Error::Generic { store: "folder", source: "the store is closed".into() }
}

fn panicked(error: tokio::task::JoinError) -> object_store::Error {
    object_store::Error::Generic { store: "folder", source: Box::new(error) }
}

/// Says in `object_store`'s terms what went wrong; the I/O error stays its source.
fn store_error(location: &Path, error: io::Error) -> object_store::Error {
    let path = location.to_string();
    let source = Box::new(error);
    match source.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::IsADirectory => {
            object_store::Error::NotFound { path, source }
        }
        ErrorKind::PermissionDenied => object_store::Error::PermissionDenied { path, source },
        _ => object_store::Error::Generic { store: "folder", source },
    }
}

/// Creates a folder and its parents, each durable in its own parent.
fn create_all(files: &dyn FileOps, folder: &FilePath) -> io::Result<()> {
    if files.stat(folder).is_ok_and(|stat| stat.is_dir) {
        return Ok(());
    }
    let parent = match folder.parent() {
        Some(parent) if parent.as_os_str().is_empty() => FilePath::new("."),
        Some(parent) => {
            create_all(files, parent)?;
            parent
        }
        None => return Ok(()),
    };
    match files.create_dir(folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => files.sync_dir(parent),
    }
}

/// Removes the temporary files of processes that live no more.
fn remove_abandoned(files: &dyn FileOps, temporary: &FilePath) -> io::Result<()> {
    for entry in files.read_dir(temporary)? {
        let folder = temporary.join(&entry.name);
        if entry.is_dir
            && files.open_lock(&folder.join("lock")).is_ok_and(|lock| lock.try_lock().unwrap_or(false))
        {
            remove_tree(files, &folder);
        }
    }
    Ok(())
}

/// Removes a folder of temporary files; what cannot be removed stays for the next time.
fn remove_tree(files: &dyn FileOps, folder: &FilePath) {
    for entry in files.read_dir(folder).unwrap_or_default() {
        let _removed = files.remove_file(&folder.join(&entry.name));
    }
    let _removed = files.remove_dir(folder);
}
