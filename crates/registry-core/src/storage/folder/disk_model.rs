//! A disk in memory that forgets what was not synced.
//!
//! Everything done to it is recorded. From the record up to any moment, [`DiskModel::after_crash`] builds a disk as a power
//! cut at that moment could leave it: what was synced is there, and of the rest any part may be, in any order. Writes of
//! one file are as independent of each other as names in different folders, or two names in one.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    io::{self, ErrorKind},
    path::{Component, Path},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use parking_lot::Mutex;

use super::fs_ops::{Entry, FileOps, LockFile, OpenFile, Stat};

/// Where the disk's root is.
pub(crate) const ROOT: &str = "/";

type Inode = usize;

/// What a sync makes durable, by why it is needed. A test takes one away and has to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The content of a file that will be renamed to its place.
    TemporaryContent,
    /// The content of a file that was created where it stays.
    ContentInPlace,
    /// The name that a rename made.
    RenamedName,
    /// The name of a file that was created where it stays.
    NameInPlace,
    /// The name of a new folder.
    FolderName,
    /// A name's absence.
    RemovedName,
}

impl Kind {
    pub(crate) const ALL: [Self; 6] = [
        Self::TemporaryContent,
        Self::ContentInPlace,
        Self::RenamedName,
        Self::NameInPlace,
        Self::FolderName,
        Self::RemovedName,
    ];
}

/// One thing that happened; `A` is what the test notes.
#[derive(Clone, Debug)]
enum Event<A> {
    Changed(Change),
    /// What `inode` had when the record was `began` long is durable.
    Synced {
        inode: Inode,
        began: usize,
    },
    Noted(A),
}

#[derive(Clone, Debug)]
struct Change {
    kind: Kind,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    Content { file: Inode, offset: usize, bytes: Bytes },
    Name { folder: Inode, name: String, now: Option<Inode> },
}

impl Change {
    fn inode(&self) -> Inode {
        match self.what {
            What::Content { file, .. } => file,
            What::Name { folder, .. } => folder,
        }
    }
}

/// The disk.
#[derive(Debug)]
pub(crate) struct DiskModel<A>(Arc<Mutex<State<A>>>);

impl<A> Clone for DiskModel<A> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

#[derive(Debug)]
struct State<A> {
    nodes: Vec<Node>,
    counters: HashMap<String, Arc<Mutex<u64>>>,
    record: Vec<Event<A>>,
}

#[derive(Clone, Debug)]
enum Node {
    File { content: Vec<u8>, modified_nanos: u64, temporary: bool },
    Folder(BTreeMap<String, Inode>),
}

/// Everything that happened to a disk.
#[derive(Clone, Debug)]
pub(crate) struct Record<A> {
    events: Vec<Event<A>>,
    /// The inodes that are folders.
    folders: HashSet<Inode>,
}

impl<A: Clone> Record<A> {
    pub(crate) fn len(&self) -> usize {
        self.events.len()
    }

    /// What was noted before a moment.
    pub(crate) fn noted(&self, moment: usize) -> Vec<A> {
        self.events[..moment]
            .iter()
            .filter_map(|event| match event {
                Event::Noted(note) => Some(note.clone()),
                Event::Changed(_) | Event::Synced { .. } => None,
            })
            .collect()
    }

    /// The changes before a moment that no sync covers, `without` being a kind that no sync covers at all.
    pub(crate) fn uncertain(&self, moment: usize, without: Option<Kind>) -> Vec<usize> {
        let mut synced: HashMap<Inode, usize> = HashMap::new();
        for event in &self.events[..moment] {
            if let Event::Synced { inode, began } = event {
                let until = synced.entry(*inode).or_default();
                *until = (*until).max(*began);
            }
        }
        let covered =
            |at: usize, change: &Change| synced.get(&change.inode()).is_some_and(|until| at < *until);
        self.events[..moment]
            .iter()
            .enumerate()
            .filter_map(|(at, event)| match event {
                Event::Changed(change) if without == Some(change.kind) || !covered(at, change) => Some(at),
                _ => None,
            })
            .collect()
    }

