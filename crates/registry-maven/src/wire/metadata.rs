//! `maven-metadata.xml`: what clients upload, and what this repository makes itself.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDateTime, Utc};
use registry_core::http::escape_html;

use super::xml::{XmlError, walk};
use crate::{
    names::{Build, FileKind, VersionName},
    version::{is_snapshot, snapshot_base, sort},
};

/// The longest name of a plugin that is taken, in characters.
const MAX_NAME: usize = 256;
/// The longest prefix of goals.
const MAX_PREFIX: usize = 100;

/// What an uploaded document says that a repository cannot find out itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Uploaded {
    /// The versions that the client takes for complete.
    pub(crate) versions: Vec<String>,
    /// Plugins with the prefixes of their goals.
    pub(crate) plugins: Vec<Plugin>,
    /// When it was last changed, as it says.
    pub(crate) updated: Option<DateTime<Utc>>,
    /// Of a snapshot: the newest files.
    pub(crate) snapshots: Vec<SnapshotFile>,
}

/// The newest file of a classifier and extension of a snapshot, as a document says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SnapshotFile {
    pub(crate) classifier: Option<String>,
    pub(crate) extension: String,
    /// The version in its name: `1.0-20260102.030405-7`.
    pub(crate) value: String,
}

impl SnapshotFile {
    /// Its name in the folder of its version.
    pub(crate) fn name(&self, version: &VersionName) -> String {
        let (artifact, value, extension) = (version.artifact().artifact(), &self.value, &self.extension);
        let classifier = self.classifier.as_deref().map(|text| format!("-{text}")).unwrap_or_default();
        format!("{artifact}-{value}{classifier}.{extension}")
    }
}

/// A plugin of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plugin {
    pub(crate) artifact: String,
    pub(crate) prefix: String,
    pub(crate) name: String,
}

impl Uploaded {
    /// Reads a document of any of the three levels. Plugins without an artifact or a usable prefix are left out.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, XmlError> {
        let mut uploaded = Self::default();
        let (mut artifact, mut prefix, mut name) = (String::new(), String::new(), String::new());
        let mut snapshot = SnapshotFile::default();
        walk(bytes, "metadata", |path, text| match path {
            ["metadata", "versioning", "lastUpdated"] => uploaded.updated = from_compact(text),
            ["metadata", "versioning", "snapshotVersions", "snapshotVersion", field] => match *field {
                "classifier" => snapshot.classifier = Some(text.to_owned()).filter(|text| !text.is_empty()),
                "extension" => text.clone_into(&mut snapshot.extension),
                "value" => text.clone_into(&mut snapshot.value),
                _ => {}
            },
            ["metadata", "versioning", "snapshotVersions", "snapshotVersion"] => {
                uploaded.snapshots.push(std::mem::take(&mut snapshot));
            }
            ["metadata", "versioning", "versions", "version"] => uploaded.versions.push(text.to_owned()),
            ["metadata", "plugins", "plugin", "artifactId"] => text.clone_into(&mut artifact),
            ["metadata", "plugins", "plugin", "prefix"] => text.clone_into(&mut prefix),
            ["metadata", "plugins", "plugin", "name"] => name = text.chars().take(MAX_NAME).collect(),
            ["metadata", "plugins", "plugin"] => {
                let plugin = Plugin {
                    artifact: std::mem::take(&mut artifact),
                    prefix: std::mem::take(&mut prefix),
                    name: std::mem::take(&mut name),
                };
                if !plugin.artifact.is_empty() && is_prefix(&plugin.prefix) {
                    uploaded.plugins.push(plugin);
                }
            }
            _ => {}
        })?;
        Ok(uploaded)
    }
}

/// What a plugin's JAR says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Descriptor {
    /// What its goals begin with.
    pub(crate) prefix: String,
    /// The name for people, which may be empty.
    pub(crate) name: String,
}

impl Descriptor {
    /// Reads a plugin's description. `None` where it has no usable prefix.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Option<Self>, XmlError> {
        let (mut prefix, mut name) = (String::new(), String::new());
        walk(bytes, "plugin", |path, text| match path {
            ["plugin", "goalPrefix"] => text.clone_into(&mut prefix),
            ["plugin", "name"] => name = text.chars().take(MAX_NAME).collect(),
            _ => {}
        })?;
        Ok(is_prefix(&prefix).then_some(Self { prefix, name }))
    }
}

