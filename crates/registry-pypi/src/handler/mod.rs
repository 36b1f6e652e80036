//! Routes to functions: one line a route.

mod call;
mod files;
mod foreign;
mod json;
mod manage;
mod simple;
mod upload;

mod route;

use http::{HeaderValue, Method, StatusCode, header};
use registry_core::{
    PackageRegistry as _, Protocol, Request, Response,
    http::{Refusal, log_failure, respond_empty, without_body},
};

use self::{call::Call, route::Route};
use crate::{
    error::Error,
    names::ProjectName,
    registry::{PypiRegistry, is_index},
};

/// Answers a request.
pub(crate) async fn handle(registry: &PypiRegistry, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Some((base, below)) = registry.instance().strip(parts.uri.path()) else {
        return Error::from(Refusal::NotFound("there is nothing at this path".to_owned())).render(&parts);
    };
    let (base, below) = (base.as_str().to_owned(), below.to_owned());
    let mut call = Call::new(registry, parts, body, base);
    let response = match dispatch(&mut call, &below).await {
        Ok(response) => response,
        Err(error) => {
            call.drain().await;
            log_failure(Protocol::Pypi, error.status(), &error);
            error.render(&call.parts)
        }
    };
    without_body(&call.parts, response)
}

async fn dispatch(call: &mut Call<'_>, path: &str) -> Result<Response, Error> {
    let route = Route::parse(is_index(&call.base), path);
    let route = route.ok_or_else(|| Refusal::NotFound("there is nothing at this path".to_owned()))?;
    let method = match call.parts.method.clone() {
        Method::HEAD => Method::GET,
        method => method,
    };
    match (&method, &route) {
        (&Method::GET, Route::Index) => simple::index(call).await,
        (&Method::GET, Route::Page { project, at }) => simple::page(call, project, at).await,
        (&Method::GET, Route::Slash(path)) => Ok(moved(call, path)),
        (&Method::GET, Route::File { project, file }) => files::get(call, &name(project)?, file).await,
        (&Method::GET, Route::Json { project, version }) => {
            json::get(call, project, version.as_deref()).await
        }
        (&Method::GET, Route::Provenance { project, version, file }) => {
            files::provenance(call, &name(project)?, Some(version), file).await
        }

        (&Method::POST, Route::Upload) => upload::post(call).await,
        (&Method::DELETE, Route::Target { project, version, file }) => {
            manage::delete(call, &name(project)?, version.as_deref(), file.as_deref()).await
        }
        (&Method::POST, Route::Yank { project, version, file }) => {
            manage::yank(call, &name(project)?, version, file.as_deref()).await
        }
        (&Method::DELETE, Route::Yank { project, version, file }) => {
            manage::unyank(call, &name(project)?, version, file.as_deref()).await
        }
        (&Method::PUT, Route::Status(project)) => manage::set_status(call, &name(project)?).await,
        _ => Err(Refusal::MethodNotAllowed(route.allow()).into()),
    }
}

/// A project's name. One that cannot be a name is answered as a project that is not there.
fn name(text: &str) -> Result<ProjectName, Error> {
    text.parse().map_err(|_| Error::no_project())
}

/// The answer to a request whose path is written in another way; `path` is below the base.
fn moved(call: &Call<'_>, path: &str) -> Response {
    let query = call.parts.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut response = respond_empty(StatusCode::MOVED_PERMANENTLY);
    // A base path, a normal name and what came in a URI are a header's value.
    if let Ok(location) = HeaderValue::try_from(format!("{}{path}{query}", call.base)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}
