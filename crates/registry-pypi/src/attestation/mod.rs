//! Attestations (PEP 740): signed statements about a file that come with its upload. Each one is verified, then they are stored as the
//! provenance that is served, every one of them as it came.

mod certificate;
mod roots;
mod statement;

use std::time::Duration;

use chrono::{DateTime, Utc};
use rustls_pki_types::UnixTime;
use serde::Serialize;
use serde_json::{Value, value::RawValue};

use self::{certificate::publisher, statement::Attestation};
use crate::names::FileName;

pub use self::roots::{AttestationRoots, AttestationRootsError};

/// The most bytes of a form's attestations.
pub(crate) const MAX_BYTES: usize = 512 << 10;

/// The most attestations of a file.
const MAX_COUNT: usize = 16;

/// Why attestations are refused: a sentence for the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct AttestationError(String);

#[derive(Serialize)]
struct Provenance<'a> {
    version: u8,
    attestation_bundles: Vec<Bundle<'a>>,
}

/// The attestations of one publisher.
#[derive(Serialize)]
struct Bundle<'a> {
    publisher: Value,
    attestations: Vec<&'a RawValue>,
}

/// Verifies a form's attestations of a file and makes the provenance of them. `None`: there are none.
pub(crate) fn verify(
    field: &str,
    roots: &AttestationRoots,
    file: &FileName,
    sha256: &str,
    now: DateTime<Utc>,
) -> Result<Option<Vec<u8>>, AttestationError> {
    if field.len() > MAX_BYTES {
        return Err(AttestationError(format!("the attestations are larger than {MAX_BYTES} bytes")));
    }
    if field.trim().is_empty() {
        return Ok(None);
    }
    let all: Vec<&RawValue> = serde_json::from_str(field)
        .map_err(|error| AttestationError(format!("the attestations are not a JSON array: {error}")))?;
    if all.len() > MAX_COUNT {
        return Err(AttestationError(format!("there are more than {MAX_COUNT} attestations")));
    }
    let now = UnixTime::since_unix_epoch(Duration::from_secs(now.timestamp().try_into().unwrap_or_default()));
    let mut attestation_bundles: Vec<Bundle<'_>> = Vec::new();
    for (at, raw) in all.into_iter().enumerate() {
        let publisher = verify_one(raw, roots, file, sha256, now)
            .map_err(|why| AttestationError(format!("attestation {} {why}", at + 1)))?;
        match attestation_bundles.iter_mut().find(|bundle| bundle.publisher == publisher) {
            Some(bundle) => bundle.attestations.push(raw),
            None => attestation_bundles.push(Bundle { publisher, attestations: vec![raw] }),
        }
    }
    if attestation_bundles.is_empty() {
        return Ok(None);
    }
    serde_json::to_vec(&Provenance { version: 1, attestation_bundles })
        .map(Some)
        .map_err(|error| AttestationError(format!("the attestations cannot be kept: {error}")))
}

/// Verifies one; its publisher. The error goes on after "attestation N".
fn verify_one(
    raw: &RawValue,
    roots: &AttestationRoots,
    file: &FileName,
    sha256: &str,
    now: UnixTime,
) -> Result<Value, String> {
    let attestation = Attestation::parse(raw.get())?;
    attestation.check_subject(file, sha256)?;
    roots.verify(&attestation, now)?;
    Ok(publisher(&attestation.certificate))
}