/// Whether a text can be the prefix of goals.
fn is_prefix(text: &str) -> bool {
    (1..=MAX_PREFIX).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

/// What the document tells of an artifact.
#[derive(Clone, Debug)]
pub(crate) struct Versions<'v> {
    pub(crate) group: &'v str,
    pub(crate) artifact: &'v str,
    /// The lowest first.
    pub(crate) ascending: Vec<&'v str>,
    pub(crate) latest: Option<&'v str>,
    pub(crate) release: Option<&'v str>,
    pub(crate) updated: DateTime<Utc>,
}

impl<'v> Versions<'v> {
    /// Of these versions, with the highest as the latest and the highest release as the release.
    pub(crate) fn highest(
        group: &'v str,
        artifact: &'v str,
        versions: impl IntoIterator<Item = &'v str>,
        updated: DateTime<Utc>,
    ) -> Self {
        let versions = sort(versions);
        let latest = versions.last().copied();
        let release = versions.iter().rev().copied().find(|version| !is_snapshot(version));
        Self { group, artifact, ascending: versions, latest, release, updated }
    }
}

/// Renders the document of a folder: of the artifact that it is, of the plugins of the group that it is, or of both.
pub(crate) fn render(versions: Option<&Versions<'_>>, plugins: &[Plugin]) -> String {
    let mut out = Writer::new("<metadata>");
    if let Some(Versions { group, artifact, ascending, latest, release, updated }) = versions {
        out.element(1, "groupId", group);
        out.element(1, "artifactId", artifact);
        out.open(1, "versioning");
        for (name, version) in [("latest", latest), ("release", release)] {
            if let Some(version) = version {
                out.element(2, name, version);
            }
        }
        out.open(2, "versions");
        for version in ascending {
            out.element(3, "version", version);
        }
        out.close(2, "versions");
        out.element(2, "lastUpdated", &compact(*updated));
        out.close(1, "versioning");
    }
    if !plugins.is_empty() {
        out.open(1, "plugins");
        for plugin in plugins {
            out.open(2, "plugin");
            out.element(3, "name", &plugin.name);
            out.element(3, "prefix", &plugin.prefix);
            out.element(3, "artifactId", &plugin.artifact);
            out.close(2, "plugin");
        }
        out.close(1, "plugins");
    }
    out.finish()
}

/// The newest file of each classifier and extension of a snapshot.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot<'v> {
    version: &'v VersionName,
    newest: Option<Build>,
    files: BTreeMap<(Option<String>, String), Newest<'v>>,
    updated: DateTime<Utc>,
}

/// The newest file of its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Newest<'v> {
    /// Its name.
    pub(crate) file: &'v str,
    build: Option<Build>,
    uploaded: DateTime<Utc>,
}

impl<'v> Snapshot<'v> {
    /// Of these files with their times. A file with a build always comes before one without.
    pub(crate) fn new(
        version: &'v VersionName,
        files: impl IntoIterator<Item = (&'v str, DateTime<Utc>)>,
        updated: DateTime<Utc>,
    ) -> Self {
        let mut snapshot = Self { version, newest: None, files: BTreeMap::new(), updated };
        for (file, uploaded) in files {
            let FileKind::Artifact { classifier, extension, build } = FileKind::of(version, file) else {
                continue;
            };
            snapshot.newest = snapshot.newest.max(build.clone());
            let found = Newest { file, build, uploaded };
            match snapshot.files.entry((classifier, extension)) {
                std::collections::btree_map::Entry::Vacant(entry) => {
                    entry.insert(found);
                }
                std::collections::btree_map::Entry::Occupied(mut entry) => {
                    if entry.get().build < found.build {
                        entry.insert(found);
                    }
                }
            }
        }
        snapshot
    }

    /// The newest file of the same classifier and extension as this name without a build.
    pub(crate) fn stands_for(&self, literal: &str) -> Option<&'v str> {
        match FileKind::of(self.version, literal) {
            FileKind::Artifact { classifier, extension, build: None } => {
                self.files.get(&(classifier, extension)).map(|newest| newest.file)
            }
            _ => None,
        }
    }

    /// The builds that clients are told of.
    pub(crate) fn builds(&self) -> impl Iterator<Item = &Build> {
        self.files.values().filter_map(|newest| newest.build.as_ref())
    }

