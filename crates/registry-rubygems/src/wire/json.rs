//! The JSON documents about gems and versions.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{
    gemspec,
    spec::{DependencyKind, Spec},
};
use crate::{
    names::full_name,
    store::gem::{Gem, Release},
};

/// A time as these documents have it: UTC, in milliseconds.
pub(crate) fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn dependencies(spec: &Spec) -> Value {
    let of = |kind| -> Value {
        let found = spec.dependencies_of(kind);
        let item = |dependency: &&super::spec::Dependency| json!({"name": dependency.name.as_str(), "requirements": dependency.requirement.to_list()});
        found.iter().map(item).collect()
    };
    json!({"development": of(DependencyKind::Development), "runtime": of(DependencyKind::Runtime)})
}

/// The SHA-256 of the quick specification.
fn spec_sha(spec: &Spec) -> String {
    hex::encode(Sha256::digest(gemspec::render(spec)))
}

/// `/api/v1/gems/<gem>.json`: the gem as its newest version describes it. `base` is where clients reach the registry.
pub(crate) fn gem(release: &Release, base: &str) -> Value {
    let spec = &release.spec;
    let link = |key: &str| spec.metadata.get(key);
    json!({
        "name": spec.name.as_str(),
        "downloads": 0,
        "version": spec.version.as_str(),
        "version_created_at": time(release.created),
        "version_downloads": 0,
        "platform": spec.platform.as_str(),
        "authors": spec.authors.join(", "),
        "info": spec.description.as_ref().unwrap_or(&spec.summary),
        "licenses": spec.licenses,
        "metadata": spec.metadata,
        "yanked": !release.is_visible(),
        "sha": release.sha256,
        "spec_sha": spec_sha(spec),
        "project_uri": format!("{base}/api/v1/gems/{}.json", spec.name),
        "gem_uri": format!("{base}/gems/{}.gem", full_name(&spec.name, &spec.version, &spec.platform)),
        "homepage_uri": link("homepage_uri").or(spec.homepage.as_ref()),
        "wiki_uri": link("wiki_uri"),
        "documentation_uri": link("documentation_uri"),
        "mailing_list_uri": link("mailing_list_uri"),
        "source_code_uri": link("source_code_uri"),
        "bug_tracker_uri": link("bug_tracker_uri"),
        "changelog_uri": link("changelog_uri"),
        "funding_uri": link("funding_uri"),
        "dependencies": dependencies(spec),
    })
}

/// One version in `/api/v1/versions/<gem>.json`.
pub(crate) fn version(release: &Release) -> Value {
    let spec = &release.spec;
    let built = spec.date.and_time(chrono::NaiveTime::MIN).and_utc();
    json!({
        "authors": spec.authors.join(", "),
        "built_at": time(built),
        "created_at": time(release.created),
        "description": spec.description,
        "downloads_count": 0,
        "metadata": spec.metadata,
        "number": spec.version.as_str(),
        "summary": spec.summary,
        "platform": spec.platform.as_str(),
        "rubygems_version": spec.required_rubygems_version.to_list(),
        "ruby_version": spec.required_ruby_version.to_list(),
        "prerelease": spec.version.is_prerelease(),
        "licenses": spec.licenses,
        "requirements": spec.requirements,
        "sha": release.sha256,
        "spec_sha": spec_sha(spec),
    })
}

/// `/api/v1/versions/<gem>.json`: the visible versions, newest first.
pub(crate) fn versions(gem: &Gem) -> Value {
    let mut releases: Vec<_> = gem.visible().collect();
    releases.sort_by(|a, b| {
        b.spec.version.cmp(&a.spec.version).then_with(|| a.spec.platform.cmp(&b.spec.platform))
    });
    releases.into_iter().map(|release| version(release)).collect()
}

/// `/api/v2/rubygems/<gem>/versions/<version>.json`: a version with what the gem's document has too.
pub(crate) fn whole_version(release: &Release, base: &str) -> Value {
    let mut whole = gem(release, base);
    if let (Some(whole), Value::Object(of_version)) = (whole.as_object_mut(), version(release)) {
        whole.extend(of_version);
    }
    whole
}
