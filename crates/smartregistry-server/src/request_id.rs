//! Request ids: `X-Request-Id` in the answer, in the log, and in what a client is told of an internal error.

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    sync::atomic::{AtomicU64, Ordering},
};

use http::{HeaderMap, HeaderName, HeaderValue};

/// The header, in requests and answers.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// The longest id that is taken over from a client.
const LONGEST: usize = 64;

/// The id of one request: letters, digits, `.`, `_` and `-`.
#[derive(Clone)]
pub(crate) struct RequestId(HeaderValue);

/// Makes ids that are unique in this process and most likely among others.
#[derive(Debug)]
pub(crate) struct RequestIds {
    process: u32,
    next: AtomicU64,
}

impl RequestIds {
    /// Ids of a new process.
    pub(crate) fn new() -> Self {
        // The seed of hash maps is random; only its upper half is used, so that it cannot be found from ids.
        let random = RandomState::new().hash_one(std::process::id());
        RequestIds { process: u32::try_from(random >> 32).unwrap_or(0), next: AtomicU64::new(1) }
    }

    /// The id that the client (or a proxy) chose, if it is a decent one, else a new one.
    pub(crate) fn of(&self, headers: &HeaderMap) -> RequestId {
        match headers.get(HEADER) {
            Some(value) if is_decent(value.as_bytes()) => RequestId(value.clone()),
            _ => self.new_id(),
        }
    }

    fn new_id(&self) -> RequestId {
        let mut text = [0; 20];
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let all = (u128::from(self.process) << 48) | u128::from(number & 0xffff_ffff_ffff);
        for (at, digit) in text.iter_mut().rev().enumerate() {
            *digit = hex_digit((all >> (4 * at)) & 0xf);
        }
        // Hexadecimal digits are always a good header value.
        RequestId(HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static("none")))
    }
}

impl RequestId {
    /// The id as text.
    pub(crate) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    /// The id for the answer's header.
    pub(crate) fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn is_decent(id: &[u8]) -> bool {
    !id.is_empty()
        && id.len() <= LONGEST
        && id.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

fn hex_digit(value: u128) -> u8 {
    match u8::try_from(value) {
        Ok(value @ 0..=9) => b'0' + value,
        Ok(value @ 10..=15) => b'a' + (value - 10),
        _ => b'0',
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn new_ids_differ_and_are_decent() {
        let ids = RequestIds::new();
        let all: BTreeSet<String> =
            (0..1000).map(|_| ids.of(&HeaderMap::new()).as_str().to_owned()).collect();
        assert_eq!(all.len(), 1000);
        assert!(all.iter().all(|id| is_decent(id.as_bytes()) && id.len() == 20));
    }

    #[test]
    fn a_decent_id_is_taken_over_and_others_are_not() {
        let ids = RequestIds::new();
        let of = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(HEADER, HeaderValue::from_str(text).unwrap());
            ids.of(&headers).as_str().to_owned()
        };
        assert_eq!(of("build-17.3_x"), "build-17.3_x");
        for bad in ["", "a b", "x\"y", &"a".repeat(65), "ä"] {
            assert_ne!(of(bad), bad);
        }
    }
}
