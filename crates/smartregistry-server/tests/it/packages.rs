//! `package …`, with a server running on the store and without.

use std::{
    io::Write as _,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    harness::{ADMIN, Place, Server},
    instances::{TWO, publish},
};

/// What lists know comes within five seconds; a slow machine has more.
const DEADLINE: Duration = Duration::from_secs(30);

/// Waits until something is so.
#[track_caller]
fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !is_so() {
        assert!(Instant::now() < end, "{what} did not come");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// What `cargo publish` sends.
fn publish_crate(server: &Server, name: &str, version: &str) -> u16 {
    let manifest = format!("[package]\nname = \"{name}\"\nversion = \"{version}\"\nedition = \"2021\"\n");
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    for (path, text) in [("Cargo.toml", manifest.as_str()), ("src/lib.rs", "")] {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, format!("{name}-{version}/{path}"), text.as_bytes()).unwrap();
    }
    let file = tar.into_inner().unwrap().finish().unwrap();
    let metadata = json!({"name": name, "vers": version, "deps": [], "features": {}}).to_string();
    let mut body = Vec::new();
    for part in [metadata.as_bytes(), &file] {
        body.write_all(&u32::try_from(part.len()).unwrap().to_le_bytes()).unwrap();
        body.write_all(part).unwrap();
    }
    server.request("PUT", "/cargo/api/v1/crates/new", &[("authorization", ADMIN)], body).status
}

/// Pushes an image without layers.
fn push_image(server: &Server, name: &str, tag: &str) {
    let digest = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
    let authorization = format!("Bearer {ADMIN}");
    let headers = [("authorization", authorization.as_str())];
    let blob = format!("/v2/{name}/blobs/uploads/?digest={digest}");
    assert_eq!(server.request("POST", &blob, &headers, "{}").status, 201);
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": [],
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest, "size": 2},
    });
    let path = format!("/v2/{name}/manifests/{tag}");
    assert_eq!(server.request("PUT", &path, &headers, manifest.to_string()).status, 201);
}

#[test]
fn packages_are_listed_with_a_server_and_without() {
    let place = Place::new(TWO);
    let head = place.run(&["package", "list"]).ok();
    assert_eq!(head, "REGISTRY  NAME  LATEST  CHANGED\n");
    let server = place.serve();
    for (base, name) in [("npm", "lib"), ("npm", "@acme/lib"), ("npm-internal", "own")] {
        let path = name.replace('/', "%2f");
        assert_eq!(publish(&server, ADMIN, base, name), 201, "{path}");
    }
    assert_eq!(publish_crate(&server, "lib", "1.0.0"), 200);
    let list = |arguments: &[&str]| place.run(&[&["package", "list"], arguments].concat()).ok();
    let rows = |arguments: &[&str]| -> Vec<String> {
        let row = |line: &str| line.split_whitespace().take(3).collect::<Vec<_>>().join(" ");
        list(arguments).lines().skip(1).map(row).collect()
    };
    let all = ["cargo lib 1.0.0", "npm @acme/lib 1.0.0", "npm lib 1.0.0", "npm-internal own 1.0.0"];
    wait_until("the list", || rows(&[]) == all);
    assert_eq!(rows(&["npm"]), all[1..3]);
    assert_eq!(rows(&["--protocol", "npm"]), all[1..]);
    assert_eq!(rows(&["--prefix", "li"]), [all[0], all[2]]);
    let json: Value = serde_json::from_str(&list(&["npm-internal", "--json"])).unwrap();
    assert_eq!((&json[0]["registry"], &json[0]["protocol"]), (&"npm-internal".into(), &"npm".into()));
    assert_eq!((&json[0]["name"], json.as_array().unwrap().len()), (&"own".into(), 1));
    server.stop();
    assert_eq!(rows(&[]), all);
    assert!(place.run(&["package", "list", "pypi-internal"]).fails(2).contains("npm-internal"));
}

#[test]
fn the_list_of_a_store_on_which_no_server_made_a_catalog_is_whole() {
    let place = Place::new(TWO);
    let server = place.serve();
    assert_eq!(publish(&server, ADMIN, "npm", "lib"), 201);
    assert_eq!(publish(&server, ADMIN, "npm-internal", "own"), 201);
    server.stop();
    let system = place.path().join("smartregistry-data/_system");
    std::fs::remove_dir_all(system.join("changes")).unwrap();
    // A server that ends so soon may not have got to it.
    let _ = std::fs::remove_dir_all(system.join("catalog"));
    let list = place.run(&["package", "list"]).ok();
    assert!(list.contains("npm           lib") && list.contains("npm-internal  own"), "{list}");
}

