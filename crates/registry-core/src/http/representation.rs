//! Documents in a rendered form, answered from memory.

use std::{
    fmt::Write as _,
    io::Write as _,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::SystemTime,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts};
use sha2::{Digest as _, Sha256};

use super::{
    accept::accepts_gzip,
    etag::{Precondition, Validators, format_date},
};
use crate::{Body, Response};

/// Smaller bodies are not worth compressing: they fit into one packet as they are.
const MIN_COMPRESSED: usize = 512;
/// A larger body is compressed beside the requests, which get it uncompressed until that is done.
const MAX_INLINE_COMPRESSION: usize = 4 << 20;

/// A document's rendered form: rendered, hashed and compressed once, then served many times. Everything about its answers
/// is made beforehand, so that one costs a copy of prepared headers.
#[derive(Debug)]
pub struct Representation {
    plain: Form,
    /// `None` inside: it does not pay. Made when a client first asks for it.
    gzip: OnceLock<Option<Form>>,
    gzip_started: AtomicBool,
    compressible: bool,
    modified: Option<(HeaderValue, SystemTime)>,
}

/// The bytes in one encoding, with the headers of their 200 and 304.
#[derive(Debug)]
struct Form {
    body: Bytes,
    etag: HeaderValue,
    ok: HeaderMap,
    not_modified: HeaderMap,
}

impl Representation {
    /// A form with a strong ETag made from its bytes. `headers` go out as they are with every answer (304 too).
    pub fn new(
        content_type: HeaderValue,
        body: Bytes,
        modified: Option<SystemTime>,
        headers: HeaderMap,
    ) -> Self {
        let compressible = is_compressible(content_type.as_bytes());
        Self::build(content_type, etag_of(&body), body, modified, headers, compressible)
    }

    /// A form whose ETag is given (OCI manifests: the digest, in quotes), never compressed.
    pub fn verbatim(
        content_type: HeaderValue,
        body: Bytes,
        etag: HeaderValue,
        modified: Option<SystemTime>,
        headers: HeaderMap,
    ) -> Self {
        Self::build(content_type, etag, body, modified, headers, false)
    }

    fn build(
        content_type: HeaderValue,
        etag: HeaderValue,
        body: Bytes,
        modified: Option<SystemTime>,
        mut headers: HeaderMap,
        compressible: bool,
    ) -> Self {
        let modified = modified.and_then(|time| Some((format_date(time)?, time)));
        if compressible {
            vary_on_encoding(&mut headers);
        }
        if let Some((text, _)) = &modified {
            headers.insert(header::LAST_MODIFIED, text.clone());
        }
        headers.insert(header::CONTENT_TYPE, content_type);
        Self {
            plain: Form::new(body, etag, &headers),
            gzip: OnceLock::new(),
            gzip_started: AtomicBool::new(false),
            compressible,
            modified,
        }
    }

    /// The bytes, unencoded.
    pub fn body(&self) -> &Bytes {
        &self.plain.body
    }

    /// The ETag of the unencoded bytes, quotes included.
    pub fn etag(&self) -> &HeaderValue {
        &self.plain.etag
    }

    /// About how much memory it holds, compressed form included (estimated until it is made).
    pub fn weight(&self) -> usize {
        let compressed = match self.gzip.get() {
            Some(Some(form)) => form.body.len(),
            Some(None) => 0,
            None if self.compressible => self.plain.body.len() / 4,
            None => 0,
        };
        size_of::<Self>() + self.plain.body.len() + compressed + 2048
    }

