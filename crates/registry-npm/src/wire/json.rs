//! Writing JSON without building values first: documents of many megabytes are joined from parts that are JSON already.

use serde::Serialize;
use serde_json::value::RawValue;

/// A JSON object under construction.
#[derive(Debug)]
pub(crate) struct ObjectWriter<'b> {
    out: &'b mut Vec<u8>,
    empty: bool,
}

impl<'b> ObjectWriter<'b> {
    /// Opens an object at the end of `out`.
    pub(crate) fn new(out: &'b mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, empty: true }
    }

    /// Writes a key; its value must be written to what is returned.
    pub(crate) fn key(&mut self, key: &str) -> &mut Vec<u8> {
        self.comma();
        write_value(self.out, key);
        self.out.push(b':');
        self.out
    }

    /// A member.
    pub(crate) fn member<T: Serialize + ?Sized>(&mut self, key: &str, value: &T) {
        write_value(self.key(key), value);
    }

    /// A member that is left out where there is no value.
    pub(crate) fn optional<T: Serialize>(&mut self, key: &str, value: Option<&T>) {
        if let Some(value) = value {
            self.member(key, value);
        }
    }

    /// A member whose value is JSON already.
    pub(crate) fn raw(&mut self, key: &str, value: &RawValue) {
        self.key(key).extend_from_slice(value.get().as_bytes());
    }

    /// All members of an object that is JSON already.
    pub(crate) fn members_of(&mut self, object: &RawValue) {
        let text = object.get().trim();
        let inner = text.strip_prefix('{').and_then(|t| t.strip_suffix('}')).map_or("", str::trim);
        if !inner.is_empty() {
            self.comma();
            self.out.extend_from_slice(inner.as_bytes());
        }
    }

    /// An object as a member.
    pub(crate) fn object(&mut self, key: &str) -> ObjectWriter<'_> {
        ObjectWriter::new(self.key(key))
    }

    /// Closes the object.
    pub(crate) fn end(self) {
        self.out.push(b'}');
    }

    fn comma(&mut self) {
        if self.empty {
            self.empty = false;
        } else {
            self.out.push(b',');
        }
    }
}

/// Writes a value. What this crate writes has string keys and finite numbers, so it cannot fail; should it do so
/// all the same, `null` stands in its place.
pub(crate) fn write_value<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    let at = out.len();
    if serde_json::to_writer(&mut *out, value).is_err() {
        out.truncate(at);
        out.extend_from_slice(b"null");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_joined() {
        let raw = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
        let mut out = Vec::new();
        let mut object = ObjectWriter::new(&mut out);
        object.members_of(&raw("{ }"));
        object.members_of(&raw(r#"{"a":1}"#));
        object.members_of(&raw("{}"));
        object.member("q\"", "x\n");
        object.optional("none", None::<&u8>);
        object.optional("some", Some(&2));
        let mut inner = object.object("o");
        inner.raw("r", &raw("[1, 2]"));
        inner.end();
        object.end();
        assert_eq!(String::from_utf8(out).unwrap(), r#"{"a":1,"q\"":"x\n","some":2,"o":{"r":[1, 2]}}"#);
    }
}
