use proptest::prelude::*;

use super::*;
use crate::{
    archive::Kept,
    testing::archives::{gzip, tar_entry as raw, tar_of as whole},
};

const LIMITS: TarLimits = TarLimits {
    unpacked_bytes: 1 << 20,
    entries: 100,
    path_bytes: 300,
    header_bytes: 4 << 10,
    kept_bytes: 1000,
    kept_entries: 2,
    ratio: None,
};

fn pax(records: &[(&str, &str)], flag: u8) -> Vec<u8> {
    let mut content = String::new();
    for (key, value) in records {
        let rest = format!(" {key}={value}\n");
        let mut length = rest.len() + 1;
        while format!("{length}{rest}").len() != length {
            length += 1;
        }
        content += &length.to_string();
        content += &rest;
    }
    raw(flag, b"pax", b"", content.as_bytes())
}

/// Keeps what is called `keep`, passes what is called `pass`.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    names: Vec<String>,
    passed: Vec<u8>,
    ends: usize,
}

impl Visitor for Seen {
    fn entry(&mut self, entry: &Entry<'_>) -> Result<Take, TarError> {
        self.names.push(entry.name().to_owned());
        Ok(match entry.name().rsplit('/').next() {
            Some("keep") => Take::Keep,
            Some("pass") => Take::Pass,
            Some("no") => return Err(TarError::refused("no")),
            _ => Take::Skip,
        })
    }

    fn piece(&mut self, piece: &[u8]) -> Result<(), TarError> {
        self.passed.extend_from_slice(piece);
        Ok(())
    }

    fn end(&mut self) -> Result<(), TarError> {
        self.ends += 1;
        Ok(())
    }
}

fn inspect(mut inspector: Inspector<Seen>, bytes: &[u8], size: usize) -> Result<(Contents, Seen), TarError> {
    for piece in bytes.chunks(size) {
        inspector.feed(piece)?;
    }
    inspector.finish()
}

/// What comes of a tar, plain and in gzip, in pieces of several sizes: always the same.
#[track_caller]
fn check(rules: TarRules, tar: &[u8]) -> Result<(Contents, Seen), TarError> {
    let packed = gzip(tar);
    let mut results = Vec::new();
    for size in [1, 13, 512, 1 << 20] {
        results.push(inspect(Inspector::plain(LIMITS, rules, Seen::default()), tar, size));
        results.push(inspect(Inspector::gzip(LIMITS, rules, Seen::default()), &packed, size));
    }
    assert!(results.windows(2).all(|two| two[0] == two[1]), "{results:?}");
    results.swap_remove(0)
}

#[track_caller]
fn refused(rules: TarRules, tar: &[u8], what: &str) {
    let error = check(rules, tar).unwrap_err().to_string();
    assert!(error.contains(what), "{error}");
}

#[test]
fn a_tar_is_counted_and_what_is_wanted_kept() {
    let bytes = whole(&[
        raw(b'5', b"./", b"", b""),
        raw(b'5', b"top/", b"", b""),
        raw(b'0', b"./top//keep", b"", b"hello"),
        raw(0, b"top/pass", b"", &[7; 1500]),
        raw(b'0', b"top/other", b"", &[1; 512]),
        raw(b'0', b"top/x/pass", b"", b""),
    ]);
    for rules in [TarRules::ANY, TarRules::INSIDE, TarRules::FILES] {
        let (contents, seen) = check(rules, &bytes).unwrap();
        let kept = Kept { path: "top/keep".to_owned(), bytes: b"hello".to_vec() };
        let want = Contents { entries: 6, files: 4, file_bytes: 5 + 1500 + 512, kept: vec![kept] };
        assert_eq!(contents, want);
        assert_eq!(seen.names, ["", "top", "top/keep", "top/pass", "top/other", "top/x/pass"]);
        assert_eq!((seen.passed, seen.ends), (vec![7; 1500], 2));
    }
}

