//! What an operator does past the protocol, and what Composer sees of it.

use registry_core::{
    Actor, Administration as _,
    administration::{AdministrationError, VersionState, Yank},
};
use serde_json::json;

use crate::app::{App, Client as _, Setup, package};

fn operator() -> Actor {
    Actor::user("operator")
}

async fn app(versions: &[&str]) -> App {
    let mut setup = Setup::new();
    // What clients may not do, the operator may.
    setup.config.allow_delete = false;
    let app = setup.build();
    for version in versions {
        upload(&app, version, version, 201).await;
    }
    app
}

async fn upload(app: &App, version: &str, salt: &str, status: u16) {
    app.upload("acme/lib", version, package("acme/lib", &json!({}), salt)).await.expect(status);
}

async fn delete(app: &App, version: Option<&str>) -> Result<(), AdministrationError> {
    app.registry.delete_package(&operator(), "acme/lib", version).await
}

async fn forget(app: &App, version: Option<&str>) -> Result<(), AdministrationError> {
    app.registry.forget_package(&operator(), "acme/lib", version).await
}

#[tokio::test]
async fn a_package_is_shown_with_all_that_became_of_its_versions() {
    let app =
        app(&["1.0", "1.1", "dev-main", "2.x-dev", "2024-01-02", "v03.1-beta.2", "dev-a@dev@dev"]).await;
    for version in ["1.0", "2.x-dev", "dev-main", "2024-01-02", "v03.1-beta.2", "dev-a@dev@dev"] {
        delete(&app, Some(version)).await.unwrap();
    }
    app.ask("PUT", "/packages/acme/lib/abandoned").token("alice-token").send().await.expect(200);
    let details = app.registry.show_package("acme/lib").await.unwrap();
    assert_eq!((details.name.as_str(), details.latest.as_deref()), ("acme/lib", Some("1.1")));
    assert_eq!(details.facts, [("abandoned", "yes".to_owned())]);
    assert_eq!(
        (details.versions[0].version.as_str(), &details.versions[0].state),
        ("1.1", &VersionState::Live)
    );
    assert!(details.versions[0].bytes.unwrap() > 0 && details.versions[0].digest.is_some());
    let deleted = &details.versions[1..];
    assert_eq!(deleted.len(), 6);
    for version in deleted {
        assert!(matches!(version.state, VersionState::Deleted(Some(_))), "{version:?}");
        // What is shown is what the other commands take.
        forget(&app, Some(&version.version)).await.unwrap();
    }
    for (name, usage) in [("acme/none", false), ("acme", true)] {
        let error = app.registry.show_package(name).await.unwrap_err();
        assert_eq!(error.is_usage(), usage, "{error}");
    }
}

#[tokio::test]
async fn a_yank_is_not_offered() {
    let app = app(&["1.0"]).await;
    let before = app.objects().await;
    let yank = Yank::Set(String::new());
    let error = app.registry.yank_version(&operator(), "acme/lib", "1.0", &yank).await.unwrap_err();
    assert!(error.is_usage() && error.to_string().contains("abandoned"), "{error}");
    assert_eq!(app.objects().await, before);
}

#[tokio::test]
async fn a_forgotten_version_can_be_published_again() {
    let app = app(&["1.0", "1.1"]).await;
    for version in [None, Some("v1.1.0")] {
        assert!(matches!(forget(&app, version).await, Err(AdministrationError::Refused(_))));
    }
    for version in ["2.0", "1.2"] {
        assert!(matches!(delete(&app, Some(version)).await, Err(AdministrationError::NotFound(_))));
    }
    assert!(matches!(delete(&app, Some("no version")).await, Err(AdministrationError::Invalid(_))));
    assert_eq!(app.versions("acme/lib").await.len(), 2);
    delete(&app, Some("1.1")).await.unwrap();
    assert_eq!(app.versions("acme/lib").await.len(), 1);
    upload(&app, "1.1", "other", 409).await;
    forget(&app, Some("1.1.0")).await.unwrap();
    assert!(matches!(forget(&app, Some("1.1")).await, Err(AdministrationError::NotFound(_))));
    upload(&app, "1.1", "other", 201).await;
    assert_eq!(app.versions("acme/lib").await.len(), 2);
}

#[tokio::test]
async fn a_forgotten_package_is_as_if_it_had_never_been() {
    let app = app(&["1.0", "dev-main"]).await;
    app.ask("PUT", "/packages/acme/lib/abandoned").token("alice-token").send().await.expect(200);
    delete(&app, None).await.unwrap();
    assert!(app.versions("acme/lib").await.is_empty());
    assert!(matches!(delete(&app, None).await, Err(AdministrationError::NotFound(_))));
    assert_eq!(app.registry.show_package("acme/lib").await.unwrap().versions.len(), 2);
    forget(&app, None).await.unwrap();
    // A name that was never here is not answered for.
    app.get("/p2/acme/lib.json").await.expect(404);
    assert!(matches!(app.registry.show_package("acme/lib").await, Err(AdministrationError::NotFound(_))));
    for version in [None, Some("1.0")] {
        assert!(matches!(forget(&app, version).await, Err(AdministrationError::NotFound(_))));
    }
    upload(&app, "1.0", "other", 201).await;
    let versions = app.versions("acme/lib").await;
    assert_eq!((versions.len(), versions[0].get("abandoned")), (1, None));
    assert_eq!(app.get("/search.json?q=lib").await.json()["total"], 1);
}
