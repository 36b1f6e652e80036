//! A protocol's page in the documentation says which test shows what: what it names must be there.

use std::{collections::BTreeSet, fs, path::Path};

/// The table under "What is tested" of a protocol's page, beside the functions of its crate.
#[derive(Debug)]
pub struct Page {
    /// The table's lines.
    pub table: Vec<String>,
    /// The names of functions that stand in the table.
    pub named: BTreeSet<String>,
    /// All functions of the crate, its tests among them.
    pub own: BTreeSet<String>,
}

impl Page {
    /// Reads `docs/PAGE` of the workspace and the sources of the crate at `crate_dir` (`CARGO_MANIFEST_DIR`).
    pub fn read(crate_dir: &str, page: &str) -> Self {
        let crate_dir = Path::new(crate_dir);
        let text = fs::read_to_string(crate_dir.join("../../docs").join(page)).unwrap();
        let (_, rest) = text.split_once("## What is tested").unwrap();
        let table: Vec<String> =
            rest.lines().filter(|line| line.starts_with('|')).map(str::to_owned).collect();
        let named = table
            .iter()
            .flat_map(|line| line.split('`').skip(1).step_by(2))
            .filter(|name| name.contains('_') && name.bytes().all(|b| b == b'_' || b.is_ascii_alphanumeric()))
            .map(str::to_owned)
            .collect();
        let mut own = functions(&crate_dir.join("src"));
        own.extend(functions(&crate_dir.join("tests")));
        Self { table, named, own }
    }

    /// The functions of more files of the workspace, for tests of the protocol that stand elsewhere.
    pub fn functions_in(crate_dir: &str, folder: &str) -> BTreeSet<String> {
        functions(&Path::new(crate_dir).join("../..").join(folder))
    }

    /// Panics unless each test `checklist_…` that the table names is in the crate, and the other way round.
    #[track_caller]
    pub fn check(&self) {
        let is_checklist = |name: &&String| name.starts_with("checklist_");
        let missing: Vec<&String> = self.named.difference(&self.own).filter(is_checklist).collect();
        assert!(missing.is_empty(), "named, but not there: {missing:?}");
        let untold: Vec<&String> = self.own.difference(&self.named).filter(is_checklist).collect();
        assert!(untold.is_empty(), "there, but not named: {untold:?}");
    }
}

/// The functions of all Rust files below a folder.
fn functions(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(functions(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let names = text.lines().filter_map(|line| line.split_once("fn ")?.1.split_once('('));
            found.extend(names.map(|(name, _)| name.to_owned()));
        }
    }
    found
}