    /// Answers GET and HEAD: 200 or 304, gzip where the client takes it and it pays, ETag distinct per encoding, `Vary`.
    /// 412 where `If-Match` or `If-Unmodified-Since` fails.
    pub fn respond(self: &Arc<Self>, request: &Parts) -> Response {
        let gzip = if self.compressible && accepts_gzip(&request.headers) { self.gzip() } else { None };
        let made = self.gzip.get().and_then(Option::as_ref);
        let tags = [self.plain.etag.as_bytes(), made.map_or(&[][..], |form| form.etag.as_bytes())];
        let validators = Validators {
            tags: tags.get(..1 + usize::from(made.is_some())).unwrap_or(&tags),
            selected: usize::from(gzip.is_some()),
            last_modified: self.modified.as_ref().map(|(text, time)| (text, *time)),
        };
        let selected = gzip.unwrap_or(&self.plain);
        let mut response = Response::new(Body::empty());
        match validators.evaluate(&request.method, &request.headers) {
            Precondition::Proceed => {
                *response.headers_mut() = selected.ok.clone();
                if request.method != Method::HEAD {
                    *response.body_mut() = Body::from(selected.body.clone());
                }
            }
            Precondition::NotModified(tag) => {
                *response.status_mut() = StatusCode::NOT_MODIFIED;
                // The answer carries the tag of the form that the client holds.
                let held = if tag == 0 { &self.plain } else { made.unwrap_or(&self.plain) };
                *response.headers_mut() = held.not_modified.clone();
            }
            Precondition::Failed => {
                *response.status_mut() = StatusCode::PRECONDITION_FAILED;
                *response.headers_mut() = selected.not_modified.clone();
            }
        }
        response
    }

    /// The compressed form where it pays and is ready. The first caller makes it.
    fn gzip(self: &Arc<Self>) -> Option<&Form> {
        if let Some(made) = self.gzip.get() {
            return made.as_ref();
        }
        if self.plain.body.len() <= MAX_INLINE_COMPRESSION {
            return self.gzip.get_or_init(|| self.compress()).as_ref();
        }
        if !self.gzip_started.swap(true, Ordering::Relaxed) {
            let this = Arc::clone(self);
            let make = move || {
                let _ = this.gzip.set(this.compress());
            };
            match tokio::runtime::Handle::try_current() {
                Ok(runtime) => drop(runtime.spawn_blocking(make)),
                Err(_) => make(),
            }
        }
        self.gzip.get()?.as_ref()
    }

    fn compress(&self) -> Option<Form> {
        let plain = &self.plain.body;
        if plain.len() < MIN_COMPRESSED {
            return None;
        }
        let mut encoder = flate2::write::GzEncoder::new(
            Vec::with_capacity(plain.len() / 4),
            flate2::Compression::default(),
        );
        encoder.write_all(plain).ok()?;
        let mut packed = encoder.finish().ok()?;
        if packed.len() > plain.len() / 10 * 9 {
            return None;
        }
        packed.shrink_to_fit();
        let etag = self.plain.etag.to_str().ok()?;
        let etag = HeaderValue::from_str(&format!("{}-gz\"", etag.strip_suffix('"')?)).ok()?;
        let mut headers = self.plain.ok.clone();
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        Some(Form::new(packed.into(), etag, &headers))
    }
}

impl Form {
    fn new(body: Bytes, etag: HeaderValue, headers: &HeaderMap) -> Self {
        let mut ok = headers.clone();
        ok.insert(header::ETAG, etag.clone());
        ok.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        let mut not_modified = ok.clone();
        for name in [header::CONTENT_LENGTH, header::CONTENT_TYPE, header::CONTENT_ENCODING] {
            not_modified.remove(name);
        }
        Self { body, etag, ok, not_modified }
    }
}

/// 128 bits of the content's SHA-256, in quotes.
fn etag_of(body: &[u8]) -> HeaderValue {
    let mut text = String::with_capacity(34);
    text.push('"');
    for byte in Sha256::digest(body).iter().take(16) {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text.push('"');
    // Hexadecimal digits and quotes are a header value.
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

fn vary_on_encoding(headers: &mut HeaderMap) {
    let named = headers
        .get_all(header::VARY)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|name| matches!(name.trim(), "*") || name.trim().eq_ignore_ascii_case("accept-encoding"));
    if named {
        return;
    }
    let joined = headers
        .get(header::VARY)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| HeaderValue::from_str(&format!("{value}, Accept-Encoding")).ok());
    headers.insert(header::VARY, joined.unwrap_or_else(|| HeaderValue::from_static("Accept-Encoding")));
}

