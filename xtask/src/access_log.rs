//! The server's access lines, and what a suite expects of them.

use std::fmt;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::str::FromStr;

use anyhow::{Context, Error, Result, anyhow, bail};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::Value;

/// One request, as the server logged it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Line {
    pub(crate) request_id: String,
    pub(crate) actor: String,
    pub(crate) protocol: String,
    pub(crate) method: String,
    /// The path with `%xx` decoded, and without the query.
    pub(crate) path: String,
    pub(crate) status: u16,
    pub(crate) bytes: u64,
    pub(crate) duration_ms: f64,
    /// When the request came, to a millisecond: its line may be written after the client has ended.
    pub(crate) began: DateTime<Utc>,
}

/// An expected request: `METHOD PATH STATUS ACTOR`.
///
/// `*` in the path stands for any run of characters, also for `/`. Method and status may be lists (`200,304`); method
/// and actor may be `*` when any will do.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Expected {
    method: Vec<String>,
    path: String,
    status: Vec<u16>,
    actor: String,
}

/// Reads the lines that were written after `from`; returns where the last whole one ended.
pub(crate) fn read_since(file: &Path, from: u64) -> Result<(Vec<Line>, u64)> {
    let mut log = File::open(file).with_context(|| format!("could not open {}", file.display()))?;
    log.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    log.read_to_end(&mut bytes)?;
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let text = String::from_utf8_lossy(bytes.get(..whole).unwrap_or_default()).into_owned();
    let mut lines = Vec::new();
    for raw in text.lines() {
        let line = parse(raw).with_context(|| format!("an access line is not as it should be: {raw}"))?;
        lines.extend(line);
    }
    Ok((lines, from + whole as u64))
}

/// An access line; `None` for any other line of the log, an error for one that lacks a field.
fn parse(raw: &str) -> Result<Option<Line>> {
    let Ok(Value::Object(fields)) = serde_json::from_str::<Value>(raw) else { return Ok(None) };
    let field =
        |name: &str| fields.get(name).or_else(|| fields.get("fields").and_then(|inner| inner.get(name)));
    if field("method").is_none() || field("status").is_none() {
        return Ok(None);
    }
    let text = |name: &str| {
        let value = field(name).and_then(Value::as_str).filter(|value| !value.is_empty());
        value.map(str::to_owned).ok_or_else(|| anyhow!("no `{name}`"))
    };
    let number = |name: &str| field(name).and_then(Value::as_f64).ok_or_else(|| anyhow!("no `{name}`"));
    let duration_ms = number("duration_ms")?;
    let written: DateTime<Utc> = text("timestamp")?.parse().context("`timestamp` is no time")?;
    let took =
        std::time::Duration::try_from_secs_f64(duration_ms / 1e3).context("`duration_ms` is no time")?;
    let status = field("status").and_then(Value::as_u64).and_then(|status| u16::try_from(status).ok());
    Ok(Some(Line {
        request_id: text("request_id")?,
        actor: text("actor")?,
        protocol: text("protocol")?,
        method: text("method")?,
        path: decoded(text("path")?.split('?').next().unwrap_or_default()),
        status: status.ok_or_else(|| anyhow!("`status` is no status"))?,
        bytes: field("bytes").and_then(Value::as_u64).ok_or_else(|| anyhow!("no `bytes`"))?,
        duration_ms,
        began: written - TimeDelta::from_std(took)?,
    }))
}

impl Expected {
    /// Whether a line is the one that is expected.
    pub(crate) fn matches(&self, line: &Line) -> bool {
        self.method.iter().any(|method| *method == "*" || *method == line.method)
            && self.status.contains(&line.status)
            && (self.actor == "*" || self.actor == line.actor)
            && glob(&self.path, &line.path)
    }
}

impl FromStr for Expected {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let [method, path, status, actor] = text.split_whitespace().collect::<Vec<_>>()[..] else {
            bail!("`{text}` is not METHOD PATH STATUS ACTOR");
        };
        let status = status
            .split(',')
            .map(|one| one.parse().map_err(|_| anyhow!("`{one}` in `{text}` is no status")))
            .collect::<Result<_>>()?;
        let method = method.split(',').map(str::to_owned).collect();
        Ok(Self { method, path: decoded(path), status, actor: actor.to_owned() })
    }
}

impl TryFrom<String> for Expected {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status: Vec<String> = self.status.iter().map(u16::to_string).collect();
        write!(f, "{} {} {} {}", self.method.join(","), self.path, status.join(","), self.actor)
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} {}", self.method, self.path, self.status, self.actor)
    }
}

/// Whether `text` has the shape of `pattern`, in which `*` stands for any run of characters.
fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let parts: Vec<&str> = parts.collect();
    for (at, part) in parts.iter().enumerate() {
        if at + 1 == parts.len() {
            return rest.ends_with(part);
        }
        let Some(found) = rest.find(part) else { return false };
        rest = rest.get(found + part.len()..).unwrap_or_default();
    }
    rest.is_empty()
}

/// A path with its `%xx` decoded; what is no valid escape stays.
fn decoded(path: &str) -> String {
    let bytes = path.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let escaped = (*byte == b'%').then(|| path.get(at + 1..at + 3)).flatten();
        if let Some(value) = escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            out.push(value);
            at += 3;
        } else {
            out.push(*byte);
            at += 1;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RAW: &str = r#"{"timestamp":"2026-03-04T05:06:07.008Z","level":"INFO","message":"request","request_id":"r1","actor":"alice","protocol":"npm",
        "method":"PUT","path":"/npm/@acme%2Flib?x=1","status":201,"bytes":12,"duration_ms":1.5}"#;

    #[test]
    fn an_access_line_is_read_wherever_its_fields_are() {
        let line = parse(RAW).unwrap().unwrap();
        assert_eq!((line.path.as_str(), line.status, line.bytes), ("/npm/@acme/lib", 201, 12));
        assert_eq!(line.began.to_rfc3339(), "2026-03-04T05:06:07.006500+00:00");
        let nested = format!("{{\"fields\":{RAW}}}");
        assert_eq!(parse(&nested).unwrap().unwrap(), line);
    }

    #[test]
    fn a_line_that_lacks_a_field_is_an_error_and_another_line_is_none() {
        assert!(parse(r#"{"method":"GET","status":200}"#).is_err());
        assert!(parse(r#"{"message":"started"}"#).unwrap().is_none());
        assert!(parse("listening on http://127.0.0.1:1").unwrap().is_none());
    }

    #[test]
    fn expectations_match_by_pattern() {
        let line = parse(RAW).unwrap().unwrap();
        let expect = |text: &str| text.parse::<Expected>().unwrap().matches(&line);
        assert!(expect("PUT /npm/@acme%2flib 201 alice"));
        assert!(expect("PUT /npm/*lib 200,201 *"));
        assert!(!expect("PUT /npm/@acme%2flib 201 bob"));
        assert!(!expect("PUT /npm/@acme 201 alice"));
        assert!(!expect("GET /npm/@acme/lib 201 alice"));
        assert!("PUT /npm 201".parse::<Expected>().is_err());
    }

    #[test]
    fn a_star_stands_for_any_run() {
        assert!(glob("/a/*/c", "/a/b/x/c") && glob("*", "") && glob("/a*", "/a") && glob("a*b*c", "axbxc"));
        assert!(!glob("/a/*/c", "/a/b/d") && !glob("a*b*c", "acb") && !glob("", "a"));
    }
}
