//! Uploading.

use crate::app::{App, Client as _, Form, Setup, WithForm as _, wheel};

fn app() -> App {
    Setup::new().build()
}

#[tokio::test]
async fn checklist_2_both_roots_take_both_slash_forms() {
    for (path, version) in
        [("/pypi", "1.0"), ("/pypi/", "1.1"), ("/pypi/legacy", "1.2"), ("/pypi/legacy/", "1.3")]
    {
        let app = app();
        let form = Form::wheel("foo", version);
        app.ask("POST", path).basic("__token__", "alice-token").form(&form).send().await.expect(200);
        assert_eq!(app.page("foo").await["versions"][0], version);
    }
    let mut setup = Setup::new();
    setup.bases = &["/team"];
    let app = setup.build();
    for (path, version) in [("/team/", "1.0"), ("/team/legacy/", "1.1")] {
        app.ask("POST", path)
            .token("alice-token")
            .form(&Form::wheel("foo", version))
            .send()
            .await
            .expect(200);
    }
    app.get("/team/simple/foo/").await.expect(200);
    app.get("/team/simple/foo/foo-1.0-py3-none-any.whl").await.expect(200);
    let json = app.get("/team/foo/json").await.expect(200).json();
    assert_eq!(
        json["urls"][0]["url"],
        "http://registry.example.com/team/simple/foo/foo-1.1-py3-none-any.whl"
    );
}

#[tokio::test]
async fn checklist_7_the_same_again_is_a_success_and_other_bytes_are_not() {
    let app = app();
    let form = Form::wheel("foo", "1.0");
    app.upload(&form).await;
    let before = app.objects().await;
    assert_eq!(before.len(), 3, "{before:?}");
    app.upload(&form).await;
    assert_eq!(app.objects().await, before);
    let other = wheel("foo-1.0", "Metadata-Version: 2.1\nName: foo\nVersion: 1.0\n", &[("n.py", b"y")]);
    let reply = app.post(&form.clone().bytes(other), "alice-token").await.expect(400);
    assert!(reply.text().starts_with("File already exists"), "{}", reply.text());
    assert!(reply.reason.unwrap().starts_with("File already exists"));
    // It need not even be an archive.
    app.refused(&form.clone().bytes(b"nonsense".to_vec()), 400, "File already exists").await;
    assert_eq!(app.objects().await, before);
    assert_eq!(app.get("/simple/foo/foo-1.0-py3-none-any.whl").await.expect(200).body, form.content());
}

#[tokio::test]
async fn checklist_8_wrong_digests_are_refused_and_burn_nothing() {
    let app = app();
    for first in [false, true] {
        for (field, length) in [("sha256_digest", 64), ("blake2_256_digest", 64), ("md5_digest", 32)] {
            let mut form = Form::wheel("foo", "1.0").set(field, Some(&"0".repeat(length)));
            form.content_first = first;
            app.refused(&form, 400, "does not match").await;
        }
    }
    let none = Form::wheel("foo", "1.0").set("sha256_digest", None).set("blake2_256_digest", None);
    app.refused(&none, 400, "digest").await;
    app.refused(&Form::wheel("foo", "1.0").set("md5_digest", Some("zz")), 400, "hexadecimal").await;
    app.upload(&Form::wheel("foo", "1.0")).await;
}

#[tokio::test]
async fn checklist_9_all_spellings_are_one_project() {
    let app = app();
    app.upload(&Form::wheel("Foo.Bar", "1.0")).await;
    app.upload(&Form::wheel("foo_bar", "1.1")).await;
    app.upload(&Form::wheel("FOO-bar", "1.2")).await;
    let page = app.page("foo-bar").await;
    assert_eq!(page["versions"], serde_json::json!(["1.0", "1.1", "1.2"]));
    assert_eq!(page["name"], "foo-bar");
    for other in ["Foo.Bar", "foo_bar", "FOO--bar"] {
        let reply = app.get(&format!("/simple/{other}/?a=b")).await.expect(301);
        assert_eq!(reply.header("location"), Some("/simple/foo-bar/?a=b"));
    }
    assert_eq!(app.get("/pypi/foo-bar/json").await.json()["info"]["name"], "FOO-bar");
}

