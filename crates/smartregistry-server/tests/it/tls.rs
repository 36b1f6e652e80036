//! TLS by the server itself. The certificates under `tls/` are for these tests alone.

use std::{
    io::{Read, Write},
    sync::Arc,
};

use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};

use crate::harness::{Answer, Place, Server};

const CERT: &str = include_str!("tls/cert.pem");
const KEY: &str = include_str!("tls/key.pem");
const OTHER_CERT: &str = include_str!("tls/other-cert.pem");
const OTHER_KEY: &str = include_str!("tls/other-key.pem");

fn place() -> Place {
    let place = Place::new("[tls]\ncert = 'cert.pem'\nkey = 'key.pem'");
    place.write("cert.pem", CERT);
    place.write("key.pem", KEY);
    place
}

/// Asks over TLS, trusting one certificate; `None` where the handshake fails.
fn ask(server: &Server, trusted: &str, protocol: &str, request: &str) -> Option<(Option<String>, String)> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(trusted.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = StreamOwned::new(connection, server.connect());
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    // HTTP/1 servers may close without a goodbye of TLS.
    let _ = stream.read_to_end(&mut answer);
    let agreed = stream.conn.alpn_protocol().map(|p| String::from_utf8_lossy(p).into_owned());
    Some((agreed, String::from_utf8_lossy(&answer).into_owned()))
}

#[test]
fn https_serves_and_gives_https_urls() {
    let place = place();
    let server = place.serve();
    assert!(server.lines().iter().any(|line| line == &format!("listening on https://{}", server.address)));
    let request = server.head("GET", "/v2/", &[], 0);
    let (agreed, answer) = ask(&server, CERT, "http/1.1", &request).unwrap();
    assert_eq!(agreed.as_deref(), Some("http/1.1"));
    let answer = Answer::read(answer.as_bytes());
    assert_eq!(answer.status, 401);
    let challenge = answer.header("www-authenticate").unwrap();
    assert!(challenge.contains(&format!("https://{}/v2/token", server.address)), "{challenge}");
    server.stop();
}

#[test]
fn http_2_is_offered() {
    let place = place();
    let server = place.serve();
    // The opening words of HTTP/2 with an empty SETTINGS frame, and then the end: the server's SETTINGS come back.
    let request =
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0\0\0\u{8}\u{7}\0\0\0\0\0\0\0\0\0\0\0\0";
    let (agreed, answer) = ask(&server, CERT, "h2", request).unwrap();
    assert_eq!(agreed.as_deref(), Some("h2"));
    assert_eq!(answer.as_bytes().get(3), Some(&4), "a SETTINGS frame: {answer:?}");
    server.stop();
}

#[test]
fn a_reload_takes_a_new_certificate_and_refuses_a_broken_one() {
    let place = place();
    let server = place.serve();
    let request = server.head("GET", "/healthz", &[], 0);
    assert!(ask(&server, OTHER_CERT, "http/1.1", &request).is_none());

    place.write("cert.pem", OTHER_CERT);
    server.signal("HUP");
    server.wait_for_line(|line| line.contains("is refused"));
    assert!(ask(&server, CERT, "http/1.1", &request).unwrap().1.contains("200 OK"));

    place.write("key.pem", OTHER_KEY);
    server.signal("HUP");
    server.wait_for_line(|line| line.contains("the configuration was read again"));
    assert!(ask(&server, OTHER_CERT, "http/1.1", &request).unwrap().1.contains("200 OK"));
    server.stop();
}

#[test]
fn clients_that_speak_no_tls_are_only_closed() {
    let place = place();
    let server = place.serve();
    let mut stream = server.connect();
    stream.write_all(server.head("GET", "/healthz", &[], 0).as_bytes()).unwrap();
    let mut answer = Vec::new();
    // Closed or reset: both say no.
    let _ = stream.read_to_end(&mut answer);
    assert!(!String::from_utf8_lossy(&answer).contains("200"));
    server.stop();
}
