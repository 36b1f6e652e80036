//! Proxies, slow clients and TLS.

use std::{
    io::{Read, Write},
    time::{Duration, Instant},
};

use crate::harness::{ADMIN, Answer, Place};

#[test]
fn only_trusted_proxies_say_where_clients_are() {
    let forwarded = [
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "registry.example.com"),
        ("x-forwarded-for", "192.0.2.7"),
        ("x-request-id", "forwarded"),
    ];
    for (config, url, client) in [
        ("trusted_proxies = ['127.0.0.0/8']", "https://registry.example.com/v2/token", "192.0.2.7"),
        ("", "http://127.0.0.1:", "127.0.0.1"),
    ] {
        let place = Place::new(config);
        let server = place.serve();
        let answer = server.request("GET", "/v2/", &forwarded, "");
        let challenge = answer.header("www-authenticate").unwrap();
        assert!(challenge.contains(url), "{challenge}");
        let line = server.wait_for_line(|line| line.contains("forwarded"));
        assert!(line.contains(&format!("\"client\":\"{client}\"")), "{line}");
        server.stop();
    }
}

#[test]
fn a_public_url_stands_in_what_clients_are_given() {
    let place = Place::new(
        "public_url = 'https://registry.example.com'\n[npm]\nregistry_url = 'https://npm.example.com/npm'",
    );
    let server = place.serve();
    let challenge = server.get("/v2/");
    assert!(challenge.header("www-authenticate").unwrap().contains("https://registry.example.com/v2/token"));
    let page = server.get("/").body;
    assert!(page.contains("https://npm.example.com/npm"), "{page}");
    server.stop();
}

#[test]
fn a_slow_honest_upload_survives_and_a_slowloris_does_not() {
    let place = Place::new("[limits]\nheader_timeout = '1s'\nbody_timeout = '1s'");
    let server = place.serve();
    let mut slowloris = server.connect();
    slowloris.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n").unwrap();
    let mut honest = server.connect();
    let body = " ".repeat(12 << 10);
    let head = server.head("PUT", "/npm/lib", &[("authorization", &format!("Bearer {ADMIN}"))], body.len());
    honest.write_all(head.as_bytes()).unwrap();
    let began = Instant::now();
    // Three times as long as every timeout in all.
    for piece in body.as_bytes().chunks(1 << 10) {
        std::thread::sleep(Duration::from_millis(250));
        honest.write_all(piece).unwrap();
        // Half of these fail, once the server has had enough.
        let _ = slowloris.write_all(b"x: y\r\n");
    }
    let answer = Answer::read(honest);
    assert_eq!(answer.status, 400, "{answer:?}");
    assert!(began.elapsed() > Duration::from_secs(3));
    let mut rest = Vec::new();
    // Closed or reset: both end it.
    let ended = slowloris.read_to_end(&mut rest);
    assert!(rest.is_empty() || ended.is_err(), "{}", String::from_utf8_lossy(&rest));
    server.stop();
}

#[test]
fn odd_requests_get_an_answer_and_hurt_nothing() {
    let place = Place::new("");
    let server = place.serve();
    for request in [
        &b"GET\r\n\r\n"[..],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/9.9\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        b"CONNECT example.com:443 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        b"GET http://user:pass@x/npm/ HTTP/1.1\r\nhost: y\r\nconnection: close\r\n\r\n",
        b"GET /npm/%00%ff%2e%2e HTTP/1.1\r\nhost: y\r\nconnection: close\r\n\r\n",
        b"GET /v2/../../etc/passwd HTTP/1.1\r\nhost: y\r\nconnection: close\r\n\r\n",
        b"GET /npm/x HTTP/1.1\r\nhost: \"<script>\r\nconnection: close\r\n\r\n",
        b"PUT /npm/x HTTP/1.1\r\nhost: y\r\ncontent-length: 99999999999999999999\r\n\r\n",
        b"PUT /npm/x HTTP/1.1\r\nhost: y\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ] {
        let mut stream = server.connect();
        stream.write_all(request).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        // A reset is an answer too.
        let _ = stream.read_to_end(&mut answer);
        let text = String::from_utf8_lossy(&answer).into_owned();
        assert!(text.is_empty() || text.starts_with("HTTP/1."), "{text}");
        assert!(!text.starts_with("HTTP/1.1 5"), "{text}");
    }
    assert_eq!(server.get("/healthz").status, 200);
    server.stop();
}
