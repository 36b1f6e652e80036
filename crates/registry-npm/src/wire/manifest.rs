//! A version's manifest: taken apart once, when it is published, and joined from its parts ever after.
//!
//! The parts are JSON text: what installers read (the abbreviated form), and the rest. Fields that are the
//! registry's own (`dist`, `_id`, maintainers, publisher, deprecation) are in neither.

use std::fmt::Write as _;

use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::json::ObjectWriter;
use crate::{names::PackageName, version::Version};

/// The fields of the abbreviated form.
pub(crate) const INSTALL: [&str; 22] = [
    "name",
    "version",
    "dependencies",
    "devDependencies",
    "optionalDependencies",
    "peerDependencies",
    "peerDependenciesMeta",
    "acceptDependencies",
    "bundleDependencies",
    "bundledDependencies",
    "bin",
    "directories",
    "engines",
    "os",
    "cpu",
    "libc",
    "funding",
    "hasInstallScript",
    "_hasShrinkwrap",
    "dependenciesMeta",
    "packageManager",
    "devEngines",
];

/// The fields that the registry itself writes: whatever the client sent there is dropped.
const OWN: [&str; 11] = [
    "_id",
    "_rev",
    "_attachments",
    "_npmUser",
    "dist",
    "maintainers",
    "deprecated",
    "readme",
    "time",
    "users",
    "hasInstallScript",
];

/// A manifest as it was published, taken apart.
#[derive(Clone, Debug)]
pub(crate) struct Manifest {
    /// What installers read, as a JSON object.
    pub(crate) install: Box<RawValue>,
    /// Everything else, as a JSON object.
    pub(crate) rest: Box<RawValue>,
    /// A deprecation message sent along.
    pub(crate) deprecated: Option<String>,
    /// The readme sent along.
    pub(crate) readme: Option<String>,
    /// The readme's file name.
    pub(crate) readme_file: Option<String>,
    /// What the client says of the tarball.
    pub(crate) dist: ClientDist,
}

/// What a client says of a tarball. Where it stands, and signatures, are the registry's to say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ClientDist {
    /// SHA-1 in hex.
    #[serde(default)]
    pub(crate) shasum: Option<String>,
    /// Subresource integrity: one or more of `sha512-<base64>`.
    #[serde(default)]
    pub(crate) integrity: Option<String>,
    /// How many files.
    #[serde(default)]
    pub(crate) file_count: Option<u64>,
    /// Their bytes.
    #[serde(default)]
    pub(crate) unpacked_size: Option<u64>,
}

