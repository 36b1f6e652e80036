//! Names of projects and of files.

mod file;
mod project;

pub(crate) use file::{FileKind, FileName, FileNameError};
pub(crate) use project::{ProjectName, ProjectNameError};
