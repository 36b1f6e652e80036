//! Specifications that must not be believed.

use std::time::Instant;

use crate::app::{App, Build, Client, Setup, gzip, parts_of, tar, tar_of};

/// A gem with this metadata.
fn gem(metadata: &str) -> Vec<u8> {
    tar_of(&parts_of(gzip(metadata.as_bytes()), gzip(&tar(&[("x", b"x")]))))
}

async fn app() -> App {
    let app = Setup::new().build();
    app.push(&Build::new("a", "1.0")).await;
    app
}

#[tokio::test]
async fn checklist_34_no_object_is_made_of_yaml() {
    let app = app().await;
    let good = Build::new("b", "1.0").metadata();
    let begun = Instant::now();
    for (yaml, words) in [
        (good.replace("cert_chain: []", "cert_chain: !ruby/object:OpenStruct {}"), "tag"),
        (good.replace("- MIT", "- !ruby/class 'Kernel'"), "tag"),
        (good.replace("- MIT", "- &x MIT"), "aliases"),
        (good.replace("licenses:", "a: &a [x]\nb: [*a, *a]\nlicenses:"), "aliases"),
        (good.replace("licenses:", "<<: {x: 1}\nlicenses:"), "merge"),
        (format!("{good}--- {{}}\n"), "one document"),
        (format!("{good}x: {}\n", "[".repeat(1000)), "metadata"),
        (
            format!(
                "{good}x:\n{}",
                (1..1000).flat_map(|n| [" ".repeat(n), "x:\n".to_owned()]).collect::<String>()
            ),
            "deep",
        ),
        (format!("{good}name: c\n"), "twice"),
        ("- a\n".to_owned(), "mapping"),
        ("\u{0}".to_owned(), "metadata"),
    ] {
        app.refused(gem(&yaml), 422, words).await;
    }
    assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
    app.post(gem(&good), "alice-token").await.expect(200);
}

#[tokio::test]
async fn checklist_32_39_names_and_requirements_write_no_lines_of_their_own() {
    let app = app().await;
    let before = app.text("/versions").await;
    for name in ["..", "'a/b'", "'-b'", "b.gem", "foo.json", "'123'", "Ünï", "'b\nc'", "\"b\\n---\""] {
        app.refused(Build::new(name, "1.0").bytes(), 422, "There was a problem saving your gem").await;
    }
    for dependency in ["\"x\\ny 1 |checksum:0\"", "'x,y'", "'x|y'", "'x&y'", "'x:y'", "''", "b"] {
        app.refused(Build::new("b", "1.0").needs(dependency, &[(">=", "0")]).bytes(), 422, "").await;
    }
    for condition in [("=>", "1"), (">=", "1\n|x"), (">=", "1,<2"), (">=", "1&2"), ("", "1:2")] {
        app.refused(Build::new("b", "1.0").needs("x", &[condition]).bytes(), 422, "").await;
    }
    for version in ["1.0-1", "a", "1..0", "1,2"] {
        app.refused(Build::new("b", version).bytes(), 422, "version").await;
    }
    app.refused(Build::new("b", "1.0").platform("8086").bytes(), 409, "malformed platform attributes").await;
    app.refused(Build::new("b", "1.0").line("required_ruby_version: '>= 2, x'").bytes(), 422, "version")
        .await;
    assert_eq!(app.text("/versions").await, before);
}

#[tokio::test]
async fn checklist_35_38_the_specification_says_what_is_stored() {
    let app = app().await;
    let yaml = Build::new("b", "x").metadata().replace("!ruby/object:Gem::Version\n  version: 'x'", "1.10");
    app.post(gem(&yaml), "alice-token").await.expect(200);
    assert!(app.text("/versions").await.contains("\nb 1.10 "));
}