    /// Describes what happened just before a moment.
    pub(crate) fn tail(&self, moment: usize) -> String
    where
        A: std::fmt::Debug,
    {
        let from = moment.saturating_sub(30);
        self.events[from..moment]
            .iter()
            .enumerate()
            .map(|(at, event)| match event {
                Event::Changed(Change { kind, what: What::Content { file, offset, bytes } }) => {
                    format!("{:5} {kind:?}: {} bytes at {offset} of {file}\n", from + at, bytes.len())
                }
                event => format!("{:5} {event:?}\n", from + at),
            })
            .collect()
    }
}

impl<A: Clone + Send + std::fmt::Debug + 'static> DiskModel<A> {
    pub(crate) fn new() -> Self {
        let nodes = vec![Node::Folder(BTreeMap::new())];
        Self(Arc::new(Mutex::new(State { nodes, counters: HashMap::new(), record: Vec::new() })))
    }

    /// Notes something at this moment of the record, such as an answer to a client.
    pub(crate) fn note(&self, note: A) {
        self.0.lock().record.push(Event::Noted(note));
    }

    pub(crate) fn record(&self) -> Record<A> {
        let state = self.0.lock();
        let is_folder = |inode: &Inode| matches!(state.nodes[*inode], Node::Folder(_));
        Record { events: state.record.clone(), folders: (0..state.nodes.len()).filter(is_folder).collect() }
    }

    /// The disk after a power cut at a moment, when all changes but those in `lost` arrived.
    pub(crate) fn after_crash(record: &Record<A>, moment: usize, lost: &[usize]) -> Self {
        let disk = Self::new();
        {
            let mut state = disk.0.lock();
            for (at, event) in record.events[..moment].iter().enumerate() {
                let Event::Changed(change) = event else { continue };
                if lost.binary_search(&at).is_err() {
                    state.replay(&change.what, &record.folders);
                }
            }
            state.forget_unreachable();
        }
        disk
    }

    /// Tells two disks apart.
    pub(crate) fn fingerprint(&self) -> u64 {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        let state = self.0.lock();
        state.visit(0, &mut |name, content| (name, content).hash(&mut hasher));
        hasher.finish()
    }
}

impl<A> State<A> {
    fn replay(&mut self, what: &What, folders: &HashSet<Inode>) {
        let highest = match what {
            What::Content { file, .. } => *file,
            What::Name { folder, now, .. } => (*folder).max(now.unwrap_or(0)),
        };
        while self.nodes.len() <= highest {
            let inode = self.nodes.len();
            self.nodes.push(if folders.contains(&inode) {
                Node::Folder(BTreeMap::new())
            } else {
                Node::File { content: Vec::new(), modified_nanos: inode as u64, temporary: false }
            });
        }
        match what {
            What::Content { file, offset, bytes } => self.write(*file, *offset, bytes),
            What::Name { folder, name, now } => self.set_name(*folder, name, *now),
        }
    }

    fn forget_unreachable(&mut self) {
        let mut reachable = vec![false; self.nodes.len()];
        let mut queue = vec![0];
        while let Some(inode) = queue.pop() {
            reachable[inode] = true;
            if let Node::Folder(names) = &self.nodes[inode] {
                queue.extend(names.values().copied());
            }
        }
        for (node, reachable) in self.nodes.iter_mut().zip(reachable) {
            if !reachable {
                *node = Node::Folder(BTreeMap::new());
            }
        }
    }

    fn visit(&self, inode: Inode, seen: &mut impl FnMut(&str, &[u8])) {
        if let Node::Folder(names) = &self.nodes[inode] {
            for (name, inode) in names {
                match &self.nodes[*inode] {
                    Node::File { content, .. } => seen(name, content),
                    Node::Folder(_) => {
                        seen(name, b"folder");
                        self.visit(*inode, seen);
                        seen(name, b"end");
                    }
                }
            }
        }
    }

    fn write(&mut self, file: Inode, offset: usize, bytes: &[u8]) {
        if let Node::File { content, .. } = &mut self.nodes[file] {
            let end = offset + bytes.len();
            if content.len() < end {
                content.resize(end, 0);
            }
            content[offset..end].copy_from_slice(bytes);
        }
    }

