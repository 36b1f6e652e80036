//! Names of files: which classifier, extension and build of a version they are.

use super::VersionName;
use crate::version::snapshot_base;

/// Extensions with a dot in them.
const COMPOUND: [&str; 4] = ["tar.gz", "tar.bz2", "tar.xz", "tar.zst"];
/// What is signed keeps its name and has this behind it.
const SIGNATURES: [&str; 3] = [".asc", ".sigstore.json", ".sigstore"];
/// The most digits of a build's number that are taken for one: clients count in 32 bits.
const MAX_NUMBER: usize = 9;

/// A build of a snapshot. Later ones are greater.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Build {
    /// When it was made, as `20260102.030405`.
    pub(crate) timestamp: String,
    /// Its number.
    pub(crate) number: u64,
}

impl Build {
    /// The time as metadata writes it without the dot: `20260102030405`.
    pub(crate) fn compact_timestamp(&self) -> String {
        self.timestamp.replace('.', "")
    }
}

/// What a file is by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    /// A file of the layout: `<artifact>-<version>[-<classifier>].<extension>`.
    Artifact {
        classifier: Option<String>,
        extension: String,
        /// The build, where the name says one.
        build: Option<Build>,
    },
    /// Any other file in the version's folder.
    Opaque,
}

impl FileKind {
    /// What a file of this name is in the version's folder.
    pub(crate) fn of(version: &VersionName, file: &str) -> Self {
        Self::artifact(version, file).unwrap_or(Self::Opaque)
    }

    fn artifact(version: &VersionName, file: &str) -> Option<Self> {
        let rest = file.strip_prefix(version.artifact().artifact())?.strip_prefix('-')?;
        let (build, rest) = match rest.strip_prefix(version.version()) {
            Some(rest) if rest.starts_with(['.', '-']) => (None, rest),
            _ => {
                let rest = rest.strip_prefix(snapshot_base(version.version())?)?;
                let (build, rest) = split_build(rest)?;
                (Some(build), rest)
            }
        };
        let (classifier, extension) = split_classifier(rest)?;
        Some(Self::Artifact {
            classifier: classifier.map(str::to_owned),
            extension: extension.to_owned(),
            build,
        })
    }

    /// The build, where the name says one.
    pub(crate) fn build(&self) -> Option<&Build> {
        match self {
            Self::Artifact { build, .. } => build.as_ref(),
            Self::Opaque => None,
        }
    }

    /// Whether a file that is this and has this name makes its version known to clients: the project's POM, a Gradle module or an Ivy
    /// file. (The POM that Maven 4 adds under the classifier `build` is none of them.)
    pub(crate) fn announces(&self, file: &str) -> bool {
        let ivy = file.starts_with("ivy") && ending(file) == "xml";
        match self {
            Self::Artifact { classifier: None, extension, .. } => {
                matches!(extension.as_str(), "pom" | "module") || ivy
            }
            Self::Artifact { .. } => false,
            Self::Opaque => ivy || ending(file) == "pom",
        }
    }

    /// Whether it is a project's POM.
    pub(crate) fn is_pom(&self, file: &str) -> bool {
        match self {
            Self::Artifact { classifier, extension, .. } => classifier.is_none() && extension == "pom",
            Self::Opaque => ending(file) == "pom",
        }
    }
}

/// What stands behind the last dot.
fn ending(file: &str) -> &str {
    file.rsplit_once('.').map_or("", |(_, ending)| ending)
}

/// `20260102.030405-7` and what follows it.
fn split_build(text: &str) -> Option<(Build, &str)> {
    let (timestamp, rest) = text.split_at_checked(15)?;
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let (date, time) = timestamp.split_once('.')?;
    if date.len() != 8 || !digits(date) || !digits(time) {
        return None;
    }
    let rest = rest.strip_prefix('-')?;
    let end = rest.find(|c: char| !c.is_ascii_digit())?;
    let (number, rest) = rest.split_at_checked(end)?;
    if number.is_empty() || number.len() > MAX_NUMBER || !rest.starts_with(['.', '-']) {
        return None;
    }
    Some((Build { timestamp: timestamp.to_owned(), number: number.parse().ok()? }, rest))
}

