//! Programs that come as artifacts of Maven repositories, fetched by Debian's Maven from where the user's settings have it look.

use std::fmt::{self, Write as _};
use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};
use sha2::{Digest as _, Sha256};

use super::pins::MavenPin;
use crate::workspace::must;

/// Debian's own, which needs nothing from elsewhere.
const COPY: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.5.0:copy-dependencies";

/// Maven could not fetch a program. What it printed says why.
#[derive(Debug)]
pub(super) struct OutOfReach(String);

impl fmt::Display for OutOfReach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Maven cannot fetch {} here", self.0)
    }
}

impl std::error::Error for OutOfReach {}

/// Fetches the program into `dir`: what it is made of, and `bin` with what starts it.
pub(super) fn install(pin: &MavenPin, dir: &Path) -> Result<()> {
    let lib = dir.join("fetched");
    fs::write(dir.join("pom.xml"), project(pin)?)?;
    let fetched = Command::new("/usr/bin/mvn")
        .args(["-B", "-ntp", "-q", COPY])
        .arg(format!("-DoutputDirectory={}", lib.display()))
        .arg(format!("-Dmaven.repo.local={}", dir.join("local").display()))
        .current_dir(dir)
        .stdout(io::stderr())
        .status()
        .context("could not start Debian's Maven")?;
    if !fetched.success() {
        return Err(OutOfReach(pin.artifact.clone()).into());
    }
    fs::remove_dir_all(dir.join("local"))?;
    let found = digest(&lib)?;
    if found != pin.sha256 {
        bail!("{}: what was fetched has the digest {found} instead of {}", pin.artifact, pin.sha256);
    }
    let Some(main) = &pin.main else {
        let archive = fs::read_dir(&lib)?.next().ok_or_else(|| anyhow!("nothing was fetched"))??.path();
        return must(
            Command::new("tar").arg("-xzf").arg(archive).args(["--strip-components=1", "-C"]).arg(dir),
        );
    };
    let name = dir.file_name().ok_or_else(|| anyhow!("{} has no name", dir.display()))?;
    let script = dir.join("bin").join(name);
    fs::create_dir(dir.join("bin"))?;
    fs::write(&script, format!("#!/bin/sh\nexec java -cp '{}/*' {main} \"$@\"\n", lib.display()))?;
    must(Command::new("chmod").arg("+x").arg(script))
}

/// A project that depends on the program alone.
fn project(pin: &MavenPin) -> Result<String> {
    let mut parts = pin.artifact.split(':');
    let mut next = || parts.next().filter(|part| !part.is_empty());
    let (Some(group), Some(artifact), Some(version)) = (next(), next(), next()) else {
        bail!("`{}` is not written group:artifact:version", pin.artifact);
    };
    let mut more = String::new();
    if let Some(packaging) = next() {
        write!(more, "<type>{packaging}</type>")?;
    }
    if let Some(classifier) = next() {
        write!(more, "<classifier>{classifier}</classifier>")?;
    }
    if pin.main.is_none() {
        // A distribution holds what it depends on.
        more.push_str(
            "<exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions>",
        );
    }
    Ok(format!(
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\">\n\
         <modelVersion>4.0.0</modelVersion><groupId>setup</groupId><artifactId>setup</artifactId><version>1</version><packaging>pom</packaging>\n\
         <pluginRepositories><pluginRepository><id>central</id><url>file:///usr/share/maven-repo</url>\
         <releases><checksumPolicy>ignore</checksumPolicy></releases></pluginRepository></pluginRepositories>\n\
         <dependencies><dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{version}</version>{more}</dependency></dependencies>\n\
         </project>\n"
    ))
}

/// The digest of a folder's files: of what `sha256sum *` prints there.
fn digest(dir: &Path) -> Result<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| format!("could not read {}", dir.display()))? {
        names.push(entry?.file_name());
    }
    names.sort();
    let mut listing = Sha256::new();
    for name in names {
        let mut file = Sha256::new();
        file.update(fs::read(dir.join(&name))?);
        listing.update(format!("{}  {}\n", hex(&file.finalize()), name.to_string_lossy()));
    }
    Ok(hex(&listing.finalize()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_names_the_program_and_a_distribution_nothing_else() {
        let mut pin = MavenPin {
            artifact: "com.acme:tool:1.0:tar.gz:bin".to_owned(),
            sha256: String::new(),
            main: None,
        };
        let distribution = project(&pin).unwrap();
        assert!(distribution.contains("<type>tar.gz</type><classifier>bin</classifier><exclusions>"));
        pin.artifact = "com.acme:tool:1.0".to_owned();
        pin.main = Some("acme.Main".to_owned());
        assert!(project(&pin).unwrap().contains("<version>1.0</version></dependency>"));
        for bad in ["", "tool", "com.acme:tool", "com.acme:tool:"] {
            pin.artifact = bad.to_owned();
            assert!(project(&pin).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_digest_is_that_of_a_listing() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("b"), "two").unwrap();
        fs::write(dir.path().join("a"), "one").unwrap();
        // sha256sum * | sha256sum
        assert_eq!(
            digest(dir.path()).unwrap(),
            "d17138d96382403690482a89da33475336ab36c046a6912a86badedd62301cb8"
        );
    }
}
