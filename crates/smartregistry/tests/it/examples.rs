//! The examples, run as somebody would who tries them.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

/// The built example: `cargo test` builds them beside the tests.
fn example(name: &str) -> Command {
    let own = std::env::current_exe().unwrap();
    let profile = own.parent().and_then(|deps| deps.parent()).unwrap();
    let built: PathBuf = profile.join("examples").join(name);
    assert!(built.exists(), "{} is not built: run all of `cargo test -p smartregistry`", built.display());
    Command::new(built)
}

fn printed(name: &str) -> String {
    let output = example(name).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[test]
fn npm_only_answers_in_memory() {
    let expect = "ping: 200 OK\nwhoami: 200 OK\na package that is not there: 404 Not Found\n";
    assert_eq!(printed("npm_only"), expect);
}

#[test]
fn cargo_only_answers_in_memory() {
    let text = printed("cargo_only");
    let lines: Vec<&str> = text.lines().collect();
    assert!(
        lines[0].starts_with("what cargo reads first: 200 OK {")
            && lines[0].contains(r#""dl":"http://registry.example.com/cargo/api/v1/crates""#),
        "{text}"
    );
    assert!(lines[1].starts_with("a crate that is not there: 404 Not Found {"), "{text}");
    assert!(
        lines[2].starts_with("deleting: 403 Forbidden {") && lines[2].contains("yank the version"),
        "{text}"
    );
    assert_eq!(lines.len(), 3, "{text}");
}

#[test]
fn composer_only_answers_in_memory() {
    let expect = "where everything is: 200 OK\na name that belongs here: 200 OK\na name that does not: 404 Not Found\n";
    assert_eq!(printed("composer_only"), expect);
}

#[test]
fn maven_only_answers_in_memory() {
    let expect = "deploying a POM: 201 Created\nits SHA-1: 200 OK\nthe versions: <version>1.0</version>\nother bytes for it: 409 Conflict\n";
    assert_eq!(printed("maven_only"), expect);
}

#[test]
fn pypi_only_answers_in_memory() {
    let expect = "all projects: 200 OK {\"meta\":{\"api-version\":\"1.4\"},\"projects\":[]}\n\
                  one that is not there: 404 Not Found there is no such project\n\
                  an upload without a file: 400 Bad Request the form has no file in \"content\"\n";
    assert_eq!(printed("pypi_only"), expect);
}

#[test]
fn rubygems_only_answers_in_memory() {
    let expect = "Successfully registered gem: hello (1.0.0)\nGem was already pushed: hello (1.0.0)\n\
                  its line in the index: 1.0.0 |checksum:\nSuccessfully deleted gem: hello (1.0.0)\n";
    assert_eq!(printed("rubygems_only"), expect);
}

#[test]
fn custom_auth_follows_organisations_audits_and_limits() {
    let text = printed("custom_auth");
    for line in [
        "a blob of her organisation's: 201 Created",
        "a blob that is too large: 403 Forbidden",
        "a blob of somebody else's: 403 Forbidden",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is missing in\n{text}");
    }
    let audited: Vec<&str> = text.lines().filter(|line| line.starts_with("audit: ")).collect();
    assert!(!audited.is_empty() && audited.iter().all(|l| l.starts_with("audit: acme/alice put ")), "{text}");
}

#[test]
fn axum_serves_its_own_routes_and_the_registries() {
    let mut child = example("axum").arg("127.0.0.1:0").stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim_end().strip_prefix("listening on http://").unwrap_or_default().to_owned();
    let get = |path: &str| {
        let mut stream = TcpStream::connect(&address)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        std::io::Result::Ok(answer)
    };
    let answers = ["/hello", "/npm/-/ping", "/v2/"].map(get);
    child.kill().unwrap();
    child.wait().unwrap();
    let [hello, ping, v2] = answers.map(Result::unwrap);
    assert!(hello.starts_with("HTTP/1.1 200") && hello.ends_with("hello"), "{hello}");
    assert!(ping.starts_with("HTTP/1.1 200"), "{ping}");
    assert!(v2.starts_with("HTTP/1.1 401") && v2.contains(&format!("http://{address}/v2/token")), "{v2}");
}
