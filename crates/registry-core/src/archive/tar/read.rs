//! The reader of a tar that comes in pieces.

use super::{
    Contents, Entry, Kind, LinkRule, Take, TarError, TarLimits, TarRules, Visitor,
    header::{self, BLOCK, Header},
};
use crate::archive::{Kept, links::Links, name};

/// Reads a tar piece by piece.
pub(super) struct Tar<V> {
    limits: TarLimits,
    rules: TarRules,
    visitor: V,
    links: Links,
    seen: u64,
    /// Header blocks, extended ones included: they are work too.
    headers: u64,
    /// How many entries were chosen to be kept.
    kept: usize,
    contents: Contents,
    state: State,
    next: Next,
}

/// What extended headers gave to the next entry.
#[derive(Default)]
struct Next {
    name: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
    size: Option<u64>,
    sparse: bool,
}

enum State {
    /// Collecting a header block.
    Header(Vec<u8>),
    /// In an entry's bytes: how many are left, then how much padding.
    Data { left: u64, padding: u64, content: Content },
    /// After the end mark.
    Ended,
}

/// What an entry's bytes are.
enum Content {
    Extended(Vec<u8>),
    /// A pax header for all entries that follow.
    Global(Vec<u8>),
    LongName(Vec<u8>),
    LongTarget(Vec<u8>),
    Kept(Kept),
    Passed,
    Skipped,
}

impl<V> Tar<V> {
    pub(super) fn new(limits: TarLimits, rules: TarRules, visitor: V) -> Self {
        Self {
            limits,
            rules,
            visitor,
            links: Links::default(),
            seen: 0,
            headers: 0,
            kept: 0,
            contents: Contents::default(),
            state: State::Header(Vec::new()),
            next: Next::default(),
        }
    }

    /// Unpacked bytes so far.
    pub(super) fn seen(&self) -> u64 {
        self.seen
    }
}

