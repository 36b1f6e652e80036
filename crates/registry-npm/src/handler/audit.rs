//! The audit endpoints. This registry knows of no advisories and says so: without an answer, every install would
//! end with a client's error.

use http::StatusCode;
use registry_core::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::call::Call;
use crate::error::{Error, json_response};

/// `POST /-/npm/v1/security/advisories/bulk`.
pub(crate) async fn bulk(call: &mut Call<'_>) -> Result<Response, Error> {
    call.actor().await?;
    let _asked: serde_json::Map<String, Value> = read(call).await?;
    Ok(json_response(StatusCode::OK, &json!({})))
}

/// The part of a lock file's dependency tree that is counted.
#[derive(Deserialize)]
struct Tree {
    #[serde(default)]
    dependencies: Value,
}

/// `POST /-/npm/v1/security/audits` and `…/quick`.
pub(crate) async fn report(call: &mut Call<'_>) -> Result<Response, Error> {
    call.actor().await?;
    let tree: Tree = read(call).await?;
    let mut counts = Counts::default();
    counts.add(&tree.dependencies);
    let body = json!({
        "actions": [],
        "advisories": {},
        "muted": [],
        "metadata": {
            "vulnerabilities": {"info": 0, "low": 0, "moderate": 0, "high": 0, "critical": 0},
            "dependencies": counts.normal,
            "devDependencies": counts.dev,
            "optionalDependencies": counts.optional,
            "totalDependencies": counts.normal + counts.dev + counts.optional,
        },
    });
    Ok(json_response(StatusCode::OK, &body))
}

#[derive(Default)]
struct Counts {
    normal: usize,
    dev: usize,
    optional: usize,
}

impl Counts {
    /// Counts a tree. The parser limits how deep it is.
    fn add(&mut self, dependencies: &Value) {
        for dependency in dependencies.as_object().into_iter().flat_map(serde_json::Map::values) {
            let is = |key: &str| dependency.get(key).and_then(Value::as_bool).unwrap_or(false);
            if is("dev") {
                self.dev += 1;
            } else if is("optional") {
                self.optional += 1;
            } else {
                self.normal += 1;
            }
            if let Some(inner) = dependency.get("dependencies") {
                self.add(inner);
            }
        }
    }
}

async fn read<T: serde::de::DeserializeOwned>(call: &mut Call<'_>) -> Result<T, Error> {
    let limit = call.registry.config().max_document_bytes;
    let bytes = call.read(limit).await?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Error::bad(format!("the audit request is not the JSON expected here: {error}")))
}
