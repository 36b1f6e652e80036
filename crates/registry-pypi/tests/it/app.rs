//! A registry for tests, requests to it, and files and forms as clients send them.

use std::{io::Write as _, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt as _;
use registry_core::{
    Body, Instance, PackageRegistry as _, Protocol, Services,
    auth::{AuthOptions, DefaultAuthBuilder, DefaultAuthProvider, ScopeSet},
    catalog::Catalog,
    clock::ManualClock,
    storage::{Digests, Storage, StorageOptions, WantedDigests},
};
use registry_pypi::{PypiConfig, PypiRegistry};
use serde_json::Value;

pub(crate) const J: &str = "application/vnd.pypi.simple.v1+json";

pub(crate) struct App {
    pub(crate) registry: PypiRegistry,
    pub(crate) services: Services,
    pub(crate) instance: Instance,
}

/// What an app is made of.
pub(crate) struct Setup {
    pub(crate) auth: DefaultAuthBuilder,
    pub(crate) config: PypiConfig,
    pub(crate) bases: &'static [&'static str],
    clock: Arc<ManualClock>,
}

pub(crate) fn scopes(texts: &[&str]) -> ScopeSet {
    ScopeSet::parse(texts).unwrap()
}

impl Setup {
    /// alice may do everything, bob only with `bob-…`, `reader` may read, `writer` may read and write.
    pub(crate) fn new() -> Self {
        let clock = Arc::new(ManualClock::new("2026-03-04T05:06:07.890Z".parse().unwrap()));
        let mut options = AuthOptions::default();
        options.clock = Arc::<ManualClock>::clone(&clock);
        let auth = DefaultAuthProvider::builder()
            .options(options)
            .user("alice", "alice's password", scopes(&["pypi:package:*:*"]))
            .token("alice", "alice-token", scopes(&["pypi:package:*:*"]))
            .token("bob", "bob-token", scopes(&["pypi:package:bob-*:*"]))
            .token("reader", "reader-token", scopes(&["pypi:package:*:read"]))
            .token("writer", "writer-token", scopes(&["pypi:package:*:read,write"]));
        Self { auth, config: PypiConfig::default(), bases: &["/simple", "/pypi"], clock }
    }

    /// Everybody may read without credentials.
    pub(crate) fn open() -> Self {
        let mut setup = Self::new();
        setup.auth = setup.auth.anonymous(scopes(&["pypi:package:*:read"]));
        setup
    }

    pub(crate) fn build(self) -> App {
        let storage = Storage::memory(StorageOptions::default());
        let auth = Arc::new(self.auth.build().unwrap());
        let mut services = Services::new(storage, auth, Catalog::memory());
        services.clock = self.clock;
        let bases = self.bases.iter().map(|base| base.parse().unwrap()).collect();
        let instance = Instance::new(Protocol::Pypi.into(), Protocol::Pypi, bases);
        let registry = PypiRegistry::new(instance.clone(), services.clone(), self.config);
        App { registry, services, instance }
    }
}

/// An answer, read whole.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) reason: Option<String>,
    pub(crate) body: Bytes,
}

impl Reply {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        self
    }
}

/// A request under construction.
pub(crate) struct Ask<'a> {
    app: &'a App,
    builder: http::request::Builder,
    body: Body,
}

impl App {
    pub(crate) fn ask(&self, method: &str, path: &str) -> Ask<'_> {
        let builder =
            http::Request::builder().method(method).uri(path).header("host", "registry.example.com");
        Ask { app: self, builder, body: Body::empty() }
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.ask("GET", path).token("alice-token").send().await
    }

    /// A project's page as JSON.
    pub(crate) async fn page(&self, project: &str) -> Value {
        let ask = self.ask("GET", &format!("/simple/{project}/")).token("alice-token").header("accept", J);
        ask.send().await.expect(200).json()
    }

    /// Uploads as alice, and expects it to work.
    pub(crate) async fn upload(&self, form: &Form) -> Reply {
        self.post(form, "alice-token").await.expect(200)
    }

    pub(crate) async fn post(&self, form: &Form, token: &str) -> Reply {
        self.ask("POST", "/pypi/").token(token).form(form).send().await
    }

    /// Uploads what must be refused, and expects nothing to have changed.
    #[track_caller]
    pub(crate) fn refused<'a>(
        &'a self,
        form: &'a Form,
        status: u16,
        words: &'a str,
    ) -> impl Future<Output = ()> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            let before = self.objects().await;
            let reply = self.post(form, "alice-token").await;
            assert_eq!(reply.status.as_u16(), status, "at {caller}: {}", reply.text());
            assert!(reply.text().contains(words), "at {caller}: {}", reply.text());
            assert_eq!(self.objects().await, before, "at {caller}");
        }
    }

    /// All stored objects, after everything in the background ended.
    pub(crate) async fn objects(&self) -> Vec<(String, u64, std::time::SystemTime)> {
        self.services.storage.drained().await;
        let store = self.services.storage.store(&self.instance);
        let entries = store.list(&store.key().build()).await.unwrap();
        entries.into_iter().map(|entry| (entry.key.to_string(), entry.size, entry.modified)).collect()
    }
}

