//! Releases of packages, made up, as the clients of five registries upload them: for the fault suites and the benchmarks.
//!
//! The same name, version and payload make the same bytes in every run.
//!
//! ```
//! use registry_releases::Ecosystem;
//!
//! let release = Ecosystem::Cargo.release("measured", "1.0.0", b"payload")?;
//! assert_eq!(release.steps[0].path, "/cargo/api/v1/crates/new");
//! assert_eq!(release.downloads("")?[0].0, "/cargo/api/v1/crates/measured/1.0.0/download");
//! # Ok::<(), anyhow::Error>(())
//! ```

mod archive;
mod cargo;
mod composer;
mod maven;
mod pypi;
mod rubygems;

use anyhow::Result;
use bytes::Bytes;

/// A kind of packages whose releases are uploaded as files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ecosystem {
    /// Crates.
    Cargo,
    /// PHP's packages, of the vendor `acme`.
    Composer,
    /// Java's artifacts, of the group `com.example`.
    Maven,
    /// Python's projects.
    PyPi,
    /// Ruby's gems.
    RubyGems,
}

/// One request of an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// `PUT` or `POST`.
    pub method: &'static str,
    /// The path on a server with the default base paths.
    pub path: String,
    /// The `Content-Type`.
    pub content_type: String,
    /// The body.
    pub body: Bytes,
}

/// A release of a package.
#[derive(Clone, Debug)]
pub struct Release {
    /// Which kind of package it is.
    pub ecosystem: Ecosystem,
    /// The package.
    pub name: String,
    /// The version.
    pub version: String,
    /// What its client sends to publish it, in this order.
    pub steps: Vec<Step>,
    /// What can then be downloaded: paths and bytes. Composer's clients find the path in the index.
    files: Vec<(String, Bytes)>,
}

/// A release's requests and files.
type Made = (Vec<Step>, Vec<(String, Bytes)>);

impl Ecosystem {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Cargo, Self::Composer, Self::Maven, Self::PyPi, Self::RubyGems];

    /// The name that people know it by.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cargo => "Cargo",
            Self::Composer => "Composer",
            Self::Maven => "Maven",
            Self::PyPi => "PyPI",
            Self::RubyGems => "RubyGems",
        }
    }

    /// A release with this payload in its archive. Names and versions must be ones that the registries take: lower-case letters,
    /// digits and hyphens, and three numbers.
    pub fn release(self, name: &str, version: &str, payload: &[u8]) -> Result<Release> {
        let (steps, files) = match self {
            Self::Cargo => cargo::release(name, version, payload)?,
            Self::Composer => composer::release(name, version, payload)?,
            Self::Maven => maven::release(name, version, payload)?,
            Self::PyPi => pypi::release(name, version, payload)?,
            Self::RubyGems => rubygems::release(name, version, payload)?,
        };
        Ok(Release { ecosystem: self, name: name.to_owned(), version: version.to_owned(), steps, files })
    }

    /// Where a registry tells a package's versions.
    pub fn index_path(self, name: &str) -> String {
        match self {
            Self::Cargo => format!("/cargo/{}", cargo::index_path(name)),
            Self::Composer => format!("/composer/p2/acme/{name}.json"),
            Self::Maven => format!("/maven/com/example/{name}/maven-metadata.xml"),
            Self::PyPi => format!("/simple/{name}/"),
            Self::RubyGems => format!("/rubygems/info/{name}"),
        }
    }
}

impl Release {
    /// What can be downloaded once the index says this: paths and bytes.
    pub fn downloads(&self, index: &str) -> Result<Vec<(String, Bytes)>> {
        let mut files = self.files.clone();
        if self.ecosystem == Ecosystem::Composer {
            for (path, _) in &mut files {
                *path = composer::archive_path(&self.name, &self.version, index)?;
            }
        }
        Ok(files)
    }

    /// Whether an index names this release.
    pub fn is_in(&self, index: &str) -> bool {
        let version = &self.version;
        match self.ecosystem {
            Ecosystem::Cargo => index.contains(&format!("\"vers\":\"{version}\"")),
            Ecosystem::Composer => index.contains(&format!("\"version\":\"{version}\"")),
            Ecosystem::Maven => index.contains(&format!("<version>{version}</version>")),
            Ecosystem::PyPi => index.contains(&format!("{}-{version}.tar.gz", pypi::normal(&self.name))),
            Ecosystem::RubyGems => index.lines().any(|line| line.starts_with(&format!("{version} "))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_the_same_again_and_its_version_tells_it_apart() {
        for ecosystem in Ecosystem::ALL {
            let make = |version, payload: &[u8]| ecosystem.release("measured-lib", version, payload).unwrap();
            let one = make("1.0.0", &[7; 500]);
            assert_eq!(one.steps, make("1.0.0", &[7; 500]).steps, "{}", ecosystem.name());
            assert_ne!(one.steps, make("1.0.1", &[7; 500]).steps, "{}", ecosystem.name());
            assert_ne!(one.files, make("1.0.0", &[8; 500]).files, "{}", ecosystem.name());
            assert!(!one.files.is_empty() && !one.is_in(""), "{}", ecosystem.name());
        }
    }

    #[test]
    fn indexes_name_releases() {
        let release = |ecosystem: Ecosystem| ecosystem.release("measured-lib", "1.0.1", b"").unwrap();
        for (ecosystem, index) in [
            (Ecosystem::Cargo, r#"{"name":"measured-lib","vers":"1.0.1"}"#),
            (Ecosystem::Composer, r#"{"packages":{"acme/measured-lib":[{"version":"1.0.1"}]}}"#),
            (Ecosystem::Maven, "<versions><version>1.0.1</version></versions>"),
            (Ecosystem::PyPi, r#"<a href="x/measured_lib-1.0.1.tar.gz">"#),
            (Ecosystem::RubyGems, "---\n1.0.1 |checksum:0"),
        ] {
            assert!(release(ecosystem).is_in(index), "{index}");
            assert!(!release(ecosystem).is_in(&index.replace("1.0.1", "11.0.11")), "{index}");
        }
    }
}