/// Text in all its forms.
fn is_compressible(content_type: &[u8]) -> bool {
    let essence = content_type.split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
    let essence = essence.to_ascii_lowercase();
    essence.starts_with(b"text/")
        || essence.ends_with(b"/json")
        || essence.ends_with(b"+json")
        || essence.ends_with(b"/xml")
        || essence.ends_with(b"+xml")
        || essence.ends_with(b"/javascript")
}

#[cfg(test)]
mod tests {
    use std::{io::Read as _, time::Duration};

    use http_body_util::BodyExt as _;

    use super::*;

    fn get(method: Method, headers: &[(&str, &str)]) -> Parts {
        let mut builder = http::Request::builder().method(method).uri("/x");
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        builder.body(()).unwrap().into_parts().0
    }

    fn json(body: impl Into<Bytes>) -> Arc<Representation> {
        let mut headers = HeaderMap::new();
        headers.insert(header::VARY, "Accept".parse().unwrap());
        headers.insert(header::CACHE_CONTROL, "private, no-cache".parse().unwrap());
        let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let kind = HeaderValue::from_static("application/vnd.npm.install-v1+json");
        Arc::new(Representation::new(kind, body.into(), Some(modified), headers))
    }

    async fn body(response: Response) -> Bytes {
        response.into_body().collect().await.unwrap().to_bytes()
    }

    fn text(response: &Response, name: header::HeaderName) -> Option<&str> {
        response.headers().get(name).map(|value| value.to_str().unwrap())
    }

