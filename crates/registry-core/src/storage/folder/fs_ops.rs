//! The one seam through which the folder store touches a file system.
//!
//! Nothing else in this module calls `std::fs`, so that a test can put a model of a disk in its place
//! which forgets what was not synced (see `crash_model`).

use std::{
    fmt::Debug,
    fs,
    io::{self, ErrorKind, Seek as _, SeekFrom},
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// What the store asks of a file system. All calls block; callers run them in the blocking pool.
pub(crate) trait FileOps: Debug + Send + Sync + 'static {
    /// Creates a file that must not exist yet, open for writing.
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn OpenFile>>;
    /// Opens an existing file for reading. A folder is an error.
    fn open(&self, path: &Path) -> io::Result<Box<dyn OpenFile>>;
    /// Size, time and identity of a file or folder, without following it anywhere.
    fn stat(&self, path: &Path) -> io::Result<Stat>;
    /// Moves a file over whatever is at `to`.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file's name.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Creates one folder; its parent must exist.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// Removes an empty folder.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;
    /// Makes the entries of a folder durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// The entries of a folder, in no order. Names that are not UTF-8 are left out.
    fn read_dir(&self, path: &Path) -> io::Result<Vec<Entry>>;
    /// Opens (and creates where missing) a file that serves as a lock or a counter.
    fn open_lock(&self, path: &Path) -> io::Result<Box<dyn LockFile>>;
}

/// An open file.
pub(crate) trait OpenFile: Debug + Send + Sync {
    /// Fills as much of `buffer` as the file holds from `offset` on.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Reads what the system has in memory, without waiting for a disk: how many bytes of `buffer` were filled, maybe none.
    fn read_at_hand(&self, buffer: &mut [u8], offset: u64) -> usize;
    /// Writes all of `data` at `offset`.
    fn write_all_at(&self, data: &[u8], offset: u64) -> io::Result<()>;
    /// Asks the system to begin writing these bytes to the disk, and does not wait: a hint, which makes nothing durable.
    fn begin_writeback(&self, offset: u64, length: u64);
    /// Sets the time of modification, which the store uses as a unique stamp.
    fn set_modified(&self, at: SystemTime) -> io::Result<()>;
    /// Makes content and metadata durable (not the file's name).
    fn sync(&self) -> io::Result<()>;
    /// Size, time and identity.
    fn stat(&self) -> io::Result<Stat>;
}

/// A file that processes lock against each other and whose length is a counter that all of them see.
pub(crate) trait LockFile: Debug + Send + Sync {
    /// Waits for the exclusive lock.
    fn lock(&self) -> io::Result<()>;
    /// Takes the exclusive lock if nobody has it.
    fn try_lock(&self) -> io::Result<bool>;
    /// Gives the lock back.
    fn unlock(&self) -> io::Result<()>;
    /// Adds one to the counter. The caller holds a lock that orders this.
    fn bump(&self) -> io::Result<()>;
    /// Reads the counter.
    fn counter(&self) -> io::Result<u64>;
}

/// What a file system knows about a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) size: u64,
    /// Nanoseconds since 1970; the store's stamp for files that it wrote.
    pub(crate) modified_nanos: u64,
    /// The inode's number where there is one, otherwise 0.
    pub(crate) identity: u64,
    pub(crate) is_dir: bool,
}

/// One name in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) is_dir: bool,
}

/// The machine's own file system.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NativeFiles;

