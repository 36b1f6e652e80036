//! A registry to test, and requests to send to it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use chrono::Utc;
use http::{HeaderMap, Method, StatusCode, header};
use http_body_util::BodyExt as _;
use registry_core::{
    Actor, BasePath, Body, Instance, Maintenance, PackageRegistry, Protocol, Request, Services,
    auth::{AuthOptions, DefaultAuthProvider, ScopeSet},
    catalog::Catalog,
    clock::{Clock, ManualClock},
    maintenance::{GcRun, VerifyRun},
    storage::{Storage, StorageOptions},
};
use registry_oci::{OciConfig, OciRegistry};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256, Sha512};

pub(crate) const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// The token of somebody who may do everything.
pub(crate) const ALL: &str = "token-of-alice-who-may-all";
/// The token of somebody who may do everything in `bob/…` and pull from `a`.
pub(crate) const BOB: &str = "token-of-bob-who-may-little";

pub(crate) struct Bench {
    pub(crate) registry: OciRegistry,
    pub(crate) storage: Storage,
    pub(crate) instance: Instance,
    pub(crate) clock: Arc<ManualClock>,
    services: Services,
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// A request in the making.
pub(crate) struct Call<'a> {
    bench: &'a Bench,
    request: http::request::Builder,
    body: Body,
    actor: Option<Actor>,
    announced: bool,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(OciConfig::default(), StorageOptions::default())
    }

    /// A registry configured by JSON.
    pub(crate) fn configured(config: Value) -> Self {
        Self::with(serde_json::from_value(config).unwrap(), StorageOptions::default())
    }

    pub(crate) fn with(config: OciConfig, options: StorageOptions) -> Self {
        Self::over(Storage::memory(options), config, &["oci:repository:public/*:pull"])
    }

    pub(crate) fn anonymous(scopes: &[&str]) -> Self {
        Self::over(Storage::memory(StorageOptions::default()), OciConfig::default(), scopes)
    }

    pub(crate) fn over(storage: Storage, config: OciConfig, anonymous: &[&str]) -> Self {
        let clock = Arc::new(ManualClock::new(Utc::now()));
        let mut options = AuthOptions::default();
        options.clock = Arc::<ManualClock>::clone(&clock);
        options.max_staleness = Duration::ZERO;
        let scopes = |texts: &[&str]| ScopeSet::parse(texts).unwrap();
        let auth = DefaultAuthProvider::builder()
            .options(options)
            .token("alice", ALL, scopes(&["oci:*:*:*"]))
            .token("bob", BOB, scopes(&["oci:repository:bob/*:*", "oci:repository:a:pull"]))
            .user("carol", "correct horse", scopes(&["oci:repository:carol/*:pull,push"]))
            .anonymous(scopes(anonymous))
            .build()
            .unwrap();
        let paths: Vec<BasePath> = ["/v2", "/oci"].map(|path| path.parse().unwrap()).to_vec();
        let instance = Instance::new(Protocol::Oci.into(), Protocol::Oci, paths);
        let mut services = Services::new(storage.clone(), Arc::new(auth), Catalog::memory());
        services.clock = Arc::<ManualClock>::clone(&clock);
        let registry = OciRegistry::new(instance.clone(), services.clone(), config);
        Self { registry, storage, instance, clock, services }
    }

    /// Another node on the same store.
    pub(crate) fn another(&self) -> OciRegistry {
        OciRegistry::new(self.instance.clone(), self.services.clone(), OciConfig::default())
    }

    pub(crate) fn call(&self, method: Method, uri: &str) -> Call<'_> {
        let request =
            http::Request::builder().method(method).uri(uri).header(header::HOST, "registry.example.com");
        Call { bench: self, request, body: Body::empty(), actor: None, announced: true }
    }

    pub(crate) fn get(&self, uri: &str) -> Call<'_> {
        self.call(Method::GET, uri).token(ALL)
    }

    pub(crate) fn head(&self, uri: &str) -> Call<'_> {
        self.call(Method::HEAD, uri).token(ALL)
    }

    pub(crate) fn put(&self, uri: &str) -> Call<'_> {
        self.call(Method::PUT, uri).token(ALL)
    }

    pub(crate) fn post(&self, uri: &str) -> Call<'_> {
        self.call(Method::POST, uri).token(ALL)
    }

    pub(crate) fn patch(&self, uri: &str) -> Call<'_> {
        self.call(Method::PATCH, uri).token(ALL)
    }

    pub(crate) fn delete(&self, uri: &str) -> Call<'_> {
        self.call(Method::DELETE, uri).token(ALL)
    }

    /// Opens a session and gives its location.
    pub(crate) async fn session(&self, name: &str) -> String {
        self.post(&format!("/v2/{name}/blobs/uploads/")).send().await.location()
    }

    /// Pushes a blob by POST and PUT and gives its digest.
    pub(crate) async fn blob(&self, name: &str, bytes: impl Into<Bytes>) -> String {
        let bytes = bytes.into();
        let digest = sha256(&bytes);
        let location = self.session(name).await;
        self.put(&with_digest(&location, &digest)).body(bytes).send().await.expect(201);
        digest
    }

    pub(crate) async fn manifest(&self, name: &str, reference: &str, manifest: &Value) -> (String, Vec<u8>) {
        let bytes = serde_json::to_vec(manifest).unwrap();
        let uri = format!("/v2/{name}/manifests/{reference}");
        self.put(&uri).body(bytes.clone()).send().await.expect(201);
        (sha256(&bytes), bytes)
    }

    /// Pushes an image of one layer and gives its manifest's digest and bytes.
    pub(crate) async fn image(&self, name: &str, tag: &str, seed: &str) -> (String, Vec<u8>) {
        let manifest = self.image_manifest(name, seed).await;
        self.manifest(name, tag, &manifest).await
    }

    /// Pushes the blobs of an image and gives its manifest.
    pub(crate) async fn image_manifest(&self, name: &str, seed: &str) -> Value {
        let config = format!("{{\"config\":\"{seed}\"}}");
        let layer = format!("layer of {seed}");
        self.blob(name, config.clone()).await;
        self.blob(name, layer.clone()).await;
        json!({
            "schemaVersion": 2, "mediaType": IMAGE,
            "config": descriptor("application/vnd.oci.image.config.v1+json", config.as_bytes()),
            "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", layer.as_bytes())],
        })
    }

    pub(crate) async fn tags(&self, name: &str) -> Vec<String> {
        let answer = self.get(&format!("/v2/{name}/tags/list")).send().await;
        answer.expect(200);
        serde_json::from_value(answer.json()["tags"].clone()).unwrap()
    }

    pub(crate) async fn has_blob(&self, name: &str, digest: &str) -> bool {
        self.head(&format!("/v2/{name}/blobs/{digest}")).send().await.status == 200
    }

    pub(crate) async fn has_manifest(&self, name: &str, reference: &str) -> bool {
        self.head(&format!("/v2/{name}/manifests/{reference}")).send().await.status == 200
    }

    /// Everything that is stored: keys and sizes, but for the session key.
    pub(crate) async fn stored(&self) -> BTreeMap<String, u64> {
        self.storage.drained().await;
        let store = self.storage.store(&self.instance);
        let entries = store.list(&store.key().build()).await.unwrap();
        let mut all: BTreeMap<_, _> = entries.iter().map(|e| (e.key.as_str().to_owned(), e.size)).collect();
        all.remove("oci/_session-key");
        all
    }

    /// The number of data objects.
    pub(crate) async fn data_objects(&self) -> usize {
        self.stored().await.keys().filter(|key| key.contains('~')).count()
    }

    pub(crate) async fn gc(&self, grace: Duration, dry_run: bool) -> Vec<String> {
        let run = GcRun::new(self.clock.now(), grace, dry_run);
        self.registry.collect_garbage(&run).await.unwrap();
        run.report.take_lines()
    }

    /// Collects without a grace and without a server at work.
    pub(crate) async fn gc_alone(&self, dry_run: bool) -> Vec<String> {
        let mut run = GcRun::new(self.clock.now(), Duration::ZERO, dry_run);
        run.minimum_age = Duration::ZERO;
        self.registry.collect_garbage(&run).await.unwrap();
        run.report.take_lines()
    }

    /// Collects with a short grace until nothing is left to do.
    pub(crate) async fn gc_all(&self) {
        for _ in 0..4 {
            self.clock.advance(Duration::from_secs(3601));
            self.gc(Duration::ZERO, false).await;
        }
    }

    pub(crate) async fn faults(&self) -> Vec<String> {
        let run = VerifyRun::default();
        self.registry.verify(&run).await.unwrap();
        run.report.faults()
    }

    /// A signed token for scopes, from the token endpoint.
    pub(crate) async fn token(&self, credential: Option<&str>, scopes: &[&str]) -> String {
        let query: Vec<String> = scopes.iter().map(|scope| format!("scope={scope}")).collect();
        let mut call = self.call(Method::GET, &format!("/v2/token?service=x&{}", query.join("&")));
        if let Some(credential) = credential {
            call = call.basic("any", credential);
        }
        let answer = call.send().await;
        answer.expect(200);
        answer.json()["token"].as_str().unwrap().to_owned()
    }
}

