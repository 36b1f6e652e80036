//! Routes to functions: one line a route.

mod call;
mod checksum;
mod files;
mod folders;
mod foreign;
mod metadata;
mod place;
mod remove;
mod rendered;
mod route;
mod upload;

use http::{HeaderValue, Method, StatusCode, header};
use registry_core::{
    PackageRegistry as _, Protocol, Request, Response,
    http::{Refusal, log_failure, respond_empty, without_body},
};

use self::{call::Call, route::Route};
use crate::{error::Error, names::RepositoryPath, registry::MavenRegistry};

/// Answers a request.
pub(crate) async fn handle(registry: &MavenRegistry, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path();
    let below = registry.instance().strip(path).map_or(path, |(_, below)| below).to_owned();
    let mut call = Call::new(registry, parts, body);
    let response = match dispatch(&mut call, &below).await {
        Ok(response) => response,
        Err(error) => {
            call.drain(&error).await;
            log_failure(Protocol::Maven, error.status(), &error);
            error.render(&call.parts, &registry.config().realm)
        }
    };
    without_body(&call.parts, response)
}

async fn dispatch(call: &mut Call<'_>, path: &str) -> Result<Response, Error> {
    let path = match RepositoryPath::parse(path) {
        Ok(path) => path,
        Err(error) => {
            // Who may not even ask is told that first.
            call.somebody().await?;
            return Err(error.into());
        }
    };
    let route = Route::of(&path);
    let method = match call.parts.method.clone() {
        Method::HEAD => Method::GET,
        // Some scripts post what others put.
        Method::POST => Method::PUT,
        method => method,
    };
    match (&method, &route) {
        (&Method::GET, Route::File { version, file }) => files::get(call, version, file, &path).await,
        (&Method::GET, Route::Metadata { folder, checksum }) => metadata::get(call, *folder, *checksum).await,
        (&Method::GET, Route::Prefixes { checksum }) => folders::prefixes(call, *checksum).await,
        (&Method::GET, Route::Folder(folder)) => folders::list(call, *folder).await,
        (&Method::GET, Route::Other) => files::other(call, &path).await,
        (&Method::PUT, Route::File { version, file }) => upload::put(call, version, file, &path).await,
        (&Method::PUT, Route::Metadata { folder, checksum }) => metadata::put(call, *folder, *checksum).await,
        (&Method::PUT, Route::Folder(_)) => {
            upload::refuse(call, Refusal::Conflict("a folder's path takes no content".to_owned()).into())
                .await
        }
        (&Method::PUT, Route::Prefixes { .. } | Route::Other) => {
            upload::refuse(call, Error::bad("files lie at group/artifact/version/file")).await
        }
        (&Method::DELETE, Route::File { version, file }) => remove::file(call, version, file).await,
        (&Method::DELETE, Route::Folder(folder)) => remove::folder(call, *folder).await,
        (&Method::OPTIONS, route) => {
            let mut response = respond_empty(StatusCode::NO_CONTENT);
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(route.allow()));
            Ok(response)
        }
        (_, route) => {
            call.somebody().await?;
            Err(Refusal::MethodNotAllowed(route.allow()).into())
        }
    }
}
