//! Small answers that are made on the spot.

use http::{HeaderValue, Method, StatusCode, header, request::Parts};
use serde::Serialize;

use crate::{Body, Response};

/// An answer without a body.
pub fn respond_empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// An answer with a body of this media type.
pub fn respond_with(status: StatusCode, content_type: HeaderValue, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, content_type);
    response
}

/// A JSON answer. A value that cannot be written as JSON (a map with keys that are no text) becomes a 500 without a body.
pub fn respond_json(status: StatusCode, value: &(impl Serialize + ?Sized)) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => respond_with(status, HeaderValue::from_static("application/json"), body),
        Err(error) => {
            tracing::error!(%error, "an answer could not be written as JSON");
            respond_empty(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}

/// A plain-text answer.
pub fn respond_text(status: StatusCode, text: impl Into<String>) -> Response {
    respond_with(status, HeaderValue::from_static("text/plain; charset=utf-8"), text.into())
}

/// The value of `Allow` for a 405: GET brings HEAD with it.
pub fn allow(methods: &[Method]) -> HeaderValue {
    let mut names: Vec<&str> = Vec::with_capacity(methods.len() + 1);
    for method in methods {
        names.push(method.as_str());
        if *method == Method::GET && !methods.contains(&Method::HEAD) {
            names.push("HEAD");
        }
    }
    // Methods are tokens, which any header value may hold.
    HeaderValue::from_str(&names.join(", ")).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// What HEAD answers where GET answers `response`: the same headers, the length included, and no body.
pub fn without_body(request: &Parts, mut response: Response) -> Response {
    if request.method != Method::HEAD {
        return response;
    }
    let length = response.body().known_length();
    if let Some(length) = length
        && !response.headers().contains_key(header::CONTENT_LENGTH)
    {
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    response.map(|_| Body::empty())
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn json() {
        let response = respond_json(StatusCode::CREATED, &serde_json::json!({"ok": true}));
        assert_eq!(response.status(), 201);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "{\"ok\":true}");
    }

    #[test]
    fn a_value_that_is_no_json_is_an_internal_error() {
        let map = std::collections::BTreeMap::from([((1, 2), 3)]);
        assert_eq!(respond_json(StatusCode::OK, &map).status(), 500);
    }

    #[test]
    fn allowed_methods() {
        assert_eq!(allow(&[Method::GET, Method::PUT]), "GET, HEAD, PUT");
        assert_eq!(allow(&[Method::HEAD, Method::GET]), "HEAD, GET");
        assert_eq!(allow(&[]), "");
    }

    #[tokio::test]
    async fn head_keeps_the_length() {
        let parts =
            |method| http::Request::builder().method(method).uri("/").body(()).unwrap().into_parts().0;
        let made = || respond_text(StatusCode::OK, "hello");
        let head = without_body(&parts(Method::HEAD), made());
        assert_eq!(head.headers()[header::CONTENT_LENGTH], "5");
        assert!(head.into_body().collect().await.unwrap().to_bytes().is_empty());
        let get = without_body(&parts(Method::GET), made());
        assert_eq!(get.into_body().collect().await.unwrap().to_bytes(), "hello");
    }
}
