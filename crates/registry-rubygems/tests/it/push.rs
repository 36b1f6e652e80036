//! Pushing gems.

use std::fmt::Write as _;

use md5::{Digest as _, Md5};
use sha2::Sha256;

use crate::app::{Build, Client, Setup, tar_of};

#[tokio::test]
async fn checklist_3_7_a_pushed_gem_is_everywhere_at_once() {
    let app = Setup::new().build();
    let gem = Build::new("demo-gem", "1.2.0")
        .needs("rack", &[(">=", "1.0"), ("<", "3")])
        .needs("zeit", &[(">=", "0")])
        .needs_for_development("rake")
        .line("required_ruby_version: !ruby/object:Gem::Requirement\n  requirements: [['>=', !ruby/object:Gem::Version {version: '2.7'}]]");
    let bytes = gem.bytes();
    let reply = app.push(&gem).await;
    assert_eq!(reply.text(), "Successfully registered gem: demo-gem (1.2.0)");
    let info = app.text("/info/demo-gem").await;
    let sha256 = hex::encode(Sha256::digest(&bytes));
    assert_eq!(
        info,
        format!(
            "---\n1.2.0 rack:< 3&>= 1.0,zeit:>= 0|checksum:{sha256},ruby:>= 2.7,created_at:2026-03-04T05:06:07Z\n"
        )
    );
    let versions = app.text("/versions").await;
    assert_eq!(
        versions,
        format!(
            "created_at: 2026-03-04T05:06:07Z\n---\ndemo-gem 1.2.0 {}\n",
            hex::encode(Md5::digest(&info))
        )
        .replace("created_at: 2026-03-04T05:06:07Z", versions.lines().next().unwrap())
    );
    assert_eq!(app.text("/names").await, "---\ndemo-gem\n");
    let file = app.get("/gems/demo-gem-1.2.0.gem").await.expect(200);
    assert_eq!(file.body, bytes);
    assert_eq!(file.header("etag"), Some(&*format!("\"{sha256}\"")));
    assert_eq!(file.header("content-type"), Some("application/octet-stream"));
    app.get("/quick/Marshal.4.8/demo-gem-1.2.0.gemspec.rz").await.expect(200);
    app.check_index().await;
}

#[tokio::test]
async fn checklist_18_the_same_again_is_a_success_and_other_bytes_are_not() {
    let app = Setup::new().build();
    app.push(&Build::new("a", "1.0")).await;
    let before = app.objects().await;
    let again = app.push(&Build::new("a", "1.0")).await;
    assert_eq!(again.text(), "Gem was already pushed: a (1.0)");
    assert_eq!(app.objects().await, before);
    app.refused(
        Build::new("a", "1.0").content("other").bytes(),
        409,
        "Repushing of gem versions is not allowed.",
    )
    .await;
    assert_eq!(app.get("/gems/a-1.0.gem").await.body, Build::new("a", "1.0").bytes());
}

#[tokio::test]
async fn checklist_27_28_platforms_and_prereleases() {
    let app = Setup::new().build();
    for gem in [
        Build::new("a", "1.0"),
        Build::new("a", "1.0").platform("x86_64-linux"),
        Build::new("a", "2.0.rc1"),
        Build::new("a", "1.0").platform("java"),
    ] {
        app.push(&gem).await;
    }
    let info = app.text("/info/a").await;
    let slugs: Vec<&str> = info.lines().skip(1).map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(slugs, ["1.0", "1.0-x86_64-linux", "2.0.rc1", "1.0-java"]);
    for file in ["a-1.0", "a-1.0-x86_64-linux", "a-2.0.rc1", "a-1.0-java"] {
        app.get(&format!("/gems/{file}.gem")).await.expect(200);
        app.get(&format!("/quick/Marshal.4.8/{file}.gemspec.rz")).await.expect(200);
    }
    app.get("/gems/a-1.0-ruby.gem").await.expect(404);
    app.check_index().await;
}

#[tokio::test]
async fn checklist_40_names_in_another_case_and_versions_spelt_otherwise_are_refused() {
    let app = Setup::new().build();
    app.push(&Build::new("foo", "1.0")).await;
    app.refused(Build::new("Foo", "1.1").bytes(), 409, "Unable to change case of gem name").await;
    app.refused(Build::new("foo", "1.0.0").bytes(), 409, "the same as 1.0").await;
    app.push(&Build::new("foo", "1.0.0").platform("java")).await;
    app.push(&Build::new("RedCloth", "4.0")).await;
    app.get("/info/RedCloth").await.expect(200);
    app.get("/info/redcloth").await.expect(404);
    app.get("/gems/redcloth-4.0.gem").await.expect(404);
    app.check_index().await;
}

