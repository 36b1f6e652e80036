//! Comparing what was published with what arrived: files byte by byte, folders file by file.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

/// Fails unless both sides hold the same bytes.
///
/// Of two folders, all that the left one holds must be in the right one, and nothing else; links are followed, and a
/// folder without a file counts as a mistake in the suite.
pub(crate) fn compare(left: &Path, right: &Path) -> Result<()> {
    let (ours, theirs) = (digests(left)?, digests(right)?);
    if ours.is_empty() {
        bail!("{} holds no file", left.display());
    }
    for (name, digest) in &ours {
        match theirs.get(name) {
            None => bail!("{} is missing in {}", name.display(), right.display()),
            Some(other) if other != digest => {
                bail!("{} differs between {} and {}", name.display(), left.display(), right.display());
            }
            Some(_) => {}
        }
    }
    if let Some(extra) = theirs.keys().find(|name| !ours.contains_key(*name)) {
        bail!("{} is in {}, but not in {}", extra.display(), right.display(), left.display());
    }
    Ok(())
}

fn digests(at: &Path) -> Result<BTreeMap<PathBuf, [u8; 32]>> {
    let mut found = BTreeMap::new();
    collect(at, Path::new(""), &mut found).with_context(|| format!("could not read {}", at.display()))?;
    Ok(found)
}

fn collect(at: &Path, name: &Path, found: &mut BTreeMap<PathBuf, [u8; 32]>) -> Result<()> {
    if fs::metadata(at)?.is_dir() {
        for entry in fs::read_dir(at)? {
            let entry = entry?;
            collect(&entry.path(), &name.join(entry.file_name()), found)?;
        }
    } else {
        let mut hash = Sha256::new();
        std::io::copy(&mut fs::File::open(at)?, &mut HashWriter(&mut hash))?;
        found.insert(name.to_path_buf(), hash.finalize().into());
    }
    Ok(())
}

struct HashWriter<'a>(&'a mut Sha256);

impl std::io::Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_the_same_only_when_every_file_is() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for side in ["a/in", "b/in"] {
            fs::create_dir_all(at(side)).unwrap();
            fs::write(at(side).join("x"), b"one").unwrap();
        }
        compare(&at("a"), &at("b")).unwrap();
        compare(&at("a/in/x"), &at("b/in/x")).unwrap();
        fs::write(at("b/more"), b"").unwrap();
        assert!(compare(&at("a"), &at("b")).unwrap_err().to_string().contains("more is in"));
        fs::write(at("a/more"), b"!").unwrap();
        assert!(compare(&at("a"), &at("b")).unwrap_err().to_string().contains("differs"));
        fs::remove_file(at("b/more")).unwrap();
        assert!(compare(&at("a"), &at("b")).unwrap_err().to_string().contains("missing"));
        fs::create_dir(at("empty")).unwrap();
        assert!(compare(&at("empty"), &at("empty")).is_err());
        assert!(compare(&at("nowhere"), &at("a")).is_err());
    }
}
