use std::io::{Cursor, Write as _};

use flate2::{Compression, Crc, write::DeflateEncoder};
use proptest::prelude::*;

use super::{format::*, *};
use crate::archive::Kept;

const LIMITS: ZipLimits = ZipLimits {
    entries: 50,
    directory_bytes: 16 << 10,
    path_bytes: 300,
    unpacked_bytes: 4 << 20,
    ratio: None,
    kept_bytes: 1000,
    kept_entries: 2,
};

/// An entry as it is to be written, each part of it as false as the test wants.
#[derive(Clone)]
struct Item {
    name: Vec<u8>,
    /// The name in the local header, where it is another.
    local_name: Option<Vec<u8>>,
    content: Vec<u8>,
    method: u16,
    flags: u16,
    mode: u32,
    /// What the directory and the header say, where it is not so.
    size: Option<u64>,
    packed: Option<u64>,
    crc: Option<u32>,
    offset: Option<u32>,
    local_crc: Option<u32>,
    extra: Vec<u8>,
    comment: Vec<u8>,
    /// What lies before the local header.
    before: Vec<u8>,
    /// What lies behind the bytes.
    after: Vec<u8>,
}

fn item(name: &str, content: &[u8]) -> Item {
    Item {
        name: name.as_bytes().to_vec(),
        local_name: None,
        content: content.to_vec(),
        method: DEFLATED,
        flags: 0,
        mode: 0o100_644,
        size: None,
        packed: None,
        crc: None,
        offset: None,
        local_crc: None,
        extra: Vec::new(),
        comment: Vec::new(),
        before: Vec::new(),
        after: Vec::new(),
    }
}

fn folder(name: &str) -> Item {
    Item { mode: 0o040_755, method: STORED, ..item(name, b"") }
}

fn link(name: &str, target: &str) -> Item {
    Item { mode: 0o120_777, ..item(name, target.as_bytes()) }
}

struct Built {
    local: Vec<u8>,
    central: Vec<u8>,
    entries: u16,
}

