//! What clients send and read: parsed and rendered without I/O.

pub(crate) mod checksums;
pub(crate) mod compact;
pub(crate) mod dependencies;
pub(crate) mod foreign;
pub(crate) mod gemspec;
pub(crate) mod json;
pub(crate) mod marshal;
pub(crate) mod platform;
pub(crate) mod requirement;
pub(crate) mod spec;
pub(crate) mod specs;
pub(crate) mod yaml;
