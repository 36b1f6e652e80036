//! What goes over the wire, parsed and rendered without I/O.

pub(crate) mod constraint;
pub(crate) mod foreign;
pub(crate) mod json;
pub(crate) mod listing;
pub(crate) mod manifest;
pub(crate) mod metadata;
