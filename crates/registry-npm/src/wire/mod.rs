//! What goes over the wire: parsed and rendered by pure functions, without I/O.

pub(crate) mod base64;
pub(crate) mod foreign;
pub(crate) mod json;
pub(crate) mod manifest;
pub(crate) mod packument;
pub(crate) mod path;
pub(crate) mod publish;
pub(crate) mod scan;
pub(crate) mod search;
