//! Requirements on versions: `>= 1.0, < 3`.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::version::{Version, VersionError};

/// The most conditions of a requirement.
const MAX_CONDITIONS: usize = 100;

/// The operators.
const OPERATORS: [&str; 7] = ["=", "!=", ">", "<", ">=", "<=", "~>"];

/// One condition: an operator and a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Condition {
    /// One of the seven operators.
    pub(crate) operator: &'static str,
    pub(crate) version: Version,
}

/// Conditions that must all hold, in the order of the specification. Never empty: `>= 0` holds for every version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Requirement(Vec<Condition>);

/// A text is no requirement.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum RequirementError {
    #[error("{0:?} is no operator of a requirement: use =, !=, >, <, >=, <= or ~>")]
    Operator(String),
    #[error("a requirement has at most {MAX_CONDITIONS} conditions")]
    TooMany,
    #[error("a requirement names something that is no version: {0}")]
    Version(#[from] VersionError),
}

impl Requirement {
    /// `>= 0`.
    pub(crate) fn any() -> Self {
        // The text is a version.
        Self("0".parse().map(|version| Condition { operator: ">=", version }).into_iter().collect())
    }

    /// Of conditions; none is [`Requirement::any`].
    pub(crate) fn of(conditions: Vec<Condition>) -> Result<Self, RequirementError> {
        match conditions.len() {
            0 => Ok(Self::any()),
            1..=MAX_CONDITIONS => Ok(Self(conditions)),
            _ => Err(RequirementError::TooMany),
        }
    }

    /// The conditions.
    pub(crate) fn conditions(&self) -> &[Condition] {
        &self.0
    }

    /// Whether it is `>= 0`, which indexes leave out where they can.
    pub(crate) fn is_any(&self) -> bool {
        *self == Self::any()
    }

    /// As the compact index has it: the conditions sorted as texts and joined by `&`.
    pub(crate) fn to_compact(&self) -> String {
        self.sorted("&")
    }

    /// As JSON documents have it: sorted and joined by a comma.
    pub(crate) fn to_list(&self) -> String {
        self.sorted(", ")
    }

    fn sorted(&self, separator: &str) -> String {
        let mut texts: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        texts.sort_unstable();
        texts.join(separator)
    }
}

impl Condition {
    /// Of an operator and a version's text.
    pub(crate) fn new(operator: &str, version: &str) -> Result<Self, RequirementError> {
        let known = OPERATORS.into_iter().find(|known| *known == operator.trim());
        let operator =
            known.ok_or_else(|| RequirementError::Operator(operator.chars().take(20).collect()))?;
        Ok(Self { operator, version: version.trim().parse()? })
    }
}

impl FromStr for Condition {
    type Err = RequirementError;

    fn from_str(text: &str) -> Result<Self, RequirementError> {
        let text = text.trim();
        let at = text.bytes().position(|byte| !b"=!<>~".contains(&byte)).unwrap_or(text.len());
        // The operators are ASCII.
        let (operator, version) = text.split_at(at);
        Self::new(if operator.is_empty() { "=" } else { operator }, version)
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.operator, self.version)
    }
}

impl FromStr for Requirement {
    type Err = RequirementError;

    /// Reads conditions that are separated by commas.
    fn from_str(text: &str) -> Result<Self, RequirementError> {
        if text.trim().is_empty() {
            return Ok(Self::any());
        }
        Self::of(text.split(',').take(MAX_CONDITIONS + 1).map(str::parse).collect::<Result<_, _>>()?)
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, condition) in self.0.iter().enumerate() {
            write!(f, "{}{condition}", if at == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

impl TryFrom<String> for Requirement {
    type Error = RequirementError;

    fn try_from(text: String) -> Result<Self, RequirementError> {
        text.parse()
    }
}

impl From<Requirement> for String {
    fn from(requirement: Requirement) -> Self {
        requirement.to_string()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::version::tests::any_version;

    pub(crate) fn any_requirement() -> impl Strategy<Value = Requirement> {
        let condition = (prop::sample::select(&OPERATORS), any_version())
            .prop_map(|(operator, version)| Condition { operator, version });
        prop::collection::vec(condition, 0..4).prop_map(|conditions| Requirement::of(conditions).unwrap())
    }

    #[test]
    fn checklist_30_requirements_are_rendered_as_the_index_has_them() {
        for (text, compact) in [
            (">= 1.0, < 3", "< 3&>= 1.0"),
            ("~> 13.0", "~> 13.0"),
            ("", ">= 0"),
            ("1.2", "= 1.2"),
            ("=1.2", "= 1.2"),
            (" >=1 ,  !=1.5", "!= 1.5&>= 1"),
            ("~> 2.0, >= 2.0.1, < 2.5", "< 2.5&>= 2.0.1&~> 2.0"),
        ] {
            assert_eq!(text.parse::<Requirement>().unwrap().to_compact(), compact, "{text}");
        }
        assert!(Requirement::any().is_any() && !">= 0.0".parse::<Requirement>().unwrap().is_any());
        assert_eq!(">= 1.0, < 3".parse::<Requirement>().unwrap().to_list(), "< 3, >= 1.0");
    }

    #[test]
    fn what_is_no_requirement() {
        let many = vec!["1"; MAX_CONDITIONS + 1].join(",");
        for bad in [
            "=> 1",
            ">",
            "> a",
            "== 1",
            ">= 1 2",
            ">= 1\n|checksum:0",
            ">= 1&< 2",
            ">= 1|",
            ">= 1:",
            ",",
            ">= 1,",
            "~ 1",
            ">= 1-2",
            &many,
        ] {
            assert!(bad.parse::<Requirement>().is_err(), "{bad}");
        }
        assert!(Condition::new(">= ", " 1 ").is_ok());
        assert!(Condition::new(">=\n", "1\n2").is_err());
    }

    proptest! {
        #[test]
        fn requirements_round_trip(requirement in any_requirement()) {
            let text = requirement.to_string();
            prop_assert_eq!(text.parse::<Requirement>().unwrap(), requirement.clone());
            let json = serde_json::to_string(&requirement).unwrap();
            prop_assert_eq!(serde_json::from_str::<Requirement>(&json).unwrap(), requirement);
        }

        #[test]
        fn nothing_of_the_index_is_written_by_a_requirement(text in "[=<>!~ 0-9a-z.,&|:\\n-]{0,20}") {
            if let Ok(requirement) = text.parse::<Requirement>() {
                let compact = requirement.to_compact();
                prop_assert!(!compact.contains([',', '|', ':', '\n']), "{}", compact);
                prop_assert_eq!(compact.matches('&').count() + 1, requirement.conditions().len());
            }
        }
    }
}
