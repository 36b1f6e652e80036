//! YAML as data: no object of any language is made of it. A parser of events is read under limits; everything that a gem's metadata has
//! no use for (aliases and anchors, merge keys, foreign tags, several documents) is refused.

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use saphyr_parser::{Event, Parser, ScalarStyle, Tag};

/// The deepest nesting.
const MAX_DEPTH: usize = 32;

/// The most nodes that are looked at.
const MAX_NODES: usize = 1_000_000;

/// The most nodes that are kept.
const MAX_KEPT: usize = 100_000;

/// The Ruby types that a gem's metadata consists of. Only their parts are read.
const RUBY_TYPES: [&str; 6] = [
    "Gem::Dependency",
    "Gem::Platform",
    "Gem::Requirement",
    "Gem::Specification",
    "Gem::Version",
    "Gem::Version::Requirement",
];

/// Why a text is refused. The sentences are for the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum YamlError {
    #[error("anchors and aliases are not allowed")]
    Alias,
    #[error("it is nested more than {MAX_DEPTH} levels deep")]
    Depth,
    #[error("the key {0:?} is there twice")]
    DuplicateKey(String),
    #[error("a key is no plain text")]
    Key,
    #[error("it is no YAML: {0}")]
    Malformed(String),
    #[error("merge keys are not allowed")]
    Merge,
    #[error("it is not exactly one document")]
    NotOneDocument,
    #[error("its top is no mapping")]
    NoMapping,
    #[error("the tag {0:?} is not allowed")]
    Tag(String),
    #[error("it has too many parts")]
    TooLarge,
}

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    /// Anything that is written as one word or text, as it stands: numbers and dates too.
    Scalar {
        text: String,
        /// Whether it was in quotes or a block: then it is a text whatever it looks like.
        quoted: bool,
    },
    List(Vec<Node>),
    /// In the order of the text; no key is there twice.
    Mapping(Vec<(String, Node)>),
}

impl Node {
    /// Whether it is what YAML calls null.
    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Self::Scalar { text, quoted: false } if matches!(&**text, "" | "~" | "null" | "Null" | "NULL"))
    }

    /// The value of a key.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Mapping(pairs) => pairs.iter().find(|(name, _)| name == key).map(|(_, node)| node),
            _ => None,
        }
    }

    /// The text of a scalar that is not null.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Scalar { text, .. } if !self.is_null() => Some(text),
            _ => None,
        }
    }
}

/// Reads a mapping. Values of its keys that `wanted` says no to are checked as all others, and not kept.
pub(crate) fn parse_mapping(text: &str, wanted: impl Fn(&str) -> bool) -> Result<Node, YamlError> {
    let mut reader = Reader { parser: Parser::new_from_str(text), nodes: 0, kept: 0 };
    reader.expect(|event| matches!(event, Event::StreamStart))?;
    reader.expect(|event| matches!(event, Event::DocumentStart(_)))?;
    let node = match reader.next()? {
        Event::MappingStart(anchor, tag) => {
            check(anchor, tag.as_deref())?;
            reader.mapping(1, true, &wanted)?
        }
        Event::Alias(_) => return Err(YamlError::Alias),
        _ => return Err(YamlError::NoMapping),
    };
    reader.expect(|event| matches!(event, Event::DocumentEnd))?;
    reader.expect(|event| matches!(event, Event::StreamEnd))?;
    Ok(node)
}