    fn set_name(&mut self, folder: Inode, name: &str, now: Option<Inode>) {
        if let Node::Folder(names) = &mut self.nodes[folder] {
            match now {
                Some(inode) => names.insert(name.to_owned(), inode),
                None => names.remove(name),
            };
        }
    }

    fn change(&mut self, kind: Kind, what: What) {
        match &what {
            What::Content { file, offset, bytes } => self.write(*file, *offset, bytes),
            What::Name { folder, name, now } => self.set_name(*folder, name, *now),
        }
        self.record.push(Event::Changed(Change { kind, what }));
    }

    fn find(&self, path: &Path) -> io::Result<Inode> {
        path.components().try_fold(0, |inode, part| match part {
            Component::Normal(name) => match &self.nodes[inode] {
                Node::Folder(names) => {
                    names.get(&*name.to_string_lossy()).copied().ok_or_else(|| ErrorKind::NotFound.into())
                }
                Node::File { .. } => Err(ErrorKind::NotADirectory.into()),
            },
            _ => Ok(inode),
        })
    }

    /// The folder and name of a path, and what is there.
    fn place(&self, path: &Path) -> io::Result<(Inode, String, Option<Inode>)> {
        let folder = self.find(path.parent().unwrap())?;
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        match &self.nodes[folder] {
            Node::Folder(names) => {
                let there = names.get(&name).copied();
                Ok((folder, name, there))
            }
            Node::File { .. } => Err(ErrorKind::NotADirectory.into()),
        }
    }

    fn stat(&self, inode: Inode) -> Stat {
        let (size, modified_nanos, is_dir) = match &self.nodes[inode] {
            Node::File { content, modified_nanos, .. } => (content.len() as u64, *modified_nanos, false),
            Node::Folder(_) => (0, 0, true),
        };
        Stat { size, modified_nanos, identity: inode as u64, is_dir }
    }
}

impl<A: Clone + Send + std::fmt::Debug + 'static> DiskModel<A> {
    /// A sync covers what was there when it began, from when it ends on.
    fn sync(&self, inode: Inode) {
        let began = self.0.lock().record.len();
        // Time for others to do something that this sync does not cover, now long and now short.
        let micros = (began as u64).wrapping_mul(2_654_435_761) % 1_000;
        std::thread::sleep(Duration::from_micros(micros));
        self.0.lock().record.push(Event::Synced { inode, began });
    }
}