    #[tokio::test]
    async fn plain_answer() {
        let form = json("{\"a\":1}");
        let response = form.respond(&get(Method::GET, &[]));
        assert_eq!(response.status(), 200);
        assert_eq!(text(&response, header::CONTENT_LENGTH), Some("7"));
        assert_eq!(text(&response, header::CONTENT_TYPE), Some("application/vnd.npm.install-v1+json"));
        assert_eq!(text(&response, header::LAST_MODIFIED), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
        assert_eq!(text(&response, header::VARY), Some("Accept, Accept-Encoding"));
        assert_eq!(text(&response, header::CACHE_CONTROL), Some("private, no-cache"));
        assert_eq!(text(&response, header::CONTENT_ENCODING), None);
        assert_eq!(body(response).await, "{\"a\":1}");
    }

    #[tokio::test]
    async fn gzip_has_its_own_tag_and_length() {
        let content = "{\"name\":\"a\"}".repeat(1000);
        let form = json(content.clone());
        let plain = form.respond(&get(Method::GET, &[]));
        let packed = form.respond(&get(Method::GET, &[("accept-encoding", "gzip, br")]));
        assert_eq!(text(&packed, header::CONTENT_ENCODING), Some("gzip"));
        assert_eq!(text(&packed, header::VARY), Some("Accept, Accept-Encoding"));
        let tag = text(&plain, header::ETAG).unwrap();
        let packed_tag = text(&packed, header::ETAG).unwrap().to_owned();
        assert_eq!(packed_tag, format!("{}-gz\"", tag.strip_suffix('"').unwrap()));
        let length: usize = text(&packed, header::CONTENT_LENGTH).unwrap().parse().unwrap();
        let bytes = body(packed).await;
        assert_eq!(bytes.len(), length);
        assert!(length < content.len() / 10);
        let mut unpacked = String::new();
        flate2::read::GzDecoder::new(&*bytes).read_to_string(&mut unpacked).unwrap();
        assert_eq!(unpacked, content);
    }

    #[test]
    fn a_held_form_of_either_encoding_is_not_sent_again() {
        let form = json("{\"name\":\"a\"}".repeat(1000));
        let gz = ("accept-encoding", "gzip");
        let packed = form.respond(&get(Method::GET, &[gz]));
        let packed_tag = text(&packed, header::ETAG).unwrap().to_owned();
        let tag = form.etag().to_str().unwrap().to_owned();
        let weak = format!("W/{tag}");
        let apache = format!("{}-gzip\"", tag.strip_suffix('"').unwrap());
        for (held, want) in [(&tag, &tag), (&weak, &tag), (&packed_tag, &packed_tag), (&apache, &packed_tag)]
        {
            let response = form.respond(&get(Method::GET, &[gz, ("if-none-match", held)]));
            assert_eq!(response.status(), 304, "{held}");
            assert_eq!(text(&response, header::ETAG), Some(want.as_str()));
            assert_eq!(text(&response, header::CONTENT_LENGTH), None);
            assert_eq!(text(&response, header::CONTENT_TYPE), None);
            assert_eq!(text(&response, header::CONTENT_ENCODING), None);
            assert_eq!(text(&response, header::VARY), Some("Accept, Accept-Encoding"));
            assert_eq!(text(&response, header::CACHE_CONTROL), Some("private, no-cache"));
        }
        let other = form.respond(&get(Method::GET, &[("if-none-match", "\"other\"")]));
        assert_eq!(other.status(), 200);
    }

    #[test]
    fn times_and_preconditions() {
        let form = json("{}");
        let since = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(form.respond(&get(Method::GET, &[("if-modified-since", since)])).status(), 304);
        assert_eq!(form.respond(&get(Method::HEAD, &[("if-modified-since", since)])).status(), 304);
        assert_eq!(form.respond(&get(Method::GET, &[("if-match", "\"x\"")])).status(), 412);
    }

    #[tokio::test]
    async fn head_has_the_headers_of_get() {
        let form = json("{\"name\":\"a\"}".repeat(1000));
        for headers in [&[][..], &[("accept-encoding", "gzip")][..]] {
            let get_answer = form.respond(&get(Method::GET, headers));
            let head_answer = form.respond(&get(Method::HEAD, headers));
            assert_eq!(get_answer.headers(), head_answer.headers());
            assert!(body(head_answer).await.is_empty());
        }
    }

    #[test]
    fn what_does_not_pay_is_not_compressed() {
        let accept = [("accept-encoding", "gzip")];
        let small = json("{}");
        assert_eq!(text(&small.respond(&get(Method::GET, &accept)), header::CONTENT_ENCODING), None);
        let noise: Vec<u8> = (0..4096_u32).flat_map(|n| Sha256::digest(n.to_be_bytes())).collect();
        let noise = json(noise);
        assert_eq!(text(&noise.respond(&get(Method::GET, &accept)), header::CONTENT_ENCODING), None);
    }

    #[test]
    fn verbatim_is_never_compressed() {
        let kind = HeaderValue::from_static("application/vnd.oci.image.manifest.v1+json");
        let tag = HeaderValue::from_static("\"sha256:abc\"");
        let form = Representation::verbatim(kind, "x".repeat(5000).into(), tag, None, HeaderMap::new());
        let response = Arc::new(form).respond(&get(Method::GET, &[("accept-encoding", "gzip")]));
        assert_eq!(text(&response, header::CONTENT_ENCODING), None);
        assert_eq!(text(&response, header::VARY), None);
        assert_eq!(text(&response, header::ETAG), Some("\"sha256:abc\""));
        assert_eq!(text(&response, header::LAST_MODIFIED), None);
    }

    #[tokio::test]
    async fn a_large_body_is_compressed_beside_the_requests() {
        let form = json("0123456789abcdef".repeat((MAX_INLINE_COMPRESSION / 16) + 1));
        let accept = [("accept-encoding", "gzip")];
        let deadline = std::time::Instant::now() + Duration::from_secs(30);
        loop {
            let response = form.respond(&get(Method::GET, &accept));
            assert_eq!(response.status(), 200);
            if text(&response, header::CONTENT_ENCODING) == Some("gzip") {
                break;
            }
            assert!(std::time::Instant::now() < deadline, "never compressed");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[test]
    fn different_bytes_have_different_tags() {
        assert_ne!(json("{}").etag(), json("[]").etag());
        assert_eq!(json("{}").etag(), json("{}").etag());
        assert!(json("{}").weight() > 2);
    }
}
