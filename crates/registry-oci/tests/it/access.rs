//! Who may do what: challenges, tokens, scopes.

use std::time::Duration;

use http::Method;
use registry_core::{Actor, Maintenance as _, auth::ScopeSet};
use serde_json::Value;

use crate::bench::*;

fn challenge(answer: &Answer) -> String {
    assert_eq!(answer.headers.get_all("www-authenticate").iter().count(), 1);
    answer.header("www-authenticate").to_owned()
}

/// Checklist 1.
#[tokio::test]
async fn the_ping_is_challenged_without_credentials() {
    for bench in [Bench::new(), Bench::anonymous(&["oci:*:*:*"])] {
        for (method, uri) in [(Method::GET, "/v2/"), (Method::GET, "/v2"), (Method::HEAD, "/v2/")] {
            let answer = bench.call(method, uri).send().await;
            assert_eq!(answer.status, 401);
            assert_eq!(
                challenge(&answer),
                r#"Bearer realm="http://registry.example.com/v2/token",service="smartregistry-oci""#
            );
            assert_eq!(answer.header("docker-distribution-api-version"), "registry/2.0");
        }
        bench.call(Method::GET, "/v2/").send().await.refused(401, "UNAUTHORIZED");
        // Empty user and password: what some clients send instead of nothing.
        bench.call(Method::GET, "/v2/").basic("", "").send().await.expect(401);
        let token = bench.token(None, &[]).await;
        let answer = bench.call(Method::GET, "/v2/").token(&token).send().await;
        answer.expect(200);
        assert_eq!(answer.json(), serde_json::json!({}));
        bench.get("/v2/").send().await.expect(200);
    }
}

/// The host's own actor is taken at its word.
#[tokio::test]
async fn an_embedding_host_vouches_for_its_actor() {
    let bench = Bench::new();
    let scopes = ScopeSet::parse(["oci:repository:x/*:pull,push"]).unwrap();
    let actor = || Actor::user("erin").with_scopes(scopes.clone());
    bench.call(Method::GET, "/v2/").actor(actor()).send().await.expect(200);
    bench.call(Method::POST, "/v2/x/y/blobs/uploads/").actor(actor()).send().await.expect(202);
    bench.call(Method::POST, "/v2/a/blobs/uploads/").actor(actor()).send().await.refused(403, "DENIED");
}

/// Checklist 10.
#[tokio::test]
async fn scopes_are_united_and_cut() {
    let bench = Bench::new();
    for scopes in [
        vec!["repository:bob/x:pull", "repository:bob/x:pull,push"],
        vec!["repository:bob/x:pull%20repository:bob/x:push"],
        vec!["repository:bob/x:pull,push,sing", "alien:z:pull"],
        vec!["repository:bob/x:pull,push", "repository:secret:pull,push,delete"],
    ] {
        let token = bench.token(Some(BOB), &scopes).await;
        bench.post("/v2/bob/x/blobs/uploads/").token(&token).send().await.expect(202);
        bench.get("/v2/bob/x/manifests/x").token(&token).send().await.refused(404, "NAME_UNKNOWN");
        bench.get("/v2/secret/manifests/x").token(&token).send().await.refused(401, "UNAUTHORIZED");
        let digest = sha256(b"x");
        bench.delete(&format!("/v2/bob/x/blobs/{digest}")).token(&token).send().await.expect(401);
    }
}

#[tokio::test]
async fn the_token_answer_has_all_that_clients_read() {
    let bench = Bench::new();
    let uri = "/v2/token?service=s&scope=repository:bob/x:push,pull&account=bob&client_id=docker&offline_token=true";
    let answer = bench.call(Method::GET, uri).basic("bob", BOB).send().await;
    answer.expect(200);
    assert_eq!(answer.header("cache-control"), "no-store");
    let body = answer.json();
    assert_eq!(body["token"], body["access_token"]);
    assert_eq!(body["expires_in"], 900);
    assert!(body["issued_at"].as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().is_ok());
    assert!(body["refresh_token"].is_string());
    let anonymous = bench.call(Method::GET, uri).send().await.json();
    assert_eq!(anonymous["refresh_token"], Value::Null);
}

