//! Starting, answering, reloading, stopping.

use std::{io::Write, time::Duration};

use crate::harness::{ADMIN, Answer, Place};

#[test]
fn the_servers_own_pages_answer_without_credentials() {
    let place = Place::new("");
    let server = place.serve();
    assert_eq!(server.get("/healthz").body, "ok\n");
    assert_eq!(server.get("/readyz").body, "ready\n");
    let text = server.get("/");
    assert_eq!(text.header("content-type"), Some("text/plain; charset=utf-8"));
    assert!(text.body.contains("npm") && text.body.contains("oci"), "{}", text.body);
    assert!(text.body.contains(&format!("http://{}/npm", server.address)), "{}", text.body);
    let html = server.request("GET", "/", &[("accept", "text/html")], "");
    assert_eq!(html.header("content-type"), Some("text/html; charset=utf-8"));
    let policy = html.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
    assert!(html.body.starts_with("<!DOCTYPE html>"));
    assert_eq!(server.request("POST", "/healthz", &[], "").status, 405);
    assert_eq!(server.get("/nowhere").status, 404);
    server.stop();
}

#[test]
fn both_protocols_answer_where_they_should() {
    let place = Place::new("");
    let server = place.serve();
    assert_eq!(server.get("/npm/-/ping").status, 200);
    let challenge = server.get("/v2/");
    assert_eq!(challenge.status, 401);
    assert!(
        challenge
            .header("www-authenticate")
            .unwrap()
            .contains(&format!("http://{}/v2/token", server.address))
    );
    assert_eq!(server.get_as(ADMIN, "/v2/").status, 200);
    assert_eq!(server.get_as(ADMIN, "/npm/-/whoami").body, r#"{"username":"admin"}"#);
    server.stop();
}

#[test]
fn every_request_is_one_line_with_its_facts_and_no_secret() {
    let place = Place::new("");
    let server = place.serve();
    let answer = server.request(
        "GET",
        "/npm/-/whoami?token=s3cr3t-query",
        &[("authorization", &format!("Bearer {ADMIN}")), ("x-request-id", "my-own.id")],
        "",
    );
    assert_eq!(answer.header("x-request-id"), Some("my-own.id"));
    let line = server.wait_for_line(|line| line.contains("my-own.id"));
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    for (field, expect) in [
        ("level", "INFO"),
        ("target", "access"),
        ("message", "request"),
        ("client", "127.0.0.1"),
        ("actor", "admin"),
        ("protocol", "npm"),
        ("method", "GET"),
        ("path", "/npm/-/whoami"),
    ] {
        assert_eq!(line[field], expect, "{line}");
    }
    assert_eq!(line["status"], 200);
    assert_eq!(line["bytes"], answer.body.len());
    assert!(line["duration_ms"].is_f64() && line["timestamp"].is_string());

    let token = "srt_0123456789abcdef0123456789abcdef";
    server.request(
        "DELETE",
        &format!("/npm/-/user/token/{token}"),
        &[("authorization", &format!("Bearer {token}"))],
        "",
    );
    let generated = server.get("/healthz").header("x-request-id").unwrap().to_owned();
    server.wait_for_line(|line| line.contains(&generated));
    let lines = server.stop().join("\n");
    for secret in [ADMIN, token, "s3cr3t-query"] {
        assert!(!lines.contains(secret), "{secret} is in the log:\n{lines}");
    }
    assert!(lines.contains("/npm/-/user/token/***"));
}

#[test]
fn the_first_start_prints_a_token_once_and_it_works() {
    let place = Place::new("");
    let arguments = ["--listen", "127.0.0.1:0"];
    let server = place.serve_as(&arguments, |_| {});
    let line = server.wait_for_line(|line| line.starts_with("administrator's token"));
    let token = line.rsplit(' ').next().unwrap().to_owned();
    assert_eq!(server.get_as(&token, "/npm/-/whoami").body, r#"{"username":"admin"}"#);
    server.stop();
    let server = place.serve_as(&arguments, |_| {});
    assert_eq!(server.get_as(&token, "/npm/-/whoami").status, 200);
    let lines = server.stop();
    assert!(
        !lines.iter().any(|line| line.contains("administrator's token") || line.contains(&token)),
        "{lines:#?}"
    );
}

#[test]
fn users_before_the_first_start_do_not_take_the_administrators_token_away() {
    let place = Place::new("");
    let add = ["user", "add", "alice", "--password-stdin", "--scope", "npm:package:*:read,write"];
    place.run_with_input(&add, "a long password\n").ok();
    place.run(&["token", "create", "--user", "ci", "--scope", "npm:package:*:read"]).ok();
    let server = place.serve_as(&["--listen", "127.0.0.1:0"], |_| {});
    let line = server.wait_for_line(|line| line.starts_with("administrator's token"));
    let token = line.rsplit(' ').next().unwrap().to_owned();
    assert_eq!(server.get_as(&token, "/npm/-/whoami").body, r#"{"username":"admin"}"#);
    server.stop();

    // Who may do everything already needs no other token.
    let place = Place::new("");
    let token = place.run(&["token", "create", "--user", "root", "--scope", "*:*:*:*"]).ok();
    let server = place.serve_as(&["--listen", "127.0.0.1:0"], |_| {});
    assert_eq!(server.get_as(token.trim(), "/npm/-/whoami").status, 200);
    let lines = server.stop();
    assert!(!lines.iter().any(|line| line.contains("administrator's token")), "{lines:#?}");
}

#[test]
fn an_admin_token_from_the_environment_is_printed_nowhere_and_ends_with_it() {
    let place = Place::new("");
    let server = place.serve();
    assert_eq!(server.get_as(ADMIN, "/npm/-/whoami").status, 200);
    let lines = server.stop();
    assert!(
        !lines.iter().any(|line| line.contains(ADMIN) || line.contains("administrator's token")),
        "{lines:#?}"
    );
    let server = place.serve_as(&["--listen", "127.0.0.1:0"], |command| {
        command.env("SMARTREGISTRY_ADMIN_TOKEN", "another-one-of-enough-length");
    });
    assert_eq!(server.get_as(ADMIN, "/npm/-/whoami").status, 401);
    server.stop();
    let mut short = place.command(&["--listen", "127.0.0.1:0"]);
    let output = short.env("SMARTREGISTRY_ADMIN_TOKEN", "short").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("SMARTREGISTRY_ADMIN_TOKEN") && text.contains("16"), "{text}");
}

#[test]
fn metrics_tell_of_requests_and_storage_and_name_nothing() {
    let place = Place::new("");
    let server = place.serve();
    server.get("/npm/some-package-name");
    server.get_as(ADMIN, "/npm/some-package-name");
    let metrics = server.get("/metrics");
    assert_eq!(metrics.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    for name in [
        "http_requests_total{",
        "http_request_duration_seconds_bucket{",
        "http_sent_bytes_total{",
        "storage_operations_total{",
        "storage_operation_duration_seconds_bucket{",
        "cache_lookups_total{",
        "smartregistry_build_info{",
    ] {
        assert!(
            metrics.body.lines().any(|line| line.starts_with(name)),
            "{name} is missing:\n{}",
            metrics.body
        );
    }
    assert!(
        metrics.body.contains(r#"http_requests_total{protocol="npm",method="GET",status="4xx"} 2"#),
        "{}",
        metrics.body
    );
    assert!(!metrics.body.contains("some-package-name"));
    for line in metrics.body.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let name = line.split(' ').next().unwrap();
        assert!(metrics.body.contains(&format!("# HELP {name} ")), "{name} is not explained");
    }
    server.stop();
}

#[test]
fn metrics_can_have_an_address_of_their_own_or_be_off() {
    let place = Place::new("[metrics]\nlisten = '127.0.0.1:0'");
    let server = place.serve();
    let line = server.wait_for_line(|line| line.starts_with("metrics on http://"));
    let address = line.trim_start_matches("metrics on http://").trim_end_matches("/metrics");
    let ask = |path: &str| {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.write_all(server.head("GET", path, &[], 0).as_bytes()).unwrap();
        Answer::read(stream)
    };
    assert_eq!(server.get("/metrics").status, 404);
    assert!(ask("/metrics").body.contains("smartregistry_build_info"));
    assert_eq!(ask("/npm/-/ping").status, 404);
    server.stop();
    let place = Place::new("[metrics]\nenabled = false");
    let server = place.serve();
    assert_eq!(server.get("/metrics").status, 404);
    server.stop();
}

#[test]
fn a_stop_waits_for_an_upload_that_is_under_way() {
    let place = Place::new("");
    let server = place.serve();
    let mut stream = server.connect();
    let body = "{}".to_owned() + &" ".repeat(4000);
    let head = server.head("PUT", "/npm/lib", &[("authorization", &format!("Bearer {ADMIN}"))], body.len());
    let (first, second) = body.split_at(2000);
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(first.as_bytes()).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    server.signal("TERM");
    server.wait_for_line(|line| line.contains("stopping"));
    stream.write_all(second.as_bytes()).unwrap();
    let answer = Answer::read(stream);
    assert!((400..500).contains(&answer.status), "{answer:?}");
    let (status, lines) = server.wait();
    assert_eq!(status.code(), Some(0), "{lines:#?}");
    assert!(lines.iter().any(|line| line.contains("\"path\":\"/npm/lib\"")), "{lines:#?}");
}

#[test]
fn a_stop_does_not_wait_for_ever() {
    let place = Place::new("shutdown_timeout = '500ms'");
    let server = place.serve();
    let mut stream = server.connect();
    let head = server.head("PUT", "/npm/lib", &[("authorization", &format!("Bearer {ADMIN}"))], 1000);
    stream.write_all(head.as_bytes()).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let lines = server.stop();
    assert!(lines.iter().any(|line| line.contains("did not end in time")), "{lines:#?}");
}

#[test]
fn a_stop_keeps_to_the_timeout_of_the_last_reload() {
    let place = Place::new("shutdown_timeout = '10m'");
    let server = place.serve();
    let mut stream = server.connect();
    let head = server.head("PUT", "/npm/lib", &[("authorization", &format!("Bearer {ADMIN}"))], 1000);
    stream.write_all(head.as_bytes()).unwrap();
    place.write("smartregistry.toml", "shutdown_timeout = '500ms'");
    server.signal("HUP");
    server.wait_for_line(|line| line.contains("the configuration was read again"));
    let lines = server.stop();
    assert!(lines.iter().any(|line| line.contains("did not end in time")), "{lines:#?}");
}

#[test]
fn a_reload_that_is_asked_for_while_the_server_stops_cuts_no_request_off() {
    let place = Place::new("");
    let server = place.serve();
    let mut stream = server.connect();
    let head = server.head("PUT", "/npm/lib", &[("authorization", &format!("Bearer {ADMIN}"))], 1000);
    stream.write_all(head.as_bytes()).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    server.signal("TERM");
    server.wait_for_line(|line| line.contains("stopping"));
    server.signal("HUP");
    std::thread::sleep(Duration::from_millis(300));
    stream.write_all(&[b' '; 1000]).unwrap();
    let answer = Answer::read(stream);
    assert_eq!(answer.status, 400, "{answer:?}");
    let (status, lines) = server.wait();
    assert_eq!(status.code(), Some(0), "{lines:#?}");
    assert!(!lines.iter().any(|line| line.contains("at once")), "{lines:#?}");
}

#[test]
fn a_reload_takes_a_good_configuration_and_refuses_a_bad_one() {
    let place = Place::new("");
    let server = place.serve();
    assert_eq!(server.get("/npm/lib").status, 401);
    assert_eq!(server.get("/js/-/ping").status, 404);

    place.write("smartregistry.toml", "[auth]\nanonymous = ['npm:package:*:read']\n[npm]\nbase_path = '/js'");
    server.signal("HUP");
    server.wait_for_line(|line| line.contains("the configuration was read again"));
    assert_eq!(server.get("/js/-/ping").status, 200);
    assert_eq!(server.get("/js/lib").status, 404);
    assert_eq!(server.get("/npm/-/ping").status, 404);

    place.write("smartregistry.toml", "[npm]\nbase_pat = '/other'");
    server.signal("HUP");
    let line = server.wait_for_line(|line| line.contains("is refused"));
    assert!(line.contains("npm.base_pat") && line.contains("npm.base_path"), "{line}");
    assert_eq!(server.get("/js/lib").status, 404);

    place.write("smartregistry.toml", "listen = '127.0.0.1:1'\n[cache]\nmemory = 0");
    server.signal("HUP");
    let line = server.wait_for_line(|line| line.contains("need a restart"));
    assert!(line.contains("cache"), "{line}");
    assert_eq!(server.get("/npm/lib").status, 401);
    server.stop();
}

#[test]
fn a_second_server_on_the_same_folder_is_refused() {
    let place = Place::new("");
    let server = place.serve();
    let error = place.run(&["serve", "--listen", "127.0.0.1:0"]).fails(1);
    assert!(error.contains("another server") && error.contains("smartregistry-data"), "{error}");
    assert_eq!(server.get("/healthz").status, 200);
    server.stop();
    place.serve().stop();
}

#[test]
fn a_taken_port_is_told() {
    let place = Place::new("");
    let server = place.serve();
    let other = Place::new("");
    let address = server.address.to_string();
    let error = other.run(&["--listen", &address]).fails(1);
    assert!(error.contains(&format!("cannot listen on {address}")), "{error}");
}

#[test]
fn the_log_can_be_a_file_that_is_rotated() {
    let place = Place::new("[log]\nfile = 'access.log'");
    let server = place.serve();
    let wait = |name: &str, id: &str| {
        for _ in 0..500 {
            if std::fs::read_to_string(place.path().join(name)).is_ok_and(|text| text.contains(id)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("{id} is not in {name}");
    };
    server.request("GET", "/healthz", &[("x-request-id", "first")], "");
    wait("access.log", "first");
    std::fs::rename(place.path().join("access.log"), place.path().join("access.log.1")).unwrap();
    server.signal("HUP");
    wait("access.log", "the configuration was read again");
    server.request("GET", "/healthz", &[("x-request-id", "second")], "");
    wait("access.log", "second");
    assert!(!std::fs::read_to_string(place.path().join("access.log.1")).unwrap().contains("second"));
    let lines = server.stop();
    assert_eq!(lines.len(), 1, "only where it listens: {lines:#?}");
}

#[test]
fn a_human_log_is_text() {
    let place = Place::new("[log]\nformat = 'human'");
    let server = place.serve();
    server.request("GET", "/healthz", &[("x-request-id", "for-people")], "");
    let line = server.wait_for_line(|line| line.contains("for-people"));
    assert!(line.contains("200 GET /healthz") && !line.starts_with('{'), "{line}");
    server.stop();
}