    /// Renders the document of the snapshot's folder.
    pub(crate) fn render(&self) -> String {
        let version = self.version.version();
        let base = snapshot_base(version).unwrap_or_default();
        let mut out = Writer::new("<metadata modelVersion=\"1.1.0\">");
        out.element(1, "groupId", self.version.artifact().group());
        out.element(1, "artifactId", self.version.artifact().artifact());
        out.open(1, "versioning");
        out.element(2, "lastUpdated", &compact(self.updated));
        if let Some(build) = &self.newest {
            out.open(2, "snapshot");
            out.element(3, "timestamp", &build.timestamp);
            out.element(3, "buildNumber", &build.number.to_string());
            out.close(2, "snapshot");
        }
        out.open(2, "snapshotVersions");
        for ((classifier, extension), newest) in &self.files {
            let (value, updated) = match &newest.build {
                Some(build) => {
                    (format!("{base}{}-{}", build.timestamp, build.number), build.compact_timestamp())
                }
                None => (version.to_owned(), compact(newest.uploaded)),
            };
            out.open(3, "snapshotVersion");
            if let Some(classifier) = classifier {
                out.element(4, "classifier", classifier);
            }
            out.element(4, "extension", extension);
            out.element(4, "value", &value);
            out.element(4, "updated", &updated);
            out.close(3, "snapshotVersion");
        }
        out.close(2, "snapshotVersions");
        out.close(1, "versioning");
        out.element(1, "version", version);
        out.finish()
    }
}

/// A time as metadata has it.
fn from_compact(text: &str) -> Option<DateTime<Utc>> {
    NaiveDateTime::parse_from_str(text, "%Y%m%d%H%M%S").ok().map(|time| time.and_utc())
}

/// A time as metadata writes it.
fn compact(time: DateTime<Utc>) -> String {
    time.format("%Y%m%d%H%M%S").to_string()
}

struct Writer(String);