/// Why a manifest is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ManifestError {
    #[error("the manifest of version {0} cannot be read: {1}")]
    Unreadable(String, &'static str),
    #[error("the manifest's {field} is \"{found}\" where {expected} is published")]
    Other { field: &'static str, found: String, expected: String },
    #[error("this package is marked private: remove \"private\" from its package.json to publish it")]
    Private,
}

impl Manifest {
    /// Takes the manifest of `name` and the version that the document's `versions` key names apart.
    pub(crate) fn parse(
        name: &PackageName,
        version: &Version,
        raw: &RawValue,
    ) -> Result<Self, ManifestError> {
        let unreadable = |what| ManifestError::Unreadable(version.to_string(), what);
        let fields: IndexMap<String, &RawValue> =
            serde_json::from_str(raw.get()).map_err(|_| unreadable("it is not an object"))?;
        let text = |key: &str| fields.get(key).and_then(|raw| serde_json::from_str::<String>(raw.get()).ok());
        let other = |field, found: Option<String>, expected: &str| ManifestError::Other {
            field,
            found: found.unwrap_or_default().chars().take(256).collect(),
            expected: expected.to_owned(),
        };

        let found = text("name");
        if found.as_deref() != Some(name.as_str()) {
            return Err(other("name", found, name.as_str()));
        }
        let found = text("version");
        if found.as_deref().and_then(|found| found.parse::<Version>().ok()).as_ref() != Some(version) {
            return Err(other("version", found, version.as_str()));
        }
        if fields.get("private").is_some_and(|raw| raw.get() == "true") {
            return Err(ManifestError::Private);
        }
        let dist = match fields.get("dist") {
            Some(raw) => serde_json::from_str::<Option<ClientDist>>(raw.get())
                .map_err(|_| unreadable("its dist is not as npm writes it"))?
                .unwrap_or_default(),
            None => ClientDist::default(),
        };

        let (mut install, mut rest) = (Vec::new(), Vec::new());
        let mut install_writer = ObjectWriter::new(&mut install);
        let mut rest_writer = ObjectWriter::new(&mut rest);
        for (key, &raw) in &fields {
            match key.as_str() {
                own if OWN.contains(&own) => {}
                "version" => install_writer.member(key, version),
                "bin" => match normalized_bin(name, raw) {
                    Some(bin) => install_writer.member(key, &bin),
                    None => install_writer.raw(key, raw),
                },
                read if INSTALL.contains(&read) => install_writer.raw(key, raw),
                _ => rest_writer.raw(key, raw),
            }
        }
        if has_install_script(&fields) {
            install_writer.member("hasInstallScript", &true);
        }
        install_writer.end();
        rest_writer.end();
        let object = |bytes: Vec<u8>| {
            String::from_utf8(bytes)
                .ok()
                .and_then(|text| RawValue::from_string(text).ok())
                .ok_or_else(|| unreadable("it cannot be written again"))
        };
        Ok(Self {
            install: object(install)?,
            rest: object(rest)?,
            deprecated: text("deprecated").filter(|message| !message.is_empty()),
            readme: text("readme"),
            readme_file: text("readmeFilename"),
            dist,
        })
    }
}

impl ClientDist {
    /// The SHA-512 in lowercase hex that the integrity names, if it names one that can be read.
    pub(crate) fn sha512(&self) -> Result<Option<String>, InvalidIntegrity> {
        use base64::Engine as _;
        let Some(integrity) = &self.integrity else { return Ok(None) };
        let mut found = None;
        for hash in integrity.split_whitespace() {
            let (algorithm, value) = hash.split_once('-').ok_or(InvalidIntegrity)?;
            if algorithm != "sha512" {
                continue;
            }
            let value = value.split('?').next().unwrap_or_default();
            let bytes =
                base64::engine::general_purpose::STANDARD.decode(value).map_err(|_| InvalidIntegrity)?;
            if bytes.len() != 64 {
                return Err(InvalidIntegrity);
            }
            let mut text = String::with_capacity(128);
            for byte in bytes {
                // Writing to a string cannot fail.
                let _ = write!(text, "{byte:02x}");
            }
            found = Some(text);
        }
        Ok(found)
    }
}

/// An integrity that is not `<algorithm>-<base64>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("dist.integrity is not of the form sha512-<base64>")]
pub(crate) struct InvalidIntegrity;

/// `bin` as a map: a single path is the command named as the package.
fn normalized_bin(name: &PackageName, raw: &RawValue) -> Option<IndexMap<String, String>> {
    let path = serde_json::from_str::<String>(raw.get()).ok()?;
    Some(IndexMap::from([(name.base().to_owned(), path)]))
}

/// Whether installing runs something: a script, or a native addon's build.
pub(crate) fn has_install_script(fields: &IndexMap<String, &RawValue>) -> bool {
    let script = fields.get("scripts").is_some_and(|raw| {
        serde_json::from_str::<IndexMap<String, serde::de::IgnoredAny>>(raw.get()).is_ok_and(|scripts| {
            ["preinstall", "install", "postinstall"].iter().any(|name| scripts.contains_key(*name))
        })
    });
    let truthy =
        |key: &str| fields.get(key).is_some_and(|raw| !matches!(raw.get(), "false" | "null" | "\"\"" | "0"));
    script || truthy("gypfile") || truthy("hasInstallScript")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn parse(manifest: &Value) -> Result<Manifest, ManifestError> {
        let raw = serde_json::value::to_raw_value(manifest).unwrap();
        Manifest::parse(&"@acme/lib".parse().unwrap(), &"1.0.0".parse().unwrap(), &raw)
    }

    fn parts(manifest: &Value) -> (Value, Value) {
        let parsed = parse(manifest).unwrap();
        (
            serde_json::from_str(parsed.install.get()).unwrap(),
            serde_json::from_str(parsed.rest.get()).unwrap(),
        )
    }

    #[test]
    fn a_manifest_is_split_in_what_installers_read_and_the_rest() {
        let (install, rest) = parts(&json!({
            "name": "@acme/lib", "version": "v1.0.0", "description": "d", "dependencies": {"a": "^1", "__proto__": "1"},
            "bin": "./cli.js", "bundleDependencies": true, "scripts": {"test": "x"}, "_nodeVersion": "22.0.0",
            "dist": {"tarball": "http://elsewhere.example.com/x.tgz"}, "_id": "x", "maintainers": [], "libc": ["glibc"],
        }));
        assert_eq!(
            install,
            json!({"name": "@acme/lib", "version": "1.0.0", "dependencies": {"a": "^1", "__proto__": "1"},
                   "bin": {"lib": "./cli.js"}, "bundleDependencies": true, "libc": ["glibc"]})
        );
        assert_eq!(rest, json!({"description": "d", "scripts": {"test": "x"}, "_nodeVersion": "22.0.0"}));
    }

    #[test]
    fn install_scripts_are_told() {
        for (extra, want) in [
            (json!({"scripts": {"postinstall": "x"}}), true),
            (json!({"scripts": {"install": "x"}}), true),
            (json!({"gypfile": true}), true),
            (json!({"gypfile": false, "scripts": {"prepare": "x"}}), false),
            (json!({}), false),
        ] {
            let mut manifest = json!({"name": "@acme/lib", "version": "1.0.0"});
            manifest.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            assert_eq!(parts(&manifest).0.get("hasInstallScript") == Some(&json!(true)), want, "{extra}");
        }
    }

    #[test]
    fn another_name_or_version_or_a_private_package_is_refused() {
        for (manifest, want) in [
            (json!({"version": "1.0.0"}), "name"),
            (json!({"name": "lib", "version": "1.0.0"}), "name"),
            (json!({"name": "@acme/lib", "version": "1.0.1"}), "version"),
            (json!({"name": "@acme/lib", "version": 1}), "version"),
            (json!({"name": "@acme/lib", "version": "1.0.0", "private": true}), "private"),
            (json!({"name": "@acme/lib", "version": "1.0.0", "dist": 1}), "dist"),
            (json!([1]), "object"),
        ] {
            let error = parse(&manifest).unwrap_err().to_string();
            assert!(error.contains(want), "{manifest}: {error}");
        }
    }

    #[test]
    fn large_numbers_and_odd_keys_survive() {
        let parsed = Manifest::parse(
            &"a".parse().unwrap(),
            &"1.0.0".parse().unwrap(),
            &RawValue::from_string(
                r#"{"name":"a","version":"1.0.0","big":12345678901234567890123,"constructor":{"x":1.50}}"#
                    .into(),
            )
            .unwrap(),
        )
        .unwrap();
        assert_eq!(parsed.rest.get(), r#"{"big":12345678901234567890123,"constructor":{"x":1.50}}"#);
    }

    /// Any JSON, a few levels deep.
    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "\\PC{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::hash_map("\\PC{0,8}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn whatever_a_field_holds_it_is_kept_or_dropped_whole(
            key in prop_oneof![prop::sample::select([INSTALL.as_slice(), OWN.as_slice()].concat()).prop_map(str::to_owned), "\\PC{0,12}"],
            value in any_json(),
        ) {
            let mut manifest = json!({"name": "@acme/lib", "version": "1.0.0"});
            manifest.as_object_mut().unwrap().insert(key.clone(), value.clone());
            if let Ok(parsed) = parse(&manifest) {
                let install: Value = serde_json::from_str(parsed.install.get()).unwrap();
                let rest: Value = serde_json::from_str(parsed.rest.get()).unwrap();
                let own = OWN.contains(&key.as_str());
                prop_assert!(install.get(&key).is_none() || rest.get(&key).is_none());
                if !own && key != "bin" && key != "version" {
                    prop_assert_eq!(install.get(&key).or(rest.get(&key)), Some(&value));
                }
                prop_assert_eq!(&install["name"], "@acme/lib");
                prop_assert_eq!(&install["version"], "1.0.0");
            }
        }

        #[test]
        fn no_integrity_panics(text in "(sha512-|sha1-|\\PC){0,6}[A-Za-z0-9+/=?]{0,100}") {
            let _ = ClientDist { integrity: Some(text), ..ClientDist::default() }.sha512();
        }
    }

    #[test]
    fn integrities() {
        let dist = |text: &str| ClientDist { integrity: Some(text.to_owned()), ..ClientDist::default() };
        let sha512 = format!("sha512-{}", base64_of(&[1; 64]));
        assert_eq!(dist(&sha512).sha512().unwrap().unwrap(), "01".repeat(64));
        assert_eq!(dist(&format!("sha1-x {sha512}?opt")).sha512().unwrap().unwrap(), "01".repeat(64));
        assert_eq!(dist("sha1-abc").sha512(), Ok(None));
        for bad in ["sha512", "sha512-x", "sha512-YWJj"] {
            assert_eq!(dist(bad).sha512(), Err(InvalidIntegrity), "{bad}");
        }
    }

    fn base64_of(bytes: &[u8]) -> String {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(bytes)
    }
}
