//! A registry in front of another one.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use registry_core::{
    testing::{Canned, FakeUpstream},
    upstream::{Rule, RuleAction},
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha512};

use crate::app::{App, Client as _, Document, Setup};

/// A package of the other registry: versions with the time of each.
struct Package {
    name: &'static str,
    versions: Vec<(&'static str, &'static str)>,
    latest: &'static str,
}

fn package(name: &'static str, versions: &[(&'static str, &'static str)], latest: &'static str) -> Package {
    Package { name, versions: versions.to_vec(), latest }
}

fn bytes(name: &str, version: &str) -> Vec<u8> {
    format!("the tarball of {name}@{version}").repeat(1000).into_bytes()
}

impl Package {
    fn file(&self, version: &str) -> String {
        let base = self.name.rsplit('/').next().unwrap();
        format!("/files/{base}-{version}.tgz")
    }

    fn packument(&self, fake: &FakeUpstream) -> Value {
        let manifest = |version: &str| {
            let digest = Sha512::digest(bytes(self.name, version));
            json!({
                "name": self.name, "version": version, "description": "from elsewhere",
                "dist": {
                    "tarball": format!("{}{}", fake.url(), self.file(version)),
                    "integrity": format!("sha512-{}", STANDARD.encode(digest)),
                    "signatures": [{"keyid": "k", "sig": "s"}],
                },
            })
        };
        let versions: serde_json::Map<_, _> =
            self.versions.iter().map(|(version, _)| ((*version).to_owned(), manifest(version))).collect();
        let mut time: serde_json::Map<_, _> =
            self.versions.iter().map(|(version, time)| ((*version).to_owned(), json!(time))).collect();
        time.insert("modified".to_owned(), json!("2026-03-04T00:00:00.000Z"));
        json!({
            "_id": self.name, "name": self.name, "dist-tags": {"latest": self.latest}, "versions": versions, "time": time,
        })
    }

    fn path(&self) -> String {
        format!("/{}", self.name.replace('/', "%2F"))
    }

    fn put_on(&self, fake: &FakeUpstream) {
        fake.serve(&self.path(), Canned::json(&self.packument(fake)).etag("\"p\""));
        for (version, _) in &self.versions {
            fake.serve(&self.file(version), Canned::ok(bytes(self.name, version)));
        }
    }
}

fn lib() -> Package {
    package("@a/lib", &[("1.0.0", "2026-01-01T00:00:00Z"), ("2.0.0", "2026-03-03T00:00:00Z")], "2.0.0")
}

fn setup(fake: &FakeUpstream) -> Setup {
    Setup::new().upstream(&fake.url())
}

async fn tarball(app: &App, name: &str, version: &str) -> crate::app::Reply {
    let base = name.rsplit('/').next().unwrap();
    app.get(&format!("/{name}/-/{base}-{version}.tgz")).await
}

#[tokio::test]
async fn checklist_25_a_package_of_another_registry_installs_also_when_that_is_down() {
    let fake = FakeUpstream::start().await;
    lib().put_on(&fake);
    let app = Setup::new().upstream_with(&fake.url(), |config| config.retries = 0).build();
    let check = async || {
        for accept in ["application/json", "application/vnd.npm.install-v1+json"] {
            let reply =
                app.ask("GET", "/@a%2flib").token("alice-token").header("accept", accept).send().await;
            let reply = reply.expect(200);
            assert_eq!(reply.header("content-type"), Some(accept));
            let dist = &reply.json()["versions"]["1.0.0"]["dist"];
            assert_eq!(dist["tarball"], "http://registry.example.com/npm/@a/lib/-/lib-1.0.0.tgz");
            assert_eq!(dist["signatures"][0]["keyid"], "k");
        }
        assert_eq!(tarball(&app, "@a/lib", "1.0.0").await.expect(200).body, bytes("@a/lib", "1.0.0"));
        let version = app.get("/@a/lib/latest").await.expect(200).json();
        assert_eq!(version["version"], "2.0.0");
        let tags = app.get("/-/package/@a%2flib/dist-tags").await.expect(200).json();
        assert_eq!(tags, json!({"latest": "2.0.0"}));
    };
    check().await;
    assert_eq!(fake.total(), 2, "one packument, one tarball: {:?}", fake.seen());
    app.settled(3).await;
    fake.stop().await;
    check().await;
    app.clock.advance(Duration::from_hours(24));
    let stale = app.get("/@a%2flib").await.expect(200);
    assert_eq!(stale.header("warning"), Some("111 smartregistry \"Revalidation Failed\""));
    let status = tarball(&app, "@a/lib", "1.0.0").await.expect(200);
    assert_eq!(status.header("cache-status"), Some("smartregistry; hit; detail=\"up\""));
    // What is not here cannot be had, and that is no 404.
    tarball(&app, "@a/lib", "2.0.0").await.expect(502);
}

