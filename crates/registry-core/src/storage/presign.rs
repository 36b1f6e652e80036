//! Addresses at which clients read data objects without going through this process.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};

use super::{Key, StorageError};

/// Makes addresses at which whoever has one reads a data object. A bucket brings its own; another one
/// ([`StorageOptions::presigner`](super::StorageOptions)) may point to what stands before the bucket, such as a network of caches.
#[async_trait]
pub trait Presigner: Send + Sync + fmt::Debug {
    /// The address of an object, for GET alone.
    async fn presign(&self, object: &PresignRequest<'_>) -> Result<PresignedUrl, StorageError>;
}

/// What an address is asked for.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct PresignRequest<'a> {
    /// The object's key, below the storage's prefix.
    pub key: &'a Key,
    /// How long the address has to hold.
    pub valid: Duration,
    /// The media type that the answer has to carry, as far as the service lets that be said.
    pub content_type: &'a str,
}

impl<'a> PresignRequest<'a> {
    pub(crate) fn new(key: &'a Key, valid: Duration, content_type: &'a str) -> Self {
        Self { key, valid, content_type }
    }
}

/// An address that is a secret: it lets whoever has it read. Never shown by `Debug`.
#[derive(Clone)]
pub struct PresignedUrl(SecretString);

impl PresignedUrl {
    /// Keeps an address.
    pub fn new(url: impl Into<String>) -> Self {
        Self(SecretString::from(url.into()))
    }

    /// The address in the clear, for the client alone.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for PresignedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PresignedUrl(…)")
    }
}

/// A bucket's own addresses.
#[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
pub(crate) use of_bucket::BucketPresigner;

#[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
mod of_bucket {
    use std::sync::Arc;

    use async_trait::async_trait;
    use http::Method;
    use object_store::{
        path::Path,
        signer::{SignedUrlOptions, Signer},
    };

    use super::{PresignRequest, PresignedUrl, Presigner};
    use crate::storage::{
        StorageError,
        engine::{path, storage_error},
    };

    /// Lets a bucket's client sign.
    #[derive(Debug)]
    pub(crate) struct BucketPresigner {
        signer: Arc<dyn Signer>,
        prefix: Path,
        /// Whether the service can be told the answer's media type. What cannot be told answers `application/octet-stream`
        /// by itself, since data objects are written without a type.
        names_type: bool,
    }

    impl BucketPresigner {
        pub(crate) fn new(signer: Arc<dyn Signer>, prefix: Path, names_type: bool) -> Self {
            Self { signer, prefix, names_type }
        }
    }

    #[async_trait]
    impl Presigner for BucketPresigner {
        async fn presign(&self, object: &PresignRequest<'_>) -> Result<PresignedUrl, StorageError> {
            let location: Path = self.prefix.parts().chain(path(object.key).parts()).collect();
            let mut options = SignedUrlOptions::new();
            if self.names_type {
                options = options.with_query([("response-content-type", object.content_type)]);
            }
            let signed = self.signer.signed_url_opts(Method::GET, &location, object.valid, &options).await;
            signed.map(PresignedUrl::new).map_err(|error| storage_error(object.key, error))
        }
    }

    #[cfg(test)]
    mod tests {
        use std::time::Duration;

        use object_store::signer::Url;
        use parking_lot::Mutex;

        use super::*;
        use crate::storage::Key;

        /// Signs by saying what it was asked.
        #[derive(Debug, Default)]
        struct Asked(Mutex<Vec<(String, String)>>);

        #[async_trait]
        impl Signer for Asked {
            async fn signed_url(
                &self,
                method: Method,
                path: &Path,
                expires_in: Duration,
            ) -> object_store::Result<Url> {
                self.signed_url_opts(method, path, expires_in, &SignedUrlOptions::new()).await
            }

            async fn signed_url_opts(
                &self,
                method: Method,
                path: &Path,
                expires_in: Duration,
                options: &SignedUrlOptions,
            ) -> object_store::Result<Url> {
                let asked = format!("{method} {path} {}", expires_in.as_secs());
                let query: Vec<_> = options.extra_query.iter().map(|(k, v)| format!("{k}={v}")).collect();
                self.0.lock().push((asked, query.join("&")));
                Ok(Url::parse("https://bucket.example.com/?signature=secret").unwrap())
            }
        }

        #[tokio::test]
        async fn the_prefix_and_the_type_are_signed() {
            let asked = Arc::new(Asked::default());
            let key = Key::from_encoded("oci/blobs/x~1");
            let object = PresignRequest::new(&key, Duration::from_mins(1), "text/plain");
            for (prefix, names_type) in [("", true), ("a/b", false)] {
                let signer = Arc::<Asked>::clone(&asked);
                let own = BucketPresigner::new(signer, Path::from(prefix), names_type);
                let url = own.presign(&object).await.unwrap();
                assert_eq!(url.expose(), "https://bucket.example.com/?signature=secret");
                assert!(!format!("{url:?}").contains("secret"));
            }
            let want = [
                ("GET oci/blobs/x~1 60", "response-content-type=text/plain"),
                ("GET a/b/oci/blobs/x~1 60", ""),
            ];
            let asked = asked.0.lock();
            let got: Vec<_> = asked.iter().map(|(asked, query)| (asked.as_str(), query.as_str())).collect();
            assert_eq!(got, want);
        }
    }
}
