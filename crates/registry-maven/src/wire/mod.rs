//! What clients send and read, parsed and rendered without I/O.

pub(crate) mod checksum;
pub(crate) mod listing;
pub(crate) mod metadata;
pub(crate) mod pom;
pub(crate) mod prefixes;
mod xml;

pub(crate) use xml::XmlError;
