//! The compact index, as Bundler's updater uses it.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use md5::{Digest as _, Md5};
use sha2::Sha256;

use crate::app::{App, Build, Client, Reply, Setup};

fn etag(body: &[u8]) -> String {
    format!("\"{}\"", hex::encode(Md5::digest(body)))
}

async fn ask(app: &App, path: &str, headers: &[(&str, &str)]) -> Reply {
    let mut ask = app.ask("GET", path).token("alice-token");
    for (name, value) in headers {
        ask = ask.header(name, value);
    }
    ask.send().await
}

async fn filled() -> App {
    let app = Setup::new().build();
    for n in 0..30 {
        app.push(&Build::new("a", &format!("1.{n}")).needs("rack", &[(">=", "1.0")])).await;
    }
    app.push(&Build::new("b", "1.0")).await;
    app
}

#[tokio::test]
async fn checklist_4_5_digests_are_of_the_whole_file_in_every_form() {
    let app = filled().await;
    for path in ["/versions", "/names", "/info/a", "/info/b"] {
        let plain = app.get(path).await.expect(200);
        let sha256 = STANDARD.encode(Sha256::digest(&plain.body));
        let check = |reply: &Reply| {
            assert_eq!(reply.header("etag"), Some(&*etag(&plain.body)), "{path}");
            assert_eq!(reply.header("repr-digest"), Some(&*format!("sha-256=:{sha256}:")), "{path}");
            assert_eq!(reply.header("digest"), Some(&*format!("sha-256={sha256}")), "{path}");
        };
        check(&plain);
        assert_eq!(plain.header("accept-ranges"), Some("bytes"));
        assert_eq!(plain.header("content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!(plain.header("cache-control"), Some("private, no-cache"));
        assert!(plain.header("vary").unwrap().contains("Accept-Encoding"));
        let part = ask(&app, path, &[("range", "bytes=3-5")]).await.expect(206);
        check(&part);
        assert_eq!(part.body, plain.body[3..6]);
        let held = ask(&app, path, &[("if-none-match", &etag(&plain.body))]).await.expect(304);
        check(&held);
        assert!(held.body.is_empty());
        let packed = ask(&app, path, &[("accept-encoding", "gzip")]).await.expect(200);
        check(&packed);
        if packed.header("content-encoding") == Some("gzip") {
            let mut unpacked = Vec::new();
            std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&*packed.body), &mut unpacked)
                .unwrap();
            assert_eq!(unpacked, plain.body, "{path}");
        } else {
            assert_eq!(packed.body, plain.body, "{path}");
        }
        let ranged =
            ask(&app, path, &[("accept-encoding", "gzip"), ("range", "bytes=3-5")]).await.expect(206);
        assert_eq!((ranged.header("content-encoding"), &ranged.body), (None, &part.body));
        let head = app.ask("HEAD", path).token("alice-token").send().await.expect(200);
        check(&head);
        assert_eq!(head.header("content-length"), Some(&*plain.body.len().to_string()));
    }
    let packed = ask(&app, "/info/a", &[("accept-encoding", "gzip")]).await;
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
}

#[tokio::test]
async fn checklist_8_9_10_11_bundlers_updates_are_tails() {
    let app = filled().await;
    let mut held = app.get("/versions").await.body.to_vec();
    for change in 0..4 {
        let stale = etag(&held);
        if change == 2 {
            app.yank("a", "1.3", "alice-token").await.expect(200);
        } else {
            app.push(&Build::new("c", &format!("{change}.0"))).await;
        }
        let range = format!("bytes={}-", held.len() - 1);
        let update =
            ask(&app, "/versions", &[("range", &range), ("if-none-match", &stale)]).await.expect(206);
        assert_eq!(update.body[0], *held.last().unwrap());
        assert!(update.body.len() < 100, "{}", update.text());
        held.extend_from_slice(&update.body[1..]);
        assert_eq!(update.header("etag"), Some(&*etag(&held)));
        assert_eq!(app.get("/versions").await.body, held);
        // What is current is not sent again, whatever range is asked for.
        let range = format!("bytes={}-", held.len() - 1);
        ask(&app, "/versions", &[("range", &range), ("if-none-match", &etag(&held))]).await.expect(304);
        let weak = format!("\"x\", W/{}", etag(&held));
        ask(&app, "/versions", &[("if-none-match", &weak)]).await.expect(304);
    }
    let past = ask(&app, "/versions", &[("range", &format!("bytes={}-", held.len()))]).await.expect(416);
    assert_eq!(past.header("content-range"), Some(&*format!("bytes */{}", held.len())));
    app.check_index().await;
}

#[tokio::test]
async fn checklist_16_17_an_empty_registry_is_valid() {
    let app = Setup::new().build();
    for path in ["", "/"] {
        let head = app.ask("HEAD", path).token("alice-token").send().await.expect(200);
        assert!(head.header("content-length").is_some() && head.body.is_empty());
    }
    let versions = app.text("/versions").await;
    assert!(versions.starts_with("created_at: ") && versions.ends_with("Z\n---\n"), "{versions}");
    assert_eq!(app.text("/names").await, "---\n");
    app.get("/info/a").await.expect(404);
    app.get("/gems/a-1.0.gem").await.expect(404);
    // It is the same file each time.
    assert_eq!(app.text("/versions").await, versions);
}

#[tokio::test]
async fn checklist_32_39_what_is_no_name_is_not_there() {
    let app = filled().await;
    for path in [
        "/info/..%2f",
        "/info/%2e%2e",
        "/info/-a",
        "/info/a%20b",
        "/gems/../x.gem",
        "/gems/%2e%2e%2fx-1.gem",
        "/gems/a%00-1.gem",
        "/gems/a%5c-1.gem",
        "/gems/a-1.99.gem",
        "/gems/a.gem",
        "/quick/Marshal.4.8/a.gemspec.rz",
        "/quick/Marshal.4.7/b-1.0.gemspec.rz",
        "/other",
        "/api/v1/other",
        "/api/v1/webauthn_verification",
    ] {
        app.get(path).await.expect(404);
    }
    app.get("/info/%62").await.expect(200);
    app.get("/gems/b-1%2E0.gem").await.expect(200);
    app.ask("POST", "/versions").token("alice-token").send().await.expect(405);
    let refused = app.ask("DELETE", "/info/a").token("alice-token").send().await.expect(405);
    assert_eq!(refused.header("allow"), Some("GET, HEAD"));
}

#[tokio::test]
async fn checklist_2_29_files_answer_heads_ranges_and_conditions() {
    let app = filled().await;
    let bytes = Build::new("b", "1.0").bytes();
    let path = "/gems/b-1.0.gem";
    let head = app.ask("HEAD", path).token("alice-token").send().await.expect(200);
    assert_eq!(head.header("content-length"), Some(&*bytes.len().to_string()));
    let tag = head.header("etag").unwrap();
    ask(&app, path, &[("if-none-match", tag)]).await.expect(304);
    let part = ask(&app, path, &[("range", "bytes=10-19")]).await.expect(206);
    assert_eq!(part.body, bytes[10..20]);
    assert_eq!(part.header("content-encoding"), None);
    let packed = ask(&app, path, &[("accept-encoding", "gzip")]).await.expect(200);
    assert_eq!(packed.header("content-encoding"), None);
    let quick =
        ask(&app, "/quick/Marshal.4.8/b-1.0.gemspec.rz", &[("accept-encoding", "gzip")]).await.expect(200);
    assert_eq!(quick.header("content-encoding"), None);
}
