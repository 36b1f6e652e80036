//! [`HttpConnector`]: upstreams over HTTP/1.1 and HTTP/2, with the roots that the platform believes.

use std::{io, net::SocketAddr, sync::Arc};

use async_trait::async_trait;
use reqwest::{
    Certificate, Client, ClientBuilder, Proxy,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect::Policy,
};

use super::{
    UpstreamConfig,
    address::{is_forbidden, is_metadata},
    config::Egress,
    transport::{Connector, ConnectorError, Incoming, Outgoing, Transport, TransportError},
};
use crate::Body;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Makes transports over HTTP. Certificates are checked against the platform's roots (`SSL_CERT_FILE` and `SSL_CERT_DIR` where they
/// are set) and those of the upstream's configuration.
#[derive(Clone, Copy, Debug, Default)]
pub struct HttpConnector;

impl Connector for HttpConnector {
    fn connect(&self, upstream: &UpstreamConfig) -> Result<Arc<dyn Transport>, ConnectorError> {
        let client = |guarded: bool| -> Result<Client, BoxError> { Ok(builder(upstream, guarded)?.build()?) };
        let both = || Ok(HttpTransport { open: client(false)?, guarded: client(true)? });
        let failed = |source| ConnectorError { upstream: upstream.id.to_string(), source };
        both().map_err(failed).map(|transport: HttpTransport| -> Arc<dyn Transport> { Arc::new(transport) })
    }
}

fn builder(upstream: &UpstreamConfig, guarded: bool) -> Result<ClientBuilder, BoxError> {
    let mut exempt: Vec<String> = upstream.url.host_str().map(str::to_owned).into_iter().collect();
    let mut builder = Client::builder()
        .redirect(Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .no_gzip()
        .no_brotli()
        .no_deflate()
        .no_zstd()
        .connect_timeout(upstream.connect_timeout)
        .pool_idle_timeout(std::time::Duration::from_mins(1));
    match &upstream.egress {
        Egress::Inherit => {}
        Egress::Direct => builder = builder.no_proxy(),
        Egress::Proxy(url) => {
            // The proxy is the configuration's: it may be anywhere.
            exempt.extend(url.host_str().map(str::to_owned));
            builder = builder.proxy(Proxy::all(url.as_str())?);
        }
    }
    if let Some(pem) = &upstream.ca {
        let certificates = Certificate::from_pem_bundle(pem)?;
        if certificates.is_empty() {
            return Err("there is no certificate in its ca".into());
        }
        builder = builder.tls_certs_merge(certificates);
    }
    Ok(builder.dns_resolver(Arc::new(Resolver { guarded, exempt: exempt.into() })))
}

/// Two clients with pools of their own: a connection that was opened to a trusted host is never used for a learnt one.
#[derive(Debug)]
struct HttpTransport {
    open: Client,
    guarded: Client,
}

#[async_trait]
impl Transport for HttpTransport {
    async fn send(&self, request: Outgoing) -> Result<Incoming, TransportError> {
        let client = if request.guarded { &self.guarded } else { &self.open };
        let sent = client.request(request.method, request.url).headers(request.headers).body(request.body);
        let response = sent.send().await.map_err(classified)?;
        let (parts, body) = http::Response::from(response).into_parts();
        let delimited = parts.version >= http::Version::HTTP_2
            || parts.headers.contains_key(http::header::CONTENT_LENGTH)
            || parts.headers.contains_key(http::header::TRANSFER_ENCODING);
        Ok(Incoming::new(parts.status, parts.headers, Body::new(body), delimited))
    }
}

/// What a failed request means. Nothing of the error's text is for clients: it names addresses.
fn classified(error: reqwest::Error) -> TransportError {
    if error.is_timeout() {
        return TransportError::Timeout;
    }
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(one) = cause {
        if let Some(resolving) = one.downcast_ref::<ResolveFailure>() {
            return match resolving {
                ResolveFailure::Forbidden => TransportError::Forbidden,
                ResolveFailure::NoSuchName => TransportError::Hopeless(Box::new(error.without_url())),
            };
        }
        // rustls' error has no type that all of its users share.
        if one.to_string().starts_with("invalid peer certificate") {
            return TransportError::Hopeless(Box::new(error.without_url()));
        }
        cause = one.source();
    }
    TransportError::Connect(Box::new(error.without_url()))
}

#[derive(Debug, thiserror::Error)]
enum ResolveFailure {
    #[error("the host has no address that may be asked")]
    Forbidden,
    #[error("the host does not exist")]
    NoSuchName,
}

/// Resolves names, and drops addresses that must not be asked. The connection goes to what is left: nothing is looked up twice.
#[derive(Debug)]
struct Resolver {
    guarded: bool,
    exempt: Arc<[String]>,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (guarded, exempt) = (self.guarded, Arc::clone(&self.exempt));
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let found: Vec<SocketAddr> = match tokio::net::lookup_host((host.as_str(), 0)).await {
                Ok(found) => found.collect(),
                Err(error) if does_not_exist(&error) => return Err(ResolveFailure::NoSuchName.into()),
                Err(error) => return Err(error.into()),
            };
            let exempt = exempt.iter().any(|one| one.eq_ignore_ascii_case(&host));
            let allowed: Vec<SocketAddr> = found
                .into_iter()
                .filter(|address| match (exempt, guarded) {
                    (true, _) => true,
                    (false, true) => !is_forbidden(address.ip()),
                    (false, false) => !is_metadata(address.ip()),
                })
                .collect();
            if allowed.is_empty() {
                return Err(ResolveFailure::Forbidden.into());
            }
            let addresses: Addrs = Box::new(allowed.into_iter());
            Ok(addresses)
        })
    }
}

/// Whether the resolver says for good that there is no such host. The standard library has no kind for it.
fn does_not_exist(error: &io::Error) -> bool {
    let text = error.to_string();
    text.contains("Name or service not known") || text.contains("nodename nor servname")
}
