//! The server's own answers: health, readiness, metrics, and the page that tells clients' settings.

use std::fmt::Write as _;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use smartregistry::core::{
    Body, Instance, Response,
    http::{escape_html, protect_page},
    registry::PackageRegistry,
};

/// Nothing but text, from nowhere else, framed by nobody.
const POLICY: &str = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A page of the server's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Page {
    /// `/healthz`: the process lives.
    Health,
    /// `/`: which registries there are, and how clients are set up.
    Index,
    /// `/metrics`: Prometheus text.
    Metrics,
    /// `/readyz`: the store answers.
    Ready,
}

impl Page {
    /// The page at a path.
    pub(crate) fn at(path: &str) -> Option<Self> {
        match path {
            "/" => Some(Page::Index),
            "/healthz" => Some(Page::Health),
            "/metrics" => Some(Page::Metrics),
            "/readyz" => Some(Page::Ready),
            _ => None,
        }
    }
}

/// A text of one or more lines.
pub(crate) fn text(status: StatusCode, body: impl Into<Body>) -> Response {
    page(status, "text/plain; charset=utf-8", body)
}

/// Metrics as Prometheus reads them.
pub(crate) fn metrics(body: String) -> Response {
    page(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", body)
}

/// The answer to methods other than GET and HEAD, if the method is one.
pub(crate) fn refuse_method(method: &Method) -> Option<Response> {
    if matches!(*method, Method::GET | Method::HEAD) {
        return None;
    }
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    Some(response)
}

/// The page at `/`, as HTML for browsers and as text for everybody else. `origin` tells a registry's origin.
pub(crate) fn index<'a>(
    headers: &HeaderMap,
    registries: impl Iterator<Item = (&'a dyn PackageRegistry, String)>,
) -> Response {
    let sections: Vec<(String, String)> = registries
        .map(|(registry, origin)| (title(registry.instance()), client_settings(registry, &origin)))
        .collect();
    let mut response = if accepts_html(headers) {
        page(StatusCode::OK, "text/html; charset=utf-8", html(&sections))
    } else {
        text(StatusCode::OK, plain(&sections))
    };
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    response
}

/// What a registry is called where several are shown.
pub(crate) fn title(instance: &Instance) -> String {
    if instance.is_default() {
        instance.protocol.to_string()
    } else {
        format!("{} ({})", instance.name, instance.protocol)
    }
}

/// How clients are set up for a registry of the server at this origin.
pub(crate) fn client_settings(registry: &dyn PackageRegistry, origin: &str) -> String {
    let instance = registry.instance();
    let base = instance.base_paths.first().map_or("", |b| b.as_str());
    match &instance.host {
        Some(host) => registry.client_settings(&format!("{}{base}", with_host(origin, host))),
        None => registry.client_settings(&format!("{origin}{base}")),
    }
}

fn page(status: StatusCode, content_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    protect_page(headers, HeaderValue::from_static(POLICY));
    response
}

fn accepts_html(headers: &HeaderMap) -> bool {
    let accept = headers.get_all(header::ACCEPT);
    accept.iter().filter_map(|v| v.to_str().ok()).any(|v| v.to_ascii_lowercase().contains("text/html"))
}

/// An origin with another host name and the same port.
fn with_host(origin: &str, host: &str) -> String {
    let (scheme, authority) = origin.split_once("://").unwrap_or(("http", origin));
    let port =
        authority.rsplit_once(':').map(|(_, port)| port).filter(|p| p.bytes().all(|b| b.is_ascii_digit()));
    match port {
        Some(port) => format!("{scheme}://{host}:{port}"),
        None => format!("{scheme}://{host}"),
    }
}

fn plain(sections: &[(String, String)]) -> String {
    let mut out = format!("smartregistry {}\n", env!("CARGO_PKG_VERSION"));
    for (title, settings) in sections {
        // Writing to a string cannot fail, here and below.
        let _ = write!(out, "\n{title}\n{}\n\n{}\n", "-".repeat(title.len()), settings.trim_end());
    }
    out
}

fn html(sections: &[(String, String)]) -> String {
    let mut out = String::from(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>smartregistry</title>\
         <meta name=\"viewport\" content=\"width=device-width\"></head>\n<body>\n<h1>smartregistry</h1>\n",
    );
    for (title, settings) in sections {
        let (title, settings) = (escape_html(title), escape_html(settings.trim_end()));
        let _ = write!(out, "<h2>{title}</h2>\n<pre>{settings}</pre>\n");
    }
    out.push_str("</body>\n</html>\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_get_html_and_others_text() {
        let accepts = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_str(value).unwrap());
            accepts_html(&headers)
        };
        assert!(accepts("text/html,application/xhtml+xml,*/*;q=0.8"));
        assert!(!accepts("*/*"));
        assert!(!accepts_html(&HeaderMap::new()));
    }

    #[test]
    fn html_escapes_what_it_shows() {
        let page = html(&[("a<b".into(), "x & \"y\" </pre><script>".into())]);
        assert!(page.contains("<h2>a&lt;b</h2>"));
        assert!(page.contains("x &amp; &quot;y&quot; &lt;/pre&gt;&lt;script&gt;"));
        assert!(!page.contains("<script>"));
    }

    #[test]
    fn a_host_of_its_own_keeps_the_port() {
        assert_eq!(with_host("http://127.0.0.1:3000", "team.example.com"), "http://team.example.com:3000");
        assert_eq!(with_host("https://a.example.com", "b.example.com"), "https://b.example.com");
        assert_eq!(with_host("http://[::1]", "b.example.com"), "http://b.example.com");
    }

    #[test]
    fn every_page_forbids_framing_and_sniffing() {
        let response = text(StatusCode::OK, "x");
        assert!(
            response.headers()[header::CONTENT_SECURITY_POLICY]
                .to_str()
                .unwrap()
                .contains("frame-ancestors 'none'")
        );
        assert_eq!(response.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(refuse_method(&Method::POST).unwrap().status(), StatusCode::METHOD_NOT_ALLOWED);
        assert!(refuse_method(&Method::HEAD).is_none());
    }
}
