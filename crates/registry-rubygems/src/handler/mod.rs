//! Routes to functions: one line a route.

mod account;
mod call;
mod compact;
mod files;
mod foreign;
mod json;
mod manage;
mod owners;
mod push;
mod route;
mod search;
pub(crate) mod specs;
mod view;

use http::{HeaderValue, Method, StatusCode, header};
use registry_core::{
    PackageRegistry as _, Protocol, Request, Response,
    http::{Refusal, log_failure, respond_text, without_body},
};

use self::{
    call::Call,
    route::{Form, Route},
};
use crate::{error::Error, registry::RubygemsRegistry};

/// Answers a request.
pub(crate) async fn handle(registry: &RubygemsRegistry, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Some((base, below)) = registry.instance().strip(parts.uri.path()) else {
        return Error::from(Refusal::NotFound("There is nothing at this path.".to_owned())).render();
    };
    let (base, below) = (base.as_str().to_owned(), below.to_owned());
    let mut call = Call::new(registry, parts, body, base);
    let response = match dispatch(&mut call, &below).await {
        Ok(response) => response,
        Err(error) => {
            call.drain().await;
            log_failure(Protocol::Rubygems, error.status(), &error);
            error.render()
        }
    };
    without_body(&call.parts, response)
}

async fn dispatch(call: &mut Call<'_>, path: &str) -> Result<Response, Error> {
    let route =
        Route::parse(path).ok_or_else(|| Refusal::NotFound("There is nothing at this path.".to_owned()))?;
    let method = match call.parts.method.clone() {
        Method::HEAD => Method::GET,
        method => method,
    };
    match (&method, &route) {
        (&Method::GET, Route::Root) => root(call).await,
        (&Method::GET, Route::Versions) => compact::versions(call).await,
        (&Method::GET, Route::Names) => compact::names(call).await,
        (&Method::GET, Route::Info(gem)) => compact::info(call, gem).await,
        (&Method::GET, Route::GemFile(full)) => files::gem(call, full).await,
        (&Method::GET, Route::Quick(full)) => files::quick(call, full).await,
        (&Method::GET, Route::Specs { kind, gzip }) => specs::get(call, *kind, *gzip).await,
        (&Method::GET, Route::Dependencies { json }) => json::dependencies(call, *json).await,

        (&Method::POST, Route::Gems) => push::post(call).await,
        (&Method::DELETE, Route::Yank) => manage::yank(call).await,
        (&Method::PUT, Route::Unyank) => manage::unyank(call).await,

        (&Method::GET, Route::Owners { gem, form }) => owners::list(call, gem, *form).await,
        (&Method::POST, Route::Owners { gem, form: Form::Json }) => owners::add(call, gem).await,
        (&Method::DELETE, Route::Owners { gem, form: Form::Json }) => owners::remove(call, gem).await,

        (&Method::POST, Route::ApiKey) => account::sign_in(call).await,
        (&Method::GET, Route::ApiKey) => Err(account::no_key()),
        (&Method::GET, Route::Profile(form)) => account::profile(call, *form).await,

        (&Method::GET, Route::Gem(gem)) => json::gem(call, gem).await,
        (&Method::GET, Route::GemsJson) => search::own_gems(call).await,
        (&Method::GET, Route::Latest(gem)) => json::latest(call, gem).await,
        (&Method::GET, Route::ReverseDependencies(gem)) => search::reverse_dependencies(call, gem).await,
        (&Method::GET, Route::Version { gem, version }) => json::version(call, gem, version).await,
        (&Method::GET, Route::VersionsOf(gem)) => json::versions(call, gem).await,
        (&Method::GET, Route::Search) => search::search(call).await,
        (&Method::GET, Route::Autocomplete) => search::autocomplete(call).await,
        _ => Err(Refusal::MethodNotAllowed(route.allow()).into()),
    }
}

/// Older clients ask with HEAD whether the root is there before they use the compact index.
async fn root(call: &Call<'_>) -> Result<Response, Error> {
    call.actor().await?;
    let mut response = respond_text(StatusCode::OK, "This is a RubyGems registry.\n");
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(response)
}