impl Call<'_> {
    pub(crate) fn header(mut self, name: impl AsRef<str>, value: impl AsRef<str>) -> Self {
        self.request = self.request.header(name.as_ref(), value.as_ref());
        self
    }

    fn authorization(mut self, value: &str) -> Self {
        self.request.headers_mut().unwrap().insert(header::AUTHORIZATION, value.parse().unwrap());
        self
    }

    pub(crate) fn token(self, token: &str) -> Self {
        self.authorization(&format!("Bearer {token}"))
    }

    pub(crate) fn basic(self, user: &str, password: &str) -> Self {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        self.authorization(&format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
    }

    pub(crate) fn anonymous(mut self) -> Self {
        self.request.headers_mut().unwrap().remove(header::AUTHORIZATION);
        self
    }

    pub(crate) fn actor(mut self, actor: Actor) -> Self {
        self.actor = Some(actor);
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into().into();
        self
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.body(serde_json::to_vec(body).unwrap())
    }

    /// A body of pieces without an announced length; an `Err` breaks it off.
    pub(crate) fn stream(mut self, pieces: Vec<Result<Bytes, std::io::Error>>) -> Self {
        self.body = Body::from_stream(futures_util::stream::iter(pieces));
        self.announced = false;
        self
    }

    pub(crate) async fn send(self) -> Answer {
        let bench = self.bench;
        self.send_to(&bench.registry).await
    }

    pub(crate) async fn send_to(self, registry: &OciRegistry) -> Answer {
        let mut request: Request = self.request.body(self.body).unwrap();
        if self.announced
            && !request.headers().contains_key(header::CONTENT_LENGTH)
            && let Some(length) = request.body().known_length()
            && !matches!(*request.method(), Method::GET | Method::HEAD)
        {
            request.headers_mut().insert(header::CONTENT_LENGTH, length.into());
        }
        if let Some(actor) = self.actor {
            request.extensions_mut().insert(actor);
        }
        let response = registry.handle(request).await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: parts.status, headers: parts.headers, body }
    }
}