impl<A: Clone + Send + std::fmt::Debug + 'static> FileOps for DiskModel<A> {
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn OpenFile>> {
        let mut state = self.0.lock();
        let (folder, name, there) = state.place(path)?;
        if there.is_some() {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let temporary = path.components().any(|part| part.as_os_str() == super::TEMPORARY);
        let inode = state.nodes.len();
        state.nodes.push(Node::File { content: Vec::new(), modified_nanos: 0, temporary });
        // Nothing depends on a temporary file's name.
        let kind = if temporary { Kind::RemovedName } else { Kind::NameInPlace };
        state.change(kind, What::Name { folder, name, now: Some(inode) });
        Ok(Box::new(ModelFile { disk: self.clone(), inode }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn OpenFile>> {
        let inode = self.0.lock().find(path)?;
        Ok(Box::new(ModelFile { disk: self.clone(), inode }))
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        let state = self.0.lock();
        Ok(state.stat(state.find(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        let (from_folder, from_name, moved) = state.place(from)?;
        let (folder, name, _) = state.place(to)?;
        let moved = moved.ok_or(ErrorKind::NotFound)?;
        state.change(Kind::RenamedName, What::Name { folder, name, now: Some(moved) });
        state.change(Kind::RemovedName, What::Name { folder: from_folder, name: from_name, now: None });
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        let (folder, name, there) = state.place(path)?;
        match there.map(|inode| state.stat(inode).is_dir) {
            None => Err(ErrorKind::NotFound.into()),
            Some(true) => Err(ErrorKind::IsADirectory.into()),
            Some(false) => {
                state.change(Kind::RemovedName, What::Name { folder, name, now: None });
                Ok(())
            }
        }
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        let (folder, name, there) = state.place(path)?;
        if there.is_some() {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let inode = state.nodes.len();
        state.nodes.push(Node::Folder(BTreeMap::new()));
        state.change(Kind::FolderName, What::Name { folder, name, now: Some(inode) });
        Ok(())
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        let (folder, name, there) = state.place(path)?;
        match &state.nodes[there.ok_or(ErrorKind::NotFound)?] {
            Node::Folder(names) if names.is_empty() => {
                state.change(Kind::RemovedName, What::Name { folder, name, now: None });
                Ok(())
            }
            Node::Folder(_) => Err(ErrorKind::DirectoryNotEmpty.into()),
            Node::File { .. } => Err(ErrorKind::NotADirectory.into()),
        }
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let inode = self.0.lock().find(path)?;
        self.sync(inode);
        Ok(())
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let state = self.0.lock();
        match &state.nodes[state.find(path)?] {
            Node::Folder(names) => Ok(names
                .iter()
                .map(|(name, inode)| Entry { name: name.clone(), is_dir: state.stat(*inode).is_dir })
                .collect()),
            Node::File { .. } => Err(ErrorKind::NotADirectory.into()),
        }
    }

    fn open_lock(&self, path: &Path) -> io::Result<Box<dyn LockFile>> {
        let mut state = self.0.lock();
        let counter = state.counters.entry(path.display().to_string()).or_default();
        Ok(Box::new(ModelLock(Arc::clone(counter))))
    }
}

#[derive(Debug)]
struct ModelFile<A: Clone + Send + std::fmt::Debug + 'static> {
    disk: DiskModel<A>,
    inode: Inode,
}

impl<A: Clone + Send + std::fmt::Debug + 'static> OpenFile for ModelFile<A> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        match &self.disk.0.lock().nodes[self.inode] {
            Node::File { content, .. } => {
                let rest = content.get(usize::try_from(offset).unwrap()..).unwrap_or_default();
                let length = rest.len().min(buffer.len());
                buffer[..length].copy_from_slice(&rest[..length]);
                Ok(length)
            }
            Node::Folder(_) => Err(ErrorKind::IsADirectory.into()),
        }
    }

    /// Half of what is asked for, so that reads have to be put together.
    fn read_at_hand(&self, buffer: &mut [u8], offset: u64) -> usize {
        let half = buffer.len() / 2;
        self.read_at(&mut buffer[..half], offset).unwrap_or(0)
    }

    fn write_all_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.0.lock();
        let temporary = matches!(state.nodes[self.inode], Node::File { temporary: true, .. });
        let kind = if temporary { Kind::TemporaryContent } else { Kind::ContentInPlace };
        let offset = usize::try_from(offset).unwrap();
        let bytes = Bytes::copy_from_slice(data);
        state.change(kind, What::Content { file: self.inode, offset, bytes });
        Ok(())
    }

    /// The model may write any time what is not synced, so the hint says nothing new.
    fn begin_writeback(&self, _offset: u64, _length: u64) {}

    fn set_modified(&self, at: SystemTime) -> io::Result<()> {
        if let Node::File { modified_nanos, .. } = &mut self.disk.0.lock().nodes[self.inode] {
            *modified_nanos = u64::try_from(at.duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap();
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.sync(self.inode);
        Ok(())
    }

    fn stat(&self) -> io::Result<Stat> {
        Ok(self.disk.0.lock().stat(self.inode))
    }
}

/// Locks between processes: there is one process, and its threads have locks of their own.
#[derive(Debug)]
struct ModelLock(Arc<Mutex<u64>>);

impl LockFile for ModelLock {
    fn lock(&self) -> io::Result<()> {
        Ok(())
    }

    fn try_lock(&self) -> io::Result<bool> {
        Ok(true)
    }

    fn unlock(&self) -> io::Result<()> {
        Ok(())
    }

    fn bump(&self) -> io::Result<()> {
        *self.0.lock() += 1;
        Ok(())
    }

    fn counter(&self) -> io::Result<u64> {
        Ok(*self.0.lock())
    }
}
