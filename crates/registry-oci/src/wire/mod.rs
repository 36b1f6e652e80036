//! What goes over the wire: parsed and rendered by pure functions.

pub(crate) mod challenge;
pub(crate) mod manifest;
pub(crate) mod media_type;
pub(crate) mod page;
pub(crate) mod query;
pub(crate) mod range;
pub(crate) mod referrers;
pub(crate) mod token;
