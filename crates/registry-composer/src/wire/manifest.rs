//! composer.json, as it is found in an archive: what of it clients are told, and what they could not bear.

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use indexmap::IndexMap;
use serde_json::{Map, Value, value::RawValue};

use super::{
    constraint::is_constraint,
    json::{compact, depth, raw},
};
use crate::names::{NameError, PackageName};

/// The deepest nesting.
const MAX_DEPTH: usize = 64;

/// The longest name of a dependency.
const MAX_LINK: usize = 191;

/// What stands for a key that is gone in minified metadata: it cannot be a value.
pub(crate) const UNSET: &str = "__unset";

/// Keys that are the registry's to say, or that mean nothing in a dependency.
const LEFT_OUT: [&str; 17] = [
    "name",
    "version",
    "version_normalized",
    "source",
    "dist",
    "time",
    "published-time",
    "repositories",
    "config",
    "minimum-stability",
    "prefer-stable",
    "transport-options",
    "notification-url",
    "installation-source",
    "default-branch",
    "uid",
    "minified",
];

/// Sections that name packages and constraints.
const LINKS: [&str; 5] = ["require", "require-dev", "conflict", "replace", "provide"];

/// Keys whose value the client takes for an object or a list without looking.
const LISTS: [&str; 8] =
    ["autoload", "autoload-dev", "archive", "extra", "include-path", "php-ext", "scripts", "suggest"];

/// A composer.json that was read.
#[derive(Clone, Debug)]
pub(crate) struct Manifest {
    pub(crate) name: PackageName,
    /// The version that it gives itself.
    pub(crate) version: Option<String>,
    /// When its author says that it was released.
    pub(crate) time: Option<DateTime<Utc>>,
    /// What clients are told, each value as it was written.
    pub(crate) fields: IndexMap<String, Box<RawValue>>,
}

/// Why a composer.json cannot be published.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ManifestError {
    #[error("composer.json: {0}")]
    Invalid(String),
    #[error("composer.json: {0}")]
    Json(#[source] serde_json::Error),
    #[error("composer.json: {0}")]
    Name(#[from] NameError),
}

fn invalid(text: impl Into<String>) -> ManifestError {
    ManifestError::Invalid(text.into())
}

impl Manifest {
    /// Reads and checks the text of a composer.json.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, ManifestError> {
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        let value: Value = serde_json::from_slice(text).map_err(ManifestError::Json)?;
        if depth(&value) > MAX_DEPTH {
            return Err(invalid(format!("it is nested more than {MAX_DEPTH} levels deep")));
        }
        let Value::Object(map) = &value else { return Err(invalid("it is not an object")) };
        let name = match map.get("name") {
            Some(Value::String(name)) => name.parse::<PackageName>()?,
            _ => return Err(invalid("it has no name")),
        };
        check(map, &name)?;
        let version = match map.get("version") {
            None | Some(Value::Null) => None,
            Some(Value::String(version)) => Some(version.clone()),
            Some(_) => return Err(invalid("the version is not a text")),
        };
        let time = map.get("time").and_then(Value::as_str).and_then(parse_time);
        let raws: IndexMap<String, Box<RawValue>> =
            serde_json::from_slice(text).map_err(ManifestError::Json)?;
        let mut fields = IndexMap::with_capacity(raws.len());
        for (key, value) in raws {
            let field = map.get(&key).unwrap_or(&Value::Null);
            let kept = match (key.as_str(), field) {
                (key, _) if LEFT_OUT.contains(&key) => continue,
                // Clients know neither; a list is what they make of the one.
                (_, Value::Null) => continue,
                ("license" | "licence", Value::String(_)) => {
                    raw(&Value::from(vec![field.clone()])).map_err(ManifestError::Json)?
                }
                ("abandoned", Value::Bool(true) | Value::String(_)) => compact(&value),
                ("abandoned", _) => continue,
                _ => compact(&value),
            };
            fields.insert(key, kept);
        }
        Ok(Self { name, version, time, fields })
    }
}

