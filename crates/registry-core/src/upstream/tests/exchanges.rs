//! Retries, redirects, credentials, breakers.

use secrecy::SecretString;
use serde_json::json;

use super::*;
use crate::testing::Canned;

fn one() -> Canned {
    Canned::json(&json!({"v": 1}))
}

#[tokio::test]
async fn checklist_15_what_passes_is_tried_again_and_nothing_else() {
    let fake = FakeUpstream::start().await;
    fake.serve_each("/lib", [Canned::status(503), Canned::status(503), one()]);
    let bench = Bench::new(vec![config(&fake)]);
    found(bench.document("lib").await);
    assert_eq!(fake.count("/lib"), 3);
    for status in [400, 401, 404, 418, 501] {
        let path = format!("/s{status}");
        fake.serve(&path, Canned::status(status));
        let lookup = bench.document(&format!("s{status}")).await;
        assert!(!matches!(lookup, Lookup::Found(_)), "{status}");
        assert_eq!(fake.count(&path), 1, "{status}");
    }
}

#[tokio::test]
async fn checklist_17_a_long_retry_after_is_kept_to() {
    let fake = FakeUpstream::start().await;
    fake.serve("/lib", Canned::status(429).header("retry-after", "120"));
    let bench = Bench::new(vec![config(&fake)]);
    assert_eq!(failed(bench.document("lib").await), FailureKind::Cooling);
    let Lookup::Failed(failure) = bench.document("other").await else { panic!() };
    assert_eq!(failure.kind, FailureKind::Cooling);
    assert!(failure.wait.unwrap() > Duration::from_secs(118));
    assert_eq!(fake.total(), 1);
    bench.later(121);
    fake.serve("/lib", one());
    found(bench.document("lib").await);
}

