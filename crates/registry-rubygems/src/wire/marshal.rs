//! Ruby's Marshal format 4.8, as far as indexes and quick specifications need it. It is only written: nothing of that kind is read here.

use chrono::{Datelike as _, NaiveDate};

use super::{
    platform,
    requirement::Requirement,
    spec::{Dependency, DependencyKind},
};
use crate::{names::Platform, version::Version};

/// The version of the format, at the beginning of every dump.
const VERSION: [u8; 2] = [4, 8];

/// Writes one dump. Symbols are written once and linked after that; objects never are, which readers do not mind.
#[derive(Debug)]
pub(crate) struct Writer {
    out: Vec<u8>,
    symbols: Vec<&'static str>,
}

impl Writer {
    pub(crate) fn new() -> Self {
        Self { out: VERSION.to_vec(), symbols: Vec::new() }
    }

    /// The dump.
    pub(crate) fn finish(self) -> Vec<u8> {
        self.out
    }

    pub(crate) fn nil(&mut self) {
        self.out.push(b'0');
    }

    pub(crate) fn bool(&mut self, value: bool) {
        self.out.push(if value { b'T' } else { b'F' });
    }

    pub(crate) fn integer(&mut self, value: u32) {
        self.out.push(b'i');
        self.number(value);
    }

    /// A symbol.
    pub(crate) fn symbol(&mut self, name: &'static str) {
        if let Some(at) = self.symbols.iter().position(|known| *known == name) {
            self.out.push(b';');
            self.length(at);
        } else {
            self.symbols.push(name);
            self.out.push(b':');
            self.bytes(name.as_bytes());
        }
    }

    /// A string in UTF-8.
    pub(crate) fn text(&mut self, text: &str) {
        self.out.extend_from_slice(b"I\"");
        self.bytes(text.as_bytes());
        self.length(1);
        self.symbol("E");
        self.bool(true);
    }

    /// A string, or nil.
    pub(crate) fn text_or_nil(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.text(text),
            None => self.nil(),
        }
    }

    /// The head of an array: so many values follow.
    pub(crate) fn array(&mut self, length: usize) {
        self.out.push(b'[');
        self.length(length);
    }

    /// An array of strings.
    pub(crate) fn texts(&mut self, texts: &[String]) {
        self.array(texts.len());
        for text in texts {
            self.text(text);
        }
    }

    /// The head of a hash: so many keys follow, each with its value.
    pub(crate) fn hash(&mut self, length: usize) {
        self.out.push(b'{');
        self.length(length);
    }

    /// A `Gem::Version`.
    pub(crate) fn version(&mut self, version: &Version) {
        self.user_class("Gem::Version");
        self.array(1);
        self.text(version.as_str());
    }

    /// A `Gem::Requirement`.
    pub(crate) fn requirement(&mut self, requirement: &Requirement) {
        self.user_class("Gem::Requirement");
        self.array(1);
        self.array(requirement.conditions().len());
        for condition in requirement.conditions() {
            self.array(2);
            self.text(condition.operator);
            self.version(&condition.version);
        }
    }

    /// A `Gem::Dependency`.
    pub(crate) fn dependency(&mut self, dependency: &Dependency) {
        self.out.push(b'o');
        self.symbol("Gem::Dependency");
        self.length(5);
        self.symbol("@name");
        self.text(dependency.name.as_str());
        self.symbol("@requirement");
        self.requirement(&dependency.requirement);
        self.symbol("@type");
        self.symbol(match dependency.kind {
            DependencyKind::Development => "development",
            DependencyKind::Runtime => "runtime",
        });
        self.symbol("@prerelease");
        self.bool(false);
        self.symbol("@version_requirements");
        self.requirement(&dependency.requirement);
    }

    /// A `Gem::Platform`, or the platform's text where it has none: `ruby`, and systems that not every client knows.
    pub(crate) fn platform(&mut self, platform: &Platform) {
        let Some(parts) = platform::parts(platform.as_str()) else { return self.text(platform.as_str()) };
        self.out.push(b'o');
        self.symbol("Gem::Platform");
        self.length(3);
        self.symbol("@cpu");
        self.text_or_nil(parts.cpu);
        self.symbol("@os");
        self.text(parts.os);
        self.symbol("@version");
        self.text_or_nil(parts.version);
    }

    /// A `Time` at the beginning of a day, UTC.
    pub(crate) fn day(&mut self, date: NaiveDate) {
        let year = u32::try_from(date.year().saturating_sub(1900)).unwrap_or(0).min(0xffff);
        let day = 1 << 31 | 1 << 30 | year << 14 | date.month0() << 10 | date.day() << 5;
        self.out.push(b'u');
        self.symbol("Time");
        self.length(8);
        self.out.extend_from_slice(&day.to_le_bytes());
        self.out.extend_from_slice(&[0; 4]);
    }

    /// An object that wrote itself as bytes.
    pub(crate) fn dumped(&mut self, class: &'static str, bytes: &[u8]) {
        self.out.push(b'u');
        self.symbol(class);
        self.bytes(bytes);
    }

    fn user_class(&mut self, class: &'static str) {
        self.out.push(b'U');
        self.symbol(class);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.length(bytes.len());
        self.out.extend_from_slice(bytes);
    }

    /// A length. What is written here is far below the format's limit (2^30), which a longer one is cut to.
    fn length(&mut self, length: usize) {
        self.number(u32::try_from(length).unwrap_or(u32::MAX));
    }

    fn number(&mut self, value: u32) {
        let value = value.min((1 << 30) - 1);
        match value {
            0 => self.out.push(0),
            // At most 127.
            1..=122 => self.out.push(u8::try_from(value).unwrap_or(0).saturating_add(5)),
            _ => {
                let bytes = value.to_le_bytes();
                let count = 4_usize.saturating_sub(value.leading_zeros() as usize / 8);
                self.out.push(u8::try_from(count).unwrap_or(4));
                self.out.extend_from_slice(bytes.get(..count).unwrap_or(&bytes));
            }
        }
    }
}

