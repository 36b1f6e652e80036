//! More than one registry of a protocol.

use crate::harness::{ADMIN, Place, Server};

/// A publish of one version with an empty tarball list: only what the server needs to take it.
pub(crate) fn publish(server: &Server, token: &str, base: &str, name: &str) -> u16 {
    // A gzipped tar that holds package/package.json of lib 1.0.0 would be needed where tarballs are checked; the
    // configurations here do not check them.
    let document = serde_json::json!({
        "_id": name,
        "name": name,
        "dist-tags": { "latest": "1.0.0" },
        "versions": { "1.0.0": { "name": name, "version": "1.0.0", "dist": {
            "tarball": format!("http://x/{base}/{name}/-/{name}-1.0.0.tgz"),
            "shasum": "7c4a8d09ca3762af61e59520943dc26494f8941b",
        } } },
        "_attachments": { format!("{name}-1.0.0.tgz"): {
            "content_type": "application/octet-stream", "data": "MTIzNDU2", "length": 6,
        } },
    });
    let authorization = format!("Bearer {token}");
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    server.request("PUT", &format!("/{base}/{name}"), &headers, document.to_string()).status
}

pub(crate) const TWO: &str = "
    [auth]
    max_staleness = 0
    [npm]
    check_tarball = false
    [[registry]]
    name = 'npm-internal'
    protocol = 'npm'
    check_tarball = false
";

#[test]
fn two_npm_registries_share_nothing_but_users() {
    let place = Place::new(TWO);
    let server = place.serve();
    assert_eq!(publish(&server, ADMIN, "npm", "lib"), 201);
    assert_eq!(server.get_as(ADMIN, "/npm/lib").status, 200);
    assert_eq!(server.get_as(ADMIN, "/npm-internal/lib").status, 404);
    assert_eq!(server.get_as(ADMIN, "/npm-internal/lib/-/lib-1.0.0.tgz").status, 404);
    assert_eq!(publish(&server, ADMIN, "npm-internal", "lib"), 201);
    assert_eq!(publish(&server, ADMIN, "npm-internal", "own"), 201);
    assert_eq!(server.get_as(ADMIN, "/npm/own").status, 404);
    let search = |base: &str| server.get_as(ADMIN, &format!("/{base}/-/v1/search?text=own")).body;
    assert!(search("npm-internal").contains("\"own\""), "{}", search("npm-internal"));
    assert!(!search("npm").contains("\"own\""), "{}", search("npm"));

    let data = place.path().join("smartregistry-data");
    assert!(data.join("npm/packages/lib").exists() && data.join("npm-internal/packages/own").exists());
    assert!(!data.join("npm/packages/own").exists());
    assert!(place.run(&["verify"]).ok().contains("no faults"));
    server.stop();
}

#[test]
fn a_scope_can_mean_one_registry_or_all_of_a_protocol() {
    let place = Place::new(TWO);
    let server = place.serve();
    let token = |scope: &str| {
        place.run(&["token", "create", "--user", "ci", "--scope", scope]).ok().trim_end().to_owned()
    };
    let (all, one) = (token("npm:package:*:read,write"), token("npm-internal:package:*:read,write"));
    assert_eq!(publish(&server, &all, "npm", "a"), 201);
    assert_eq!(publish(&server, &all, "npm-internal", "a"), 201);
    assert_eq!(publish(&server, &one, "npm-internal", "b"), 201);
    assert_eq!(publish(&server, &one, "npm", "b"), 403);
    server.stop();
}

#[test]
fn anonymous_scopes_of_one_registry_are_its_own() {
    let place = Place::new(
        "[npm]\nanonymous = ['npm:package:*:read']\n[[registry]]\nname = 'npm-internal'\nprotocol = 'npm'",
    );
    let server = place.serve();
    assert_eq!(server.get("/npm/lib").status, 404);
    assert_eq!(server.get("/npm-internal/lib").status, 401);
    server.stop();
}

#[test]
fn an_oci_registry_can_have_a_host_of_its_own() {
    let place = Place::new(
        "[oci]\nanonymous = ['oci:*:*:pull']\n[[registry]]\nname = 'team'\nprotocol = 'oci'\nhost = 'team.example.com'",
    );
    let server = place.serve();
    let tags = |host: &str| server.request("GET", "/v2/app/tags/list", &[("host", host)], "").status;
    assert_eq!(tags("registry.example.com"), 404);
    assert_eq!(tags("team.example.com"), 401);
    assert_eq!(tags("TEAM.example.com:5000"), 401);
    server.stop();
}

#[test]
fn a_registrys_host_is_the_one_that_a_trusted_proxy_was_asked_for() {
    let config = "trusted_proxies = ['127.0.0.1']\n[oci]\nanonymous = ['oci:*:*:pull']\n\
        [[registry]]\nname = 'team'\nprotocol = 'oci'\nhost = 'team.example.com'";
    let tags = |server: &Server, host: &str, forwarded: &str| {
        let headers = [("host", host), ("x-forwarded-host", forwarded)];
        server.request("GET", "/v2/app/tags/list", &headers, "").status
    };
    let place = Place::new(config);
    let server = place.serve();
    assert_eq!(tags(&server, "127.0.0.1:3000", "team.example.com"), 401);
    assert_eq!(tags(&server, "team.example.com", "registry.example.com"), 404);
    server.stop();
    let place = Place::new(&config.replace("'127.0.0.1'", ""));
    let server = place.serve();
    assert_eq!(tags(&server, "127.0.0.1:3000", "team.example.com"), 404, "strangers are not believed");
    server.stop();
}
