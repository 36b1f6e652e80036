//! XML documents of others, read element by element within limits. Entities of a document's own are not known and nothing outside it
//! is read.

use quick_xml::{Reader, events::Event};

/// The deepest nesting.
const MAX_DEPTH: usize = 64;
/// The most text of one element that is kept, in bytes.
const MAX_TEXT: usize = 16 << 10;

/// Why a document is not read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum XmlError {
    #[error("the document has a DOCTYPE, which is not read")]
    Doctype,
    #[error("the document is nested more than {MAX_DEPTH} levels deep")]
    TooDeep,
    #[error("the document is no well-formed XML")]
    Malformed(#[source] Option<quick_xml::Error>),
    /// Which root was expected.
    #[error("the document's root is not <{0}>")]
    Root(&'static str),
}

/// Walks a document and calls `visit` at the end of each element with the names of the elements that it is in, its own last, and
/// its text without the space around it. Children come before their parents. Names are without prefixes.
pub(super) fn walk(
    bytes: &[u8],
    root: &'static str,
    mut visit: impl FnMut(&[&str], &str),
) -> Result<(), XmlError> {
    let text = String::from_utf8_lossy(bytes);
    let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
    // The open elements, outermost first, with their text so far.
    let mut open: Vec<(String, String)> = Vec::new();
    let mut done = false;
    let mut end = |open: &mut Vec<(String, String)>| {
        let names: Vec<&str> = open.iter().map(|(name, _)| name.as_str()).collect();
        let own = open.last().map_or("", |(_, text)| text.trim());
        visit(&names, own);
        open.pop();
        open.is_empty()
    };
    loop {
        match reader.read_event().map_err(|error| XmlError::Malformed(Some(error)))? {
            Event::Start(start) => {
                begin(&mut open, start.local_name().as_ref(), root, done)?;
            }
            Event::Empty(start) => {
                begin(&mut open, start.local_name().as_ref(), root, done)?;
                done = end(&mut open);
            }
            // The reader has compared the names.
            Event::End(_) => done = end(&mut open),
            Event::Text(piece) => push(&mut open, &String::from_utf8_lossy(&piece))?,
            Event::CData(piece) => push(&mut open, &String::from_utf8_lossy(&piece))?,
            Event::GeneralRef(name) => {
                let replaced = match name.resolve_char_ref() {
                    Ok(Some(c)) => c,
                    Ok(None) => match &*name {
                        b"amp" => '&',
                        b"lt" => '<',
                        b"gt" => '>',
                        b"quot" => '"',
                        b"apos" => '\'',
                        _ => char::REPLACEMENT_CHARACTER,
                    },
                    Err(error) => return Err(XmlError::Malformed(Some(error))),
                };
                push(&mut open, replaced.encode_utf8(&mut [0; 4]))?;
            }
            Event::DocType(_) => return Err(XmlError::Doctype),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            Event::Eof if done => return Ok(()),
            Event::Eof => return Err(XmlError::Malformed(None)),
        }
    }
}

fn begin(
    open: &mut Vec<(String, String)>,
    name: &[u8],
    root: &'static str,
    done: bool,
) -> Result<(), XmlError> {
    if open.len() >= MAX_DEPTH {
        return Err(XmlError::TooDeep);
    }
    if done {
        return Err(XmlError::Malformed(None));
    }
    if open.is_empty() && name != root.as_bytes() {
        return Err(XmlError::Root(root));
    }
    open.push((String::from_utf8_lossy(name).into_owned(), String::new()));
    Ok(())
}

/// Adds to the text of the innermost element.
fn push(open: &mut [(String, String)], piece: &str) -> Result<(), XmlError> {
    match open.last_mut() {
        Some((_, text)) => {
            let room = MAX_TEXT.saturating_sub(text.len());
            let cut = piece.floor_char_boundary(room);
            text.push_str(piece.get(..cut).unwrap_or_default());
            Ok(())
        }
        None if piece.trim().is_empty() => Ok(()),
        None => Err(XmlError::Malformed(None)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<Vec<String>, XmlError> {
        let mut found = Vec::new();
        walk(text.as_bytes(), "a", |path, text| found.push(format!("{}={text}", path.join("/"))))?;
        Ok(found)
    }

    #[test]
    fn elements_come_with_their_paths_and_texts() {
        let text = "\u{feff}<?xml version=\"1.0\"?>\n<!-- c --><x:a xmlns:x='u'> <b> 1 &lt;&#50;<![CDATA[<3>]]> </b><c/>&nbsp;</x:a>\n";
        assert_eq!(read(text).unwrap(), ["a/b=1 <2<3>", "a/c=", "a=\u{fffd}"]);
    }

    #[test]
    fn checklist_45_bombs_and_broken_documents_are_refused() {
        let deep = format!("{}{}", "<a>".repeat(65), "</a>".repeat(65));
        let bomb = "<!DOCTYPE a [<!ENTITY x \"xxxxxxxx\"><!ENTITY y \"&x;&x;&x;\">]><a>&y;</a>";
        assert!(matches!(read(&deep), Err(XmlError::TooDeep)));
        assert!(matches!(read(bomb), Err(XmlError::Doctype)));
        assert!(matches!(read("<b/>"), Err(XmlError::Root("a"))));
        for bad in [
            "",
            " ",
            "text",
            "<a>",
            "<a></b>",
            "</a>",
            "<a/><a/>",
            "<a/>x",
            "<a>&#xfffffff;</a>",
            "<a",
            "<html>",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
        let long = format!("<a>{}\u{e9}</a>", "x".repeat(MAX_TEXT - 1));
        assert_eq!(read(&long).unwrap().concat().len(), "a=".len() + MAX_TEXT - 1);
    }

    proptest! {
        #[test]
        fn no_document_panics(bytes in proptest::collection::vec(any::<u8>(), 0..60), parts in proptest::collection::vec("<a>|</a>|<b x='1'>|</b>|<c/>|&lt;|&#x41;|&z;|<!--|-->|<!\\[CDATA\\[|\\]\\]>|<\\?|\\?>|x", 0..12)) {
            let _ = walk(&bytes, "a", |_, _| {});
            let _ = read(&parts.concat());
        }
    }
}
