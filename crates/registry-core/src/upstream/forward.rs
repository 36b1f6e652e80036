//! Questions that are passed through and whose answers are not kept: searches, audits.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use tokio::time::timeout;
use url::Url;

use super::{
    FailureKind, Location, Lookup, Source,
    body::{decode, read_limited},
    call::{Call, Content},
};

/// A question to pass through. Nothing of a client's headers is in it, and no private name may be in its body.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Forward {
    /// The method. Only GET is tried again.
    pub method: Method,
    /// The path below the upstream's URL, percent-encoded, with its query; or a URL that stands in one of its documents.
    pub location: Location,
    /// `Accept`.
    pub accept: &'static str,
    /// The media type of the body, and the body.
    pub content: Option<(&'static str, Bytes)>,
}

/// An answer that was passed through, whole.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Forwarded {
    /// Its media type.
    pub media_type: Option<String>,
    /// Its body, with no encoding.
    pub body: Bytes,
}

impl Forward {
    /// A GET.
    pub fn get(path: impl Into<String>, accept: &'static str) -> Self {
        Self { method: Method::GET, location: Location::Path(path.into()), accept, content: None }
    }

    /// A POST.
    pub fn post(
        path: impl Into<String>,
        accept: &'static str,
        media_type: &'static str,
        body: impl Into<Bytes>,
    ) -> Self {
        let content = Some((media_type, body.into()));
        Self { method: Method::POST, location: Location::Path(path.into()), accept, content }
    }

    /// At a URL that stands in one of the upstream's documents. It is weighed before it is asked.
    pub fn at(mut self, url: Url) -> Self {
        self.location = Location::Url(url);
        self
    }
}

impl Source {
    /// The headers of what lies at a path, by HEAD: what a tag of an OCI registry points to now, without what counts as a pull. Nothing
    /// is kept. `scope` is what a token endpoint is asked for.
    pub async fn headers(&self, path: &str, accept: &'static str, scope: Option<&str>) -> Lookup<HeaderMap> {
        let url = match self.upstream.url(path) {
            Ok(url) => url,
            Err(failure) => return Lookup::Failed(failure),
        };
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
        let (content, body, scope) = (Content::Document, Bytes::new(), scope.map(Arc::from));
        let call = Call { method: Method::HEAD, url, content, headers, body, scope };
        self.upstream.exchange(&call).await.map(|answer| answer.headers)
    }

    /// Passes a question through. The answer is at most as large as a document.
    pub async fn forward(&self, forward: &Forward) -> Lookup<Forwarded> {
        let config = &self.upstream.config;
        let url = match self.upstream.locate(&forward.location) {
            Ok(url) => url,
            Err(failure) => return Lookup::Failed(failure),
        };
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static(forward.accept));
        let mut body = Bytes::new();
        if let Some((media_type, content)) = &forward.content {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
            body = content.clone();
        }
        let (method, content) = (forward.method.clone(), Content::Document);
        let call = Call { method, url, content, headers, body, scope: None };
        let asked = async {
            let answer = match self.upstream.exchange(&call).await {
                Lookup::Found(answer) => answer,
                Lookup::Absent => return Lookup::Absent,
                Lookup::Denied(denial) => return Lookup::Denied(denial),
                Lookup::Failed(failure) => return Lookup::Failed(failure),
            };
            let read = async {
                let body = read_limited(answer.body, config.max_document, config.idle_timeout).await?;
                decode(&answer.headers, body, config.max_document).await
            };
            match read.await {
                Ok(body) => {
                    let media_type = answer.headers.get(header::CONTENT_TYPE);
                    let media_type = media_type.and_then(|value| Some(value.to_str().ok()?.to_owned()));
                    Lookup::Found(Forwarded { media_type, body })
                }
                Err(kind) => Lookup::Failed(self.upstream.failure(kind)),
            }
        };
        let late = || Lookup::Failed(self.upstream.failure(FailureKind::Timeout));
        timeout(config.total_timeout, asked).await.unwrap_or_else(|_| late())
    }
}