impl Answer {
    #[track_caller]
    pub(crate) fn expect(&self, status: u16) {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
    }

    /// Asserts status and code of an error in the specified shape.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: &str) {
        self.expect(status);
        assert_eq!(self.header("content-type"), "application/json");
        let body = self.json();
        assert_eq!(body["errors"][0]["code"], code, "{body}");
        assert!(body["errors"][0]["message"].as_str().is_some_and(|m| !m.is_empty()));
    }

    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn location(&self) -> String {
        self.header("location").to_owned()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

pub(crate) fn sha512(bytes: &[u8]) -> String {
    format!("sha512:{}", hex::encode(Sha512::digest(bytes)))
}

pub(crate) fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": sha256(bytes), "size": bytes.len()})
}

/// A location with the digest appended as clients do it.
pub(crate) fn with_digest(location: &str, digest: &str) -> String {
    format!("{location}{}digest={digest}", if location.contains('?') { '&' } else { '?' })
}

/// Bytes that do not repeat soon.
pub(crate) fn noise(length: usize, seed: u64) -> Bytes {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state & 0xff) as u8
        })
        .collect::<Vec<_>>()
        .into()
}

impl Bench {
    /// Revokes a token by its secret.
    pub(crate) async fn revoke(&self, secret: &str) {
        let id = self.services.auth.token_id(&secret.into()).await.unwrap().unwrap();
        self.services.auth.revoke_token(&id).await.unwrap();
    }
}
