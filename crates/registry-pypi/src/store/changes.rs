//! Every change to a project, as pure functions of its document as it stands: they decide, then change it.
//!
//! They run inside the store's update and may run several times; a refusal leaves the document untouched.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use registry_core::{
    administration::AdministrationError,
    http::Refusal,
    storage::{Draft, UnknownFields},
};

use super::project::{Burned, File, Project, Release, Status};
use crate::{
    error::Error,
    names::{FileKind, FileName, ProjectName},
    version::Version,
};

/// The longest reason in characters.
const MAX_REASON: usize = 1000;

/// Whether a reason (of a yank or a status) can be kept.
pub(crate) fn check_reason(reason: &str) -> Result<(), Error> {
    if reason.chars().count() > MAX_REASON || reason.chars().any(char::is_control) {
        return Err(Error::bad(format!("the reason must be one line of at most {MAX_REASON} characters")));
    }
    Ok(())
}

/// A file to be added.
#[derive(Clone, Debug)]
pub(crate) struct NewFile {
    pub(crate) project: ProjectName,
    pub(crate) display: String,
    pub(crate) version: Version,
    pub(crate) file: File,
    pub(crate) summary: Option<String>,
    pub(crate) keywords: Vec<String>,
    /// The most files of a project.
    pub(crate) max_files: usize,
}

/// What a change is about: a project, one of its releases, or one file of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) version: Option<Version>,
    pub(crate) file: Option<String>,
}

/// Whether a file of this name and these bytes can be added. `false`: it is there already, the same.
pub(crate) fn check_new(
    project: Option<&Project>,
    version: &Version,
    name: &str,
    kind: FileKind,
    sha256: Option<&str>,
) -> Result<bool, Error> {
    let Some(project) = project else { return Ok(true) };
    match project.status {
        Status::Archived | Status::Quarantined => {
            return Err(Refusal::Forbidden(format!(
                "the project {} is {}: it takes no files",
                project.name,
                project.status.as_str()
            ))
            .into());
        }
        Status::Active | Status::Deprecated => {}
    }
    if let Some((_, found)) = project.file(name) {
        return match sha256 {
            Some(sha256) if found.sha256() == sha256 => Ok(false),
            // Its bytes are not known yet.
            None => Ok(true),
            Some(_) => Err(Error::FileExists(name.to_owned())),
        };
    }
    if project.burned.contains_key(name) {
        return Err(Error::Burned);
    }
    let sdist =
        |release: &Arc<Release>| release.files.iter().find(|file| file.kind == FileKind::Sdist).cloned();
    if kind == FileKind::Sdist
        && let Some(other) = project.releases.get(version).and_then(sdist)
    {
        return Err(Error::bad(format!(
            "the release {version} has a source distribution already, {}: a release has one",
            other.name
        )));
    }
    Ok(true)
}

/// Adds a file. `false`: it was there already, the same.
pub(crate) fn add(draft: &mut Draft<Project>, new: &NewFile) -> Result<bool, Error> {
    let NewFile { version, file, .. } = new;
    if !check_new(draft.get(), version, &file.name, file.kind, Some(file.sha256()))? {
        return Ok(false);
    }
    let files =
        draft.get().map_or(0, |project| project.releases.values().map(|release| release.files.len()).sum());
    if files >= new.max_files {
        return Err(Error::bad(format!(
            "the project has {files} files, the most that this registry keeps of one"
        )));
    }
    let project = draft.edit_or_insert_with(|| Project::new(new.project.clone(), file.uploaded));
    if project.forgotten {
        *project = project.anew(file.uploaded);
    }
    project.display.clone_from(&new.display);
    project.deleted = false;
    let release = project.releases.entry(version.clone()).or_insert_with(|| {
        Arc::new(Release {
            info: file.metadata.clone(),
            summary: new.summary.clone(),
            keywords: new.keywords.clone(),
            files: Vec::new(),
            unknown: UnknownFields::default(),
        })
    });
    let files = &mut Arc::make_mut(release).files;
    let at = files.partition_point(|found| found.name < file.name);
    files.insert(at, file.clone());
    touch(project, file.uploaded);
    Ok(true)
}