#[tokio::test]
async fn checklist_17_a_short_retry_after_is_waited_out() {
    let fake = FakeUpstream::start().await;
    fake.serve_each("/lib", [Canned::status(429).header("retry-after", "1"), one()]);
    let bench = Bench::new(vec![config(&fake)]);
    let started = std::time::Instant::now();
    found(bench.document("lib").await);
    assert!(started.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn checklist_19_a_failing_upstream_is_left_alone_and_asked_again() {
    let fake = FakeUpstream::start().await;
    for at in 0..10 {
        fake.serve(&format!("/n{at}"), Canned::status(500));
    }
    let mut config = config(&fake);
    config.retries = 0;
    let bench = Bench::new(vec![config]);
    for at in 0..10 {
        let kind = failed(bench.document(&format!("n{at}")).await);
        let want = if at < 5 { FailureKind::Status(500) } else { FailureKind::BreakerOpen };
        assert_eq!(kind, want, "{at}");
    }
    assert_eq!(fake.total(), 5);
    let health = bench.services.upstreams.health();
    assert_eq!(health[0].breaker, BreakerState::Open);
    bench.later(40);
    fake.serve("/n0", one());
    fake.serve("/n1", one());
    found(bench.document("n0").await);
    found(bench.document("n1").await);
    assert_eq!(bench.services.upstreams.health()[0].breaker, BreakerState::Closed);
}

#[tokio::test]
async fn a_reload_keeps_what_is_known_of_an_unchanged_upstream() {
    let fake = FakeUpstream::start().await;
    fake.serve("/lib", Canned::status(429).header("retry-after", "120"));
    let mut bench = Bench::new(vec![config(&fake)]);
    assert_eq!(failed(bench.document("lib").await), FailureKind::Cooling);
    let reloaded = |config: UpstreamConfig| {
        let set = InstanceUpstreams { upstreams: vec![config], ..InstanceUpstreams::default() };
        Arc::new(StaticUpstreamProvider::new().with(Protocol::Npm.into(), Protocol::Npm, set))
    };
    bench.services.upstreams = bench.services.upstreams.with_provider(reloaded(config(&fake)));
    bench.upstreams = Upstreams::new(&bench.instance, &bench.services);
    assert_eq!(failed(bench.document("other").await), FailureKind::Cooling);
    assert_eq!(fake.total(), 1);
    let mut changed = config(&fake);
    changed.retries = 1;
    bench.services.upstreams = bench.services.upstreams.with_provider(reloaded(changed));
    bench.upstreams = Upstreams::new(&bench.instance, &bench.services);
    assert!(matches!(bench.document("third").await, Lookup::Absent));
}

#[tokio::test]
async fn checklist_22_credentials_stay_at_home() {
    let (fake, cdn) = (FakeUpstream::start().await, FakeUpstream::start().await);
    let auth = UpstreamAuth::Bearer { token: SecretString::from("s3cret") };
    let mut config = config(&fake).with_auth(auth);
    config.trusted_hosts = vec![cdn.url().trim_start_matches("http://").to_owned()];
    fake.serve("/lib", Canned::redirect(&format!("{}/cdn", cdn.url())).to("Bearer s3cret"));
    cdn.serve("/cdn", Canned::redirect(&format!("{}/back", fake.url())));
    fake.serve("/back", one());
    let bench = Bench::new(vec![config]);
    found(bench.document("lib").await);
    assert_eq!(cdn.seen()[0].header("authorization"), "");
    let back = fake.seen().into_iter().find(|seen| seen.path == "/back").unwrap();
    assert_eq!(back.header("authorization"), "", "not restored");
}

#[tokio::test]
async fn checklist_22_23_redirects_lead_nowhere_else() {
    let (fake, other) = (FakeUpstream::start().await, FakeUpstream::start().await);
    other.serve("/x", one());
    let bench = Bench::new(vec![config(&fake)]);
    for (name, to, want) in [
        ("port", format!("{}/x", other.url()), FailureKind::Forbidden),
        ("metadata", "http://169.254.169.254/latest".to_owned(), FailureKind::Forbidden),
        ("decimal", "http://2130706433/".to_owned(), FailureKind::Forbidden),
        (
            "named",
            format!("http://localhost:{}/x", other.url().rsplit_once(':').unwrap().1),
            FailureKind::Forbidden,
        ),
        ("loop", "/loop".to_owned(), FailureKind::Redirect),
        ("scheme", "ftp://example.com/".to_owned(), FailureKind::Forbidden),
    ] {
        fake.serve(&format!("/{name}"), Canned::redirect(&to));
        assert_eq!(failed(bench.document(name).await), want, "{name}");
    }
    assert_eq!(other.total(), 0);
    assert_eq!(fake.count("/loop"), 6);
    fake.serve("/a", Canned::redirect("/b"));
    fake.serve("/b", one());
    found(bench.document("a").await);
}

#[tokio::test]
async fn a_name_that_resolves_to_a_private_address_is_not_asked() {
    let fake = FakeUpstream::start().await;
    let port = fake.url().rsplit_once(':').unwrap().1.to_owned();
    // The same port as the upstream's, so that only the address speaks against it.
    fake.serve("/named", Canned::redirect(&format!("http://localhost:{port}/x")));
    fake.serve("/x", one());
    let bench = Bench::new(vec![config(&fake)]);
    assert_eq!(failed(bench.document("named").await), FailureKind::Forbidden);
    assert_eq!(fake.count("/x"), 0);
}

#[tokio::test]
async fn refused_credentials_are_a_failure_and_seen() {
    let fake = FakeUpstream::start().await;
    fake.serve("/lib", one().to("Bearer right"));
    let auth = UpstreamAuth::Bearer { token: SecretString::from("wrong") };
    let bench = Bench::new(vec![config(&fake).with_auth(auth)]);
    assert_eq!(failed(bench.document("lib").await), FailureKind::Credentials);
    let health = bench.services.upstreams.health();
    assert!(health[0].credentials_refused && health[0].breaker == BreakerState::Closed);
    assert!(!format!("{:?}", bench.services).contains("wrong"));
}

#[tokio::test]
async fn checklist_26_a_token_is_fetched_once_and_renewed() {
    let fake = FakeUpstream::start().await;
    let challenge = format!("Bearer realm=\"{}/token\",service=\"reg\"", fake.url());
    for at in 0..20 {
        let answer = one().to("Bearer t0ken").header("www-authenticate", &challenge);
        fake.serve(&format!("/n{at}"), answer);
    }
    let path = "/token?service=reg&scope=repository%3Alib%3Apull";
    let password = SecretString::from("pw");
    let basic = "Basic YWxpY2U6cHc=";
    fake.serve(path, Canned::json(&json!({"token": "t0ken", "expires_in": 300})).to(basic));
    let auth = UpstreamAuth::Basic { username: "alice".to_owned(), password };
    let bench = Bench::new(vec![config(&fake).with_auth(auth)]);
    let route = bench.route("x").await;
    let all = (0..20).map(|at| {
        let request = document(&format!("n{at}")).scope("repository:lib:pull");
        let route = route.clone();
        async move { found(route.document(&request).await) }
    });
    futures_util::future::join_all(all).await;
    assert_eq!(fake.count(path), 1);
    // Tokens end, and documents are asked for again.
    bench.later(661);
    let request = document("n0").scope("repository:lib:pull");
    found(route.document(&request).await);
    assert_eq!(fake.count(path), 2);
}

#[tokio::test]
async fn a_foreign_token_endpoint_gets_no_credentials() {
    let (fake, realm) = (FakeUpstream::start().await, FakeUpstream::start().await);
    let challenge = format!("Bearer realm=\"{}/token\"", realm.url());
    fake.serve("/lib", one().to("Bearer t").header("www-authenticate", &challenge));
    realm.serve("/token?scope=s", Canned::json(&json!({"token": "t"})));
    let auth = UpstreamAuth::Basic { username: "alice".to_owned(), password: SecretString::from("pw") };
    let mut config = config(&fake).with_auth(auth);
    config.retries = 0;
    let bench = Bench::new(vec![config.clone()]);
    let request = document("lib").scope("s");
    assert_eq!(failed(bench.route("lib").await.document(&request).await), FailureKind::Forbidden);
    assert_eq!(realm.total(), 0);
    config.trusted_hosts = vec!["127.0.0.1".to_owned()];
    let bench = Bench::new(vec![config]);
    found(bench.route("lib").await.document(&request).await);
    assert_eq!(realm.seen()[0].header("authorization"), "Basic YWxpY2U6cHc=", "trusted by configuration");
}

#[tokio::test]
async fn headers_are_asked_for_alone() {
    let fake = FakeUpstream::start().await;
    fake.serve("/tag", one().header("docker-content-digest", "sha256:abc"));
    let bench = Bench::new(vec![config(&fake)]);
    let route = bench.route("x").await;
    let headers = found(route.sources()[0].headers("tag", "*/*", None).await);
    assert_eq!(headers["docker-content-digest"], "sha256:abc");
    assert!(matches!(route.sources()[0].headers("none", "*/*", None).await, Lookup::Absent));
    assert_eq!(fake.seen().iter().map(|seen| seen.method.as_str()).collect::<Vec<_>>(), ["HEAD", "HEAD"]);
}

#[tokio::test]
async fn questions_are_passed_through_once_and_not_kept() {
    let fake = FakeUpstream::start().await;
    fake.serve("/-/v1/search?text=a%20b", one());
    fake.serve("/audit", Canned::json(&json!({})));
    let bench = Bench::new(vec![config(&fake)]);
    let Routing::Ask(route) = bench.upstreams.route_nameless(&Actor::anonymous()).await.unwrap() else {
        panic!()
    };
    let source = &route.sources()[0];
    let answer = found(source.forward(&Forward::get("-/v1/search?text=a%20b", "application/json")).await);
    assert_eq!(answer.body, r#"{"v":1}"#);
    let audit = Forward::post("audit", "application/json", "application/json", "{\"a\":1}");
    found(source.forward(&audit).await);
    assert_eq!((fake.seen()[1].method.as_str(), &fake.seen()[1].body[..]), ("POST", &b"{\"a\":1}"[..]));
    fake.serve("/audit", Canned::status(503));
    assert_eq!(failed(source.forward(&audit).await), FailureKind::Status(503));
    assert_eq!(fake.total(), 3, "a POST is never made again");
    assert!(bench.keys().await.is_empty());
}
