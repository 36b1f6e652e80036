//! What an operator does past the protocol, and what npm's clients see of it.

use registry_core::testing::Recorder;
use registry_core::{
    Actor, Administration as _,
    administration::{AdministrationError, VersionState, Yank},
};
use serde_json::json;

use crate::app::{App, Client as _, Document, Setup};

fn operator() -> Actor {
    Actor::user("operator")
}

async fn app(versions: &[&str]) -> App {
    let mut setup = Setup::new();
    // What clients may not do, the operator may.
    setup.config.unpublish = false;
    setup.config.republish_block_seconds = 3600;
    let app = setup.build();
    for version in versions {
        app.publish(&Document::new("@s/n", version)).await;
    }
    app
}

async fn delete(app: &App, version: Option<&str>) -> Result<(), AdministrationError> {
    app.registry.delete_package(&operator(), "@s/n", version).await
}

async fn forget(app: &App, version: Option<&str>) -> Result<(), AdministrationError> {
    app.registry.forget_package(&operator(), "@s/n", version).await
}

#[tokio::test]
async fn a_package_is_shown_with_all_that_became_of_its_versions() {
    let app = app(&["1.0.0", "1.9.0", "1.10.0"]).await;
    let mut document = app.packument("@s/n").await;
    document["versions"]["1.9.0"]["deprecated"] = json!("use 1.10");
    app.ask("PUT", "/@s%2fn").token("alice-token").json(&document).send().await.expect(201);
    delete(&app, Some("1.0.0")).await.unwrap();
    let details = app.registry.show_package("@s/n").await.unwrap();
    assert_eq!((details.name.as_str(), details.latest.as_deref()), ("@s/n", Some("1.10.0")));
    let fact = |name| details.facts.iter().find(|(found, _)| *found == name).map(|(_, value)| value.as_str());
    assert_eq!((fact("owners"), fact("dist-tags")), (Some("alice"), Some("latest 1.10.0")));
    let states: Vec<_> = details.versions.iter().map(|v| (v.version.as_str(), &v.state)).collect();
    let VersionState::Deleted(Some(_)) = states[2].1 else { panic!("{states:?}") };
    let deprecated = VersionState::Deprecated("use 1.10".to_owned());
    assert_eq!(states[..2], [("1.10.0", &VersionState::Live), ("1.9.0", &deprecated)]);
    assert!(details.versions[0].bytes.unwrap() > 0 && details.versions[0].published.is_some());
    for (name, usage) in [("@s/none", false), ("@s", true), ("../n", true)] {
        let error = app.registry.show_package(name).await.unwrap_err();
        assert_eq!(error.is_usage(), usage, "{error}");
    }
}

#[tokio::test]
async fn a_yank_is_not_offered() {
    let app = app(&["1.0.0"]).await;
    let before = app.objects().await;
    let yank = Yank::Set(String::new());
    let error = app.registry.yank_version(&operator(), "@s/n", "1.0.0", &yank).await.unwrap_err();
    assert!(error.is_usage() && error.to_string().contains("npm deprecate @s/n@1.0.0"), "{error}");
    assert_eq!(app.objects().await, before);
}

#[tokio::test]
async fn a_forgotten_version_can_be_published_again() {
    let app = app(&["1.0.0", "1.1.0"]).await;
    let before = app.objects().await;
    for version in [None, Some("1.1.0")] {
        assert!(matches!(forget(&app, version).await, Err(AdministrationError::Refused(_))));
    }
    assert!(matches!(delete(&app, Some("1.2.0")).await, Err(AdministrationError::NotFound(_))));
    assert_eq!(app.objects().await, before);
    delete(&app, Some("1.1.0")).await.unwrap();
    app.get("/@s/n/-/n-1.1.0.tgz").await.expect(404);
    assert_eq!(app.packument("@s/n").await["dist-tags"], json!({"latest": "1.0.0"}));
    app.put(&Document::new("@s/n", "1.1.0"), "alice-token", 403).await;
    forget(&app, Some("1.1.0")).await.unwrap();
    assert!(matches!(forget(&app, Some("1.1.0")).await, Err(AdministrationError::NotFound(_))));
    let again = Document::with("@s/n", "1.1.0", json!({"description": "again"}));
    app.publish(&again).await;
    assert_eq!(app.get("/@s/n/-/n-1.1.0.tgz").await.expect(200).body, again.tarball);
}

#[tokio::test]
async fn a_forgotten_package_is_as_if_it_had_never_been() {
    let app = app(&["1.0.0"]).await;
    delete(&app, None).await.unwrap();
    app.get("/@s%2fn").await.expect(404);
    assert_eq!(app.get("/-/v1/search?text=").await.json()["total"], 0);
    // It is blocked for an hour, and its number for ever.
    app.put(&Document::new("@s/n", "2.0.0"), "alice-token", 403).await;
    assert!(matches!(delete(&app, None).await, Err(AdministrationError::NotFound(_))));
    let shown = app.registry.show_package("@s/n").await.unwrap();
    assert_eq!((shown.latest, shown.versions.len()), (None, 1));
    forget(&app, None).await.unwrap();
    assert!(matches!(app.registry.show_package("@s/n").await, Err(AdministrationError::NotFound(_))));
    for version in [None, Some("1.0.0")] {
        assert!(matches!(forget(&app, version).await, Err(AdministrationError::NotFound(_))));
    }
    app.clock.advance(std::time::Duration::from_secs(5));
    app.publish(&Document::new("@s/n", "1.0.0")).await;
    let packument = app.packument("@s/n").await;
    assert_eq!(packument["versions"].as_object().unwrap().len(), 1);
    assert_eq!(packument["time"]["created"], packument["time"]["1.0.0"]);
    assert_eq!(app.get("/-/v1/search?text=").await.json()["total"], 1);
}

#[tokio::test]
async fn hooks_are_asked_and_told() {
    let recorder = Recorder::new();
    let mut setup = Setup::new();
    setup.options.hooks = recorder.hooks();
    let app = setup.build();
    app.publish(&Document::new("@s/n", "1.0.0")).await;
    recorder.refuse(Some("not today"));
    let before = app.objects().await;
    for result in [delete(&app, None).await, delete(&app, Some("1.0.0")).await, forget(&app, None).await] {
        assert_eq!(result.unwrap_err().to_string(), "not today");
    }
    assert_eq!(app.objects().await, before);
    recorder.refuse(None);
    recorder.seen().clear();
    delete(&app, Some("1.0.0")).await.unwrap();
    let seen = recorder.seen().join("\n");
    assert!(seen.contains("delete") && seen.contains("@s/n") && seen.contains("1.0.0"), "{seen}");
}
