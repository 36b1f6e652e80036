//! A package as clients read it: the full and the abbreviated packument, and a single version.
//!
//! Rendering joins the stored parts of each manifest; nothing is parsed but the latest version's description.
//! All URLs are made here, from the base that the request came by.

use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use http::HeaderMap;
use indexmap::IndexMap;
use serde_json::value::RawValue;

use super::json::{ObjectWriter, write_value};
use crate::{
    store::packument::{Packument, Person, Release},
    version::Version,
};

/// The media type of the abbreviated form.
pub(crate) const ABBREVIATED: &str = "application/vnd.npm.install-v1+json";

/// Fields of the latest version's manifest that the full form repeats at its top.
const HOISTED: [&str; 7] = ["description", "homepage", "keywords", "repository", "author", "bugs", "license"];

/// Which form of a packument is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// What installers need.
    Abbreviated,
    /// Everything.
    Full,
}

impl Form {
    /// The form that a request's `Accept` headers prefer: by quality, then by order. Anything that names neither form gets
    /// the full one.
    pub(crate) fn negotiate(headers: &HeaderMap) -> Self {
        let mut best: Option<(f32, Self)> = None;
        for value in headers.get_all(http::header::ACCEPT) {
            let Ok(value) = value.to_str() else { continue };
            for range in value.split(',') {
                let mut parts = range.split(';').map(str::trim);
                let form = match parts.next().unwrap_or_default().to_ascii_lowercase().as_str() {
                    ABBREVIATED => Self::Abbreviated,
                    "application/json" | "application/*" | "*/*" => Self::Full,
                    _ => continue,
                };
                let quality = parts
                    .find_map(|p| p.strip_prefix("q=").or_else(|| p.strip_prefix("Q=")))
                    .map_or(1.0, |q| q.trim().parse().unwrap_or(0.0));
                if quality > 0.0 && best.is_none_or(|(found, _)| quality > found) {
                    best = Some((quality, form));
                }
            }
        }
        best.map_or(Self::Full, |(_, form)| form)
    }

    /// The media type of this form.
    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Self::Abbreviated => ABBREVIATED,
            Self::Full => "application/json",
        }
    }
}

/// Where clients find things: both without a slash at the end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Urls<'u> {
    /// Scheme, host and port.
    pub(crate) origin: &'u str,
    /// Origin and base path.
    pub(crate) base: &'u str,
}

