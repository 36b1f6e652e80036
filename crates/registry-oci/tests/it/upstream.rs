//! A registry in front of other ones.

use std::time::Duration;

use futures_util::future::join_all;
use registry_core::{
    Instance, Protocol, Services,
    storage::{Digests, WantedDigests},
    testing::{self, Canned, FakeUpstream, Subject},
    upstream::{Rule, RuleAction},
};
use registry_oci::{OciConfig, OciRegistry};
use serde_json::{Value, json};

use registry_core::testing::Reply;

#[derive(Debug)]
struct Oci;

type App = testing::App<Oci>;
type Setup = testing::Setup<Oci>;

impl Subject for Oci {
    type Registry = OciRegistry;
    type Config = OciConfig;
    const PROTOCOL: Protocol = Protocol::Oci;
    const BASES: &'static [&'static str] = &["/v2"];
    const PREFIX: &'static str = "/v2";
    const BOB: &'static [&'static str] = &["oci:repository:bob/*:*"];

    fn config() -> OciConfig {
        OciConfig::default()
    }

    fn registry(instance: Instance, services: Services, config: OciConfig) -> OciRegistry {
        OciRegistry::new(instance, services, config)
    }

    fn sentence(reply: &Reply) -> String {
        reply.json()["errors"][0]["message"].as_str().unwrap().to_owned()
    }
}

const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", Digests::of(bytes, WantedDigests::default()).sha256)
}

fn layer(of: &str) -> Vec<u8> {
    format!("a layer of {of}").repeat(1000).into_bytes()
}

fn config(created: &str) -> Vec<u8> {
    json!({"architecture": "amd64", "created": created}).to_string().into_bytes()
}

fn image(of: &str, created: &str) -> Vec<u8> {
    let (config, layer) = (config(created), layer(of));
    json!({
        "schemaVersion": 2, "mediaType": IMAGE,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(&config), "size": config.len()},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": digest(&layer), "size": layer.len()}],
    })
    .to_string()
    .into_bytes()
}

/// A manifest under its digest, with the header that registries send.
fn put_manifest(fake: &FakeUpstream, repository: &str, of: &str, bytes: &[u8], kind: &str) {
    let canned = Canned::ok(bytes.to_vec()).header("content-type", kind);
    let canned = canned.header("docker-content-digest", &digest(bytes));
    fake.serve(&format!("/v2/{repository}/manifests/{}", digest(bytes)), canned.clone());
    fake.serve(&format!("/v2/{repository}/manifests/{of}"), canned);
}

fn put_blob(fake: &FakeUpstream, repository: &str, bytes: &[u8]) {
    fake.serve(&format!("/v2/{repository}/blobs/{}", digest(bytes)), Canned::ok(bytes.to_vec()));
}

/// The repository `theirs/app` with an index of two platforms at `v1`.
fn put_on(fake: &FakeUpstream, repository: &str) -> Vec<u8> {
    let images: Vec<Vec<u8>> =
        ["amd64", "arm64"].iter().map(|of| image(of, "2026-01-01T00:00:00Z")).collect();
    let manifests: Vec<Value> = images
        .iter()
        .map(|image| json!({"mediaType": IMAGE, "digest": digest(image), "size": image.len()}))
        .collect();
    let index =
        json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}).to_string().into_bytes();
    put_manifest(fake, repository, "v1", &index, INDEX);
    for (image, of) in images.iter().zip(["amd64", "arm64"]) {
        put_manifest(fake, repository, of, image, IMAGE);
        put_blob(fake, repository, &layer(of));
    }
    put_blob(fake, repository, &config("2026-01-01T00:00:00Z"));
    fake.serve(
        &format!("/v2/{repository}/tags/list?n=1000"),
        Canned::json(&json!({"name": repository, "tags": ["v1", "old"]})),
    );
    index
}

fn setup(fake: &FakeUpstream) -> Setup {
    Setup::new().upstream_with(&fake.url(), |config| config.retries = 0)
}

async fn get(app: &App, path: &str) -> Reply {
    app.ask("GET", path).token("alice-token").send().await
}