fn deflate(content: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn build(items: &[Item]) -> Built {
    let (mut local, mut central) = (Vec::new(), Vec::new());
    let entries = u16::try_from(items.len()).unwrap();
    for item in items {
        let bytes = if item.method == DEFLATED { deflate(&item.content) } else { item.content.clone() };
        let mut crc = Crc::new();
        crc.update(&item.content);
        let crc = item.crc.unwrap_or(crc.sum());
        let small = |number: u64| u32::try_from(number).unwrap().to_le_bytes();
        let packed = small(item.packed.unwrap_or(bytes.len() as u64));
        let size = small(item.size.unwrap_or(item.content.len() as u64));
        let two = |number: usize| u16::try_from(number).unwrap().to_le_bytes();
        local.extend_from_slice(&item.before);
        let offset = item.offset.unwrap_or(u32::try_from(local.len()).unwrap());
        let local_name = item.local_name.as_ref().unwrap_or(&item.name);
        let streamed = item.flags & DESCRIPTOR != 0;
        let none = [0; 4];
        local.extend_from_slice(&LOCAL.to_le_bytes());
        local.extend_from_slice(&[20, 0]);
        local.extend_from_slice(&item.flags.to_le_bytes());
        local.extend_from_slice(&item.method.to_le_bytes());
        local.extend_from_slice(&none);
        let local_crc = item.local_crc.unwrap_or(if streamed { 0 } else { crc });
        local.extend_from_slice(&local_crc.to_le_bytes());
        local.extend_from_slice(if streamed { &none } else { &packed });
        local.extend_from_slice(if streamed { &none } else { &size });
        local.extend_from_slice(&two(local_name.len()));
        local.extend_from_slice(&two(item.extra.len()));
        local.extend_from_slice(local_name);
        local.extend_from_slice(&item.extra);
        local.extend_from_slice(&bytes);
        local.extend_from_slice(&item.after);
        central.extend_from_slice(&CENTRAL.to_le_bytes());
        central.extend_from_slice(&[20, 3, 20, 0]);
        central.extend_from_slice(&item.flags.to_le_bytes());
        central.extend_from_slice(&item.method.to_le_bytes());
        central.extend_from_slice(&none);
        central.extend_from_slice(&crc.to_le_bytes());
        central.extend_from_slice(&packed);
        central.extend_from_slice(&size);
        central.extend_from_slice(&two(item.name.len()));
        central.extend_from_slice(&two(item.extra.len()));
        central.extend_from_slice(&two(item.comment.len()));
        central.extend_from_slice(&none);
        central.extend_from_slice(&(item.mode << 16).to_le_bytes());
        central.extend_from_slice(&offset.to_le_bytes());
        central.extend_from_slice(&item.name);
        central.extend_from_slice(&item.extra);
        central.extend_from_slice(&item.comment);
    }
    Built { local, central, entries }
}

impl Built {
    fn end(&self, comment: &[u8]) -> Vec<u8> {
        let mut end = END.to_le_bytes().to_vec();
        end.extend_from_slice(&[0; 4]);
        end.extend_from_slice(&self.entries.to_le_bytes());
        end.extend_from_slice(&self.entries.to_le_bytes());
        end.extend_from_slice(&u32::try_from(self.central.len()).unwrap().to_le_bytes());
        end.extend_from_slice(&u32::try_from(self.local.len()).unwrap().to_le_bytes());
        end.extend_from_slice(&u16::try_from(comment.len()).unwrap().to_le_bytes());
        end.extend_from_slice(comment);
        end
    }

    fn whole(&self, comment: &[u8]) -> Vec<u8> {
        [&self.local[..], &self.central, &self.end(comment)].concat()
    }

    /// With the end's numbers in a zip64 record.
    fn large(&self, entries: u64) -> Vec<u8> {
        let mut whole = [&self.local[..], &self.central].concat();
        let at = whole.len() as u64;
        whole.extend_from_slice(&END64.to_le_bytes());
        whole.extend_from_slice(&44_u64.to_le_bytes());
        whole.extend_from_slice(&[45, 0, 45, 0]);
        whole.extend_from_slice(&[0; 8]);
        for number in [entries, entries, self.central.len() as u64, self.local.len() as u64] {
            whole.extend_from_slice(&number.to_le_bytes());
        }
        whole.extend_from_slice(&END64_LOCATOR.to_le_bytes());
        whole.extend_from_slice(&[0; 4]);
        whole.extend_from_slice(&at.to_le_bytes());
        whole.extend_from_slice(&1_u32.to_le_bytes());
        whole.extend_from_slice(&END.to_le_bytes());
        whole.extend_from_slice(&[0; 4]);
        whole.extend_from_slice(&[0xff; 12]);
        whole.extend_from_slice(&[0; 2]);
        whole
    }
}

/// Keeps what is called `keep`, checks what is called `pass`.
fn read(rules: ZipRules, limits: &ZipLimits, bytes: &[u8]) -> Result<Contents, ZipError> {
    inspect(Cursor::new(bytes), limits, rules, |entry| {
        Ok(match entry.name.rsplit('/').next() {
            Some("keep") => Take::Keep,
            Some("pass") => Take::Pass,
            Some("no") => return Err(ZipError::refused("no")),
            _ => Take::Skip,
        })
    })
}

fn check(rules: ZipRules, items: &[Item]) -> Result<Contents, ZipError> {
    read(rules, &LIMITS, &build(items).whole(b""))
}

#[track_caller]
fn refused(rules: ZipRules, items: &[Item], what: &str) {
    let error = check(rules, items).unwrap_err().to_string();
    assert!(error.contains(what), "{error}");
}

#[track_caller]
fn refused_always(items: &[Item], what: &str) {
    refused(ZipRules::EXACT, items, what);
    refused(ZipRules::INSIDE, items, what);
}

#[test]
fn a_zip_is_counted_and_what_is_wanted_kept() {
    let items = [
        folder("top/"),
        item("top/keep", &[b'a'; 900]),
        Item { method: STORED, ..item("keep", b"stored") },
        item("top/pass", &vec![7; 100_000]),
        item("top/other", b""),
    ];
    for rules in [ZipRules::EXACT, ZipRules::INSIDE] {
        let contents = check(rules, &items).unwrap();
        let kept = |path: &str, bytes: &[u8]| Kept { path: path.to_owned(), bytes: bytes.to_vec() };
        assert_eq!(contents.kept, [kept("top/keep", &[b'a'; 900]), kept("keep", b"stored")]);
        assert_eq!((contents.entries, contents.files, contents.file_bytes), (5, 4, 900 + 6 + 100_000));
    }
    assert_eq!(check(ZipRules::EXACT, &[]).unwrap(), Contents::default());
}

#[test]
fn names_that_lead_outside_are_refused() {
    for (name, what) in [
        ("/etc/passwd", "is absolute"),
        ("a/../../b", "leaves the archive's folder"),
        ("..", "leaves the archive's folder"),
        ("a\\b", "holds a backslash"),
        ("a\0b", "holds a control character"),
        ("C:/x", "begins with a drive"),
        ("./", "has no name"),
        ("", "is empty"),
    ] {
        refused_always(&[item(name, b"")], what);
    }
    let unknown = Item { name: b"\xff".to_vec(), ..item("", b"") };
    refused(ZipRules::EXACT, std::slice::from_ref(&unknown), "is not told to be UTF-8");
    assert_eq!(check(ZipRules::INSIDE, std::slice::from_ref(&unknown)).unwrap().files, 1);
    refused_always(&[Item { flags: UTF8, ..unknown }], "is not UTF-8");
    check(ZipRules::EXACT, &[Item { flags: UTF8, ..item("ä", b"") }]).unwrap();
    refused_always(&[item(&"x".repeat(301), b"")], "has too long a path");
}

#[test]
fn names_occur_once() {
    refused_always(&[item("a", b"1"), item("a", b"2")], "has the name of another");
    refused_always(&[item("a/b", b"1"), item("a//./b", b"2")], "has the name of another");
    refused_always(&[item("a", b"1"), folder("a/")], "has the name of another");
    refused_always(&[folder("a/"), item("a", b"1")], "has the name of another");
    refused_always(&[item("a/b/c", b"1"), item("a", b"2")], "lies below a file");
    refused_always(&[item("a/b", b"1"), item("a/b/c", b"2")], "lies below a file");
    check(ZipRules::EXACT, &[item("a/bc", b"1"), item("a/b/c", b"2"), item("b", b"")]).unwrap();
    let folders = [folder("a/"), folder("a/"), item("a/b", b"")];
    check(ZipRules::INSIDE, &folders).unwrap();
    refused(ZipRules::EXACT, &folders, "has the name of another");
    let cases = [item("Readme", b"1"), item("README", b"2")];
    check(ZipRules::INSIDE, &cases).unwrap();
    refused(ZipRules::EXACT, &cases, "has the name of another");
    refused(ZipRules::EXACT, &[item("A", b"1"), item("a/b", b"2")], "lies below a file");
}

#[test]
fn links_stay_inside_where_they_are_allowed() {
    let good = [link("a/l", "../b"), item("b", b"1")];
    assert_eq!(check(ZipRules::INSIDE, &good).unwrap().files, 1);
    refused(ZipRules::EXACT, &good, "is a link");
    refused(ZipRules::INSIDE, &[link("l", "../b")], "leaves the archive's folder");
    refused(ZipRules::INSIDE, &[link("l", "/etc")], "leads to an absolute path");
    refused(ZipRules::INSIDE, &[link("l", &"x".repeat(301))], "too long a path");
    // In any order: some tools make links last.
    for items in [[link("l", "b"), item("l/x", b"")], [item("l/x", b""), link("l", "b")]] {
        refused(ZipRules::INSIDE, &items, "lies behind a link");
    }
    refused_always(&[Item { mode: 0o060_644, ..item("dev", b"") }], "is no file, folder or link");
    refused_always(&[Item { mode: 0o120_777, ..folder("a/") }], "something else besides");
    refused_always(&[Item { content: b"x".to_vec(), ..folder("a/") }], "something else besides");
}

#[test]
fn what_cannot_be_read_is_told() {
    refused_always(&[Item { flags: ENCRYPTED, ..item("a", b"1") }], "it is encrypted");
    refused_always(&[Item { flags: MASKED, ..item("a", b"1") }], "it is encrypted");
    refused_always(&[Item { method: 14, ..item("a", b"1") }], "neither stored nor deflated");
    let mut volumes = build(&[item("a", b"1")]).whole(b"");
    let at = volumes.len() - 18;
    volumes[at] = 1;
    let error = read(ZipRules::INSIDE, &LIMITS, &volumes).unwrap_err();
    assert_eq!(error, ZipError::Unsupported("it is a part of several volumes"));
    for bytes in [b"".to_vec(), b"no zip".to_vec(), vec![0; 100_000]] {
        let error = read(ZipRules::INSIDE, &LIMITS, &bytes).unwrap_err();
        assert_eq!(error, ZipError::Malformed("it has no end record"));
    }
}

#[test]
fn what_the_directory_says_must_be_so() {
    for wrong in [
        Item { crc: Some(1), ..item("keep", b"abc") },
        Item { size: Some(2), ..item("keep", b"abc") },
        Item { size: Some(4), ..item("keep", b"abc") },
        Item { packed: Some(3), ..item("keep", &[1; 900]) },
        Item { crc: Some(1), ..item("pass", b"abc") },
    ] {
        refused(ZipRules::INSIDE, std::slice::from_ref(&wrong), "malformed");
        refused(ZipRules::EXACT, &[wrong], "malformed");
    }
    // Garbage behind what is deflated, counted as belonging to it.
    let packed = deflate(b"abc").len() as u64 + 4;
    let padded = Item { packed: Some(packed), after: vec![0; 4], ..item("pass", b"abc") };
    refused_always(&[padded], "does not hold what the directory says");
    let stored = Item { method: STORED, size: Some(2), ..item("a", b"abc") };
    refused_always(&[stored], "is stored with another size");
    let header = "header is not what the directory says";
    for name in ["keep", "other"] {
        let lies = [
            Item { local_name: Some(b"evil".to_vec()), ..item(name, b"abc") },
            Item { local_crc: Some(7), ..item(name, b"abc") },
        ];
        for lie in lies {
            refused(ZipRules::EXACT, std::slice::from_ref(&lie), header);
            if name == "keep" {
                refused(ZipRules::INSIDE, &[lie], header);
            }
        }
    }
    let bomb = Item { size: Some(10), ..item("pass", &vec![0; 1 << 20]) };
    refused_always(&[bomb], "does not hold what the directory says");
}

#[test]
fn entries_share_no_bytes() {
    let shared = [item("a", &[1; 500]), Item { offset: Some(0), local_name: None, ..item("b", &[1; 500]) }];
    refused_always(&shared, "share bytes");
    let mut beyond = build(&[item("a", b"1")]);
    beyond.central[20..24].copy_from_slice(&10_000_u32.to_le_bytes());
    let error = read(ZipRules::INSIDE, &LIMITS, &beyond.whole(b"")).unwrap_err();
    assert_eq!(error, ZipError::Malformed("an entry lies in the directory"));
}

#[test]
fn what_readers_read_differently_is_refused_where_asked() {
    let bytes = "bytes that belong to no entry";
    for odd in [
        Item { before: b"#!".to_vec(), ..item("keep", b"1") },
        Item { after: b"gap".to_vec(), ..item("keep", b"1") },
    ] {
        check(ZipRules::INSIDE, std::slice::from_ref(&odd)).unwrap();
        refused(ZipRules::EXACT, &[odd], bytes);
    }
    let streamed = Item { flags: DESCRIPTOR, after: vec![0; 16], ..item("keep", b"abc") };
    assert_eq!(check(ZipRules::INSIDE, std::slice::from_ref(&streamed)).unwrap().kept[0].bytes, b"abc");
    refused(ZipRules::EXACT, &[streamed], "has its size behind its bytes");
    let commented = Item { comment: b"hello".to_vec(), ..item("keep", b"1") };
    check(ZipRules::INSIDE, std::slice::from_ref(&commented)).unwrap();
    refused(ZipRules::EXACT, &[commented], "has a comment");
    // A Unicode name: version, checksum of the name it replaces, the name.
    let path = |name: &[u8]| {
        let mut extra = vec![0x75, 0x70, u8::try_from(name.len() + 5).unwrap(), 0, 1, 0, 0, 0, 0];
        extra.extend_from_slice(name);
        Item { extra, ..item("keep", b"1") }
    };
    check(ZipRules::INSIDE, &[path(b"keep")]).unwrap();
    refused(ZipRules::EXACT, &[path(b"keep")], "has two names");
    refused_always(&[path(b"other")], "has two names");
    let built = build(&[item("keep", b"1")]);
    read(ZipRules::INSIDE, &LIMITS, &built.whole(b"a comment")).unwrap();
    let error = read(ZipRules::EXACT, &LIMITS, &built.whole(b"a comment")).unwrap_err();
    assert_eq!(error, ZipError::Malformed("it has a comment"));
    let other = build(&[item("evil", b"1")]);
    let two_ends = read(ZipRules::INSIDE, &LIMITS, &built.whole(&other.whole(b"")));
    assert_eq!(two_ends, Err(ZipError::Malformed("it has two ends")));
    let trailing = [&built.whole(b"")[..], b"x"].concat();
    let error = read(ZipRules::INSIDE, &LIMITS, &trailing).unwrap_err();
    assert_eq!(error, ZipError::Malformed("it has no end record"));
    let prepended = [b"#!/bin/sh\n", &built.whole(b"")[..]].concat();
    let error = read(ZipRules::INSIDE, &LIMITS, &prepended).unwrap_err();
    assert_eq!(error, ZipError::Malformed("its directory is not where its end says"));
    let mut fewer = build(&[item("a", b"1"), item("b", b"2")]);
    fewer.entries = 1;
    let error = read(ZipRules::INSIDE, &LIMITS, &fewer.whole(b"")).unwrap_err();
    assert_eq!(error, ZipError::Malformed("its directory has more entries than its end says"));
    let fields = Item { extra: vec![0; 3], ..item("keep", b"1") };
    check(ZipRules::INSIDE, std::slice::from_ref(&fields)).unwrap();
    refused(ZipRules::EXACT, &[fields], "extra fields cannot be read");
    let overlong = Item { extra: vec![1, 1, 9, 0], ..item("keep", b"1") };
    refused_always(&[overlong], "extra fields cannot be read");
}

#[test]
fn large_archives_are_read_and_must_not_lie() {
    let built = build(&[item("keep", b"abc")]);
    for rules in [ZipRules::EXACT, ZipRules::INSIDE] {
        assert_eq!(read(rules, &LIMITS, &built.large(1)).unwrap().files, 1);
        assert!(read(rules, &LIMITS, &built.large(2)).is_err());
        assert_eq!(read(rules, &LIMITS, &built.large(51)), Err(ZipError::TooMany { limit: 50 }));
        let mut contradicts = built.large(1);
        let at = contradicts.len() - 14;
        contradicts[at..at + 4].copy_from_slice(&[7, 0, 7, 0]);
        let error = read(rules, &LIMITS, &contradicts).unwrap_err();
        assert_eq!(error, ZipError::Malformed("its zip64 record contradicts its end record"));
        let mut astray = built.large(1);
        let at = astray.len() - END_BYTES - LOCATOR_BYTES + 8;
        astray[at] ^= 1;
        assert_eq!(
            read(rules, &LIMITS, &astray),
            Err(ZipError::Malformed("its zip64 record cannot be read"))
        );
    }
    // Sizes in the zip64 field, as for an entry beyond 4 GiB.
    let packed = deflate(b"abc").len() as u64;
    let field = |size: u64, more: &[u8]| {
        let mut extra = vec![1, 0, u8::try_from(16 + more.len()).unwrap(), 0];
        extra.extend_from_slice(&size.to_le_bytes());
        extra.extend_from_slice(&packed.to_le_bytes());
        extra.extend_from_slice(more);
        let elsewhere = Some(u64::from(u32::MAX));
        Item { size: elsewhere, packed: elsewhere, extra, ..item("keep", b"abc") }
    };
    for rules in [ZipRules::EXACT, ZipRules::INSIDE] {
        assert_eq!(check(rules, &[field(3, b"")]).unwrap().kept[0].bytes, b"abc");
        refused(rules, &[field(4, b"")], "malformed");
        refused(rules, &[field(1 << 40, b"")], "unpacks to more");
    }
    refused(ZipRules::EXACT, &[field(3, &[0; 8])], "zip64 field");
    let short = Item { extra: vec![1, 0, 8, 0, 3, 0, 0, 0, 0, 0, 0, 0], ..field(3, b"") };
    refused_always(&[short], "zip64 field");
}

#[test]
fn limits_hold() {
    let many: Vec<Item> = (0..51).map(|at| item(&at.to_string(), b"")).collect();
    assert_eq!(check(ZipRules::EXACT, &many), Err(ZipError::TooMany { limit: 50 }));
    let wide: Vec<Item> =
        (0..50).map(|at| Item { comment: vec![b'c'; 400], ..item(&at.to_string(), b"") }).collect();
    assert_eq!(check(ZipRules::INSIDE, &wide), Err(ZipError::DirectoryTooLarge { limit: 16 << 10 }));
    let large = [item("a", &vec![0; 3 << 20]), item("b", &vec![0; 2 << 20])];
    assert_eq!(check(ZipRules::EXACT, &large), Err(ZipError::TooLarge { limit: 4 << 20 }));
    let error = ZipError::KeptTooLarge { path: "keep".to_owned(), limit: 1000 };
    assert_eq!(check(ZipRules::EXACT, &[item("keep", &[1; 1001])]), Err(error));
    let kept = [item("keep", b""), item("a/keep", b""), item("b/keep", b"")];
    assert_eq!(check(ZipRules::EXACT, &kept), Err(ZipError::KeptTooMany { limit: 2 }));
    assert_eq!(check(ZipRules::EXACT, &[item("no", b"")]), Err(ZipError::Refused("no".to_owned())));
    let packed = build(&[item("a", &vec![0; 3 << 20])]).whole(b"");
    let ratio = |ratio| read(ZipRules::EXACT, &ZipLimits { ratio, ..LIMITS }, &packed).map(drop);
    assert_eq!(ratio(Some(50)), Err(ZipError::Ratio { limit: 50 }));
    assert_eq!(ratio(Some(2000)), Ok(()));
}

#[test]
fn what_other_writers_make_is_read() {
    // Two small archives of a folder, a stored and a deflated file: one made in place, one written as a stream.
    let in_place = hex::decode(IN_PLACE).unwrap();
    let streamed = hex::decode(STREAMED).unwrap();
    for (rules, bytes) in
        [(ZipRules::EXACT, &in_place), (ZipRules::INSIDE, &in_place), (ZipRules::INSIDE, &streamed)]
    {
        let contents = read(rules, &LIMITS, bytes).unwrap();
        assert_eq!((contents.entries, contents.files), (3, 2));
        assert_eq!(contents.kept[0].path, "top/keep");
        assert_eq!(contents.kept[0].bytes, b"keep ".repeat(20));
    }
    let error = read(ZipRules::EXACT, &LIMITS, &streamed).unwrap_err().to_string();
    assert!(error.contains("has its size behind its bytes"), "{error}");
}

/// Written by Python's `zipfile` to a file.
const IN_PLACE: &str = "\
    504b03041400000000000000210000000000000000000000000004000000746f702f504b0304140000000800000021009458\
    bb8c0a0000006400000008000000746f702f6b656570cb4e4d2d50c8a62d0100504b0304140000000000000021008316dc8c\
    0100000001000000050000006f7468657278504b010214031400000000000000210000000000000000000000000004000000\
    0000000000000000ed4100000000746f702f504b01021403140000000800000021009458bb8c0a0000006400000008000000\
    0000000000000000a48122000000746f702f6b656570504b01021403140000000000000021008316dc8c0100000001000000\
    050000000000000000000000a481520000006f74686572504b050600000000030003009b000000760000000000";
/// Written by Python's `zipfile` to what cannot seek.
const STREAMED: &str = "\
    504b03041400080000000000210000000000000000000000000004000000746f702f504b0708000000000000000000000000\
    504b03041400080008000000210000000000000000000000000008000000746f702f6b656570cb4e4d2d50c8a62d0100504b\
    07089458bb8c0a00000064000000504b030414000800000000002100000000000000000000000000050000006f7468657278\
    504b07088316dc8c0100000001000000504b0102140314000800000000002100000000000000000000000000040000000000\
    000000000000ed4100000000746f702f504b01021403140008000800000021009458bb8c0a00000064000000080000000000\
    000000000000a48132000000746f702f6b656570504b01021403140008000000000021008316dc8c01000000010000000500\
    00000000000000000000a481720000006f74686572504b050600000000030003009b000000a60000000000";

proptest! {
    #[test]
    fn no_input_panics(bytes in proptest::collection::vec(any::<u8>(), 0..500)) {
        let mut bytes = bytes;
        let _ = read(ZipRules::INSIDE, &LIMITS, &bytes);
        bytes.extend_from_slice(&build(&[]).end(b""));
        let _ = read(ZipRules::INSIDE, &LIMITS, &bytes);
    }

    #[test]
    fn damage_is_refused_or_changes_nothing_that_is_kept(at in 0usize..400, byte in any::<u8>()) {
        let bytes = build(&[folder("top/"), item("top/keep", b"what is kept"), link("top/l", "keep")]);
        let mut damaged = bytes.whole(b"");
        let at = at % damaged.len();
        damaged[at] = byte;
        for rules in [ZipRules::INSIDE, ZipRules::EXACT] {
            if let Ok(contents) = read(rules, &LIMITS, &damaged)
                && let Some(kept) = contents.kept.iter().find(|kept| kept.path == "top/keep")
            {
                prop_assert_eq!(&kept.bytes, b"what is kept");
            }
        }
    }

    #[test]
    fn contents_come_out_as_they_went_in(
        files in proptest::collection::btree_map("[a-z]{1,8}(/[a-z]{1,8})?", 0usize..900, 0..10),
    ) {
        let items: Vec<Item> = files
            .iter()
            .map(|(name, &size)| item(&format!("{name}.d/file"), &vec![name.as_bytes()[0]; size]))
            .collect();
        let limits = ZipLimits { kept_entries: 10, ..LIMITS };
        let bytes = build(&items).whole(b"");
        let contents = inspect(Cursor::new(&bytes), &limits, ZipRules::EXACT, |_| Ok(Take::Keep)).unwrap();
        let got: Vec<(String, usize)> =
            contents.kept.into_iter().map(|kept| (kept.path, kept.bytes.len())).collect();
        let want: Vec<(String, usize)> =
            files.into_iter().map(|(name, size)| (format!("{name}.d/file"), size)).collect();
        prop_assert_eq!(got, want);
    }
}