fn check(map: &Map<String, Value>, name: &PackageName) -> Result<(), ManifestError> {
    for (key, value) in map {
        if value.as_str() == Some(UNSET) {
            return Err(invalid(format!("{key} is \"{UNSET}\", which means that it is not there")));
        }
        if key.is_empty() || key.contains('\0') {
            return Err(invalid("it has a key without a name"));
        }
    }
    for section in LINKS {
        links(section, map.get(section), name)?;
    }
    for key in LISTS {
        match map.get(key) {
            None | Some(Value::Null | Value::Object(_) | Value::Array(_)) => {}
            Some(_) => return Err(invalid(format!("{key} is neither an object nor a list"))),
        }
    }
    for key in ["autoload", "autoload-dev", "include-path", "target-dir"] {
        if let Some(path) = map.get(key).and_then(escaping) {
            return Err(invalid(format!("{key} leads outside the package: {path:?}")));
        }
    }
    let texts = |value: &Value| match value {
        Value::String(_) => true,
        Value::Array(list) => list.iter().all(Value::is_string),
        _ => false,
    };
    if let Some(bin) = map.get("bin").filter(|bin| !bin.is_null()) {
        let list = bin.as_array().map_or(std::slice::from_ref(bin), Vec::as_slice);
        let bad = |path: &str| path.starts_with(['/', '\\']) || path.contains(':') || leads_outside(path);
        if !texts(bin) || list.iter().filter_map(Value::as_str).any(bad) {
            return Err(invalid("bin is not a list of paths inside the package"));
        }
    }
    match map.get("type") {
        None | Some(Value::Null) => {}
        Some(Value::String(kind))
            if !kind.is_empty() && kind.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') => {}
        Some(_) => return Err(invalid("the type is not a word of letters, digits and hyphens")),
    }
    if map.get("license").is_some_and(|license| !license.is_null() && !texts(license)) {
        return Err(invalid("the license is neither a text nor a list of texts"));
    }
    for key in ["description", "homepage", "target-dir"] {
        if map.get(key).is_some_and(|value| !value.is_null() && !value.is_string()) {
            return Err(invalid(format!("{key} is not a text")));
        }
    }
    Ok(())
}

fn links(section: &str, value: Option<&Value>, name: &PackageName) -> Result<(), ManifestError> {
    let map = match value {
        None | Some(Value::Null) => return Ok(()),
        // PHP writes an empty object so.
        Some(Value::Array(list)) if list.is_empty() => return Ok(()),
        Some(Value::Object(map)) => map,
        Some(_) => return Err(invalid(format!("{section} is not an object of names and constraints"))),
    };
    for (link, constraint) in map {
        let plain = !link.is_empty()
            && link.len() <= MAX_LINK
            && link.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'/'));
        let shown: String = link.chars().take(MAX_LINK).collect();
        if !plain {
            return Err(invalid(format!("{section} names {shown:?}, which is no package")));
        }
        if section.starts_with("require") && link.eq_ignore_ascii_case(name.as_str()) {
            return Err(invalid(format!("{section} names the package itself")));
        }
        let Value::String(constraint) = constraint else {
            return Err(invalid(format!("{section}.{shown} is not a text")));
        };
        if constraint != "self.version" && !is_constraint(constraint) {
            let constraint: String = constraint.chars().take(MAX_LINK).collect();
            return Err(invalid(format!(
                "{section}.{shown} has the constraint {constraint:?}, which Composer cannot read"
            )));
        }
    }
    Ok(())
}

/// A path among a value's texts that leads outside.
fn escaping(value: &Value) -> Option<String> {
    match value {
        Value::String(path) if leads_outside(path) => Some(path.chars().take(MAX_LINK).collect()),
        Value::Array(list) => list.iter().find_map(escaping),
        Value::Object(map) => map.values().find_map(escaping),
        _ => None,
    }
}

fn leads_outside(path: &str) -> bool {
    let mut inside = 0_i64;
    for part in path.split(['/', '\\']) {
        match part {
            "" | "." => {}
            ".." => inside -= 1,
            _ => inside += 1,
        }
        if inside < 0 {
            return true;
        }
    }
    path.contains('\0')
}

