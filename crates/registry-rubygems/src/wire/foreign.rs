//! Another registry's compact index: the lines of a gem, and the list of all gems. Lines are passed on as they came.

use chrono::{DateTime, Utc};

use super::compact::{SEPARATOR, VersionsLine};

/// The most versions of a gem.
const MAX_VERSIONS: usize = 50_000;

/// A version of a gem of another registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ForeignRelease {
    /// The version with its platform, as indexes write them.
    pub(crate) slug: String,
    /// The SHA-256 of its file, in hex.
    pub(crate) sha256: Option<String>,
    pub(crate) created: Option<DateTime<Utc>>,
    line: String,
}

/// A gem of another registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ForeignInfo {
    pub(crate) releases: Vec<ForeignRelease>,
}

impl ForeignInfo {
    /// Reads `/info/<gem>`.
    pub(crate) fn read(raw: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(raw).map_err(|_| "its info file is no text".to_owned())?;
        let (_, lines) = text.split_once(SEPARATOR).ok_or("its info file has no head")?;
        let mut releases = Vec::new();
        for line in lines.lines().filter(|line| !line.is_empty()) {
            if releases.len() >= MAX_VERSIONS {
                return Err(format!("its info file has more than {MAX_VERSIONS} versions"));
            }
            let (slug, rest) = line.split_once(' ').ok_or("a line of its info file is none")?;
            let (_, facts) = rest.split_once('|').ok_or("a line of its info file is none")?;
            let fact = |name: &str| {
                let found = facts.split(',').find_map(|fact| fact.strip_prefix(name)?.strip_prefix(':'));
                found.filter(|value| !value.is_empty())
            };
            let sha256 =
                fact("checksum").filter(|sum| sum.len() == 64 && sum.bytes().all(|b| b.is_ascii_hexdigit()));
            releases.push(ForeignRelease {
                slug: slug.to_owned(),
                sha256: sha256.map(str::to_owned),
                created: fact("created_at").and_then(|time| time.parse().ok()),
                line: line.to_owned(),
            });
        }
        Ok(Self { releases })
    }

    /// The file with those versions that are shown, after what is hosted beside them.
    pub(crate) fn render(&self, hosted: Option<String>, shown: impl Fn(&ForeignRelease) -> bool) -> String {
        let mut out = hosted.unwrap_or_else(|| SEPARATOR.to_owned());
        for release in self.releases.iter().filter(|release| shown(release)) {
            out.push_str(&release.line);
            out.push('\n');
        }
        out
    }

    /// About how many bytes it takes.
    pub(crate) fn weight(&self) -> usize {
        self.releases.iter().map(|release| release.line.len() + release.slug.len() + 160).sum()
    }
}

/// Whether a text is a list of all gems.
pub(crate) fn is_versions(raw: &[u8]) -> Result<(), String> {
    let text = std::str::from_utf8(raw).map_err(|_| "its list of versions is no text".to_owned())?;
    let (head, lines) = text.split_once(SEPARATOR).ok_or("its list of versions has no head")?;
    if head.len() > 4096 || !head.contains("created_at:") {
        return Err("its list of versions has no head".to_owned());
    }
    // The end is where broken transfers show.
    let last = lines.lines().next_back();
    if !lines.is_empty()
        && (!lines.ends_with('\n') || last.is_none_or(|line| VersionsLine::parse(line).is_none()))
    {
        return Err("the last line of its list of versions is none".to_owned());
    }
    Ok(())
}

/// The list of all gems that both have: theirs as it is but for the gems that are not shown, and behind it the lines of what is hosted.
pub(crate) fn merge_versions(theirs: &str, hosted: &str, shown: impl Fn(&str) -> bool) -> String {
    let (head, lines) = theirs.split_once(SEPARATOR).unwrap_or((theirs, ""));
    let ours = hosted.split_once(SEPARATOR).map_or("", |(_, lines)| lines);
    let mut out = String::with_capacity(theirs.len() + ours.len());
    out.push_str(head);
    out.push_str(SEPARATOR);
    for line in lines.split_inclusive('\n') {
        let name = line.split(' ').next().unwrap_or_default();
        // Lines that nobody can read are left out: the index of names is made of this, too.
        if shown(name) && VersionsLine::parse(line.trim_end_matches('\n')).is_some() {
            out.push_str(line);
        }
    }
    out.push_str(ours);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MD5: &str = "6105347ebb9825ac754615ca55ff3b0c";

    #[test]
    fn checklist_50_lines_are_read_and_stay_as_they_are() {
        let sum = "a".repeat(64);
        let text = format!(
            "---\n1.0.0 rack:>= 1&< 3,x:= 1|checksum:{sum},ruby:>= 2.7,created_at:2026-01-01T00:00:00Z\n1.1.0-java |checksum:{sum}\n0.9 |ruby:> 1\n"
        );
        let info = ForeignInfo::read(text.as_bytes()).unwrap();
        let told: Vec<_> =
            info.releases.iter().map(|one| (one.slug.as_str(), one.sha256.is_some())).collect();
        assert_eq!(told, [("1.0.0", true), ("1.1.0-java", true), ("0.9", false)]);
        assert_eq!(info.releases[0].created, Some("2026-01-01T00:00:00Z".parse().unwrap()));
        assert_eq!(info.render(None, |_| true), text);
        let some = info.render(Some("---\nours\n".to_owned()), |one| one.slug == "0.9");
        assert_eq!(some, "---\nours\n0.9 |ruby:> 1\n");
        for bad in ["", "<html>", "---\nx", "---\nx y", "1.0 |checksum:a"] {
            assert!(ForeignInfo::read(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn checklist_51_53_54_lists_have_one_head_and_nothing_of_what_is_hosted() {
        let theirs = format!(
            "created_at: 2026-01-01T00:00:00Z\n---\nrack 1.0 {MD5}\nown 9.9 {MD5}\nrack 1.1,-1.0 {MD5}\n"
        );
        let ours = format!("created_at: 2026-02-02T00:00:00Z\n---\nown 1.0 {MD5}\n");
        is_versions(theirs.as_bytes()).unwrap();
        let merged = merge_versions(&theirs, &ours, |name| name != "own");
        assert_eq!(
            merged,
            format!(
                "created_at: 2026-01-01T00:00:00Z\n---\nrack 1.0 {MD5}\nrack 1.1,-1.0 {MD5}\nown 1.0 {MD5}\n"
            )
        );
        let cut = &theirs[..theirs.len() - 5];
        for bad in ["", "<html>", "---\n", "created_at: x\n", cut] {
            assert!(is_versions(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,100}") {
            let _ = ForeignInfo::read(text.as_bytes());
            let _ = is_versions(text.as_bytes());
            let _ = merge_versions(&text, &text, |_| true);
        }
    }
}
