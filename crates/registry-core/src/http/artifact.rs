//! Artefacts answered from the store: conditional requests and byte ranges.

use std::{ops::Range, time::SystemTime};

use http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts};

use super::{
    etag::{Precondition, Validators, format_date},
    multipart,
    range::{Requested, requested},
};
use crate::{Body, Response, storage::StorageError};

/// What is known of an artefact that is to be served.
#[derive(Debug)]
pub struct ArtifactResponse {
    /// Its size in bytes.
    pub size: u64,
    /// Its strong ETag, quotes included.
    pub etag: HeaderValue,
    /// Its media type.
    pub content_type: HeaderValue,
    /// When it was published.
    pub modified: Option<SystemTime>,
    /// More headers for 200, 206 and 304 (`Cache-Control`, `Docker-Content-Digest` …).
    pub headers: HeaderMap,
}

/// Answers GET and HEAD of an artefact: 200, 206 with one part or `multipart/byteranges`, 304, 412, 416; If-Match,
/// If-None-Match, If-Modified-Since, If-Unmodified-Since, If-Range and Range as in RFC 9110 sections 13 and 14.
///
/// `open` is asked for the bytes only where some are sent, with the range that is sent or `None` for all of them; HEAD
/// never asks. Of several ranges each is opened when the one before has been sent.
pub async fn respond_artifact<O, F>(
    request: &Parts,
    artifact: ArtifactResponse,
    open: O,
) -> Result<Response, StorageError>
where
    O: Fn(Option<Range<u64>>) -> F + Send + Sync + 'static,
    F: Future<Output = Result<Body, StorageError>> + Send + 'static,
{
    let (precondition, wanted) = decide(request, &artifact);
    let ArtifactResponse { size, etag, content_type, modified, mut headers } = artifact;
    headers.insert(header::ETAG, etag);
    if let Some(text) = modified.and_then(format_date) {
        headers.insert(header::LAST_MODIFIED, text);
    }
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));

    let (status, body) = match (precondition, wanted) {
        (Precondition::NotModified(_), _) => (StatusCode::NOT_MODIFIED, Body::empty()),
        (Precondition::Failed, _) => (StatusCode::PRECONDITION_FAILED, Body::empty()),
        (_, Requested::Unsatisfiable) => {
            headers.insert(header::CONTENT_RANGE, text(&format!("bytes */{size}")));
            (StatusCode::RANGE_NOT_SATISFIABLE, Body::empty())
        }
        (_, Requested::Whole) => {
            headers.insert(header::CONTENT_TYPE, content_type);
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(size));
            let body =
                if request.method == Method::HEAD || size == 0 { Body::empty() } else { open(None).await? };
            (StatusCode::OK, body)
        }
        (_, Requested::Single(part)) => {
            headers.insert(header::CONTENT_TYPE, content_type);
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(part.end - part.start));
            headers.insert(header::CONTENT_RANGE, text(&content_range(&part, size)));
            (StatusCode::PARTIAL_CONTENT, open(Some(part)).await?)
        }
        (_, Requested::Several(parts)) => {
            let plan = multipart::Plan::new(&content_type, size, parts);
            headers.insert(header::CONTENT_TYPE, plan.content_type());
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(plan.length()));
            (StatusCode::PARTIAL_CONTENT, plan.body(open).await?)
        }
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

/// Whether another place that has the same bytes may answer in our stead: the request is a GET of all bytes or of one part that
/// exists, and it makes no condition that is only understood here (every store has ETags and times of its own).
pub fn may_redirect(request: &Parts, artifact: &ArtifactResponse) -> bool {
    const CONDITIONS: [header::HeaderName; 4] =
        [header::IF_MATCH, header::IF_MODIFIED_SINCE, header::IF_UNMODIFIED_SINCE, header::IF_RANGE];
    request.method == Method::GET
        && artifact.size > 0
        && !CONDITIONS.iter().any(|name| request.headers.contains_key(name))
        && match decide(request, artifact) {
            // What is no range here may be one there.
            (Precondition::Proceed, Requested::Whole) => !request.headers.contains_key(header::RANGE),
            (Precondition::Proceed, Requested::Single(_)) => true,
            _ => false,
        }
}