impl FileOps for NativeFiles {
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn OpenFile>> {
        let file = fs::OpenOptions::new().write(true).create_new(true).open(path)?;
        Ok(Box::new(NativeFile(file)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn OpenFile>> {
        Ok(Box::new(NativeFile(fs::File::open(path)?)))
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        Ok(stat_of(&fs::symlink_metadata(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        fs::create_dir(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    #[cfg(unix)]
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        fs::File::open(path)?.sync_all()
    }

    /// Elsewhere a folder cannot be opened as a file; such systems order their metadata themselves.
    #[cfg(not(unix))]
    fn sync_dir(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            entries.push(Entry { name, is_dir: entry.file_type()?.is_dir() });
        }
        Ok(entries)
    }

    fn open_lock(&self, path: &Path) -> io::Result<Box<dyn LockFile>> {
        let file = fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        Ok(Box::new(NativeLock(file)))
    }
}

#[derive(Debug)]
struct NativeFile(fs::File);

impl OpenFile for NativeFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..)
            && !rest.is_empty()
        {
            match read_some_at(&self.0, rest, offset.saturating_add(filled as u64)) {
                Ok(0) => break,
                Ok(read) => filled = filled.saturating_add(read),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    #[cfg(target_os = "linux")]
    fn read_at_hand(&self, buffer: &mut [u8], offset: u64) -> usize {
        let mut pieces = [io::IoSliceMut::new(buffer)];
        // A file system that cannot tell, and an end that was reached, leave it to the read that waits.
        rustix::io::preadv2(&self.0, &mut pieces, offset, rustix::io::ReadWriteFlags::NOWAIT).unwrap_or(0)
    }

    #[cfg(not(target_os = "linux"))]
    fn read_at_hand(&self, _buffer: &mut [u8], _offset: u64) -> usize {
        0
    }

    #[cfg(unix)]
    fn write_all_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::write_all_at(&self.0, data, offset)
    }

    #[cfg(windows)]
    fn write_all_at(&self, mut data: &[u8], mut offset: u64) -> io::Result<()> {
        while !data.is_empty() {
            let written = std::os::windows::fs::FileExt::seek_write(&self.0, data, offset)?;
            if written == 0 {
                return Err(ErrorKind::WriteZero.into());
            }
            data = data.get(written..).unwrap_or_default();
            offset = offset.saturating_add(written as u64);
        }
        Ok(())
    }

    #[cfg(target_os = "linux")]
    fn begin_writeback(&self, offset: u64, length: u64) {
        // Linux writes dirty pages out before it can forget them, and forgets none that it is still writing.
        let length = std::num::NonZeroU64::new(length);
        let _ = rustix::fs::fadvise(&self.0, offset, length, rustix::fs::Advice::DontNeed);
    }

    #[cfg(not(target_os = "linux"))]
    fn begin_writeback(&self, _offset: u64, _length: u64) {}

    fn set_modified(&self, at: SystemTime) -> io::Result<()> {
        self.0.set_modified(at)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_all()
    }

    fn stat(&self) -> io::Result<Stat> {
        Ok(stat_of(&self.0.metadata()?))
    }
}

#[cfg(unix)]
fn read_some_at(file: &fs::File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, offset)
}

#[cfg(windows)]
fn read_some_at(file: &fs::File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, offset)
}

fn stat_of(metadata: &fs::Metadata) -> Stat {
    let modified = metadata.modified().unwrap_or(UNIX_EPOCH);
    let since_epoch = modified.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    #[cfg(unix)]
    let identity = std::os::unix::fs::MetadataExt::ino(metadata);
    #[cfg(not(unix))]
    let identity = 0;
    Stat {
        size: metadata.len(),
        modified_nanos: u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX),
        identity,
        is_dir: metadata.is_dir(),
    }
}

#[derive(Debug)]
struct NativeLock(fs::File);

impl LockFile for NativeLock {
    fn lock(&self) -> io::Result<()> {
        self.0.lock()
    }

    fn try_lock(&self) -> io::Result<bool> {
        match self.0.try_lock() {
            Ok(()) => Ok(true),
            Err(fs::TryLockError::WouldBlock) => Ok(false),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }

    fn unlock(&self) -> io::Result<()> {
        self.0.unlock()
    }

    fn bump(&self) -> io::Result<()> {
        let next = self.counter()?.saturating_add(1);
        self.0.set_len(next)
    }

    fn counter(&self) -> io::Result<u64> {
        // The cheapest question that tells a file's length: it is asked for every document that is read.
        (&self.0).seek(SeekFrom::End(0))
    }
}
