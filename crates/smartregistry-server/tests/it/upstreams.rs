//! A server in front of another one.

use crate::{
    harness::{ADMIN, Answer, Place, Server},
    instances::publish,
};

const HOSTING: &str = "
    [auth]
    anonymous = ['npm:package:*:read']
    [npm]
    check_tarball = false
";

/// The configuration of a server in front of another one.
fn before(hosting: &Server, more: &str) -> String {
    format!(
        "{more}\n[auth]\nanonymous = ['npm:package:*:read']\n\
         [[upstreams.npm]]\nid = 'hosting'\nurl = 'http://{}/npm'\nretries = 0\n",
        hosting.address
    )
}

/// What an installer asks for.
fn install(server: &Server) -> (Answer, Answer) {
    let packument = server.get("/npm/lib");
    assert_eq!(packument.status, 200, "{packument:?}");
    let document: serde_json::Value = serde_json::from_str(&packument.body).unwrap();
    let url = document["versions"]["1.0.0"]["dist"]["tarball"].as_str().unwrap();
    let path = url.strip_prefix(&format!("http://{}", server.address)).unwrap();
    (packument, server.get(path))
}

#[test]
fn checklist_36_offline_nothing_is_asked_and_what_is_kept_is_served() {
    let (here, there) = (Place::new(HOSTING), Place::new(""));
    let hosting = here.serve();
    assert_eq!(publish(&hosting, ADMIN, "npm", "lib"), 201);
    there.write("smartregistry.toml", &before(&hosting, ""));
    let proxy = there.serve();
    install(&proxy);
    proxy.stop();
    there.write("smartregistry.toml", &format!("offline = true\n{}", before(&hosting, "")));
    let proxy = there.serve();
    let (packument, tarball) = install(&proxy);
    assert_eq!((packument.status, tarball.body.as_str()), (200, "123456"));
    assert!(packument.header("cache-status").unwrap().contains("offline"), "{packument:?}");
    // The upstream runs, and has no say.
    assert_eq!(publish(&hosting, ADMIN, "npm", "more"), 201);
    let refused = proxy.get("/npm/more");
    assert_eq!(refused.status, 503, "{refused:?}");
    let metrics = proxy.get("/metrics").body;
    assert!(!metrics.contains("upstream_requests_total"), "{metrics}");
}

#[test]
fn checklist_21_packages_of_another_server_install_also_when_it_is_down() {
    let (here, there) = (Place::new(HOSTING), Place::new(""));
    let hosting = here.serve();
    assert_eq!(publish(&hosting, ADMIN, "npm", "lib"), 201);
    there.write("smartregistry.toml", &before(&hosting, ""));
    let proxy = there.serve();
    let (_, tarball) = install(&proxy);
    assert_eq!((tarball.status, tarball.body.as_str()), (200, "123456"));
    assert_eq!(
        tarball.header("cache-status"),
        Some("smartregistry; fwd=uri-miss; stored; detail=\"hosting\"")
    );
    assert_eq!(proxy.get("/npm/none").status, 404);
    hosting.stop();
    let (packument, tarball) = install(&proxy);
    assert!(packument.header("cache-status").unwrap().starts_with("smartregistry; hit; ttl="));
    assert_eq!((tarball.status, tarball.body.as_str()), (200, "123456"));
    assert_eq!(tarball.header("cache-status"), Some("smartregistry; hit; detail=\"hosting\""));
    // Enough failures open the breaker, which is seen; the server stays ready, and what it has it serves.
    for at in 0..6 {
        let answer = proxy.get(&format!("/npm/other{at}"));
        assert!(matches!(answer.status, 502 | 503), "{answer:?}");
    }
    let ready = proxy.get("/readyz");
    assert_eq!((ready.status, ready.body.as_str()), (200, "ready\nupstream npm/hosting: breaker open\n"));
    let metrics = proxy.get("/metrics").body;
    assert!(metrics.contains("upstream_breaker_state{upstream=\"hosting\",instance=\"npm\"} 1"), "{metrics}");
    assert!(!metrics.contains("other0"), "no name in metrics");
    // What is known of an upstream outlives a reload that leaves it as it is.
    proxy.signal("HUP");
    proxy.wait_for_line(|line| line.contains("the configuration was read again"));
    assert!(proxy.get("/readyz").body.contains("breaker open"));
    // And what is kept outlives the process.
    proxy.stop();
    let stats = there.run(&["cache", "stats"]).ok();
    assert_eq!(stats.lines().next(), Some("REGISTRY  UPSTREAM  DOCUMENTS  ARTIFACTS  BYTES"));
    assert!(stats.lines().nth(1).unwrap().starts_with("npm       hosting   1          1"), "{stats}");
    let proxy = there.serve();
    let (_, tarball) = install(&proxy);
    assert_eq!(tarball.body, "123456");
    let explained = there.run(&["explain", "npm", "lib"]).ok();
    assert!(explained.starts_with("hosted    no\nasked     hosting at http://127.0.0.1:"), "{explained}");
    assert!(explained.contains("kept      of hosting: 1 documents, 1 artifacts, "), "{explained}");
    let reserving = there
        .write("reserving.toml", "[npm]\nreserved = ['l*']\n[[upstreams.npm]]\nid = 'a'\nurl = 'http://x'");
    let explained = there.run(&["--config", reserving.to_str().unwrap(), "explain", "npm", "lib"]).ok();
    assert!(explained.contains("nobody: the rule `l*` keeps it local"), "{explained}");
    assert!(there.run(&["cache", "purge", "npm", "lib"]).ok().starts_with("3 dropped, "));
    assert!(matches!(proxy.get("/npm/lib").status, 502 | 503));
}

#[test]
fn a_configuration_with_upstreams_is_checked() {
    let place = Place::new("[[upstreams.npm]]\nid = 'a'\nurl = 'https://alice:pw@registry.example.com'");
    let said = place.run(&["check-config"]).ok();
    assert!(said.contains("upstream    a of npm at https://registry.example.com/\n"), "{said}");
    place.write("bad.pem", "no certificate");
    place.write(
        "smartregistry.toml",
        "[[upstreams.npm]]\nid = 'a'\nurl = 'https://registry.example.com'\nca = 'bad.pem'\non_error = 'next'",
    );
    let said = place.run(&["check-config"]).fails(1);
    assert!(said.contains("upstream `a` cannot be asked"), "{said}");
}
