//! What an operator does past the protocol, and what clients see of it.

use registry_core::{
    Actor, Administration as _,
    administration::{AdministrationError, VersionState, Yank},
};

use crate::app::{App, Client as _, Configured as _, Setup};

const NAME: &str = "com.acme:lib";

fn operator() -> Actor {
    Actor::user("operator")
}

async fn app(versions: &[&str]) -> App {
    // What clients may not do, the operator may.
    let app = Setup::new().config(|config| config.allow_delete = false).build();
    for version in versions {
        app.release("com.acme", "lib", version).await;
    }
    app
}

async fn delete(app: &App, version: Option<&str>) -> Result<(), AdministrationError> {
    app.registry.delete_package(&operator(), NAME, version).await
}

async fn forget(app: &App, version: Option<&str>) -> Result<(), AdministrationError> {
    app.registry.forget_package(&operator(), NAME, version).await
}

#[tokio::test]
async fn an_artifact_is_shown_with_all_that_became_of_its_versions() {
    let app = app(&["1.9", "1.10", "2.0-SNAPSHOT", "1.0"]).await;
    delete(&app, Some("1.9")).await.unwrap();
    let details = app.registry.show_package(NAME).await.unwrap();
    assert_eq!((details.name.as_str(), details.latest.as_deref()), (NAME, Some("1.10")));
    assert_eq!(details.facts, [("packaging", "jar".to_owned())]);
    let versions: Vec<&str> = details.versions.iter().map(|version| version.version.as_str()).collect();
    assert_eq!(versions, ["2.0-SNAPSHOT", "1.10", "1.9", "1.0"]);
    assert!(matches!(details.versions[2].state, VersionState::Deleted(Some(_))));
    assert_eq!(details.versions[1].state, VersionState::Live);
    assert!(details.versions[1].bytes.unwrap() > 0 && details.versions[1].published.is_some());
    for (name, usage) in [("com.acme:none", false), ("lib", true), ("com.acme:lib:1.0", true)] {
        let error = app.registry.show_package(name).await.unwrap_err();
        assert_eq!(error.is_usage(), usage, "{error}");
    }
    let yank = Yank::Set(String::new());
    assert!(app.registry.yank_version(&operator(), NAME, "1.0", &yank).await.unwrap_err().is_usage());
}

#[tokio::test]
async fn what_is_deleted_can_be_forgotten_and_then_be_anything() {
    let app = app(&["1.0", "1.1"]).await;
    assert!(matches!(forget(&app, Some("1.0")).await, Err(AdministrationError::Refused(_))));
    assert!(matches!(forget(&app, None).await, Err(AdministrationError::Refused(_))));
    delete(&app, Some("1.0")).await.unwrap();
    assert_eq!(app.versions("/com/acme/lib").await, ["1.1"]);
    let jar = "/com/acme/lib/1.0/lib-1.0.jar";
    app.refused(app.ask("PUT", jar).token("alice-token").body("other"), 409, "was deleted").await;
    forget(&app, Some("1.0")).await.unwrap();
    assert!(matches!(forget(&app, Some("1.0")).await, Err(AdministrationError::NotFound(_))));
    app.put(jar, "other").await.expect(201);
    delete(&app, None).await.unwrap();
    app.get("/com/acme/lib/maven-metadata.xml").await.expect(404);
    assert!(matches!(delete(&app, None).await, Err(AdministrationError::NotFound(_))));
    assert!(matches!(delete(&app, Some("1.1")).await, Err(AdministrationError::NotFound(_))));
    forget(&app, None).await.unwrap();
    assert!(matches!(forget(&app, None).await, Err(AdministrationError::NotFound(_))));
    assert!(app.registry.show_package(NAME).await.is_err());
    app.put(jar, "a third").await.expect(201);
}
