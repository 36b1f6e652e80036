//! Python package indexes for tests, and files and forms as clients send them.

use std::io::Write as _;

use registry_core::{
    Instance, Protocol, Services,
    storage::{Digests, WantedDigests},
    testing::{
        self, Subject,
        archives::{gzip, tar, zip},
    },
};
use registry_pypi::{PypiConfig, PypiRegistry};
use serde_json::Value;

pub(crate) use registry_core::testing::Reply;

pub(crate) const J: &str = "application/vnd.pypi.simple.v1+json";

/// The protocol under test.
#[derive(Debug)]
pub(crate) struct Pypi;

pub(crate) type App = testing::App<Pypi>;
pub(crate) type Ask<'a> = testing::Ask<'a, Pypi>;
pub(crate) type Setup = testing::Setup<Pypi>;

impl Subject for Pypi {
    type Registry = PypiRegistry;
    type Config = PypiConfig;
    const PROTOCOL: Protocol = Protocol::Pypi;
    const BASES: &'static [&'static str] = &["/simple", "/pypi"];
    const PREFIX: &'static str = "";
    const BOB: &'static [&'static str] = &["pypi:package:bob-*:*"];

    fn config() -> PypiConfig {
        PypiConfig::default()
    }

    fn registry(instance: Instance, services: Services, config: PypiConfig) -> PypiRegistry {
        PypiRegistry::new(instance, services, config)
    }

    /// Plain text, or JSON for who asks for it.
    fn sentence(reply: &Reply) -> String {
        match reply.header("content-type") {
            Some("application/json") => reply.json()["message"].as_str().unwrap().to_owned(),
            other => {
                assert_eq!(other, Some("text/plain; charset=utf-8"));
                reply.text()
            }
        }
    }
}

/// What clients do.
pub(crate) trait Client {
    /// A project's page as JSON, for alice.
    async fn page(&self, project: &str) -> Value;
    /// Uploads as alice, and expects it to work.
    async fn upload(&self, form: &Form) -> Reply;
    /// Uploads.
    async fn post(&self, form: &Form, token: &str) -> Reply;
    /// Uploads what must be refused, and expects nothing to have changed.
    fn refused<'a>(&'a self, form: &'a Form, status: u16, words: &'a str) -> impl Future<Output = ()> + 'a;
}

impl Client for App {
    async fn page(&self, project: &str) -> Value {
        let ask = self.ask("GET", &format!("/simple/{project}/")).token("alice-token").header("accept", J);
        ask.send().await.expect(200).json()
    }

    async fn upload(&self, form: &Form) -> Reply {
        self.post(form, "alice-token").await.expect(200)
    }

    async fn post(&self, form: &Form, token: &str) -> Reply {
        self.ask("POST", "/pypi/").token(token).form(form).send().await
    }

    #[track_caller]
    fn refused<'a>(&'a self, form: &'a Form, status: u16, words: &'a str) -> impl Future<Output = ()> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            let before = self.objects().await;
            let reply = self.post(form, "alice-token").await;
            assert_eq!(reply.status.as_u16(), status, "at {caller}: {}", reply.text());
            assert!(reply.text().contains(words), "at {caller}: {}", reply.text());
            assert_eq!(self.objects().await, before, "at {caller}");
        }
    }
}

/// Requests that carry forms.
pub(crate) trait WithForm {
    fn form(self, form: &Form) -> Self;
}

impl WithForm for Ask<'_> {
    fn form(self, form: &Form) -> Self {
        self.header("content-type", "multipart/form-data; boundary=XYZ").body(form.body())
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
    gzip(&tar(files))
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
