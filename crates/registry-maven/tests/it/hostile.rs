//! Requests that mean no good.

use proptest::prelude::*;

use crate::app::{Client as _, Document as _, Setup, pom};

#[tokio::test]
async fn checklist_26_paths_that_lead_elsewhere_store_nothing() {
    let app = Setup::new().build();
    let long = format!("/com/acme/lib/1.0/{}", "x".repeat(300));
    let deep = format!("{}/lib/1.0/x.jar", "/a".repeat(1000));
    let upper = format!("/{}/lib/1.0/x.jar", vec!["A".repeat(144); 5].join("/"));
    for path in [
        "/com/../lib/1.0/x.jar",
        "/com/%2e%2e/lib/1.0/x.jar",
        "/com/%2E%2E%2Flib/lib/1.0/x.jar",
        "/com/a%5cb/lib/1.0/x.jar",
        "/com/acme/lib/1.0/x%00.jar",
        "/com/acme/lib/1.0/x%0d%0aset-cookie:a.jar",
        "/com/acme/lib/1.0/%3Cscript%3E.jar",
        "/com/acme/lib/1.0/%22.jar",
        "/com/acme/lib/1.0/%C3%A9.jar",
        "/com/acme/lib/1.0/.hidden",
        "/com/-/lib/1.0/x.jar",
        "/com/acme/lib/-/x.jar",
        "/com.acme/lib/1.0/x.jar",
        "/com/acme/lib/1.0./x.jar",
        &long,
        &deep,
        &upper,
    ] {
        app.refused(app.ask("PUT", path).token("alice-token").body("x"), 400, "").await;
        let get = app.get(path).await;
        assert!(get.status == 400 || get.status == 404, "{path}: {}", get.status);
    }
}

#[tokio::test]
async fn names_of_the_program_s_own_documents_are_files_like_others() {
    let app = Setup::new().build();
    app.release("com.acme", "lib", "1.0").await;
    for path in [
        "/com/acme/lib/1.0/_version.json",
        "/com/acme/lib/_artifact.json/x.jar",
        "/com/acme/_plugins.json/1.0/x.jar",
        "/com/acme/lib/1.0/%7E1",
        "/_system/users/x/alice.jar",
    ] {
        app.put(path, "mine").await.expect(201);
        assert_eq!(app.get(path).await.expect(200).text(), "mine", "{path}");
    }
    assert_eq!(app.versions("/com/acme/lib").await, ["1.0"]);
    assert_eq!(app.get("/com/acme/lib/1.0/lib-1.0.jar").await.text(), "jar of lib 1.0");
}

#[tokio::test]
async fn what_poms_and_metadata_say_is_escaped_everywhere() {
    let app = Setup::new().build();
    let evil = "&lt;/name&gt;&lt;script&gt;\"'&amp;";
    let text = pom("com.acme", "x-maven-plugin", "1.0", "maven-plugin").replace("The x-maven-plugin", evil);
    app.put("/com/acme/x-maven-plugin/1.0/x-maven-plugin-1.0.pom", text).await.expect(201);
    let metadata = app.get("/com/acme/maven-metadata.xml").await;
    assert!(
        metadata.text().contains("<name>&lt;/name&gt;&lt;script&gt;&quot;&#39;&amp;</name>"),
        "{}",
        metadata.text()
    );
    let document = format!(
        "<metadata><plugins><plugin><name>{evil}</name><prefix>a&lt;b</prefix><artifactId>x-maven-plugin</artifactId></plugin>\
         <plugin><name>&#0;</name><prefix>ok</prefix><artifactId>../../x</artifactId></plugin></plugins></metadata>"
    );
    // Neither a prefix with markup nor an artifact outside the group is taken; a character that XML does not have is no XML.
    let put = app.ask("PUT", "/com/acme/maven-metadata.xml").token("alice-token").body(document);
    app.refused(put, 400, "no well-formed XML").await;
    let document = "<metadata><plugins><plugin><name>n</name><prefix>a&lt;b</prefix><artifactId>x-maven-plugin</artifactId></plugin>\
         <plugin><name>n</name><prefix>ok</prefix><artifactId>../../x</artifactId></plugin></plugins></metadata>";
    app.put("/com/acme/maven-metadata.xml", document).await.expect(201);
    assert_eq!(app.get("/com/acme/maven-metadata.xml").await.all("prefix"), ["x"]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn no_request_panics_or_fails(
        method in "GET|HEAD|PUT|POST|DELETE|OPTIONS",
        parts in proptest::collection::vec("maven-metadata\\.xml(\\.sha1)?|com|lib|1\\.0(-SNAPSHOT)?|lib-1\\.0\\.(jar|pom)(\\.md5)?|[a-z0-9._~%-]{0,6}|%[0-9a-f]{2}", 0..7),
        slash in any::<bool>(),
        body in "<metadata/>|<project>|[a-f0-9]{32}|\\PC{0,20}",
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let path = format!("/{}{}", parts.join("/"), if slash { "/" } else { "" });
        runtime.block_on(async {
            let app = Setup::new().build();
            let reply = app.ask(&method, &path).token("alice-token").body(body).send().await;
            assert!(!reply.status.is_server_error(), "{method} {path}: {}", reply.status);
            let own = ["maven-metadata.xml", ".md5", ".sha1"].iter().any(|ending| path.contains(ending));
            if method == "PUT" && reply.status == 201 && !own {
                app.get(&path).await.expect(200);
            }
        });
    }
}
