//! Names: paths of the layout, and what they say.

mod coordinates;
mod file;
mod path;

pub(crate) use self::{
    coordinates::{ArtifactName, VersionName},
    file::{Build, FileKind},
    path::{Folder, PathError, RepositoryPath},
};
