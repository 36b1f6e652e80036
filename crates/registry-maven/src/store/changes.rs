//! Every change to a document, as pure functions of it as it stands: they decide, then change it.
//!
//! They run inside the store's update and may run several times; a refusal leaves the document untouched.

use std::{collections::BTreeSet, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};
use registry_core::{
    http::Refusal,
    storage::{DataRef, Draft},
};

use super::{
    artifact::{Artifact, Entry},
    plugins::{Plugin, Plugins},
    version::{Deleted, Expected, File, Replaced, Version, next_second},
};
use crate::{
    config::{MavenConfig, WritePolicy},
    error::Error,
    names::{ArtifactName, Build, FileKind, VersionName},
    wire::{
        checksum::{Algorithm, Checksums},
        pom::Project,
    },
};

/// A checksum that came before its file is good for so long.
const EXPECTED_FOR: TimeDelta = TimeDelta::minutes(10);
/// So long after a file its checksums still are of the same deployment: clients send them right behind it.
const CHECKED_FOR: TimeDelta = TimeDelta::minutes(1);
/// The most files of a version that checksums are waiting for.
const MAX_EXPECTED: usize = 256;

/// What changes must keep to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    writes: WritePolicy,
    max_files: usize,
    keep: Keep,
    burn_deleted: bool,
}

/// Which builds of a snapshot stay.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keep {
    builds: usize,
    days: u32,
}

impl From<&MavenConfig> for Rules {
    fn from(config: &MavenConfig) -> Self {
        Self {
            writes: config.writes,
            max_files: config.max_files,
            keep: config.into(),
            burn_deleted: config.burn_deleted,
        }
    }
}

impl From<&MavenConfig> for Keep {
    fn from(config: &MavenConfig) -> Self {
        Self { builds: config.keep_snapshot_builds, days: config.keep_snapshot_days }
    }
}

/// A file to be added.
#[derive(Clone, Debug)]
pub(crate) struct NewFile {
    pub(crate) version: VersionName,
    pub(crate) name: String,
    pub(crate) file: Arc<File>,
    /// What it says, where it is the project's POM.
    pub(crate) project: Option<Project>,
    pub(crate) rules: Rules,
}

/// What came of adding a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Added {
    New,
    Replaced,
    /// The same bytes were there.
    Same,
}

/// Whether a file may get other bytes than it has.
fn is_mutable(version: &VersionName, file: &str, rules: Rules) -> bool {
    // A build of a snapshot never changes; the next one has a name of its own.
    rules.writes == WritePolicy::Always
        || (version.is_snapshot() && FileKind::of(version, file).build().is_none())
}

/// Whether a file can be added, by what is known before its bytes: their length at most.
pub(crate) fn check_early(
    document: Option<&Version>,
    version: &VersionName,
    file: &str,
    length: Option<u64>,
    rules: Rules,
) -> Result<(), Error> {
    let Some(document) = document else { return Ok(()) };
    match document.files.get(file) {
        Some(found) if length.is_some_and(|length| length != found.data.size) => {
            if is_mutable(version, file, rules) { Ok(()) } else { Err(Error::exists(file)) }
        }
        Some(_) => Ok(()),
        None if document.files.len() >= rules.max_files => Err(full(rules)),
        None => Ok(()),
    }
}

fn full(rules: Rules) -> Error {
    Refusal::Conflict(format!(
        "the version has {} files, the most that this repository keeps of one",
        rules.max_files
    ))
    .into()
}

