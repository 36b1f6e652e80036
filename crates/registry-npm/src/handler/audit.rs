//! The audit endpoints. This registry knows of no advisories of its own and says so: without an answer, every install would
//! end with a client's error. What is another registry's is asked there.

use std::fmt;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use http::StatusCode;
use indexmap::IndexMap;
use registry_core::{
    Actor, Response,
    http::Refusal,
    upstream::{Failure, FailureKind, Lookup, Source},
};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, IgnoredAny, MapAccess, Visitor},
};
use serde_json::json;

use super::call::Call;
use crate::{
    error::{Error, json_bytes, json_response},
    names::PackageName,
    upstream,
};

/// The largest audit request, decoded: a lock file's whole tree.
const MAX_BODY: u64 = 20 << 20;
/// So many names are looked up in the store at a time.
const LOOKED_UP_AT_ONCE: usize = 16;

/// `POST /-/npm/v1/security/advisories/bulk`.
pub(crate) async fn bulk(call: &mut Call<'_>) -> Result<Response, Error> {
    let actor = call.actor().await?;
    if let Some(source) = upstream::nameless(call.registry, &actor).await? {
        return foreign(call, &actor, &source).await;
    }
    let _asked: Asked = read(call).await?;
    Ok(json_response(StatusCode::OK, &json!({})))
}

/// What the upstream knows of those packages that are its own; it is told of no others.
async fn foreign(call: &mut Call<'_>, actor: &Actor, source: &Source) -> Result<Response, Error> {
    let asked: IndexMap<String, Vec<String>> = read(call).await?;
    let registry = call.registry;
    let told = stream::iter(asked)
        .map(|(name, versions)| async move {
            let Ok(parsed) = name.parse::<PackageName>() else { return Ok(None) };
            let is_foreign = upstream::is_foreign(registry, actor, &parsed).await?;
            Ok::<_, Error>(is_foreign.then_some((name, versions)))
        })
        .buffered(LOOKED_UP_AT_ONCE)
        .try_filter_map(|told| async move { Ok(told) })
        .try_collect::<Vec<_>>()
        .await?;
    let told: IndexMap<String, Vec<String>> = told.into_iter().collect();
    if told.is_empty() {
        return Ok(json_response(StatusCode::OK, &json!({})));
    }
    let body = serde_json::to_vec(&told).map_err(Refusal::internal)?;
    let answer = match source.forward(&upstream::advisories(body)).await {
        // It has no such endpoint, which is how a registry without advisories answers a POST to a package of that name.
        Lookup::Failed(Failure { kind: FailureKind::Status(405 | 501), .. }) => None,
        other => other.found()?,
    };
    match answer {
        Some(answer) => Ok(json_bytes(StatusCode::OK, answer.body)),
        // It knows no advisories.
        None => Ok(json_response(StatusCode::OK, &json!({}))),
    }
}

/// `POST /-/npm/v1/security/audits` and `…/quick`.
pub(crate) async fn report(call: &mut Call<'_>) -> Result<Response, Error> {
    call.actor().await?;
    let tree: Tree = read(call).await?;
    let counts = tree.dependencies.unwrap_or_default();
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

async fn read<T: DeserializeOwned>(call: &mut Call<'_>) -> Result<T, Error> {
    let bytes = call.read(MAX_BODY).await?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Error::bad(format!("the audit request is not the JSON expected here: {error}")))
}

// Anybody may ask, and a small compressed request can be a large one: what is asked is read to its end and counted, and
// nothing of it is kept.

/// What is asked about: an object, whatever is in it.
struct Asked;

impl<'de> Deserialize<'de> for Asked {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = Asked;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of names and versions")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Asked, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Asked)
            }
        }
        deserializer.deserialize_map(Names)
    }
}

/// The part of a lock file's dependency tree that is counted.
#[derive(Deserialize)]
struct Tree {
    #[serde(default)]
    dependencies: Option<Counts>,
}

/// How many dependencies a tree holds, by kind. The parser limits how deep it is.
#[derive(Default)]
struct Counts {
    normal: usize,
    dev: usize,
    optional: usize,
}

/// One dependency.
#[derive(Deserialize)]
struct Dependency {
    #[serde(default)]
    dev: Option<bool>,
    #[serde(default)]
    optional: Option<bool>,
    #[serde(default)]
    dependencies: Option<Counts>,
}

impl Counts {
    fn add(&mut self, dependency: Dependency) {
        if dependency.dev == Some(true) {
            self.dev += 1;
        } else if dependency.optional == Some(true) {
            self.optional += 1;
        } else {
            self.normal += 1;
        }
        if let Some(inner) = dependency.dependencies {
            self.normal += inner.normal;
            self.dev += inner.dev;
            self.optional += inner.optional;
        }
    }
}

impl<'de> Deserialize<'de> for Counts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Dependencies;
        impl<'de> Visitor<'de> for Dependencies {
            type Value = Counts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of dependencies")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Counts, A::Error> {
                let mut counts = Counts::default();
                while let Some((_, dependency)) = map.next_entry::<IgnoredAny, Dependency>()? {
                    counts.add(dependency);
                }
                Ok(counts)
            }
        }
        deserializer.deserialize_map(Dependencies)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checklist_32_a_tree_is_counted_while_it_is_read() {
        let tree: Tree = serde_json::from_str(
            r#"{"name":"x","requires":{"a":"1"},"dependencies":{"a":{"version":"1","requires":{"b":"1"},
                "dependencies":{"b":{"dev":true},"c":{"optional":true},"a":{}}},"d":{"dev":false}}}"#,
        )
        .unwrap();
        let counts = tree.dependencies.unwrap();
        assert_eq!((counts.normal, counts.dev, counts.optional), (3, 1, 1));
        assert!(serde_json::from_str::<Tree>(r#"{"dependencies":null}"#).unwrap().dependencies.is_none());
        let deep = format!("{}1", r#"{"dependencies":{"a":"#.repeat(10_000));
        assert!(serde_json::from_str::<Tree>(&deep).is_err());
    }

    #[test]
    fn a_question_is_an_object() {
        assert!(serde_json::from_str::<Asked>(r#"{"a":["1.0.0"],"a":[[[]]]}"#).is_ok());
        for bad in ["[]", "1", "{", "null"] {
            assert!(serde_json::from_str::<Asked>(bad).is_err(), "{bad}");
        }
    }
}
