//! `specs.4.8.gz` and its sisters.

use std::{io::Read as _, time::Duration};

use crate::app::{App, Build, Client, Setup};

async fn list(app: &App, path: &str) -> Vec<u8> {
    let reply = app.get(path).await.expect(200);
    assert_eq!(reply.header("content-encoding"), None);
    assert_eq!(reply.header("content-type"), Some("application/octet-stream"));
    if path.strip_suffix(".gz").is_none() {
        return reply.body.to_vec();
    }
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(&*reply.body).read_to_end(&mut unpacked).unwrap();
    unpacked
}

/// Whether a list has a version: its text is there once, behind its name.
fn has(list: &[u8], name: &str, version: &str) -> bool {
    let text: String = list.iter().map(|byte| char::from(*byte)).collect();
    text.split("[\u{8}I").any(|entry| {
        entry.contains(name)
            && entry.contains(&format!(
                "[\u{6}I\"{}{version}\u{6}",
                char::from(u8::try_from(version.len() + 5).unwrap())
            ))
    })
}

#[tokio::test]
async fn checklist_14_16_empty_lists_are_valid() {
    let app = Setup::new().build();
    for name in ["specs.4.8", "latest_specs.4.8", "prerelease_specs.4.8"] {
        assert_eq!(list(&app, &format!("/{name}.gz")).await, b"\x04\x08[\x00");
        assert_eq!(list(&app, &format!("/{name}")).await, b"\x04\x08[\x00");
    }
}

#[tokio::test]
async fn checklist_28_29_versions_are_in_their_lists() {
    let app = Setup::new().build();
    for version in ["1.9", "1.10", "2.0.rc1"] {
        app.push(&Build::new("a", version)).await;
    }
    let (all, latest, pre) = (
        list(&app, "/specs.4.8.gz").await,
        list(&app, "/latest_specs.4.8.gz").await,
        list(&app, "/prerelease_specs.4.8.gz").await,
    );
    assert!(has(&all, "a", "1.9") && has(&all, "a", "1.10") && !has(&all, "a", "2.0.rc1"));
    assert!(!has(&latest, "a", "1.9") && has(&latest, "a", "1.10") && !has(&latest, "a", "2.0.rc1"));
    assert!(!has(&pre, "a", "1.10") && has(&pre, "a", "2.0.rc1"));
    app.yank("a", "1.10", "alice-token").await.expect(200);
    assert!(has(&list(&app, "/latest_specs.4.8.gz").await, "a", "1.9"));
    assert!(!has(&list(&app, "/specs.4.8").await, "a", "1.10"));
}

#[tokio::test]
async fn checklist_60_two_pushes_in_one_second_are_both_seen() {
    let app = Setup::new().build();
    let mut seen = Vec::new();
    for version in ["1", "2", "3"] {
        app.push(&Build::new("a", version)).await;
        let reply = app.get("/specs.4.8.gz").await.expect(200);
        let modified = reply.header("last-modified").unwrap().to_owned();
        let since = |time: String| {
            let app = &app;
            async move {
                let ask =
                    app.ask("GET", "/specs.4.8.gz").token("alice-token").header("if-modified-since", &time);
                ask.send().await
            }
        };
        for old in &seen {
            let old: &String = old;
            assert_eq!(since(old.clone()).await.status, 200, "{old}");
        }
        since(modified.clone()).await.expect(304);
        seen.push(modified);
    }
    // Later pushes have the time of the clock again.
    app.clock.advance(Duration::from_mins(5));
    app.push(&Build::new("a", "4")).await;
    let modified = app.get("/specs.4.8.gz").await;
    assert_eq!(modified.header("last-modified"), Some("Wed, 04 Mar 2026 05:11:08 GMT"));
}
