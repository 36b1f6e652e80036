//! Names, digests, tags and references, each a type that only a valid text can make (sheet: distribution-spec "pull").

mod digest;
mod reference;
mod repository;
mod tag;

pub use digest::{Algorithm, Digest, DigestError};
pub use reference::{Reference, ReferenceError};
pub use repository::{NameError, RepositoryName};
pub use tag::{Tag, TagError};
