//! The headers of a form and of its parts.

use http::HeaderValue;
use percent_encoding::percent_decode_str;

use super::{FormError, Part};

/// The longest boundary; the standard says 70.
const MAX_BOUNDARY: usize = 200;
/// A part has two or three.
const MAX_HEADERS: usize = 32;

/// The boundary of `multipart/form-data`.
pub(super) fn boundary(content_type: &HeaderValue) -> Option<String> {
    let text = content_type.to_str().ok()?;
    let (media_type, rest) = text.split_once(';')?;
    if !media_type.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let mut found = parameters(rest)?.into_iter().filter(|(name, _)| name == "boundary");
    let (_, boundary) = found.next()?;
    let good = !boundary.is_empty()
        && boundary.len() <= MAX_BOUNDARY
        && !boundary.ends_with(' ')
        && boundary.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    (good && found.next().is_none()).then_some(boundary)
}

/// A part's headers, without the empty line at their end.
pub(super) fn parse(head: &[u8]) -> Result<Part, FormError> {
    const BAD: FormError = FormError::Malformed("a part's headers cannot be read");
    let head = std::str::from_utf8(head).map_err(|_| BAD)?;
    let mut part = None;
    let mut content_type = None;
    for (at, line) in head.split("\r\n").enumerate() {
        if at >= MAX_HEADERS || line.contains(['\r', '\n', '\0']) {
            return Err(BAD);
        }
        let (name, value) = line.split_once(':').ok_or(BAD)?;
        let value = value.trim_matches([' ', '\t']);
        if name.eq_ignore_ascii_case("content-disposition") {
            if part.replace(disposition(value)?).is_some() {
                return Err(FormError::Malformed("a part has two names"));
            }
        } else if name.eq_ignore_ascii_case("content-type") {
            content_type = Some(value.to_owned());
        } else if name.eq_ignore_ascii_case("content-transfer-encoding")
            && !["binary", "8bit", "7bit"].iter().any(|known| value.eq_ignore_ascii_case(known))
        {
            return Err(FormError::Encoding("a part has a Content-Transfer-Encoding"));
        }
    }
    let part = part.ok_or(FormError::Malformed("a part has no name"))?;
    Ok(Part { content_type, ..part })
}

fn disposition(value: &str) -> Result<Part, FormError> {
    const BAD: FormError = FormError::Malformed("a part's Content-Disposition cannot be read");
    let (kind, rest) = value.split_once(';').ok_or(BAD)?;
    if !kind.trim().eq_ignore_ascii_case("form-data") {
        return Err(BAD);
    }
    let (mut name, mut file_name, mut extended) = (None, None, None);
    for (key, value) in parameters(rest).ok_or(BAD)? {
        let (place, value) = match key.as_str() {
            "name" => (&mut name, value),
            "filename" => (&mut file_name, value),
            "filename*" => (&mut extended, extended_value(&value).ok_or(BAD)?),
            _ => continue,
        };
        if place.replace(value).is_some() {
            return Err(BAD);
        }
    }
    let name = name.ok_or(FormError::Malformed("a part has no name"))?;
    Ok(Part { name, file_name: extended.or(file_name), content_type: None })
}

/// `UTF-8'<language>'<percent-encoded>` (RFC 5987): the standard for forms forbids it, some clients send it where a name is not
/// ASCII.
fn extended_value(value: &str) -> Option<String> {
    let (charset, rest) = value.split_once('\'')?;
    let (_language, text) = rest.split_once('\'')?;
    if !charset.eq_ignore_ascii_case("utf-8") {
        return None;
    }
    percent_decode_str(text).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

/// `name=value; name="value"`: names in lowercase, values without their quotes.
fn parameters(mut text: &str) -> Option<Vec<(String, String)>> {
    let mut found = Vec::new();
    loop {
        text = text.trim_start_matches([' ', '\t', ';']);
        if text.is_empty() {
            return Some(found);
        }
        let (name, rest) = text.split_once('=')?;
        let name = name.trim();
        if name.is_empty() || name.contains([' ', ';', '"']) {
            return None;
        }
        let rest = rest.trim_start_matches([' ', '\t']);
        let (value, rest) = if let Some(quoted) = rest.strip_prefix('"') {
            unquote(quoted)?
        } else {
            let (value, rest) = rest.split_at(rest.find(';').unwrap_or(rest.len()));
            (value.trim_end().to_owned(), rest)
        };
        found.push((name.to_ascii_lowercase(), value));
        text = rest.trim_start_matches([' ', '\t']);
        if !text.is_empty() && !text.starts_with(';') {
            return None;
        }
    }
}

/// A quoted value whose first quote is gone, and what follows it. A backslash escapes a quote and a backslash; before all else it is one:
/// some clients send paths of their system.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut rest = text;
    loop {
        let at = rest.find(['"', '\\'])?;
        let (before, from) = rest.split_at(at);
        value.push_str(before);
        if let Some(after) = from.strip_prefix('"') {
            return Some((value, after));
        }
        let after = from.strip_prefix('\\')?;
        rest = if let Some(escaped) = after.strip_prefix(['"', '\\']) {
            value.push_str(after.get(..1)?);
            escaped
        } else {
            value.push('\\');
            after
        };
    }
}
