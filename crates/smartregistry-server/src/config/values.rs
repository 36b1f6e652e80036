//! Values that people write with a unit, and secrets that are written elsewhere.

use std::{fmt, str::FromStr, time::Duration};

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, de};

use super::Lookup;

/// A number of bytes: `4096`, `"64KiB"`, `"100MB"`, `"2GiB"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ByteSize(pub(crate) u64);

/// A length of time: seconds as a number, or `"500ms"`, `"30s"`, `"5m"`, `"24h"`, `"30d"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span(pub(crate) Duration);

/// A secret as the configuration has it: the text itself, `env:NAME` or `file:PATH`.
#[derive(Clone)]
pub(crate) struct Secret(SecretString);

/// Why a value with a unit, or a secret, cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum ValueError {
    /// Not a number with one of the known size units.
    #[error("{0:?} is not a size: write a number of bytes, or a number with KiB, MiB, GiB, KB, MB or GB")]
    Size(String),
    /// Not a number with one of the known time units.
    #[error("{0:?} is not a length of time: write seconds, or a number with ms, s, m, h or d")]
    Time(String),
    /// The environment variable that a secret names is missing or empty.
    #[error("the environment variable {0} that should hold the secret is not set")]
    SecretVariable(String),
    /// The file that a secret names cannot be read.
    #[error("the file {path} that should hold the secret cannot be read: {reason}")]
    SecretFile {
        /// The file as configured.
        path: String,
        /// What the operating system said.
        reason: String,
    },
    /// A secret came out empty.
    #[error("the secret is empty")]
    SecretEmpty,
}

impl FromStr for ByteSize {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let wrong = || ValueError::Size(text.to_owned());
        let (number, unit) = split_unit(text);
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let factor: u64 = match unit {
            "" | "B" => 1,
            "KiB" | "K" | "k" => 1 << 10,
            "MiB" | "M" => 1 << 20,
            "GiB" | "G" => 1 << 30,
            "TiB" | "T" => 1 << 40,
            "KB" | "kB" => 1_000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            "TB" => 1_000_000_000_000,
            _ => return Err(wrong()),
        };
        number.checked_mul(factor).map(ByteSize).ok_or_else(wrong)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (shift, unit) in [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")] {
            let one = 1u64 << shift;
            if self.0 >= one && self.0.is_multiple_of(one) {
                return write!(f, "{}{unit}", self.0 >> shift);
            }
        }
        write!(f, "{}", self.0)
    }
}

impl FromStr for Span {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let wrong = || ValueError::Time(text.to_owned());
        let (number, unit) = split_unit(text);
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let seconds = |factor: u64| number.checked_mul(factor).map(Duration::from_secs).ok_or_else(wrong);
        let span = match unit {
            "ms" => Duration::from_millis(number),
            "" | "s" => seconds(1)?,
            "m" => seconds(60)?,
            "h" => seconds(3_600)?,
            "d" => seconds(86_400)?,
            _ => return Err(wrong()),
        };
        // A century is past every use, and far below where adding it to a clock could overflow.
        if span > Duration::from_hours(100 * 365 * 24) {
            return Err(wrong());
        }
        Ok(Span(span))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        if self.0.subsec_millis() > 0 {
            return write!(f, "{}ms", self.0.as_millis());
        }
        for (size, unit) in [(86_400, "d"), (3_600, "h"), (60, "m")] {
            if seconds >= size && seconds.is_multiple_of(size) {
                return write!(f, "{}{unit}", seconds / size);
            }
        }
        write!(f, "{seconds}s")
    }
}

fn split_unit(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number, unit.trim_start())
}

impl Secret {
    /// The secret itself, looked up where the configuration says it lies.
    ///
    /// A file's trailing line break is not part of the secret.
    pub(crate) fn resolve(&self, lookup: &Lookup<'_>) -> Result<SecretString, ValueError> {
        let text = self.0.expose_secret();
        let found = if let Some(name) = text.strip_prefix("env:") {
            (lookup.variable)(name).ok_or_else(|| ValueError::SecretVariable(name.to_owned()))?
        } else if let Some(path) = text.strip_prefix("file:") {
            let read = (lookup.file)(path)
                .map_err(|e| ValueError::SecretFile { path: path.to_owned(), reason: e.to_string() })?;
            read.trim_end_matches(['\r', '\n']).to_owned()
        } else {
            text.to_owned()
        };
        if found.is_empty() {
            return Err(ValueError::SecretEmpty);
        }
        Ok(SecretString::from(found))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Secret(SecretString::from(text))
    }
}

