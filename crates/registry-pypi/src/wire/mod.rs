//! What goes over the wire: parsed and rendered without I/O.

pub(crate) mod foreign;
mod html;
pub(crate) mod json;
pub(crate) mod metadata;
pub(crate) mod negotiate;
pub(crate) mod simple;
pub(crate) mod upload;