/// A time as npm writes it.
pub(crate) fn iso(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// A packument in one of its forms.
pub(crate) fn render_packument(document: &Packument, form: Form, urls: Urls<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(estimate(document, form));
    let mut top = ObjectWriter::new(&mut out);
    if form == Form::Full {
        top.member("_id", &document.name);
        top.member("_rev", &document.rev);
    }
    top.member("name", &document.name);
    if form == Form::Abbreviated {
        top.member("modified", &iso(document.modified));
    }
    top.member("dist-tags", &document.tags);
    let mut versions = top.object("versions");
    for (version, release) in &document.releases {
        write_version(versions.key(version.as_str()), document, version, release, form, urls);
    }
    versions.end();
    let mut time = top.object("time");
    time.member("created", &iso(document.created));
    time.member("modified", &iso(document.modified));
    for (version, release) in &document.releases {
        time.member(version.as_str(), &iso(release.published));
    }
    time.end();
    if form == Form::Full {
        top.member("maintainers", &document.owners);
        let stars: IndexMap<&str, bool> = document.stars.iter().map(|user| (user.as_str(), true)).collect();
        top.member("users", &stars);
        if let Some((_, release)) = document.latest() {
            let fields: IndexMap<&str, &RawValue> =
                serde_json::from_str(release.rest.get()).unwrap_or_default();
            for key in HOISTED {
                if let Some(&raw) = fields.get(key) {
                    top.raw(key, raw);
                }
            }
        }
        top.member("readme", document.readme.as_deref().unwrap_or_default());
        top.optional("readmeFilename", document.readme_file.as_ref());
    }
    top.end();
    out
}

/// A single version's document.
pub(crate) fn render_version(
    document: &Packument,
    version: &Version,
    release: &Release,
    urls: Urls<'_>,
) -> Vec<u8> {
    let mut out = Vec::new();
    write_version(&mut out, document, version, release, Form::Full, urls);
    out
}

fn write_version(
    out: &mut Vec<u8>,
    document: &Packument,
    version: &Version,
    release: &Release,
    form: Form,
    urls: Urls<'_>,
) {
    let name = &document.name;
    let mut object = ObjectWriter::new(out);
    object.members_of(&release.install);
    if form == Form::Full {
        object.members_of(&release.rest);
        object.member("_id", &format!("{name}@{version}"));
        object.member("maintainers", &document.owners);
    }
    object.member("_npmUser", &release.publisher);
    let mut dist = object.object("dist");
    dist.member("tarball", &format!("{}/{name}/-/{}", urls.base, name.tarball(version.as_str())));
    dist.member("integrity", &release.dist.integrity);
    dist.member("shasum", &release.dist.shasum);
    dist.optional("fileCount", release.dist.file_count.as_ref());
    dist.optional("unpackedSize", release.dist.unpacked_size.as_ref());
    if let Some(attestation) = &release.attestation {
        let mut object = dist.object("attestations");
        // npm takes the path of this URL and appends it to the registry's own, base path included: so it stands here
        // without the base path, and the registry answers at both places.
        object.member("url", &format!("{}/-/npm/v1/attestations/{name}@{version}", urls.origin));
        let mut provenance = object.object("provenance");
        provenance.member("predicateType", &attestation.predicate_type);
        provenance.end();
        object.end();
    }
    dist.end();
    object.optional("deprecated", release.deprecated.as_ref());
    object.end();
}

/// About how long the rendered form will be, so that it is written into one allocation.
fn estimate(document: &Packument, form: Form) -> usize {
    let version = |release: &Arc<Release>| {
        let rest = if form == Form::Full { release.rest.get().len() + 256 } else { 0 };
        release.install.get().len() + rest + 512
    };
    document.releases.values().map(version).sum::<usize>()
        + document.readme.as_ref().map_or(0, |readme| readme.len() * 5 / 4)
        + 4096
}

/// Tags to versions, as the dist-tags endpoint lists them.
pub(crate) fn render_tags(document: &Packument) -> Vec<u8> {
    let mut out = Vec::new();
    write_value(&mut out, &document.tags);
    out
}

/// Owners to what they may do.
pub(crate) fn render_collaborators(owners: &[Person]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut object = ObjectWriter::new(&mut out);
    for owner in owners {
        object.member(&owner.name, "write");
    }
    object.end();
    out
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::store::packument::tests::packument;

    const URLS: Urls<'_> =
        Urls { origin: "https://registry.example.com", base: "https://registry.example.com/npm" };

    fn render(document: &Packument, form: Form) -> Value {
        serde_json::from_slice(&render_packument(document, form, URLS)).unwrap()
    }

    #[test]
    fn checklist_2_the_full_form_has_everything() {
        let mut document = packument("@acme/lib", &["1.0.0"]);
        document.rev = "1-x".into();
        document.readme = Some("hi".into());
        insta::assert_json_snapshot!(render(&document, Form::Full), @r#"
        {
          "_id": "@acme/lib",
          "_rev": "1-x",
          "description": "about 1.0.0",
          "dist-tags": {
            "latest": "1.0.0"
          },
          "keywords": [
            "k"
          ],
          "license": "MIT",
          "maintainers": [
            {
              "email": "alice@example.com",
              "name": "alice"
            }
          ],
          "name": "@acme/lib",
          "readme": "hi",
          "time": {
            "1.0.0": "2026-01-02T03:04:05.678Z",
            "created": "2026-01-02T03:04:05.678Z",
            "modified": "2026-01-02T03:04:05.678Z"
          },
          "users": {},
          "versions": {
            "1.0.0": {
              "_id": "@acme/lib@1.0.0",
              "_npmUser": {
                "email": "alice@example.com",
                "name": "alice"
              },
              "dependencies": {
                "a": "^1"
              },
              "description": "about 1.0.0",
              "dist": {
                "fileCount": 2,
                "integrity": "sha512-x",
                "shasum": "y",
                "tarball": "https://registry.example.com/npm/@acme/lib/-/lib-1.0.0.tgz",
                "unpackedSize": 3
              },
              "keywords": [
                "k"
              ],
              "license": "MIT",
              "maintainers": [
                {
                  "email": "alice@example.com",
                  "name": "alice"
                }
              ],
              "name": "@acme/lib",
              "scripts": {},
              "version": "1.0.0"
            }
          }
        }
        "#);
    }

    #[test]
    fn checklist_2_the_abbreviated_form_has_what_installers_need() {
        let mut document = packument("lib", &["1.0.0", "1.1.0"]);
        let mut release = (*document.releases[1]).clone();
        release.deprecated = Some("old".into());
        document.releases.insert("1.1.0".parse().unwrap(), Arc::new(release));
        let value = render(&document, Form::Abbreviated);
        for absent in ["_id", "_rev", "readme", "maintainers", "users", "description"] {
            assert!(value.get(absent).is_none(), "{absent}");
        }
        let version = &value["versions"]["1.1.0"];
        for absent in ["scripts", "description", "maintainers", "license", "_id"] {
            assert!(version.get(absent).is_none(), "{absent}");
        }
        assert_eq!(version["deprecated"], "old");
        assert_eq!(version["dist"]["tarball"], "https://registry.example.com/npm/lib/-/lib-1.1.0.tgz");
        assert_eq!(value["modified"], "2026-01-02T03:04:05.678Z");
    }

    #[test]
    fn checklist_23_time_is_complete_in_both_forms() {
        let document = packument("lib", &["1.0.0", "1.1.0", "2.0.0-rc.1"]);
        for form in [Form::Full, Form::Abbreviated] {
            let value = render(&document, form);
            let mut times: Vec<&String> = value["time"].as_object().unwrap().keys().collect();
            times.retain(|key| !matches!(key.as_str(), "created" | "modified"));
            let versions: Vec<&String> = value["versions"].as_object().unwrap().keys().collect();
            assert_eq!(times, versions);
        }
    }

    #[test]
    fn checklist_59_names_of_object_members_are_only_names() {
        let mut document = packument("lib", &["1.0.0"]);
        let version = "1.0.0".parse::<Version>().unwrap();
        document.tags.insert("__proto__".parse().unwrap(), version.clone());
        document.tags.insert("constructor".parse().unwrap(), version);
        assert_eq!(
            render(&document, Form::Full)["dist-tags"],
            json!({"__proto__": "1.0.0", "constructor": "1.0.0", "latest": "1.0.0"})
        );
    }

    #[test]
    fn checklist_34_the_attestations_url_lacks_the_base_path() {
        let mut document = packument("@acme/lib", &["1.0.0"]);
        let mut release = (*document.releases[0]).clone();
        release.attestation = Some(crate::store::packument::Attestation {
            predicate_type: "p".into(),
            data: release.data.clone(),
        });
        document.releases.insert("1.0.0".parse().unwrap(), Arc::new(release));
        let dist = &render(&document, Form::Abbreviated)["versions"]["1.0.0"]["dist"];
        assert_eq!(
            dist["attestations"],
            json!({"url": "https://registry.example.com/-/npm/v1/attestations/@acme/lib@1.0.0",
                   "provenance": {"predicateType": "p"}})
        );
    }

    #[track_caller]
    fn negotiated(accept: &str, want: Form) {
        let mut headers = HeaderMap::new();
        headers.insert(http::header::ACCEPT, accept.parse().unwrap());
        assert_eq!(Form::negotiate(&headers), want, "{accept}");
    }

    proptest::proptest! {
        #[test]
        fn no_accept_header_panics(text in "[ -~]{0,80}") {
            let mut headers = HeaderMap::new();
            headers.insert(http::header::ACCEPT, text.parse().unwrap());
            let _ = Form::negotiate(&headers);
        }
    }

    #[test]
    fn checklist_2_forms_are_negotiated() {
        assert_eq!(Form::negotiate(&HeaderMap::new()), Form::Full);
        negotiated(
            "application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8, */*",
            Form::Abbreviated,
        );
        negotiated("application/vnd.npm.install-v1+json", Form::Abbreviated);
        negotiated("application/json", Form::Full);
        negotiated("application/json, application/vnd.npm.install-v1+json", Form::Full);
        negotiated("application/json;q=0.5, application/vnd.npm.install-v1+json;q=0.9", Form::Abbreviated);
        negotiated("application/vnd.npm.install-v1+json;q=0, */*", Form::Full);
        negotiated("*/*", Form::Full);
        negotiated("text/html", Form::Full);
        negotiated("application/json;q=x", Form::Full);
    }
}
