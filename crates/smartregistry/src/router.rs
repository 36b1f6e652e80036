//! Which registry a request is for.

use std::{fmt, sync::Arc};

use registry_core::{BasePath, PackageRegistry};

/// One place where a registry is reached.
#[derive(Debug)]
struct Route {
    /// The only host name, in small letters and without a port; `None` for every host.
    host: Option<Box<str>>,
    base: BasePath,
    registry: Arc<dyn PackageRegistry>,
}

/// The places of all registries.
pub(crate) struct Router {
    /// Those bound to a host first, and the longer path before the shorter, so that the first match wins.
    routes: Vec<Route>,
    /// Prefixes at the root that belong to one registry beside its base paths, longest first.
    aliases: Vec<Alias>,
}

/// A prefix at the root that belongs to a registry.
struct Alias {
    /// As in [`Route`].
    host: Option<Box<str>>,
    prefix: &'static str,
    registry: Arc<dyn PackageRegistry>,
}

/// Two registries at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Clash {
    /// The path that both want.
    pub(crate) base: BasePath,
    /// Who has it.
    pub(crate) first: String,
    /// Who wants it too.
    pub(crate) second: String,
}

impl Router {
    /// The router of some registries.
    pub(crate) fn new(registries: &[Arc<dyn PackageRegistry>]) -> Result<Self, Clash> {
        let mut routes: Vec<Route> = Vec::new();
        let mut aliases: Vec<Alias> = Vec::new();
        for registry in registries {
            let instance = registry.instance();
            let host: Option<Box<str>> = instance.host.as_ref().map(|h| h.to_ascii_lowercase().into());
            for base in &instance.base_paths {
                if let Some(taken) = routes.iter().find(|r| r.host == host && r.base == *base) {
                    return Err(Clash {
                        base: base.clone(),
                        first: taken.registry.instance().name.to_string(),
                        second: instance.name.to_string(),
                    });
                }
                routes.push(Route { host: host.clone(), base: base.clone(), registry: Arc::clone(registry) });
            }
            // Only a protocol's default registry, or one with a host of its own, may answer at the root.
            if instance.is_default() || host.is_some() {
                for prefix in registry.root_aliases() {
                    aliases.push(Alias { host: host.clone(), prefix, registry: Arc::clone(registry) });
                }
            }
        }
        routes.sort_by_key(|r| (r.host.is_none(), std::cmp::Reverse(r.base.as_str().len())));
        aliases.sort_by_key(|a| (a.host.is_none(), std::cmp::Reverse(a.prefix.len())));
        Ok(Router { routes, aliases })
    }

    /// The registry of a path at a host: one bound to the host before others, then the longest base path.
    pub(crate) fn find(&self, host: Option<&str>, path: &str) -> Option<&Arc<dyn PackageRegistry>> {
        let host = host.map(without_port);
        let here =
            |bound: Option<&str>| bound.is_none_or(|b| host.is_some_and(|h| h.eq_ignore_ascii_case(b)));
        let by_base = || {
            let found = self.routes.iter().find(|r| here(r.host.as_deref()) && r.base.strip(path).is_some());
            found.map(|r| &r.registry)
        };
        let by_alias = || {
            let found = self.aliases.iter().find(|a| here(a.host.as_deref()) && path.starts_with(a.prefix));
            found.map(|a| &a.registry)
        };
        by_base().or_else(by_alias)
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.routes.iter().map(|r| (&r.host, r.base.as_str()))).finish()
    }
}

