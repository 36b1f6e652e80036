//! Takes a publish document apart while it arrives.
//!
//! A publish document is JSON that holds a tarball as base64 in `_attachments.<name>.data`. The scanner finds those
//! strings, wherever they stand, and hands their (unescaped) text on piece by piece; everything else, with an empty string
//! in the place of each attachment's text, is collected under a limit and parsed afterwards. So a tarball of any
//! size passes through in flat memory.
//!
//! The scanner follows only nesting, strings and keys: what is left of the document goes through a strict parser later.

/// The deepest nesting that is followed.
const MAX_DEPTH: usize = 128;

/// The longest key that is looked at, as written.
const MAX_KEY: usize = 4096;

/// Why a document could not be taken apart.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ScanError {
    /// The document without its attachments is larger than this many bytes.
    #[error("the document is larger than {limit} bytes without its attachments")]
    TooLarge { limit: usize },
    /// It is not JSON.
    #[error("the document is not valid JSON")]
    Invalid,
    /// It is nested too deeply.
    #[error("the document is nested more than {MAX_DEPTH} levels deep")]
    TooDeep,
}

/// What the scanner finds, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event<'a> {
    /// An attachment's text begins; its name.
    Begin(&'a str),
    /// A piece of its text.
    Text(&'a [u8]),
    /// The text is complete.
    End,
}

/// Takes a document apart.
#[derive(Debug)]
pub(crate) struct Scanner {
    head: Vec<u8>,
    limit: usize,
    /// The open containers, `true` for an object.
    open: Vec<bool>,
    /// The current keys of the three outermost containers.
    path: [Option<String>; 3],
    mode: Mode,
    /// In an object: the next string is a key.
    expects_key: bool,
}

#[derive(Debug)]
enum Mode {
    /// Between values.
    Structure,
    /// In a string that is copied; whether a backslash came just before.
    Copy { escaped: bool },
    /// In a key; its text as written, or nothing where it is too long to be one that matters.
    Key { raw: Option<Vec<u8>>, escaped: bool },
    /// In an attachment's text; an escape that is not complete yet, as written.
    Attachment { escape: Vec<u8> },
}

impl Scanner {
    /// A scanner that collects at most `limit` bytes beside the attachments.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            head: Vec::new(),
            limit,
            open: Vec::new(),
            path: [None, None, None],
            mode: Mode::Structure,
            expects_key: false,
        }
    }

    /// Reads a piece of the document.
    pub(crate) fn feed<E: From<ScanError>>(
        &mut self,
        mut piece: &[u8],
        found: &mut impl FnMut(Event<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        while !piece.is_empty() {
            let used = match &mut self.mode {
                Mode::Structure => self.structure(piece, found)?,
                Mode::Copy { .. } => self.copy(piece)?,
                Mode::Key { .. } => self.key(piece)?,
                Mode::Attachment { .. } => self.attachment(piece, found)?,
            };
            piece = piece.get(used..).unwrap_or_default();
        }
        Ok(())
    }

    /// Says that the document is complete, and returns it without its attachments' texts.
    pub(crate) fn finish(self) -> Result<Vec<u8>, ScanError> {
        if self.open.is_empty() && matches!(self.mode, Mode::Structure) {
            Ok(self.head)
        } else {
            Err(ScanError::Invalid)
        }
    }

    fn collect(&mut self, bytes: &[u8]) -> Result<(), ScanError> {
        if self.head.len() + bytes.len() > self.limit {
            return Err(ScanError::TooLarge { limit: self.limit });
        }
        self.head.extend_from_slice(bytes);
        Ok(())
    }

    /// Reads up to and including the next quote.
    fn structure<E: From<ScanError>>(
        &mut self,
        piece: &[u8],
        found: &mut impl FnMut(Event<'_>) -> Result<(), E>,
    ) -> Result<usize, E> {
        let mut used = 0;
        for &byte in piece {
            used += 1;
            match byte {
                b'{' | b'[' => {
                    if self.open.len() == MAX_DEPTH {
                        return Err(ScanError::TooDeep.into());
                    }
                    if let Some(key) = self.path.get_mut(self.open.len()) {
                        *key = None;
                    }
                    self.open.push(byte == b'{');
                    self.expects_key = byte == b'{';
                }
                b'}' | b']' => {
                    if self.open.pop() != Some(byte == b'}') {
                        return Err(ScanError::Invalid.into());
                    }
                    self.expects_key = false;
                }
                b',' => self.expects_key = self.open.last() == Some(&true),
                b':' => self.expects_key = false,
                b'"' => {
                    self.collect(piece.get(..used).unwrap_or_default())?;
                    self.mode = if self.expects_key {
                        Mode::Key { raw: Some(Vec::new()), escaped: false }
                    } else if let Some(name) = self.attachment_name() {
                        found(Event::Begin(name))?;
                        Mode::Attachment { escape: Vec::new() }
                    } else {
                        Mode::Copy { escaped: false }
                    };
                    return Ok(used);
                }
                _ => {}
            }
        }
        self.collect(piece)?;
        Ok(used)
    }

    /// The name of the attachment whose text begins here, if one does.
    fn attachment_name(&self) -> Option<&str> {
        match (&*self.open, &self.path) {
            ([true, true, true], [Some(top), Some(name), Some(field)])
                if top == "_attachments" && field == "data" =>
            {
                Some(name)
            }
            _ => None,
        }
    }

    /// Copies a string up to its end.
    fn copy(&mut self, piece: &[u8]) -> Result<usize, ScanError> {
        let Mode::Copy { escaped } = &mut self.mode else { return Err(ScanError::Invalid) };
        let (used, closed) = string_end(piece, escaped);
        if closed {
            self.mode = Mode::Structure;
        }
        self.collect(piece.get(..used).unwrap_or_default())?;
        Ok(used)
    }

    /// Copies a key up to its end and remembers it where it matters.
    fn key(&mut self, piece: &[u8]) -> Result<usize, ScanError> {
        let Mode::Key { raw, escaped } = &mut self.mode else { return Err(ScanError::Invalid) };
        let (used, closed) = string_end(piece, escaped);
        let text = piece.get(..used).unwrap_or_default();
        match raw {
            Some(collected) if collected.len() + used <= MAX_KEY => collected.extend_from_slice(text),
            _ => *raw = None,
        }
        if closed {
            let key = match raw.take() {
                Some(raw) => {
                    let quoted = [b"\"".as_slice(), &raw].concat();
                    Some(serde_json::from_slice(&quoted).map_err(|_| ScanError::Invalid)?)
                }
                None => None,
            };
            self.mode = Mode::Structure;
            self.expects_key = false;
            let depth = self.open.len();
            if let Some(place) = depth.checked_sub(1).and_then(|at| self.path.get_mut(at)) {
                *place = key;
            }
        }
        self.collect(text)?;
        Ok(used)
    }

    /// Hands on an attachment's text.
    fn attachment<E: From<ScanError>>(
        &mut self,
        piece: &[u8],
        found: &mut impl FnMut(Event<'_>) -> Result<(), E>,
    ) -> Result<usize, E> {
        let Mode::Attachment { escape } = &mut self.mode else { return Err(ScanError::Invalid.into()) };
        if !escape.is_empty() {
            let Some(&byte) = piece.first() else { return Ok(0) };
            escape.push(byte);
            if let Some(text) = unescape(escape)? {
                escape.clear();
                found(Event::Text(text.as_bytes()))?;
            }
            return Ok(1);
        }
        let end = piece.iter().position(|&b| b == b'"' || b == b'\\' || b < 0x20).unwrap_or(piece.len());
        let (text, rest) = piece.split_at(end);
        if !text.is_empty() {
            found(Event::Text(text))?;
        }
        match rest.first() {
            None => Ok(end),
            Some(b'\\') => {
                escape.push(b'\\');
                Ok(end + 1)
            }
            Some(b'"') => {
                self.mode = Mode::Structure;
                self.collect(b"\"")?;
                found(Event::End)?;
                Ok(end + 1)
            }
            Some(_) => Err(ScanError::Invalid.into()),
        }
    }
}

/// How much of `piece` belongs to the string, its closing quote included, and whether that was seen.
fn string_end(piece: &[u8], escaped: &mut bool) -> (usize, bool) {
    let mut used = 0;
    for &byte in piece {
        used += 1;
        if *escaped {
            *escaped = false;
        } else if byte == b'\\' {
            *escaped = true;
        } else if byte == b'"' {
            return (used, true);
        }
    }
    (used, false)
}

/// The text of an escape (of two where they are a surrogate pair), or `None` while it is not complete.
fn unescape(escape: &[u8]) -> Result<Option<String>, ScanError> {
    let complete = match (escape.get(1), escape.len()) {
        (None, _) => false,
        (Some(b'u'), 6) => {
            // The first half of a surrogate pair needs the second.
            !matches!(escape.get(2..4), Some([b'd' | b'D', b'8' | b'9' | b'a' | b'b' | b'A' | b'B']))
        }
        (Some(b'u'), length) => length >= 12,
        (Some(_), _) => true,
    };
    if !complete {
        return Ok(None);
    }
    let mut quoted = Vec::with_capacity(escape.len() + 2);
    quoted.push(b'"');
    quoted.extend_from_slice(escape);
    quoted.push(b'"');
    serde_json::from_slice(&quoted).map(Some).map_err(|_| ScanError::Invalid)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    /// The rest of a document, and its attachments by name.
    type Apart = (Vec<u8>, Vec<(String, String)>);

    /// Takes a document apart in pieces of `size` bytes.
    fn scan(text: &[u8], size: usize) -> Result<Apart, ScanError> {
        let mut scanner = Scanner::new(1 << 20);
        let mut attachments: Vec<(String, Vec<u8>)> = Vec::new();
        for piece in text.chunks(size) {
            scanner.feed::<ScanError>(piece, &mut |event| {
                match event {
                    Event::Begin(name) => attachments.push((name.to_owned(), Vec::new())),
                    Event::Text(text) => attachments.last_mut().unwrap().1.extend_from_slice(text),
                    Event::End => {}
                }
                Ok(())
            })?;
        }
        let attachments =
            attachments.into_iter().map(|(name, text)| (name, String::from_utf8(text).unwrap())).collect();
        Ok((scanner.finish()?, attachments))
    }

    #[track_caller]
    fn check(document: &str, head: &str, attachments: &[(&str, &str)]) {
        for size in [1, 2, 3, 7, 1000] {
            let (got, found) = scan(document.as_bytes(), size).unwrap();
            assert_eq!(String::from_utf8(got).unwrap(), head, "pieces of {size}");
            let found: Vec<(&str, &str)> = found.iter().map(|(n, t)| (&**n, &**t)).collect();
            assert_eq!(found, attachments, "pieces of {size}");
        }
    }

    #[test]
    fn attachments_are_found_wherever_they_stand() {
        check(
            r#"{"name":"a","_attachments":{"a-1.tgz":{"content_type":"x","data":"QUJD","length":3}}}"#,
            r#"{"name":"a","_attachments":{"a-1.tgz":{"content_type":"x","data":"","length":3}}}"#,
            &[("a-1.tgz", "QUJD")],
        );
        check(
            r#" { "_attachments" : { "@s/a-1.tgz" : { "data" : "QUJD" }, "b" : {"data":"{\"x\":\"\u00e9\ud83d\ude00\\n\"}"} } , "name" : "data" } "#,
            r#" { "_attachments" : { "@s/a-1.tgz" : { "data" : "" }, "b" : {"data":""} } , "name" : "data" } "#,
            &[("@s/a-1.tgz", "QUJD"), ("b", "{\"x\":\"é😀\\n\"}")],
        );
        check(
            r#"{"\u005fattachments":{"a":{"d\u0061ta":"a\/b"}}}"#,
            r#"{"\u005fattachments":{"a":{"d\u0061ta":""}}}"#,
            &[("a", "a/b")],
        );
    }

    #[test]
    fn what_only_looks_like_an_attachment_is_not_one() {
        for document in [
            r#"{"x":{"_attachments":{"a":{"data":"QUJD"}}}}"#,
            r#"{"_attachments":{"a":{"x":{"data":"QUJD"}}}}"#,
            r#"{"_attachments":[{"a":{"data":"QUJD"}}]}"#,
            r#"{"_attachments":{"a":{"data":["QUJD"]}}}"#,
            r#"{"_attachments":{"data":"QUJD"}}"#,
            r#"{"versions":{"1.0.0":{"data":"_attachments"}},"y":"{\"_attachments\":{\"a\":{\"data\":\"x\"}}}"}"#,
            r#"{"_attachments":{"a":{"x":"data","y":"QUJD"}},"data":"QUJD"}"#,
            r#"[{"_attachments":{"a":{"data":"QUJD"}}}]"#,
        ] {
            check(document, document, &[]);
        }
    }

    #[test]
    fn what_is_no_json_or_too_much_is_refused() {
        for bad in [
            r#"{"a":1"#,
            r#"{"a":"b"#,
            "}",
            "[}",
            "{]",
            r#"{"_attachments":{"a":{"data":"\x"}}}"#,
            r#"{"_attachments":{"a":{"data":"\ud800x"}}}"#,
            "{\"_attachments\":{\"a\":{\"data\":\"a\nb\"}}}",
            r#"{"_attachments":{"a":{"data":"QU"#,
            r#"{"\q":1}"#,
        ] {
            assert_eq!(scan(bad.as_bytes(), 5).map(|(head, _)| head), Err(ScanError::Invalid), "{bad}");
        }
        assert_eq!(scan("[".repeat(129).as_bytes(), 50).unwrap_err(), ScanError::TooDeep);
        let mut scanner = Scanner::new(10);
        let fed = scanner.feed::<ScanError>(br#"{"name":"abc"}"#, &mut |_| Ok(()));
        assert_eq!(fed, Err(ScanError::TooLarge { limit: 10 }));
    }

    #[test]
    fn an_endless_key_is_no_attachment() {
        let key = "k".repeat(5000);
        let document = format!(r#"{{"_attachments":{{"{key}":{{"data":"QUJD"}}}}}}"#);
        check(&document, &document, &[]);
    }

    fn json_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "\\PC{0,8}".prop_map(Value::from),
            Just(json!("data")),
            Just(json!("_attachments")),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::hash_map("[a-z\"\\\\é]{0,4}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_document_comes_apart_as_a_parser_would(
            mut rest in proptest::collection::hash_map("[a-z]{0,4}", json_value(), 0..4),
            attachments in proptest::collection::btree_map("[a-z/@.-]{1,8}", "\\PC{0,20}", 0..3),
            size in 1usize..40,
        ) {
            let object: serde_json::Map<String, Value> = attachments
                .iter()
                .map(|(name, text)| (name.clone(), json!({"content_type": "t", "data": text, "length": 1})))
                .collect();
            let emptied: serde_json::Map<String, Value> = attachments
                .keys()
                .map(|name| (name.clone(), json!({"content_type": "t", "data": "", "length": 1})))
                .collect();
            rest.insert("_attachments".to_owned(), Value::Object(object));
            let document = serde_json::to_vec(&rest).unwrap();
            let (head, found) = scan(&document, size).unwrap();
            rest.insert("_attachments".to_owned(), Value::Object(emptied));
            prop_assert_eq!(serde_json::from_slice::<Value>(&head).unwrap(), serde_json::to_value(&rest).unwrap());
            prop_assert_eq!(found, attachments.into_iter().collect::<Vec<_>>());
        }

        #[test]
        fn no_input_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200), size in 1usize..20) {
            let mut scanner = Scanner::new(150);
            for piece in bytes.chunks(size) {
                if scanner.feed::<ScanError>(piece, &mut |_| Ok(())).is_err() {
                    break;
                }
            }
        }
    }
}
