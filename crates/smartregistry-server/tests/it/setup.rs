//! `setup`: what clients need, without a store and without a server.

use crate::harness::Place;

#[test]
fn a_registrys_settings_are_printed() {
    let place = Place::new("");
    for (protocol, wanted) in [
        ("cargo", "sparse+http://127.0.0.1:3000/cargo/"),
        ("composer", "http://127.0.0.1:3000/composer"),
        ("npm", "registry=http://127.0.0.1:3000/npm/"),
        ("oci", "docker login -u NAME --password-stdin 127.0.0.1:3000"),
        ("pypi", "http://__token__:TOKEN@127.0.0.1:3000/simple/"),
        ("rubygems", "gem sources --add http://TOKEN:@127.0.0.1:3000/rubygems/"),
    ] {
        let text = place.run(&["setup", protocol]).ok();
        assert!(text.contains(wanted) && text.contains("TOKEN"), "{text}");
        assert!(text.contains(&format!("token create --user NAME --scope '{protocol}:")), "{text}");
    }
    let all = place.run(&["setup"]).ok();
    assert!(all.contains("# cargo: ") && all.contains("# pypi: "), "{all}");
    let memory = place.run(&["setup", "npm", "--storage", "memory:"]).ok();
    assert_eq!(memory, place.run(&["setup", "npm"]).ok());
    assert!(!place.path().join("smartregistry-data").exists());
}

#[test]
fn the_url_is_the_public_one() {
    let place = Place::new(
        "public_url = 'https://registry.example.com'
         listen = '127.0.0.1:0'
         [[registry]]
         name = 'npm-internal'
         protocol = 'npm'
         registry_url = 'https://npm.example.com/npm-internal'
         [[registry]]
         name = 'team'
         protocol = 'oci'
         host = 'team.example.com'",
    );
    let setup = |arguments: &[&str]| place.run(&[&["setup"], arguments].concat()).ok();
    assert!(setup(&["npm"]).contains("registry=https://registry.example.com/npm/"));
    let internal = setup(&["npm-internal"]);
    assert!(internal.contains("registry=https://npm.example.com/npm-internal/"), "{internal}");
    assert!(internal.contains("--scope 'npm-internal:package:*:read,write'"), "{internal}");
    let team = setup(&["team"]);
    assert!(team.contains("docker push team.example.com/NAMESPACE"), "{team}");
    assert!(team.contains("--scope 'team:repository:*:pull,push'"), "{team}");
    let other = setup(&["npm", "--public-url", "https://other.example.com"]);
    assert!(other.contains("registry=https://other.example.com/npm/"), "{other}");
}

#[test]
fn what_cannot_be_told_is_wrong_usage() {
    let place = Place::new("[cargo]\nenabled = false");
    let error = place.run(&["setup", "cargo"]).fails(2);
    assert!(error.contains("no registry `cargo`") && error.contains("npm"), "{error}");
    let error = place.run(&["setup", "npm", "--listen", "127.0.0.1:0"]).fails(2);
    assert!(error.contains("--public-url"), "{error}");
}

#[test]
fn a_protocols_name_means_its_only_registry() {
    let place = Place::new(
        "[npm]\nenabled = false\n[[registry]]\nname = 'packages'\nprotocol = 'npm'\nbase_path = '/packages'",
    );
    assert!(place.run(&["setup", "npm"]).ok().contains("registry=http://127.0.0.1:3000/packages/"));
}