impl Ask<'_> {
    pub(crate) fn token(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn basic(self, user: &str, password: &str) -> Self {
        self.header("authorization", &format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.builder = self.builder.header(name, value);
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Body>) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) fn form(self, form: &Form) -> Self {
        let body = form.body();
        self.header("content-type", "multipart/form-data; boundary=XYZ").body(body)
    }

    pub(crate) async fn send(self) -> Reply {
        let response = self.app.registry.handle(self.builder.body(self.body).unwrap()).await;
        let (parts, body) = response.into_parts();
        let reason = parts.extensions.get::<registry_core::http::ReasonPhrase>();
        let reason = reason.map(|reason| reason.as_str().to_owned());
        let body = body.collect().await.unwrap().to_bytes();
        Reply { status: parts.status, headers: parts.headers, reason, body }
    }
}

/// A form: its fields, and its file.
#[derive(Clone, Debug)]
pub(crate) struct Form {
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) file: Option<(String, Vec<u8>)>,
    pub(crate) content_first: bool,
    pub(crate) content_type: bool,
}

impl Form {
    /// What twine sends of this file.
    pub(crate) fn of(name: &str, version: &str, file: &str, bytes: Vec<u8>) -> Self {
        let wheel = file.strip_suffix(".whl");
        let python = wheel.and_then(|stem| stem.rsplit('-').nth(2)).unwrap_or("source");
        let digests = Digests::of(&bytes, WantedDigests { blake2b_256: true, ..WantedDigests::default() });
        let fields = [
            (":action", "file_upload"),
            ("protocol_version", "1"),
            ("metadata_version", "2.1"),
            ("name", name),
            ("version", version),
            ("filetype", if wheel.is_some() { "bdist_wheel" } else { "sdist" }),
            ("pyversion", python),
            ("classifiers", "A :: B"),
            ("classifiers", "C :: D"),
            ("sha256_digest", &digests.sha256),
            ("blake2_256_digest", digests.blake2b_256.as_deref().unwrap()),
        ];
        Self {
            fields: fields.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            file: Some((file.to_owned(), bytes)),
            content_first: false,
            content_type: true,
        }
    }

    /// A wheel for every system.
    pub(crate) fn wheel(name: &str, version: &str) -> Self {
        Self::wheel_with(name, version, "")
    }

    /// A wheel with more headers in its metadata.
    pub(crate) fn wheel_with(name: &str, version: &str, headers: &str) -> Self {
        let normal = name.to_ascii_lowercase().replace(['-', '.'], "_");
        let file = format!("{normal}-{version}-py3-none-any.whl");
        let metadata =
            format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{headers}\nabout {name}\n");
        Self::of(name, version, &file, wheel(&format!("{normal}-{version}"), &metadata, &[]))
    }

    /// A source distribution.
    pub(crate) fn sdist(name: &str, version: &str, headers: &str) -> Self {
        let normal = name.to_ascii_lowercase().replace(['-', '.'], "_");
        let stem = format!("{normal}-{version}");
        let metadata = format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{headers}\nabout\n");
        let files = [(format!("{stem}/PKG-INFO"), metadata), (format!("{stem}/m.py"), "x = 1".to_owned())];
        let files: Vec<(&str, &[u8])> = files.iter().map(|(k, v)| (k.as_str(), v.as_bytes())).collect();
        Self::of(name, version, &format!("{stem}.tar.gz"), tarball(&files))
    }

    /// With a field set, or taken out.
    pub(crate) fn set(mut self, name: &str, value: Option<&str>) -> Self {
        self.fields.retain(|(found, _)| found != name);
        self.fields.extend(value.map(|value| (name.to_owned(), value.to_owned())));
        self
    }

