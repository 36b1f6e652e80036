//! Another registry's index: a crate's file line by line, and where its `config.json` says that crates lie.
//!
//! Lines are never written anew: cargo compares what they say with its lock files, and they may have fields that nobody here knows.

use std::ops::Range;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use url::Url;

use crate::{names::CrateName, version::Version};

/// The most lines of a file; the largest crates have some thousand versions.
const MAX_LINES: usize = 100_000;

/// A version of a crate of another registry.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ForeignRelease {
    pub(crate) version: Version,
    /// The SHA-256 of its file, in hex.
    pub(crate) cksum: String,
    pub(crate) yanked: bool,
    pub(crate) published: Option<DateTime<Utc>>,
    /// Its line in the file, with the end of the line.
    line: Range<usize>,
}

/// A crate's file of another index.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ForeignIndex {
    /// The crate's name as it was published there.
    pub(crate) name: CrateName,
    pub(crate) releases: Vec<ForeignRelease>,
    raw: Bytes,
}

#[derive(Deserialize)]
struct Line {
    name: CrateName,
    vers: String,
    cksum: String,
    #[serde(default)]
    yanked: bool,
    #[serde(default)]
    pubtime: Option<String>,
}

impl ForeignIndex {
    /// Reads a crate's file. Versions that are none are left out, as cargo does; what is no index file at all, or one of another crate,
    /// is said to be.
    pub(crate) fn read(asked: &CrateName, raw: &Bytes) -> Result<Self, String> {
        let mut releases: Vec<ForeignRelease> = Vec::new();
        let mut name = None;
        let mut at = 0;
        for text in raw.split_inclusive(|byte| *byte == b'\n') {
            let line = at..at + text.len();
            at = line.end;
            let text = text.trim_ascii();
            if text.is_empty() {
                continue;
            }
            if releases.len() >= MAX_LINES {
                return Err(format!("the index file has more than {MAX_LINES} lines"));
            }
            let parsed: Line = serde_json::from_slice(text)
                .map_err(|error| format!("line {} of the index file is none: {error}", releases.len() + 1))?;
            if !parsed.name.is_spelled_as(asked) {
                return Err(format!("the index file is one of the crate {}", parsed.name));
            }
            name.get_or_insert(parsed.name);
            let Ok(version) = parsed.vers.parse::<Version>() else { continue };
            if parsed.cksum.len() != 64 || !parsed.cksum.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Err(format!("version {version} of the index file has no checksum"));
            }
            let published = parsed.pubtime.and_then(|text| text.parse().ok());
            let (cksum, yanked) = (parsed.cksum, parsed.yanked);
            releases.push(ForeignRelease { version, cksum, yanked, published, line });
        }
        match name {
            Some(name) => Ok(Self { name, releases, raw: raw.clone() }),
            None => Err("the index file is empty".to_owned()),
        }
    }

    /// A version.
    pub(crate) fn release(&self, version: &Version) -> Option<&ForeignRelease> {
        self.releases.iter().find(|release| release.version == *version)
    }

    /// The lines of those versions that are shown, byte for byte, after what is hosted beside them.
    pub(crate) fn render(&self, hosted: Vec<u8>, shown: impl Fn(&ForeignRelease) -> bool) -> Bytes {
        if hosted.is_empty() && self.releases.iter().all(&shown) {
            return self.raw.clone();
        }
        let mut out = hosted;
        for release in self.releases.iter().filter(|release| shown(release)) {
            out.extend_from_slice(self.raw.get(release.line.clone()).unwrap_or_default());
            if out.last() != Some(&b'\n') {
                out.push(b'\n');
            }
        }
        out.into()
    }

    /// About how many bytes it takes beside those of the file.
    pub(crate) fn weight(&self) -> usize {
        self.releases.len().saturating_mul(size_of::<ForeignRelease>() + 96)
    }
}

/// Another registry's `config.json`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ForeignConfig {
    dl: String,
    /// Where its API is, without a slash at its end.
    pub(crate) api: Option<Url>,
}

/// What a URL for downloads may be made of.
const MARKERS: [&str; 5] = ["{crate}", "{version}", "{prefix}", "{lowerprefix}", "{sha256-checksum}"];

impl ForeignConfig {
    /// Reads it.
    pub(crate) fn read(raw: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Config {
            dl: String,
            #[serde(default)]
            api: Option<String>,
        }
        let Config { dl, api } =
            serde_json::from_slice(raw).map_err(|error| format!("its config.json is none: {error}"))?;
        let api = api.and_then(|api| Url::parse(api.trim_end_matches('/')).ok());
        let config = Self { dl, api };
        // Whether it is a URL at all is told here, and not with the first download.
        let probe = ForeignRelease {
            version: "0.0.0".parse().map_err(|_| "no version".to_owned())?,
            cksum: String::new(),
            yanked: false,
            published: None,
            line: 0..0,
        };
        let name = "a".parse().map_err(|_| "no name".to_owned())?;
        config.download(&name, &probe).ok_or("its config.json names no URL for downloads")?;
        Ok(config)
    }

