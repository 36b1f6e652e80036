//! Gems that are damaged, or made to do harm.

use registry_core::testing::archives;

use crate::app::{Build, Client, Setup, gzip, parts_of, tar, tar_of};

type Parts = Vec<(String, Vec<u8>)>;

fn with(change: impl FnOnce(&mut Parts)) -> Vec<u8> {
    let mut parts = Build::new("b", "1.0").parts();
    change(&mut parts);
    tar_of(&parts)
}

/// A gem with this data.
fn data(bytes: Vec<u8>) -> Vec<u8> {
    tar_of(&parts_of(gzip(Build::new("b", "1.0").metadata().as_bytes()), bytes))
}

#[tokio::test]
async fn checklist_36_gems_hold_their_parts_and_nothing_else() {
    let app = Setup::new().build();
    app.push(&Build::new("a", "1.0")).await;
    let other = gzip(b"other");
    for (bytes, words) in [
        (b"no gem at all".to_vec(), "This server cannot process this gem"),
        (Vec::new(), "This server cannot process this gem"),
        (with(|parts| parts.push(("extra".to_owned(), b"x".to_vec()))), "nothing else"),
        (with(|parts| parts.push(("../metadata.gz".to_owned(), b"x".to_vec()))), "metadata.gz"),
        (with(|parts| parts.push(("./metadata.gz".to_owned(), b"x".to_vec()))), "nothing else"),
        (with(|parts| parts.push(parts[0].clone())), "twice"),
        (with(|parts| drop(parts.remove(0))), "no metadata.gz"),
        (with(|parts| drop(parts.remove(1))), "no data.tar.gz"),
        (with(|parts| drop(parts.remove(2))), "no checksums.yaml.gz"),
        (with(|parts| parts[1].1 = gzip(&tar(&[("x", b"y")]))), "SHA256 of data.tar.gz"),
        (with(|parts| parts[0].1.push(0)), "metadata.gz"),
        (with(|parts| parts[2].1.clone_from(&other)), "checksums.yaml"),
        (with(|parts| parts[2].1 = b"x".to_vec()), "cannot be unpacked"),
        (with(|parts| parts[2].1 = gzip(b"--- !ruby/object:Foo {}\n")), "tag"),
    ] {
        app.refused(bytes, 422, words).await;
    }
    let whole = Build::new("b", "1.0").bytes();
    for length in [1, 511, 512, 700, whole.len() / 2, whole.len() - 1024 - 512] {
        app.refused(whole[..length].to_vec(), 422, "This server cannot process this gem").await;
    }
    app.post(whole, "alice-token").await.expect(200);
}

#[tokio::test]
async fn links_as_parts_are_refused() {
    let app = Setup::new().build();
    app.push(&Build::new("a", "1.0")).await;
    for flag in [b'1', b'2', b'5', b'3'] {
        let part = archives::tar_entry(flag, b"metadata.gz", b"/etc/passwd", b"");
        app.refused(archives::tar_of(&[part]), 422, "").await;
    }
}

#[tokio::test]
async fn checklist_36_37_data_stays_inside_and_unpacks_to_what_it_may() {
    let app = Setup::new().build();
    app.push(&Build::new("a", "1.0")).await;
    let entry = |flag, path: &[u8], target: &[u8]| {
        gzip(&archives::tar_of(&[archives::tar_entry(flag, path, target, b"")]))
    };
    let link = |target: &str| entry(b'2', b"link", target.as_bytes());
    let outside = |path: &str| entry(b'0', path.as_bytes(), b"");
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut packer, &tar(&[("zeros", &vec![0; 32 << 20])])).unwrap();
    let zeros = packer.finish().unwrap();
    for (bytes, words) in [
        (data(outside("../x")), "data.tar.gz"),
        (data(outside("/etc/x")), "data.tar.gz"),
        (data(link("/etc/passwd")), "data.tar.gz"),
        (data(link("../../x")), "data.tar.gz"),
        (data(b"no gzip".to_vec()), "data.tar.gz"),
        (data(zeros), "times its size"),
    ] {
        app.refused(bytes, 422, words).await;
    }
    app.post(data(link("lib/x.rb")), "alice-token").await.expect(200);
    // Metadata of ten mebibytes, and of a byte more than may be.
    let bomb = format!("{}x: {}\n", Build::new("c", "1.0").metadata(), "x".repeat(10 << 20));
    app.refused(tar_of(&parts_of(gzip(bomb.as_bytes()), gzip(&tar(&[])))), 422, "unpacks to more than").await;
    let mut setup = Setup::new();
    setup.config.max_unpacked_bytes = 4096;
    setup.config.max_entries = 2;
    let app = setup.build();
    app.push(&Build::new("a", "1.0")).await;
    app.refused(Build::new("b", "1.0").content(&"x".repeat(5000)).bytes(), 422, "more than 4096 bytes").await;
    app.refused(data(gzip(&tar(&[("a", b""), ("b", b""), ("c", b"")]))), 422, "more than 2 entries").await;
}

#[tokio::test]
async fn checklist_44_what_is_too_large_is_cut_off() {
    let mut setup = Setup::new();
    setup.config.max_gem_bytes = 10_000;
    let app = setup.build();
    app.push(&Build::new("a", "1.0")).await;
    let mut state = 1_u64;
    let noise: String = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        format!("{state:x}")
    })
    .take(2000)
    .collect();
    app.refused(Build::new("b", "1.0").content(&noise).bytes(), 413, "10000 bytes").await;
}

#[tokio::test]
async fn who_names_certificates_signs() {
    let app = Setup::new().build();
    app.push(&Build::new("a", "1.0")).await;
    let mut parts = parts_of(
        gzip(Build::new("b", "1.0").metadata().replace("cert_chain: []", "cert_chain: [x]").as_bytes()),
        gzip(&tar(&[("x", b"x")])),
    );
    app.refused(tar_of(&parts), 422, "not all of its parts are signed").await;
    for part in ["metadata.gz.sig", "data.tar.gz.sig", "checksums.yaml.gz.sig"] {
        parts.push((part.to_owned(), b"signature".to_vec()));
    }
    app.post(tar_of(&parts), "alice-token").await.expect(200);
}