impl<V: Visitor> Tar<V> {
    /// What was there, if the archive may end here: some writers leave out the end mark, and the last padding with it.
    pub(super) fn finish(mut self) -> Result<(Contents, V), TarError> {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Ended => {}
            State::Header(block) if block.is_empty() && self.headers > 0 => {}
            State::Data { left: 0, content, .. } => self.read_whole(content)?,
            _ => return Err(TarError::Malformed("it ends early")),
        }
        Ok((self.contents, self.visitor))
    }

    pub(super) fn read(&mut self, mut piece: &[u8]) -> Result<(), TarError> {
        self.seen = self.seen.saturating_add(piece.len() as u64);
        if self.seen > self.limits.unpacked_bytes {
            return Err(TarError::TooLarge { limit: self.limits.unpacked_bytes });
        }
        while !piece.is_empty() {
            match &mut self.state {
                State::Ended => {
                    if self.rules.exact && piece.iter().any(|&byte| byte != 0) {
                        return Err(TarError::Malformed("something follows its end"));
                    }
                    return Ok(());
                }
                State::Header(block) => {
                    let take = piece.len().min(BLOCK.saturating_sub(block.len()));
                    let (head, rest) = piece.split_at(take);
                    block.extend_from_slice(head);
                    piece = rest;
                    if block.len() == BLOCK {
                        let block = std::mem::take(block);
                        self.header(&block)?;
                    }
                }
                State::Data { left, padding, content } => {
                    let take = usize::try_from(*left).map_or(piece.len(), |left| left.min(piece.len()));
                    let (data, rest) = piece.split_at(take);
                    match content {
                        Content::Extended(kept)
                        | Content::Global(kept)
                        | Content::LongName(kept)
                        | Content::LongTarget(kept)
                        | Content::Kept(Kept { bytes: kept, .. }) => kept.extend_from_slice(data),
                        Content::Passed if !data.is_empty() => self.visitor.piece(data)?,
                        Content::Passed | Content::Skipped => {}
                    }
                    *left -= take as u64;
                    let skip = if *left == 0 {
                        usize::try_from(*padding).unwrap_or(BLOCK).min(rest.len())
                    } else {
                        0
                    };
                    *padding -= skip as u64;
                    piece = rest.get(skip..).unwrap_or_default();
                    if *left == 0 && *padding == 0 {
                        let content = std::mem::replace(content, Content::Skipped);
                        self.state = State::Header(Vec::with_capacity(BLOCK));
                        self.read_whole(content)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn header(&mut self, block: &[u8]) -> Result<(), TarError> {
        let Some(header) = Header::parse(block)? else {
            self.state = State::Ended;
            return Ok(());
        };
        self.headers = self.headers.saturating_add(1);
        if self.headers > self.limits.entries {
            return Err(TarError::TooMany { limit: self.limits.entries });
        }
        let size = header.size()?;
        let (size, content) = match header.flag() {
            flag @ (b'x' | b'g' | b'L' | b'K') => {
                if size > self.limits.header_bytes {
                    return Err(TarError::Malformed("an extended header is too large"));
                }
                let content = match flag {
                    b'x' => Content::Extended(Vec::new()),
                    b'g' => Content::Global(Vec::new()),
                    b'L' => Content::LongName(Vec::new()),
                    _ => Content::LongTarget(Vec::new()),
                };
                (size, content)
            }
            _ => self.entry(header, size)?,
        };
        if size == 0 {
            self.state = State::Header(Vec::with_capacity(BLOCK));
            return self.read_whole(content);
        }
        let padding = (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64;
        self.state = State::Data { left: size, padding, content };
        Ok(())
    }

    /// Judges an entry: how many bytes follow, and what becomes of them.
    fn entry(&mut self, header: Header<'_>, header_size: u64) -> Result<(u64, Content), TarError> {
        let next = std::mem::take(&mut self.next);
        let size = next.size.unwrap_or(header_size);
        let path = next.name.unwrap_or_else(|| header.name());
        let target = next.target.unwrap_or_else(|| header.target().to_vec());
        let refuse = |what| TarError::Entry { path: name::shown(&path), what };
        let mut kind = header::kind(header.flag(), &path);
        if next.sparse {
            kind = Kind::Other;
        }
        // Links, devices and folders have no bytes of their own; readers disagree about what follows one that claims to.
        if size != 0 && (matches!(header.flag(), b'1'..=b'6') || kind == Kind::Folder) {
            return Err(TarError::Malformed("a link or folder has a size"));
        }
        if path.len().max(target.len()) > self.limits.path_bytes {
            return Err(refuse("has too long a path"));
        }
        if self.rules.exact && size != header_size {
            return Err(refuse("has two sizes"));
        }
        let plain = name::plain(&path);
        if self.rules.inside {
            // The archive's own folder may be an entry.
            let fault =
                name::fault(&path).or((plain.is_empty() && kind != Kind::Folder).then_some("has no name"));
            if let Some(what) = fault {
                return Err(refuse(what));
            }
        }
        if self.rules.plain && kind == Kind::Other {
            return Err(refuse("is no file, folder or link"));
        }
        self.link(kind, &plain, &target).map_err(refuse)?;
        self.contents.entries = self.contents.entries.saturating_add(1);
        let link = matches!(kind, Kind::SymbolicLink | Kind::HardLink);
        let entry =
            Entry { path: &path, plain: &plain, kind, size, target: link.then_some(target.as_slice()) };
        let take = self.visitor.entry(&entry)?;
        if kind != Kind::File {
            return Ok((size, Content::Skipped));
        }
        self.contents.files = self.contents.files.saturating_add(1);
        self.contents.file_bytes = self.contents.file_bytes.saturating_add(size);
        let content = match take {
            Take::Skip => Content::Skipped,
            Take::Pass => Content::Passed,
            Take::Keep => {
                let limit = self.limits.kept_bytes;
                if size > limit {
                    return Err(TarError::KeptTooLarge { path: name::shown(&path), limit });
                }
                let limit = self.limits.kept_entries;
                if self.kept >= limit {
                    return Err(TarError::KeptTooMany { limit });
                }
                self.kept = self.kept.saturating_add(1);
                Content::Kept(Kept { path: name::text(&plain).into_owned(), bytes: Vec::new() })
            }
        };
        Ok((size, content))
    }

    fn link(&mut self, kind: Kind, path: &[u8], target: &[u8]) -> Result<(), &'static str> {
        match (self.rules.links, kind) {
            (LinkRule::Refused, Kind::SymbolicLink | Kind::HardLink) => Err("is a link"),
            (LinkRule::Any | LinkRule::Refused, _) => Ok(()),
            (LinkRule::Inside, _) => {
                if let Some(what) = self.links.fault_of_path(path) {
                    return Err(what);
                }
                match kind {
                    Kind::SymbolicLink => self.links.symbolic(path, target),
                    Kind::HardLink => self.links.hard(target),
                    _ => Ok(()),
                }
            }
        }
    }

    /// An entry's bytes, or an extended header, are there whole.
    fn read_whole(&mut self, content: Content) -> Result<(), TarError> {
        match content {
            Content::Skipped => {}
            Content::Passed => self.visitor.end()?,
            Content::Kept(kept) => self.contents.kept.extend(self.visitor.kept(kept)?),
            Content::LongName(bytes) => self.next.name = Some(header::until_nul(&bytes).to_vec()),
            Content::LongTarget(bytes) => self.next.target = Some(header::until_nul(&bytes).to_vec()),
            Content::Global(bytes) => {
                if self.rules.exact && header::records(&bytes)?.iter().any(|(key, _)| is_of_an_entry(key)) {
                    return Err(TarError::Malformed("a header names all entries"));
                }
            }
            Content::Extended(bytes) => {
                for (key, value) in header::records(&bytes)? {
                    match key {
                        b"path" => self.next.name = Some(value.to_vec()),
                        b"linkpath" => self.next.target = Some(value.to_vec()),
                        b"size" => {
                            let size = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                            self.next.size = Some(
                                size.ok_or(TarError::Malformed("an extended header's size is no number"))?,
                            );
                        }
                        key if key.starts_with(b"GNU.sparse.") => self.next.sparse = true,
                        _ => {}
                    }
                }
            }
        }
        Ok(())
    }
}

/// Whether a record says something that only one entry can have.
fn is_of_an_entry(key: &[u8]) -> bool {
    matches!(key, b"path" | b"linkpath" | b"size") || key.starts_with(b"GNU.sparse.")
}
