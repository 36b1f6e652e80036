//! `checksums.yaml.gz`: the digests of a gem's parts.

use super::yaml::{Node, YamlError, parse_mapping};

/// The digests of one part, in hex.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PartDigests {
    pub(crate) sha256: String,
    pub(crate) sha512: String,
}

/// Why the checksums are refused. The sentences are for the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ChecksumsError {
    #[error("checksums.yaml has no SHA256 of {0}")]
    Missing(&'static str),
    #[error("the {algorithm} of {part} is not what checksums.yaml says: the gem is damaged, build it again")]
    Mismatch { algorithm: &'static str, part: &'static str },
    #[error("checksums.yaml: {0}")]
    Yaml(#[from] YamlError),
}

/// Compares the parts with what `checksums.yaml` says of them. SHA256 must be there; SHA512 may.
pub(crate) fn check(text: &str, parts: &[(&'static str, PartDigests)]) -> Result<(), ChecksumsError> {
    let node = parse_mapping(text, |key| matches!(key, "SHA256" | "SHA512"))?;
    for (part, digests) in parts {
        let said = |algorithm: &str| node.get(algorithm).and_then(|of| of.get(part)).and_then(Node::text);
        let sha256 = said("SHA256").ok_or(ChecksumsError::Missing(part))?;
        for (algorithm, said, found) in
            [("SHA256", Some(sha256), &digests.sha256), ("SHA512", said("SHA512"), &digests.sha512)]
        {
            if said.is_some_and(|said| !said.eq_ignore_ascii_case(found)) {
                return Err(ChecksumsError::Mismatch { algorithm, part });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts() -> Vec<(&'static str, PartDigests)> {
        let digests = |of: &str| PartDigests { sha256: of.repeat(64), sha512: of.repeat(128) };
        vec![("metadata.gz", digests("a")), ("data.tar.gz", digests("b"))]
    }

    fn text(metadata: &str, data: &str, sha512: &str) -> String {
        format!(
            "---\nSHA256:\n  metadata.gz: {metadata}\n  data.tar.gz: {data}\nSHA512:\n  metadata.gz: {sha512}\n  data.tar.gz: {}\n",
            "b".repeat(128)
        )
    }

    #[test]
    fn right_and_wrong_digests() {
        let (a, b) = ("a".repeat(64), "b".repeat(64));
        let long = "a".repeat(128);
        check(&text(&a, &b, &long), &parts()).unwrap();
        check(&text(&a.to_uppercase(), &b, &long), &parts()).unwrap();
        check(&format!("SHA256:\n  metadata.gz: {a}\n  data.tar.gz: {b}\n"), &parts()).unwrap();
        let mismatch = |algorithm, part| Err(ChecksumsError::Mismatch { algorithm, part });
        assert_eq!(check(&text(&b, &b, &long), &parts()), mismatch("SHA256", "metadata.gz"));
        assert_eq!(check(&text(&a, &a, &long), &parts()), mismatch("SHA256", "data.tar.gz"));
        assert_eq!(check(&text(&a, &b, &a), &parts()), mismatch("SHA512", "metadata.gz"));
        let missing = check(&format!("SHA256:\n  metadata.gz: {a}\n"), &parts());
        assert_eq!(missing, Err(ChecksumsError::Missing("data.tar.gz")));
        assert!(check("SHA256: &x {}\n", &parts()).is_err());
        assert!(check("- 1\n", &parts()).is_err());
    }
}