#[tokio::test]
async fn no_two_versions_share_a_file_name() {
    let app = Setup::new().build();
    app.push(&Build::new("a", "1").platform("java-2")).await;
    app.refused(Build::new("a-1-java", "2").bytes(), 409, "another gem's version").await;
    app.push(&Build::new("a-1-java", "3")).await;
    app.refused(Build::new("a", "1").platform("java-3").bytes(), 409, "another gem's version").await;
    assert_eq!(app.get("/gems/a-1-java-2.gem").await.body, Build::new("a", "1").platform("java-2").bytes());
    assert_eq!(app.get("/gems/a-1-java-3.gem").await.body, Build::new("a-1-java", "3").bytes());
}

#[tokio::test]
async fn checklist_45_a_gem_may_come_in_a_form_with_attestations() {
    let app = Setup::new().build();
    let gem = Build::new("a", "1.0").bytes();
    let form = |name: &str, gem: &[u8]| {
        let mut body = format!(
            "--XYZ\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"a-1.0.gem\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        )
        .into_bytes();
        body.extend_from_slice(gem);
        body.extend_from_slice(
            b"\r\n--XYZ\r\nContent-Disposition: form-data; name=\"attestations\"\r\n\r\n[]\r\n--XYZ--\r\n",
        );
        body
    };
    let post = async |body: Vec<u8>| {
        let ask = app.ask("POST", "/api/v1/gems").token("alice-token");
        ask.header("content-type", "multipart/form-data; boundary=XYZ").body(body).send().await
    };
    assert!(post(form("gem", &gem)).await.expect(200).text().starts_with("Successfully registered gem"));
    assert_eq!(app.get("/gems/a-1.0.gem").await.body, gem);
    let before = app.objects().await;
    post(form("other", &gem)).await.expect(400);
    post(form("gem", b"no gem")).await.expect(422);
    post(b"--XYZ\r\n".to_vec()).await.expect(400);
    assert_eq!(app.objects().await, before);
}

#[tokio::test]
async fn checklist_46_doubled_slashes_work_and_writes_are_not_redirected() {
    let app = Setup::new().build();
    let ask = app.ask("POST", "//api/v1/gems").header("authorization", "alice-token");
    ask.body(Build::new("a", "1.0").bytes()).send().await.expect(200);
    assert!(app.text("//versions").await.contains("\na 1.0 "));
    app.ask("PUT", "/api/v1/gems").token("alice-token").send().await.expect(405);
}

/// `gem` reads the parts in any order; where the name comes late, the file is stored all the same and once.
#[tokio::test]
async fn parts_come_in_any_order() {
    let app = Setup::new().build();
    let mut noise = String::new();
    let mut state = 7_u32;
    while noise.len() < 3 << 20 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        write!(noise, "{state:x}").unwrap();
    }
    for (at, content) in [String::from("small"), noise].iter().enumerate() {
        let name = format!("late{at}");
        let mut parts = Build::new(&name, "1.0").content(content).parts();
        parts.rotate_left(1);
        let bytes = tar_of(&parts);
        app.post(bytes.clone(), "alice-token").await.expect(200);
        assert_eq!(app.get(&format!("/gems/{name}-1.0.gem")).await.body, bytes);
        let objects = app.objects().await;
        let of_gem: Vec<_> = objects.iter().filter(|(key, ..)| key.contains('~')).collect();
        assert_eq!(of_gem.len(), at + 1, "{objects:?}");
        assert!(of_gem.iter().all(|(key, ..)| key.contains("/-/late")), "{of_gem:?}");
    }
}

#[tokio::test]
async fn reserved_names_and_too_many_versions_are_refused() {
    let mut setup = Setup::new();
    setup.config.reserved_names = vec!["json".to_owned()];
    setup.config.max_versions = 2;
    let app = setup.build();
    app.refused(Build::new("JSON", "1.0").bytes(), 403, "This gem name is reserved.").await;
    app.push(&Build::new("a", "1")).await;
    app.push(&Build::new("a", "2")).await;
    app.refused(Build::new("a", "3").bytes(), 422, "has 2 versions").await;
}
