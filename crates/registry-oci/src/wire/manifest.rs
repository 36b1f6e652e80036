//! Manifests: read for what they name, never rewritten.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{media_type, referrers::Referrer};
use crate::names::{Digest, DigestError};

/// How deep a manifest may nest arrays and objects.
const MAX_DEPTH: usize = 100;

/// Why bytes are no manifest that can be stored. The text is for the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ManifestError {
    #[error("the manifest is not one JSON object in UTF-8: {0}")]
    Json(String),
    #[error("the manifest nests arrays and objects deeper than {MAX_DEPTH} levels")]
    Depth,
    #[error("the Content-Type `{header}` and the manifest's mediaType `{body}` differ")]
    TypeConflict { header: String, body: String },
    #[error("neither the Content-Type nor the manifest says what kind of manifest it is")]
    NoType,
    #[error("`{0}` is no media type")]
    MediaType(String),
    #[error("the manifest type `{0}` is not supported: push it as an OCI or Docker schema 2 manifest")]
    Refused(String),
    #[error("`schemaVersion` must be 2")]
    SchemaVersion,
    #[error("`{field}` {problem}")]
    Field { field: String, problem: &'static str },
}

/// What a manifest is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An image: a config and layers.
    Image,
    /// An index of manifests.
    Index,
    /// The withdrawn artifact manifest: blobs.
    Artifact,
    /// A type this registry does not know: kept as it is.
    Other,
}

impl Kind {
    pub(crate) fn of(media_type: &str) -> Self {
        match media_type {
            media_type::OCI_MANIFEST | media_type::DOCKER_MANIFEST => Self::Image,
            media_type::OCI_INDEX | media_type::DOCKER_LIST => Self::Index,
            media_type::OCI_ARTIFACT => Self::Artifact,
            _ => Self::Other,
        }
    }
}

/// One piece of content that a manifest names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    /// Its digest, of an algorithm that is known here.
    pub(crate) digest: Digest,
    /// Whether it is a manifest of an index (which may yet be a blob: caches are written so), or else a blob.
    pub(crate) child: bool,
    /// Whether it may be missing (foreign layers).
    pub(crate) optional: bool,
}

/// A manifest as far as the registry needs to understand it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) media_type: String,
    /// What it names, without duplicates, in its order. Digests of unknown algorithms are left out.
    pub(crate) named: Vec<Named>,
    /// What it refers to.
    pub(crate) subject: Option<Digest>,
    /// Its type in a list of referrers.
    pub(crate) artifact_type: Option<String>,
    pub(crate) annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    schema_version: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    media_type: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    artifact_type: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    config: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    layers: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    manifests: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    blobs: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    subject: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    annotations: Option<&'a RawValue>,
}

/// A field as it stands, `null` too (which an `Option` would take for absent).
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: Option<String>,
    digest: Option<String>,
    size: Option<serde_json::Value>,
    urls: Option<Vec<String>>,
}

impl Manifest {
    /// Reads a manifest that was pushed with a `Content-Type`.
    pub(crate) fn parse(bytes: &[u8], content_type: Option<&str>) -> Result<Self, ManifestError> {
        let text = std::str::from_utf8(bytes).map_err(|error| ManifestError::Json(error.to_string()))?;
        check_depth(text)?;
        if !text.trim_start().starts_with('{') {
            return Err(ManifestError::Json("it does not begin with `{`".to_owned()));
        }
        let raw: Raw<'_> =
            serde_json::from_str(text).map_err(|error| ManifestError::Json(error.to_string()))?;
        let media_type = raw.decide_type(content_type)?;
        let kind = Kind::of(&media_type);
        if matches!(media_type.as_str(), media_type::DOCKER_SCHEMA1 | media_type::DOCKER_SCHEMA1_SIGNED) {
            return Err(ManifestError::Refused(media_type));
        }
        if kind != Kind::Artifact
            && kind != Kind::Other
            && raw.schema_version.map(RawValue::get).map(str::trim) != Some("2")
        {
            return Err(ManifestError::SchemaVersion);
        }
        raw.read(media_type, kind)
    }

    /// Reads a manifest that is stored.
    pub(crate) fn parse_stored(bytes: &[u8], media_type: &str) -> Result<Self, ManifestError> {
        Self::parse(bytes, Some(media_type))
    }

    /// The manifest as a list of referrers shows it.
    pub(crate) fn as_referrer(&self, digest: &Digest, size: u64) -> Referrer {
        Referrer {
            media_type: self.media_type.clone(),
            size,
            digest: digest.as_str().to_owned(),
            artifact_type: self.artifact_type.clone(),
            annotations: self.annotations.clone(),
        }
    }
}

