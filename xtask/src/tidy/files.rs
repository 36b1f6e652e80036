//! What stands in the files: their length, paths of somebody's machine, words that mean "not finished".

use std::fs;

use anyhow::{Context, Result, bail};

use super::git;
use crate::workspace;

/// Beyond this many lines a source file wants splitting along a seam that has a name.
const MOST_LINES: usize = 750;
/// Words that mark unfinished work, split here so that this file does not hold them.
const UNFINISHED: &[&str] =
    &[concat!("FIX", "ME"), concat!("XX", "X:"), concat!("todo", "!("), concat!("unimplemented", "!(")];

/// A file of the repository that holds text.
#[derive(Debug)]
pub(super) struct Text {
    pub(super) name: String,
    pub(super) text: String,
}

/// The tracked and the new files that are text.
pub(super) fn tracked() -> Result<Vec<Text>> {
    let output = git().args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).output()?;
    if !output.status.success() {
        bail!("git ls-files failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let mut files = Vec::new();
    for name in String::from_utf8_lossy(&output.stdout).split('\0').filter(|name| !name.is_empty()) {
        let path = workspace::root().join(name);
        if !path.is_file() {
            continue;
        }
        let bytes = fs::read(&path).with_context(|| format!("could not read {name}"))?;
        if let Ok(text) = String::from_utf8(bytes) {
            files.push(Text { name: name.to_owned(), text });
        }
    }
    Ok(files)
}

/// The faults in these files.
pub(super) fn check(files: &[Text]) -> Vec<String> {
    let mut faults = Vec::new();
    let root = workspace::root();
    let parent = root.parent().map(|parent| format!("{}/", parent.display())).unwrap_or_default();
    let home =
        std::env::var("HOME").map(|home| format!("{}/", home.trim_end_matches('/'))).unwrap_or_default();
    let places: Vec<String> =
        [format!("{}/", root.display()), parent, home].into_iter().filter(|place| place.len() > 3).collect();
    for file in files {
        let rust = file.name.ends_with(".rs");
        let lines = file.text.lines().count();
        if rust && lines > MOST_LINES {
            faults.push(format!("{}: {lines} lines; split it along a seam that has a name", file.name));
        }
        for (at, line) in file.text.lines().enumerate() {
            let here = || format!("{}:{}", file.name, at + 1);
            if places.iter().any(|place| line.contains(place.as_str())) {
                faults.push(format!("{}: a path of this machine", here()));
            }
            if rust && UNFINISHED.iter().any(|word| line.contains(word)) {
                faults.push(format!("{}: a mark of unfinished work", here()));
            }
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults_of(name: &str, text: &str) -> usize {
        check(&[Text { name: name.to_owned(), text: text.to_owned() }]).len()
    }

    #[test]
    fn long_files_and_unfinished_work_are_found() {
        assert_eq!(faults_of("a.rs", "fn a() {}\n"), 0);
        assert_eq!(faults_of("a.rs", &"\n".repeat(MOST_LINES + 1)), 1);
        assert_eq!(faults_of("a.md", &"\n".repeat(MOST_LINES + 1)), 0);
        assert_eq!(faults_of("a.rs", &format!("// {} later\n", UNFINISHED[0])), 1);
    }

    #[test]
    fn a_path_of_this_machine_is_found() {
        let path = workspace::root().join("x");
        assert_eq!(faults_of("a.md", &format!("see {}\n", path.display())), 1);
    }
}
