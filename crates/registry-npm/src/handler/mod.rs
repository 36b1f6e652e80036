//! Routes to functions: one line a route.

mod access;
mod account;
mod audit;
mod call;
mod edit;
mod foreign;
mod owners;
mod publish;
mod read;
mod receive;
mod route;
mod search;
mod stars;
mod tags;
mod tokens;
mod weblogin;

use http::{Method, StatusCode};
use registry_core::{
    PackageRegistry as _, Protocol, Request, Response,
    http::{Refusal, log_failure, without_body},
};
use serde_json::json;

use self::{call::Call, route::Route};
use crate::{
    error::{Error, json_response},
    names::PackageName,
    registry::NpmRegistry,
};

/// Answers a request.
pub(crate) async fn handle(registry: &NpmRegistry, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path();
    let instance = registry.instance();
    // What lies under no base path came by a root alias.
    let (base_path, below) = if let Some((base, below)) = instance.strip(path) {
        (base.as_str().to_owned(), below.to_owned())
    } else {
        let base = instance.base_paths.first().map_or("", |base| base.as_str());
        (base.to_owned(), path.to_owned())
    };
    let mut call = Call::new(registry, parts, body, &base_path);
    let response = match dispatch(&mut call, &below).await {
        Ok(response) => response,
        Err(error) => {
            Box::pin(call.drain()).await;
            log_failure(Protocol::Npm, error.status(), &error);
            error.render()
        }
    };
    without_body(&call.parts, response)
}

async fn dispatch(call: &mut Call<'_>, path: &str) -> Result<Response, Error> {
    let nothing = || Refusal::NotFound("there is nothing at this path".to_owned());
    let route = Route::parse(path).map_err(|_| nothing())?.ok_or_else(nothing)?;
    let method = match call.parts.method.clone() {
        Method::HEAD => Method::GET,
        method => method,
    };
    match (&method, &route) {
        (&Method::GET, Route::Package(package)) => read::packument(call, &parse_name(package)?).await,
        (&Method::GET, Route::Tarball { package, file }) => {
            read::tarball(call, &parse_name(package)?, file).await
        }
        // Boxed, so that what installs read again and again is not moved about in a future as large as that of a publish.
        _ => Box::pin(dispatch_rarer(call, &method, &route)).await,
    }
}

/// The routes that are no install's.
async fn dispatch_rarer(call: &mut Call<'_>, method: &Method, route: &Route) -> Result<Response, Error> {
    let name = |text: &str| parse_name(text);
    match (method, route) {
        (&Method::GET, Route::Root) => Ok(root(call)),
        (&Method::PUT, Route::Package(package)) => publish::put(call, &publishable(package)?).await,
        (&Method::PUT, Route::PackageRev { package, rev }) => edit::put(call, &name(package)?, rev).await,
        (&Method::DELETE, Route::PackageRev { package, rev }) => {
            edit::delete(call, &name(package)?, rev).await
        }
        (&Method::GET, Route::Version { package, wanted }) => {
            read::version(call, &name(package)?, wanted).await
        }
        (&Method::DELETE, Route::TarballRev { package, file, .. }) => {
            edit::delete_tarball(call, &name(package)?, file).await
        }

        (&Method::GET, Route::DistTags(package)) => tags::list(call, &name(package)?).await,
        (&Method::PUT, Route::DistTags(package)) => tags::replace(call, &name(package)?).await,
        (&Method::POST, Route::DistTags(package)) => tags::merge(call, &name(package)?).await,
        (&Method::PUT | &Method::POST, Route::DistTag { package, tag }) => {
            tags::set(call, &name(package)?, tag).await
        }
        (&Method::DELETE, Route::DistTag { package, tag }) => tags::remove(call, &name(package)?, tag).await,

        (&Method::GET, Route::Owners(package)) => owners::list(call, &name(package)?).await,
        (&Method::PUT, Route::Owners(package)) => owners::add_named_in_body(call, &name(package)?).await,
        (&Method::PUT, Route::Owner { package, user }) => owners::add(call, &name(package)?, user).await,
        (&Method::DELETE, Route::Owner { package, user }) => {
            owners::remove(call, &name(package)?, user).await
        }

        (&Method::GET, Route::Access(package)) => access::get(call, &name(package)?).await,
        (&Method::POST, Route::Access(package)) => access::set(call, &name(package)?).await,
        (&Method::GET, Route::Visibility(package)) => access::visibility(call, &name(package)?).await,
        (&Method::GET, Route::Collaborators(package)) => access::collaborators(call, &name(package)?).await,
        (&Method::GET, Route::OrgPackages(scope)) => access::org_packages(call, scope).await,
        (&Method::GET, Route::UserPackages(user)) => access::user_packages(call, user).await,

        (&Method::GET, Route::Star) => stars::own(call).await,
        (&Method::PUT, Route::Star) => stars::set(call, true).await,
        (&Method::DELETE, Route::Star) => stars::set(call, false).await,
        (&Method::GET, Route::UserStars(user)) => stars::of_user(call, user).await,
        (&Method::GET, Route::StarredBy) => stars::view(call).await,

        (&Method::GET, Route::Whoami) => account::whoami(call).await,
        (&Method::PUT, Route::User(user)) => account::log_in(call, user).await,
        (&Method::GET, Route::User(user)) => account::user(call, user).await,
        (&Method::GET, Route::Profile) => account::profile(call).await,
        (&Method::POST, Route::Profile) => account::set_profile(call).await,
        (&Method::GET, Route::Tokens) => tokens::list(call).await,
        (&Method::POST, Route::Tokens) => tokens::create(call).await,
        (&Method::DELETE, Route::Token(token)) => tokens::revoke(call, token).await,
        (&Method::DELETE, Route::UserToken(token)) => tokens::log_out(call, token).await,
        (&Method::POST, Route::Login) => weblogin::start(call).await,
        (&Method::GET, Route::LoginDone(secret)) => weblogin::poll(call, secret).await,
        (&Method::GET, Route::LoginPage(id)) => weblogin::page(call, id),
        (&Method::POST, Route::LoginPage(id)) => weblogin::grant(call, id).await,

        (&Method::GET, Route::Search) => search::search(call).await,
        (&Method::GET, Route::Attestations(spec)) => read::attestations(call, spec).await,
        (&Method::POST, Route::AuditBulk) => audit::bulk(call).await,
        (&Method::POST, Route::Audit) => audit::report(call).await,
        (&Method::GET, Route::Ping) => Ok(json_response(StatusCode::OK, &json!({}))),
        _ => Err(Refusal::MethodNotAllowed(route.allow()).into()),
    }
}

/// A name that may be read. One that cannot be a name is answered as a package that is not there.
fn parse_name(text: &str) -> Result<PackageName, Error> {
    text.parse().map_err(|_| Error::no_package(&text.chars().take(64).collect::<String>()))
}

/// A name that may be published.
fn publishable(text: &str) -> Result<PackageName, Error> {
    let name: PackageName = text.parse()?;
    name.publishable()?;
    Ok(name)
}

fn root(call: &Call<'_>) -> Response {
    json_response(StatusCode::OK, &json!({"registry": call.urls().base, "protocol": "npm"}))
}