/// A reader for tests: it reads what the writer writes and checks every byte of it.
#[cfg(test)]
pub(crate) mod read {
    use std::collections::BTreeMap;

    #[derive(Clone, Debug, PartialEq)]
    pub(crate) enum Value {
        Nil,
        Bool(bool),
        Integer(i64),
        Symbol(String),
        Text(String),
        Array(Vec<Value>),
        Hash(Vec<(Value, Value)>),
        Object(String, BTreeMap<String, Value>),
        User(String, Box<Value>),
        Dumped(String, Vec<u8>),
    }

    impl Value {
        pub(crate) fn items(&self) -> &[Self] {
            match self {
                Self::Array(items) => items,
                other => panic!("no array: {other:?}"),
            }
        }

        pub(crate) fn text(&self) -> &str {
            match self {
                Self::Text(text) => text,
                Self::User(class, inner) if class == "Gem::Version" => inner.items()[0].text(),
                other => panic!("no text: {other:?}"),
            }
        }

        /// A `Gem::Requirement` as its conditions.
        pub(crate) fn requirement(&self) -> String {
            let Self::User(class, inner) = self else { panic!("{self:?}") };
            assert_eq!(class, "Gem::Requirement");
            let pairs = inner.items()[0].items().iter();
            pairs
                .map(|pair| format!("{} {}", pair.items()[0].text(), pair.items()[1].text()))
                .collect::<Vec<_>>()
                .join(", ")
        }
    }

    /// Reads a dump, to its last byte.
    pub(crate) fn load(bytes: &[u8]) -> Value {
        assert_eq!(bytes[..2], [4, 8]);
        let mut reader = Reader { rest: &bytes[2..], symbols: Vec::new() };
        let value = reader.value();
        assert!(reader.rest.is_empty(), "{} bytes are left", reader.rest.len());
        value
    }

