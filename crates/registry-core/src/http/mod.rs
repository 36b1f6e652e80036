//! HTTP semantics, once for all protocols: conditional requests, byte ranges, HEAD, content negotiation, compression,
//! body limits and public URLs.

mod limit;
mod public_url;
mod representation;

pub use limit::{ReadBodyError, read_body};
pub use public_url::{ExternalOrigin, PublicUrl};
pub use representation::{ArtifactResponse, Representation, respond_artifact};
