//! Where a storage lies, as text.

use std::{fmt, path::PathBuf, str::FromStr};

use super::StorageError;

/// Where a storage lies. Parsed from `file:PATH`, `memory:`, `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX` or
/// `az://CONTAINER/PREFIX`; shown the same way.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StorageLocation {
    /// In a bucket or container.
    Bucket {
        /// Whose.
        cloud: Cloud,
        /// Its name.
        bucket: String,
        /// What all keys begin with, without slashes at its ends; may be empty.
        prefix: String,
    },
    /// In a local folder, created where it is missing.
    Folder(PathBuf),
    /// In this process' memory.
    Memory,
}

/// A kind of bucket. Each needs the Cargo feature of the same meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cloud {
    /// Azure Blob Storage, `az://` (feature `azure`).
    Azure,
    /// Google Cloud Storage, `gs://` (feature `gcs`).
    Google,
    /// Amazon S3 and what speaks its protocol, `s3://` (feature `s3`).
    S3,
}

impl Cloud {
    /// The scheme of its URLs.
    pub const fn scheme(self) -> &'static str {
        match self {
            Self::Azure => "az",
            Self::Google => "gs",
            Self::S3 => "s3",
        }
    }
}

impl FromStr for StorageLocation {
    type Err = StorageError;

    fn from_str(text: &str) -> Result<Self, StorageError> {
        parse(text).map_err(|why| StorageError::Setup(format!("`{text}` is no storage: {why}")))
    }
}

impl fmt::Display for StorageLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bucket { cloud, bucket, prefix } if prefix.is_empty() => {
                write!(f, "{}://{bucket}", cloud.scheme())
            }
            Self::Bucket { cloud, bucket, prefix } => write!(f, "{}://{bucket}/{prefix}", cloud.scheme()),
            Self::Folder(path) => write!(f, "file:{}", path.display()),
            Self::Memory => f.write_str("memory:"),
        }
    }
}

fn parse(text: &str) -> Result<StorageLocation, &'static str> {
    const KNOWN: &str =
        "use file:PATH, memory:, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or az://CONTAINER/PREFIX";
    let (scheme, rest) = text.split_once(':').ok_or(KNOWN)?;
    let cloud = match scheme {
        "memory" => {
            return if matches!(rest, "" | "//") {
                Ok(StorageLocation::Memory)
            } else {
                Err("nothing follows memory:")
            };
        }
        "file" => {
            let path = match rest.strip_prefix("//") {
                Some(path) if !path.starts_with('/') => return Err("a folder has no host: write file:PATH"),
                Some(path) => path,
                None => rest,
            };
            return if path.is_empty() {
                Err("the path is missing: write file:PATH")
            } else {
                Ok(StorageLocation::Folder(path.into()))
            };
        }
        "az" => Cloud::Azure,
        "gs" => Cloud::Google,
        "s3" => Cloud::S3,
        _ => return Err(KNOWN),
    };
    let rest = rest.strip_prefix("//").ok_or(KNOWN)?;
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let prefix = prefix.trim_matches('/');
    if bucket.is_empty() || bucket.contains(['?', '#', '@', ':', ' ']) {
        return Err("the name of the bucket is missing or is none");
    }
    let segment_is_wrong = |segment: &str| matches!(segment, "" | "." | "..");
    if !prefix.is_empty() && (prefix.split('/').any(segment_is_wrong) || prefix.chars().any(char::is_control))
    {
        return Err("the prefix has an empty segment, one of dots alone, or control characters");
    }
    Ok(StorageLocation::Bucket { cloud, bucket: bucket.to_owned(), prefix: prefix.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, shown: Option<&str>) {
        let parsed = text.parse::<StorageLocation>();
        assert_eq!(parsed.ok().map(|location| location.to_string()).as_deref(), shown, "{text}");
    }

    #[test]
    fn locations() {
        check("file:./data", Some("file:./data"));
        check("file:/var/lib/x", Some("file:/var/lib/x"));
        check("file:///var/lib/x", Some("file:/var/lib/x"));
        check("memory:", Some("memory:"));
        check("s3://bucket", Some("s3://bucket"));
        check("s3://bucket/", Some("s3://bucket"));
        check("gs://bucket/a/b/", Some("gs://bucket/a/b"));
        check("az://container/a", Some("az://container/a"));
        for wrong in [
            "",
            "data",
            "/data",
            "file:",
            "file://host/x",
            "memory:x",
            "s3:bucket",
            "s3://",
            "s3:///x",
            "s3://b/a//b",
            "s3://b/../x",
            "s3://user@b/x",
            "ftp://x/y",
        ] {
            check(wrong, None);
        }
    }
}