#[tokio::test]
async fn an_image_of_another_registry_is_pulled_also_when_that_is_down() {
    let fake = FakeUpstream::start().await;
    let index = put_on(&fake, "theirs/app");
    let app = setup(&fake).build();
    let image = image("amd64", "2026-01-01T00:00:00Z");
    let check = async || {
        let head = app.ask("HEAD", "/theirs/app/manifests/v1").token("alice-token").send().await.expect(200);
        assert_eq!(head.header("docker-content-digest"), Some(digest(&index).as_str()));
        assert_eq!(head.header("content-type"), Some(INDEX));
        for (path, bytes, kind) in [
            ("manifests/v1".to_owned(), &index, INDEX),
            (format!("manifests/{}", digest(&index)), &index, INDEX),
            (format!("manifests/{}", digest(&image)), &image, IMAGE),
            (
                format!("blobs/{}", digest(&config("2026-01-01T00:00:00Z"))),
                &config("2026-01-01T00:00:00Z"),
                "application/octet-stream",
            ),
            (format!("blobs/{}", digest(&layer("amd64"))), &layer("amd64"), "application/octet-stream"),
        ] {
            let found = get(&app, &format!("/theirs/app/{path}")).await.expect(200);
            assert_eq!((&found.body[..], found.header("content-type")), (&bytes[..], Some(kind)), "{path}");
            assert_eq!(found.header("docker-content-digest"), Some(digest(bytes).as_str()), "{path}");
        }
        let tags = get(&app, "/theirs/app/tags/list").await.expect(200).json();
        assert_eq!(tags, json!({"name": "theirs/app", "tags": ["old", "v1"]}));
    };
    check().await;
    // checklist 43: the other platform is not asked for, and what the tag named is not asked for again by its digest.
    assert_eq!(fake.total(), 5, "{:?}", fake.seen());
    app.settled(8).await;
    fake.stop().await;
    check().await;
    app.clock.advance(Duration::from_hours(24));
    let stale = get(&app, "/theirs/app/manifests/v1").await.expect(200);
    assert_eq!(stale.header("warning"), Some("111 smartregistry \"Revalidation Failed\""));
    get(&app, &format!("/theirs/app/blobs/{}", digest(&layer("amd64")))).await.expect(200);
    // What is not here cannot be had, and that is no 404.
    get(&app, &format!("/theirs/app/blobs/{}", digest(&layer("arm64")))).await.expect(502);
    get(&app, "/theirs/other/manifests/v1").await.expect(502);
}

#[tokio::test]
async fn what_a_digest_names_is_kept_for_ever_whatever_is_said_of_tags() {
    let fake = FakeUpstream::start().await;
    let image = image("amd64", "2026-01-01T00:00:00Z");
    let canned =
        Canned::ok(image.clone()).header("content-type", IMAGE).header("cache-control", "max-age=60");
    fake.serve("/v2/theirs/app/manifests/v1", canned.clone());
    fake.serve(&format!("/v2/theirs/app/manifests/{}", digest(&image)), canned);
    let app = Setup::new()
        .upstream_with(&fake.url(), |config| {
            config.retries = 0;
            config.ttl = Some(Duration::from_secs(30));
        })
        .build();
    get(&app, "/theirs/app/manifests/v1").await.expect(200);
    fake.stop().await;
    app.clock.advance(Duration::from_hours(24 * 30));
    get(&app, "/theirs/app/manifests/v1").await.expect(502);
    let kept = get(&app, &format!("/theirs/app/manifests/{}", digest(&image))).await.expect(200);
    assert_eq!(kept.body, image);
    assert_eq!(kept.header("warning"), None);
}

#[tokio::test]
async fn a_tag_is_confirmed_by_a_head_and_asked_for_when_it_moved() {
    let fake = FakeUpstream::start().await;
    put_on(&fake, "theirs/app");
    let app = setup(&fake).build();
    get(&app, "/theirs/app/manifests/v1").await.expect(200);
    app.clock.advance(Duration::from_hours(1));
    let again = get(&app, "/theirs/app/manifests/v1").await.expect(200);
    assert!(again.header("cache-status").unwrap().contains("fwd-status=304"));
    let methods = |fake: &FakeUpstream| -> Vec<String> {
        fake.seen().iter().filter(|seen| seen.path.ends_with("/v1")).map(|seen| seen.method.clone()).collect()
    };
    assert_eq!(methods(&fake), ["GET", "HEAD"]);
    let moved = image("moved", "2026-01-01T00:00:00Z");
    put_manifest(&fake, "theirs/app", "v1", &moved, IMAGE);
    app.clock.advance(Duration::from_hours(1));
    assert_eq!(get(&app, "/theirs/app/manifests/v1").await.expect(200).body, moved);
    assert_eq!(methods(&fake), ["GET", "HEAD", "HEAD", "GET"]);
    // 429 stops the calls for as long as it says, and the copy is served.
    fake.serve("/v2/theirs/app/manifests/v1", Canned::status(429).header("retry-after", "120"));
    app.clock.advance(Duration::from_hours(1));
    get(&app, "/theirs/app/manifests/v1").await.expect(200);
    let asked = fake.total();
    get(&app, "/theirs/app/manifests/v1").await.expect(200);
    let refused = get(&app, "/theirs/app/manifests/other").await.expect(503);
    assert!(refused.header("retry-after").is_some());
    assert_eq!(fake.total(), asked);
}

