//! Puts, copies and removals. Everything here blocks and runs in the blocking pool.

use std::{
    io::{self, ErrorKind},
    path::{Path as FilePath, PathBuf},
};

use object_store::{PutMode, PutOptions, PutPayload, PutResult, path::Path};

use super::{
    InPlace, Inner,
    dirs::Folders,
    e_tag,
    fs_ops::{OpenFile, Stat},
    store_error,
};

/// How often a put starts again because its folder was removed under it.
const ATTEMPTS: usize = 5;
const COPY_PIECE_BYTES: usize = 1024 * 1024;

impl Inner {
    pub(super) fn put(
        &self,
        location: &Path,
        payload: &PutPayload,
        options: &PutOptions,
    ) -> object_store::Result<PutResult> {
        let write = |file: &dyn OpenFile| {
            let mut offset = 0_u64;
            for piece in payload {
                file.write_all_at(piece, offset)?;
                offset = offset.saturating_add(piece.len() as u64);
            }
            Ok(())
        };
        let path = self.file_path(location)?;
        if options.extensions.get::<InPlace>().is_some() {
            return self.put_in_place(location, &path, write).map_err(|error| store_error(location, error));
        }
        // A hopeless condition costs no write.
        let current = self.stat(&path).map_err(|error| store_error(location, error))?;
        check_mode(location, &options.mode, current.as_ref())?;
        let temporary = self.write_temporary(write).map_err(|error| store_error(location, error))?;
        self.place(location, &path, temporary, &options.mode)
    }

    pub(super) fn copy(&self, from: &Path, to: &Path, mode: &PutMode) -> object_store::Result<()> {
        let source_path = self.file_path(from)?;
        let path = self.file_path(to)?;
        self.pending.wait(from.as_ref()).map_err(|error| store_error(from, error))?;
        let source = self.files.open(&source_path).map_err(|error| store_error(from, error))?;
        let temporary = self
            .write_temporary(|file| {
                let mut buffer = vec![0; COPY_PIECE_BYTES];
                let mut offset = 0_u64;
                loop {
                    let read = source.read_at(&mut buffer, offset)?;
                    let Some(piece) = buffer.get(..read).filter(|piece| !piece.is_empty()) else {
                        return Ok(());
                    };
                    file.write_all_at(piece, offset)?;
                    offset = offset.saturating_add(read as u64);
                }
            })
            .map_err(|error| store_error(to, error))?;
        self.place(to, &path, temporary, mode)?;
        Ok(())
    }

    /// Removes a key; that there is none is a success.
    pub(super) fn delete(&self, location: &Path) -> object_store::Result<()> {
        let path = self.file_path(location)?;
        self.delete_file(location.as_ref(), &path).map_err(|error| store_error(location, error))
    }

    fn delete_file(&self, key: &str, path: &FilePath) -> io::Result<()> {
        self.pending.check()?;
        let parent = path.parent().ok_or(ErrorKind::NotFound)?;
        let change = {
            let _held = self.locks.hold(key)?;
            let change = self.pending.begin(key);
            match self.files.remove_file(path) {
                Ok(()) => change,
                Err(error) => {
                    change.settle();
                    return match error.kind() {
                        // A folder is no object.
                        ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::IsADirectory => Ok(()),
                        ErrorKind::PermissionDenied if self.stat(path)?.is_some_and(|stat| stat.is_dir) => {
                            Ok(())
                        }
                        _ => Err(error),
                    };
                }
            }
        };
        self.folders.sync(&Folders::after_removal(parent), &self.locks, key)?;
        change.settle();
        self.folders.remove_empty(parent, &self.locks)
    }

