//! What goes over the wire, as pure functions: parse and render, no I/O.

pub(crate) mod catalog;
pub(crate) mod foreign;
pub(crate) mod index;
pub(crate) mod manifest;
pub(crate) mod publish;
pub(crate) mod tarball;