#[test]
fn long_names_are_read_in_both_ways() {
    let long = format!("top/{}/keep", "d".repeat(150));
    let gnu = [raw(b'L', b"././@LongLink", b"", format!("{long}\0").as_bytes()), raw(b'0', b"t", b"", b"1")];
    let posix = [pax(&[("mtime", "1.5"), ("path", &long)], b'x'), raw(b'0', b"t", b"", b"1")];
    for entries in [gnu, posix] {
        let (contents, _) = check(TarRules::INSIDE, &whole(&entries)).unwrap();
        assert_eq!(contents.kept[0].path, long);
    }
    let too_long = "d".repeat(301);
    let bytes = whole(&[pax(&[("path", &too_long)], b'x'), raw(b'0', b"t", b"", b"1")]);
    refused(TarRules::ANY, &bytes, "has too long a path");
    let huge = whole(&[raw(b'x', b"pax", b"", &[b'1'; 5000])]);
    refused(TarRules::ANY, &huge, "an extended header is too large");
}

#[test]
fn hostile_entries_are_refused_where_asked() {
    for (entry, what) in [
        (raw(b'0', b"/etc/passwd", b"", b"x"), "is absolute"),
        (raw(b'0', b"a/../../b", b"", b"x"), "leaves the archive's folder"),
        (raw(b'0', b"a\\b", b"", b"x"), "holds a backslash"),
        (raw(b'0', b"a\xff", b"", b"x"), "is not UTF-8"),
        (raw(b'0', b"./", b"", b""), ""),
        (raw(b'3', b"dev", b"", b""), "is no file, folder or link"),
        (raw(b'6', b"pipe", b"", b""), "is no file, folder or link"),
        (raw(b'S', b"sparse", b"", b"x"), "is no file, folder or link"),
        (raw(b'?', b"odd", b"", b"x"), "is no file, folder or link"),
        (raw(b'2', b"a/link", b"../../x", b""), "leaves the archive's folder"),
        (raw(b'2', b"a/link", b"/etc", b""), "leads to an absolute path"),
        (raw(b'1', b"a/link", b"../x", b""), "leaves the archive's folder"),
    ] {
        let bytes = whole(&[entry]);
        check(TarRules::ANY, &bytes).unwrap();
        if !what.is_empty() {
            refused(TarRules::INSIDE, &bytes, what);
        }
    }
    let inside = whole(&[raw(b'2', b"a/link", b"../x", b""), raw(b'1', b"a/hard", b"x", b"")]);
    check(TarRules::INSIDE, &inside).unwrap();
    refused(TarRules::FILES, &inside, "is a link");
    let through = whole(&[raw(b'2', b"a/link", b"b", b""), raw(b'0', b"a/link/x", b"", b"1")]);
    refused(TarRules::INSIDE, &through, "lies behind a link");
    let by_header = whole(&[pax(&[("linkpath", "/etc")], b'x'), raw(b'2', b"l", b"x", b"")]);
    refused(TarRules::INSIDE, &by_header, "leads to an absolute path");
    let long_link = whole(&[raw(b'K', b"l", b"", b"/etc\0"), raw(b'2', b"l", b"x", b"")]);
    refused(TarRules::INSIDE, &long_link, "leads to an absolute path");
}

#[test]
fn what_readers_read_differently_is_refused_where_asked() {
    let two_sizes = whole(&[pax(&[("size", "3")], b'x'), raw(b'0', b"a", b"", b"1234")]);
    check(TarRules::ANY, &two_sizes).unwrap();
    refused(TarRules::FILES, &two_sizes, "has two sizes");
    let sparse = whole(&[pax(&[("GNU.sparse.major", "1")], b'x'), raw(b'0', b"a", b"", b"1234")]);
    refused(TarRules::FILES, &sparse, "is no file, folder or link");
    let global = whole(&[pax(&[("path", "b")], b'g'), raw(b'0', b"a", b"", b"1")]);
    check(TarRules::ANY, &global).unwrap();
    refused(TarRules::FILES, &global, "names all entries");
    check(TarRules::FILES, &whole(&[pax(&[("comment", "b")], b'g'), raw(b'0', b"a", b"", b"1")])).unwrap();
    let mut behind = whole(&[raw(b'0', b"a", b"", b"1")]);
    behind.extend_from_slice(&raw(b'0', b"keep", b"", b"1"));
    assert_eq!(check(TarRules::ANY, &behind).unwrap().0.files, 1);
    refused(TarRules::FILES, &behind, "something follows its end");
    let tar = whole(&[raw(b'0', b"a", b"", b"1")]);
    let two = [gzip(&tar), gzip(b"")].concat();
    let read = |rules| inspect(Inspector::gzip(LIMITS, rules, Seen::default()), &two, 10);
    read(TarRules::ANY).unwrap();
    assert_eq!(read(TarRules::FILES).unwrap_err(), NO_GZIP);
    // Both readings of this one would be possible: a folder by its name, a file by its size.
    refused(TarRules::ANY, &whole(&[raw(b'0', b"keep/", b"", b"1")]), "a link or folder has a size");
    refused(TarRules::ANY, &whole(&[raw(b'2', b"l", b"x", b"1")]), "a link or folder has a size");
}