struct Reader<'t> {
    parser: Parser<'t, saphyr_parser::StrInput<'t>>,
    nodes: usize,
    kept: usize,
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Result<Event<'t>, YamlError> {
        match self.parser.next_event() {
            Some(Ok((event, _))) => {
                self.nodes += 1;
                if self.nodes > MAX_NODES { Err(YamlError::TooLarge) } else { Ok(event) }
            }
            Some(Err(error)) => {
                Err(YamlError::Malformed(format!("{} in line {}", error.info(), error.marker().line())))
            }
            None => Err(YamlError::Malformed("it ends early".to_owned())),
        }
    }

    fn expect(&mut self, wanted: impl Fn(&Event<'_>) -> bool) -> Result<(), YamlError> {
        if wanted(&self.next()?) { Ok(()) } else { Err(YamlError::NotOneDocument) }
    }

    fn keep(&mut self) -> Result<(), YamlError> {
        self.kept += 1;
        if self.kept > MAX_KEPT { Err(YamlError::TooLarge) } else { Ok(()) }
    }

    /// The value that begins with this event. The recursion is as deep as the nesting, which is limited.
    fn node(&mut self, event: Event<'t>, depth: usize, keep: bool) -> Result<Node, YamlError> {
        if depth > MAX_DEPTH {
            return Err(YamlError::Depth);
        }
        if keep {
            self.keep()?;
        }
        match event {
            Event::Alias(_) => Err(YamlError::Alias),
            Event::Scalar(text, style, anchor, tag) => {
                check(anchor, tag.as_deref())?;
                let binary = tag.is_some_and(|tag| tag.suffix == "binary");
                scalar(text, style, keep, binary)
            }
            Event::SequenceStart(anchor, tag) => {
                check(anchor, tag.as_deref())?;
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        Event::SequenceEnd => return Ok(Node::List(items)),
                        event => {
                            let item = self.node(event, depth.saturating_add(1), keep)?;
                            if keep {
                                items.push(item);
                            }
                        }
                    }
                }
            }
            Event::MappingStart(anchor, tag) => {
                check(anchor, tag.as_deref())?;
                self.mapping(depth, keep, &|_| true)
            }
            _ => Err(YamlError::NotOneDocument),
        }
    }

    fn mapping(
        &mut self,
        depth: usize,
        keep: bool,
        wanted: &dyn Fn(&str) -> bool,
    ) -> Result<Node, YamlError> {
        let mut pairs: Vec<(String, Node)> = Vec::new();
        let mut names = std::collections::HashSet::new();
        loop {
            let key = match self.next()? {
                Event::MappingEnd => return Ok(Node::Mapping(pairs)),
                Event::Scalar(text, _, anchor, tag) => {
                    check(anchor, tag.as_deref())?;
                    text.into_owned()
                }
                Event::Alias(_) => return Err(YamlError::Alias),
                _ => return Err(YamlError::Key),
            };
            if key == "<<" {
                return Err(YamlError::Merge);
            }
            let keep = keep && wanted(&key);
            let event = self.next()?;
            let value = self.node(event, depth.saturating_add(1), keep)?;
            if !names.insert(key.clone()) {
                return Err(YamlError::DuplicateKey(key.chars().take(100).collect()));
            }
            if keep {
                pairs.push((key, value));
            }
        }
    }
}

fn scalar(text: Cow<'_, str>, style: ScalarStyle, keep: bool, binary: bool) -> Result<Node, YamlError> {
    let text = match (keep, binary) {
        (false, _) => String::new(),
        (true, false) => text.into_owned(),
        (true, true) => {
            // Old versions of Ruby write texts so that are not ASCII.
            let packed: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
            let bytes = STANDARD.decode(packed).ok();
            let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
            text.ok_or_else(|| {
                YamlError::Malformed("a text tagged !binary is no UTF-8 in base64".to_owned())
            })?
        }
    };
    Ok(Node::Scalar { text, quoted: binary || style != ScalarStyle::Plain })
}