impl Writer {
    fn new(root: &str) -> Self {
        Self(format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{root}\n"))
    }

    fn indent(&mut self, depth: usize) {
        self.0.extend(std::iter::repeat_n("  ", depth));
    }

    fn open(&mut self, depth: usize, name: &str) {
        self.indent(depth);
        self.0.extend(["<", name, ">\n"]);
    }

    fn close(&mut self, depth: usize, name: &str) {
        self.indent(depth);
        self.0.extend(["</", name, ">\n"]);
    }

    fn element(&mut self, depth: usize, name: &str, text: &str) {
        self.indent(depth);
        self.0.extend(["<", name, ">", &escape_html(text), "</", name, ">\n"]);
    }

    fn finish(mut self) -> String {
        self.0.push_str("</metadata>\n");
        self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn time() -> DateTime<Utc> {
        "2026-01-02T03:04:05.678Z".parse().unwrap()
    }

    #[test]
    fn an_artifact_s_document() {
        let versions = Versions::highest("com.acme", "lib", ["1.10", "1.2", "2.0-SNAPSHOT"], time());
        assert_eq!(
            render(Some(&versions), &[]),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<metadata>\n  <groupId>com.acme</groupId>\n  \
             <artifactId>lib</artifactId>\n  <versioning>\n    <latest>2.0-SNAPSHOT</latest>\n    \
             <release>1.10</release>\n    <versions>\n      <version>1.2</version>\n      \
             <version>1.10</version>\n      <version>2.0-SNAPSHOT</version>\n    </versions>\n    \
             <lastUpdated>20260102030405</lastUpdated>\n  </versioning>\n</metadata>\n"
        );
        let snapshots = Versions::highest("g", "a", ["1-SNAPSHOT"], time());
        assert!(!render(Some(&snapshots), &[]).contains("<release>"));
    }

    #[test]
    fn checklist_34_a_document_can_be_of_an_artifact_and_a_group() {
        let versions = Versions::highest("com", "acme", ["1"], time());
        let plugin = Plugin { artifact: "p".into(), prefix: "x".into(), name: "A & <B>".into() };
        let text = render(Some(&versions), std::slice::from_ref(&plugin));
        assert!(text.contains("<name>A &amp; &lt;B&gt;</name>"), "{text}");
        let back = Uploaded::parse(text.as_bytes()).unwrap();
        assert_eq!((back.versions, back.plugins), (vec!["1".to_owned()], vec![plugin]));
    }

    #[test]
    fn checklist_6_each_kind_of_file_has_its_own_newest_build() {
        let version = VersionName::new("g:lib".parse().unwrap(), "1.0-SNAPSHOT").unwrap();
        let files = [
            "lib-1.0-20260102.030405-1.jar",
            "lib-1.0-20260102.030405-1.pom",
            "lib-1.0-20260102.040000-2-sources.jar",
            "lib-1.0-20260102.040000-2.pom",
            "lib-1.0-SNAPSHOT.pom",
            "lib-1.0-SNAPSHOT.zip",
            "notes.txt",
        ];
        let snapshot = Snapshot::new(&version, files.map(|file| (file, time())), time());
        let text = snapshot.render();
        assert!(
            text.contains("<timestamp>20260102.040000</timestamp>\n      <buildNumber>2</buildNumber>"),
            "{text}"
        );
        for (classifier, extension, value, updated) in [
            ("", "jar", "1.0-20260102.030405-1", "20260102030405"),
            ("", "pom", "1.0-20260102.040000-2", "20260102040000"),
            ("        <classifier>sources</classifier>\n", "jar", "1.0-20260102.040000-2", "20260102040000"),
            ("", "zip", "1.0-SNAPSHOT", "20260102030405"),
        ] {
            let entry = format!(
                "      <snapshotVersion>\n{classifier}        <extension>{extension}</extension>\n        \
                 <value>{value}</value>\n        <updated>{updated}</updated>\n      </snapshotVersion>\n"
            );
            assert!(text.contains(&entry), "{entry}\nnot in {text}");
        }
        assert_eq!(text.matches("<snapshotVersion>").count(), 4);
        assert_eq!(snapshot.stands_for("lib-1.0-SNAPSHOT.jar"), Some("lib-1.0-20260102.030405-1.jar"));
        assert_eq!(snapshot.stands_for("lib-1.0-SNAPSHOT-javadoc.jar"), None);
        assert_eq!(snapshot.stands_for("lib-1.0-20260102.030405-1.jar"), None);
        assert_eq!(snapshot.builds().count(), 3);
    }

    #[test]
    fn a_plugin_s_description_has_its_prefix() {
        let text = "<plugin><name>A &amp; B</name><goalPrefix>hi</goalPrefix><mojos><mojo><goalPrefix>no</goalPrefix></mojo></mojos></plugin>";
        let found = Descriptor::parse(text.as_bytes()).unwrap();
        assert_eq!(found, Some(Descriptor { prefix: "hi".into(), name: "A & B".into() }));
        assert_eq!(Descriptor::parse(b"<plugin><goalPrefix>a b</goalPrefix></plugin>").unwrap(), None);
        assert!(Descriptor::parse(b"<project/>").is_err());
    }

    #[test]
    fn what_is_no_metadata_is_refused() {
        for bad in ["", "<project/>", "<metadata>", "<!DOCTYPE metadata><metadata/>"] {
            assert!(Uploaded::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        let odd = "<metadata><plugins><plugin><prefix>x</prefix></plugin><plugin><artifactId>a</artifactId><prefix>a b</prefix></plugin></plugins></metadata>";
        assert_eq!(Uploaded::parse(odd.as_bytes()).unwrap(), Uploaded::default());
    }

    proptest! {
        #[test]
        fn what_is_rendered_can_be_read(
            group in "\\PC{1,12}",
            versions in proptest::collection::btree_set("[0-9a-zA-Z.+~<&-]{1,8}", 1..6),
            name in "\\PC{0,20}",
        ) {
            let plugin = Plugin { artifact: "p".into(), prefix: "p".into(), name: name.trim().to_owned() };
            let of = Versions::highest(&group, &group, versions.iter().map(String::as_str), time());
            let text = render(Some(&of), std::slice::from_ref(&plugin));
            let back = Uploaded::parse(text.as_bytes()).unwrap();
            prop_assert_eq!(back.versions, of.ascending);
            prop_assert_eq!(back.plugins, vec![plugin]);
        }

        #[test]
        fn no_document_panics(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = Uploaded::parse(&bytes);
            let _ = Descriptor::parse(&bytes);
        }

        #[test]
        fn snapshots_never_name_what_is_not_there(files in proptest::collection::btree_set("lib-1\\.0-(SNAPSHOT|2026010[12]\\.030405-[1-3])(-sources)?\\.(jar|pom)|[a-z]{1,5}", 0..8)) {
            let version = VersionName::new("g:lib".parse().unwrap(), "1.0-SNAPSHOT").unwrap();
            let snapshot = Snapshot::new(&version, files.iter().map(|file| (file.as_str(), time())), time());
            for newest in snapshot.files.values() {
                prop_assert!(files.contains(newest.file));
            }
            prop_assert!(Uploaded::parse(snapshot.render().as_bytes()).unwrap().versions.is_empty());
        }
    }
}
