//! Connecting to buckets.
//!
//! Each bucket is reached by two clients. Documents are small: a request that takes long is given up. Artefacts take as long
//! as their reader or writer takes: only a connection on which nothing moves is given up.

use std::sync::Arc;

use object_store::{ObjectStore, path::Path, prefix::PrefixStore};

use super::{Cloud, Connection, Presigner, StorageError};

/// A bucket's clients.
pub(crate) struct Clients {
    /// For documents.
    pub(crate) documents: Arc<dyn ObjectStore>,
    /// For artefacts.
    pub(crate) artifacts: Arc<dyn ObjectStore>,
    /// For addresses of artefacts.
    pub(crate) presigner: Arc<dyn Presigner>,
}

/// Opens a bucket or container. Nothing is asked of it yet.
pub(crate) fn open(
    cloud: Cloud,
    bucket: &str,
    prefix: &str,
    connection: &Connection,
) -> Result<Clients, StorageError> {
    let prefix = Path::parse(prefix).map_err(|error| StorageError::Setup(error.to_string()))?;
    let clients = match cloud {
        Cloud::Azure => azure(bucket, &prefix, connection)?,
        Cloud::Google => google(bucket, &prefix, connection)?,
        Cloud::S3 => s3(bucket, &prefix, connection)?,
    };
    if prefix.is_root() {
        return Ok(clients);
    }
    let below = |client| -> Arc<dyn ObjectStore> { Arc::new(PrefixStore::new(client, prefix.clone())) };
    Ok(Clients {
        documents: below(clients.documents),
        artifacts: below(clients.artifacts),
        presigner: clients.presigner,
    })
}

/// The clients of one bucket, the second of which signs, too.
#[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
fn clients<S>(
    built: [object_store::Result<S>; 2],
    prefix: &Path,
    names_type: bool,
) -> Result<Clients, StorageError>
where
    S: ObjectStore + object_store::signer::Signer,
{
    let [documents, artifacts] = built;
    let documents = documents.map_err(|error| setup(&error))?;
    let artifacts = Arc::new(artifacts.map_err(|error| setup(&error))?);
    let signer = Arc::<S>::clone(&artifacts);
    let presigner = super::presign::BucketPresigner::new(signer, prefix.clone(), names_type);
    Ok(Clients { documents: Arc::new(documents), artifacts, presigner: Arc::new(presigner) })
}

#[cfg(feature = "s3")]
fn s3(bucket: &str, prefix: &Path, connection: &Connection) -> Result<Clients, StorageError> {
    use object_store::aws::AmazonS3Builder;
    use secrecy::ExposeSecret;

    let mut builder = AmazonS3Builder::from_env()
        .with_bucket_name(bucket)
        .with_allow_http(connection.allow_http)
        .with_virtual_hosted_style_request(connection.virtual_hosted);
    if let Some(endpoint) = &connection.endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    if let Some(region) = &connection.region {
        builder = builder.with_region(region);
    }
    if let Some(id) = &connection.access_key_id {
        builder = builder.with_access_key_id(id.expose_secret());
    }
    if let Some(key) = &connection.secret_access_key {
        builder = builder.with_secret_access_key(key.expose_secret());
    }
    let over_tls = !connection.endpoint.as_ref().is_some_and(|endpoint| endpoint.starts_with("http:"));
    let [documents, artifacts] = limits(connection);
    let documents = builder.clone().with_client_options(documents.0).with_retry(documents.1).build();
    let artifacts = builder
        .with_client_options(artifacts.0)
        .with_retry(artifacts.1)
        // TLS protects the bytes already; without it they are hashed once more for the signature.
        .with_unsigned_payload(over_tls)
        .build();
    clients([documents, artifacts], prefix, true)
}

#[cfg(not(feature = "s3"))]
fn s3(_bucket: &str, _prefix: &Path, _connection: &Connection) -> Result<Clients, StorageError> {
    Err(StorageError::Setup("this program was built without S3; build it with the feature `s3`".to_owned()))
}

#[cfg(feature = "gcs")]
fn google(bucket: &str, prefix: &Path, connection: &Connection) -> Result<Clients, StorageError> {
    use object_store::gcp::GoogleCloudStorageBuilder;
    use secrecy::ExposeSecret;

    let mut builder = GoogleCloudStorageBuilder::from_env().with_bucket_name(bucket);
    if let Some(endpoint) = &connection.endpoint {
        builder = builder.with_base_url(endpoint);
    }
    if let Some(key) = &connection.secret_access_key {
        builder = builder.with_service_account_key(key.expose_secret());
    }
    let built = limits(connection)
        .map(|(options, retry)| builder.clone().with_client_options(options).with_retry(retry).build());
    clients(built, prefix, true)
}

#[cfg(not(feature = "gcs"))]
fn google(_bucket: &str, _prefix: &Path, _connection: &Connection) -> Result<Clients, StorageError> {
    Err(StorageError::Setup(
        "this program was built without Google Cloud Storage; build it with the feature `gcs`".to_owned(),
    ))
}

#[cfg(feature = "azure")]
fn azure(container: &str, prefix: &Path, connection: &Connection) -> Result<Clients, StorageError> {
    use object_store::azure::MicrosoftAzureBuilder;
    use secrecy::ExposeSecret;

    let mut builder = MicrosoftAzureBuilder::from_env()
        .with_container_name(container)
        .with_allow_http(connection.allow_http);
    if let Some(endpoint) = &connection.endpoint {
        builder = builder.with_endpoint(endpoint.clone());
    }
    if let Some(account) = &connection.access_key_id {
        builder = builder.with_account(account.expose_secret());
    }
    if let Some(key) = &connection.secret_access_key {
        builder = builder.with_access_key(key.expose_secret());
    }
    let built = limits(connection)
        .map(|(options, retry)| builder.clone().with_client_options(options).with_retry(retry).build());
    // A shared access signature has a fixed set of fields.
    clients(built, prefix, false)
}

#[cfg(not(feature = "azure"))]
fn azure(_container: &str, _prefix: &Path, _connection: &Connection) -> Result<Clients, StorageError> {
    Err(StorageError::Setup(
        "this program was built without Azure Blob Storage; build it with the feature `azure`".to_owned(),
    ))
}

#[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
fn setup(error: &object_store::Error) -> StorageError {
    StorageError::Setup(format!("the bucket cannot be reached like this: {error}"))
}

/// Time-outs and retries for documents and for artefacts.
#[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
fn limits(connection: &Connection) -> [(object_store::ClientOptions, object_store::RetryConfig); 2] {
    use std::time::Duration;

    use object_store::{BackoffConfig, ClientOptions, RetryConfig};

    let client = ClientOptions::new()
        .with_allow_http(connection.allow_http)
        .with_connect_timeout(Duration::from_secs(5))
        .with_pool_idle_timeout(Duration::from_mins(1));
    let backoff = BackoffConfig {
        init_backoff: Duration::from_millis(50),
        max_backoff: Duration::from_secs(5),
        base: 2.0,
    };
    let documents =
        RetryConfig { backoff: backoff.clone(), max_retries: 5, retry_timeout: Duration::from_secs(30) };
    // The time counts from the request's beginning, and a slow reader's download may be resumed after hours.
    let artifacts = RetryConfig { backoff, max_retries: 8, retry_timeout: Duration::from_hours(24) };
    [
        (client.clone().with_timeout(Duration::from_secs(20)), documents),
        (client.with_timeout_disabled().with_read_timeout(Duration::from_mins(1)), artifacts),
    ]
}