/// The host name of an authority, `[::1]` for `[::1]:3000`.
fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => authority,
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use registry_core::{
        Administration, Instance, Maintenance, Protocol, Request, Response,
        maintenance::{GcRun, VerifyRun},
        storage::StorageError,
    };

    use super::*;

    #[derive(Debug)]
    struct Fake(Instance, &'static [&'static str]);

    #[async_trait]
    impl PackageRegistry for Fake {
        fn instance(&self) -> &Instance {
            &self.0
        }

        async fn handle(&self, _: Request) -> Response {
            Response::default()
        }

        fn client_settings(&self, base_url: &str) -> String {
            base_url.to_owned()
        }

        fn root_aliases(&self) -> &[&'static str] {
            self.1
        }
    }

    impl Administration for Fake {}

    #[async_trait]
    impl Maintenance for Fake {
        async fn collect_garbage(&self, _: &GcRun) -> Result<(), StorageError> {
            Ok(())
        }

        async fn verify(&self, _: &VerifyRun) -> Result<(), StorageError> {
            Ok(())
        }

        async fn rebuild_catalog(&self) -> Result<(), StorageError> {
            Ok(())
        }
    }

    fn fake(name: &str, protocol: Protocol, bases: &[&str], host: Option<&str>) -> Arc<dyn PackageRegistry> {
        let bases = bases.iter().map(|b| b.parse().unwrap()).collect();
        let mut instance = Instance::new(name.parse().unwrap(), protocol, bases);
        instance.host = host.map(str::to_owned);
        Arc::new(Fake(instance, if protocol == Protocol::Npm { &["/-/npm/v1/oidc/"] } else { &[] }))
    }

    fn router() -> Router {
        Router::new(&[
            fake("npm", Protocol::Npm, &["/npm"], None),
            fake("npm-internal", Protocol::Npm, &["/npm/internal", "/npm-internal"], None),
            fake("oci", Protocol::Oci, &["/v2", "/oci"], None),
            fake("team", Protocol::Oci, &["/v2"], Some("Team.example.com")),
            fake("root", Protocol::Npm, &[""], Some("js.example.com")),
        ])
        .unwrap()
    }

    #[track_caller]
    fn check(host: &str, path: &str, expect: Option<&str>) {
        let router = router();
        let found = router.find(Some(host).filter(|h| !h.is_empty()), path);
        assert_eq!(found.map(|r| r.instance().name.as_str()), expect, "{host} {path}");
    }

    #[test]
    fn the_longest_base_path_wins() {
        check("", "/npm/lib", Some("npm"));
        check("", "/npm", Some("npm"));
        check("", "/npm/internal", Some("npm-internal"));
        check("", "/npm/internal/lib", Some("npm-internal"));
        check("", "/npm/internally", Some("npm"));
        check("", "/npm-internal/lib", Some("npm-internal"));
        check("", "/npmx", None);
        check("", "/v2/", Some("oci"));
        check("", "/oci/a/manifests/b", Some("oci"));
        check("", "/", None);
        check("", "", None);
    }

    #[test]
    fn a_host_of_its_own_wins_over_every_path() {
        check("registry.example.com", "/v2/", Some("oci"));
        check("team.example.com", "/v2/", Some("team"));
        check("TEAM.example.com:8443", "/v2/", Some("team"));
        check("team.example.com", "/npm/lib", Some("npm"));
        check("js.example.com", "/npm/lib", Some("root"));
        check("js.example.com", "/lib", Some("root"));
        check("[::1]:3000", "/v2/", Some("oci"));
    }

    #[test]
    fn root_aliases_belong_to_the_default_registry() {
        check("", "/-/npm/v1/oidc/token/exchange/package/lib", Some("npm"));
        check("", "/-/npm/v1/user", None);
        check("js.example.com", "/-/npm/v1/oidc/token", Some("root"));
    }

    #[test]
    fn two_registries_at_one_place_are_refused() {
        let clash = Router::new(&[
            fake("npm", Protocol::Npm, &["/npm"], None),
            fake("other", Protocol::Npm, &["/other", "/npm"], None),
        ])
        .unwrap_err();
        assert_eq!((clash.first.as_str(), clash.second.as_str()), ("npm", "other"));
        let apart = Router::new(&[
            fake("npm", Protocol::Npm, &["/npm"], None),
            fake("other", Protocol::Npm, &["/npm"], Some("x.example.com")),
        ]);
        assert!(apart.is_ok());
    }
}
