//! Project files (POMs): what they say of themselves.

use serde::{Deserialize, Serialize};

use super::xml::{XmlError, walk};
use crate::names::{ArtifactName, VersionName};

/// The longest text that is kept of a POM, in characters.
const MAX_SUMMARY: usize = 512;

/// What a POM says of its project.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pom {
    group: Option<String>,
    artifact: Option<String>,
    version: Option<String>,
    parent_group: Option<String>,
    parent_version: Option<String>,
    packaging: Option<String>,
    name: Option<String>,
    description: Option<String>,
}

/// What is kept of a POM.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Project {
    /// `jar` where the POM says nothing.
    pub(crate) packaging: String,
    /// The name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// What it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
}

impl Project {
    /// Whether it is a plugin of Maven.
    pub(crate) fn is_plugin(&self) -> bool {
        self.packaging == "maven-plugin"
    }
}

impl Pom {
    /// Reads a POM.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, XmlError> {
        let mut pom = Self::default();
        walk(bytes, "project", |path, text| {
            let place = match path {
                ["project", "groupId"] => &mut pom.group,
                ["project", "artifactId"] => &mut pom.artifact,
                ["project", "version"] => &mut pom.version,
                ["project", "parent", "groupId"] => &mut pom.parent_group,
                ["project", "parent", "version"] => &mut pom.parent_version,
                ["project", "packaging"] => &mut pom.packaging,
                ["project", "name"] => &mut pom.name,
                ["project", "description"] => &mut pom.description,
                _ => return,
            };
            if !text.is_empty() {
                *place = Some(text.to_owned());
            }
        })?;
        Ok(pom)
    }

    /// What is kept of it.
    pub(crate) fn project(&self) -> Project {
        let line = |text: &Option<String>| {
            let words: Vec<&str> = text.as_ref()?.split_whitespace().collect();
            let line: String = words.join(" ").chars().take(MAX_SUMMARY).collect();
            (!line.is_empty()).then_some(line)
        };
        Project {
            packaging: self.packaging.as_ref().map_or("jar", |text| text.as_str()).chars().take(64).collect(),
            name: line(&self.name),
            description: line(&self.description),
        }
    }

    /// What it says of its coordinates that is not so, as a sentence. What it leaves to its parent counts as the parent's; what holds
    /// a `${…}` is not compared.
    pub(crate) fn contradicts(&self, version: &VersionName) -> Option<String> {
        let artifact: &ArtifactName = version.artifact();
        let group = self.group.as_ref().or(self.parent_group.as_ref());
        let own_version = self.version.as_ref().or(self.parent_version.as_ref());
        for (what, said, is) in [
            ("groupId", group, artifact.group()),
            ("artifactId", self.artifact.as_ref(), artifact.artifact()),
            ("version", own_version, version.version()),
        ] {
            match said {
                None => return Some(format!("the POM has no {what}")),
                Some(said) if said.contains("${") || said == is => {}
                Some(said) => {
                    let said: String = said.chars().take(100).collect();
                    return Some(format!("the POM's {what} is {said:?}, the path's is {is:?}"));
                }
            }
        }
        None
    }
}

/// The prefix that goals of a plugin have where nobody says another: its artifact's name without the words that mean a plugin.
pub(crate) fn goal_prefix(artifact: &str) -> &str {
    if artifact == "maven-plugin-plugin" {
        return "plugin";
    }
    let short = match artifact.strip_prefix("maven-").and_then(|rest| rest.strip_suffix("-plugin")) {
        Some(short) => short,
        None => artifact.strip_suffix("-maven-plugin").unwrap_or(artifact),
    };
    if short.is_empty() { artifact } else { short }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const POM: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <parent><groupId>com.acme</groupId><artifactId>parent</artifactId><version>7</version></parent>
  <artifactId>lib</artifactId>
  <name> A &amp; B </name>
  <description>one
    two</description>
  <dependencies><dependency><groupId>x</groupId><artifactId>y</artifactId><version>1</version></dependency></dependencies>
</project>"#;

    fn version(text: &str) -> VersionName {
        VersionName::new("com.acme:lib".parse().unwrap(), text).unwrap()
    }

    #[test]
    fn what_a_pom_says_of_itself() {
        let pom = Pom::parse(POM.as_bytes()).unwrap();
        let project = pom.project();
        assert_eq!(project.packaging, "jar");
        assert!(!project.is_plugin());
        assert_eq!(project.name.as_deref(), Some("A & B"));
        assert_eq!(project.description.as_deref(), Some("one two"));
        assert_eq!(pom.contradicts(&version("7")), None);
        assert!(pom.contradicts(&version("8")).unwrap().contains("version is \"7\""));
        let plugin = Pom::parse(b"<project><packaging>maven-plugin</packaging></project>").unwrap();
        assert!(plugin.project().is_plugin());
        assert_eq!(plugin.contradicts(&version("7")).unwrap(), "the POM has no groupId");
        assert!(Pom::parse(b"<metadata/>").is_err());
    }

    #[test]
    fn placeholders_are_not_compared() {
        let text = "<project><groupId>com.acme</groupId><artifactId>lib</artifactId><version>${revision}</version></project>";
        assert_eq!(Pom::parse(text.as_bytes()).unwrap().contradicts(&version("7")), None);
    }

    #[test]
    fn prefixes_of_goals() {
        for (artifact, prefix) in [
            ("maven-demo-plugin", "demo"),
            ("demo-maven-plugin", "demo"),
            ("maven-plugin-plugin", "plugin"),
            ("demo", "demo"),
            ("maven-plugin", "maven-plugin"),
            ("-maven-plugin", "-maven-plugin"),
        ] {
            assert_eq!(goal_prefix(artifact), prefix);
        }
    }

    proptest! {
        #[test]
        fn what_is_kept_is_bounded(name in "\\PC{0,600}", packaging in "\\PC{0,100}") {
            let text = format!(
                "<project><packaging>{}</packaging><name>{}</name></project>",
                registry_core::http::escape_html(&packaging), registry_core::http::escape_html(&name)
            );
            let project = Pom::parse(text.as_bytes()).unwrap().project();
            prop_assert!(project.name.unwrap_or_default().chars().count() <= MAX_SUMMARY);
            prop_assert!(project.packaging.chars().count() <= 64);
        }
    }
}
