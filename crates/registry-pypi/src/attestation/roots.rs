//! [`AttestationRoots`]: whom attestations must lead to, and when a certificate counts.

use std::time::Duration;

use rustls_pki_types::{
    CertificateDer, SignatureVerificationAlgorithm, TrustAnchor, UnixTime, pem::PemObject as _,
};
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, Error, KeyUsage, aws_lc_rs};

use super::{
    certificate::{CODE_SIGNING, signs_code},
    statement::Attestation,
};

/// A signing certificate ends minutes after it was made, and a build's upload may wait longer than that: it counts for so long after
/// its end.
const GRACE: Duration = Duration::from_hours(24);

/// How far the clock of who makes certificates may be ahead.
const SKEW: Duration = Duration::from_mins(5);

/// How statements may be signed.
const SIGNATURES: [&dyn SignatureVerificationAlgorithm; 4] = [
    aws_lc_rs::ECDSA_P256_SHA256,
    aws_lc_rs::ECDSA_P384_SHA384,
    aws_lc_rs::ED25519,
    aws_lc_rs::RSA_PKCS1_2048_8192_SHA256,
];

/// The sentence about a certificate for something else.
const NOT_FOR_CODE: &str = "has a certificate that is not for signing code";

/// The certificates that attestations must lead to: roots, and intermediates that lead there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttestationRoots {
    anchors: Vec<TrustAnchor<'static>>,
    intermediates: Vec<CertificateDer<'static>>,
}

/// Why certificates cannot be the roots of attestations.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AttestationRootsError(String);

impl AttestationRoots {
    /// Reads certificates in PEM. Those that are their own issuer are roots, and there must be one; the others are intermediates.
    pub fn from_pem(pem: &[u8]) -> Result<Self, AttestationRootsError> {
        let mut roots = Self { anchors: Vec::new(), intermediates: Vec::new() };
        for (at, certificate) in CertificateDer::pem_slice_iter(pem).enumerate() {
            let broken =
                |why: String| AttestationRootsError(format!("certificate {} cannot be read: {why}", at + 1));
            let certificate = certificate.map_err(|error| broken(error.to_string()))?;
            let parsed = EndEntityCert::try_from(&certificate).map_err(|error| broken(error.to_string()))?;
            if parsed.issuer() == parsed.subject() {
                let anchor = webpki::anchor_from_trusted_cert(&certificate)
                    .map_err(|error| broken(error.to_string()))?
                    .to_owned();
                roots.anchors.push(anchor);
            } else {
                roots.intermediates.push(certificate);
            }
        }
        if roots.anchors.is_empty() {
            return Err(AttestationRootsError("there is no root certificate in it".to_owned()));
        }
        Ok(roots)
    }

    /// Whether an attestation is signed by a certificate for signing code that leads to a root. The error goes on after "attestation N".
    pub(super) fn verify(&self, attestation: &Attestation, now: UnixTime) -> Result<(), String> {
        let certificate = EndEntityCert::try_from(&attestation.certificate)
            .map_err(|_| "has a certificate that cannot be read".to_owned())?;
        // Who issues certificates need not say so of their own.
        if !signs_code(&attestation.certificate) {
            return Err(NOT_FOR_CODE.to_owned());
        }
        let at = |time| {
            certificate
                .verify_for_usage(
                    ALL_VERIFICATION_ALGS,
                    &self.anchors,
                    &self.intermediates,
                    time,
                    KeyUsage::required_if_present(CODE_SIGNING),
                    None,
                    None,
                )
                .map(drop)
        };
        let chain = match at(now) {
            Err(Error::CertExpired { not_after, .. }) if is_within(not_after, now, GRACE) => at(not_after),
            Err(Error::CertNotValidYet { not_before, .. }) if is_within(now, not_before, SKEW) => {
                at(not_before)
            }
            other => other,
        };
        chain.map_err(|error| explain(&error))?;
        let signed = attestation.signed();
        let is_signed = SIGNATURES.into_iter().any(|algorithm| {
            certificate.verify_signature(algorithm, &signed, &attestation.signature).is_ok()
        });
        if is_signed {
            Ok(())
        } else {
            Err("has a signature that is not of its certificate's key over its statement".to_owned())
        }
    }
}

/// Whether `later` is no longer than `most` after `earlier`.
fn is_within(earlier: UnixTime, later: UnixTime, most: Duration) -> bool {
    later.as_secs().saturating_sub(earlier.as_secs()) <= most.as_secs()
}

fn explain(error: &Error) -> String {
    match error {
        Error::RequiredEkuNotFoundContext(_) => NOT_FOR_CODE.to_owned(),
        Error::UnknownIssuer => {
            "has a certificate that does not lead to a root that this registry trusts".to_owned()
        }
        Error::CertExpired { .. } => {
            "has a certificate that ended more than a day before the upload".to_owned()
        }
        Error::CertNotValidYet { .. } => "has a certificate that is not valid yet".to_owned(),
        other => format!("has a certificate that cannot be verified: {other}"),
    }
}