impl Raw<'_> {
    fn decide_type(&self, content_type: Option<&str>) -> Result<String, ManifestError> {
        let header = content_type.map(media_type::without_parameters).filter(|header| !header.is_empty());
        let body = text_field(self.media_type, "mediaType")?.filter(|body| !body.is_empty());
        let decided = match (header, body) {
            (Some(header), Some(body)) if header != body => {
                return Err(ManifestError::TypeConflict { header: header.to_owned(), body });
            }
            (Some(header), _) => header.to_owned(),
            (None, Some(body)) => body,
            (None, None) if self.config.is_some() => media_type::OCI_MANIFEST.to_owned(),
            (None, None) if self.manifests.is_some() => media_type::OCI_INDEX.to_owned(),
            (None, None) => return Err(ManifestError::NoType),
        };
        if media_type::is_media_type(&decided) { Ok(decided) } else { Err(ManifestError::MediaType(decided)) }
    }

    fn read(&self, media_type: String, kind: Kind) -> Result<Manifest, ManifestError> {
        let mut named = Named::collect();
        let mut config_type = None;
        match kind {
            Kind::Image => {
                let config = required(self.config, "config")?;
                config_type = descriptor(config, "config", false, &mut named)?;
                for (at, layer) in array(required(self.layers, "layers")?, "layers")?.into_iter().enumerate()
                {
                    descriptor(layer, &format!("layers[{at}]"), false, &mut named)?;
                }
            }
            Kind::Index => {
                for (at, child) in
                    array(required(self.manifests, "manifests")?, "manifests")?.into_iter().enumerate()
                {
                    descriptor(child, &format!("manifests[{at}]"), true, &mut named)?;
                }
            }
            Kind::Artifact => {
                for (at, blob) in
                    self.blobs.map_or(Ok(Vec::new()), |b| array(b, "blobs"))?.into_iter().enumerate()
                {
                    descriptor(blob, &format!("blobs[{at}]"), false, &mut named)?;
                }
            }
            Kind::Other => {}
        }
        // What an unknown kind of manifest means by a field is its own affair; it is used where it fits.
        let lenient = kind == Kind::Other;
        let artifact_type = match text_field(self.artifact_type, "artifactType") {
            Err(_) if lenient => None,
            other => other?.filter(|text| !text.is_empty()),
        };
        if let Some(text) = artifact_type.as_deref().filter(|text| !media_type::is_media_type(text))
            && !lenient
        {
            return Err(ManifestError::MediaType(text.to_owned()));
        }
        if kind == Kind::Image
            && artifact_type.is_none()
            && config_type.as_deref() == Some(media_type::OCI_EMPTY)
        {
            return Err(ManifestError::Field {
                field: "artifactType".to_owned(),
                problem: "is required where the config is the empty descriptor",
            });
        }
        let subject = match self.subject.filter(|subject| subject.get() != "null").map(subject_digest) {
            Some(Err(_)) if lenient => None,
            Some(subject) => subject?,
            None => None,
        };
        let annotations = match self.annotations.filter(|a| a.get() != "null") {
            None => BTreeMap::new(),
            Some(raw) => match serde_json::from_str(raw.get()) {
                Ok(annotations) => annotations,
                Err(_) if lenient => BTreeMap::new(),
                Err(_) => {
                    return Err(ManifestError::Field {
                        field: "annotations".to_owned(),
                        problem: "must be an object whose values are strings",
                    });
                }
            },
        };
        Ok(Manifest {
            media_type,
            named: named.finish(),
            subject,
            artifact_type: artifact_type.or(config_type),
            annotations,
        })
    }
}

/// Gathers what is named, each once. What is needed anywhere is not optional.
#[derive(Default)]
struct Collect(indexmap::IndexMap<(Digest, bool), bool>);

impl Named {
    fn collect() -> Collect {
        Collect::default()
    }
}

impl Collect {
    fn add(&mut self, digest: Digest, child: bool, optional: bool) {
        self.0.entry((digest, child)).and_modify(|known| *known &= optional).or_insert(optional);
    }

    fn finish(self) -> Vec<Named> {
        self.0.into_iter().map(|((digest, child), optional)| Named { digest, child, optional }).collect()
    }
}

fn required<'a>(value: Option<&'a RawValue>, field: &'static str) -> Result<&'a RawValue, ManifestError> {
    value.ok_or(ManifestError::Field { field: field.to_owned(), problem: "is missing" })
}

fn text_field(value: Option<&RawValue>, field: &'static str) -> Result<Option<String>, ManifestError> {
    value
        .map(|raw| serde_json::from_str::<Option<String>>(raw.get()))
        .transpose()
        .map(Option::flatten)
        .map_err(|_| ManifestError::Field { field: field.to_owned(), problem: "must be a string" })
}

