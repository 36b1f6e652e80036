//! The plugins of a group: which prefix of goals leads to which artifact.

use std::collections::BTreeMap;

use chrono::{DateTime, SubsecRound as _, Utc};
use registry_core::storage::{Document, UnknownFields};
use serde::{Deserialize, Serialize};

/// A group's plugins.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Plugins {
    /// The group.
    pub(crate) group: String,
    /// When they last changed.
    pub(crate) modified: DateTime<Utc>,
    /// The plugins by their artifacts.
    #[serde(rename = "plugins")]
    pub(crate) by_artifact: BTreeMap<String, Plugin>,
    /// Fields of newer versions.
    #[serde(flatten)]
    pub(crate) unknown: UnknownFields,
}

/// A plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Plugin {
    /// The name for people.
    pub(crate) name: String,
    /// What its goals begin with.
    pub(crate) prefix: String,
}

impl Document for Plugins {
    const SCHEMA: u32 = 1;
}

impl Plugins {
    /// A group without plugins.
    pub(crate) fn new(group: &str, now: DateTime<Utc>) -> Self {
        Self {
            group: group.to_owned(),
            modified: now.trunc_subsecs(0),
            by_artifact: BTreeMap::new(),
            unknown: UnknownFields::default(),
        }
    }
}
