//! Pages for people: what every page of ours has in common, whoever makes it.

use http::{HeaderMap, HeaderValue, header};

/// Sets what a page of our own needs beside its content: its policy of content, and that nobody frames it, guesses its
/// type, keeps it or is told where its reader came from.
pub fn protect_page(headers: &mut HeaderMap, policy: HeaderValue) {
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
}

/// A text as it stands in HTML and in XML, between tags or in a quoted attribute. What XML cannot hold, control characters
/// above all, becomes U+FFFD.
pub fn escape_html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\t' | '\n' | '\r' => out.push(c),
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_breaks_out_of_a_page() {
        assert_eq!(escape_html("<a href=\"x\" b='y'>&ü"), "&lt;a href=&quot;x&quot; b=&#39;y&#39;&gt;&amp;ü");
        assert_eq!(escape_html("a\0b\u{1b}c\r\n\td\u{ffff}"), "a\u{fffd}b\u{fffd}c\r\n\td\u{fffd}");
    }

    #[test]
    fn a_page_is_framed_by_nobody_and_not_kept() {
        let mut headers = HeaderMap::new();
        protect_page(&mut headers, HeaderValue::from_static("default-src 'none'"));
        for (name, value) in [
            (header::CONTENT_SECURITY_POLICY, "default-src 'none'"),
            (header::X_FRAME_OPTIONS, "DENY"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::REFERRER_POLICY, "no-referrer"),
            (header::CACHE_CONTROL, "no-store"),
        ] {
            assert_eq!(headers[&name], value);
        }
    }
}