#[tokio::test]
async fn checklist_24_hosted_and_reserved_names_are_asked_of_nobody() {
    let fake = FakeUpstream::start().await;
    let mut setup = setup(&fake);
    setup.upstreams.rules.reserved = vec!["@acme/*".to_owned()];
    let app = setup.build();
    // The first publish of a new name asks whether it is taken.
    app.publish(&Document::new("own", "1.0.0")).await;
    app.publish(&Document::new("gone", "1.0.0")).await;
    let rev = app.packument("gone").await["_rev"].as_str().unwrap().to_owned();
    app.ask("DELETE", &format!("/gone/-rev/{rev}")).token("alice-token").send().await.expect(200);
    let before = fake.total();
    package("own", &[("9.0.0", "2020-01-01T00:00:00Z")], "9.0.0").put_on(&fake);
    package("gone", &[("9.0.0", "2020-01-01T00:00:00Z")], "9.0.0").put_on(&fake);
    package("@acme/secret", &[("9.0.0", "2020-01-01T00:00:00Z")], "9.0.0").put_on(&fake);
    assert!(app.get("/own").await.expect(200).json()["versions"].get("9.0.0").is_none());
    for name in ["own", "gone", "@acme%2fsecret"] {
        for path in ["", "/9.0.0", "/-/own-9.0.0.tgz", "/-/secret-9.0.0.tgz", "/-/gone-9.0.0.tgz"] {
            let reply = app.get(&format!("/{name}{path}")).await;
            assert!(reply.status == 404 || (name, path) == ("own", ""), "{name}{path}: {reply:?}");
        }
        app.get(&format!("/-/package/{name}/dist-tags")).await;
        app.get(&format!("/-/npm/v1/attestations/{name}@9.0.0")).await.expect(404);
        app.get(&format!("/-/v1/search?text={name}")).await.expect(200);
    }
    app.get("/-/v1/search?text=scope:acme").await.expect(200);
    let asked = json!({"own": ["1.0.0"], "gone": ["1.0.0"], "@acme/secret": ["1.0.0"]});
    let audit = app.ask("POST", "/-/npm/v1/security/advisories/bulk").token("alice-token").json(&asked);
    assert_eq!(audit.send().await.expect(200).json(), json!({}));
    app.publish(&Document::new("@acme/new", "1.0.0")).await;
    assert_eq!(fake.total(), before, "{:?}", fake.seen());
}

#[tokio::test]
async fn checklist_26_not_there_failing_and_stale_are_three_things() {
    let fake = FakeUpstream::start().await;
    let app = Setup::new().upstream_with(&fake.url(), |config| config.retries = 0).build();
    app.get("/none").await.expect(404);
    app.get("/none").await.expect(404);
    assert_eq!(fake.total(), 1);
    fake.serve("/broken", Canned::status(500));
    let reply = app.get("/broken").await.expect(502);
    assert_eq!(reply.error(), "the upstream registry `up` answered with status 500");
    fake.serve("/html", Canned::ok("<html>").header("content-type", "text/html"));
    assert!(app.get("/html").await.expect(502).error().contains("no JSON object"));
    fake.serve("/busy", Canned::status(429).header("retry-after", "60"));
    assert_eq!(app.get("/busy").await.expect(503).header("retry-after"), Some("60"));
    assert_eq!(app.get("/other").await.expect(503).header("retry-after"), Some("60"));
    fake.serve("/secret", Canned::status(401).header("www-authenticate", "Basic realm=\"up\""));
    app.clock.advance(Duration::from_secs(61));
    let reply = app.get("/secret").await.expect(403);
    assert_eq!(reply.header("www-authenticate"), None);
}

