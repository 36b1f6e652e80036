//! The anchors of an HTML page (PEP 503), and nothing else of it.

use std::borrow::Cow;

/// The most anchors that are read.
pub(crate) const MAX_ANCHORS: usize = 200_000;
/// The longest tag.
const MAX_TAG: usize = 64 << 10;

/// What a page of anchors says.
#[derive(Debug, Default)]
pub(crate) struct Anchors {
    /// The `href` of its `<base>`.
    pub(crate) base: Option<String>,
    /// `<meta>` elements: name and content.
    pub(crate) metas: Vec<(String, String)>,
    /// The title.
    pub(crate) title: String,
    /// The attributes of each `<a>`.
    pub(crate) links: Vec<Vec<(String, String)>>,
}

/// Reads a page. What is no tag is skipped; the text says what is too much.
pub(crate) fn anchors(text: &str) -> Result<Anchors, String> {
    let mut found = Anchors::default();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('<') {
        if let Some(comment) = after.strip_prefix("!--") {
            rest = comment.split_once("-->").map_or("", |(_, rest)| rest);
            continue;
        }
        let Some(tag) = Tag::read(after)? else {
            rest = after;
            continue;
        };
        rest = tag.rest;
        match tag.name.as_str() {
            "a" if found.links.len() >= MAX_ANCHORS => {
                return Err(format!("its page has more than {MAX_ANCHORS} links"));
            }
            "a" => found.links.push(tag.attributes),
            "base" => {
                let href = tag.attributes.into_iter().find(|(name, _)| name == "href");
                found.base = found.base.or(href.map(|(_, href)| href));
            }
            "meta" if found.metas.len() < 64 => {
                let get = |wanted: &str| {
                    tag.attributes.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone())
                };
                found.metas.extend(get("name").zip(get("content")));
            }
            "title" => {
                let (title, after) = raw_text(rest, "title");
                found.title = title.chars().take(200).collect();
                rest = after;
            }
            // What looks like a tag in these is none.
            name @ ("script" | "style" | "textarea") => rest = raw_text(rest, name).1,
            _ => {}
        }
    }
    Ok(found)
}

/// The text before an element's end, and what follows it.
fn raw_text<'t>(text: &'t str, name: &str) -> (&'t str, &'t str) {
    let ends = |at: &usize| {
        let tail = text.get(at.saturating_add(2)..).unwrap_or_default();
        tail.get(..name.len()).is_some_and(|found| found.eq_ignore_ascii_case(name))
    };
    match text.match_indices("</").map(|(at, _)| at).find(ends) {
        Some(at) => text.split_at(at),
        None => (text, ""),
    }
}

struct Tag<'t> {
    name: String,
    attributes: Vec<(String, String)>,
    rest: &'t str,
}

impl<'t> Tag<'t> {
    /// A tag from what follows its `<`; `None` where that begins none.
    fn read(text: &'t str) -> Result<Option<Self>, String> {
        let is_space = |c: char| c.is_ascii_whitespace();
        let end = text.find(|c: char| is_space(c) || c == '>' || c == '/').unwrap_or(text.len());
        let (name, mut rest) = text.split_at(end);
        if !name.starts_with(|c: char| c.is_ascii_alphabetic()) || name.len() > 32 {
            return Ok(None);
        }
        let mut attributes = Vec::new();
        loop {
            if text.len().saturating_sub(rest.len()) > MAX_TAG {
                return Err(format!("its page has a tag of more than {MAX_TAG} bytes"));
            }
            rest = rest.trim_start_matches(|c: char| is_space(c) || c == '/');
            if rest.is_empty() {
                break;
            }
            if let Some(after) = rest.strip_prefix('>') {
                rest = after;
                break;
            }
            // At least one character, so that every turn gets on.
            let first = rest.chars().next().map_or(0, char::len_utf8);
            let tail = rest.get(first..).unwrap_or_default();
            let length = tail.find(|c: char| is_space(c) || matches!(c, '=' | '>' | '/'));
            let (attribute, after) = rest.split_at(first.saturating_add(length.unwrap_or(tail.len())));
            let (value, after) = value(after);
            attributes.push((attribute.to_ascii_lowercase(), decoded(value).into_owned()));
            rest = after;
        }
        Ok(Some(Self { name: name.to_ascii_lowercase(), attributes, rest }))
    }
}

/// The value of an attribute from what follows its name.
fn value(text: &str) -> (&str, &str) {
    let Some(text) = text.trim_start().strip_prefix('=') else { return ("", text) };
    let text = text.trim_start();
    for quote in ['"', '\''] {
        if let Some(quoted) = text.strip_prefix(quote) {
            return quoted.split_once(quote).unwrap_or((quoted, ""));
        }
    }
    let end = text.find(|c: char| c.is_ascii_whitespace() || c == '>').unwrap_or(text.len());
    text.split_at(end)
}

/// A text without its character references.
fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains('&') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut parts = text.split('&');
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let known = part.split_once(';').and_then(|(name, rest)| Some((reference(name)?, rest)));
        let (character, rest) = known.unwrap_or(('&', part));
        out.push(character);
        out.push_str(rest);
    }
    Cow::Owned(out)
}

fn reference(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16),
                None => number.parse(),
            };
            char::from_u32(code.ok()?)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn anchors_are_read_as_browsers_do() {
        let page = "<!DOCTYPE html><html><head><BASE href='../f/'><meta name=a content=b><title>Links for x</title>\
             <script>\"<a href='no'>\"</script></head><!-- <a href='no'> --> 1 < 2\
             <a href=\"x-1.tar.gz#sha256=ab\" data-requires-python='&gt;=3 &amp;&#60;&#x34;' data-yanked>x</a>\
             <A HREF=y-1.whl>y</A><a href='open";
        let found = anchors(page).unwrap();
        assert_eq!(found.base.as_deref(), Some("../f/"));
        assert_eq!(found.metas, [("a".to_owned(), "b".to_owned())]);
        assert_eq!(found.title, "Links for x");
        let pairs = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let first =
            [("href", "x-1.tar.gz#sha256=ab"), ("data-requires-python", ">=3 &<4"), ("data-yanked", "")];
        let all = [pairs(&first), pairs(&[("href", "y-1.whl")]), pairs(&[("href", "open")])];
        assert_eq!(found.links, all);
    }

    #[test]
    fn a_page_without_end_stops_at_the_limits() {
        assert!(anchors(&format!("<a {}>", "x ".repeat(MAX_TAG))).is_err());
        assert!(anchors(&"<a>".repeat(MAX_ANCHORS + 1)).is_err());
        assert_eq!(anchors(&"<a>".repeat(3)).unwrap().links.len(), 3);
    }

    proptest! {
        #[test]
        fn no_text_panics(
            text in "\\PC{0,60}",
            odd in "(<|>|/|a |base|href|=|'|\"|&#x?[0-9a-f]{0,3};|&amp;|<!--|-->|<script>|</|\u{e9}| ){0,20}",
        ) {
            let _ = anchors(&text);
            let _ = anchors(&odd);
        }
    }
}
