//! The ping, and which extensions there are (none).

use http::StatusCode;
use registry_core::{Response, http::respond_json};
use serde_json::json;

use super::Call;
use crate::{access::Need, error::Error, names::RepositoryName};

/// `GET /v2/`: clients learn here how to authenticate, so it never answers 200 to somebody without credentials, even where
/// pulling needs none.
pub(super) async fn ping(call: &Call<'_>) -> Result<Response, Error> {
    let caller = call.registry.identify(call.parts, call.base, "").await?;
    if caller.is_authenticated() {
        return Ok(respond_json(StatusCode::OK, &json!({})));
    }
    Err(Error::Unauthorized {
        challenge: Box::new(call.registry.challenge(call.parts, call.base, "", None)),
        message: "authentication is required",
    })
}

/// `GET /v2/_oci/ext/discover`.
pub(super) async fn extensions(call: &Call<'_>, name: Option<&RepositoryName>) -> Result<Response, Error> {
    if let Some(name) = name {
        call.registry.admit(call.parts, call.base, name, Need::Pull, None).await?;
    }
    Ok(respond_json(StatusCode::OK, &json!({ "extensions": [] })))
}
