//! docs/npm.md says which test shows what: what it names is there, and what is there it names.

use registry_core::testing::Page;

#[test]
fn every_test_that_the_page_names_is_there() {
    let own = env!("CARGO_MANIFEST_DIR");
    let page = Page::read(own, "npm.md");
    page.check();
    let mut all = page.own.clone();
    for folder in ["tests/it", "crates/smartregistry/src"] {
        all.extend(Page::functions_in(own, folder));
    }
    let missing: Vec<&String> = page.named.difference(&all).collect();
    assert!(missing.is_empty(), "named, but not there: {missing:?}");
    for number in 1..=60 {
        let row = |line: &str| {
            let ranges = line.trim_start_matches('|').split('|').next().unwrap_or_default();
            ranges.split(',').any(|range| {
                let mut ends = range.trim().split('–').map(|end| end.parse::<u32>().unwrap_or(0));
                let first = ends.next().unwrap_or(0);
                (first..=ends.next().unwrap_or(first)).contains(&number)
            })
        };
        assert_eq!(page.table.iter().filter(|line| row(line)).count(), 1, "line {number}");
    }
}