#[tokio::test]
async fn checklist_27_a_tarball_with_other_bytes_is_not_served_whole_and_not_kept() {
    let fake = FakeUpstream::start().await;
    lib().put_on(&fake);
    fake.serve("/files/lib-1.0.0.tgz", Canned::ok("something else"));
    let app = setup(&fake).build();
    let request =
        http::Request::get("/npm/@a/lib/-/lib-1.0.0.tgz").header("authorization", "Bearer alice-token");
    let request = request.body(registry_core::Body::empty()).unwrap();
    let response = registry_core::PackageRegistry::handle(&app.registry, request).await;
    let body = http_body_util::BodyExt::collect(response.into_body()).await;
    assert!(body.is_err(), "a broken transfer");
    app.settled(1).await;
    assert_eq!(app.keys().await.len(), 1, "only the packument");
}

#[tokio::test]
async fn checklist_28_credentials_do_not_pass_in_either_direction() {
    let fake = FakeUpstream::start().await;
    lib().put_on(&fake);
    let app = setup(&fake).build();
    let ask = app.ask("GET", "/@a%2flib").token("alice-token").header("cookie", "a=b");
    ask.header("x-forwarded-for", "10.1.1.1").header("npm-session", "x").send().await.expect(200);
    for name in ["authorization", "cookie", "x-forwarded-for", "npm-session"] {
        assert_eq!(fake.seen()[0].header(name), "", "{name}");
    }
    let mut packument = lib().packument(&fake);
    packument["name"] = json!("alien");
    packument["versions"]["1.0.0"]["dist"]["tarball"] = json!("http://127.0.0.1:1/lib-1.0.0.tgz");
    fake.serve("/alien", Canned::json(&packument));
    let refused = app.get("/alien/-/alien-1.0.0.tgz").await.expect(502);
    assert!(refused.error().contains("points to an address"), "{refused:?}");
}

#[tokio::test]
async fn checklist_48_a_young_version_is_hidden_everywhere_until_it_is_old_enough() {
    let fake = FakeUpstream::start().await;
    lib().put_on(&fake);
    let mut setup = setup(&fake);
    setup.upstreams.rules.min_release_age = Some(Duration::from_hours(7 * 24));
    setup.upstreams.rules.min_release_age_exclude = vec!["@b/*".to_owned()];
    let app = setup.build();
    let packument = app.get("/@a%2flib").await.expect(200).json();
    assert_eq!(packument["dist-tags"], json!({"latest": "1.0.0"}));
    assert!(packument["versions"].get("2.0.0").is_none() && packument["time"].get("2.0.0").is_none());
    for path in ["/@a/lib/2.0.0", "/@a/lib/-/lib-2.0.0.tgz"] {
        let refused = app.get(path).await.expect(403).error();
        assert_eq!(
            refused,
            "@a/lib@2.0.0 is hidden by this registry's rule min_release_age (7d) until 2026-03-10T00:00:00Z"
        );
    }
    assert_eq!(app.get("/@a/lib/latest").await.expect(200).json()["version"], "1.0.0");
    tarball(&app, "@a/lib", "1.0.0").await.expect(200);
    app.clock.advance(Duration::from_hours(6 * 24));
    assert_eq!(app.get("/@a%2flib").await.expect(200).json()["dist-tags"]["latest"], "2.0.0");
    tarball(&app, "@a/lib", "2.0.0").await.expect(200);
    // Without a time nobody can say how old it is.
    let mut timeless = lib().packument(&fake);
    timeless["name"] = json!("timeless");
    timeless.as_object_mut().unwrap().remove("time");
    fake.serve("/timeless", Canned::json(&timeless));
    assert!(app.get("/timeless").await.expect(404).error().contains("min_release_age"));
    package("@b/lib", &[("1.0.0", "2026-03-10T00:00:00Z")], "1.0.0").put_on(&fake);
    app.get("/@b%2flib").await.expect(200);
}