#[test]
fn limits_hold() {
    let large = whole(&[raw(b'0', b"a", b"", &vec![0; 1 << 20])]);
    assert_eq!(check(TarRules::ANY, &large), Err(TarError::TooLarge { limit: 1 << 20 }));
    let many: Vec<Vec<u8>> = (0..101).map(|at| raw(b'0', format!("{at}").as_bytes(), b"", b"")).collect();
    assert_eq!(check(TarRules::ANY, &whole(&many)), Err(TarError::TooMany { limit: 100 }));
    let kept = whole(&[raw(b'0', b"keep", b"", &[1; 1001])]);
    let error = TarError::KeptTooLarge { path: "keep".to_owned(), limit: 1000 };
    assert_eq!(check(TarRules::ANY, &kept), Err(error));
    let kept = [raw(b'0', b"keep", b"", b"1"), raw(b'0', b"keep", b"", b"2"), raw(b'0', b"keep", b"", b"3")];
    assert_eq!(check(TarRules::ANY, &whole(&kept)), Err(TarError::KeptTooMany { limit: 2 }));
    assert_eq!(check(TarRules::ANY, &whole(&kept[..2])).unwrap().0.kept.len(), 2);
    let no = whole(&[raw(b'0', b"a/no", b"", b"1")]);
    assert_eq!(check(TarRules::ANY, &no), Err(TarError::Refused("no".to_owned())));
}

#[test]
fn a_ratio_is_told_at_the_end() {
    let bytes = gzip(&whole(&[raw(b'0', b"a", b"", &vec![0; 2 << 20])]));
    let read = |ratio| {
        let limits = TarLimits { unpacked_bytes: 4 << 20, ratio, ..LIMITS };
        inspect(Inspector::gzip(limits, TarRules::ANY, Seen::default()), &bytes, 100).map(drop)
    };
    assert_eq!(read(Some(50)), Err(TarError::Ratio { limit: 50 }));
    assert_eq!(read(Some(2000)), Ok(()));
    assert_eq!(read(None), Ok(()));
}

#[test]
fn an_archive_in_an_archive_is_read_by_the_visitor() {
    /// A gem's `data.tar.gz`.
    struct Outer(Option<Inspector<Seen>>, Seen);
    impl Visitor for Outer {
        fn entry(&mut self, entry: &Entry<'_>) -> Result<Take, TarError> {
            assert!(entry.is_file());
            self.0 = Some(Inspector::gzip(LIMITS, TarRules::INSIDE, Seen::default()));
            Ok(Take::Pass)
        }

        fn piece(&mut self, piece: &[u8]) -> Result<(), TarError> {
            self.0.as_mut().unwrap().feed(piece).map_err(|error| error.within("data.tar.gz"))
        }

        fn end(&mut self) -> Result<(), TarError> {
            let inner = self.0.take().unwrap().finish();
            self.1 = inner.map_err(|error| error.within("data.tar.gz"))?.1;
            Ok(())
        }
    }
    let outer = |path: &[u8]| {
        let inner = gzip(&whole(&[raw(b'0', path, b"", &[3; 700])]));
        let mut inspector = Inspector::plain(LIMITS, TarRules::FILES, Outer(None, Seen::default()));
        whole(&[raw(b'0', b"data.tar.gz", b"", &inner)])
            .chunks(100)
            .try_for_each(|piece| inspector.feed(piece))
            .and_then(|()| inspector.finish())
            .map(|(_, visitor)| visitor.1.passed.len())
    };
    assert_eq!(outer(b"lib/pass"), Ok(700));
    let error = outer(b"../x").unwrap_err().to_string();
    assert!(error.starts_with("data.tar.gz: the archive's entry"), "{error}");
}

