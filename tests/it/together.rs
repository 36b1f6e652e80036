//! All registries beside each other in one server.

use anyhow::{Context, Result};
use registry_tests::{Client, Image, Place, Publish, Seed};

const INTERNAL: &str = "[[registry]]\nname = \"npm-internal\"\nprotocol = \"npm\"\n\
    [[registry]]\nname = \"team\"\nprotocol = \"oci\"\nhost = \"team.example.com\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn two_registries_of_a_protocol_share_nothing() -> Result<()> {
    let place = Place::new(INTERNAL)?;
    let server = place.serve()?;
    let client = server.client(&place.token("alice", &["npm:package:*:*"])?);
    let public = Publish::new("@acme/lib", "1.0.0", b"public")?;
    let internal = Publish::new("@acme/lib", "1.0.0", b"internal")?;
    public.send(&client, "/npm").await?.expect(201)?;
    client.get("/npm-internal/@acme%2flib").await?.expect(404)?;
    internal.send(&client, "/npm-internal").await?.expect(201)?;
    public.check(&client, "/npm").await?;
    internal.check(&client, "/npm-internal").await?;
    let url = |packument: &serde_json::Value| {
        packument["versions"]["1.0.0"]["dist"]["tarball"].as_str().unwrap_or_default().to_owned()
    };
    let packument = client.get("/npm-internal/@acme%2flib").await?.expect(200)?.json()?;
    assert!(url(&packument).contains("/npm-internal/@acme/lib/-/lib-1.0.0.tgz"), "{}", url(&packument));
    // Each has its own part of the store, which says so.
    for name in ["npm", "npm-internal"] {
        let dir = place.path().join("store").join(name).join("packages/@acme/lib");
        assert!(dir.is_dir(), "there is no {}", dir.display());
    }
    server.stop()?;
    place.run(&["verify"])?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scope_of_one_registry_is_no_scope_of_the_other() -> Result<()> {
    let place = Place::new(INTERNAL)?;
    let server = place.serve()?;
    let internal_only = server.client(&place.token("bob", &["npm-internal:package:*:*"])?);
    let lib = Publish::new("lib", "1.0.0", b"x")?;
    lib.send(&internal_only, "/npm-internal").await?.expect(201)?;
    assert_eq!(lib.send(&internal_only, "/npm").await?.status, 403);
    let both = server.client(&place.token("alice", &["npm:package:*:*"])?);
    let other = Publish::new("other", "1.0.0", b"x")?;
    other.send(&both, "/npm").await?.expect(201)?;
    other.send(&both, "/npm-internal").await?.expect(201)?;
    server.stop()?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_token_serves_every_protocol_that_its_scopes_name() -> Result<()> {
    let place = Place::new("")?;
    let server = place.serve()?;
    let client =
        server.client(&place.token("ci", &["npm:package:@acme/*:*", "oci:repository:acme/*:pull,push"])?);
    Publish::new("@acme/lib", "1.0.0", b"x")?.send(&client, "/npm").await?.expect(201)?;
    let image = Image::new("x", &[Seed::of("token").bytes(1000).into()])?;
    image.push(&client, "acme/app", "v1").await?;
    assert_eq!(Publish::new("@other/lib", "1.0.0", b"x")?.send(&client, "/npm").await?.status, 403);
    let refused = client.send("POST", "/v2/other/app/blobs/uploads/", &[], "").await?;
    assert!(matches!(refused.status, 401 | 403), "{refused:?}");
    // `/oci` is the same registry as `/v2`.
    let alias = client.get("/oci/acme/app/manifests/v1").await?.expect(200)?;
    assert_eq!(alias.body, image.manifest);
    server.stop()?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_show_what_was_published_and_may_be_read() -> Result<()> {
    let place = Place::new("")?;
    let server = place.serve()?;
    let all = server.client(&place.token("alice", &["*:*:*:*"])?);
    let some =
        server.client(&place.token("bob", &["npm:package:@acme/*:read", "oci:repository:acme/*:pull"])?);
    for name in ["@acme/zebra", "zebra-lib"] {
        Publish::new(name, "1.0.0", b"x")?.send(&all, "/npm").await?.expect(201)?;
    }
    let image = Image::new("x", &[])?;
    for repository in ["acme/app", "other/app"] {
        image.push(&all, repository, "v1").await?;
    }
    let found = |answer: serde_json::Value| {
        let objects = answer["objects"].as_array().cloned().unwrap_or_default();
        let mut names: Vec<String> =
            objects.iter().filter_map(|o| o["package"]["name"].as_str().map(str::to_owned)).collect();
        names.sort();
        names
    };
    let search = "/npm/-/v1/search?text=zebra";
    assert_eq!(found(all.get(search).await?.expect(200)?.json()?), ["@acme/zebra", "zebra-lib"]);
    assert_eq!(found(some.get(search).await?.expect(200)?.json()?), ["@acme/zebra"]);
    let catalog = all.get("/v2/_catalog").await?.expect(200)?.json()?;
    assert_eq!(catalog["repositories"], serde_json::json!(["acme/app", "other/app"]));
    server.stop()?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_count_requests_by_protocol_and_name_no_package() -> Result<()> {
    let place = Place::new("")?;
    let server = place.serve()?;
    let client = server.client(&place.token("alice", &["*:*:*:*"])?);
    Publish::new("@secret/name", "1.0.0", b"x")?.send(&client, "/npm").await?.expect(201)?;
    let image = Image::new("x", &[])?;
    image.push(&client, "secret/repository", "v1").await?;
    client.get("/npm/nothing").await?.expect(404)?;
    let text = Client::anonymous(server.addr()).get("/metrics").await?.expect(200)?.body;
    let text = std::str::from_utf8(&text)?;
    let count = |labels: &[&str]| -> Option<f64> {
        let mut lines = text.lines().filter(|line| line.starts_with("http_requests_total{"));
        let line = lines.find(|line| labels.iter().all(|label| line.contains(label)))?;
        line.rsplit(' ').next()?.parse().ok()
    };
    for labels in [
        ["protocol=\"npm\"", "method=\"PUT\"", "status=\"2xx\""],
        ["protocol=\"npm\"", "method=\"GET\"", "status=\"4xx\""],
        ["protocol=\"oci\"", "method=\"PUT\"", "status=\"2xx\""],
    ] {
        let counted = count(&labels).with_context(|| format!("no line with {labels:?}"))?;
        assert!(counted >= 1.0, "{labels:?}");
    }
    assert!(text.contains("storage_operations_total{"), "nothing of the store is counted");
    assert!(!text.contains("secret"), "the metrics name a package");
    server.stop()?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_is_there_after_a_restart() -> Result<()> {
    let place = Place::new("")?;
    let token = place.token("alice", &["*:*:*:*"])?;
    let lib = Publish::new("@acme/lib", "1.0.0", b"x")?;
    let image = Image::new("x", &[Seed::of("restart").bytes(300_000).into()])?;
    let server = place.serve()?;
    lib.send(&server.client(&token), "/npm").await?.expect(201)?;
    image.push(&server.client(&token), "acme/app", "v1").await?;
    server.stop()?;
    let server = place.serve()?;
    lib.check(&server.client(&token), "/npm").await?;
    image.check(&server.client(&token), "acme/app", "v1").await?;
    let lists = server.client(&token);
    let catalog = lists.get("/v2/_catalog").await?.expect(200)?.json()?;
    assert_eq!(catalog["repositories"], serde_json::json!(["acme/app"]));
    let found = lists.get("/npm/-/v1/search?text=lib").await?.expect(200)?.json()?;
    assert_eq!(found["total"], 1);
    server.stop()?;
    Ok(())
}