#[tokio::test]
async fn one_version_can_be_denied() {
    let fake = FakeUpstream::start().await;
    lib().put_on(&fake);
    let storage = app_storage();
    let app = setup(&fake).build_on(storage.clone());
    tarball(&app, "@a/lib", "2.0.0").await.expect(200);
    app.settled(3).await;
    let mut denying = setup(&fake);
    denying.upstreams.rules.deny = vec!["@a/lib@2.0.0".to_owned(), "evil".to_owned()];
    let app = denying.build_on(storage);
    let packument = app.get("/@a%2flib").await.expect(200).json();
    assert_eq!(packument["dist-tags"], json!({"latest": "1.0.0"}));
    let refused = tarball(&app, "@a/lib", "2.0.0").await.expect(403).error();
    assert_eq!(refused, "@a/lib@2.0.0 is denied by this registry's rule `@a/lib@2.0.0`");
    app.get("/evil").await.expect(403);
}

fn app_storage() -> registry_core::storage::Storage {
    registry_core::storage::Storage::memory(registry_core::storage::StorageOptions::default())
}

#[tokio::test]
async fn merged_names_show_both_and_hosted_versions_win() {
    let fake = FakeUpstream::start().await;
    lib().put_on(&fake);
    let mut setup = setup(&fake);
    setup.upstreams.rules.rules =
        vec![Rule { names: vec!["@a/*".to_owned()], action: RuleAction::Merge(Vec::new()) }];
    let app = setup.build();
    let own = Document::new("@a/lib", "2.0.0").access("public");
    app.publish(&own).await;
    app.publish(&Document::new("@a/lib", "1.5.0").tag("patched")).await;
    let packument = app.get("/@a%2flib").await.expect(200).json();
    let versions: Vec<&String> = packument["versions"].as_object().unwrap().keys().collect();
    assert_eq!(versions.len(), 3, "{versions:?}");
    assert_eq!(packument["dist-tags"], json!({"latest": "2.0.0", "patched": "1.5.0"}));
    assert_eq!(tarball(&app, "@a/lib", "2.0.0").await.expect(200).body, own.tarball);
    assert_eq!(tarball(&app, "@a/lib", "1.0.0").await.expect(200).body, bytes("@a/lib", "1.0.0"));
    // A version that was unpublished here does not come back from elsewhere.
    let rev = app.packument("@a/lib").await["_rev"].as_str().unwrap().to_owned();
    let mut left = app.packument("@a/lib").await;
    left["versions"].as_object_mut().unwrap().remove("2.0.0");
    left["dist-tags"] = json!({"latest": "1.5.0"});
    app.ask("PUT", &format!("/@a%2flib/-rev/{rev}"))
        .token("alice-token")
        .json(&left)
        .send()
        .await
        .expect(201);
    assert!(app.get("/@a%2flib").await.expect(200).json()["versions"].get("2.0.0").is_none());
    tarball(&app, "@a/lib", "2.0.0").await.expect(404);
}

#[tokio::test]
async fn a_name_of_the_other_registry_cannot_be_published_by_accident() {
    let fake = FakeUpstream::start().await;
    lib().put_on(&fake);
    let app = setup(&fake).build();
    let refused = app.put(&Document::new("@a/lib", "9.0.0"), "alice-token", 403).await.error();
    assert!(refused.contains("have it reserved"), "{refused}");
    app.publish(&Document::new("@a/other", "1.0.0")).await;
    let mut setup = setup(&fake);
    setup.upstreams.rules.reserved = vec!["@a/lib".to_owned()];
    setup.build().publish(&Document::new("@a/lib", "9.0.0")).await;
}

