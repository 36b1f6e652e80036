//! The tables of tests in the documentation are true: a test that stands in one is there, a test of a checklist's line stands in one, and
//! no line of a checklist is left out or told of twice.

use std::collections::{BTreeMap, BTreeSet};

use super::files::Text;

/// What the names of tests begin with that show a line of a protocol's checklist; the line's number follows.
const PREFIX: &str = "checklist_";

/// The page whose table goes by what is done for all protocols, and not by the lines of one checklist.
const BY_BEHAVIOUR: &str = "docs/upstreams.md";

/// The faults of the tables in `docs/`, beside the functions in all sources.
pub(super) fn check(files: &[Text]) -> Vec<String> {
    let mut written: BTreeMap<&str, &str> = BTreeMap::new();
    for file in files.iter().filter(|file| file.name.ends_with(".rs")) {
        for name in functions(&file.text) {
            written.insert(name, &file.name);
        }
    }
    let (mut faults, mut told) = (Vec::new(), BTreeSet::new());
    for page in files.iter().filter(|file| file.name.starts_with("docs/") && file.name.ends_with(".md")) {
        let named: BTreeSet<&str> = quoted(&page.text).filter(|name| is_test(name)).collect();
        for missing in named.iter().filter(|name| !written.contains_key(**name)) {
            faults.push(format!("{}: no test is called `{missing}`", page.name));
        }
        if !named.is_empty() && page.name != BY_BEHAVIOUR {
            faults.extend(lines_of(&page.text).into_iter().map(|fault| format!("{}: {fault}", page.name)));
        }
        told.extend(named);
    }
    for (name, file) in written.iter().filter(|(name, _)| !told.contains(**name)) {
        faults.push(format!("{file}: no table in docs/ has `{name}`"));
    }
    faults
}

/// The functions of a source that are named as tests of checklists are.
fn functions(source: &str) -> impl Iterator<Item = &str> {
    source
        .lines()
        .map(str::trim_start)
        .filter_map(|line| line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ")?.split_once('('))
        .map(|(name, _)| name)
        .filter(|name| is_test(name))
}

/// What stands between backticks.
fn quoted(page: &str) -> impl Iterator<Item = &str> {
    page.lines().flat_map(|line| line.split('`').skip(1).step_by(2))
}

fn is_test(name: &str) -> bool {
    name.strip_prefix(PREFIX).is_some_and(|rest| {
        rest.starts_with(|first: char| first.is_ascii_digit())
            && rest.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric())
    })
}

/// The heading over the table of a page.
const HEADING: &str = "## What is tested\n";

/// What is wrong with the numbers in the first column of a page's table: each has to be there once, from 1 to the last.
fn lines_of(page: &str) -> Vec<String> {
    let Some((_, table)) = page.split_once(HEADING) else {
        return vec![format!("tests are named, and there is no heading `{}`", HEADING.trim_end())];
    };
    let mut counts: BTreeMap<u32, u32> = BTreeMap::new();
    for row in table.lines().filter_map(|line| line.strip_prefix("| ")) {
        for number in row.split(" |").next().and_then(numbers).into_iter().flatten() {
            *counts.entry(number).or_default() += 1;
        }
    }
    let last = counts.keys().last().copied().unwrap_or_default();
    let count = |number: &u32| counts.get(number).copied().unwrap_or_default();
    (1..=last)
        .filter(|number| count(number) != 1)
        .map(|number| format!("line {number} of the checklist is in {} rows of the table", count(&number)))
        .collect()
}

/// The numbers of a cell such as `1, 3–5`. `None` where the cell says something else.
fn numbers(cell: &str) -> Option<Vec<u32>> {
    let mut all = Vec::new();
    for part in cell.split(',') {
        let (first, last) = part.trim().split_once('–').unwrap_or((part.trim(), part.trim()));
        all.extend(first.parse::<u32>().ok()?..=last.parse::<u32>().ok()?);
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults_of(page: &str, source: &str) -> Vec<String> {
        let file = |name: &str, text: &str| Text { name: name.to_owned(), text: text.to_owned() };
        check(&[file("docs/x.md", page), file("crates/x/tests/it/a.rs", source)])
    }

    const ROWS: &str = "| 404 | a status |\n\n## What is tested\n\n| line | what |\n| --- | --- |\n| 1 | `checklist_1_a`, `other_test` |\n| 2–3, 5 | – |\n| 4 | `checklist_4_b` |\n";
    const TESTS: &str =
        "#[test]\nfn checklist_1_a() {}\n    async fn checklist_4_b(x: u8) {}\nfn checklist() {}\n";

    #[test]
    fn a_page_and_the_tests_that_it_names() {
        assert_eq!(faults_of(ROWS, TESTS), [""; 0]);
        assert_eq!(faults_of(&ROWS.replace("## What is tested", "## Tests"), TESTS).len(), 1);
        assert_eq!(faults_of("no table, and `checklist_N_…`\n", "fn a() {}\n"), [""; 0]);
    }

    #[test]
    fn tests_that_are_only_named_or_only_there_are_found() {
        let fault = faults_of(ROWS, TESTS.strip_prefix("#[test]\nfn checklist_1_a() {}\n").unwrap());
        assert!(
            fault.len() == 1 && fault[0].contains("docs/x.md") && fault[0].contains("checklist_1_a"),
            "{fault:?}"
        );
        let fault = faults_of(ROWS, &format!("{TESTS}fn checklist_9_c() {{}}\n"));
        assert!(
            fault.len() == 1 && fault[0].contains("a.rs") && fault[0].contains("checklist_9_c"),
            "{fault:?}"
        );
    }

    #[test]
    fn lines_that_are_left_out_or_told_of_twice_are_found() {
        let fault = faults_of(&ROWS.replace("2–3, 5", "2, 5–6"), TESTS);
        assert!(fault.len() == 1 && fault[0].contains("line 3") && fault[0].contains("0 rows"), "{fault:?}");
        let fault = faults_of(&ROWS.replace("2–3, 5", "2–5"), TESTS);
        assert!(fault.len() == 1 && fault[0].contains("line 4") && fault[0].contains("2 rows"), "{fault:?}");
    }
}
