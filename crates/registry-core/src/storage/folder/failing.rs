//! The machine's file system with faults, for tests.

use std::{
    io::{self, ErrorKind},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::SystemTime,
};

use super::fs_ops::{Entry, FileOps, LockFile, NativeFiles, OpenFile, Stat};

/// Fails as it is told.
#[derive(Debug)]
pub(crate) struct FailingFiles(Arc<AtomicU8>);

impl FailingFiles {
    pub(crate) const FINE: u8 = 0;
    /// No byte can be written.
    pub(crate) const FULL: u8 = 1;
    /// Folders cannot be synced.
    pub(crate) const FOLDERS_DO_NOT_SYNC: u8 = 2;

    /// A file system without faults, and what sets them.
    pub(crate) fn new() -> (Self, Arc<AtomicU8>) {
        let fault = Arc::new(AtomicU8::new(Self::FINE));
        (Self(Arc::clone(&fault)), fault)
    }

    fn has(&self, fault: u8) -> bool {
        self.0.load(Ordering::SeqCst) == fault
    }
}

impl FileOps for FailingFiles {
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn OpenFile>> {
        let file = NativeFiles.create_new(path)?;
        Ok(Box::new(FailingFile { file, fault: Arc::clone(&self.0) }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn OpenFile>> {
        NativeFiles.open(path)
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        NativeFiles.stat(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        NativeFiles.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        NativeFiles.remove_file(path)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        NativeFiles.create_dir(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        NativeFiles.remove_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        if self.has(Self::FOLDERS_DO_NOT_SYNC) {
            return Err(io::Error::other("the device does not answer"));
        }
        NativeFiles.sync_dir(path)
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<Entry>> {
        NativeFiles.read_dir(path)
    }

    fn open_lock(&self, path: &Path) -> io::Result<Box<dyn LockFile>> {
        NativeFiles.open_lock(path)
    }
}

#[derive(Debug)]
struct FailingFile {
    file: Box<dyn OpenFile>,
    fault: Arc<AtomicU8>,
}

impl OpenFile for FailingFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }

    fn read_at_hand(&self, buffer: &mut [u8], offset: u64) -> usize {
        self.file.read_at_hand(buffer, offset)
    }

    fn write_all_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        if self.fault.load(Ordering::SeqCst) == FailingFiles::FULL {
            return Err(ErrorKind::StorageFull.into());
        }
        self.file.write_all_at(data, offset)
    }

    fn begin_writeback(&self, offset: u64, length: u64) {
        self.file.begin_writeback(offset, length);
    }

    fn set_modified(&self, at: SystemTime) -> io::Result<()> {
        self.file.set_modified(at)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    fn stat(&self) -> io::Result<Stat> {
        self.file.stat()
    }
}