#[tokio::test]
async fn hosted_and_reserved_repositories_are_asked_of_nobody() {
    let fake = FakeUpstream::start().await;
    let mut setup = setup(&fake);
    setup.upstreams.rules.reserved = vec!["acme/*".to_owned()];
    let app = setup.build();
    // The first push of a new name asks whether it is taken.
    push(&app, "own/app", "ours").await;
    let before = fake.total();
    for name in ["own/app", "acme/secret"] {
        put_on(&fake, name);
        for path in [
            "manifests/v1".to_owned(),
            format!("manifests/{}", digest(b"x")),
            format!("blobs/{}", digest(&layer("amd64"))),
        ] {
            get(&app, &format!("/{name}/{path}")).await.expect(404);
            app.ask("HEAD", &format!("/{name}/{path}")).token("alice-token").send().await.expect(404);
        }
        get(&app, &format!("/{name}/referrers/{}", digest(b"x"))).await.expect(200);
    }
    assert_eq!(get(&app, "/own/app/tags/list").await.expect(200).json()["tags"], json!(["ours"]));
    get(&app, "/acme/secret/tags/list").await.expect(404);
    get(&app, "/_catalog").await.expect(200);
    push(&app, "acme/new", "ours").await;
    assert_eq!(fake.total(), before, "{:?}", fake.seen());
}

/// Pushes an empty index.
async fn push(app: &App, name: &str, tag: &str) -> Reply {
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": []}).to_string();
    let ask = app.ask("PUT", &format!("/{name}/manifests/{tag}")).token("alice-token");
    ask.header("content-type", INDEX).body(index).send().await.expect(201)
}

#[tokio::test]
async fn not_there_refused_failing_and_other_things_are_told_apart() {
    let fake = FakeUpstream::start().await;
    let app = setup(&fake).build();
    get(&app, "/none/app/manifests/v1").await.expect(404);
    get(&app, "/none/app/manifests/v1").await.expect(404);
    assert_eq!(fake.total(), 1, "that it is not there is remembered");
    // Many registries refuse what they do not have; their challenge is not for our clients.
    fake.serve("/v2/denied/app/manifests/v1", Canned::status(403));
    let denied = get(&app, "/denied/app/manifests/v1").await.expect(404);
    assert_eq!(denied.header("www-authenticate"), None);
    fake.serve("/v2/broken/app/manifests/v1", Canned::status(500));
    let broken = get(&app, "/broken/app/manifests/v1").await.expect(502);
    assert_eq!(broken.json()["errors"][0]["code"], "UNAVAILABLE");
    fake.serve("/v2/portal/app/manifests/v1", Canned::ok("<html>Log in</html>"));
    assert!(
        get(&app, "/portal/app/manifests/v1").await.expect(502).error().contains("a manifest of it is none")
    );
    let lying = Canned::ok(image("x", "")).header("docker-content-digest", &digest(b"other"));
    fake.serve("/v2/lying/app/manifests/v1", lying);
    assert!(
        get(&app, "/lying/app/manifests/v1").await.expect(502).error().contains("not those of their digest")
    );
}

