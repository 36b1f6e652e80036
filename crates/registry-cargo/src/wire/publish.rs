//! The upload of `cargo publish`: two lengths, a JSON document and the `.crate` file.

use std::collections::BTreeMap;

use bytes::{Buf as _, Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _};
use registry_core::{Body, BodyError};
use serde::Deserialize;

use super::index::DependencyKind;

/// The bytes of a length.
const LENGTH: usize = 4;

/// Why an upload cannot be taken apart.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UploadError {
    #[error("the request's body ended early")]
    Body(#[from] BodyError),
    #[error("the upload is not as cargo publish sends it: {0}")]
    Malformed(&'static str),
    #[error("the upload's {what} is larger than {limit} bytes")]
    TooLarge { what: &'static str, limit: u64 },
}

/// What an upload may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UploadLimits {
    pub(crate) metadata: u64,
    pub(crate) krate: u64,
}

/// Takes an upload apart as it arrives.
pub(crate) struct Upload<S> {
    pieces: S,
    held: BytesMut,
    /// The length of the whole body, where it was announced.
    announced: Option<u64>,
    limits: UploadLimits,
}

/// The `.crate` file of an upload, still to be read.
pub(crate) struct CrateFile {
    /// How many bytes it has.
    pub(crate) length: u64,
    /// The rest of the body. It may be longer or shorter than was said: whoever reads it compares.
    pub(crate) body: Body,
}

impl<S: Stream<Item = Result<Bytes, BodyError>> + Send + Unpin + 'static> Upload<S> {
    pub(crate) fn new(pieces: S, announced: Option<u64>, limits: UploadLimits) -> Self {
        Self { pieces, held: BytesMut::new(), announced, limits }
    }

    /// The metadata, JSON text.
    pub(crate) async fn metadata(&mut self) -> Result<Bytes, UploadError> {
        let length = self.length().await?;
        if u64::from(length) > self.limits.metadata {
            return Err(UploadError::TooLarge { what: "metadata", limit: self.limits.metadata });
        }
        if length == 0 {
            return Err(UploadError::Malformed("its metadata is empty"));
        }
        self.take(usize::try_from(length).unwrap_or(usize::MAX)).await
    }

    /// The file behind the metadata, whose length was `metadata`.
    pub(crate) async fn crate_file(mut self, metadata: usize) -> Result<CrateFile, (UploadError, Self)> {
        match self.crate_length(metadata).await {
            Err(error) => Err((error, self)),
            Ok(length) => Ok(CrateFile { length, body: self.rest() }),
        }
    }

    async fn crate_length(&mut self, metadata: usize) -> Result<u64, UploadError> {
        let length = u64::from(self.length().await?);
        if length > self.limits.krate {
            return Err(UploadError::TooLarge { what: "crate", limit: self.limits.krate });
        }
        if length == 0 {
            return Err(UploadError::Malformed("its crate file is empty"));
        }
        let whole = length + metadata as u64 + 2 * LENGTH as u64;
        if self.announced.is_some_and(|announced| announced != whole) {
            return Err(UploadError::Malformed("its lengths do not fit its body"));
        }
        Ok(length)
    }

    /// What was not taken yet.
    pub(crate) fn rest(self) -> Body {
        let held = self.held.freeze();
        let first = futures_util::stream::iter((!held.is_empty()).then_some(Ok(held)));
        Body::from_stream(first.chain(self.pieces))
    }

    async fn length(&mut self) -> Result<u32, UploadError> {
        Ok(self.take(LENGTH).await?.get_u32_le())
    }

    async fn take(&mut self, count: usize) -> Result<Bytes, UploadError> {
        while self.held.len() < count {
            match self.pieces.next().await {
                // Room grows with what arrives, not with what is claimed.
                Some(piece) => self.held.extend_from_slice(&piece?),
                None => return Err(UploadError::Malformed("it is shorter than its lengths say")),
            }
        }
        Ok(self.held.split_to(count).freeze())
    }
}