#[test]
fn what_is_no_tar_is_malformed() {
    for bytes in
        [b"".to_vec(), b"no tar".to_vec(), vec![7; 1024], raw(b'0', b"a", b"", &[1; 200])[..700].to_vec()]
    {
        assert!(matches!(check(TarRules::ANY, &bytes), Err(TarError::Malformed(_))), "{bytes:?}");
    }
    for bytes in [b"".as_slice(), b"no gzip"] {
        let result = inspect(Inspector::gzip(LIMITS, TarRules::ANY, Seen::default()), bytes, 3);
        assert_eq!(result.unwrap_err(), NO_GZIP);
    }
    let packed = gzip(&whole(&[raw(b'0', b"keep", b"", b"1")]));
    for cut in 1..packed.len() {
        let cut = inspect(Inspector::gzip(LIMITS, TarRules::ANY, Seen::default()), &packed[..cut], 7);
        assert!(matches!(cut, Err(TarError::Malformed(_))));
    }
    // Some writers leave out the end mark.
    let entry = raw(b'0', b"keep", b"", b"1");
    for cut in [&entry[..], &entry[..513]] {
        assert_eq!(check(TarRules::FILES, cut).unwrap().0.kept[0].bytes, b"1");
    }
}

proptest! {
    #[test]
    fn no_input_panics(bytes in proptest::collection::vec(any::<u8>(), 0..2000), strict in any::<bool>()) {
        let rules = if strict { TarRules::FILES } else { TarRules::ANY };
        let _ = check(rules, &bytes);
        let _ = inspect(Inspector::gzip(LIMITS, rules, Seen::default()), &bytes, 100);
    }

    #[test]
    fn damage_reads_the_same_in_any_split(
        at in 0usize..3072,
        byte in any::<u8>(),
        sizes in proptest::collection::vec(1usize..600, 1..20),
    ) {
        let mut bytes = whole(&[
            pax(&[("path", "top/keep")], b'x'),
            raw(b'0', b"x", b"", &[5; 600]),
            raw(b'2', b"top/l", b"keep", b""),
        ]);
        bytes[at] = byte;
        for rules in [TarRules::ANY, TarRules::INSIDE] {
            let together = inspect(Inspector::plain(LIMITS, rules, Seen::default()), &bytes, 1 << 20);
            let mut inspector = Inspector::plain(LIMITS, rules, Seen::default());
            let (mut rest, mut result) = (bytes.as_slice(), Ok(()));
            for size in sizes.iter().cycle() {
                if rest.is_empty() || result.is_err() {
                    break;
                }
                let (piece, after) = rest.split_at(rest.len().min(*size));
                result = inspector.feed(piece);
                rest = after;
            }
            prop_assert_eq!(result.and_then(|()| inspector.finish()), together);
        }
    }

    #[test]
    fn what_the_tar_crate_writes_is_read(sizes in proptest::collection::vec(0usize..3000, 1..6)) {
        let mut builder = ::tar::Builder::new(Vec::new());
        let mut total = 0;
        for (at, &size) in sizes.iter().enumerate() {
            let mut header = ::tar::Header::new_gnu();
            header.set_size(size as u64);
            header.set_mode(0o644);
            let path = format!("top/{}/{at}", "d".repeat(size / 20));
            builder.append_data(&mut header, path, vec![1; size].as_slice()).unwrap();
            total += size as u64;
        }
        let (contents, seen) = check(TarRules::FILES, &builder.into_inner().unwrap()).unwrap();
        prop_assert_eq!((contents.files, contents.file_bytes), (sizes.len() as u64, total));
        prop_assert!(seen.names.iter().zip(&sizes).all(|(name, size)| name.len() > size / 20));
    }
}