#[tokio::test]
async fn other_bytes_have_no_clean_end_and_are_not_kept() {
    let fake = FakeUpstream::start().await;
    put_on(&fake, "theirs/app");
    let (wrong, cut) = (layer("amd64"), layer("arm64"));
    fake.serve(&format!("/v2/theirs/app/blobs/{}", digest(&wrong)), Canned::ok("x".repeat(wrong.len())));
    fake.serve(&format!("/v2/theirs/app/blobs/{}", digest(&cut)), Canned::ok(cut.clone()).cut_after(5000));
    let app = setup(&fake).build();
    for bytes in [&wrong, &cut] {
        let request = http::Request::get(format!("/v2/theirs/app/blobs/{}", digest(bytes)));
        let request =
            request.header("authorization", "Bearer alice-token").body(registry_core::Body::empty());
        let response = registry_core::PackageRegistry::handle(&app.registry, request.unwrap()).await;
        assert_eq!(response.status(), 200);
        assert!(http_body_util::BodyExt::collect(response.into_body()).await.is_err());
    }
    assert!(!app.keys().await.iter().any(|key| key.contains("_artifact")), "{:?}", app.keys().await);
}

#[tokio::test]
async fn many_clients_make_one_request_ranges_work_and_no_credentials_pass() {
    let fake = FakeUpstream::start().await;
    put_on(&fake, "theirs/app");
    let bytes = layer("amd64");
    let path = format!("/theirs/app/blobs/{}", digest(&bytes));
    fake.serve(&format!("/v2{path}"), Canned::ok(bytes.clone()).after(Duration::from_millis(50)));
    let app = setup(&fake).build();
    let head = app.ask("HEAD", &path).token("alice-token").send().await.expect(200);
    assert_eq!(head.header("content-length"), Some(bytes.len().to_string().as_str()));
    let part = app.ask("GET", &path).token("alice-token").header("range", "bytes=10-19");
    let (all, part) = tokio::join!(join_all((0..100).map(|_| get(&app, &path))), part.send());
    for reply in all {
        assert_eq!(reply.expect(200).body, bytes);
    }
    assert_eq!(part.expect(206).body, bytes[10..20]);
    assert_eq!(fake.total(), 2, "a HEAD and a GET: {:?}", fake.seen());
    assert!(fake.seen().iter().all(|seen| seen.header("authorization").is_empty()));
    let past =
        app.ask("GET", &path).token("alice-token").header("range", "bytes=999999-").send().await.expect(416);
    assert_eq!(past.json()["errors"][0]["code"], "RANGE_INVALID");
}

#[tokio::test]
async fn upstreams_are_chosen_by_path_and_namespace_and_short_names_are_of_the_library() {
    let (hub, other) = (FakeUpstream::start().await, FakeUpstream::start().await);
    let alpine = put_on(&hub, "library/alpine");
    put_on(&hub, "team/app");
    put_manifest(&other, "library/alpine", "v1", &image("other", ""), IMAGE);
    let app = Setup::new()
        .upstream_with(&hub.url(), |config| {
            config.library = true;
            config.prefix = Some("hub".to_owned());
            config.namespaces = vec!["hub.example.com".to_owned()];
        })
        .upstream_with(&other.url(), |config| config.namespaces = vec!["other.example.com".to_owned()])
        .build();
    for path in ["/hub/alpine/manifests/v1", "/hub/library/alpine/manifests/v1", "/hub/team/app/manifests/v1"]
    {
        assert_eq!(get(&app, path).await.expect(200).body, alpine, "{path}");
    }
    assert_eq!(hub.total(), 2, "two names of one thing are one: {:?}", hub.seen());
    let mirrored = get(&app, "/library/alpine/manifests/v1?ns=hub.example.com").await.expect(200);
    assert_eq!(
        (&mirrored.body[..], mirrored.header("oci-namespace")),
        (&alpine[..], Some("hub.example.com"))
    );
    let others = get(&app, "/library/alpine/manifests/v1?ns=other.example.com").await.expect(200);
    assert_eq!(others.body, image("other", ""));
    get(&app, "/library/alpine/manifests/v1?ns=unknown.example.com").await.expect(404);
    // Without a word on it, the upstream without a path of its own is meant.
    assert_eq!(get(&app, "/library/alpine/manifests/v1").await.expect(200).body, image("other", ""));
}

