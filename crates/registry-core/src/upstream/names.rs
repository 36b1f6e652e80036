//! Patterns of package names, cut along each protocol's own seams.

use std::borrow::Cow;

use crate::{Pattern, Protocol};

/// A pattern of names of one protocol. `*` stands for any run of characters.
///
/// A Maven pattern without `:` is one of groups: `com.acme` is that group, `com.acme.*` that group and all below it, and never
/// `com.acmeevil`. Names are compared in the form in which the protocol takes two spellings for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamePattern {
    protocol: Protocol,
    text: String,
    shape: Shape,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Shape {
    Name(Pattern),
    /// A Maven group itself, and with `true` all groups below it.
    Group(String, bool),
}

impl NamePattern {
    /// A pattern from its text; every text is one.
    pub(crate) fn new(protocol: Protocol, text: &str) -> Self {
        let shape = match (protocol, text.strip_suffix(".*")) {
            (Protocol::Maven, _) if text.contains(':') => Shape::Name(Pattern::new(text)),
            (Protocol::Maven, Some(group)) if !group.contains('*') => Shape::Group(group.to_owned(), true),
            (Protocol::Maven, None) if !text.contains('*') => Shape::Group(text.to_owned(), false),
            (Protocol::Maven, _) => Shape::Name(Pattern::new(&format!("{text}:*"))),
            _ => Shape::Name(Pattern::new(&folded(protocol, text))),
        };
        Self { protocol, text: text.to_owned(), shape }
    }

    /// As it was written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Whether the name matches.
    pub(crate) fn matches(&self, name: &str) -> bool {
        match &self.shape {
            Shape::Name(pattern) => pattern.matches(&folded(self.protocol, name)),
            Shape::Group(group, below) => {
                let of_name = name.split_once(':').map_or(name, |(group, _)| group);
                match of_name.strip_prefix(group.as_str()) {
                    Some("") => true,
                    Some(rest) => *below && rest.starts_with('.'),
                    None => false,
                }
            }
        }
    }
}

/// A name in the form in which its protocol takes two spellings for one.
fn folded(protocol: Protocol, name: &str) -> Cow<'_, str> {
    match protocol {
        Protocol::Pypi => {
            let mut out = String::with_capacity(name.len());
            for c in name.chars() {
                match c {
                    '-' | '_' | '.' if out.ends_with('-') => {}
                    '-' | '_' | '.' => out.push('-'),
                    c => out.extend(c.to_lowercase()),
                }
            }
            out.into()
        }
        Protocol::Cargo => name.to_ascii_lowercase().replace('_', "-").into(),
        Protocol::Composer => name.to_ascii_lowercase().into(),
        Protocol::Maven | Protocol::Npm | Protocol::Oci | Protocol::Rubygems => name.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checklist_40_patterns_keep_to_segments_and_spellings() {
        use Protocol::{Cargo, Composer, Maven, Npm, Oci, Pypi, Rubygems};
        for (protocol, pattern, name, want) in [
            (Npm, "@acme/*", "@acme/lib", true),
            (Npm, "@acme/*", "@acme-evil/x", false),
            (Npm, "left-pad", "left-pad", true),
            (Npm, "left-pad", "left-pads", false),
            (Maven, "com.acme.*", "com.acme:lib", true),
            (Maven, "com.acme.*", "com.acme.x:lib", true),
            (Maven, "com.acme.*", "com.acmeevil:lib", false),
            (Maven, "com.acme", "com.acme:lib", true),
            (Maven, "com.acme", "com.acme.x:lib", false),
            (Maven, "com.acme:lib*", "com.acme:lib-core", true),
            (Maven, "com.acme:lib*", "com.acme.x:lib", false),
            (Maven, "*.internal", "com.internal:lib", true),
            (Oci, "library/*", "library/alpine", true),
            (Oci, "library/*", "libraryx/alpine", false),
            (Composer, "acme/*", "Acme/Lib", true),
            (Pypi, "Acme_*", "acme-lib", true),
            (Pypi, "acme.lib", "acme-lib", true),
            (Cargo, "foo_*", "foo-bar", true),
            (Cargo, "Foo-Bar", "foo_bar", true),
            (Rubygems, "rails*", "railties", false),
        ] {
            assert_eq!(NamePattern::new(protocol, pattern).matches(name), want, "{pattern} {name}");
        }
    }
}
