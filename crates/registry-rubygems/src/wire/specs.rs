//! `specs.4.8` and its sisters: every version in one list, for clients that know no compact index and for mirrors.

use std::{collections::HashSet, io::Write as _};

use flate2::{Compression, write::GzEncoder};

use super::marshal::Writer;
use crate::{
    names::{GemName, Platform},
    version::Version,
};

/// Which versions a list has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum SpecsKind {
    /// The newest release of each gem for each platform.
    Latest,
    Prereleases,
    Releases,
}

impl SpecsKind {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Latest, Self::Prereleases, Self::Releases];

    /// The file's name without its ending.
    pub(crate) const fn file_stem(self) -> &'static str {
        match self {
            Self::Latest => "latest_specs.4.8",
            Self::Prereleases => "prerelease_specs.4.8",
            Self::Releases => "specs.4.8",
        }
    }
}

/// The visible versions of a gem.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub(crate) name: GemName,
    pub(crate) versions: Vec<(Version, Platform)>,
}

/// Renders a list. `gems` come in the order of their names; the versions of each are written newest first.
pub(crate) fn render(kind: SpecsKind, gems: impl Iterator<Item = Listed>) -> Vec<u8> {
    let mut chosen: Vec<Listed> = gems.collect();
    for gem in &mut chosen {
        gem.versions.sort_unstable_by(|(a, at), (b, bt)| b.cmp(a).then_with(|| at.cmp(bt)));
        let mut seen = HashSet::new();
        gem.versions.retain(|(version, platform)| match kind {
            SpecsKind::Latest => !version.is_prerelease() && seen.insert(platform.clone()),
            SpecsKind::Prereleases => version.is_prerelease(),
            SpecsKind::Releases => !version.is_prerelease(),
        });
    }
    let mut writer = Writer::new();
    writer.array(chosen.iter().map(|gem| gem.versions.len()).sum());
    for gem in &chosen {
        for (version, platform) in &gem.versions {
            writer.array(3);
            writer.text(gem.name.as_str());
            writer.version(version);
            writer.text(platform.as_str());
        }
    }
    writer.finish()
}

/// Packs a rendered list.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::default());
    // Writing to memory cannot fail.
    encoder.write_all(bytes).and_then(|()| encoder.finish()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{names::parse_slug, wire::marshal::read::load};

    fn listed(name: &str, versions: &[&str]) -> Listed {
        Listed {
            name: name.parse().unwrap(),
            versions: versions.iter().map(|text| parse_slug(text).unwrap()).collect(),
        }
    }

    fn list(kind: SpecsKind, gems: &[Listed]) -> Vec<String> {
        let value = load(&render(kind, gems.iter().cloned()));
        let entries = value.items().iter();
        entries
            .map(|entry| {
                format!("{} {} {}", entry.items()[0].text(), entry.items()[1].text(), entry.items()[2].text())
            })
            .collect()
    }

    #[test]
    fn checklist_28_29_every_version_is_in_its_lists() {
        let gems = [
            listed("a", &["1.9", "1.10", "2.0.rc1", "1.9-java", "1.8-java", "1.0.0.rc1", "1.0.0"]),
            listed("b", &["0.1.pre"]),
            listed("c", &[]),
        ];
        assert_eq!(
            list(SpecsKind::Releases, &gems),
            ["a 1.10 ruby", "a 1.9 java", "a 1.9 ruby", "a 1.8 java", "a 1.0.0 ruby"]
        );
        assert_eq!(
            list(SpecsKind::Prereleases, &gems),
            ["a 2.0.rc1 ruby", "a 1.0.0.rc1 ruby", "b 0.1.pre ruby"]
        );
        assert_eq!(list(SpecsKind::Latest, &gems), ["a 1.10 ruby", "a 1.9 java"]);
        assert_eq!(list(SpecsKind::Latest, &[]), [""; 0]);
    }

    proptest! {
        #[test]
        fn latest_is_one_of_each_platform_and_none_is_newer(
            slugs in prop::collection::hash_set("[0-3](\\.[0-3]){0,2}(\\.rc[0-3])?(-(java|x86))?", 0..12),
        ) {
            let versions: Vec<(Version, Platform)> = slugs.iter().filter_map(|slug| parse_slug(slug)).collect();
            let gem = Listed { name: "a".parse().unwrap(), versions: versions.clone() };
            let latest = list(SpecsKind::Latest, std::slice::from_ref(&gem));
            let all: usize = [SpecsKind::Releases, SpecsKind::Prereleases]
                .iter()
                .map(|kind| list(*kind, std::slice::from_ref(&gem)).len())
                .sum();
            prop_assert_eq!(all, versions.len());
            for (version, platform) in versions.iter().filter(|(version, _)| !version.is_prerelease()) {
                let of_platform: Vec<_> = latest.iter().filter(|line| line.ends_with(&format!(" {platform}"))).collect();
                prop_assert_eq!(of_platform.len(), 1);
                let newest: Version = of_platform[0].split(' ').nth(1).unwrap().parse().unwrap();
                prop_assert!(newest >= *version);
            }
        }
    }
}
