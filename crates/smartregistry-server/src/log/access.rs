//! The access log: one line a request, written when its answer has been sent.

use std::{io::Write, net::IpAddr, time::Duration};

use http::{Method, StatusCode};

use super::Sink;

/// What is told of a request.
#[derive(Debug)]
pub(crate) struct Access<'a> {
    /// The request's id, as the client got it in `X-Request-Id`.
    pub(crate) request_id: &'a str,
    /// The client's address.
    pub(crate) client: IpAddr,
    /// The user's name, or `anonymous`.
    pub(crate) actor: &'a str,
    /// The protocol, or `server` for the server's own pages.
    pub(crate) protocol: &'a str,
    /// The request's method.
    pub(crate) method: &'a Method,
    /// The request's path without its query, which may hold secrets.
    pub(crate) path: &'a str,
    /// The answer's status; 499 where the client went away before there was one.
    pub(crate) status: StatusCode,
    /// How many bytes of the answer's body were sent.
    pub(crate) bytes: u64,
    /// From the request's headers to the end of the answer's body.
    pub(crate) duration: Duration,
}

/// Writes access lines in one of the two forms.
#[derive(Debug, Clone)]
pub(crate) struct AccessLog {
    sink: Sink,
    json: bool,
}

impl AccessLog {
    /// A log of JSON objects or of text for people.
    pub(crate) fn new(sink: Sink, json: bool) -> Self {
        AccessLog { sink, json }
    }

    /// Appends the line of a request.
    pub(crate) fn write(&self, access: &Access<'_>) {
        self.sink.line(|out, now| if self.json { json(out, now, access) } else { human(out, now, access) });
    }
}

fn json(out: &mut Vec<u8>, now: &str, access: &Access<'_>) {
    out.extend_from_slice(b"{\"timestamp\":\"");
    out.extend_from_slice(now.as_bytes());
    out.extend_from_slice(
        b"\",\"level\":\"INFO\",\"target\":\"access\",\"message\":\"request\",\"request_id\":\"",
    );
    escape(out, access.request_id);
    out.extend_from_slice(b"\",\"client\":\"");
    address(out, access.client);
    out.extend_from_slice(b"\",\"actor\":\"");
    escape(out, access.actor);
    out.extend_from_slice(b"\",\"protocol\":\"");
    out.extend_from_slice(access.protocol.as_bytes());
    out.extend_from_slice(b"\",\"method\":\"");
    out.extend_from_slice(access.method.as_str().as_bytes());
    out.extend_from_slice(b"\",\"path\":\"");
    masked(access.path, |part| escape(out, part));
    out.extend_from_slice(b"\",\"status\":");
    out.extend_from_slice(access.status.as_str().as_bytes());
    out.extend_from_slice(b",\"bytes\":");
    decimal(out, access.bytes);
    out.extend_from_slice(b",\"duration_ms\":");
    let micros = u64::try_from(access.duration.as_micros()).unwrap_or(u64::MAX);
    decimal(out, micros / 1000);
    out.push(b'.');
    thousandths(out, micros % 1000);
    out.extend_from_slice(b"}\n");
}

// One line is written a request, so what is in every line is written without the machinery of `format!`.

/// Appends a number.
fn decimal(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [b'0'; 20];
    let mut at = digits.len();
    while let Some(digit) = at.checked_sub(1).and_then(|next| digits.get_mut(next)) {
        *digit = b'0' + u8::try_from(number % 10).unwrap_or(0);
        at -= 1;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(at..).unwrap_or_default());
}

/// Appends three digits of a number below 1,000.
fn thousandths(out: &mut Vec<u8>, number: u64) {
    for digit in [number / 100 % 10, number / 10 % 10, number % 10] {
        out.push(b'0' + u8::try_from(digit).unwrap_or(0));
    }
}

/// Appends an address.
fn address(out: &mut Vec<u8>, address: IpAddr) {
    let IpAddr::V4(four) = address else {
        // Writing to a vector cannot fail.
        let _ = write!(out, "{address}");
        return;
    };
    for (at, octet) in four.octets().into_iter().enumerate() {
        if at > 0 {
            out.push(b'.');
        }
        decimal(out, u64::from(octet));
    }
}

fn human(out: &mut Vec<u8>, now: &str, access: &Access<'_>) {
    let time = now.get(11..).unwrap_or(now).trim_end_matches('Z');
    // Writing to a vector cannot fail, here and below.
    let _ = write!(out, "{time} {} {} ", access.status.as_u16(), access.method);
    masked(access.path, |part| printable(out, part));
    let micros = access.duration.as_micros();
    let _ = writeln!(
        out,
        "  {} B in {}.{:03} ms  {} {} {} {}",
        access.bytes,
        micros / 1000,
        micros % 1000,
        access.protocol,
        access.actor,
        access.client,
        access.request_id
    );
}

/// Marks after which a segment of npm's own paths is a secret: a token, or the session of a web login.
const NPM_SECRETS: [&str; 3] = ["/-/user/token/", "/tokens/token/", "/-/v1/login/done/"];

/// The mark after which a segment of an OCI path is the id of an upload, which is half a secret.
const OCI_UPLOAD: &str = "/blobs/uploads/";

/// So much of an upload's id is shown, enough to tell one from another.
const SHOWN: usize = 8;

/// What our tokens begin with, wherever they stand.
const TOKEN: &str = "srt_";