fn parse_time(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.to_utc());
    }
    if let Ok(time) = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S") {
        return Some(time.and_utc());
    }
    Some(NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0)?.and_utc())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<Manifest, String> {
        Manifest::parse(text.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn checklist_11_everything_that_consumers_need_survives() {
        let text = r#"{ "name": "acme/lib", "version": "1.0", "license": "MIT", "time": "2026-01-02",
            "replace": { "acme/old": "self.version" }, "conflict": {"acme/x": "<1"}, "provide": {"psr/log-implementation": "1.0"},
            "suggest": {"ext-json": "for speed"}, "extra": { "branch-alias": { "dev-main": "1.x-dev" }, "z": 1, "a": 2 },
            "bin": ["bin/run"], "autoload": {"psr-4": {"Acme\\": "src/"}}, "unknown-key": {"x": []}, "require": [],
            "repositories": [], "config": {}, "transport-options": {}, "minimum-stability": "dev", "dist": {"url": "x"} }"#;
        let found = parse(&format!("\u{feff}{text}")).unwrap();
        assert_eq!(found.version.as_deref(), Some("1.0"));
        assert_eq!(found.time.unwrap().to_rfc3339(), "2026-01-02T00:00:00+00:00");
        let keys: Vec<&str> = found.fields.keys().map(String::as_str).collect();
        assert_eq!(
            keys,
            [
                "license",
                "replace",
                "conflict",
                "provide",
                "suggest",
                "extra",
                "bin",
                "autoload",
                "unknown-key",
                "require"
            ]
        );
        assert_eq!(found.fields["license"].get(), r#"["MIT"]"#);
        assert_eq!(found.fields["extra"].get(), r#"{"branch-alias":{"dev-main":"1.x-dev"},"z":1,"a":2}"#);
        assert_eq!(found.fields["require"].get(), "[]");
    }

    #[test]
    fn what_clients_could_not_bear_is_refused() {
        for (fields, why) in [
            (r#""require": {"acme/lib": "*"}"#, "names the package itself"),
            (r#""require": {"a/b": "latest"}"#, "cannot read"),
            (r#""require": {"a/b": 1}"#, "not a text"),
            (r#""require": {"a b": "*"}"#, "no package"),
            (r#""require": "a/b""#, "not an object"),
            (r#""bin": "../x""#, "bin"),
            (r#""bin": ["/bin/sh"]"#, "bin"),
            (r#""bin": [1]"#, "bin"),
            (r#""type": "a b""#, "type"),
            (r#""type": 1"#, "type"),
            (r#""autoload": {"psr-4": {"A\\": "src/../../x"}}"#, "outside"),
            (r#""autoload": {"files": ["../x.php"]}"#, "outside"),
            (r#""autoload": "x""#, "neither"),
            (r#""php-ext": "x""#, "neither"),
            (r#""target-dir": "..""#, "outside"),
            (r#""description": "__unset""#, "__unset"),
            (r#""description": []"#, "not a text"),
            (r#""license": {"a": 1}"#, "license"),
            (r#""description": "\ud800""#, "hex escape"),
            (r#""version": 1"#, "version"),
        ] {
            let error = parse(&format!(r#"{{"name": "acme/lib", {fields}}}"#)).unwrap_err();
            assert!(error.contains(why), "{fields}: {error}");
        }
        for text in
            ["", "[]", "{}", "{\"name\": \"Acme/Lib\"}", "{\"name\": \"acme/lib\"} x", "{\"name\": 1}"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
        let deep = format!(r#"{{"name": "acme/lib", "extra": {}{}}}"#, "[".repeat(64), "]".repeat(64));
        assert!(parse(&deep).unwrap_err().contains("64 levels"));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,60}", key in "[a-z-]{1,12}", value in "(\\[|\\{|\"[.a-z/]{0,8}\"|1|\\]|\\}|,|:){0,6}") {
            let _ = parse(&text);
            let _ = parse(&format!("{{\"name\":\"a/b\",\"{key}\":{value}}}"));
        }
    }
}
