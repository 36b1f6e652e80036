//! What attackers and accidents send.

use crate::app::{Client as _, Form, Setup, tarball, wheel};
use registry_core::testing::archives::{gzip, zip};

const METADATA: &str = "Metadata-Version: 2.1\nName: foo\nVersion: 1.0\n";

#[tokio::test]
async fn checklist_42_bad_wheels_are_refused() {
    let app = Setup::new().build();
    let form = Form::wheel("foo", "1.0");
    let with = |more: &[(&str, &[u8])]| wheel("foo-1.0", METADATA, more);
    let good = with(&[]);
    let mut trailing = good.clone();
    trailing.extend_from_slice(b"more");
    let mut prepended = b"#!/bin/sh\n".to_vec();
    prepended.extend_from_slice(&good);
    let mut disagreeing = good.clone();
    // The first local header's name.
    disagreeing[30] = b'n';
    for (bytes, words) in [
        (b"nonsense".to_vec(), "malformed"),
        (Vec::new(), "malformed"),
        (good[..good.len() - 1].to_vec(), "malformed"),
        (trailing, ""),
        (prepended, ""),
        (disagreeing, ""),
        (with(&[("../x", b"")]), "x"),
        (with(&[("/x", b"")]), "x"),
        (with(&[("a\\b", b"")]), ""),
        (with(&[("m.py", b"")]), "m.py"),
        (with(&[("M.PY", b"")]), "M.PY"),
        (with(&[("bar-1.0.dist-info/METADATA", b"")]), "dist-info"),
        (zip(&[("m.py", b"x")]), ""),
        (zip(&[("foo-1.0.dist-info/METADATA", METADATA.as_bytes())]), "WHEEL"),
        (wheel("foo-1.0", "no metadata", &[]), "not a header"),
        (wheel("foo-1.0", "Metadata-Version: 3.0\nName: foo\nVersion: 1.0\n", &[]), "not known"),
        (wheel("foo-1.0", &"x".repeat((1 << 20) + 1), &[]), "larger"),
        (tarball(&[("foo-1.0/PKG-INFO", METADATA.as_bytes())]), "malformed"),
    ] {
        app.refused(&form.clone().bytes(bytes), 400, words).await;
    }
    app.upload(&form).await;
}

#[tokio::test]
async fn checklist_42_bad_source_distributions_are_refused() {
    let app = Setup::new().build();
    let form = Form::sdist("foo", "1.0", "");
    let info: (&str, &[u8]) = ("foo-1.0/PKG-INFO", METADATA.as_bytes());
    for (bytes, words) in [
        (b"nonsense".to_vec(), "malformed"),
        (Vec::new(), ""),
        (gzip(b"short"), ""),
        (tarball(&[("foo-1.0/x", b"")]), "PKG-INFO"),
        (tarball(&[info, ("../x", b"")]), ""),
        (tarball(&[info, ("/x", b"")]), ""),
        (tarball(&[info, ("bar-1.0/x", b"")]), "one folder"),
        (tarball(&[info, ("x", b"")]), "one folder"),
        (tarball(&[info, info]), "one file"),
        (tarball(&[("bar-1.0/PKG-INFO", METADATA.as_bytes())]), "one folder"),
        (
            tarball(&[("foo-1.0/PKG-INFO", b"Metadata-Version: 2.1\nName: bar\nVersion: 1.0\n")]),
            "of the project",
        ),
        (wheel("foo-1.0", METADATA, &[]), "malformed"),
    ] {
        app.refused(&form.clone().bytes(bytes), 400, words).await;
    }
    app.upload(&form).await;
}

#[tokio::test]
async fn checklist_41_bombs_are_refused() {
    let mut setup = Setup::new();
    setup.config.max_unpacked_bytes = 1 << 20;
    setup.config.max_entries = 10;
    let app = setup.build();
    let zeros = vec![0; 2 << 20];
    let sdist = tarball(&[("foo-1.0/PKG-INFO", METADATA.as_bytes()), ("foo-1.0/x", &zeros)]);
    app.refused(&Form::sdist("foo", "1.0", "").bytes(sdist), 400, "unpacks to more").await;
    let large = wheel("foo-1.0", METADATA, &[("x", &zeros)]);
    app.refused(&Form::wheel("foo", "1.0").bytes(large), 400, "unpacks to more").await;
    let names: Vec<String> = (0..11).map(|n| format!("x{n}")).collect();
    let files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b""[..])).collect();
    app.refused(&Form::wheel("foo", "1.0").bytes(wheel("foo-1.0", METADATA, &files)), 400, "more than 10")
        .await;
    // 80 MiB of zeros in 80 KiB.
    let app = Setup::new().build();
    let bomb = tarball(&[("foo-1.0/PKG-INFO", METADATA.as_bytes()), ("foo-1.0/x", &vec![0; 80 << 20])]);
    app.refused(&Form::sdist("foo", "1.0", "").bytes(bomb), 400, "times its size").await;
}

#[tokio::test]
async fn checklist_40_what_is_too_large_is_cut_off() {
    let mut setup = Setup::new();
    setup.config.max_file_bytes = 100;
    let app = setup.build();
    app.refused(&Form::wheel("foo", "1.0"), 413, "100").await;
    app.refused(&Form::sdist("foo", "1.0", ""), 413, "100").await;
    let app = Setup::new().build();
    app.refused(&Form::wheel("foo", "1.0").and("description", &"x".repeat(5 << 20)), 413, "fields").await;
    let many = (0..5001).fold(Form::wheel("foo", "1.0"), |form, _| form.and("classifiers", ""));
    app.refused(&many, 413, "parts").await;
}

#[tokio::test]
async fn checklist_43_bad_file_names_write_nothing() {
    let app = Setup::new().build();
    let form = Form::wheel("foo", "1.0");
    for name in [
        "../foo-1.0.tar.gz",
        "a/foo-1.0.tar.gz",
        "..",
        ".foo-1.0.tar.gz",
        "foo-1.0.egg",
        "f\u{f6}o-1.0.tar.gz",
        "",
    ] {
        app.refused(&form.clone().named(name), 400, "").await;
    }
}

#[tokio::test]
async fn checklist_46_nothing_is_injected_into_an_answer() {
    let app = Setup::new().build();
    let reply = app.post(&Form::wheel("foo", "1.0").set("name", Some("a\r\nX-Evil: 1")), "alice-token").await;
    assert_eq!(reply.status, 400);
    assert!(reply.headers.get("x-evil").is_none());
    assert!(!reply.reason.unwrap().contains(['\r', '\n']));
    let query = app.get("/simple?a=%0d%0aX-Evil:%201").await.expect(301);
    assert_eq!(query.header("location"), Some("/simple/?a=%0d%0aX-Evil:%201"));
}

#[tokio::test]
async fn a_form_that_breaks_off_leaves_nothing() {
    let app = Setup::new().build();
    let body = Form::wheel("foo", "1.0").body();
    for length in (0..body.len() - 8).step_by(97) {
        let ask = app.ask("POST", "/pypi/").token("alice-token");
        let ask = ask.header("content-type", "multipart/form-data; boundary=XYZ");
        let reply = ask.body(body[..length].to_vec()).send().await;
        assert_eq!(reply.status, 400, "{length}: {}", reply.text());
    }
    assert!(app.objects().await.is_empty());
}
