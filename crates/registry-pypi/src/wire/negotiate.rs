//! Which form of the simple API a client gets (PEP 691).

use http::{HeaderMap, header};

/// The forms, in the order of our preference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Form {
    Json,
    Html,
    /// HTML under the name that clients from before PEP 691 know.
    Text,
}

/// More elements than this in one request are not looked at.
const MAX_ELEMENTS: usize = 64;

impl Form {
    /// All of them for a sentence.
    pub(crate) const LISTED: &'static str =
        "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html and text/html";

    const ALL: [Self; 3] = [Self::Json, Self::Html, Self::Text];

    /// The media type without parameters.
    pub(crate) const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/vnd.pypi.simple.v1+json",
            Self::Html => "application/vnd.pypi.simple.v1+html",
            Self::Text => "text/html",
        }
    }

    /// The value of `Content-Type`.
    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/html; charset=utf-8",
            other => other.media_type(),
        }
    }

    /// The form that a media type names exactly.
    fn named(text: &str) -> Option<Self> {
        let latest =
            |name: &str| text.eq_ignore_ascii_case(&format!("application/vnd.pypi.simple.latest+{name}"));
        if latest("json") {
            return Some(Self::Json);
        }
        if latest("html") {
            return Some(Self::Html);
        }
        Self::ALL.into_iter().find(|form| form.media_type().eq_ignore_ascii_case(text))
    }

    /// How specifically a media range matches this form: 3 exactly, 2 by type, 1 by `*/*`.
    fn specificity(self, range: &str) -> Option<u8> {
        if Self::named(range) == Some(self) {
            return Some(3);
        }
        if range == "*/*" || range == "*" {
            return Some(1);
        }
        let kind = range.strip_suffix("/*")?;
        let (own, _) = self.media_type().split_once('/')?;
        kind.eq_ignore_ascii_case(own).then_some(2)
    }

    /// The form for a request: the `format` parameter where it is given, else by `Accept`. `None`: there is none that the client wants.
    pub(crate) fn negotiate(headers: &HeaderMap, format: Option<&str>) -> Option<Self> {
        if let Some(format) = format.filter(|format| !format.is_empty()) {
            // A `+` in a query is read as a space.
            return Self::named(&format.replace(' ', "+"));
        }
        let ranges = ranges(headers);
        if ranges.is_empty() {
            return Some(Self::Text);
        }
        // Who names our types, or any application type, is no browser.
        let modern = ranges.iter().any(|(range, quality)| {
            *quality > 0
                && (range.eq_ignore_ascii_case("application/*")
                    || Self::named(range).is_some_and(|form| form != Self::Text))
        });
        let order =
            if modern { [Self::Json, Self::Html, Self::Text] } else { [Self::Text, Self::Html, Self::Json] };
        let mut best: Option<(u16, Self)> = None;
        for form in order {
            let quality = ranges
                .iter()
                .filter_map(|(range, quality)| Some((form.specificity(range)?, *quality)))
                .reduce(|best, next| if next.0 > best.0 { next } else { best })
                .map_or(0, |(_, quality)| quality);
            if quality > 0 && best.is_none_or(|(found, _)| quality > found) {
                best = Some((quality, form));
            }
        }
        best.map(|(_, form)| form)
    }
}

/// The media ranges of `Accept` with their qualities in thousandths.
fn ranges(headers: &HeaderMap) -> Vec<(&str, u16)> {
    headers
        .get_all(header::ACCEPT)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|element| {
            let mut parts = element.split(';');
            let range = parts.next()?.trim();
            let quality = parts
                .filter_map(|parameter| parameter.split_once('='))
                .find(|(name, _)| name.trim().eq_ignore_ascii_case("q"))
                .map_or(1000, |(_, value)| parse_quality(value.trim()));
            (!range.is_empty()).then_some((range, quality))
        })
        .take(MAX_ELEMENTS)
        .collect()
}

/// `0.25` as 250; what cannot be read wants nothing.
fn parse_quality(text: &str) -> u16 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return 0;
    }
    let thousandths: u16 = format!("{fraction:0<3}").parse().unwrap_or(0);
    match whole {
        "0" | "" => thousandths,
        "1" => 1000,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(accept: &str, want: impl Into<Option<Form>>) {
        let mut headers = HeaderMap::new();
        if !accept.is_empty() {
            headers.insert(header::ACCEPT, accept.parse().unwrap());
        }
        assert_eq!(Form::negotiate(&headers, None), want.into(), "{accept}");
    }

    const J: &str = "application/vnd.pypi.simple.v1+json";

    #[test]
    fn checklist_3_what_clients_send_and_get() {
        check("", Form::Text);
        check("*/*", Form::Text);
        check(&format!("{J}, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01"), Form::Json);
        check(&format!("{J}, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01"), Form::Json);
        check("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Form::Text);
        check("application/vnd.pypi.simple.v1+html", Form::Html);
    }

    #[test]
    fn checklist_20_qualities_count() {
        check(&format!("text/html;q=0.9, {J};q=0.8"), Form::Text);
        check(&format!("{J}, */*;q=0.1"), Form::Json);
        check(&format!("{J};q=0, */*"), Form::Text);
        check(&format!("{J};q=0, application/*"), Form::Html);
        check("application/*", Form::Json);
        check("text/*", Form::Text);
        check(&format!("{J} ; Q = 0.5, text/html;q=0.500"), Form::Json);
    }

    #[test]
    fn checklist_21_latest_is_an_alias_and_nothing_else_fits() {
        check("application/vnd.pypi.simple.latest+json", Form::Json);
        check("application/vnd.pypi.simple.latest+html", Form::Html);
        check("image/png", None);
        check("application/json", None);
        check("text/html;q=0", None);
        check("text/html;q=nonsense", None);
    }

    #[test]
    fn checklist_22_the_parameter_wins() {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, "text/html".parse().unwrap());
        for (format, want) in [
            (J, Some(Form::Json)),
            ("application/vnd.pypi.simple.v1 json", Some(Form::Json)),
            ("text/html", Some(Form::Text)),
            ("application/json", None),
            ("", Some(Form::Text)),
        ] {
            assert_eq!(Form::negotiate(&headers, Some(format)), want, "{format}");
        }
    }
}
