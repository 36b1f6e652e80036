use std::io;

use futures_util::{StreamExt as _, TryStreamExt as _};
use md5::Digest as _;
use proptest::prelude::*;

use super::*;
use crate::{
    Instance, Protocol,
    storage::{ArtifactSpec, Storage, StorageOptions},
};

const LIMITS: FormLimits = FormLimits { parts: 5, field_bytes: 100, header_bytes: 300 };

fn headers(content_type: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, content_type.parse().unwrap());
    headers
}

fn in_pieces(bytes: &[u8], size: usize) -> Body {
    let pieces: Vec<Result<Bytes, io::Error>> =
        bytes.chunks(size).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    Body::from_stream(stream::iter(pieces))
}

/// The parts of a form: files as they are streamed, all else as bytes.
async fn read(body: Body) -> Result<Vec<(Part, Vec<u8>)>, FormError> {
    let mut form = Form::new(&headers("multipart/form-data; boundary=XX"), body, LIMITS)?;
    let mut parts = Vec::new();
    while let Some(part) = form.next().await? {
        let bytes = if part.file_name.is_some() {
            let pieces = form.file().into_data_stream().map_ok(|piece| piece.to_vec());
            match pieces.try_concat().await {
                Ok(bytes) => bytes,
                Err(_) => return Err(form.take_failure().unwrap()),
            }
        } else {
            form.bytes().await?.to_vec()
        };
        parts.push((part, bytes));
    }
    // It stays at its end.
    assert_eq!(form.next().await.unwrap(), None);
    Ok(parts)
}

/// What a form holds, in pieces of several sizes: always the same.
async fn check(bytes: &[u8]) -> Result<Vec<(Part, Vec<u8>)>, String> {
    let mut results = Vec::new();
    for size in [1, 2, 7, 64, 100_000] {
        results.push(read(in_pieces(bytes, size)).await.map_err(|error| error.to_string()));
    }
    assert!(results.windows(2).all(|two| two[0] == two[1]), "{results:?}");
    results.swap_remove(0)
}

async fn refused(bytes: &[u8], what: &str) {
    let error = check(bytes).await.unwrap_err();
    assert!(error.contains(what), "{error}");
}

fn field(name: &str) -> Part {
    Part { name: name.to_owned(), ..Part::default() }
}

#[tokio::test]
async fn what_clients_send_is_read() {
    // As uploads of packages come: fields, a file without a type, a field behind it.
    let bytes = b"--XX\r\nContent-Disposition: form-data; name=\":action\"\r\n\r\nfile_upload\r\n\
        --XX\r\nContent-Disposition: form-data; name=\"content\"; filename=\"demo-1.0.tar.gz\"\r\n\r\n\
        a\r\n--X\r\n--\r\nb\r\n\
        --XX\r\ncontent-disposition:form-data;name=attestations\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n[]\r\n\
        --XX--\r\n";
    let parts = check(bytes).await.unwrap();
    let file = Part { file_name: Some("demo-1.0.tar.gz".to_owned()), ..field("content") };
    let typed = Part { content_type: Some("text/plain; charset=utf-8".to_owned()), ..field("attestations") };
    let want = vec![
        (field(":action"), b"file_upload".to_vec()),
        (file, b"a\r\n--X\r\n--\r\nb".to_vec()),
        (typed, b"[]".to_vec()),
    ];
    assert_eq!(parts, want);
    // As command lines send it, with a type and a name in quotes.
    let bytes = b"preamble\r\n--XX \t\r\nContent-Disposition: form-data; name=\"package\"; filename=\"C:\\a \\\"b\\\".zip\"\r\n\
        Content-Type: application/zip\r\n\r\n\r\n--XX--epilogue";
    let parts = check(bytes).await.unwrap();
    let zip = Part {
        file_name: Some("C:\\a \"b\".zip".to_owned()),
        content_type: Some("application/zip".to_owned()),
        ..field("package")
    };
    assert_eq!(parts, [(zip, Vec::new())]);
    assert_eq!(check(b"--XX--\r\n").await.unwrap(), []);
    let star = b"--XX\r\nContent-Disposition: form-data; name=\"f\"; filename=\"_\"; filename*=utf-8''%C3%A4.whl\r\n\r\n1\r\n--XX--";
    assert_eq!(check(star).await.unwrap()[0].0.file_name.as_deref(), Some("ä.whl"));
}

