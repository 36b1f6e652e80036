//! Search.

use serde_json::json;

use crate::app::{App, Client as _, Document, Reply, Setup};

async fn app() -> App {
    let app = Setup::open().build();
    for (name, keywords) in [("hello", "greeting"), ("hello-world", "greeting"), ("world", "planet")] {
        app.publish(&Document::with(name, "1.0.0", json!({"keywords": [keywords]}))).await;
    }
    app.publish(&Document::new("@acme/hello", "1.0.0").access("public")).await;
    app.publish(&Document::new("@acme/secret-hello", "1.0.0")).await;
    app
}

fn names(reply: &Reply) -> Vec<String> {
    let objects = reply.json()["objects"].clone();
    objects.as_array().unwrap().iter().map(|o| o["package"]["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn checklist_29_search() {
    let app = app().await;
    let search =
        async |query: &str| app.ask("GET", &format!("/-/v1/search?{query}")).send().await.expect(200);
    let found = search("text=hello").await;
    assert_eq!(names(&found), ["hello", "@acme/hello", "hello-world"]);
    assert_eq!(found.json()["total"], 3);
    assert!(found.json()["time"].is_string());
    assert_eq!(names(&search("text=keywords:planet").await), ["world"]);
    assert_eq!(names(&search("text=scope:acme").await), ["@acme/hello"]);
    let page = search("text=hello&size=1&from=1").await;
    assert_eq!((names(&page), page.json()["total"].clone()), (vec!["@acme/hello".to_owned()], json!(3)));
    assert_eq!(names(&search("text=&size=1000").await).len(), 4);
    assert_eq!(names(&search("size=0").await).len(), 0);
    app.ask("GET", "/-/v1/search?size=x").send().await.expect(400);
    let package = &found.json()["objects"][1]["package"];
    assert_eq!(package["links"]["npm"], "http://registry.example.com/npm/@acme/hello");
    assert_eq!(package["maintainers"], json!([{"username": "alice", "email": ""}]));
}

#[tokio::test]
async fn checklist_29_only_what_the_reader_may_see() {
    let app = app().await;
    let all = app.ask("GET", "/-/v1/search?text=hello").token("reader-token").send().await.expect(200);
    assert!(names(&all).contains(&"@acme/secret-hello".to_owned()));
    assert_eq!(all.json()["total"], 4);
    let closed = Setup::new().build();
    closed.publish(&Document::new("hello", "1.0.0")).await;
    closed.publish(&Document::new("shared-hello", "1.0.0")).await;
    closed.ask("GET", "/-/v1/search?text=hello").send().await.expect(401);
    let bobs = closed.ask("GET", "/-/v1/search?text=hello").token("bob-token").send().await.expect(200);
    assert_eq!((names(&bobs), bobs.json()["total"].clone()), (vec!["shared-hello".to_owned()], json!(1)));
}

#[tokio::test]
async fn search_follows_every_change() {
    let app = app().await;
    let found = async |text: &str| {
        names(&app.ask("GET", &format!("/-/v1/search?text={text}")).send().await.expect(200))
    };
    let patch = json!({"versions": {"1.0.0": {"deprecated": "old"}}});
    app.ask("PUT", "/hello").token("alice-token").json(&patch).send().await.expect(201);
    assert_eq!(found("hello").await, ["@acme/hello", "hello-world", "hello"], "deprecated ones last");
    app.ask("DELETE", "/hello/-rev/undefined").token("alice-token").send().await.expect(200);
    assert_eq!(found("hello").await, ["@acme/hello", "hello-world"]);
}
