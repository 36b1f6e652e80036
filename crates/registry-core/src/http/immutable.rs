//! What never changes under its name.

use http::{HeaderMap, HeaderValue, header};

use crate::Actor;

/// The `Cache-Control` of bytes that never change under their name: a year, without asking again. Whether they may be read can change, so
/// caches that serve more than one client keep only what everybody may read.
pub fn cache_for_ever(actor: &Actor) -> &'static str {
    if actor.is_anonymous() {
        "public, max-age=31536000, immutable"
    } else {
        "private, max-age=31536000, immutable"
    }
}

/// The headers of such bytes: [`cache_for_ever`], `Vary`, and no guessing of types.
pub fn immutable_headers(actor: &Actor, vary: &'static str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache_for_ever(actor)));
    headers.insert(header::VARY, HeaderValue::from_static(vary));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers
}