#[tokio::test]
async fn what_is_malformed_is_refused() {
    let part = |head: &str| format!("--XX\r\n{head}\r\n\r\nx\r\n--XX--\r\n");
    for (bytes, what) in [
        (String::new(), "ends early"),
        ("--XX".to_owned(), "ends early"),
        ("--XX\r\nContent-Disposition: form-data; name=a\r\n\r\nabc".to_owned(), "ends early"),
        ("--XX\r\nContent-Disposition: form-data; name=a\r\n\r\nabc\r\n--XX".to_owned(), "ends early"),
        ("--XXY\r\n".to_owned(), "follows a boundary"),
        (format!("--XX{}\r\n", " ".repeat(200)), "follows a boundary"),
        ("--XX\n".to_owned(), "follows a boundary"),
        (format!("{}\r\n--XX--", "x".repeat(400)), "does not begin with its boundary"),
        ("--XX\r\n\r\nx\r\n--XX--".to_owned(), "has no headers"),
        (part("Content-Type: text/plain"), "has no name"),
        (part("Content-Disposition: form-data; filename=a"), "has no name"),
        (part("Content-Disposition: attachment; name=a"), "cannot be read"),
        (part("Content-Disposition: form-data; name=\"a"), "cannot be read"),
        (part("Content-Disposition: form-data; name=\"a\"b"), "cannot be read"),
        (part("Content-Disposition: form-data; name=a; name=b"), "cannot be read"),
        (part("Content-Disposition: form-data; name=a; filename*=latin1''x"), "cannot be read"),
        (
            part("Content-Disposition: form-data; name=a\r\nContent-Disposition: form-data; name=b"),
            "two names",
        ),
        (part("no colon"), "headers cannot be read"),
        (part("Content-Disposition: form-data; name=a\nX: y"), "headers cannot be read"),
        (part(&format!("X: {}", "y".repeat(400))), "headers are too large"),
        (
            part("Content-Disposition: form-data; name=a\r\nContent-Transfer-Encoding: base64"),
            "Transfer-Encoding",
        ),
        (part(&"A: b\r\n".repeat(40)), "headers cannot be read"),
    ] {
        refused(bytes.as_bytes(), what).await;
    }
    let file = b"--XX\r\nContent-Disposition: form-data; name=a; filename=b\r\n\r\nabc\r\n--XXno";
    refused(file, "follows a boundary").await;
    refused(&file[..file.len() - 6], "ends early").await;
}

#[tokio::test]
async fn limits_hold() {
    let part = |name: &str, bytes: usize| {
        format!("--XX\r\nContent-Disposition: form-data; name={name}\r\n\r\n{}\r\n", "x".repeat(bytes))
    };
    refused(format!("{}--XX--", part("a", 101)).as_bytes(), "larger than 100 bytes").await;
    refused(format!("{}{}--XX--", part("a", 50), part("b", 51)).as_bytes(), "larger than 100 bytes").await;
    assert_eq!(check(format!("{}{}--XX--", part("a", 50), part("b", 50)).as_bytes()).await.unwrap().len(), 2);
    refused(format!("{}--XX--", part("a", 1).repeat(6)).as_bytes(), "more than 5 parts").await;
    // A file is its taker's to limit.
    let file = part("a; filename=b", 100_000);
    assert_eq!(check(format!("{file}--XX--").as_bytes()).await.unwrap()[0].1.len(), 100_000);
    // What is passed over is not.
    let mut form = Form::new(
        &headers("multipart/form-data; boundary=XX"),
        in_pieces(format!("{file}--XX--").as_bytes(), 50),
        LIMITS,
    )
    .unwrap();
    form.next().await.unwrap().unwrap();
    assert!(matches!(form.next().await, Err(FormError::TooLarge { limit: 100 })));
}

#[tokio::test]
async fn an_endless_preamble_or_header_is_left_at_its_limit() {
    for endless in [b"xxxxxxxxxxxxxxxx".as_slice(), b"--XX\r\nA: b"] {
        let pieces = stream::repeat_with(move || Ok::<_, io::Error>(Bytes::from_static(b"yyyyyyyyyyyyyyyy")));
        let first = stream::iter([Ok(Bytes::copy_from_slice(endless))]);
        let body = Body::from_stream(first.chain(pieces));
        assert!(matches!(read(body).await, Err(FormError::Malformed(_))));
    }
}

#[tokio::test]
async fn a_text_has_to_be_one_and_a_stream_is_for_its_part_only() {
    let bytes = b"--XX\r\nContent-Disposition: form-data; name=a\r\n\r\n\xff\r\n\
        --XX\r\nContent-Disposition: form-data; name=b; filename=c\r\n\r\n12345\r\n\
        --XX\r\nContent-Disposition: form-data; name=d\r\n\r\n\xc3\xa4\r\n--XX--";
    let new =
        || Form::new(&headers("multipart/form-data; boundary=XX"), in_pieces(bytes, 9), LIMITS).unwrap();
    let mut form = new();
    form.next().await.unwrap().unwrap();
    assert!(matches!(form.text().await, Err(FormError::NotText { name }) if name == "a"));
    form.next().await.unwrap().unwrap();
    let abandoned = form.file();
    assert_eq!(form.next().await.unwrap().unwrap().name, "d");
    assert!(abandoned.into_data_stream().next().await.unwrap().is_err());
    assert_eq!(form.text().await.unwrap(), "ä");
    assert_eq!(form.text().await.unwrap(), "");
    assert_eq!(form.next().await.unwrap(), None);
    let broken = stream::iter([Ok(Bytes::from_static(b"--XX\r\n")), Err(io::Error::other("gone"))]);
    assert!(matches!(read(Body::from_stream(broken)).await, Err(FormError::Body(_))));
    let rest = new().into_body();
    assert_eq!(rest.into_data_stream().map_ok(|piece| piece.to_vec()).try_concat().await.unwrap(), bytes);
}