#[tokio::test]
async fn the_next_page_is_of_the_same_namespace() {
    let (one, other) = (FakeUpstream::start().await, FakeUpstream::start().await);
    let of = digest(b"subject");
    let page = |name: &str| {
        let listed = json!([{"mediaType": IMAGE, "digest": digest(name.as_bytes()), "size": 2}]);
        Canned::json(&json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": listed}))
    };
    let path = format!("/v2/team/app/referrers/{of}");
    other.serve(&path, page("first").header("link", &format!("<{path}?last=x>; rel=\"next\"")));
    other.serve(&format!("{path}?last=x"), page("second"));
    let app = Setup::new()
        .upstream_with(&one.url(), |config| config.namespaces = vec!["one.example.com".to_owned()])
        .upstream_with(&other.url(), |config| config.namespaces = vec!["other.example.com".to_owned()])
        .build();
    let path = format!("/team/app/referrers/{of}?ns=other.example.com");
    let first = get(&app, &path).await.expect(200);
    let next = first.header("link").unwrap().strip_prefix("</v2").unwrap().split('>').next().unwrap();
    let second = get(&app, next).await.expect(200).json();
    assert_eq!(second["manifests"][0]["digest"], json!(digest(b"second")));
    put_on(&other, "team/app");
    let first = get(&app, "/team/app/tags/list?n=1&ns=other.example.com").await.expect(200);
    let next = first.header("link").unwrap().strip_prefix("</v2").unwrap().split('>').next().unwrap();
    assert_eq!(get(&app, next).await.expect(200).json()["tags"], json!(["v1"]));
    assert_eq!(one.total(), 0, "{:?}", one.seen());
}

#[tokio::test]
async fn tokens_are_fetched_for_the_repository_and_shown_to_nobody_else() {
    let fake = FakeUpstream::start().await;
    let index = put_on(&fake, "theirs/app");
    let path = "/v2/theirs/app/manifests/v1";
    let challenge =
        format!("Bearer realm=\"{}/token\",service=\"fake\",scope=\"repository:evil:*\"", fake.url());
    let refused = Canned::status(401).header("www-authenticate", &challenge);
    let given =
        Canned::ok(index.clone()).header("docker-content-digest", &digest(&index)).to("Bearer secret");
    fake.serve_each(path, [refused, given]);
    fake.serve(
        "/token?service=fake&scope=repository%3Atheirs%2Fapp%3Apull",
        Canned::json(&json!({"token": "secret"})),
    );
    let app = setup(&fake).build();
    let found = get(&app, "/theirs/app/manifests/v1").await.expect(200);
    assert_eq!((&found.body[..], found.header("www-authenticate")), (&index[..], None));
    assert!(fake.seen().iter().any(|seen| seen.path.starts_with("/token?")), "{:?}", fake.seen());
}

#[tokio::test]
async fn a_young_or_denied_image_is_refused() {
    let fake = FakeUpstream::start().await;
    put_on(&fake, "theirs/app");
    let young = image("young", "2026-03-03T00:00:00Z");
    put_manifest(&fake, "theirs/app", "young", &young, IMAGE);
    put_blob(&fake, "theirs/app", &config("2026-03-03T00:00:00Z"));
    let timeless = json!({"schemaVersion": 2, "mediaType": IMAGE, "layers": []}).to_string().into_bytes();
    put_manifest(&fake, "theirs/app", "timeless", &timeless, IMAGE);
    let mut setup = setup(&fake);
    setup.upstreams.rules.min_release_age = Some(Duration::from_hours(7 * 24));
    setup.upstreams.rules.deny = vec!["theirs/app@amd64".to_owned()];
    let app = setup.build();
    // By the first image of the index.
    get(&app, "/theirs/app/manifests/v1").await.expect(200);
    for (of, text) in [
        ("young".to_owned(), "until 2026-03-10T00:00:00Z"),
        (digest(&young), "until 2026-03-10T00:00:00Z"),
        ("timeless".to_owned(), "when it was published is not known"),
        ("amd64".to_owned(), "denied by this registry's rule `theirs/app@amd64`"),
    ] {
        let refused = get(&app, &format!("/theirs/app/manifests/{of}")).await.expect(403);
        assert!(refused.error().contains(text), "{of}: {}", refused.error());
        assert_eq!(refused.json()["errors"][0]["code"], "DENIED");
    }
    app.clock.advance(Duration::from_hours(7 * 24));
    get(&app, "/theirs/app/manifests/young").await.expect(200);
}

#[tokio::test]
async fn lists_follow_pages_and_referrers_have_their_fallback() {
    let fake = FakeUpstream::start().await;
    let index = put_on(&fake, "theirs/app");
    let link = "</v2/theirs/app/tags/list?n=2&last=b>; rel=\"next\"";
    let first = Canned::json(&json!({"name": "x", "tags": ["a", "b"]})).header("link", link);
    fake.serve("/v2/theirs/app/tags/list?n=1000", first);
    fake.serve("/v2/theirs/app/tags/list?n=2&last=b", Canned::json(&json!({"name": "x", "tags": ["c"]})));
    let referrer = |kind: &str| json!({"mediaType": IMAGE, "digest": digest(kind.as_bytes()), "size": 2, "artifactType": kind, "annotations": {"a": "b"}});
    let page =
        |all: &[Value]| Canned::json(&json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": all}));
    let of = digest(&index);
    let link = format!("</v2/theirs/app/referrers/{of}?last=x>; rel=\"next\"");
    fake.serve(
        &format!("/v2/theirs/app/referrers/{of}"),
        page(&[referrer("a/x"), referrer("a/y")]).header("link", &link),
    );
    fake.serve(&format!("/v2/theirs/app/referrers/{of}?last=x"), page(&[referrer("a/z")]));
    let app = setup(&fake).build();
    let tags = get(&app, "/theirs/app/tags/list").await.expect(200).json();
    assert_eq!(tags["tags"], json!(["a", "b", "c"]));
    let found = get(&app, &format!("/theirs/app/referrers/{of}?artifactType=a/y")).await.expect(200);
    assert_eq!(found.json()["manifests"], json!([referrer("a/y")]));
    assert_eq!(found.header("oci-filters-applied"), Some("artifactType"));
    let link = found.header("link").unwrap();
    let next = link.strip_prefix("</v2").unwrap().split('>').next().unwrap();
    let next = next.replace("artifactType=a/y", "artifactType=a/z");
    let next = if next.contains("artifactType=a/z") { next } else { next.replace("a%2Fy", "a%2Fz") };
    assert_eq!(get(&app, &next).await.expect(200).json()["manifests"], json!([referrer("a/z")]));
    // A registry that does not know the question has a tag instead.
    let other = digest(b"other");
    let listed = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [referrer("a/x")]}).to_string();
    put_manifest(&fake, "theirs/app", &other.replace(':', "-"), listed.as_bytes(), INDEX);
    let found = get(&app, &format!("/theirs/app/referrers/{other}")).await.expect(200).json();
    assert_eq!(found["manifests"], json!([referrer("a/x")]));
    // Nothing refers to what nobody knows.
    let none = get(&app, &format!("/theirs/app/referrers/{}", digest(b"none"))).await.expect(200).json();
    assert_eq!(none["manifests"], json!([]));
}