#[tokio::test]
async fn checklist_15_a_wheel_of_another_project_or_version_is_refused() {
    let app = app();
    let of = |name: &str, version: &str| {
        let metadata = format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n");
        Form::wheel("foo", "1.0").bytes(wheel("foo-1.0", &metadata, &[]))
    };
    app.refused(&of("bar", "1.0"), 400, "of the project").await;
    app.refused(&of("foo", "2.0"), 400, "of the version").await;
    app.refused(&Form::wheel("foo", "1.0").set("name", Some("bar")), 400, "not of the project").await;
    app.refused(&Form::wheel("foo", "1.0").set("version", Some("2")), 400, "not of the version").await;
    let inside = wheel("bar-1.0", "Metadata-Version: 2.1\nName: foo\nVersion: 1.0\n", &[]);
    app.refused(&Form::wheel("foo", "1.0").bytes(inside), 400, "dist-info").await;
    app.refused(&Form::wheel("foo", "1.0").named("bar-1.0-py3-none-any.whl"), 400, "dist-info").await;
    // Another spelling of the same version is the same.
    app.upload(&of("Foo", "1.0.0").set("version", Some("v1"))).await;
}

#[tokio::test]
async fn checklist_30_parts_come_in_any_order_without_types_and_in_pieces() {
    let app = app();
    let mut form = Form::wheel("foo", "1.0").and("attestations", "[{}]").and("unheard_of", "x");
    form.content_first = true;
    form.content_type = false;
    let pieces: Vec<_> = form
        .body()
        .chunks(7)
        .map(|piece| Ok::<_, std::io::Error>(bytes::Bytes::copy_from_slice(piece)))
        .collect();
    let body = registry_core::Body::from_stream(futures_util::stream::iter(pieces));
    let ask = app.ask("POST", "/pypi/").token("alice-token");
    ask.header("content-type", "multipart/form-data; boundary=XYZ").body(body).send().await.expect(200);
    assert_eq!(app.get("/simple/foo/foo-1.0-py3-none-any.whl").await.expect(200).body, form.content());
}

#[tokio::test]
async fn checklist_32_other_actions_and_forms_without_a_file() {
    let app = app();
    let form = Form::wheel("foo", "1.0");
    app.refused(&form.clone().set(":action", Some("submit")), 410, "file_upload").await;
    app.refused(&form.clone().set(":action", Some("dance")), 400, "file_upload").await;
    app.refused(&form.clone().set(":action", None), 400, "file_upload").await;
    app.refused(&form.clone().set("protocol_version", Some("2")), 400, "Unknown protocol version.").await;
    app.refused(&form.clone().set("filetype", Some("bdist_egg")), 400, "filetype").await;
    app.refused(&form.clone().set("name", None), 400, "\"name\"").await;
    app.refused(&form.clone().set("version", Some("UNKNOWN")), 400, "\"version\"").await;
    app.refused(&form.clone().and("summary", "a").and("summary", "b"), 400, "invalid data").await;
    app.refused(&form.clone().set("metadata_version", Some("3.0")), 400, "metadata_version").await;
    app.refused(&Form { file: None, ..form.clone() }, 400, "content").await;
    let ask = app.ask("POST", "/pypi/?:action=file_upload").token("alice-token");
    ask.form(&form.clone().set(":action", None)).send().await.expect(200);
    let ask = app.ask("POST", "/pypi/").token("alice-token").header("content-type", "application/json");
    ask.body("{}").send().await.expect(415);
}

#[tokio::test]
async fn checklist_33_errors_are_json_for_who_asks() {
    let app = app();
    let form = Form::wheel("foo", "1.0").set("protocol_version", Some("2"));
    let accept = "application/json;q=0.9, text/plain;q=0.8, text/html;q=0.7";
    let reply =
        app.ask("POST", "/pypi/").token("alice-token").header("accept", accept).form(&form).send().await;
    assert_eq!(reply.header("content-type"), Some("application/json"));
    let body = reply.json();
    assert_eq!(body["code"], "400 Unknown protocol version.");
    assert_eq!(body["message"], "Unknown protocol version.");
    assert_eq!(reply.reason.as_deref(), Some("Unknown protocol version."));
    let reply = app.post(&form, "alice-token").await;
    assert_eq!(reply.header("content-type"), Some("text/plain; charset=utf-8"));
}