/// Checklist 11.
#[tokio::test]
async fn a_wrong_password_is_never_anonymous() {
    let bench = Bench::new();
    let uri = "/v2/token?scope=repository:public/x:pull";
    bench.call(Method::GET, uri).basic("carol", "wrong").send().await.refused(401, "UNAUTHORIZED");
    bench.call(Method::GET, uri).basic("carol", "correct horse").send().await.expect(200);
    let form = "grant_type=password&username=carol&password=wrong&service=s&client_id=c&scope=";
    bench.post("/v2/token").anonymous().body(form).send().await.refused(401, "UNAUTHORIZED");
    for call in [bench.call(Method::GET, uri), bench.call(Method::GET, uri).basic("", "")] {
        let token = call.send().await.json()["token"].as_str().unwrap().to_owned();
        bench.get("/v2/public/x/tags/list").token(&token).send().await.refused(404, "NAME_UNKNOWN");
        bench.post("/v2/public/x/blobs/uploads/").token(&token).send().await.expect(401);
    }
    bench.get("/v2/public/x/tags/list").basic("carol", "wrong").send().await.expect(401);
}

/// Checklist 12.
#[tokio::test]
async fn a_token_is_good_for_what_it_names() {
    let bench = Bench::new();
    let token = bench.token(Some(ALL), &["repository:a:pull"]).await;
    let answer = bench.post("/v2/b/blobs/uploads/").token(&token).send().await;
    answer.refused(401, "UNAUTHORIZED");
    assert_eq!(
        challenge(&answer),
        r#"Bearer realm="http://registry.example.com/v2/token",service="smartregistry-oci",scope="repository:b:pull,push",error="insufficient_scope""#
    );
    bench.clock.advance(Duration::from_secs(1100));
    let answer = bench.get("/v2/a/tags/list").token(&token).send().await;
    answer.refused(401, "UNAUTHORIZED");
    assert!(challenge(&answer).ends_with(r#"scope="repository:a:pull",error="invalid_token""#));
    bench.get("/v2/").token(&token).send().await.expect(401);
    let mut forged: Vec<&str> = token.split('.').collect();
    // {"alg":"none"}
    forged[0] = "eyJhbGciOiJub25lIn0";
    for forged in
        [forged.join("."), format!("{}.{}.", forged[0], forged[1]), "eyJ.x.y".into(), "nonsense".into()]
    {
        let answer = bench.get("/v2/a/tags/list").token(&forged).send().await;
        answer.expect(401);
        assert!(challenge(&answer).contains("invalid_token"), "{forged}");
    }
}

/// Checklist 12: a token of one instance is nothing to another.
#[tokio::test]
async fn a_token_is_for_its_audience() {
    let bench = Bench::new();
    let other = Bench::configured(serde_json::json!({"service": "elsewhere"}));
    let token = other.token(None, &[]).await;
    bench.get("/v2/").token(&token).send().await.expect(401);
}

/// Checklist 49.
#[tokio::test]
async fn anonymous_pulls_public_and_pushes_nothing() {
    let bench = Bench::new();
    let (digest, _) = bench.image("public/x", "v1", "x").await;
    bench.call(Method::GET, "/v2/public/x/manifests/v1").send().await.expect(200);
    let token = bench.token(None, &["repository:public/x:pull,push"]).await;
    bench.get("/v2/public/x/manifests/v1").token(&token).send().await.expect(200);
    let push = bench.call(Method::POST, "/v2/public/x/blobs/uploads/").send().await;
    push.refused(401, "UNAUTHORIZED");
    assert!(challenge(&push).contains(r#"scope="repository:public/x:pull,push""#));
    let delete = bench.call(Method::DELETE, &format!("/v2/public/x/manifests/{digest}")).send().await;
    assert!(challenge(&delete).contains(r#"scope="repository:public/x:delete""#));
    let mount = format!("/v2/public/x/blobs/uploads/?mount={digest}&from=a");
    let mount = bench.call(Method::POST, &mount).send().await;
    assert!(challenge(&mount).contains(r#"scope="repository:public/x:pull,push repository:a:pull""#));
}

/// Existence is hidden from who may not pull.
#[tokio::test]
async fn existence_is_hidden() {
    let bench = Bench::new();
    bench.image("secret", "v1", "x").await;
    for method in [Method::GET, Method::HEAD] {
        let mut seen = Vec::new();
        for uri in ["/v2/secret/manifests/v1", "/v2/nothing/manifests/v1"] {
            seen.push(bench.call(method.clone(), uri).token(BOB).send().await.status);
            seen.push(bench.call(method.clone(), uri).send().await.status);
        }
        assert_eq!(seen, [403, 401, 403, 401]);
    }
}

/// Checklist 58.
#[tokio::test]
async fn a_new_repository_is_404_to_who_may_push() {
    let bench = Bench::new();
    let digest = sha256(b"x");
    let token = bench.token(Some(BOB), &["repository:bob/new:pull", "repository:bob/new:pull,push"]).await;
    for credential in [token.as_str(), BOB] {
        let uri = format!("/v2/bob/new/manifests/{digest}");
        bench.head(&uri).token(credential).send().await.expect(404);
    }
}

/// Checklist 57.
#[tokio::test]
async fn refresh_tokens() {
    let bench = Bench::new();
    let uri = "/v2/token?offline_token=true&account=carol&client_id=docker";
    let login = bench.call(Method::GET, uri).basic("carol", "correct horse").send().await;
    let refresh = login.json()["refresh_token"].as_str().unwrap().to_owned();
    bench.get("/v2/").token(login.json()["token"].as_str().unwrap()).send().await.expect(200);
    let exchange = |scope: &str| {
        let form = format!(
            "grant_type=refresh_token&service=s&client_id=docker&access_type=offline&refresh_token={refresh}&scope={scope}"
        );
        bench.post("/v2/token").anonymous().body(form)
    };
    let narrow = exchange("repository:carol/x:pull").send().await;
    narrow.expect(200);
    let token = narrow.json()["access_token"].as_str().unwrap().to_owned();
    bench.get("/v2/carol/x/tags/list").token(&token).send().await.expect(404);
    bench.post("/v2/carol/x/blobs/uploads/").token(&token).send().await.expect(401);
    let wide = exchange("repository:carol/x:pull,push repository:secret:pull").send().await.json();
    assert_eq!(wide["scope"], "repository:carol/x:pull,push");
    bench.revoke(&refresh).await;
    exchange("repository:carol/x:pull").send().await.refused(401, "UNAUTHORIZED");
    bench
        .post("/v2/token")
        .anonymous()
        .body("grant_type=refresh_token")
        .send()
        .await
        .refused(400, "UNSUPPORTED");
    bench.post("/v2/token").anonymous().body("grant_type=magic").send().await.refused(400, "UNSUPPORTED");
}

/// containerd asks by form.
#[tokio::test]
async fn the_password_grant() {
    let bench = Bench::new();
    let form = "grant_type=password&client_id=containerd-client&service=s&username=carol&password=correct+horse&scope=repository%3Acarol%2Fx%3Apull%2Cpush+repository%3Acarol%2Fx%3Apull";
    let answer = bench.post("/v2/token").anonymous().body(form).send().await;
    answer.expect(200);
    assert_eq!(answer.json()["scope"], "repository:carol/x:pull,push");
    let anonymous =
        bench.post("/v2/token").anonymous().body("grant_type=password&username=&password=").send().await;
    anonymous.expect(200);
    let large = bench.post("/v2/token").body(vec![b'a'; 70_000]).send().await;
    large.expect(413);
}

/// Every style of credentials does.
#[tokio::test]
async fn tokens_in_every_style() {
    let bench = Bench::new();
    for call in [
        bench.get("/v2/").token(BOB),
        bench.get("/v2/").basic("bob", BOB),
        bench.get("/v2/").basic("anything", BOB),
        bench.get("/v2/").basic(BOB, ""),
        bench.get("/v2/").basic("carol", "correct horse"),
    ] {
        call.send().await.expect(200);
    }
}

/// Checklist 50.
#[tokio::test]
async fn the_catalog_shows_what_may_be_pulled() {
    let bench = Bench::new();
    for name in ["a", "bob/x", "bob/y", "public/p", "secret"] {
        bench.image(name, "v1", name).await;
    }
    let listed = |answer: Answer| -> Vec<String> {
        answer.expect(200);
        serde_json::from_value(answer.json()["repositories"].clone()).unwrap()
    };
    assert_eq!(listed(bench.get("/v2/_catalog").send().await), ["a", "bob/x", "bob/y", "public/p", "secret"]);
    assert_eq!(
        listed(bench.get("/v2/_catalog").token(BOB).send().await),
        ["a", "bob/x", "bob/y", "public/p"]
    );
    let token = bench.token(Some(BOB), &["registry:catalog:*"]).await;
    assert_eq!(
        listed(bench.get("/v2/_catalog").token(&token).send().await),
        ["a", "bob/x", "bob/y", "public/p"]
    );
    let page = bench.get("/v2/_catalog?n=2").token(&token).send().await;
    assert_eq!(page.header("link"), "</v2/_catalog?n=2&last=bob%2Fx>; rel=\"next\"");
    assert_eq!(listed(page), ["a", "bob/x"]);
    let rest = bench.get("/v2/_catalog?n=2&last=bob/x").token(&token).send().await;
    assert_eq!(rest.header("link"), "");
    assert_eq!(listed(rest), ["bob/y", "public/p"]);
    let without = bench.token(Some(BOB), &["repository:a:pull"]).await;
    let refused = bench.get("/v2/_catalog").token(&without).send().await;
    refused.refused(401, "UNAUTHORIZED");
    assert!(challenge(&refused).contains(r#"scope="registry:catalog:*""#));
    let private = Bench::anonymous(&[]);
    private.call(Method::GET, "/v2/_catalog").send().await.refused(401, "UNAUTHORIZED");
    private.get("/v2/_catalog?n=x").send().await.refused(400, "PAGINATION_NUMBER_INVALID");
}

#[tokio::test]
async fn the_catalog_can_be_rebuilt() {
    let bench = Bench::new();
    bench.image("team/app/web", "v1", "x").await;
    let (gone, _) = bench.image("gone", "v1", "x").await;
    bench.delete(&format!("/v2/gone/manifests/{gone}")).send().await.expect(202);
    let fresh = Bench::over(bench.storage.clone(), registry_oci::OciConfig::default(), &[]);
    assert_eq!(fresh.get("/v2/_catalog").send().await.json()["repositories"], serde_json::json!([]));
    fresh.registry.rebuild_catalog().await.unwrap();
    let list = fresh.get("/v2/_catalog").send().await.json();
    assert_eq!(list["repositories"], serde_json::json!(["team/app/web"]));
}

/// Checklist 54.
#[tokio::test]
async fn guessing_is_slowed_down() {
    let bench = Bench::new();
    let mut last = None;
    for _ in 0..40 {
        let answer = bench.call(Method::GET, "/v2/token").basic("carol", "wrong").send().await;
        if answer.status == 429 {
            last = Some(answer);
            break;
        }
    }
    let answer = last.expect("40 wrong passwords in a row are too many");
    answer.refused(429, "TOOMANYREQUESTS");
    assert!(answer.header("retry-after").parse::<u64>().unwrap() >= 1);
}

#[tokio::test]
async fn extensions_are_none() {
    let bench = Bench::new();
    let answer = bench.get("/v2/_oci/ext/discover").send().await;
    assert_eq!(answer.json(), serde_json::json!({"extensions": []}));
    bench.get("/v2/_other").send().await.refused(404, "NAME_UNKNOWN");
}
