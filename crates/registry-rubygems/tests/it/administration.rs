//! What an operator does past the protocol, and what clients see of it.

use std::time::Duration;

use registry_core::{
    Actor, Administration as _,
    administration::{AdministrationError, VersionState, Yank},
};

use crate::app::{App, Build, Client, Setup};

fn operator() -> Actor {
    Actor::user("operator")
}

/// What clients may not do, the operator may.
async fn filled() -> App {
    let mut setup = Setup::new();
    setup.config.yank = false;
    let app = setup.build();
    for gem in
        [Build::new("Foo", "1.9"), Build::new("Foo", "1.10"), Build::new("Foo", "1.10").platform("java")]
    {
        app.push(&gem).await;
    }
    app
}

async fn yank(app: &App, version: &str, yank: Yank) -> Result<(), AdministrationError> {
    app.registry.yank_version(&operator(), "Foo", version, &yank).await
}

async fn delete(app: &App, version: Option<&str>) -> Result<(), AdministrationError> {
    app.registry.delete_package(&operator(), "Foo", version).await
}

async fn forget(app: &App, version: Option<&str>) -> Result<(), AdministrationError> {
    app.registry.forget_package(&operator(), "Foo", version).await
}

#[tokio::test]
async fn a_gem_is_shown_with_all_that_became_of_its_versions() {
    let app = filled().await;
    yank(&app, "1.9", Yank::Set(String::new())).await.unwrap();
    delete(&app, Some("1.10-java")).await.unwrap();
    let details = app.registry.show_package("Foo").await.unwrap();
    assert_eq!((details.name.as_str(), details.latest.as_deref()), ("Foo", Some("1.10")));
    assert_eq!(details.facts, [("owners", "alice".to_owned())]);
    let states: Vec<_> = details.versions.iter().map(|v| (v.version.as_str(), v.state.clone())).collect();
    assert_eq!(
        states,
        [
            ("1.10-java", VersionState::Deleted(Some(app.now()))),
            ("1.10", VersionState::Live),
            ("1.9", VersionState::Yanked(String::new())),
        ]
    );
    assert!(details.versions[1].bytes.unwrap() > 0 && details.versions[1].digest.is_some());
    for (name, usage) in [("none", false), ("foo", false), ("-", true)] {
        assert_eq!(app.registry.show_package(name).await.unwrap_err().is_usage(), usage, "{name}");
    }
    app.check_index().await;
}

#[tokio::test]
async fn yanks_are_set_and_undone_and_done_is_done() {
    let app = filled().await;
    for _ in 0..2 {
        yank(&app, "1.10-java", Yank::Set(String::new())).await.unwrap();
        app.get("/gems/Foo-1.10-java.gem").await.expect(404);
        app.check_index().await;
    }
    for _ in 0..2 {
        yank(&app, "1.10-java", Yank::Undo).await.unwrap();
        app.get("/gems/Foo-1.10-java.gem").await.expect(200);
        app.check_index().await;
    }
    assert!(yank(&app, "1.9", Yank::Set("broken".to_owned())).await.unwrap_err().is_usage());
    assert!(yank(&app, "x", Yank::Undo).await.unwrap_err().is_usage());
    for undo in [Yank::Undo, Yank::Set(String::new())] {
        assert!(!yank(&app, "9.9", undo).await.unwrap_err().is_usage());
    }
}

#[tokio::test]
async fn what_is_deleted_stays_used_until_it_is_forgotten() {
    let app = filled().await;
    let gem = Build::new("Foo", "1.10");
    assert!(forget(&app, Some("1.10")).await.unwrap_err().to_string().contains("delete it first"));
    delete(&app, Some("1.10")).await.unwrap();
    app.refused(gem.bytes(), 409, "A yanked version").await;
    assert!(yank(&app, "1.10", Yank::Undo).await.is_err());
    assert!(delete(&app, Some("1.10")).await.is_err());
    // Its bytes go with the first collection after its grace.
    let later = app.now() + Duration::from_hours(25);
    assert_eq!(app.collect(later, Duration::from_hours(24), false).await, 1);
    assert!(forget(&app, None).await.unwrap_err().to_string().contains("2 versions"));
    forget(&app, Some("1.10")).await.unwrap();
    assert!(forget(&app, Some("1.10")).await.is_err());
    app.push(&gem).await;
    app.check_index().await;
    assert_eq!(app.faults().await, [""; 0]);
}

#[tokio::test]
async fn a_forgotten_name_is_free_in_any_case() {
    let app = filled().await;
    delete(&app, None).await.unwrap();
    assert!(delete(&app, None).await.is_err());
    app.refused(Build::new("foo", "1.0").bytes(), 409, "Unable to change case").await;
    forget(&app, None).await.unwrap();
    assert!(app.registry.show_package("Foo").await.is_err());
    assert!(forget(&app, None).await.is_err());
    let gem = Build::new("foo", "1.0");
    app.post(gem.bytes(), "writer-token").await.expect(200);
    let owners = app.get("/api/v1/gems/foo/owners.json").await.json();
    assert_eq!(owners[0]["handle"], "writer");
    app.get("/info/Foo").await.expect(404);
    assert!(app.text("/info/foo").await.contains("\n1.0 |"));
    assert_eq!(app.text("/names").await, "---\nfoo\n");
    assert_eq!(app.faults().await, [""; 0]);
}