#[tokio::test(flavor = "multi_thread")]
async fn checklist_36_one_of_many_uploads_of_a_name_wins() {
    let app = app();
    let forms: Vec<Form> = (0..20_u8)
        .map(|n| {
            let metadata = "Metadata-Version: 2.1\nName: foo\nVersion: 1.0\n";
            Form::wheel("foo", "1.0").bytes(wheel("foo-1.0", metadata, &[("n.py", &[n])]))
        })
        .collect();
    let replies =
        futures_util::future::join_all(forms.iter().map(|form| app.post(form, "alice-token"))).await;
    let winners: Vec<usize> = (0..20).filter(|n| replies[*n].status == 200).collect();
    assert_eq!(winners.len(), 1);
    for reply in replies.iter().filter(|reply| reply.status != 200) {
        assert!(reply.text().starts_with("File already exists"), "{}", reply.text());
    }
    let served = app.get("/simple/foo/foo-1.0-py3-none-any.whl").await.expect(200).body;
    assert_eq!(served, forms[winners[0]].content());
    assert_eq!(app.objects().await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn checklist_37_many_first_uploads_all_end_in_one_project() {
    let app = app();
    let forms: Vec<Form> = (0..20).map(|n| Form::wheel("foo", &format!("1.{n}"))).collect();
    let tokens = ["alice-token", "writer-token"];
    let sent = forms.iter().zip(tokens.iter().cycle()).map(|(form, token)| app.post(form, token));
    for reply in futures_util::future::join_all(sent).await {
        reply.expect(200);
    }
    assert_eq!(app.page("foo").await["files"].as_array().unwrap().len(), 20);
}

#[tokio::test]
async fn checklist_54_a_release_has_one_source_distribution() {
    let app = app();
    app.upload(&Form::sdist("foo", "1.0", "")).await;
    app.refused(&Form::sdist("foo", "1.0.0", ""), 400, "source distribution already").await;
    app.upload(&Form::wheel("foo", "1.0")).await;
    assert_eq!(app.page("foo").await["files"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn checklist_49_pips_search_is_answered_in_its_own_form() {
    let app = app();
    let ask = app.ask("POST", "/pypi").header("content-type", "text/xml");
    let reply = ask.body("<?xml version='1.0'?><methodCall/>").send().await.expect(200);
    assert_eq!(reply.header("content-type"), Some("text/xml"));
    assert!(reply.text().contains("<fault>"));
}

#[tokio::test]
async fn checklist_53_local_versions() {
    let app = app();
    let form = Form::wheel("foo", "1.0+cu121");
    app.upload(&form).await;
    for path in ["/simple/foo/foo-1.0+cu121-py3-none-any.whl", "/simple/foo/foo-1.0%2Bcu121-py3-none-any.whl"]
    {
        assert_eq!(app.get(path).await.expect(200).body, form.content());
    }
    let mut setup = Setup::new();
    setup.config.local_versions = false;
    setup.config.direct_references = false;
    let app = setup.build();
    app.refused(&form, 400, "local versions").await;
    let direct = Form::wheel_with("foo", "1.0", "Requires-Dist: a @ https://example.com/a.whl\n");
    app.refused(&direct, 400, "on URLs").await;
}

#[tokio::test]
async fn signatures_are_kept() {
    let app = app();
    let form = Form::wheel("foo", "1.0").and("gpg_signature", "-----BEGIN PGP SIGNATURE-----");
    app.upload(&form).await;
    assert_eq!(app.page("foo").await["files"][0]["gpg-sig"], true);
    let reply = app.get("/simple/foo/foo-1.0-py3-none-any.whl.asc").await.expect(200);
    assert_eq!(reply.body, "-----BEGIN PGP SIGNATURE-----");
}

#[tokio::test]
async fn a_project_has_only_so_many_files() {
    let mut setup = Setup::new();
    setup.config.max_files = 1;
    let app = setup.build();
    app.upload(&Form::wheel("foo", "1.0")).await;
    app.refused(&Form::wheel("foo", "1.1"), 400, "the most").await;
    app.upload(&Form::wheel("foo", "1.0")).await;
}