    /// With a field more.
    pub(crate) fn and(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With other bytes (and their digests).
    pub(crate) fn bytes(mut self, bytes: Vec<u8>) -> Self {
        let digests = Digests::of(&bytes, WantedDigests { blake2b_256: true, ..WantedDigests::default() });
        self.file.as_mut().unwrap().1 = bytes;
        self.set("sha256_digest", Some(&digests.sha256))
            .set("blake2_256_digest", Some(digests.blake2b_256.as_deref().unwrap()))
    }

    /// Under another file name.
    pub(crate) fn named(mut self, name: &str) -> Self {
        self.file.as_mut().unwrap().0 = name.to_owned();
        self
    }

    pub(crate) fn content(&self) -> &[u8] {
        &self.file.as_ref().unwrap().1
    }

    pub(crate) fn body(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let fields = |out: &mut Vec<u8>| {
            for (name, value) in &self.fields {
                write!(out, "--XYZ\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
                    .unwrap();
            }
        };
        if !self.content_first {
            fields(&mut out);
        }
        if let Some((name, bytes)) = &self.file {
            write!(out, "--XYZ\r\nContent-Disposition: form-data; name=\"content\"; filename=\"{name}\"\r\n")
                .unwrap();
            if self.content_type {
                out.extend_from_slice(b"Content-Type: application/octet-stream\r\n");
            }
            out.extend_from_slice(b"\r\n");
            out.extend_from_slice(bytes);
            out.extend_from_slice(b"\r\n");
        }
        if self.content_first {
            fields(&mut out);
        }
        out.extend_from_slice(b"--XYZ--\r\n");
        out
    }
}

/// A gzipped tar of these files.
pub(crate) fn tarball(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        // `append_data` refuses what hostile archives hold.
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        header.set_cksum();
        builder.append(&header, *bytes).unwrap();
    }
    gzip(&builder.into_inner().unwrap())
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A wheel with this metadata and more files.
pub(crate) fn wheel(stem: &str, metadata: &str, more: &[(&str, &[u8])]) -> Vec<u8> {
    let info = |name: &str| format!("{stem}.dist-info/{name}");
    let (m, w, r) = (info("METADATA"), info("WHEEL"), info("RECORD"));
    let mut files: Vec<(&str, &[u8])> = vec![("m.py", b"x = 1")];
    files.extend_from_slice(more);
    files.extend([
        (m.as_str(), metadata.as_bytes()),
        (w.as_str(), b"Wheel-Version: 1.0\n"),
        (r.as_str(), b""),
    ]);
    zip(&files)
}

/// A zip of stored files.
pub(crate) fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for (name, bytes) in files {
        let offset = u32::try_from(out.len()).unwrap();
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        let size = u32::try_from(bytes.len()).unwrap();
        let mut fields = Vec::new();
        // Version, flags, method, time, date.
        for number in [20_u16, 0, 0, 0, 33] {
            fields.extend_from_slice(&number.to_le_bytes());
        }
        for number in [crc.sum(), size, size] {
            fields.extend_from_slice(&number.to_le_bytes());
        }
        fields.extend_from_slice(&u16::try_from(name.len()).unwrap().to_le_bytes());
        fields.extend_from_slice(&0_u16.to_le_bytes());
        out.extend_from_slice(b"PK\x03\x04");
        out.extend_from_slice(&fields);
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(bytes);
        directory.extend_from_slice(b"PK\x01\x02\x14\x03");
        directory.extend_from_slice(&fields);
        // Comment, disk, internal and external attributes.
        directory.extend_from_slice(&[0; 6]);
        directory.extend_from_slice(&(0o100_644_u32 << 16).to_le_bytes());
        directory.extend_from_slice(&offset.to_le_bytes());
        directory.extend_from_slice(name.as_bytes());
    }
    let count = u16::try_from(files.len()).unwrap();
    let offset = u32::try_from(out.len()).unwrap();
    out.extend_from_slice(&directory);
    out.extend_from_slice(b"PK\x05\x06\0\0\0\0");
    out.extend_from_slice(&count.to_le_bytes());
    out.extend_from_slice(&count.to_le_bytes());
    out.extend_from_slice(&u32::try_from(directory.len()).unwrap().to_le_bytes());
    out.extend_from_slice(&offset.to_le_bytes());
    out.extend_from_slice(&[0, 0]);
    out
}
