//! docs/pypi.md says which test shows what: what it names is there, and what is there it names.

use std::{collections::BTreeSet, fs, path::Path};

/// The functions of all Rust files below a folder.
fn functions(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            functions(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let names = text.lines().filter_map(|line| line.split_once("fn ")?.1.split_once('('));
            found.extend(names.map(|(name, _)| name.to_owned()));
        }
    }
}

#[test]
fn every_test_that_the_page_names_is_there() {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(own.join("../../docs/pypi.md")).unwrap();
    let (_, table) = page.split_once("## What is tested").unwrap();
    let named: BTreeSet<String> = table
        .lines()
        .filter(|line| line.starts_with('|'))
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .filter(|name| name.starts_with("checklist_"))
        .map(str::to_owned)
        .collect();
    let mut all = BTreeSet::new();
    functions(&own.join("src"), &mut all);
    functions(&own.join("tests"), &mut all);
    let missing: Vec<&String> = named.difference(&all).collect();
    assert!(missing.is_empty(), "named, but not there: {missing:?}");
    let untold: Vec<&String> =
        all.iter().filter(|name| name.starts_with("checklist_") && !named.contains(*name)).collect();
    assert!(untold.is_empty(), "there, but not named: {untold:?}");
}
