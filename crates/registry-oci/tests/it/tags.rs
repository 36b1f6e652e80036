//! Lists of tags.

use std::collections::BTreeSet;

use crate::bench::*;

/// Checklist 27.
#[tokio::test]
async fn pages_of_many_tags() {
    let bench = Bench::new();
    let manifest = bench.image_manifest("a", "x").await;
    let digest = sha256(&serde_json::to_vec(&manifest).unwrap());
    let names = |n: usize| match n % 5 {
        0 => format!("v{n}"),
        1 => format!("V{n}.x"),
        2 => format!("_{n}"),
        3 => format!("{n}-a"),
        _ => format!("{n}."),
    };
    let mut all: BTreeSet<String> = (0..2496).map(names).collect();
    all.extend(["v1", "v1-a", "v1.0", &"T".repeat(128)].map(str::to_owned));
    let tags: Vec<&String> = all.iter().collect();
    for chunk in tags.chunks(50) {
        let query: Vec<String> = chunk.iter().map(|tag| format!("tag={tag}")).collect();
        let uri = format!("/v2/a/manifests/{digest}?{}", query.join("&"));
        bench.put(&uri).json(&manifest).send().await.expect(201);
    }
    let wanted: Vec<String> = all.into_iter().collect();
    assert_eq!(bench.tags("a").await, wanted);
    let (mut seen, mut uri) = (Vec::new(), "/v2/a/tags/list?n=700".to_owned());
    loop {
        let answer = bench.get(&uri).send().await;
        answer.expect(200);
        let body = answer.json();
        assert_eq!(body["name"], "a");
        let page: Vec<String> = serde_json::from_value(body["tags"].clone()).unwrap();
        seen.extend(page.clone());
        let link = answer.header("link");
        if link.is_empty() {
            break;
        }
        assert_eq!(page.len(), 700);
        uri = link.strip_prefix('<').and_then(|l| l.strip_suffix(">; rel=\"next\"")).unwrap().to_owned();
        assert!(uri.starts_with("/v2/a/tags/list?"));
    }
    assert_eq!(seen, wanted);
    let last = bench.get("/v2/a/tags/list?last=v1").send().await.json();
    let after: Vec<&String> = wanted.iter().filter(|tag| tag.as_str() > "v1").collect();
    assert_eq!(last["tags"], serde_json::json!(after));
    let absent = bench.get("/v2/a/tags/list?last=v1-&n=1").send().await.json();
    assert_eq!(absent["tags"], serde_json::json!(["v1-a"]));
    let none = bench.get("/v2/a/tags/list?n=0").send().await;
    assert_eq!((none.json()["tags"].clone(), none.header("link")), (serde_json::json!([]), ""));
}

/// Checklist 27: more than a page may hold is cut to it, and there is a link.
#[tokio::test]
async fn a_page_has_a_largest_size() {
    let bench = Bench::configured(serde_json::json!({"page_size": 2}));
    for tag in ["a", "b", "c"] {
        bench.image("x", tag, "x").await;
        bench.image(tag, "v1", "x").await;
    }
    for n in ["1000", "3", "99999999999999999999"] {
        let answer = bench.get(&format!("/v2/x/tags/list?n={n}")).send().await;
        answer.expect(200);
        assert_eq!(answer.json()["tags"], serde_json::json!(["a", "b"]), "{n}");
        assert_eq!(answer.header("link"), "</v2/x/tags/list?n=2&last=b>; rel=\"next\"", "{n}");
    }
    let catalog = bench.get("/v2/_catalog?n=1000").send().await;
    assert_eq!(catalog.json()["repositories"], serde_json::json!(["a", "b"]));
    assert_eq!(catalog.header("link"), "</v2/_catalog?n=2&last=b>; rel=\"next\"");
}

#[tokio::test]
async fn bad_page_sizes() {
    let bench = Bench::new();
    bench.image("a", "v1", "x").await;
    for n in ["-1", "abc", ""] {
        bench.get(&format!("/v2/a/tags/list?n={n}")).send().await.refused(400, "PAGINATION_NUMBER_INVALID");
    }
}

#[tokio::test]
async fn an_empty_list_is_not_an_unknown_repository() {
    let bench = Bench::new();
    bench.get("/v2/a/tags/list").send().await.refused(404, "NAME_UNKNOWN");
    let (digest, _) = bench.image("a/b", "v1", "x").await;
    // Part of a name is no repository.
    bench.get("/v2/a/tags/list").send().await.refused(404, "NAME_UNKNOWN");
    bench.delete(&format!("/v2/a/b/manifests/{digest}")).send().await.expect(202);
    assert_eq!(bench.tags("a/b").await, Vec::<String>::new());
}