/// An integer or a text, as TOML and the environment may both give it.
struct NumberOrText<T>(std::marker::PhantomData<T>, &'static str);

impl<T: FromStr<Err = ValueError>> de::Visitor<'_> for NumberOrText<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.1)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        number.to_string().parse().map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        number.to_string().parse().map_err(E::custom)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(NumberOrText(std::marker::PhantomData, "a size such as 4096 or \"64MiB\""))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(NumberOrText(std::marker::PhantomData, "a length of time such as \"30s\""))
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        // By way of a value of any type, since serde's own message about a wrong one would show it.
        match toml::Value::deserialize(from)? {
            toml::Value::String(text) => Ok(Secret(SecretString::from(text))),
            _ => Err(de::Error::custom("a secret must be a text")),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn size(text: &str, expect: Option<u64>) {
        assert_eq!(text.parse::<ByteSize>().ok().map(|s| s.0), expect, "{text}");
    }

    #[track_caller]
    fn span(text: &str, expect_ms: Option<u64>) {
        let got = text.parse::<Span>().ok().map(|s| s.0.as_millis());
        assert_eq!(got, expect_ms.map(u128::from), "{text}");
    }

    #[test]
    fn sizes_take_bytes_and_binary_and_decimal_units() {
        size("0", Some(0));
        size("4096", Some(4096));
        size("64KiB", Some(65_536));
        size("64 KiB", Some(65_536));
        size("100MB", Some(100_000_000));
        size("2GiB", Some(2 << 30));
        size("1T", Some(1 << 40));
        size("", None);
        size("MiB", None);
        size("-1", None);
        size("1.5MiB", None);
        size("10 apples", None);
        size("99999999999TiB", None);
    }

    #[test]
    fn spans_take_seconds_and_the_usual_units() {
        span("30", Some(30_000));
        span("30s", Some(30_000));
        span("500ms", Some(500));
        span("5m", Some(300_000));
        span("24h", Some(86_400_000));
        span("30d", Some(30 * 86_400_000));
        span("0s", Some(0));
        span("", None);
        span("1y", None);
        span("-3s", None);
        span("18446744073709551615d", None);
        span("40000d", None);
    }

    fn lookup_nothing() -> Lookup<'static> {
        Lookup { variable: &|_| None, file: &|_| Err(std::io::Error::other("no such file")) }
    }

    #[test]
    fn secrets_come_from_the_text_the_environment_or_a_file() {
        let lookup = Lookup {
            variable: &|name| (name == "JWT").then(|| "from-env".to_owned()),
            file: &|path| {
                if path == "/run/secret" {
                    Ok("from-file\n".to_owned())
                } else {
                    Err(std::io::Error::other("gone"))
                }
            },
        };
        let check = |text: &str, expect: Result<&str, ValueError>| {
            let got = Secret::from(text).resolve(&lookup).map(|s| s.expose_secret().to_owned());
            assert_eq!(got, expect.map(str::to_owned), "{text}");
        };
        check("plain", Ok("plain"));
        check("env:JWT", Ok("from-env"));
        check("file:/run/secret", Ok("from-file"));
        check("env:OTHER", Err(ValueError::SecretVariable("OTHER".into())));
        check("file:/x", Err(ValueError::SecretFile { path: "/x".into(), reason: "gone".into() }));
        check("", Err(ValueError::SecretEmpty));
    }

    #[test]
    fn secrets_do_not_print() {
        let secret = Secret::from("hunter2hunter2");
        assert!(!format!("{secret:?}").contains("hunter2"));
        let resolved = secret.resolve(&lookup_nothing()).unwrap();
        assert!(!format!("{resolved:?}").contains("hunter2"));
    }

    proptest! {
        #[test]
        fn sizes_round_trip(bytes in any::<u64>()) {
            let size = ByteSize(bytes);
            prop_assert_eq!(size.to_string().parse::<ByteSize>(), Ok(size));
        }

        #[test]
        fn spans_round_trip(ms in 0u64..3_000_000_000_000) {
            let span = Span(Duration::from_millis(ms));
            prop_assert_eq!(span.to_string().parse::<Span>(), Ok(span));
        }

        #[test]
        fn no_text_makes_the_parsers_panic(text in "\\PC*") {
            let _ = text.parse::<ByteSize>();
            let _ = text.parse::<Span>();
        }
    }
}