#[tokio::test]
async fn checklist_58_a_version_published_elsewhere_is_found_when_it_is_asked_for() {
    let fake = FakeUpstream::start().await;
    lib().put_on(&fake);
    let app = setup(&fake).build();
    app.get("/@a%2flib").await.expect(200);
    let new =
        package("@a/lib", &[("2.0.0", "2026-03-03T00:00:00Z"), ("3.0.0", "2026-03-04T00:00:00Z")], "3.0.0");
    let mut packument = new.packument(&fake);
    packument["versions"]["2.0.0"]["deprecated"] = json!("use 3");
    fake.serve(&new.path(), Canned::json(&packument).etag("\"q\""));
    fake.serve(&new.file("3.0.0"), Canned::ok(bytes("@a/lib", "3.0.0")));
    tarball(&app, "@a/lib", "3.0.0").await.expect(404);
    app.clock.advance(Duration::from_secs(11));
    tarball(&app, "@a/lib", "3.0.0").await.expect(200);
    assert_eq!(fake.count(&new.path()), 2);
    let packument = app.get("/@a%2flib").await.expect(200).json();
    assert_eq!(packument["versions"]["2.0.0"]["deprecated"], "use 3");
    assert_eq!(packument["dist-tags"]["latest"], "3.0.0");
}

#[tokio::test]
async fn searches_and_audits_pass_through_without_what_is_ours() {
    let fake = FakeUpstream::start().await;
    let mut setup = setup(&fake);
    setup.upstreams.rules.reserved = vec!["@acme/*".to_owned()];
    let app = setup.build();
    app.publish(&Document::new("left-own", "1.0.0")).await;
    let object = |name: &str| json!({"package": {"name": name, "version": "1.0.0"}, "score": {"final": 0.5}});
    let results = json!({"objects": [object("left-pad"), object("left-own"), object("@acme/x")], "total": 3});
    fake.serve("/-/v1/search?text=left&size=19&from=0", Canned::json(&results));
    let found = app.get("/-/v1/search?text=left").await.expect(200).json();
    let names: Vec<&str> =
        found["objects"].as_array().unwrap().iter().map(|o| o["package"]["name"].as_str().unwrap()).collect();
    assert_eq!((names, &found["total"]), (vec!["left-own", "left-pad"], &json!(4)));
    let advisories = json!({"left-pad": [{"id": 1, "severity": "low"}]});
    fake.serve("/-/npm/v1/security/advisories/bulk", Canned::json(&advisories));
    let asked = json!({"left-pad": ["1.0.0"], "left-own": ["1.0.0"], "@acme/x": ["1.0.0"]});
    let audit = app.ask("POST", "/-/npm/v1/security/advisories/bulk").token("alice-token").json(&asked);
    assert_eq!(audit.send().await.expect(200).json(), advisories);
    let told: Value = serde_json::from_slice(&fake.seen().last().unwrap().body).unwrap();
    assert_eq!(told, json!({"left-pad": ["1.0.0"]}));
    // One that has no advisories to give, and one that cannot say.
    for (status, want) in [(404, 200), (405, 200), (500, 502)] {
        fake.serve("/-/npm/v1/security/advisories/bulk", Canned::status(status));
        let audit = app.ask("POST", "/-/npm/v1/security/advisories/bulk").token("alice-token").json(&asked);
        audit.send().await.expect(want);
    }
}

#[tokio::test]
async fn checklist_28_who_may_not_read_learns_nothing_and_asks_nobody() {
    let fake = FakeUpstream::start().await;
    lib().put_on(&fake);
    let app = setup(&fake).build();
    app.get("/@a%2flib").await.expect(200);
    let before = fake.total();
    for name in ["@a%2flib", "@a%2funknown"] {
        app.ask("GET", &format!("/{name}")).token("bob-token").send().await.expect(404);
        app.ask("GET", &format!("/{name}")).send().await.expect(401);
    }
    assert_eq!(fake.total(), before);
}