/// An array; `null` (what Go writes for an empty one) is an empty array.
fn array<'a>(value: &'a RawValue, field: &'static str) -> Result<Vec<&'a RawValue>, ManifestError> {
    serde_json::from_str::<Option<Vec<&RawValue>>>(value.get())
        .map(Option::unwrap_or_default)
        .map_err(|_| ManifestError::Field { field: field.to_owned(), problem: "must be an array" })
}

/// Checks a descriptor, adds what it names and gives its media type.
fn descriptor(
    raw: &RawValue,
    field: &str,
    child: bool,
    named: &mut Collect,
) -> Result<Option<String>, ManifestError> {
    let wrong = |problem| ManifestError::Field { field: field.to_owned(), problem };
    let parsed: Descriptor = serde_json::from_str(raw.get()).map_err(|_| wrong("is no descriptor"))?;
    let digest = parsed.digest.as_deref().ok_or_else(|| wrong("has no digest"))?;
    let digest: Option<Digest> = match digest.parse() {
        Ok(digest) => Some(digest),
        // Of an algorithm that is not known here: kept, but not looked up.
        Err(DigestError::Unsupported) => None,
        Err(DigestError::Grammar) => return Err(wrong("has a malformed digest")),
    };
    if !parsed.size.is_some_and(|size| size.is_u64()) {
        return Err(wrong("has no size that is a whole number, zero or more"));
    }
    match parsed.media_type.as_deref() {
        Some(text) if media_type::is_media_type(text) => {}
        // Docker's clients leave it out in places; an empty one is as good as none.
        None | Some("") => {}
        Some(_) => return Err(wrong("has a malformed mediaType")),
    }
    if let Some(digest) = digest {
        let foreign = parsed.urls.is_some_and(|urls| !urls.is_empty())
            || parsed.media_type.as_deref().is_some_and(media_type::is_nondistributable);
        named.add(digest, child, foreign);
    }
    Ok(parsed.media_type.filter(|text| !text.is_empty()))
}

fn subject_digest(raw: &RawValue) -> Result<Option<Digest>, ManifestError> {
    let mut named = Collect::default();
    descriptor(raw, "subject", false, &mut named)?;
    Ok(named.finish().into_iter().next().map(|named| named.digest))
}