/// Yanks files (with a reason, which may be empty) or, without one, takes that back.
pub(crate) fn yank(
    draft: &mut Draft<Project>,
    target: &Target,
    reason: Option<&str>,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    find(draft.get(), target)?;
    let Some(project) = draft.edit() else { return Err(Error::no_project()) };
    for (version, release) in &mut project.releases {
        if target.version.as_ref().is_some_and(|wanted| wanted != version) {
            continue;
        }
        for file in &mut Arc::make_mut(release).files {
            if target.file.as_ref().is_none_or(|wanted| *wanted == file.name) {
                file.yanked = reason.map(str::to_owned);
            }
        }
    }
    touch(project, now);
    Ok(())
}

/// Deletes a file, a release or everything. The files' names are never used again.
pub(crate) fn delete(draft: &mut Draft<Project>, target: &Target, now: DateTime<Utc>) -> Result<(), Error> {
    find(draft.get(), target)?;
    let Some(project) = draft.edit() else { return Err(Error::no_project()) };
    let mut burned = Vec::new();
    project.releases.retain(|version, release| {
        if target.version.as_ref().is_some_and(|wanted| wanted != version) {
            return true;
        }
        let goes = |file: &File| target.file.as_ref().is_none_or(|wanted| *wanted == file.name);
        let stays = release.files.iter().any(|file| !goes(file));
        let kept = stays.then(|| release.info.clone());
        let gone = release.files.iter().filter(|file| goes(file));
        burned.extend(gone.map(|file| (file.name.clone(), Burned::now(file, now, kept.as_ref()))));
        if !stays
            && let Some((_, last)) = burned.last_mut()
            && !last.data.contains(&release.info)
        {
            // What the release told of itself may be of a file that went before.
            last.data.push(release.info.clone());
        }
        Arc::make_mut(release).files.retain(|file| !goes(file));
        stays
    });
    project.burned.extend(burned);
    project.deleted = target.version.is_none();
    touch(project, now);
    Ok(())
}

/// Clears the tombstones of a release's deleted files, or gives the whole name free where nothing of it can be had.
pub(crate) fn forget(
    draft: &mut Draft<Project>,
    name: &ProjectName,
    version: Option<&Version>,
    now: DateTime<Utc>,
) -> Result<(), AdministrationError> {
    let nothing = || AdministrationError::nothing_to_forget(name.as_str(), version.map(Version::as_str));
    let current = draft.get().filter(|project| !project.forgotten).ok_or_else(nothing)?;
    let Some(version) = version else {
        if !current.releases.is_empty() {
            return Err(AdministrationError::package_is_live(name.as_str(), current.releases.len()));
        }
        let mut forgotten = current.anew(now);
        (forgotten.forgotten, forgotten.deleted) = (true, true);
        touch(&mut forgotten, now);
        draft.set(forgotten);
        return Ok(());
    };
    if !current.burned.keys().any(|file| is_of(file, version)) {
        if current.releases.contains_key(version) {
            return Err(AdministrationError::version_is_live(name.as_str(), version.as_str()));
        }
        return Err(nothing());
    }
    if let Some(project) = draft.edit() {
        project.burned.retain(|file, _| !is_of(file, version));
        touch(project, now);
    }
    Ok(())
}

/// Whether a file's name is one of this version.
fn is_of(file: &str, version: &Version) -> bool {
    file.parse::<FileName>().is_ok_and(|name| name.version() == version)
}

/// Sets the project's status.
pub(crate) fn set_status(
    draft: &mut Draft<Project>,
    status: Status,
    reason: Option<&str>,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    find(draft.get(), &Target { version: None, file: None })?;
    let Some(project) = draft.edit() else { return Err(Error::no_project()) };
    project.status = status;
    project.status_reason = reason.filter(|reason| !reason.is_empty()).map(str::to_owned);
    touch(project, now);
    Ok(())
}

/// Whether what is to be changed is there.
fn find(project: Option<&Project>, target: &Target) -> Result<(), Error> {
    let project = project.filter(|project| !project.deleted).ok_or_else(Error::no_project)?;
    let Some(version) = &target.version else { return Ok(()) };
    let release = project.releases.get(version);
    let release = release
        .ok_or_else(|| Refusal::NotFound(format!("there is no release {version} of {}", project.name)))?;
    match &target.file {
        Some(name) if !release.files.iter().any(|file| file.name == *name) => {
            Err(Refusal::NotFound("there is no such file in the release".to_owned()).into())
        }
        _ => Ok(()),
    }
}

fn touch(project: &mut Project, now: DateTime<Utc>) {
    project.modified = now.max(project.modified + TimeDelta::microseconds(1));
}
