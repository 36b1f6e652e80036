//! HTTP semantics, once for all protocols: conditional requests, byte ranges, HEAD, content negotiation, compression,
//! body limits, URLs and small answers.

mod accept;
mod answer;
mod artifact;
mod etag;
mod failure;
#[cfg(feature = "form")]
pub mod form;
mod immutable;
mod limit;
mod multipart;
mod page;
mod path;
mod public_url;
mod query;
mod range;
mod reason;
mod representation;

pub use accept::{accepts_gzip, negotiate};
pub use answer::{allow, respond_empty, respond_json, respond_text, respond_with, without_body};
pub use artifact::{ArtifactResponse, may_redirect, respond_artifact};
pub use failure::{Refusal, RefusalHeaders, basic_challenge, log_failure};
pub use immutable::{cache_for_ever, immutable_headers};
pub use limit::{ReadBodyError, drain_body, read_body};
pub use page::{escape_html, protect_page};
pub use path::{MalformedUrl, decode_path_segment, encode_path_segment, encode_query_value};
pub use public_url::{ExternalOrigin, PublicUrl, is_plain_host};
pub use query::{Query, QueryError};
pub use reason::ReasonPhrase;
pub use representation::Representation;