    struct Reader<'b> {
        rest: &'b [u8],
        symbols: Vec<String>,
    }

    impl Reader<'_> {
        fn byte(&mut self) -> u8 {
            let byte = self.rest[0];
            self.rest = &self.rest[1..];
            byte
        }

        fn number(&mut self) -> i64 {
            let first = i8::from_le_bytes([self.byte()]);
            match first {
                0 => 0,
                1..=4 => (0..first).map(|at| i64::from(self.byte()) << (8 * at)).sum(),
                5..=127 => i64::from(first) - 5,
                -128..=-5 => i64::from(first) + 5,
                _ => {
                    let count = -first;
                    let bits: i64 = (0..count).map(|at| i64::from(self.byte()) << (8 * at)).sum();
                    bits - (1 << (8 * count))
                }
            }
        }

        fn bytes(&mut self) -> Vec<u8> {
            let length = usize::try_from(self.number()).unwrap();
            let (bytes, rest) = self.rest.split_at(length);
            self.rest = rest;
            bytes.to_vec()
        }

        fn symbol(&mut self) -> String {
            match self.value() {
                Value::Symbol(name) => name,
                other => panic!("no symbol: {other:?}"),
            }
        }

        fn value(&mut self) -> Value {
            match self.byte() {
                b'0' => Value::Nil,
                b'T' => Value::Bool(true),
                b'F' => Value::Bool(false),
                b'i' => Value::Integer(self.number()),
                b':' => {
                    let name = String::from_utf8(self.bytes()).unwrap();
                    assert!(!self.symbols.contains(&name), "{name} is not linked");
                    self.symbols.push(name.clone());
                    Value::Symbol(name)
                }
                b';' => {
                    let at = usize::try_from(self.number()).unwrap();
                    Value::Symbol(self.symbols[at].clone())
                }
                b'I' => {
                    assert_eq!(self.byte(), b'"');
                    let text = String::from_utf8(self.bytes()).unwrap();
                    assert_eq!(self.number(), 1);
                    assert_eq!((self.symbol().as_str(), self.value()), ("E", Value::Bool(true)));
                    Value::Text(text)
                }
                b'[' => {
                    let length = self.number();
                    Value::Array((0..length).map(|_| self.value()).collect())
                }
                b'{' => {
                    let length = self.number();
                    Value::Hash((0..length).map(|_| (self.value(), self.value())).collect())
                }
                b'o' => {
                    let class = self.symbol();
                    let length = self.number();
                    Value::Object(class, (0..length).map(|_| (self.symbol(), self.value())).collect())
                }
                b'U' => Value::User(self.symbol(), Box::new(self.value())),
                b'u' => Value::Dumped(self.symbol(), self.bytes()),
                other => panic!("{other:#x} is not written here"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        read::{Value, load},
        *,
    };
    use crate::{version::tests::any_version, wire::requirement::tests::any_requirement};

    fn dump(write: impl FnOnce(&mut Writer)) -> Vec<u8> {
        let mut writer = Writer::new();
        write(&mut writer);
        writer.finish()
    }

    /// What `Marshal.dump` of Ruby 3.1 writes.
    #[test]
    fn bytes_are_those_that_ruby_writes() {
        for (written, want) in [
            (dump(Writer::nil), &b"\x04\x080"[..]),
            (dump(|w| w.bool(true)), b"\x04\x08T"),
            (dump(|w| w.integer(0)), b"\x04\x08i\x00"),
            (dump(|w| w.integer(1)), b"\x04\x08i\x06"),
            (dump(|w| w.integer(122)), b"\x04\x08i\x7f"),
            (dump(|w| w.integer(123)), b"\x04\x08i\x01\x7b"),
            (dump(|w| w.integer(256)), b"\x04\x08i\x02\x00\x01"),
            (dump(|w| w.integer(1 << 24)), b"\x04\x08i\x04\x00\x00\x00\x01"),
            (dump(|w| w.text("ä")), b"\x04\x08I\"\x07\xc3\xa4\x06:\x06ET"),
            (
                dump(|w| {
                    w.array(2);
                    w.text("a");
                    w.text("b");
                }),
                b"\x04\x08[\x07I\"\x06a\x06:\x06ETI\"\x06b\x06;\x00T",
            ),
            (
                dump(|w| {
                    w.hash(1);
                    w.symbol("name");
                    w.nil();
                }),
                b"\x04\x08{\x06:\x09name0",
            ),
            (
                dump(|w| w.version(&"1.0".parse().unwrap())),
                b"\x04\x08U:\x11Gem::Version[\x06I\"\x081.0\x06:\x06ET",
            ),
            (
                dump(|w| w.day(NaiveDate::from_ymd_opt(2020, 1, 2).unwrap())),
                b"\x04\x08u:\x09Time\x0d\x40\x00\x1e\xc0\x00\x00\x00\x00",
            ),
        ] {
            assert_eq!(written, want, "{}", String::from_utf8_lossy(&written));
        }
    }

    proptest! {
        #[test]
        fn numbers_and_texts_round_trip(number in 0_u32..1 << 30, texts in prop::collection::vec("\\PC{0,300}", 0..4)) {
            let bytes = dump(|w| {
                w.array(2);
                w.integer(number);
                w.texts(&texts);
            });
            let texts = texts.into_iter().map(Value::Text).collect();
            prop_assert_eq!(load(&bytes), Value::Array(vec![Value::Integer(number.into()), Value::Array(texts)]));
        }

        #[test]
        fn versions_and_requirements_round_trip(version in any_version(), requirement in any_requirement()) {
            let bytes = dump(|w| {
                w.array(3);
                w.version(&version);
                w.requirement(&requirement);
                w.version(&version);
            });
            let value = load(&bytes);
            prop_assert_eq!(value.items()[0].text(), version.as_str());
            prop_assert_eq!(value.items()[2].text(), version.as_str());
            prop_assert_eq!(value.items()[1].requirement(), requirement.to_string());
        }
    }
}
