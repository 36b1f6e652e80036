//! What an operator does past the protocol, and what pip and its kin see of it.

use registry_core::{
    Actor, Administration as _,
    administration::{AdministrationError, VersionState, Yank},
};
use serde_json::json;

use crate::app::{App, Client as _, Form, Setup};

fn operator() -> Actor {
    Actor::user("operator")
}

/// What clients may not do, the operator may.
fn app() -> App {
    let mut setup = Setup::new();
    setup.config.delete = false;
    setup.build()
}

async fn delete(app: &App, version: Option<&str>) -> Result<(), AdministrationError> {
    app.registry.delete_package(&operator(), "Foo.x", version).await
}

async fn forget(app: &App, version: Option<&str>) -> Result<(), AdministrationError> {
    app.registry.forget_package(&operator(), "foo_X", version).await
}

async fn put(app: &App, path: &str, body: &'static str) {
    app.ask("PUT", path).token("alice-token").body(body).send().await.expect(200);
}

#[tokio::test]
async fn a_project_is_shown_with_all_that_became_of_its_releases() {
    let app = app();
    for form in [
        Form::wheel("Foo.x", "1.0"),
        Form::sdist("Foo.x", "1.0", ""),
        Form::wheel("Foo.x", "1.9"),
        Form::wheel("Foo.x", "1.10"),
    ] {
        app.upload(&form).await;
    }
    let yank = Yank::Set("broken".to_owned());
    app.registry.yank_version(&operator(), "foo-x", "1.9.0", &yank).await.unwrap();
    delete(&app, Some("1.0")).await.unwrap();
    put(&app, "/pypi/foo-x/status", r#"{"status": "deprecated", "reason": "old"}"#).await;
    let details = app.registry.show_package("FOO-x").await.unwrap();
    assert_eq!((details.name.as_str(), details.latest.as_deref()), ("foo-x", Some("1.10")));
    assert_eq!(details.facts, [("spelt", "Foo.x".to_owned()), ("status", "deprecated: old".to_owned())]);
    let states: Vec<_> = details.versions.iter().map(|v| (v.version.as_str(), &v.state)).collect();
    let VersionState::Deleted(Some(_)) = states[2].1 else { panic!("{states:?}") };
    assert_eq!(
        states[..2],
        [("1.10", &VersionState::Live), ("1.9", &VersionState::Yanked("broken".to_owned()))]
    );
    assert!(details.versions[0].bytes.unwrap() > 0 && details.versions[0].digest.is_some());
    for (name, usage) in [("none", false), ("-", true)] {
        let error = app.registry.show_package(name).await.unwrap_err();
        assert_eq!(error.is_usage(), usage, "{error}");
    }
}

#[tokio::test]
async fn a_yank_tells_its_reason_and_can_be_undone() {
    let app = app();
    app.upload(&Form::wheel("foo-x", "1.0")).await;
    app.upload(&Form::sdist("foo-x", "1.0", "")).await;
    let yank = async |version: &str, yank: Yank| {
        app.registry.yank_version(&operator(), "foo-x", version, &yank).await
    };
    let marks = async || -> Vec<serde_json::Value> {
        let page = app.page("foo-x").await;
        page["files"].as_array().unwrap().iter().map(|file| file["yanked"].clone()).collect()
    };
    yank("1.0.0", Yank::Set("broken".to_owned())).await.unwrap();
    assert_eq!(marks().await, ["broken", "broken"]);
    let before = app.objects().await;
    assert!(matches!(yank("1.0", Yank::Set("a\nb".to_owned())).await, Err(AdministrationError::Invalid(_))));
    assert!(matches!(yank("x", Yank::Undo).await, Err(AdministrationError::Invalid(_))));
    assert!(matches!(yank("2.0", Yank::Undo).await, Err(AdministrationError::NotFound(_))));
    assert_eq!(app.objects().await, before);
    yank("1.0", Yank::Set(String::new())).await.unwrap();
    assert_eq!(marks().await, [true, true]);
    yank("1.0", Yank::Undo).await.unwrap();
    assert_eq!(marks().await, [false, false]);
}

#[tokio::test]
async fn a_forgotten_release_can_be_uploaded_again() {
    let app = app();
    for version in ["1.0", "1.1"] {
        app.upload(&Form::wheel("foo-x", version)).await;
        app.upload(&Form::sdist("foo-x", version, "")).await;
    }
    let before = app.objects().await;
    for version in [None, Some("1.1")] {
        assert!(matches!(forget(&app, version).await, Err(AdministrationError::Refused(_))));
    }
    assert_eq!(app.objects().await, before);
    delete(&app, Some("1.1")).await.unwrap();
    assert_eq!(app.page("foo-x").await["versions"], json!(["1.0"]));
    app.refused(&Form::wheel("foo-x", "1.1"), 400, "previously used").await;
    assert!(matches!(forget(&app, Some("1.2")).await, Err(AdministrationError::NotFound(_))));
    forget(&app, Some("1.1.0")).await.unwrap();
    assert!(matches!(forget(&app, Some("1.1")).await, Err(AdministrationError::NotFound(_))));
    let again = Form::wheel_with("foo-x", "1.1", "Summary: again\n");
    app.upload(&again).await;
    app.upload(&Form::sdist("foo-x", "1.1", "")).await;
    let file = app.get("/simple/foo-x/foo_x-1.1-py3-none-any.whl").await.expect(200);
    assert_eq!(file.body, again.content());
}

#[tokio::test]
async fn a_deleted_file_of_a_release_that_is_there_can_be_forgotten() {
    let app = Setup::new().build();
    app.upload(&Form::wheel("foo-x", "1.0")).await;
    app.upload(&Form::sdist("foo-x", "1.0", "")).await;
    let path = "/pypi/foo-x/1.0/foo_x-1.0-py3-none-any.whl";
    app.ask("DELETE", path).token("alice-token").send().await.expect(200);
    let details = app.registry.show_package("foo-x").await.unwrap();
    assert_eq!(details.facts, [("releases with deleted files", "1.0".to_owned())]);
    assert_eq!(details.versions.len(), 1);
    assert!(matches!(forget(&app, None).await, Err(AdministrationError::Refused(_))));
    forget(&app, Some("1.0")).await.unwrap();
    app.upload(&Form::wheel("foo-x", "1.0")).await;
    assert_eq!(app.page("foo-x").await["files"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_forgotten_project_is_as_if_it_had_never_been() {
    let app = app();
    app.upload(&Form::wheel("foo-x", "1.0")).await;
    put(&app, "/pypi/foo-x/status", r#"{"status": "archived"}"#).await;
    delete(&app, None).await.unwrap();
    app.get("/simple/foo-x/").await.expect(404);
    assert!(!app.get("/simple/").await.text().contains("foo"));
    assert!(matches!(delete(&app, None).await, Err(AdministrationError::NotFound(_))));
    assert_eq!(app.registry.show_package("foo-x").await.unwrap().versions.len(), 1);
    forget(&app, None).await.unwrap();
    assert!(matches!(app.registry.show_package("foo-x").await, Err(AdministrationError::NotFound(_))));
    for version in [None, Some("1.0")] {
        assert!(matches!(forget(&app, version).await, Err(AdministrationError::NotFound(_))));
    }
    app.get("/simple/foo-x/").await.expect(404);
    // Neither is its status remembered.
    app.upload(&Form::wheel("foo-x", "1.0")).await;
    assert_eq!(app.page("foo-x").await["versions"], json!(["1.0"]));
    assert!(app.get("/simple/").await.text().contains("foo-x"));
}