#[tokio::test]
async fn a_file_goes_to_the_store_while_it_arrives() {
    const PIECES: usize = 200;
    let piece = Bytes::from(b"\r\n--X\r--XX-\r\n".repeat(2000));
    let whole = piece.repeat(PIECES);
    let head = b"--XX\r\nContent-Disposition: form-data; name=content; filename=a.whl\r\n\r\n".as_slice();
    let tail =
        b"\r\n--XX\r\nContent-Disposition: form-data; name=attestations\r\n\r\n[]\r\n--XX--".as_slice();
    let pieces = stream::iter([Bytes::from_static(head)])
        .chain(stream::iter(std::iter::repeat_n(piece, PIECES)))
        .chain(stream::iter([Bytes::from_static(tail)]))
        .map(Ok::<_, io::Error>);
    let boundary = headers("multipart/form-data; boundary=XX");
    let mut form = Form::new(&boundary, Body::from_stream(pieces), LIMITS).unwrap();
    assert_eq!(form.next().await.unwrap().unwrap().name, "content");
    let storage = Storage::memory(StorageOptions::default());
    let store = storage.store(&Instance::new(Protocol::Pypi.into(), Protocol::Pypi, Vec::new()));
    let key = store.key().fixed("a.whl").build();
    let spec = ArtifactSpec { md5: Some(hex::encode(md5::Md5::digest(&whole))), ..ArtifactSpec::default() };
    let stored = store.write_artifact(&key, form.file(), spec).await.unwrap();
    assert_eq!(stored.size(), whole.len() as u64);
    assert_eq!(form.next().await.unwrap().unwrap().name, "attestations");
    assert_eq!(form.text().await.unwrap(), "[]");
    assert_eq!(form.next().await.unwrap(), None);
}

#[test]
fn only_forms_are_forms() {
    let new = |headers: &HeaderMap| Form::new(headers, Body::empty(), LIMITS).map(drop);
    let long = format!("multipart/form-data; boundary={}", "x".repeat(201));
    for content_type in [
        "text/xml",
        "multipart/form-data",
        "multipart/mixed; boundary=XX",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=\"\"",
        "multipart/form-data; boundary=\"a",
        "multipart/form-data; boundary=a; boundary=b",
        &long,
    ] {
        assert!(matches!(new(&headers(content_type)), Err(FormError::NotAForm)), "{content_type}");
    }
    assert!(matches!(new(&HeaderMap::new()), Err(FormError::NotAForm)));
    for content_type in [
        "multipart/form-data; boundary=----WebKitFormBoundary7MA4YWxkTrZu0gW",
        "Multipart/Form-Data;charset=utf-8;BOUNDARY=\"a b'()+_,-./:=?\"",
    ] {
        assert!(new(&headers(content_type)).is_ok(), "{content_type}");
    }
    let mut packed = headers("multipart/form-data; boundary=XX");
    packed.insert(header::CONTENT_ENCODING, "gzip".parse().unwrap());
    assert!(matches!(new(&packed), Err(FormError::Encoding(_))));
}

proptest! {
    #[test]
    fn no_input_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300), size in 1usize..50) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let form = [b"--XX\r\nContent-Disposition: form-data; name=a; filename=b\r\n\r\n", &bytes[..]].concat();
        runtime.block_on(async {
            let _ = read(in_pieces(&bytes, size)).await;
            let _ = read(in_pieces(&form, size)).await;
        });
    }

    #[test]
    fn parts_come_out_as_they_went_in(
        parts in proptest::collection::vec(("[a-z\" \\\\;=]{1,8}", "[-X\r\n]{0,20}"), 0..5),
        size in 1usize..80,
    ) {
        let mut bytes = Vec::new();
        for (name, content) in &parts {
            let quoted = name.replace('\\', "\\\\").replace('"', "\\\"");
            let head = format!("--XX\r\nContent-Disposition: form-data; name=\"{quoted}\"\r\n\r\n");
            bytes.extend_from_slice(head.as_bytes());
            // A boundary is chosen so that it does not occur.
            bytes.extend_from_slice(content.replace("--", "-+").as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"--XX--\r\n");
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let read = runtime.block_on(read(in_pieces(&bytes, size))).unwrap();
        let got: Vec<(String, Vec<u8>)> = read.into_iter().map(|(part, bytes)| (part.name, bytes)).collect();
        let want: Vec<(String, Vec<u8>)> = parts
            .into_iter()
            .map(|(name, content)| (name, content.replace("--", "-+").into_bytes()))
            .collect();
        prop_assert_eq!(got, want);
    }
}
