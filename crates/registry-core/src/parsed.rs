//! What the newtypes of parsed text (names, versions, tags) have in common.

/// The faces that a newtype with `FromStr` and `as_str` has besides: `Display`, and the two conversions that
/// `#[serde(try_from = "String", into = "String")]` goes through, so that serde knows no other parser.
///
/// ```
/// #[derive(Debug)]
/// struct Name(String);
///
/// impl Name {
///     fn as_str(&self) -> &str {
///         &self.0
///     }
/// }
///
/// impl std::str::FromStr for Name {
///     type Err = &'static str;
///
///     fn from_str(text: &str) -> Result<Self, Self::Err> {
///         if text.is_empty() { Err("it is empty") } else { Ok(Self(text.to_owned())) }
///     }
/// }
///
/// registry_core::parsed_text!(Name);
///
/// assert_eq!(Name::try_from("lib".to_owned())?.to_string(), "lib");
/// assert_eq!(Name::try_from(String::new()).unwrap_err(), "it is empty");
/// # Ok::<(), &str>(())
/// ```
#[macro_export]
macro_rules! parsed_text {
    ($newtype:ty) => {
        impl ::std::convert::TryFrom<::std::string::String> for $newtype {
            type Error = <$newtype as ::std::str::FromStr>::Err;

            fn try_from(text: ::std::string::String) -> ::std::result::Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl ::std::convert::From<$newtype> for ::std::string::String {
            fn from(parsed: $newtype) -> Self {
                parsed.as_str().to_owned()
            }
        }

        impl ::std::fmt::Display for $newtype {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

/// What an error may say of a text that was refused: its first 80 characters, without control characters. What is refused for its length
/// or for such characters should not fill or garble the answer.
pub fn shown(text: &str) -> String {
    text.chars().take(80).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_text_is_shortened_and_cleaned() {
        assert_eq!(shown("a\n\u{1b}b"), "a\u{fffd}\u{fffd}b");
        assert_eq!(shown(&"ä".repeat(100)), "ä".repeat(80));
    }
}