fn check_depth(text: &str) -> Result<(), ManifestError> {
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(ManifestError::Depth);
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn hex(n: u8) -> String {
        format!("sha256:{}", hex::encode([n; 32]))
    }

    fn desc(n: u8, media_type: &str) -> serde_json::Value {
        json!({"mediaType": media_type, "digest": hex(n), "size": 3})
    }

    fn image() -> serde_json::Value {
        json!({
            "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST,
            "config": desc(1, "application/vnd.oci.image.config.v1+json"),
            "layers": [desc(2, "application/vnd.oci.image.layer.v1.tar"), desc(2, "application/vnd.oci.image.layer.v1.tar")],
        })
    }

    fn parse(value: &serde_json::Value, content_type: Option<&str>) -> Result<Manifest, ManifestError> {
        Manifest::parse(&serde_json::to_vec(value).unwrap(), content_type)
    }

    #[test]
    fn image_names_config_and_layers_once() {
        let manifest =
            parse(&image(), Some("application/vnd.oci.image.manifest.v1+json; charset=utf-8")).unwrap();
        assert_eq!(manifest.media_type, media_type::OCI_MANIFEST);
        assert_eq!(manifest.named.iter().map(|n| n.digest.as_str()).collect::<Vec<_>>(), [hex(1), hex(2)]);
        assert_eq!(manifest.artifact_type.as_deref(), Some("application/vnd.oci.image.config.v1+json"));
    }

    /// Checklist 34.
    #[test]
    fn types_must_agree() {
        assert!(matches!(
            parse(&image(), Some(media_type::DOCKER_MANIFEST)),
            Err(ManifestError::TypeConflict { .. })
        ));
        let mut untyped = image();
        untyped.as_object_mut().unwrap().remove("mediaType");
        assert_eq!(
            parse(&untyped, Some(media_type::DOCKER_MANIFEST)).unwrap().media_type,
            media_type::DOCKER_MANIFEST
        );
        assert_eq!(parse(&untyped, None).unwrap().media_type, media_type::OCI_MANIFEST);
        assert_eq!(parse(&image(), None).unwrap().media_type, media_type::OCI_MANIFEST);
        assert_eq!(parse(&json!({}), None), Err(ManifestError::NoType));
        assert!(matches!(parse(&json!({}), Some("nonsense")), Err(ManifestError::MediaType(_))));
    }

    #[test]
    fn broken_manifests_are_refused() {
        let cases: &[(&str, serde_json::Value)] = &[
            ("schemaVersion", json!({"schemaVersion": 1})),
            ("schemaVersion", json!({"schemaVersion": "2"})),
            ("config", json!({"config": null})),
            ("config", json!({"config": []})),
            ("layers", json!({"layers": {}})),
            ("layers[0]", json!({"layers": [5]})),
            ("size", json!({"layers": [{"mediaType": "a/b", "digest": hex(1), "size": -1}]})),
            ("size", json!({"layers": [{"mediaType": "a/b", "digest": hex(1), "size": 1.5}]})),
            ("digest", json!({"layers": [{"mediaType": "a/b", "digest": "sha256:bad", "size": 1}]})),
            ("digest", json!({"layers": [{"mediaType": "a/b", "size": 1}]})),
            ("mediaType", json!({"layers": [{"mediaType": "ab", "digest": hex(1), "size": 1}]})),
            ("annotations", json!({"annotations": {"a": 1}})),
            ("artifactType", json!({"config": desc(1, media_type::OCI_EMPTY)})),
            ("subject", json!({"subject": {"digest": "x"}})),
        ];
        for (what, patch) in cases {
            let mut value = image();
            value.as_object_mut().unwrap().extend(patch.as_object().unwrap().clone());
            let error = parse(&value, None).unwrap_err().to_string();
            assert!(error.contains(what), "{what}: {error}");
        }
        for text in ["", "[]", "null", "{", "{}{}", "{} x", "\u{feff}{}"] {
            assert!(matches!(Manifest::parse(text.as_bytes(), None), Err(ManifestError::Json(_))), "{text}");
        }
        assert!(matches!(Manifest::parse(b"{\"a\":\"\xff\"}", None), Err(ManifestError::Json(_))));
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(200), "]".repeat(200));
        assert_eq!(Manifest::parse(deep.as_bytes(), None), Err(ManifestError::Depth));
        assert!(matches!(parse(&image_as(media_type::DOCKER_SCHEMA1), None), Err(ManifestError::Refused(_))));
    }

    fn image_as(media_type: &str) -> serde_json::Value {
        let mut value = image();
        value["mediaType"] = json!(media_type);
        value
    }

    /// Checklist 33.
    #[test]
    fn unknown_types_and_fields_are_kept() {
        let manifest =
            parse(&json!({"config": 5, "subject": "x", "annotations": 1}), Some("application/vnd.x+json"));
        assert_eq!(manifest.unwrap().named, []);
        let mut custom = image();
        custom["org.example.custom"] = json!({"a": [1, 2]});
        assert!(parse(&custom, None).is_ok());
    }

    #[test]
    fn foreign_layers_may_be_missing() {
        let mut value = image();
        value["layers"] = json!([
            desc(7, "application/vnd.oci.image.layer.nondistributable.v1.tar"),
            {"mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "digest": hex(8), "size": 1, "urls": ["https://x.example.com"]},
            {"mediaType": "a/b", "digest": "blake3:00", "size": 1},
        ]);
        let named = parse(&value, None).unwrap().named;
        assert_eq!(named.iter().map(|n| n.optional).collect::<Vec<_>>(), [false, true, true]);
    }

    /// Checklist 32.
    #[test]
    fn indexes() {
        let index = json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": [desc(1, media_type::OCI_MANIFEST)],
            "subject": desc(9, media_type::OCI_MANIFEST), "annotations": {"k": "v"}});
        let manifest = parse(&index, None).unwrap();
        assert!(manifest.named[0].child);
        assert_eq!(manifest.subject.unwrap().as_str(), hex(9));
        assert_eq!(manifest.artifact_type, None);
        for empty in [json!([]), json!(null)] {
            let index = json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": empty});
            assert_eq!(parse(&index, None).unwrap().named, []);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), header in prop::option::of("\\PC{0,20}")) {
            let _ = Manifest::parse(&bytes, header.as_deref());
        }

        #[test]
        fn what_parses_when_pushed_parses_when_stored(layers in prop::collection::vec(0u8..9, 0..6)) {
            let mut value = image();
            value["layers"] = layers.iter().map(|&n| desc(n, "a/b")).collect();
            let bytes = serde_json::to_vec(&value).unwrap();
            let pushed = Manifest::parse(&bytes, None).unwrap();
            prop_assert_eq!(Manifest::parse_stored(&bytes, &pushed.media_type).unwrap(), pushed);
        }
    }
}