    /// Where a crate's file lies.
    pub(crate) fn download(&self, name: &CrateName, release: &ForeignRelease) -> Option<Url> {
        let version = release.version.to_string();
        let url = if MARKERS.iter().any(|marker| self.dl.contains(marker)) {
            let path = name.index_path_as_spelled();
            let prefix = path.rsplit_once('/').map_or("", |(prefix, _)| prefix);
            self.dl
                .replace("{crate}", name.as_str())
                .replace("{version}", &version)
                .replace("{prefix}", prefix)
                .replace("{lowerprefix}", &prefix.to_ascii_lowercase())
                .replace("{sha256-checksum}", &release.cksum)
        } else {
            format!("{}/{name}/{version}/download", self.dl.trim_end_matches('/'))
        };
        Url::parse(&url).ok().filter(|url| matches!(url.scheme(), "http" | "https"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(name: &str, vers: &str, more: &str) -> String {
        let sum = "a".repeat(64);
        format!(r#"{{"name":"{name}","vers":"{vers}","cksum":"{sum}","deps":[], "features" : {{}}{more}}}"#)
    }

    fn read(text: &str) -> Result<ForeignIndex, String> {
        ForeignIndex::read(&"foo".parse().unwrap(), &Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn checklist_35_lines_stay_byte_for_byte() {
        let lines = [
            line("Foo", "1.0.0", r#","yanked":true,"pubtime":"2026-01-01T00:00:00Z""#),
            line("Foo", "1.1.0+b", r#","later":[1, 2]"#),
            line("Foo", "2", ""),
            line("Foo", "1.2.0", ""),
        ];
        // Without an end of the last line.
        let text = lines.join("\n");
        let index = read(&text).unwrap();
        assert_eq!(index.name.as_str(), "Foo");
        let told: Vec<_> = index.releases.iter().map(|one| (one.version.to_string(), one.yanked)).collect();
        assert_eq!(told, [("1.0.0".into(), true), ("1.1.0+b".into(), false), ("1.2.0".into(), false)]);
        assert_eq!(index.releases[0].published, Some("2026-01-01T00:00:00Z".parse().unwrap()));
        assert_eq!(index.render(Vec::new(), |_| true), text);
        let shown = index.render(Vec::new(), |one| one.version.to_string() != "1.1.0+b");
        assert_eq!(shown, format!("{}\n{}\n", lines[0], lines[3]));
        let merged = index.render(b"{}\n".to_vec(), |one| one.yanked);
        assert_eq!(merged, format!("{{}}\n{}\n", lines[0]));
    }

    #[test]
    fn what_is_no_index_file_is_said_to_be_none() {
        let two = format!("{}\n{}\n", line("foo", "1.0.0", ""), line("bar", "1.0.0", ""));
        for (text, want) in [
            ("", "empty"),
            ("\n\n", "empty"),
            ("<html>", "line 1"),
            ("{}", "line 1"),
            (two.as_str(), "of the crate bar"),
            (line("foo-x", "1.0.0", "").as_str(), "of the crate foo-x"),
            (line("foo", "1.0.0", "").replace("aaa", "").as_str(), "no checksum"),
        ] {
            let wrong = read(text).unwrap_err();
            assert!(wrong.contains(want), "{text}: {wrong}");
        }
    }

    #[test]
    fn downloads_lie_where_the_template_says() {
        let index =
            ForeignIndex::read(&"MyCrate".parse().unwrap(), &Bytes::from(line("MyCrate", "1.0.0+x", "")))
                .unwrap();
        let sum = "a".repeat(64);
        for (dl, want) in [
            ("https://a.example.com/api", "https://a.example.com/api/MyCrate/1.0.0+x/download".to_owned()),
            ("https://a.example.com/api/", "https://a.example.com/api/MyCrate/1.0.0+x/download".to_owned()),
            (
                "https://a.example.com/{prefix}/{lowerprefix}/{crate}-{version}.crate",
                "https://a.example.com/My/Cr/my/cr/MyCrate-1.0.0+x.crate".to_owned(),
            ),
            ("https://a.example.com/{sha256-checksum}", format!("https://a.example.com/{sum}")),
        ] {
            let config = ForeignConfig::read(format!(r#"{{"dl":"{dl}"}}"#).as_bytes()).unwrap();
            let url = config.download(&index.name, &index.releases[0]).unwrap();
            assert_eq!(url.as_str(), want);
        }
        for bad in ["{}", r#"{"dl":"crates"}"#, r#"{"dl":"file:///x"}"#, "<html>"] {
            assert!(ForeignConfig::read(bad.as_bytes()).is_err(), "{bad}");
        }
        let api = |text: &str| ForeignConfig::read(text.as_bytes()).unwrap().api.map(|api| api.to_string());
        assert_eq!(
            api(r#"{"dl":"https://x.example.com","api":"https://y.example.com/sub/"}"#).as_deref(),
            Some("https://y.example.com/sub")
        );
        assert_eq!(api(r#"{"dl":"https://x.example.com","api":"here"}"#), None);
    }

    proptest! {
        #[test]
        fn no_file_makes_it_panic(text in "\\PC{0,200}") {
            let _ = read(&text);
            let _ = ForeignConfig::read(text.as_bytes());
        }

        #[test]
        fn what_is_shown_is_what_is_left(hidden in proptest::collection::vec(any::<bool>(), 1..20)) {
            let text: String =
                (0..hidden.len()).map(|at| line("foo", &format!("1.{at}.0"), "") + "\n").collect();
            let index = read(&text).unwrap();
            let shown = |release: &ForeignRelease| {
                let at = index.releases.iter().position(|one| one.version == release.version).unwrap();
                !hidden[at]
            };
            let out = index.render(Vec::new(), shown);
            let want: String =
                text.split_inclusive('\n').zip(&hidden).filter(|(_, hidden)| !**hidden).map(|(line, _)| line).collect();
            prop_assert_eq!(out, want);
        }
    }
}