/// Adds a file.
pub(crate) fn add(draft: &mut Draft<Version>, new: &NewFile) -> Result<Added, Error> {
    let NewFile { version, name, file, rules, .. } = new;
    let now = file.uploaded;
    let document = draft.get();
    let expected = document.and_then(|document| document.expected.get(name));
    if let Some(expected) = expected.filter(|expected| !is_over(expected, now)) {
        check_checksums(&file.checksums(), &expected.checksums)?;
    }
    let gone = document.and_then(|document| document.deleted.get(name));
    let found = document.and_then(|document| document.files.get(name));
    let added = match (found, gone) {
        (Some(found), _) if found.data.sha256 == file.data.sha256 => Added::Same,
        (Some(_), _) if is_mutable(version, name, *rules) => Added::Replaced,
        (Some(_), _) => return Err(Error::exists(name)),
        (None, Some(gone)) if Some(&gone.sha256) != file.data.sha256.as_ref() && rules.burn_deleted => {
            return Err(Refusal::Conflict(format!(
                "{name} was deleted, and only the same bytes can come back under its name: deploy a new version"
            )).into());
        }
        (None, _) => Added::New,
    };
    if added == Added::New && document.is_some_and(|document| document.files.len() >= rules.max_files) {
        return Err(full(*rules));
    }
    if added == Added::Same {
        return Ok(Added::Same);
    }
    let document = draft.edit_or_insert_with(|| Version::new(version, now));
    document.drop_file(name, now);
    if let Some(Deleted { data: Some(data), .. }) = document.deleted.remove(name) {
        document.replaced.push(Replaced { at: now, data });
    }
    document.expected.remove(name);
    document.expected.retain(|_, expected| !is_over(expected, now));
    document.files.insert(name.clone(), Arc::clone(file));
    if new.project.is_some() {
        document.project.clone_from(&new.project);
    }
    document.touch(now);
    for file in superfluous(document, version, rules.keep, now) {
        document.drop_file(&file, now);
    }
    Ok(added)
}

fn is_over(expected: &Expected, now: DateTime<Utc>) -> bool {
    expected.at.checked_add_signed(EXPECTED_FOR).is_none_or(|end| end < now)
}

/// Compares what is with what was announced.
pub(crate) fn check_checksums(actual: &Checksums, announced: &Checksums) -> Result<(), Error> {
    match announced.differs(actual) {
        None => Ok(()),
        Some(algorithm) => Err(Error::Mismatch {
            algorithm,
            expected: announced.get(algorithm).unwrap_or_default().to_owned(),
            actual: actual.get(algorithm).unwrap_or_default().to_owned(),
        }),
    }
}

/// Takes a checksum: of a file that is there it is compared, of one that is yet to come it is kept for a while. `true`: the file is
/// there.
pub(crate) fn expect(
    draft: &mut Draft<Version>,
    version: &VersionName,
    file: &str,
    (algorithm, digits): (Algorithm, &str),
    now: DateTime<Utc>,
) -> Result<bool, Error> {
    let mut announced = Checksums::default();
    announced.set(algorithm, digits.to_owned());
    if let Some(found) = draft.get().and_then(|document| document.files.get(file)) {
        check_checksums(&found.checksums(), &announced)?;
        return Ok(true);
    }
    let waiting = draft.get().map_or(0, |document| {
        let others = document.expected.iter().filter(|(name, _)| *name != file);
        others.filter(|(_, expected)| !is_over(expected, now)).count()
    });
    if waiting >= MAX_EXPECTED {
        return Err(
            Refusal::Conflict("too many checksums of this version wait for their files".to_owned()).into()
        );
    }
    let document = draft.edit_or_insert_with(|| Version::new(version, now));
    document.expected.retain(|_, expected| !is_over(expected, now));
    let expected = document
        .expected
        .entry(file.to_owned())
        .or_insert_with(|| Expected { at: now, checksums: Checksums::default() });
    expected.at = now;
    expected.checksums.set(algorithm, digits.to_owned());
    Ok(false)
}

/// Whether a file is so new that its uploader's own checksum can still undo it.
pub(crate) fn can_be_taken_back(file: &File, uploader: &str, now: DateTime<Utc>) -> bool {
    file.uploader == uploader && file.uploaded.checked_add_signed(CHECKED_FOR).is_some_and(|end| now <= end)
}

/// Takes a file back that was damaged on its way: as if it had never come, so that other bytes can. Not where it has other bytes
/// by now.
pub(crate) fn take_back(draft: &mut Draft<Version>, file: &str, bytes: &DataRef, now: DateTime<Utc>) {
    let is_there = |document: &Version| document.files.get(file).is_some_and(|found| found.data == *bytes);
    let there = draft.get().is_some_and(is_there);
    if let Some(document) = draft.edit_if(there) {
        document.drop_file(file, now);
        document.touch(now);
    }
}

