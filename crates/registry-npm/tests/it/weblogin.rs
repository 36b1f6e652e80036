//! Logging in with a browser.

use std::time::Duration;

use serde_json::{Value, json};

use crate::app::{App, Reply, Setup};

async fn start(app: &App) -> (String, String) {
    let answer = app.ask("POST", "/-/v1/login").json(&json!({})).send().await.expect(200).json();
    let path = |key: &str| {
        let url = answer[key].as_str().unwrap();
        url.strip_prefix("http://registry.example.com/npm").unwrap().to_owned()
    };
    (path("loginUrl"), path("doneUrl"))
}

async fn grant(app: &App, path: &str, user: &str, password: &str) -> Reply {
    let form = format!("user={user}&password={}", password.replace('\'', "%27").replace(' ', "+"));
    let ask = app.ask("POST", path).header("content-type", "application/x-www-form-urlencoded");
    ask.body(form).send().await
}

#[tokio::test]
async fn checklist_12_a_login_from_start_to_token() {
    let app = Setup::new().build();
    let (login, done) = start(&app).await;
    assert!(app.keys().await.is_empty(), "nothing is stored for who only asks");
    let waiting = app.ask("GET", &done).send().await.expect(202);
    assert_eq!(waiting.json(), json!({}));
    assert!(waiting.header("retry-after").unwrap().parse::<u64>().unwrap() > 0);

    let page = app.ask("GET", &login).send().await;
    assert_eq!(page.status, 200);
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(page.header("content-security-policy").unwrap().contains("default-src 'none'"));
    let text = String::from_utf8(page.body.to_vec()).unwrap();
    assert!(text.contains("http://registry.example.com/npm") && !text.contains("<script"));
    let secret = done.rsplit('/').next().unwrap();
    assert!(!text.contains(secret) && !login.contains(secret));

    assert_eq!(grant(&app, &login, "alice", "wrong").await.status, 401);
    assert_eq!(app.ask("GET", &done).send().await.status, 202);
    assert_eq!(grant(&app, &login, "alice", "alice's password").await.status, 200);
    assert_eq!(grant(&app, &login, "alice", "alice's password").await.status, 409);
    let token = app.ask("GET", &done).send().await.expect(200).json();
    let token = token["token"].as_str().unwrap();
    let who = app.ask("GET", "/-/whoami").token(token).send().await.expect(200);
    assert_eq!(who.json()["username"], "alice");
    app.ask("GET", &done).send().await.expect(404);
}

#[tokio::test]
async fn checklist_12_a_login_ends_after_ten_minutes() {
    let app = Setup::new().build();
    let (login, done) = start(&app).await;
    app.clock.advance(Duration::from_mins(10));
    app.ask("GET", &done).send().await.expect(404);
    assert_eq!(app.ask("GET", &login).send().await.status, 404);
    assert_eq!(grant(&app, &login, "alice", "alice's password").await.status, 404);
    app.ask("GET", "/-/v1/login/done/x").send().await.expect(404);
    assert!(app.keys().await.is_empty());
}

#[tokio::test]
async fn checklist_12_a_login_can_be_off() {
    let mut setup = Setup::new();
    setup.config.web_login = false;
    let app = setup.build();
    app.ask("POST", "/-/v1/login").json(&json!({})).send().await.expect(404);
}

#[tokio::test]
async fn what_a_user_types_does_not_become_html() {
    let app = Setup::new().build();
    let (login, _) = start(&app).await;
    let page = grant(&app, &login, "%22%3E%3Cscript%3E", "x").await;
    let text = String::from_utf8(page.body.to_vec()).unwrap();
    assert!(!text.contains("<script>") && text.contains("&quot;&gt;&lt;script&gt;"), "{text}");
    assert_eq!(grant(&app, &login, "", "").await.status, 400);
}

#[tokio::test]
async fn checklist_12_the_page_can_be_framed_forged_or_kept_by_nobody() {
    let app = Setup::new().build();
    let (login, done) = start(&app).await;
    let shown = app.ask("GET", &login).send().await;
    let refused = grant(&app, &login, "alice", "wrong").await;
    let granted = grant(&app, &login, "alice", "alice's password").await;
    let over = app.ask("GET", "/-/v1/login/x").send().await;
    for (page, status) in [(&shown, 200), (&refused, 401), (&granted, 200), (&over, 404)] {
        assert_eq!(page.status, status);
        let policy = page.header("content-security-policy").unwrap();
        for rule in ["default-src 'none'", "form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'"]
        {
            assert!(policy.contains(rule), "{policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(page.header("x-frame-options"), Some("DENY"));
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(page.header("cache-control"), Some("no-store"));
        // A browser holds nothing that another site could use in its user's name.
        assert_eq!(page.header("set-cookie"), None);
        let text = String::from_utf8(page.body.to_vec()).unwrap();
        assert!(!text.contains("<script") && !text.contains(done.rsplit('/').next().unwrap()));
    }
    // Credentials of another kind grant nothing: the user's name and password stand in the form itself.
    let (login, done) = start(&app).await;
    let forged = app.ask("POST", &login).token("alice-token").body("user=alice").send().await;
    assert_eq!(forged.status, 400);
    assert_eq!(app.ask("GET", &done).send().await.status, 202);
}

#[tokio::test]
async fn checklist_12_a_host_that_is_made_up_does_not_become_html() {
    let app = Setup::new().build();
    let (login, _) = start(&app).await;
    let page = app.ask("GET", &login).host("a\"><script>x</script>").send().await;
    assert!(!String::from_utf8(page.body.to_vec()).unwrap().contains("<script"));
}

#[tokio::test]
async fn the_secret_of_a_login_cannot_be_made_from_its_page() {
    let app = Setup::new().build();
    let (login, _) = start(&app).await;
    let id = login.rsplit('/').next().unwrap();
    grant(&app, &login, "alice", "alice's password").await;
    // Whoever saw the page's address learns nothing by it.
    let reply = app.ask("GET", &format!("/-/v1/login/done/{id}")).send().await;
    assert_ne!(reply.status, 200);
    assert!(reply.json().get("token").is_none_or(Value::is_null));
}