/// Refuses anchors, and tags but those of a gem's metadata and of texts.
fn check(anchor: usize, tag: Option<&Tag>) -> Result<(), YamlError> {
    if anchor != 0 {
        return Err(YamlError::Alias);
    }
    let Some(tag) = tag else { return Ok(()) };
    let known = match (&*tag.handle, &*tag.suffix) {
        ("" | "!", "" | "!" | "str" | "binary") | ("tag:yaml.org,2002:", "str" | "binary") => true,
        ("!", suffix) => suffix.strip_prefix("ruby/object:").is_some_and(|name| RUBY_TYPES.contains(&name)),
        _ => false,
    };
    if known {
        Ok(())
    } else {
        let text = format!("{}{}", tag.handle, tag.suffix);
        Err(YamlError::Tag(text.chars().take(100).collect()))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<Node, YamlError> {
        parse_mapping(text, |_| true)
    }

    fn text(text: &str) -> Node {
        Node::Scalar { text: text.to_owned(), quoted: false }
    }

    #[test]
    fn checklist_35_scalars_stay_what_was_written() {
        let node = parse("--- !ruby/object:Gem::Specification\na: 1.10\nb: 2020-01-01\nc: '~'\nd: ~\ne:\nf: ! 'x'\ng: :runtime\n").unwrap();
        assert_eq!(node.get("a"), Some(&text("1.10")));
        assert_eq!(node.get("b").unwrap().text(), Some("2020-01-01"));
        assert_eq!(node.get("c").unwrap().text(), Some("~"));
        assert!(node.get("d").unwrap().is_null() && node.get("e").unwrap().is_null());
        assert_eq!(node.get("f").unwrap().text(), Some("x"));
        assert_eq!(node.get("g").unwrap().text(), Some(":runtime"));
        assert_eq!(node.get("h"), None);
        let binary = parse("a: !binary |-\n  w6Q=\n").unwrap();
        assert_eq!(binary.get("a").unwrap().text(), Some("ä"));
        assert!(parse("a: !binary '/w=='\n").is_err());
        let blocks = parse("a: |-\n  one\n  two\nb: \"x\\n\\u00e4\"\nc:\n- 1\n- - x\n  - y: z\n").unwrap();
        assert_eq!(blocks.get("a").unwrap().text(), Some("one\ntwo"));
        assert_eq!(blocks.get("b").unwrap().text(), Some("x\nä"));
        let Node::List(items) = blocks.get("c").unwrap() else { panic!() };
        assert_eq!(items[0], text("1"));
    }

    #[test]
    fn what_is_not_wanted_is_checked_and_not_kept() {
        let node = parse_mapping("a: [1, 2]\nb: 3\n", |key| key == "b").unwrap();
        assert_eq!(node, Node::Mapping(vec![("b".to_owned(), text("3"))]));
        assert_eq!(parse_mapping("a: !x 1\nb: 3\n", |key| key == "b"), Err(YamlError::Tag("!x".into())));
    }

    #[test]
    fn checklist_34_what_is_refused() {
        let deep = "a:\n"
            .chars()
            .chain((1..40).flat_map(|n| format!("{}a:\n", " ".repeat(n)).chars().collect::<Vec<_>>()))
            .collect::<String>();
        for (yaml, error) in [
            ("a: !ruby/object:OpenStruct {}\n", YamlError::Tag("!ruby/object:OpenStruct".into())),
            ("a: !ruby/hash:Foo {}\n", YamlError::Tag("!ruby/hash:Foo".into())),
            (
                "a: !ruby/object:Gem::Requirements x\n",
                YamlError::Tag("!ruby/object:Gem::Requirements".into()),
            ),
            ("a: !!set {}\n", YamlError::Tag("tag:yaml.org,2002:set".into())),
            ("--- !ruby/object:Kernel\na: 1\n", YamlError::Tag("!ruby/object:Kernel".into())),
            ("a: &x 1\n", YamlError::Alias),
            ("a: &x [1]\nb: *x\n", YamlError::Alias),
            ("a: 1\n&x b: 2\n", YamlError::Alias),
            ("<<: {a: 1}\n", YamlError::Merge),
            ("a: 1\na: 2\n", YamlError::DuplicateKey("a".into())),
            ("{a: 1}: 2\n", YamlError::Key),
            ("- 1\n", YamlError::NoMapping),
            ("x\n", YamlError::NoMapping),
            ("a: 1\n---\nb: 2\n", YamlError::NotOneDocument),
            ("", YamlError::NotOneDocument),
            (&deep, YamlError::Depth),
        ] {
            assert_eq!(parse(yaml), Err(error), "{yaml}");
        }
        assert!(matches!(parse("a: [1\n"), Err(YamlError::Malformed(_))));
        assert!(matches!(parse("a: *x\n"), Err(YamlError::Malformed(_) | YamlError::Alias)));
    }

    #[test]
    fn checklist_34_bombs_end_soon() {
        let begun = Instant::now();
        for yaml in [
            "a: ".to_owned() + &"[".repeat(1 << 20),
            "a: ".to_owned() + &"{a: ".repeat(1 << 18),
            "- ".repeat(1 << 20),
            "? ".repeat(1 << 20),
            "a: [".to_owned() + &"x,".repeat(1 << 20) + "]",
            (0..5000).flat_map(|n| [" ".repeat(n % 1000), "a:\n".to_owned()]).collect(),
        ] {
            assert!(parse(&yaml).is_err());
        }
        assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
    }

    proptest! {
        #[test]
        fn no_text_panics(
            any in "\\PC{0,60}",
            odd in "(- |a|: |\n|  |\"|'|\\||>|&a|\\*a|!ruby/object:Gem::Version |!|\\[|\\]|\\{|\\}|,|\\? |---|#|<<: ){0,24}",
        ) {
            for text in [any, odd] {
                if let Ok(node) = parse(&text) {
                    prop_assert!(matches!(node, Node::Mapping(_)));
                }
            }
        }

        #[test]
        fn quoted_texts_round_trip(value in "\\PC{0,40}", key in "[a-z]{1,8}") {
            let quoted = value.replace('\'', "''");
            let node = parse(&format!("{key}: '{quoted}'\n")).unwrap();
            prop_assert_eq!(node.get(&key).unwrap(), &Node::Scalar { text: value, quoted: true });
        }
    }
}