/// The metadata of a publish, as far as it is read: the crate's own manifest says the rest.
#[derive(Debug, Deserialize)]
pub(crate) struct Metadata {
    pub(crate) name: String,
    pub(crate) vers: String,
    #[serde(default)]
    pub(crate) deps: Option<Vec<SentDependency>>,
    #[serde(default)]
    pub(crate) features: Option<BTreeMap<String, Vec<String>>>,
}

/// A dependency as `cargo publish` sends it: `name` is the package's, and the alias is told apart.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct SentDependency {
    pub(crate) name: String,
    pub(crate) version_req: String,
    #[serde(default)]
    pub(crate) explicit_name_in_toml: Option<String>,
    #[serde(default)]
    pub(crate) kind: Option<DependencyKind>,
    /// Absent: this registry.
    #[serde(default)]
    pub(crate) registry: Option<String>,
}

impl SentDependency {
    /// What the crate's own code calls it.
    pub(crate) fn alias(&self) -> &str {
        self.explicit_name_in_toml.as_deref().unwrap_or(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: UploadLimits = UploadLimits { metadata: 100, krate: 200 };

    fn body(json: &[u8], krate: &[u8]) -> Vec<u8> {
        let mut bytes = u32::try_from(json.len()).unwrap().to_le_bytes().to_vec();
        bytes.extend_from_slice(json);
        bytes.extend_from_slice(&u32::try_from(krate.len()).unwrap().to_le_bytes());
        bytes.extend_from_slice(krate);
        bytes
    }

    fn read(bytes: &[u8], size: usize, announced: bool) -> Result<(Vec<u8>, u64, Vec<u8>), UploadError> {
        let pieces: Vec<_> = bytes.chunks(size).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        let announced = announced.then_some(bytes.len() as u64);
        let mut upload = Upload::new(futures_util::stream::iter(pieces), announced, LIMITS);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let json = upload.metadata().await?;
            let file = upload.crate_file(json.len()).await.map_err(|(error, _)| error)?;
            let rest: Vec<Bytes> = file.body.into_data_stream().map(Result::unwrap).collect().await;
            Ok((json.to_vec(), file.length, rest.concat()))
        })
    }

    #[test]
    fn checklist_25_lengths_that_do_not_fit() {
        let mut huge = u32::MAX.to_le_bytes().to_vec();
        huge.extend_from_slice(b"{}");
        let mut huge_crate = body(b"{}", b"");
        huge_crate.splice(6.., u32::MAX.to_le_bytes());
        let mut long = body(b"{}", b"crate");
        long.push(0);
        let mut short = body(b"{}", b"crate");
        short.pop();
        for (bytes, too_large) in [
            (Vec::new(), false),
            (vec![0; 3], false),
            (vec![0; 4], false),
            (vec![0; 100], false),
            (body(b"{}", b""), false),
            (body(b"", b"crate"), false),
            (body(b"{}", b"x")[..8].to_vec(), false),
            (huge, true),
            (huge_crate, true),
            (long, false),
            (short, false),
            (body(&[b' '; 101], b"x"), true),
            (body(b"{}", &[0; 201]), true),
            (vec![0; 400], false),
        ] {
            let error = read(&bytes, 7, true).unwrap_err();
            assert_eq!(matches!(error, UploadError::TooLarge { .. }), too_large, "{bytes:?}: {error}");
        }
    }

    proptest! {
        #[test]
        fn uploads_come_apart(json in prop::collection::vec(any::<u8>(), 1..100), krate in prop::collection::vec(any::<u8>(), 1..200),
            size in 1_usize..50, announced in any::<bool>()) {
            let read = read(&body(&json, &krate), size, announced).unwrap();
            prop_assert_eq!(read, (json, krate.len() as u64, krate));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..60), announced in any::<bool>()) {
            let _ = read(&bytes, 5, announced);
        }
    }
}
