//! Requests to answers: each route's function, one line a route.

mod blobs;
mod catalog;
mod foreign;
mod manifests;
mod ping;
mod referrers;
pub(crate) mod route;
mod tags;
mod token;
mod uploads;

use http::{HeaderName, HeaderValue, Method, StatusCode, header, request::Parts};
use registry_core::{Body, Response, http::respond_empty};

use self::route::Route;
use crate::{error::Error, names::Digest, registry::Inner, wire::query::Query};

/// The digest of what an answer is about.
pub(crate) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// A request on its way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call<'a> {
    pub(crate) registry: &'a Inner,
    pub(crate) parts: &'a Parts,
    /// The base path that the request used.
    pub(crate) base: &'a str,
}

impl<'a> Call<'a> {
    pub(crate) fn query(&self) -> Query<'a> {
        Query::of(&self.parts.uri)
    }

    /// A path below the base path as clients are given it: relative, unless the configuration says otherwise.
    pub(crate) fn location(&self, below: &str) -> String {
        let origin = if self.registry.config.absolute_location {
            self.registry.services.public_url.origin(self.parts)
        } else {
            String::new()
        };
        format!("{origin}{}{below}", self.base)
    }

    /// A header as text; `None` where it is absent or not text.
    pub(crate) fn header(&self, name: impl header::AsHeaderName) -> Option<&'a str> {
        self.parts.headers.get(name)?.to_str().ok()
    }
}

/// Answers a request whose path goes on with `rest` after the base path.
pub(crate) async fn dispatch(call: &Call<'_>, rest: &str, body: Body) -> Result<Response, Error> {
    let route = Route::parse(rest)?;
    match (&call.parts.method, route) {
        (&Method::GET | &Method::HEAD, Route::Manifest(name, of)) => manifests::get(call, &name, &of).await,
        (&Method::GET | &Method::HEAD, Route::Blob(name, digest)) => blobs::get(call, &name, &digest).await,
        // Boxed, so that what pulls read again and again is not moved about in a future as large as that of a push.
        (_, route) => Box::pin(dispatch_rarer(call, route, body)).await,
    }
}

/// The routes that are no pull's.
async fn dispatch_rarer(call: &Call<'_>, route: Route, body: Body) -> Result<Response, Error> {
    match (&call.parts.method, route) {
        (&Method::GET | &Method::HEAD, Route::Ping) => ping::ping(call).await,
        (&Method::GET | &Method::HEAD, Route::Extensions(name)) => {
            ping::extensions(call, name.as_ref()).await
        }
        (&Method::GET, Route::Token) => token::get(call).await,
        (&Method::POST, Route::Token) => token::post(call, body).await,
        (&Method::GET | &Method::HEAD, Route::Catalog) => catalog::list(call).await,
        (&Method::PUT, Route::Manifest(name, of)) => manifests::put(call, &name, of, body).await,
        (&Method::DELETE, Route::Manifest(name, of)) => manifests::delete(call, &name, &of).await,
        (&Method::DELETE, Route::Blob(name, digest)) => blobs::delete(call, &name, &digest).await,
        (&Method::POST, Route::Uploads(name)) => uploads::open(call, &name, body).await,
        (&Method::GET | &Method::HEAD, Route::Upload(name, id)) => uploads::status(call, &name, &id).await,
        (&Method::PATCH, Route::Upload(name, id)) => uploads::append(call, &name, &id, body).await,
        (&Method::PUT, Route::Upload(name, id)) => uploads::finish(call, &name, &id, body).await,
        (&Method::DELETE, Route::Upload(name, id)) => uploads::cancel(call, &name, &id).await,
        (&Method::GET | &Method::HEAD, Route::Tags(name)) => tags::list(call, &name).await,
        (&Method::GET | &Method::HEAD, Route::Referrers(name, of)) => referrers::list(call, &name, &of).await,
        (_, route) => Err(unsupported(&route)),
    }
}

fn unsupported(route: &Route) -> Error {
    let allow = match route {
        Route::Ping | Route::Extensions(_) | Route::Catalog | Route::Tags(_) | Route::Referrers(..) => {
            "GET, HEAD"
        }
        Route::Token => "GET, POST",
        Route::Manifest(..) => "GET, HEAD, PUT, DELETE",
        Route::Blob(..) => "GET, HEAD, DELETE",
        Route::Uploads(_) => "POST",
        Route::Upload(..) => "GET, HEAD, PATCH, PUT, DELETE",
    };
    Error::Unsupported { what: "this method is not supported here", allow }
}

/// An answer without a body that says so.
pub(crate) fn empty(status: StatusCode) -> Response {
    let mut response = respond_empty(status);
    if status != StatusCode::NO_CONTENT {
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    response
}

/// Sets a header whose value is made of checked parts.
pub(crate) fn set(response: &mut Response, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// 201 with where the content is and its digest.
pub(crate) fn created(location: &str, digest: &Digest) -> Response {
    let mut response = empty(StatusCode::CREATED);
    set(&mut response, header::LOCATION, location);
    set(&mut response, CONTENT_DIGEST, digest.as_str());
    response
}

/// A digest as a header's value.
pub(crate) fn digest_value(digest: &Digest) -> HeaderValue {
    HeaderValue::from_str(digest.as_str()).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// A digest as an ETag.
pub(crate) fn etag(digest: &Digest) -> HeaderValue {
    HeaderValue::try_from(format!("\"{digest}\"")).unwrap_or_else(|_| HeaderValue::from_static(""))
}
