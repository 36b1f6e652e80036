//! What an operator does past the protocol, and what cargo sees of it.

use registry_core::{
    Actor, Administration as _,
    administration::{AdministrationError, VersionState, Yank},
    testing::Recorder,
};

use crate::app::{App, Client as _, IndexFile as _, Setup, Upload};

fn operator() -> Actor {
    Actor::user("operator")
}

async fn app(versions: &[&str]) -> App {
    let mut setup = Setup::new();
    // What clients may not do, the operator may.
    setup.config.allow_delete = false;
    let app = setup.build();
    for version in versions {
        app.publish("Foo-x", version).await;
    }
    app
}

async fn delete(app: &App, version: Option<&str>) -> Result<(), AdministrationError> {
    app.registry.delete_package(&operator(), "foo-x", version).await
}

async fn forget(app: &App, version: Option<&str>) -> Result<(), AdministrationError> {
    app.registry.forget_package(&operator(), "foo-x", version).await
}

#[tokio::test]
async fn a_crate_is_shown_with_all_that_became_of_its_versions() {
    let app = app(&["1.0.0", "1.9.0", "1.10.0"]).await;
    delete(&app, Some("1.0.0")).await.unwrap();
    let set = Yank::Set(String::new());
    app.registry.yank_version(&operator(), "FOO-x", "1.9.0", &set).await.unwrap();
    let details = app.registry.show_package("foo-X").await.unwrap();
    assert_eq!((details.name.as_str(), details.latest.as_deref()), ("Foo-x", Some("1.10.0")));
    assert_eq!(details.facts, [("owners", "alice".to_owned())]);
    let states: Vec<_> = details.versions.iter().map(|v| (v.version.as_str(), &v.state)).collect();
    let VersionState::Deleted(Some(_)) = states[2].1 else { panic!("{states:?}") };
    assert_eq!(
        states[..2],
        [("1.10.0", &VersionState::Live), ("1.9.0", &VersionState::Yanked(String::new()))]
    );
    assert!(details.versions[0].bytes.unwrap() > 0 && details.versions[0].published.is_some());
    assert!(details.versions.iter().all(|v| v.digest.as_ref().unwrap().starts_with("sha256:")));
    for (name, usage) in [("foo_x", false), ("none", false), ("no name", true)] {
        let error = app.registry.show_package(name).await.unwrap_err();
        assert_eq!(error.is_usage(), usage, "{error}");
    }
}

#[tokio::test]
async fn a_yank_is_seen_in_the_index_and_can_be_undone() {
    let app = app(&["1.0.0"]).await;
    let yank = async |version: &str, yank: Yank| {
        app.registry.yank_version(&operator(), "foo-x", version, &yank).await
    };
    let yanked = async || app.get("/fo/o-/foo-x").await.lines()[0]["yanked"].clone();
    yank("1.0.0", Yank::Set(String::new())).await.unwrap();
    yank("1.0.0", Yank::Set(String::new())).await.unwrap();
    assert_eq!(yanked().await, true);
    yank("1.0.0", Yank::Undo).await.unwrap();
    assert_eq!(yanked().await, false);
    let before = app.keys().await;
    let error = yank("1.0.0", Yank::Set("broken".to_owned())).await.unwrap_err();
    assert!(error.is_usage() && error.to_string().contains("reason"), "{error}");
    assert!(matches!(yank("2.0.0", Yank::Undo).await, Err(AdministrationError::NotFound(_))));
    assert!(matches!(yank("two", Yank::Undo).await, Err(AdministrationError::Invalid(_))));
    assert_eq!(yanked().await, false);
    assert_eq!(app.keys().await, before);
}

#[tokio::test]
async fn a_forgotten_version_can_be_published_again() {
    let app = app(&["1.0.0", "1.1.0"]).await;
    let refused = forget(&app, Some("1.1.0")).await.unwrap_err();
    assert!(matches!(&refused, AdministrationError::Refused(text) if text.contains("delete it first")));
    delete(&app, Some("1.1.0")).await.unwrap();
    app.get("/api/v1/crates/foo-x/1.1.0/download").await.expect(404);
    app.put(Upload::new("Foo-x", "1.1.0").bytes()).await.expect(409);
    assert!(matches!(forget(&app, Some("1.2.0")).await, Err(AdministrationError::NotFound(_))));
    assert!(matches!(forget(&app, None).await, Err(AdministrationError::Refused(_))));
    assert_eq!(app.get("/fo/o-/foo-x").await.lines().len(), 1);
    // Its number is what was used, whatever stood behind the plus.
    forget(&app, Some("1.1.0+other")).await.unwrap();
    assert!(matches!(forget(&app, Some("1.1.0")).await, Err(AdministrationError::NotFound(_))));
    let again = Upload::with("Foo-x", "1.1.0", "links = 'again'", serde_json::json!([]));
    app.put(again.bytes()).await.expect(200);
    assert_eq!(app.get("/api/v1/crates/foo-x/1.1.0/download").await.expect(200).body, again.krate);
}

#[tokio::test]
async fn a_forgotten_crate_is_as_if_it_had_never_been() {
    let app = app(&["1.0.0"]).await;
    delete(&app, None).await.unwrap();
    app.get("/fo/o-/foo-x").await.expect(404);
    assert_eq!(app.get("/api/v1/crates?q=foo").await.json()["meta"]["total"], 0);
    // The name stays, in its spelling.
    app.put(Upload::new("foo_x", "2.0.0").bytes()).await.expect(409);
    app.registry.show_package("foo-x").await.unwrap();
    forget(&app, None).await.unwrap();
    assert!(matches!(app.registry.show_package("foo-x").await, Err(AdministrationError::NotFound(_))));
    for version in [None, Some("1.0.0")] {
        assert!(matches!(forget(&app, version).await, Err(AdministrationError::NotFound(_))));
    }
    app.publish("foo_x", "1.0.0").await;
    let details = app.registry.show_package("foo_x").await.unwrap();
    assert_eq!((details.name.as_str(), details.versions.len()), ("foo_x", 1));
    assert_eq!(app.get("/api/v1/crates?q=foo").await.json()["crates"][0]["name"], "foo_x");
    app.put(Upload::new("Foo-x", "2.0.0").bytes()).await.expect(409);
}

#[tokio::test]
async fn a_version_is_forgotten_without_the_name() {
    let app = app(&["1.0.0"]).await;
    delete(&app, Some("1.0.0")).await.unwrap();
    forget(&app, Some("1.0.0")).await.unwrap();
    app.put(Upload::new("foo_x", "1.0.0").bytes()).await.expect(409);
    app.publish("Foo-x", "1.0.0").await;
}

#[tokio::test]
async fn hooks_are_asked_and_told() {
    let recorder = Recorder::new();
    let mut setup = Setup::new();
    setup.options.hooks = recorder.hooks();
    let app = setup.build();
    app.publish("Foo-x", "1.0.0").await;
    recorder.refuse(Some("not today"));
    let before = app.objects().await;
    for result in [delete(&app, Some("1.0.0")).await, delete(&app, None).await, forget(&app, None).await] {
        assert_eq!(result.unwrap_err().to_string(), "not today");
    }
    assert_eq!(app.objects().await, before);
    recorder.refuse(None);
    delete(&app, Some("1.0.0")).await.unwrap();
    forget(&app, None).await.unwrap();
    let done = recorder.done();
    assert_eq!(done[done.len() - 2..], ["delete foo-x 1.0.0 operator", "delete foo-x - operator"]);
}