/// Deletes a file, or all of them.
pub(crate) fn remove(
    draft: &mut Draft<Version>,
    version: &VersionName,
    file: Option<&str>,
    rules: Rules,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let found = draft.get().is_some_and(|document| match file {
        Some(file) => document.files.contains_key(file),
        None => !document.files.is_empty(),
    });
    let document = draft.edit_if(found).ok_or_else(Error::no_file)?;
    let names: Vec<String> = match file {
        Some(file) => vec![file.to_owned()],
        None => document.files.keys().cloned().collect(),
    };
    for name in names {
        let burn = rules.burn_deleted && !version.is_snapshot();
        match document.files.remove(&name) {
            Some(gone) if burn => {
                let sha256 = gone.data.sha256.clone().unwrap_or_default();
                let deleted = Deleted { at: now, sha256, data: Some(gone.data.clone()) };
                document.deleted.insert(name, deleted);
            }
            Some(gone) => {
                document.replaced.push(Replaced { at: now, data: gone.data.clone() });
            }
            None => {}
        }
    }
    document.touch(now);
    Ok(())
}

/// Frees the names of deleted files. Their bytes go as others do.
pub(crate) fn forget(draft: &mut Draft<Version>, now: DateTime<Utc>) {
    let any = draft.get().is_some_and(|document| !document.deleted.is_empty());
    if let Some(document) = draft.edit_if(any) {
        for gone in std::mem::take(&mut document.deleted).into_values() {
            document.replaced.extend(gone.data.map(|data| Replaced { at: now, data }));
        }
    }
}

/// Takes away the builds of a snapshot that need not stay. `true`: there were some.
pub(crate) fn clean_up(
    draft: &mut Draft<Version>,
    version: &VersionName,
    keep: Keep,
    now: DateTime<Utc>,
) -> bool {
    let files = draft.get().map(|document| superfluous(document, version, keep, now)).unwrap_or_default();
    let Some(document) = draft.edit_if(!files.is_empty()) else { return false };
    for file in files {
        document.drop_file(&file, now);
    }
    document.touch(now);
    true
}

/// The files of builds that are too many or too old. A build that clients are told of stays.
fn superfluous(document: &Version, version: &VersionName, keep: Keep, now: DateTime<Utc>) -> Vec<String> {
    if !version.is_snapshot() || (keep.builds == 0 && keep.days == 0) {
        return Vec::new();
    }
    let kinds = || document.files.iter().map(|(name, file)| (name, file, FileKind::of(version, name)));
    let builds: BTreeSet<Build> = kinds().filter_map(|(_, _, kind)| kind.build().cloned()).collect();
    let newest: BTreeSet<&Build> =
        builds.iter().rev().take(if keep.builds == 0 { usize::MAX } else { keep.builds }).collect();
    let oldest = now.checked_sub_signed(TimeDelta::days(i64::from(keep.days))).unwrap_or(now);
    let snapshot = document.snapshot(version);
    let told: BTreeSet<&Build> = snapshot.builds().collect();
    kinds()
        .filter_map(|(name, file, kind)| {
            let build = kind.build()?;
            let old = keep.days != 0 && file.uploaded < oldest;
            (!told.contains(build) && (old || !newest.contains(build))).then(|| name.clone())
        })
        .collect()
}

/// What an artifact must know of one of its versions.
#[derive(Clone, Debug)]
pub(crate) struct VersionState {
    pub(crate) version: String,
    /// Whether it has files.
    pub(crate) exists: bool,
    /// Whether clients should be told of it.
    pub(crate) announced: bool,
    pub(crate) project: Option<Project>,
}

impl VersionState {
    /// By the version's document.
    pub(crate) fn of(name: &VersionName, document: Option<&Version>) -> Self {
        Self {
            version: name.version().to_owned(),
            exists: document.is_some_and(|document| !document.files.is_empty()),
            announced: document.is_some_and(|document| document.is_announced(name)),
            project: document.and_then(|document| document.project.clone()),
        }
    }

