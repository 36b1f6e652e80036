//! Yanking, deleting, and a project's status.

use serde_json::json;

use crate::app::{App, Client as _, Form, Setup};

async fn send(app: &App, method: &str, path: &str, body: &str, status: u16) {
    let ask = app.ask(method, path).token("alice-token").body(body.to_owned());
    ask.send().await.expect(status);
}

#[tokio::test]
async fn checklist_13_yanking_marks_and_unyanking_restores() {
    let app = Setup::new().build();
    app.upload(&Form::wheel("foo", "1.0")).await;
    app.upload(&Form::sdist("foo", "1.0", "")).await;
    let marks = async || -> Vec<serde_json::Value> {
        let page = app.page("foo").await;
        page["files"].as_array().unwrap().iter().map(|file| file["yanked"].clone()).collect()
    };
    send(&app, "POST", "/pypi/Foo/1.0.0/yank", r#"{"reason": "broken"}"#, 200).await;
    assert_eq!(marks().await, ["broken", "broken"]);
    app.get("/simple/foo/foo-1.0.tar.gz").await.expect(200);
    let info = app.get("/pypi/foo/1.0/json").await.json()["info"].clone();
    assert_eq!((&info["yanked"], &info["yanked_reason"]), (&true.into(), &"broken".into()));
    send(&app, "DELETE", "/pypi/foo/1.0/yank", "", 200).await;
    assert_eq!(marks().await, [false, false]);
    // Without a reason, and of one file only.
    send(&app, "POST", "/pypi/foo/1.0/foo-1.0.tar.gz/yank", "", 200).await;
    assert_eq!(marks().await, [json!(false), json!(true)]);
    assert!(app.get("/simple/foo/").await.text().contains("data-yanked=\"\""));
    for (path, body, status) in [
        ("/pypi/foo/2.0/yank", "", 404),
        ("/pypi/bar/1.0/yank", "", 404),
        ("/pypi/foo/1.0/x.whl/yank", "", 404),
        ("/pypi/foo/x/yank", "", 400),
        ("/pypi/foo/1.0/yank", "{", 400),
        ("/pypi/foo/1.0/yank", r#"{"reason": "a\nb"}"#, 400),
    ] {
        send(&app, "POST", path, body, status).await;
    }
    let writer = app.ask("POST", "/pypi/foo/1.0/yank").token("writer-token");
    writer.send().await.expect(200);
    app.ask("POST", "/pypi/foo/1.0/yank").token("reader-token").send().await.expect(403);
}

#[tokio::test]
async fn checklist_14_deleted_names_are_never_used_again() {
    let app = Setup::new().build();
    let form = Form::wheel("foo", "1.0");
    app.upload(&form).await;
    app.upload(&Form::sdist("foo", "1.0", "")).await;
    send(&app, "DELETE", "/pypi/foo/1.0/foo-1.0-py3-none-any.whl", "", 200).await;
    app.get("/simple/foo/foo-1.0-py3-none-any.whl").await.expect(404);
    assert_eq!(app.page("foo").await["files"].as_array().unwrap().len(), 1);
    // What the release tells of itself came from the deleted file, and stays.
    app.get("/pypi/foo/1.0/json").await.expect(200);
    app.refused(&form, 400, "previously used").await;
    let writer = app.ask("DELETE", "/pypi/foo/1.0").token("writer-token");
    writer.send().await.expect(403);
    send(&app, "DELETE", "/pypi/foo/1.0", "", 200).await;
    send(&app, "DELETE", "/pypi/foo/1.0", "", 404).await;
    app.refused(&Form::sdist("foo", "1.0", ""), 400, "previously used").await;
}

#[tokio::test]
async fn checklist_52_deleted_releases_and_projects_are_gone() {
    let app = Setup::new().build();
    app.upload(&Form::wheel("foo", "1.0")).await;
    app.upload(&Form::wheel("foo", "1.1")).await;
    send(&app, "DELETE", "/pypi/foo/1.0/foo-1.0-py3-none-any.whl", "", 200).await;
    assert_eq!(app.page("foo").await["versions"], json!(["1.1"]));
    send(&app, "DELETE", "/pypi/foo", "", 200).await;
    for path in ["/simple/foo/", "/pypi/foo/json", "/simple/foo/foo-1.1-py3-none-any.whl"] {
        app.get(path).await.expect(404);
    }
    assert!(!app.get("/simple/").await.text().contains("foo"));
    send(&app, "DELETE", "/pypi/foo", "", 404).await;
    app.refused(&Form::wheel("foo", "1.1"), 400, "previously used").await;
    app.upload(&Form::wheel("foo", "1.2")).await;
    assert_eq!(app.page("foo").await["versions"], json!(["1.2"]));
    let mut setup = Setup::new();
    setup.config.delete = false;
    let app = setup.build();
    app.upload(&Form::wheel("foo", "1.0")).await;
    send(&app, "DELETE", "/pypi/foo/1.0", "", 403).await;
}

#[tokio::test]
async fn the_old_form_that_deletes() {
    let app = Setup::new().build();
    app.upload(&Form::wheel("foo", "1.0")).await;
    let form = Form { file: None, ..Form::wheel("foo", "1.0").set(":action", Some("remove_pkg")) };
    app.post(&form, "writer-token").await.expect(403);
    app.upload(&form).await;
    app.get("/pypi/foo/1.0/json").await.expect(404);
}

#[tokio::test]
async fn checklist_51_statuses() {
    let app = Setup::new().build();
    app.upload(&Form::wheel("foo", "1.0")).await;
    let file = "/simple/foo/foo-1.0-py3-none-any.whl";
    send(&app, "PUT", "/pypi/foo/status", r#"{"status": "archived", "reason": "done <b>"}"#, 200).await;
    app.get(file).await.expect(200);
    app.refused(&Form::wheel("foo", "1.1"), 403, "archived").await;
    let page = app.page("foo").await;
    assert_eq!(page["project-status"], json!({"status": "archived", "reason": "done <b>"}));
    let html = app.get("/simple/foo/").await.text();
    assert!(html.contains("<meta name=\"pypi:project-status-reason\" content=\"done &lt;b&gt;\">"), "{html}");
    send(&app, "PUT", "/pypi/foo/status", r#"{"status": "quarantined"}"#, 200).await;
    let page = app.page("foo").await;
    assert_eq!((&page["files"], &page["project-status"]["status"]), (&json!([]), &"quarantined".into()));
    app.get(file).await.expect(403);
    app.get("/pypi/foo/json").await.expect(404);
    app.refused(&Form::wheel("foo", "1.1"), 403, "quarantined").await;
    send(&app, "PUT", "/pypi/foo/status", r#"{"status": "deprecated"}"#, 200).await;
    app.upload(&Form::wheel("foo", "1.1")).await;
    send(&app, "PUT", "/pypi/foo/status", r#"{"status": "active"}"#, 200).await;
    assert!(app.page("foo").await.get("project-status").is_none());
    send(&app, "PUT", "/pypi/foo/status", r#"{"status": "odd"}"#, 400).await;
    send(&app, "PUT", "/pypi/bar/status", r#"{"status": "active"}"#, 404).await;
}
