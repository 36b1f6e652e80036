//! Asking for artefacts: whole, without their bytes, and for the rest of one that broke off.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::{
    FailureKind, Lookup, Source,
    artifact::{ArtifactRequest, Facts},
    call::{Answer, Call, Content, Served},
    outcome::DeniedBy,
};
use crate::storage::Key;

impl Source {
    /// What an upstream says of an artefact, without its bytes. One that knows no HEAD is asked with GET, and left after the headers.
    pub(crate) async fn ask_head(&self, request: &ArtifactRequest, key: &Key) -> Lookup<Facts> {
        let mut asked = self.ask_artifact(Method::HEAD, request, HeaderMap::new()).await;
        let unknown = match &asked {
            Lookup::Denied(denial) => denial.by == DeniedBy::Upstream,
            Lookup::Failed(failure) => {
                matches!(failure.kind, FailureKind::Credentials | FailureKind::Status(400 | 405 | 501))
            }
            Lookup::Found(_) | Lookup::Absent => false,
        };
        if unknown {
            asked = self.ask_artifact(Method::GET, request, HeaderMap::new()).await;
        }
        if matches!(asked, Lookup::Absent) {
            self.note_absent(key, self.upstream.now());
        }
        asked.map(|answer| facts(&answer, request))
    }

    /// Asks for an artefact.
    pub(crate) async fn ask_artifact(
        &self,
        method: Method,
        request: &ArtifactRequest,
        mut headers: HeaderMap,
    ) -> Lookup<Answer> {
        let url = match self.upstream.locate(&request.location) {
            Ok(url) => url,
            Err(failure) => return Lookup::Failed(failure),
        };
        if let Some(accept) = request.accept {
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
        }
        let scope = request.scope.clone();
        let call = Call { method, url, content: Content::Artifact, headers, body: Bytes::new(), scope };
        match self.upstream.exchange(&call).await {
            Lookup::Found(answer) if request.no_page && is_page(&answer.headers) => {
                let kind = FailureKind::BadBody("it answered with a page".to_owned());
                Lookup::Failed(self.upstream.failure(kind))
            }
            end => end,
        }
    }

    /// The rest of a body that broke off, if it is the rest of the same.
    pub(crate) async fn resume(
        &self,
        request: &ArtifactRequest,
        served: &Served,
        validator: &HeaderValue,
        from: u64,
        length: Option<u64>,
    ) -> Option<Answer> {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, HeaderValue::try_from(format!("bytes={from}-")).ok()?);
        headers.insert(header::IF_RANGE, validator.clone());
        let Lookup::Found(answer) = self.ask_artifact(Method::GET, request, headers).await else {
            return None;
        };
        let range = answer.headers.get(header::CONTENT_RANGE)?.to_str().ok()?;
        let (bounds, total) = range.strip_prefix("bytes ")?.split_once('/')?;
        let start: u64 = bounds.split_once('-')?.0.parse().ok()?;
        let same = answer.status == StatusCode::PARTIAL_CONTENT
            && start == from
            && length.is_none_or(|length| total.parse() == Ok(length))
            && answer.served.origin == served.origin;
        same.then_some(answer)
    }
}

/// What the headers say.
pub(crate) fn facts(answer: &Answer, request: &ArtifactRequest) -> Facts {
    Facts {
        size: content_length(&answer.headers).or(request.expected.size),
        media_type: text(&answer.headers, header::CONTENT_TYPE),
        last_modified: text(&answer.headers, header::LAST_MODIFIED),
    }
}

fn is_page(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"))
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}

pub(crate) fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The ETag by which a rest can be told to be of the same.
pub(crate) fn strong_etag(headers: &HeaderMap) -> Option<HeaderValue> {
    headers.get(header::ETAG).filter(|tag| tag.as_bytes().starts_with(b"\"")).cloned()
}