#[test]
fn what_is_deleted_and_forgotten_a_running_server_sees() {
    let place = Place::new(TWO);
    let server = place.serve();
    let status = || server.get_as(ADMIN, "/npm/lib").status;
    let found = || server.get_as(ADMIN, "/npm/-/v1/search?text=lib").body.contains("\"lib\"");
    assert_eq!(publish(&server, ADMIN, "npm", "lib"), 201);
    wait_until("the search", found);
    assert!(place.run(&["package", "forget", "npm", "lib"]).fails(1).contains("would be lost"));
    let error = place.run(&["package", "delete", "npm", "lib"]).fails(2);
    assert!(error.contains("--yes"), "{error}");
    assert_eq!(status(), 200);
    assert_eq!(place.run(&["package", "delete", "npm", "lib", "--yes"]).ok(), "deleted: lib\n");
    assert_eq!(status(), 404);
    wait_until("the search without it", || !found());
    assert_eq!(publish(&server, ADMIN, "npm", "lib"), 403);
    let shown = place.run(&["package", "show", "npm", "lib"]).ok();
    assert!(shown.contains("deleted"), "{shown}");
    assert_eq!(place.run(&["package", "forget", "npm", "lib", "1.0.0"]).ok(), "forgotten: lib 1.0.0\n");
    assert_eq!(place.run(&["package", "forget", "npm", "lib"]).ok(), "forgotten: lib\n");
    assert!(place.run(&["package", "show", "npm", "lib"]).fails(1).contains("not found"));
    assert_eq!(publish(&server, ADMIN, "npm", "lib"), 201);
    assert_eq!(status(), 200);
    wait_until("the search again", found);
    // Nobody else's package was touched, and nothing is left that nobody knows.
    assert!(place.run(&["verify"]).ok().contains("no faults"));
    server.stop();
    assert_eq!(
        place.run(&["package", "delete", "npm", "lib", "1.0.0", "--yes"]).ok(),
        "deleted: lib 1.0.0\n"
    );
    assert_eq!(place.run(&["package", "list"]).ok().lines().count(), 1);
}

#[test]
fn a_crate_is_yanked_and_unyanked() {
    let place = Place::new("");
    let server = place.serve();
    assert_eq!(publish_crate(&server, "lib", "1.0.0"), 200);
    let yanked = || {
        let line = server.get_as(ADMIN, "/cargo/3/l/lib").body;
        serde_json::from_str::<Value>(&line).unwrap()["yanked"].clone()
    };
    assert_eq!(place.run(&["package", "yank", "cargo", "lib", "1.0.0"]).ok(), "yanked: lib 1.0.0\n");
    assert_eq!(yanked(), true);
    let json: Value =
        serde_json::from_str(&place.run(&["package", "show", "cargo", "lib", "--json"]).ok()).unwrap();
    assert_eq!((&json["name"], &json["versions"][0]["state"]), (&"lib".into(), &"yanked".into()));
    assert!(json["versions"][0]["bytes"].as_u64().is_some_and(|bytes| bytes > 0), "{json}");
    let undone = place.run(&["package", "yank", "cargo", "lib", "1.0.0", "--undo"]).ok();
    assert_eq!(undone, "no longer yanked: lib 1.0.0\n");
    assert_eq!(yanked(), false);
    for (arguments, code, wanted) in [
        (&["cargo", "lib", "1.0.0", "--reason", "broken"][..], 2, "reason"),
        (&["cargo", "lib", "one"], 2, "invalid version"),
        (&["cargo", "lib", "2.0.0"], 1, "no version 2.0.0"),
        (&["cargo", "other", "1.0.0"], 1, "does not exist"),
        (&["npm", "lib", "1.0.0"], 2, "npm deprecate"),
        (&["maven-x", "lib", "1.0.0"], 2, "there is no registry"),
    ] {
        let error = place.run(&[&["package", "yank"], arguments].concat()).fails(code);
        assert!(error.contains(wanted), "{error}");
    }
    assert_eq!(yanked(), false);
    server.stop();
}

#[test]
fn a_repository_is_shown_and_deleted() {
    let place = Place::new("");
    let server = place.serve();
    push_image(&server, "team/app", "1.0");
    push_image(&server, "team/app", "latest");
    let shown = place.run(&["package", "show", "oci", "team/app"]).ok();
    let tag = shown.lines().find(|line| line.starts_with("1.0 ")).unwrap();
    assert!(tag.contains("sha256:") && shown.contains("manifests  1"), "{shown}");
    assert_eq!(
        place.run(&["package", "delete", "oci", "team/app", "1.0", "--yes"]).ok(),
        "deleted: team/app 1.0\n"
    );
    let tags = || server.get_as(ADMIN, "/v2/team/app/tags/list").body;
    assert_eq!(serde_json::from_str::<Value>(&tags()).unwrap()["tags"], json!(["latest"]));
    assert_eq!(place.run(&["package", "delete", "oci", "team/app", "--yes"]).ok(), "deleted: team/app\n");
    assert_eq!(serde_json::from_str::<Value>(&tags()).unwrap()["tags"], json!([]));
    wait_until("the catalog without it", || !server.get_as(ADMIN, "/v2/_catalog").body.contains("team/app"));
    assert!(place.run(&["package", "delete", "oci", "team/app", "--yes"]).fails(1).contains("not known"));
    assert!(place.run(&["package", "forget", "oci", "team/app"]).fails(2).contains("pushed again"));
    server.stop();
}
