//! Referrers of a subject (sheet section 2.6).

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use http::{HeaderName, HeaderValue, StatusCode, header};
use registry_core::{Response, http::respond_with};

use super::{Call, foreign, set};
use crate::{
    access::Need,
    error::Error,
    names::{Digest, RepositoryName},
    upstream::Theirs,
    wire::{media_type, page::escape, referrers},
};

pub(super) const FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");
/// The most bytes of a page: clients read no more of a manifest.
const PAGE_BYTES: usize = 4 * 1024 * 1024 - 1024;
/// Records that are read at the same time.
const READS_AT_ONCE: usize = 16;

/// `GET /v2/<name>/referrers/<digest>`: 200 for every digest, known or not.
pub(super) async fn list(
    call: &Call<'_>,
    name: &RepositoryName,
    subject: &Digest,
) -> Result<Response, Error> {
    let caller = call.registry.admit(call.parts, call.base, name, Need::Pull, None).await?;
    if let Some(theirs) = Theirs::of(call, &caller.actor, name).await? {
        return foreign::referrers(call, &theirs, subject).await;
    }
    let query = call.query();
    let wanted = query.last("artifactType").filter(|wanted| !wanted.is_empty());
    let after = query.last("last").and_then(|last| last.parse::<Digest>().ok());
    let store = &call.registry.store;
    let mut candidates = store.referrer_candidates(name, subject).await?;
    if let Some(after) = after {
        candidates = candidates.split_off(&after);
        candidates.remove(&after);
    }
    let mut found = stream::iter(candidates)
        .map(|digest| async move { store.referrer(name, subject, &digest).await })
        .buffered(READS_AT_ONCE);
    let (mut shown, mut bytes, mut more) = (Vec::new(), 0usize, false);
    while let Some(referrer) = found.try_next().await? {
        let Some(referrer) = referrer else { continue };
        if wanted.as_deref().is_some_and(|wanted| referrer.artifact_type.as_deref() != Some(wanted)) {
            continue;
        }
        let size = serde_json::to_vec(&referrer).map_or(0, |text| text.len() + 1);
        if !shown.is_empty()
            && (bytes.saturating_add(size) > PAGE_BYTES || shown.len() >= call.registry.config.page_size)
        {
            more = true;
            break;
        }
        bytes = bytes.saturating_add(size);
        shown.push(referrer);
    }
    let content_type = HeaderValue::from_static(media_type::OCI_INDEX);
    let mut response = respond_with(StatusCode::OK, content_type, referrers::render(&shown));
    if more && let Some(last) = shown.last() {
        let filter = wanted.as_deref().map(|wanted| format!("&artifactType={}", escape(wanted)));
        let path = call.location(&format!("/{name}/referrers/{subject}"));
        let link = format!("<{path}?last={}{}>; rel=\"next\"", last.digest, filter.unwrap_or_default());
        set(&mut response, header::LINK, &link);
    }
    if wanted.is_some() {
        response.headers_mut().insert(FILTERS_APPLIED, HeaderValue::from_static("artifactType"));
    }
    Ok(response)
}