    /// Writes and syncs a temporary file.
    pub(super) fn write_temporary(
        &self,
        write: impl FnOnce(&dyn OpenFile) -> io::Result<()>,
    ) -> io::Result<Temporary<'_>> {
        let (file, temporary) = self.create_temporary()?;
        write(&*file)?;
        self.finish_file(&*file)?;
        Ok(temporary)
    }

    /// Creates a temporary file that is removed unless it is placed.
    pub(super) fn create_temporary(&self) -> io::Result<(Box<dyn OpenFile>, Temporary<'_>)> {
        self.pending.check()?;
        let path = self.temporary_path();
        let file = self.files.create_new(&path)?;
        Ok((file, Temporary { inner: self, path }))
    }

    fn temporary_path(&self) -> PathBuf {
        self.temporary.join(uuid::Uuid::new_v4().simple().to_string())
    }

    /// A temporary file that was kept beyond its creation.
    pub(super) fn temporary_at(&self, path: PathBuf) -> Temporary<'_> {
        Temporary { inner: self, path }
    }

    /// Gives a written file its stamp and makes its content durable.
    pub(super) fn finish_file(&self, file: &dyn OpenFile) -> io::Result<Stat> {
        file.set_modified(self.stamp())?;
        file.sync()?;
        file.stat()
    }

    /// Moves a synced temporary file to its key, if the condition holds, and makes that durable.
    pub(super) fn place(
        &self,
        location: &Path,
        path: &FilePath,
        temporary: Temporary<'_>,
        mode: &PutMode,
    ) -> object_store::Result<PutResult> {
        let failed = |error| store_error(location, error);
        let parent = path.parent().ok_or(ErrorKind::NotFound).map_err(|kind| failed(kind.into()))?;
        let key = location.as_ref();
        let mut attempt = 0;
        let (unsynced, change, stat) = loop {
            attempt += 1;
            let _held = self.locks.hold(key).map_err(failed)?;
            let current = self.stat(path).map_err(failed)?;
            check_mode(location, mode, current.as_ref())?;
            if current.is_some_and(|stat| stat.is_dir) {
                return Err(failed(io::Error::other("other keys lie below this key")));
            }
            let unsynced = self.folders.prepare(parent).map_err(failed)?;
            let stat = self.files.stat(&temporary.path).map_err(failed)?;
            let change = self.pending.begin(key);
            match self.files.rename(&temporary.path, path) {
                Ok(()) => break (unsynced, change, stat),
                Err(error) => {
                    change.settle();
                    if error.kind() != ErrorKind::NotFound || attempt >= ATTEMPTS {
                        return Err(failed(error));
                    }
                    self.folders.forget_all();
                }
            }
        };
        temporary.placed();
        self.folders.sync(&unsynced, &self.locks, key).map_err(failed)?;
        change.settle();
        Ok(PutResult {
            e_tag: Some(e_tag(&stat)),
            version: None,
            extensions: object_store::Extensions::default(),
        })
    }

    fn put_in_place(
        &self,
        location: &Path,
        path: &FilePath,
        write: impl FnOnce(&dyn OpenFile) -> io::Result<()>,
    ) -> io::Result<PutResult> {
        let (file, unsynced) = self.create_in_place(location, path)?;
        let written = write(&*file).and_then(|()| self.finish_file(&*file));
        match written {
            Ok(stat) => {
                self.folders.sync(&unsynced, &self.locks, location.as_ref())?;
                Ok(PutResult {
                    e_tag: Some(e_tag(&stat)),
                    version: None,
                    extensions: object_store::Extensions::default(),
                })
            }
            Err(error) => {
                let _removed = self.files.remove_file(path);
                Err(error)
            }
        }
    }

    /// Creates a file where it stays. Nobody can be waiting for the key: only its writer knows it.
    pub(super) fn create_in_place(
        &self,
        location: &Path,
        path: &FilePath,
    ) -> io::Result<(Box<dyn OpenFile>, super::dirs::Unsynced)> {
        self.pending.check()?;
        let parent = path.parent().ok_or(ErrorKind::NotFound)?;
        let mut attempt = 0;
        loop {
            attempt += 1;
            let _held = self.locks.hold(location.as_ref())?;
            let unsynced = self.folders.prepare(parent)?;
            match self.files.create_new(path) {
                Ok(file) => return Ok((file, unsynced)),
                Err(error) if error.kind() == ErrorKind::NotFound && attempt < ATTEMPTS => {
                    self.folders.forget_all();
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// A temporary file; it is removed when dropped unless it was placed.
#[derive(Debug)]
#[must_use]
pub(super) struct Temporary<'a> {
    inner: &'a Inner,
    path: PathBuf,
}

impl Temporary<'_> {
    fn placed(self) {
        self.keep();
    }

    /// Leaves the file to the caller.
    pub(super) fn keep(mut self) -> PathBuf {
        std::mem::take(&mut self.path)
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if !self.path.as_os_str().is_empty()
            && let Err(error) = self.inner.files.remove_file(&self.path)
        {
            tracing::debug!(path = %self.path.display(), error = %error, "a temporary file stays until the next start");
        }
    }
}

fn check_mode(location: &Path, mode: &PutMode, current: Option<&Stat>) -> object_store::Result<()> {
    let path = location.to_string();
    match (mode, current) {
        (PutMode::Overwrite, _) | (PutMode::Create, None) => Ok(()),
        (PutMode::Create, Some(_)) => {
            Err(object_store::Error::AlreadyExists { path, source: "there is such a file".into() })
        }
        (PutMode::Update(expected), Some(current)) if expected.e_tag.as_deref() == Some(&e_tag(current)) => {
            Ok(())
        }
        (PutMode::Update(_), current) => {
            let now = current.map_or_else(|| "absent".to_owned(), e_tag);
            Err(object_store::Error::Precondition { path, source: format!("the file is {now} now").into() })
        }
    }
}
