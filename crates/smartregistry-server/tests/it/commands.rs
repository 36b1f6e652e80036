//! The commands on a store, with a server running on it and without.

use crate::harness::{ADMIN, Place};

fn basic(user: &str, password: &str) -> String {
    // Base64 by hand, so that the test needs nothing for it.
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let text = format!("{user}:{password}");
    let mut out = String::from("Basic ");
    for chunk in text.as_bytes().chunks(3) {
        let bits = chunk.iter().fold(0u32, |bits, b| bits << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for at in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * at) & 63) as usize];
            out.push(if at <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    out
}

#[test]
fn a_token_is_made_listed_and_revoked_while_the_server_runs() {
    let place = Place::new("[auth]\nmax_staleness = 0");
    let server = place.serve();
    let made = ["token", "create", "--user", "ci", "--scope", "npm:package:*:read", "--expires", "30d"];
    let token = place.run(&made).ok();
    assert_eq!(token.lines().count(), 1);
    let token = token.trim_end();
    assert_eq!(server.get_as(token, "/npm/-/whoami").body, r#"{"username":"ci"}"#);

    let list = place.run(&["token", "list"]).ok();
    assert!(!list.contains(token), "{list}");
    let row = list.lines().find(|line| line.contains("ci")).unwrap();
    let id = row.split_whitespace().next().unwrap();
    assert!(row.contains("npm:package:*:read") && row.ends_with("active"), "{row}");

    let json: serde_json::Value =
        serde_json::from_str(&place.run(&["token", "list", "--json"]).ok()).unwrap();
    assert_eq!(json[0]["id"], id);
    assert_eq!(json[0]["state"], "active");
    assert!(json[0]["expires"].is_string());

    assert_eq!(place.run(&["token", "revoke", id]).ok(), "");
    assert_eq!(server.get_as(token, "/npm/-/whoami").status, 401);
    let list = place.run(&["token", "list"]).ok();
    assert!(list.lines().any(|line| line.starts_with(id) && line.ends_with("revoked")), "{list}");
    assert!(place.run(&["token", "revoke", "nosuchtoken"]).fails(1).contains("cannot revoke"));
    server.stop();
}

#[test]
fn a_user_is_added_logs_in_and_is_removed() {
    let place = Place::new("[auth]\nmax_staleness = 0");
    let add = ["user", "add", "alice", "--password-stdin", "--scope", "npm:package:*:read,write"];
    place.run_with_input(&add, "a long password\n").ok();
    assert!(place.run_with_input(&add, "a long password\n").fails(1).contains("cannot add the user"));
    let server = place.serve();
    let login = |password: &str| {
        let header = basic("alice", password);
        server.request("GET", "/npm/-/whoami", &[("authorization", &header)], "").status
    };
    assert_eq!(login("a long password"), 200);
    assert_eq!(login("another password"), 401);
    let list = place.run(&["user", "list"]).ok();
    assert!(
        list.lines().any(|line| line.starts_with("alice ") && line.contains("npm:package:*:read,write")),
        "{list}"
    );
    let json: serde_json::Value = serde_json::from_str(&place.run(&["user", "list", "--json"]).ok()).unwrap();
    assert_eq!(json[0]["name"], "alice");
    place.run(&["user", "remove", "alice"]).ok();
    assert_eq!(login("a long password"), 401);
    assert!(place.run(&["user", "remove", "alice"]).fails(1).contains("cannot remove the user"));
    server.stop();
}

#[test]
fn gc_and_verify_run_on_a_store_with_and_without_a_server() {
    let place = Place::new("");
    let server = place.serve();
    for _ in 0..2 {
        assert!(place.run(&["gc", "--dry-run", "--grace", "0s"]).ok().contains("to be removed"));
        assert!(place.run(&["gc"]).ok().contains("removed"));
        assert!(place.run(&["verify"]).ok().contains("no faults"));
    }
    server.stop();
    assert!(place.run(&["verify"]).ok().contains("no faults"));
}

#[test]
fn with_memory_there_is_nothing_to_work_on() {
    let place = Place::new("");
    for command in [
        &["token", "list"][..],
        &["token", "create", "--user", "a", "--scope", "*:*:*:*"],
        &["user", "list"],
        &["package", "list"],
        &["package", "delete", "npm", "lib", "--yes"],
        &["gc"],
        &["verify"],
    ] {
        let arguments: Vec<&str> = command.iter().copied().chain(["--storage", "memory:"]).collect();
        let error = place.run(&arguments).fails(2);
        assert!(error.contains("memory:"), "{error}");
    }
    let server = place.serve_as(&["--listen", "127.0.0.1:0", "--storage", "memory:"], |command| {
        command.env("SMARTREGISTRY_ADMIN_TOKEN", ADMIN);
    });
    assert_eq!(server.get_as(ADMIN, "/npm/-/whoami").status, 200);
    server.stop();
    assert!(!place.path().join("smartregistry-data").exists());
}

#[test]
fn wrong_usage_and_wrong_scopes_exit_2() {
    let place = Place::new("");
    for arguments in [
        &["frobnicate"][..],
        &["--nosuchflag"],
        &["token", "create", "--user", "a"],
        &["token", "create", "--user", "a", "--scope", "nonsense"],
        &["--listen", "127.0.0.1:0", "gc"],
        &["package"],
        &["package", "list", "--protocol", "cobol"],
    ] {
        place.run(arguments).fails(2);
    }
    place.run_with_input(&["user", "add", "a", "--password-stdin"], "\n").fails(2);
    for arguments in [&["--help"][..], &["--version"], &["token", "create", "--help"], &["gc", "--help"]] {
        assert!(!place.run(arguments).ok().is_empty());
    }
}

#[test]
fn completions_are_printed_for_every_shell() {
    let place = Place::new("");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(place.run(&["completions", shell]).ok().contains("check-config"), "{shell}");
        let text = place.run(&["completions", shell]).ok();
        assert!(text.contains("forget") && text.contains("setup"), "{shell}");
    }
}