/// The classifier and the extension in what follows the version.
fn split_classifier(rest: &str) -> Option<(Option<&str>, &str)> {
    if let Some(extension) = rest.strip_prefix('.') {
        return (!extension.is_empty()).then_some((None, extension));
    }
    let rest = rest.strip_prefix('-')?;
    let unsigned = SIGNATURES.iter().find_map(|suffix| rest.strip_suffix(suffix)).unwrap_or(rest);
    let compound = COMPOUND.iter().find_map(|known| unsigned.strip_suffix(known)?.strip_suffix('.'));
    let classifier = match compound {
        Some(classifier) => classifier,
        None => unsigned.rsplit_once('.')?.0,
    };
    let extension = rest.get(classifier.len().checked_add(1)?..)?;
    (!classifier.is_empty() && !extension.is_empty()).then_some((Some(classifier), extension))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn version(artifact: &str, version: &str) -> VersionName {
        VersionName::new(format!("g:{artifact}").parse().unwrap(), version).unwrap()
    }

    #[track_caller]
    fn check(
        of: &VersionName,
        file: &str,
        classifier: Option<&str>,
        extension: &str,
        build: Option<(&str, u64)>,
    ) {
        let want = FileKind::Artifact {
            classifier: classifier.map(str::to_owned),
            extension: extension.to_owned(),
            build: build.map(|(timestamp, number)| Build { timestamp: timestamp.to_owned(), number }),
        };
        assert_eq!(FileKind::of(of, file), want, "{file}");
    }

    #[test]
    fn names_of_the_layout() {
        let lib = version("lib-core", "1.0-2");
        check(&lib, "lib-core-1.0-2.jar", None, "jar", None);
        check(&lib, "lib-core-1.0-2.tar.gz", None, "tar.gz", None);
        check(&lib, "lib-core-1.0-2.pom.asc", None, "pom.asc", None);
        check(&lib, "lib-core-1.0-2-sources.jar", Some("sources"), "jar", None);
        check(&lib, "lib-core-1.0-2-sources.jar.asc", Some("sources"), "jar.asc", None);
        check(&lib, "lib-core-1.0-2-bin.tar.gz", Some("bin"), "tar.gz", None);
        check(
            &lib,
            "lib-core-1.0-2-linux-x86.64-bin.tar.xz.sigstore.json",
            Some("linux-x86.64-bin"),
            "tar.xz.sigstore.json",
            None,
        );
        check(&lib, "lib-core-1.0-2-build.pom", Some("build"), "pom", None);
        let snapshot = version("lib", "1.0-SNAPSHOT");
        check(&snapshot, "lib-1.0-SNAPSHOT.jar", None, "jar", None);
        check(&snapshot, "lib-1.0-20260102.030405-12.jar", None, "jar", Some(("20260102.030405", 12)));
        check(
            &snapshot,
            "lib-1.0-20260102.030405-12-sources.jar",
            Some("sources"),
            "jar",
            Some(("20260102.030405", 12)),
        );
        let bare = version("lib", "SNAPSHOT");
        check(&bare, "lib-20260102.030405-1.pom", None, "pom", Some(("20260102.030405", 1)));
    }

    #[test]
    fn checklist_30_other_names_are_opaque() {
        let lib = version("sbt-x_2.12_1.0", "1.0.2");
        for file in [
            "sbt-x-1.0.2.pom",
            "ivy-1.0.2.xml",
            "p2artifacts.xml",
            "sbt-x_2.12_1.0-1.0.2",
            "sbt-x_2.12_1.0-1.0.21.jar",
            "sbt-x_2.12_1.0-1.0.2.",
            "sbt-x_2.12_1.0-1.0.2-.jar",
            "sbt-x_2.12_1.0-1.0.2-noext",
        ] {
            assert_eq!(FileKind::of(&lib, file), FileKind::Opaque, "{file}");
        }
        let snapshot = version("lib", "1.0-SNAPSHOT");
        for file in [
            "lib-1.0-20260102.030405-.jar",
            "lib-1.0-20260102.030405-1",
            "lib-1.0-20260102.030405-9999999999.jar",
            "lib-1.0-2026010.2030405-1.jar",
            "lib-1.1-20260102.030405-1.jar",
        ] {
            assert_eq!(FileKind::of(&snapshot, file), FileKind::Opaque, "{file}");
        }
    }

    #[test]
    fn checklist_35_what_announces_a_version() {
        let lib = version("lib", "1.0");
        for (file, announces, pom) in [
            ("lib-1.0.pom", true, true),
            ("lib-1.0.module", true, false),
            ("ivy-1.0.xml", true, false),
            ("other-1.0.pom", true, true),
            ("lib-1.0-build.pom", false, false),
            ("lib-1.0.pom.asc", false, false),
            ("lib-1.0.jar", false, false),
        ] {
            let kind = FileKind::of(&lib, file);
            assert_eq!((kind.announces(file), kind.is_pom(file)), (announces, pom), "{file}");
        }
    }

    proptest! {
        #[test]
        fn names_of_the_layout_come_back(
            artifact in "[a-z][a-z0-9.-]{0,8}[a-z]",
            number in "[0-9]{1,2}(\\.[0-9]{1,2}){0,2}",
            classifier in proptest::option::of("[a-z][a-z0-9-]{0,6}"),
            extension in "jar|pom|tar\\.gz|jar\\.asc|module",
        ) {
            let of = version(&artifact, &number);
            let middle = classifier.as_ref().map(|classifier| format!("-{classifier}")).unwrap_or_default();
            let file = format!("{artifact}-{number}{middle}.{extension}");
            prop_assert_eq!(FileKind::of(&of, &file), FileKind::Artifact { classifier, extension, build: None });
        }

        #[test]
        fn no_name_panics(file in "\\PC{0,40}", odd in "lib-1\\.0-(20260102\\.030405|[0-9.]{0,16})?[-.a-z0-9]{0,12}") {
            let of = version("lib", "1.0-SNAPSHOT");
            let _ = FileKind::of(&of, &file);
            let _ = FileKind::of(&of, &odd);
        }
    }
}