/// What the request's conditions come to, and which bytes it wants then.
fn decide(request: &Parts, artifact: &ArtifactResponse) -> (Precondition, Requested) {
    let modified = artifact.modified.and_then(|time| Some((format_date(time)?, time)));
    let tags = [artifact.etag.as_bytes()];
    let validators = Validators {
        tags: &tags,
        selected: 0,
        last_modified: modified.as_ref().map(|(text, time)| (text, *time)),
    };
    let precondition = validators.evaluate(&request.method, &request.headers);
    // Range is defined for GET alone.
    let wanted = if precondition == Precondition::Proceed
        && request.method == Method::GET
        && validators.allows_range(&request.headers)
    {
        requested(&request.headers, artifact.size)
    } else {
        Requested::Whole
    };
    (precondition, wanted)
}

/// The value of `Content-Range` for a part, end exclusive.
pub(super) fn content_range(part: &Range<u64>, size: u64) -> String {
    format!("bytes {}-{}/{size}", part.start, part.end.saturating_sub(1))
}

/// A header value of digits and punctuation.
fn text(value: &str) -> HeaderValue {
    HeaderValue::from_str(value).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        time::Duration,
    };

    use bytes::Bytes;
    use http_body_util::BodyExt as _;
    use proptest::prelude::*;

    use super::*;

    struct Answer {
        status: u16,
        headers: HeaderMap,
        body: Bytes,
        opened: usize,
    }

    impl Answer {
        fn text(&self, name: header::HeaderName) -> &str {
            self.headers.get(name).map_or("", |value| value.to_str().unwrap())
        }
    }

    fn content(size: usize) -> Bytes {
        (0..size).map(|at| u8::try_from(at * 7 % 251).unwrap()).collect()
    }

    async fn ask(size: usize, method: Method, request: &[(&str, &str)]) -> Answer {
        let mut builder = http::Request::builder().method(method).uri("/blob");
        for (name, value) in request {
            builder = builder.header(*name, *value);
        }
        let parts = builder.body(()).unwrap().into_parts().0;
        let opened = Arc::new(AtomicUsize::new(0));
        let (all, count) = (content(size), Arc::clone(&opened));
        let artifact = ArtifactResponse {
            size: size as u64,
            etag: HeaderValue::from_static("\"sha256:abc\""),
            content_type: HeaderValue::from_static("application/octet-stream"),
            modified: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777)),
            headers: HeaderMap::new(),
        };
        let open = move |range: Option<Range<u64>>| {
            count.fetch_add(1, Ordering::Relaxed);
            let bytes = match range {
                None => all.clone(),
                Some(r) => all.slice(usize::try_from(r.start).unwrap()..usize::try_from(r.end).unwrap()),
            };
            // In two pieces, as from a store.
            let middle = bytes.len() / 2;
            let pieces = [bytes.slice(..middle), bytes.slice(middle..)].map(Ok::<_, std::io::Error>);
            async move { Ok(Body::from_stream(futures_util::stream::iter(pieces))) }
        };
        let response = respond_artifact(&parts, artifact, open).await.unwrap();
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body,
            opened: opened.load(Ordering::Relaxed),
        }
    }

    async fn ranged(size: usize, range: &str) -> Answer {
        ask(size, Method::GET, &[("range", range)]).await
    }

    #[tokio::test]
    async fn whole() {
        let answer = ask(1000, Method::GET, &[]).await;
        assert_eq!((answer.status, answer.text(header::CONTENT_LENGTH)), (200, "1000"));
        assert_eq!(answer.text(header::ACCEPT_RANGES), "bytes");
        assert_eq!(answer.text(header::ETAG), "\"sha256:abc\"");
        assert_eq!(answer.text(header::LAST_MODIFIED), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(answer.body, content(1000));
    }

    #[tokio::test]
    async fn one_part() {
        for (range, start, end) in [
            ("bytes=500-1499", 500, 1500),
            ("bytes=500-", 500, 4096),
            ("bytes=-500", 3596, 4096),
            ("bytes=2000-5000", 2000, 4096),
            ("bytes=0-", 0, 4096),
            ("bytes=-5000", 0, 4096),
            ("bytes=0-0", 0, 1),
        ] {
            let answer = ranged(4096, range).await;
            assert_eq!(answer.status, 206, "{range}");
            assert_eq!(answer.body, content(4096).slice(start..end), "{range}");
            assert_eq!(answer.text(header::CONTENT_LENGTH), (end - start).to_string());
            assert_eq!(answer.text(header::CONTENT_RANGE), format!("bytes {start}-{}/4096", end - 1));
            assert_eq!(answer.text(header::CONTENT_TYPE), "application/octet-stream");
        }
    }

    #[tokio::test]
    async fn what_does_not_exist() {
        for range in ["bytes=500-0", "bytes=5000-10000", "bytes=-0", "bytes=4096-", "bytes=9999-,5000-"] {
            let answer = ranged(4096, range).await;
            assert_eq!((answer.status, answer.opened), (416, 0), "{range}");
            assert_eq!(answer.text(header::CONTENT_RANGE), "bytes */4096");
            assert!(answer.body.is_empty());
        }
    }

    #[tokio::test]
    async fn empty_artifact() {
        for range in ["bytes=0-", "bytes=-1", "bytes=5-6"] {
            let answer = ranged(0, range).await;
            assert_eq!((answer.status, answer.opened), (200, 0), "{range}");
            assert_eq!(answer.text(header::CONTENT_LENGTH), "0");
        }
    }

    #[tokio::test]
    async fn head_opens_nothing_and_knows_no_ranges() {
        let answer = ask(1000, Method::HEAD, &[("range", "bytes=0-1")]).await;
        assert_eq!((answer.status, answer.opened), (200, 0));
        assert_eq!(answer.text(header::CONTENT_LENGTH), "1000");
        assert!(answer.body.is_empty());
    }

    #[tokio::test]
    async fn conditions_come_before_ranges() {
        let range = ("range", "bytes=0-1");
        for (name, value, status) in [
            ("if-none-match", "\"sha256:abc\"", 304),
            ("if-none-match", "\"x\"", 206),
            ("if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT", 304),
            ("if-match", "\"x\"", 412),
            ("if-match", "\"sha256:abc\"", 206),
            ("if-unmodified-since", "Sun, 06 Nov 1994 08:49:36 GMT", 412),
            ("if-range", "\"sha256:abc\"", 206),
            ("if-range", "\"x\"", 200),
            ("if-range", "W/\"sha256:abc\"", 200),
            ("if-range", "Sun, 06 Nov 1994 08:49:37 GMT", 206),
            ("if-range", "Sun, 06 Nov 1994 08:49:38 GMT", 200),
        ] {
            let answer = ask(1000, Method::GET, &[range, (name, value)]).await;
            assert_eq!(answer.status, status, "{name}: {value}");
            assert_eq!(answer.opened, usize::from(status < 300), "{name}: {value}");
        }
    }

    #[test]
    fn only_what_any_store_answers_alike_is_redirected() {
        let artifact = ArtifactResponse {
            size: 1000,
            etag: HeaderValue::from_static("\"a\""),
            content_type: HeaderValue::from_static("text/plain"),
            modified: None,
            headers: HeaderMap::new(),
        };
        let asks = |method: Method, header: Option<(&str, &str)>| {
            let mut request = http::Request::builder().method(method).uri("/x");
            if let Some((name, value)) = header {
                request = request.header(name, value);
            }
            may_redirect(&request.body(()).unwrap().into_parts().0, &artifact)
        };
        assert!(asks(Method::GET, None));
        assert!(!asks(Method::HEAD, None));
        for (name, value, want) in [
            ("range", "bytes=0-9", true),
            ("range", "bytes=990-", true),
            ("range", "bytes=-10", true),
            ("range", "bytes=0-9,20-29", false),
            ("range", "bytes=1000-", false),
            ("range", "nonsense", false),
            ("if-none-match", "\"b\"", true),
            ("if-none-match", "\"a\"", false),
            ("if-none-match", "*", false),
            ("if-match", "\"a\"", false),
            ("if-range", "\"a\"", false),
            ("if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT", false),
            ("if-unmodified-since", "Sun, 06 Nov 1994 08:49:37 GMT", false),
        ] {
            assert_eq!(asks(Method::GET, Some((name, value))), want, "{name}: {value}");
        }
        let empty = ArtifactResponse { size: 0, ..artifact };
        assert!(!may_redirect(&http::Request::get("/x").body(()).unwrap().into_parts().0, &empty));
    }

    #[tokio::test]
    async fn unsatisfiable_without_its_precondition_is_whole() {
        let request = [("range", "bytes=5000-"), ("if-range", "\"x\"")];
        assert_eq!(ask(1000, Method::GET, &request).await.status, 200);
    }

    /// Reads a multipart/byteranges body as a client does.
    fn parts(answer: &Answer) -> Vec<(String, Bytes)> {
        let boundary =
            answer.text(header::CONTENT_TYPE).strip_prefix("multipart/byteranges; boundary=").unwrap();
        assert!(boundary.bytes().all(|b| b.is_ascii_alphanumeric() || b == b':' || b == b'-'));
        let delimiter = format!("--{boundary}");
        let mut found = Vec::new();
        let mut rest = answer.body.clone();
        let skip = |rest: &mut Bytes, what: &str| {
            assert!(rest.starts_with(what.as_bytes()), "{what:?} expected");
            *rest = rest.slice(what.len()..);
        };
        loop {
            skip(&mut rest, &delimiter);
            if rest == "--\r\n" {
                return found;
            }
            skip(&mut rest, "\r\n");
            let end = rest.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
            let head = String::from_utf8(rest[..end].to_vec()).unwrap();
            rest = rest.slice(end + 4..);
            let mut range = String::new();
            for line in head.split("\r\n") {
                let (name, value) = line.split_once(": ").unwrap();
                match name {
                    "Content-Range" => value.clone_into(&mut range),
                    "Content-Type" => assert_eq!(value, "application/octet-stream"),
                    other => panic!("header {other}"),
                }
            }
            let (first, last) =
                range.strip_prefix("bytes ").unwrap().split_once('/').unwrap().0.split_once('-').unwrap();
            let length = last.parse::<usize>().unwrap() - first.parse::<usize>().unwrap() + 1;
            found.push((range, rest.slice(..length)));
            rest = rest.slice(length..);
            skip(&mut rest, "\r\n");
        }
    }

    #[tokio::test]
    async fn several_parts() {
        let answer = ranged(1000, "bytes=0-9,990-2000,500-509,-1,5000-").await;
        assert_eq!(answer.status, 206);
        assert_eq!(answer.text(header::CONTENT_LENGTH), answer.body.len().to_string());
        assert_eq!(answer.text(header::CONTENT_RANGE), "");
        assert_eq!(answer.opened, 4);
        let all = content(1000);
        let want: Vec<(String, Bytes)> = [(0, 10), (990, 1000), (500, 510), (999, 1000)]
            .map(|(a, b)| (format!("bytes {a}-{}/1000", b - 1), all.slice(a..b)))
            .to_vec();
        assert_eq!(parts(&answer), want);
    }

    #[tokio::test]
    async fn one_part_left_of_several_stays_multipart() {
        let answer = ranged(1000, "bytes=0-9,5000-").await;
        assert_eq!(parts(&answer), [("bytes 0-9/1000".to_owned(), content(1000).slice(..10))]);
    }

    #[tokio::test]
    async fn a_part_that_cannot_be_opened_ends_the_body() {
        let request =
            http::Request::get("/x").header("range", "bytes=0-1,4-5").body(()).unwrap().into_parts().0;
        let artifact = ArtifactResponse {
            size: 10,
            etag: HeaderValue::from_static("\"a\""),
            content_type: HeaderValue::from_static("text/plain"),
            modified: None,
            headers: HeaderMap::new(),
        };
        let open = |range: Option<Range<u64>>| async move {
            match range {
                Some(range) if range.start == 0 => Ok(Body::from("ab")),
                _ => Err(StorageError::Missing { key: "k".to_owned() }),
            }
        };
        let response = respond_artifact(&request, artifact, open).await.unwrap();
        assert_eq!(response.status(), 206);
        assert!(response.into_body().collect().await.is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn parts_hold_the_bytes_they_name(ranges in proptest::collection::vec((0usize..900, 1usize..40), 2..8)) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let set: Vec<String> = ranges.iter().map(|(a, n)| format!("{a}-{}", a + n - 1)).collect();
            let answer = runtime.block_on(ranged(1000, &format!("bytes={}", set.join(","))));
            prop_assert_eq!(answer.status, 206);
            prop_assert_eq!(answer.text(header::CONTENT_LENGTH), answer.body.len().to_string());
            let all = content(1000);
            let want: Vec<(String, Bytes)> = ranges
                .iter()
                .map(|(a, n)| (format!("bytes {a}-{}/1000", a + n - 1), all.slice(*a..a + n)))
                .collect();
            prop_assert_eq!(parts(&answer), want);
        }
    }
}