    /// Whether the artifact knows this already.
    pub(crate) fn is_known(&self, artifact: Option<&Artifact>) -> bool {
        match artifact.and_then(|artifact| artifact.versions.get(&self.version)) {
            Some(entry) => self.exists && (entry.listed.is_some() || !self.announced),
            None => !self.exists,
        }
    }
}

/// Tells an artifact's document the state of one of its versions.
pub(crate) fn tell(
    draft: &mut Draft<Artifact>,
    name: &VersionName,
    state: &VersionState,
    now: DateTime<Utc>,
) {
    if state.is_known(draft.get()) {
        return;
    }
    let artifact = draft.edit_or_insert_with(|| Artifact::new(name.artifact().clone(), now));
    if state.exists {
        let entry = Entry { since: now, listed: None };
        let entry = artifact.versions.entry(state.version.clone()).or_insert(entry);
        if state.announced {
            entry.listed = Some(now);
        }
        if state.project.is_some() && artifact.is_highest(&state.version) {
            artifact.project.clone_from(&state.project);
        }
    } else {
        artifact.versions.remove(&state.version);
    }
    artifact.touch(now);
}

/// Lists those of the versions that are there and not listed yet: a client takes them for complete.
pub(crate) fn complete(draft: &mut Draft<Artifact>, versions: &BTreeSet<String>, now: DateTime<Utc>) {
    let waiting = |(version, entry): (&String, &Entry)| entry.listed.is_none() && versions.contains(version);
    let any = draft.get().is_some_and(|artifact| artifact.versions.iter().any(waiting));
    let Some(artifact) = draft.edit_if(any) else { return };
    for (version, entry) in &mut artifact.versions {
        if entry.listed.is_none() && versions.contains(version) {
            entry.listed = Some(now);
        }
    }
    artifact.touch(now);
}

/// Marks the artifact in whose folder a group with plugins lies, whether there is such an artifact or not.
pub(crate) fn mark_group(draft: &mut Draft<Artifact>, name: &ArtifactName, now: DateTime<Utc>) {
    if !draft.get().is_some_and(|artifact| artifact.group_has_plugins) {
        let artifact = draft.edit_or_insert_with(|| Artifact::new(name.clone(), now));
        artifact.group_has_plugins = true;
    }
}

/// Sets plugins of a group. What is only guessed does not replace what is there.
pub(crate) fn set_plugins(
    draft: &mut Draft<Plugins>,
    group: &str,
    plugins: &[(String, Plugin)],
    guessed: bool,
    now: DateTime<Utc>,
) {
    let differs = |(artifact, plugin): &(String, Plugin)| match draft
        .get()
        .and_then(|group| group.by_artifact.get(artifact))
    {
        Some(found) => !guessed && found != plugin,
        None => true,
    };
    let new: Vec<_> = plugins.iter().filter(|plugin| differs(plugin)).cloned().collect();
    if !new.is_empty() {
        let document = draft.edit_or_insert_with(|| Plugins::new(group, now));
        document.by_artifact.extend(new);
        document.modified = next_second(document.modified, now);
    }
}

/// Takes a plugin out of its group.
pub(crate) fn drop_plugin(draft: &mut Draft<Plugins>, artifact: &str, now: DateTime<Utc>) {
    let found = draft.get().is_some_and(|group| group.by_artifact.contains_key(artifact));
    if let Some(document) = draft.edit_if(found) {
        document.by_artifact.remove(artifact);
        document.modified = next_second(document.modified, now);
    }
}

/// Changing a document only where there is something to change.
trait EditIf<D> {
    /// The document for changing, if `condition` holds and it exists.
    fn edit_if(&mut self, condition: bool) -> Option<&mut D>;
}

impl<D: registry_core::storage::Document> EditIf<D> for Draft<D> {
    fn edit_if(&mut self, condition: bool) -> Option<&mut D> {
        if condition { self.edit() } else { None }
    }
}