#[tokio::test]
async fn a_repository_of_the_other_registry_cannot_be_pushed_to_by_accident() {
    let fake = FakeUpstream::start().await;
    put_on(&fake, "theirs/app");
    let mut setup = setup(&fake);
    let merge = Rule { names: vec!["merged/*".to_owned()], action: RuleAction::Merge(Vec::new()) };
    setup.upstreams.rules.rules = vec![merge];
    let app = setup.build();
    let opened = app.ask("POST", "/theirs/app/blobs/uploads/").token("alice-token").send().await.expect(403);
    assert!(opened.error().contains("have it reserved here"), "{}", opened.error());
    // A failure is no leave to take the name; a refusal says nothing of it.
    fake.serve("/v2/un/clear/tags/list?n=1000", Canned::status(500));
    app.ask("POST", "/un/clear/blobs/uploads/").token("alice-token").send().await.expect(502);
    fake.serve("/v2/de/nied/tags/list?n=1000", Canned::status(403));
    app.ask("POST", "/de/nied/blobs/uploads/").token("alice-token").send().await.expect(202);
    // What is merged shows both, and what was pushed here wins.
    let index = put_on(&fake, "merged/app");
    push(&app, "merged/app", "old").await;
    assert_eq!(get(&app, "/merged/app/tags/list").await.expect(200).json()["tags"], json!(["old", "v1"]));
    assert_eq!(get(&app, "/merged/app/manifests/v1").await.expect(200).body, index);
    assert!(get(&app, "/merged/app/manifests/old").await.expect(200).text().contains("\"manifests\":[]"));
}