/// Gives the path in pieces, with asterisks for what is secret in it.
fn masked(path: &str, mut piece: impl FnMut(&str)) {
    let secret = if path.contains("/-/") {
        NPM_SECRETS.iter().filter_map(|mark| path.find(mark).map(|at| at + mark.len())).min()
    } else if path.contains(OCI_UPLOAD) {
        path.rfind(OCI_UPLOAD).map(|at| (at + OCI_UPLOAD.len() + SHOWN).min(path.len()))
    } else {
        None
    };
    let secret = secret.into_iter().chain(path.find(TOKEN)).min();
    match secret.and_then(|at| path.split_at_checked(at)) {
        Some((before, secret)) if !secret.is_empty() => {
            piece(before);
            piece("***");
            piece(
                secret
                    .find('/')
                    .and_then(|at| secret.get(at..))
                    .filter(|rest| !rest.contains(TOKEN))
                    .unwrap_or(""),
            );
        }
        _ => piece(path),
    }
}

/// Appends text as it stands within a JSON string.
fn escape(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    if bytes.iter().all(|b| *b >= 0x20 && *b != b'"' && *b != b'\\') {
        out.extend_from_slice(bytes);
        return;
    }
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0..0x20 => {
                let _ = write!(out, "\\u{byte:04x}");
            }
            _ => out.push(byte),
        }
    }
}

/// Appends text without what would change a terminal.
fn printable(out: &mut Vec<u8>, text: &str) {
    let shown = text.bytes().map(|b| if b.is_ascii_control() { b'?' } else { b });
    out.extend(shown);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn access<'a>(method: &'a Method, path: &'a str, actor: &'a str) -> Access<'a> {
        Access {
            request_id: "abc-1",
            client: "127.0.0.1".parse().unwrap(),
            actor,
            protocol: "npm",
            method,
            path,
            status: StatusCode::CREATED,
            bytes: 123,
            duration: Duration::from_micros(1_005),
        }
    }

    fn json_of(path: &str, actor: &str) -> serde_json::Value {
        let mut out = Vec::new();
        json(&mut out, "2026-01-31T12:00:00.123Z", &access(&Method::PUT, path, actor));
        assert_eq!(out.pop(), Some(b'\n'));
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn a_json_line_has_every_field() {
        let expect = serde_json::json!({
            "timestamp": "2026-01-31T12:00:00.123Z", "level": "INFO", "target": "access", "message": "request",
            "request_id": "abc-1", "client": "127.0.0.1", "actor": "alice", "protocol": "npm", "method": "PUT",
            "path": "/npm/@acme%2fhello", "status": 201, "bytes": 123, "duration_ms": 1.005,
        });
        assert_eq!(json_of("/npm/@acme%2fhello", "alice"), expect);
    }

    #[test]
    fn a_human_line_is_one_line() {
        let mut out = Vec::new();
        human(&mut out, "2026-01-31T12:00:00.123Z", &access(&Method::GET, "/npm/lib", "alice"));
        let expect = "12:00:00.123 201 GET /npm/lib  123 B in 1.005 ms  npm alice 127.0.0.1 abc-1\n";
        assert_eq!(String::from_utf8(out).unwrap(), expect);
    }

    #[test]
    fn secrets_in_paths_are_masked() {
        for (path, expect) in [
            ("/npm/-/user/token/npm_s3cr3t", "/npm/-/user/token/***"),
            ("/npm/-/npm/v1/tokens/token/s3cr3t", "/npm/-/npm/v1/tokens/token/***"),
            ("/npm/-/v1/login/done/s3cr3t/x", "/npm/-/v1/login/done/***/x"),
            ("/npm/-/user/token/", "/npm/-/user/token/"),
            ("/v2/a/b/blobs/uploads/0123456789abcdef", "/v2/a/b/blobs/uploads/01234567***"),
            ("/v2/a/b/blobs/uploads/", "/v2/a/b/blobs/uploads/"),
            ("/v2/a/b/blobs/uploads/0123", "/v2/a/b/blobs/uploads/0123"),
            ("/npm/srt_abcdef", "/npm/***"),
            ("/npm/srt_abcdef/x", "/npm/***/x"),
            ("/npm/srt_abcdef/srt_x", "/npm/***"),
            ("/npm/-/whoami", "/npm/-/whoami"),
            ("/v2/user/token/manifests/x", "/v2/user/token/manifests/x"),
        ] {
            assert_eq!(json_of(path, "a")["path"], expect);
        }
    }

    proptest! {
        #[test]
        fn numbers_and_addresses_are_as_format_writes_them(number: u64, four: [u8; 4], six: [u16; 8]) {
            let mut out = Vec::new();
            decimal(&mut out, number);
            thousandths(&mut out, number % 1000);
            address(&mut out, IpAddr::from(four));
            address(&mut out, IpAddr::from(six));
            let want = format!("{number}{:03}{}{}", number % 1000, IpAddr::from(four), IpAddr::from(six));
            prop_assert_eq!(String::from_utf8(out).unwrap(), want);
        }

        #[test]
        fn any_path_and_actor_make_valid_json(path in "\\PC{0,40}", actor in ".{0,20}") {
            let line = json_of(&path, &actor);
            prop_assert_eq!(line["actor"].as_str(), Some(actor.as_str()));
        }
    }
}
