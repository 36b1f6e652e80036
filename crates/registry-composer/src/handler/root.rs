//! `packages.json`: where everything else is, and for which names to ask here at all.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, header};
use registry_core::{Actor, PackageRegistry as _, Pattern, Response, auth::Action, http::Representation};
use serde_json::json;

use super::call::Call;
use crate::error::Error;

/// What clients are told to ask for where they may read nothing: an empty list would make them ask for everything.
const NOTHING: &str = "empty.invalid/none";

/// `GET /packages.json`.
pub(crate) async fn packages(call: &Call<'_>) -> Result<Response, Error> {
    let actor = call.reader().await?;
    let base = &call.base;
    let mut body = json!({
        "packages": [],
        "metadata-url": format!("{base}/p2/%package%.json"),
        "list": format!("{base}/packages/list.json"),
        "search": format!("{base}/search.json?q=%query%&type=%type%"),
        "providers-api": format!("{base}/providers/%package%.json"),
        "notify-batch": format!("{base}/downloads"),
        "security-advisories": {
            "metadata": false,
            "api-url": format!("{base}/api/security-advisories"),
        },
    });
    // Which names upstreams have nobody knows beforehand: clients ask for all of them.
    if !call.registry.upstreams().exist()
        && let Some(body) = body.as_object_mut()
    {
        body.insert("available-package-patterns".to_owned(), patterns(call, &actor).await?.into());
    }
    let mut headers = HeaderMap::new();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding, Authorization"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // No Last-Modified: it has only whole seconds, and what a caller may read changes between two of them.
    let form = Representation::new(
        HeaderValue::from_static("application/json"),
        body.to_string().into(),
        None,
        headers,
    );
    Ok(Arc::new(form).respond(&call.parts))
}

/// The names that clients are to ask for: too wide costs a request, too narrow hides packages.
async fn patterns(call: &Call<'_>, actor: &Actor) -> Result<Vec<String>, Error> {
    let mut patterns: Vec<String> = call.registry.config().reserved_names.clone();
    for vendor in call.registry.packages().vendors().await? {
        let whole = format!("{vendor}/*");
        match &actor.scopes {
            Some(scopes) if call.allows(actor, &whole, Action::Read).await.is_err() => {
                let instance = call.registry.instance();
                for scope in scopes.iter().filter(|scope| {
                    let scopes = registry_core::auth::ScopeSet::from_iter([(*scope).clone()]);
                    scopes.allows_any(instance.protocol, &instance.name, Action::Read)
                }) {
                    patterns.extend(within(name_of(scope.as_str()), &vendor));
                }
            }
            _ => patterns.push(whole),
        }
    }
    patterns.sort_unstable();
    patterns.dedup();
    if patterns.is_empty() {
        patterns.push(NOTHING.to_owned());
    }
    Ok(patterns)
}

/// The name in a scope: what is between the second and the last colon.
fn name_of(scope: &str) -> &str {
    let name = scope.splitn(3, ':').nth(2).unwrap_or_default();
    name.rsplit_once(':').map_or(name, |(name, _)| name)
}

/// What of a scope's pattern is within a vendor, if anything may be.
fn within(pattern: &str, vendor: &str) -> Option<String> {
    match pattern.split_once('/') {
        Some((of, package)) => Pattern::new(of).matches(vendor).then(|| format!("{vendor}/{package}")),
        // A star may stand for the slash, too.
        None => pattern.contains('*').then(|| format!("{vendor}/*")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_come_to_patterns() {
        assert_eq!(name_of("composer:package:acme/lib:read,write"), "acme/lib");
        assert_eq!(name_of("*:*:*:*"), "*");
        for (pattern, want) in [
            ("acme/lib", Some("acme/lib")),
            ("acme/li*", Some("acme/li*")),
            ("a*/lib", Some("acme/lib")),
            ("other/lib", None),
            ("*lib", Some("acme/*")),
            ("acme", None),
        ] {
            assert_eq!(within(pattern, "acme").as_deref(), want, "{pattern}");
        }
    }
}
