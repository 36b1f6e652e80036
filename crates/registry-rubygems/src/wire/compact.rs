//! The compact index: `/info/<gem>`, `/versions` and `/names`.

use std::fmt::Write as _;

use chrono::{DateTime, SecondsFormat, Utc};
use md5::{Digest as _, Md5};

use super::spec::Spec;
use crate::names::{GemName, slug};

/// What ends the head of each file.
pub(crate) const SEPARATOR: &str = "---\n";

/// A time as the index has it, in UTC and whole seconds.
pub(crate) fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// The head of `/versions`.
pub(crate) fn versions_head(created: DateTime<Utc>) -> String {
    format!("created_at: {}\n{SEPARATOR}", time(created))
}

/// One version in `/info/<gem>`.
pub(crate) fn info_line(spec: &Spec, sha256: &str, created: DateTime<Utc>, out: &mut String) {
    out.push_str(&slug(&spec.version, &spec.platform));
    out.push(' ');
    for (at, dependency) in spec.runtime_dependencies().into_iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        // Writing to a string cannot fail.
        let _ = write!(out, "{comma}{}:{}", dependency.name, dependency.requirement.to_compact());
    }
    let _ = write!(out, "|checksum:{sha256}");
    for (key, requirement) in
        [("ruby", &spec.required_ruby_version), ("rubygems", &spec.required_rubygems_version)]
    {
        if !requirement.is_any() {
            let _ = write!(out, ",{key}:{}", requirement.to_compact());
        }
    }
    let _ = writeln!(out, ",created_at:{}", time(created));
}

/// `/names`.
pub(crate) fn names<'n>(names: impl Iterator<Item = &'n str>) -> String {
    let mut out = SEPARATOR.to_owned();
    for name in names {
        out.push_str(name);
        out.push('\n');
    }
    out
}

/// The MD5 of a file, as `/versions` names it.
pub(crate) fn md5(body: &str) -> [u8; 16] {
    Md5::digest(body.as_bytes()).into()
}

/// A line of `/versions`: what became of versions of a gem, and the MD5 of its `/info` after that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VersionsLine<'t> {
    pub(crate) name: &'t str,
    /// Versions with their platforms as `slug` writes them, with `-` before those that are gone.
    pub(crate) slugs: Vec<&'t str>,
    pub(crate) md5: [u8; 16],
}

impl<'t> VersionsLine<'t> {
    /// Reads a line without its end. `None` where it is none.
    pub(crate) fn parse(line: &'t str) -> Option<Self> {
        let mut parts = line.split(' ');
        let (name, slugs, md5) = (parts.next()?, parts.next()?, parts.next()?);
        let mut digest = [0; 16];
        hex::decode_to_slice(md5, &mut digest).ok()?;
        let slugs: Vec<&str> = slugs.split(',').collect();
        let ok = parts.next().is_none()
            && name.parse::<GemName>().is_ok()
            && slugs.iter().all(|slug| !slug.is_empty());
        ok.then_some(Self { name, slugs, md5: digest })
    }
}

/// Writes a line of `/versions`.
pub(crate) fn versions_line<S: AsRef<str>>(name: &str, slugs: &[S], md5: [u8; 16], out: &mut String) {
    out.push_str(name);
    for (at, slug) in slugs.iter().enumerate() {
        out.push(if at == 0 { ' ' } else { ',' });
        out.push_str(slug.as_ref());
    }
    let _ = writeln!(out, " {}", hex::encode(md5));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        names::tests::any_name,
        version::tests::any_version,
        wire::spec::tests::{any_spec, demo, now},
    };

    fn line(spec: &Spec) -> String {
        let mut out = String::new();
        info_line(spec, &"c".repeat(64), now(), &mut out);
        out
    }

    #[test]
    fn checklist_30_31_33_lines_of_info() {
        let c = "c".repeat(64);
        assert_eq!(
            line(&demo()),
            format!(
                "1.10.0 addressable:>= 0,rack:< 3&>= 1.0|checksum:{c},ruby:>= 2.7,created_at:2026-03-04T05:06:07Z\n"
            )
        );
        let mut spec = demo();
        spec.dependencies.clear();
        spec.required_ruby_version = crate::wire::requirement::Requirement::any();
        spec.required_rubygems_version = "> 1.3.1, < 4".parse().unwrap();
        spec.platform = "x86_64-linux".parse().unwrap();
        assert_eq!(
            line(&spec),
            format!(
                "1.10.0-x86_64-linux |checksum:{c},rubygems:< 4&> 1.3.1,created_at:2026-03-04T05:06:07Z\n"
            )
        );
    }

    #[test]
    fn the_other_files() {
        assert_eq!(versions_head(now()), "created_at: 2026-03-04T05:06:07Z\n---\n");
        assert_eq!(names(["a", "b"].into_iter()), "---\na\nb\n");
        assert_eq!(hex::encode(md5(SEPARATOR)), "6105347ebb9825ac754615ca55ff3b0c");
        let mut out = String::new();
        versions_line("rack", &["1.0", "-0.9", "1.0-java"], md5(SEPARATOR), &mut out);
        assert_eq!(out, "rack 1.0,-0.9,1.0-java 6105347ebb9825ac754615ca55ff3b0c\n");
        for bad in [
            "",
            "a",
            "a 1",
            "a 1 x",
            "a 1 6105347ebb9825ac754615ca55ff3b0c x",
            "a  6105347ebb9825ac754615ca55ff3b0c",
            "/ 1 6105347ebb9825ac754615ca55ff3b0c",
            "a 1, 6105347ebb9825ac754615ca55ff3b0c",
        ] {
            assert_eq!(VersionsLine::parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_version_is_one_line_with_one_bar(spec in any_spec()) {
            let line = line(&spec);
            prop_assert!(line.ends_with('\n') && line.matches('\n').count() == 1);
            let (slug, rest) = line.trim_end().split_once(' ').unwrap();
            prop_assert_eq!(slug, crate::names::slug(&spec.version, &spec.platform));
            let (dependencies, requirements) = rest.split_once('|').unwrap();
            prop_assert!(!requirements.contains('|'));
            let names: Vec<&str> =
                dependencies.split(',').filter(|text| !text.is_empty()).map(|text| text.split_once(':').unwrap().0).collect();
            let want: Vec<String> = spec.runtime_dependencies().iter().map(|found| found.name.to_string()).collect();
            prop_assert_eq!(names, want);
            prop_assert!(requirements.starts_with("checksum:cccc"));
            prop_assert!(requirements.rsplit(',').next().unwrap().starts_with("created_at:"));
        }

        #[test]
        fn lines_of_versions_round_trip(
            name in any_name(), versions in prop::collection::vec((any_version(), any::<bool>()), 1..5), md5: [u8; 16],
        ) {
            let slugs: Vec<String> =
                versions.iter().map(|(version, gone)| format!("{}{version}", if *gone { "-" } else { "" })).collect();
            let mut out = String::new();
            versions_line(name.as_str(), &slugs, md5, &mut out);
            let line = VersionsLine::parse(out.strip_suffix('\n').unwrap()).unwrap();
            prop_assert_eq!(line.name, name.as_str());
            prop_assert_eq!(line.slugs, slugs);
            prop_assert_eq!(line.md5, md5);
        }

        #[test]
        fn no_line_panics(line in "\\PC{0,80}") {
            let _ = VersionsLine::parse(&line);
        }
    }
}
