//! docs/npm.md says which test shows what: what it names is there, and what is there it names.

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
    let root = own.join("../..");
    let page = fs::read_to_string(root.join("docs/npm.md")).unwrap();
    let (_, table) = page.split_once("## What is tested").unwrap();
    let named: BTreeSet<String> = table
        .lines()
        .filter(|line| line.starts_with('|'))
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .filter(|name| name.contains('_') && name.bytes().all(|b| b == b'_' || b.is_ascii_alphanumeric()))
        .map(str::to_owned)
        .collect();
    let mut own_functions = BTreeSet::new();
    functions(&own.join("src"), &mut own_functions);
    functions(&own.join("tests"), &mut own_functions);
    let mut all = own_functions.clone();
    functions(&root.join("tests/it"), &mut all);
    functions(&root.join("crates/smartregistry/src"), &mut all);
    let missing: Vec<&String> = named.difference(&all).collect();
    assert!(missing.is_empty(), "named, but not there: {missing:?}");
    let untold: Vec<&String> = own_functions
        .iter()
        .filter(|name| name.starts_with("checklist_") && !named.contains(*name))
        .collect();
    assert!(untold.is_empty(), "there, but not named: {untold:?}");
    for number in 1..=60 {
        let row = |line: &&str| {
            let ranges = line.trim_start_matches('|').split('|').next().unwrap_or_default();
            ranges.split(',').any(|range| {
                let mut ends = range.trim().split('–').map(|end| end.parse::<u32>().unwrap_or(0));
                let first = ends.next().unwrap_or(0);
                (first..=ends.next().unwrap_or(first)).contains(&number)
            })
        };
        assert_eq!(
            table.lines().filter(|line| line.starts_with('|')).filter(row).count(),
            1,
            "line {number}"
        );
    }
}
