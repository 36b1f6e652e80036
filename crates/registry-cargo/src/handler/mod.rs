//! Routes to functions: one line a route.

mod call;
mod change;
mod foreign;
mod owners;
mod publish;
mod read;
mod route;
mod search;
mod show;

use http::{Method, StatusCode, header};
use registry_core::{
    PackageRegistry as _, Protocol, Request, Response,
    http::{Refusal, log_failure, respond_text, without_body},
};

use self::{call::Call, route::Route};
use crate::{error::Error, registry::CargoRegistry};

/// Answers a request.
pub(crate) async fn handle(registry: &CargoRegistry, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let (base, below) = match registry.instance().strip(parts.uri.path()) {
        Some((base, below)) => (base.as_str().to_owned(), below.to_owned()),
        None => (String::new(), parts.uri.path().to_owned()),
    };
    let mut call = Call::new(registry, parts, body, &base);
    let response = match dispatch(&mut call, &below).await {
        Ok(response) => response,
        Err(error) => {
            call.drain().await;
            log_failure(Protocol::Cargo, error.status(), &error);
            error.render(call.base())
        }
    };
    without_body(&call.parts, response)
}

async fn dispatch(call: &mut Call<'_>, path: &str) -> Result<Response, Error> {
    let nothing = || Refusal::NotFound("there is nothing at this path".to_owned());
    let route = Route::parse(path).ok_or_else(nothing)?;
    let method = match call.parts.method.clone() {
        Method::HEAD => Method::GET,
        method => method,
    };
    match (&method, &route) {
        (&Method::GET, Route::Root) => Ok(settings(call)),
        (&Method::GET, Route::Me) => Ok(me(call)),
        (&Method::GET, Route::Config) => read::config(call).await,
        (&Method::GET, Route::Index(name)) => read::index(call, name).await,
        (&Method::GET, Route::Download { krate, version }) => read::download(call, krate, version).await,

        (&Method::PUT, Route::New) => publish::publish(call).await,
        (&Method::DELETE, Route::Yank { krate, version }) => change::yank(call, krate, version, true).await,
        (&Method::PUT, Route::Unyank { krate, version }) => change::yank(call, krate, version, false).await,
        (&Method::DELETE, Route::Version { krate, version }) => {
            change::delete(call, krate, Some(version)).await
        }
        (&Method::DELETE, Route::Crate(krate)) => change::delete(call, krate, None).await,

        (&Method::GET, Route::Owners(krate)) => owners::list(call, krate).await,
        (&Method::PUT, Route::Owners(krate)) => owners::add(call, krate).await,
        (&Method::DELETE, Route::Owners(krate)) => owners::remove(call, krate).await,

        (&Method::GET, Route::Search) => search::search(call).await,
        (&Method::GET, Route::Crate(krate)) => show::krate(call, krate).await,
        (&Method::GET, Route::Versions(krate)) => show::versions(call, krate).await,
        (&Method::GET, Route::Version { krate, version }) => show::version(call, krate, version).await,
        _ => Err(Refusal::MethodNotAllowed(route.allow()).into()),
    }
}

/// How a client is set up.
fn settings(call: &Call<'_>) -> Response {
    respond_text(StatusCode::OK, call.registry.client_settings(call.base()))
}

/// Where `cargo login` sends people: it asks for a token on the terminal, and names this page.
fn me(call: &Call<'_>) -> Response {
    let mut response = respond_text(
        StatusCode::OK,
        format!(
            "Tokens of this registry are made by its administrator: smartregistry token create --user NAME --scope \
             'cargo:crate:*:read,write'\n\n{}",
            call.registry.client_settings(call.base())
        ),
    );
    response.headers_mut().insert(header::CACHE_CONTROL, http::HeaderValue::from_static("no-store"));
    response
}
