//! Routes to functions: one line a route.

mod call;
mod edit;
mod foreign;
mod listing;
mod notify;
mod read;
mod root;
mod route;
mod upload;

use http::{HeaderValue, Method, StatusCode, header};
use registry_core::{
    PackageRegistry as _, Protocol, Request, Response,
    http::{Refusal, log_failure, respond_empty, without_body},
};

use self::{call::Call, route::Route};
use crate::{error::Error, names::PackageName, registry::ComposerRegistry};

/// Answers a request.
pub(crate) async fn handle(registry: &ComposerRegistry, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path();
    let (base_path, below) = match registry.instance().strip(path) {
        Some((base, below)) => (base.as_str().to_owned(), below.to_owned()),
        None => (String::new(), path.to_owned()),
    };
    let mut call = Call::new(registry, parts, body, &base_path);
    let response = match dispatch(&mut call, &below).await {
        Ok(response) => response,
        Err(error) => {
            call.drain().await;
            log_failure(Protocol::Composer, error.status(), &error);
            error.render()
        }
    };
    without_body(&call.parts, response)
}

async fn dispatch(call: &mut Call<'_>, path: &str) -> Result<Response, Error> {
    let nothing = || Refusal::NotFound("there is nothing at this path".to_owned());
    let writes = matches!(call.parts.method, Method::PUT | Method::POST | Method::DELETE);
    let malformed = |error: registry_core::http::MalformedUrl| {
        if writes { Refusal::BadRequest(error.to_string()) } else { nothing() }
    };
    let route = Route::parse(path).map_err(malformed)?.ok_or_else(nothing)?;
    let method = match call.parts.method.clone() {
        Method::HEAD => Method::GET,
        method => method,
    };
    match (&method, &route) {
        (&Method::GET, Route::Root) => root::packages(call).await,
        (&Method::GET, Route::Metadata { package, part }) => {
            read::metadata(call, &known(package)?, *part).await
        }
        (&Method::GET, Route::Archive { package, file }) => read::archive(call, &known(package)?, file).await,
        (&Method::GET, Route::List) => listing::list(call).await,
        (&Method::GET, Route::Search) => listing::search(call).await,
        (&Method::GET, Route::Providers(package)) => listing::providers(call, package).await,
        (&Method::GET | &Method::POST, Route::Advisories) => notify::advisories(call).await,
        (&Method::POST, Route::Downloads) => notify::downloads(call).await,
        (&Method::PUT | &Method::POST, Route::Upload { package, version }) => {
            upload::upload(call, &package.parse()?, Some(version)).await
        }
        (&Method::PUT | &Method::POST, Route::Package(package)) => {
            upload::upload(call, &package.parse()?, None).await
        }
        (&Method::DELETE, Route::Package(package)) => edit::remove(call, &known(package)?, None).await,
        (&Method::DELETE, Route::Version { package, version }) => {
            edit::remove(call, &known(package)?, Some(version)).await
        }
        (&Method::PUT, Route::Abandoned(package)) => edit::abandon(call, &known(package)?, true).await,
        (&Method::DELETE, Route::Abandoned(package)) => edit::abandon(call, &known(package)?, false).await,
        (&Method::OPTIONS, route) => {
            let mut response = respond_empty(StatusCode::NO_CONTENT);
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(route.allow()));
            Ok(response)
        }
        (_, route) => Err(Refusal::MethodNotAllowed(route.allow()).into()),
    }
}

/// A name of something that is there. One that cannot be a name is answered as a package that is not.
fn known(text: &str) -> Result<PackageName, Error> {
    text.parse().map_err(|_| Error::no_package(&text.chars().take(64).collect::<String>()))
}
