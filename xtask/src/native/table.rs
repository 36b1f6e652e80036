//! The table client × step, for the terminal and for the documentation.

use std::fmt::Write as _;
use std::time::Duration;

use super::column::{CellResult, Column};
use super::suite::Suite;
use crate::tally::Tally;

/// A suite's results.
#[derive(Debug)]
pub(crate) struct Table<'a> {
    suite: &'a Suite,
    columns: &'a [Column],
}

impl<'a> Table<'a> {
    pub(crate) fn new(suite: &'a Suite, columns: &'a [Column]) -> Self {
        Self { suite, columns }
    }

    /// How many cells passed and failed. A client's trouble beside its cells counts as one that failed.
    pub(crate) fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        for column in self.columns {
            for cell in &column.cells {
                match cell {
                    CellResult::Passed(_) => tally.passed += 1,
                    CellResult::Failed(_) => tally.failed += 1,
                    CellResult::Absent(_) | CellResult::NotInThisRun => {}
                }
            }
            match column.trouble {
                Some(_) => tally.failed += 1,
                None => tally.passed += 1,
            }
        }
        tally
    }

    /// Steps as rows, clients as columns, then each failure and each reason.
    pub(crate) fn for_terminal(&self) -> String {
        let mut out = String::new();
        let heads: Vec<String> = self
            .columns
            .iter()
            .map(|column| format!("{} {}", column.title, short(&column.version)))
            .collect();
        let first = self.suite.step.iter().map(|step| step.title.len()).max().unwrap_or(0).max(8);
        let widths: Vec<usize> = heads.iter().map(|head| head.chars().count().max(5)).collect();
        let _ = write!(out, "{:first$}", self.suite.name());
        for (head, width) in heads.iter().zip(&widths) {
            let _ = write!(out, "  {head:width$}");
        }
        out.push('\n');
        for (at, step) in self.suite.step.iter().enumerate() {
            let _ = write!(out, "{:first$}", step.title);
            for (column, width) in self.columns.iter().zip(&widths) {
                let _ =
                    write!(out, "  {:width$}", column.cells.get(at).map_or_else(String::new, terminal_mark));
            }
            out.push('\n');
        }
        let _ = write!(out, "{:first$}", "server stopped, verified");
        for (column, width) in self.columns.iter().zip(&widths) {
            let _ = write!(out, "  {:width$}", if column.trouble.is_some() { "FAIL" } else { "ok" });
        }
        out.push('\n');
        let memory: Vec<String> = self.columns.iter().map(|column| column.memory_mib.to_string()).collect();
        let _ = writeln!(out, "servers' peak memory, MiB: {}", memory.join(" "));
        for column in self.columns {
            if let Some(trouble) = &column.trouble {
                let _ = writeln!(out, "\nFAIL {}: {trouble}", column.client);
            }
            for (step, cell) in self.suite.step.iter().zip(&column.cells) {
                if let CellResult::Failed(why) = cell {
                    let _ = writeln!(out, "\nFAIL {} / {}: {why}", column.client, step.id);
                }
            }
        }
        out
    }

    /// The same as Markdown, with the versions, and the reasons of absent cells as notes.
    pub(crate) fn for_docs(&self) -> String {
        let mut out = String::from("| step |");
        for column in self.columns {
            let _ = write!(out, " {}<br>{} |", column.title, short(&column.version));
        }
        out.push_str("\n| --- |");
        out.push_str(&" --- |".repeat(self.columns.len()));
        out.push('\n');
        let mut notes: Vec<&str> = Vec::new();
        for (at, step) in self.suite.step.iter().enumerate() {
            let _ = write!(out, "| {} |", step.title);
            for column in self.columns {
                let mark = match column.cells.get(at) {
                    Some(CellResult::Passed(_)) => "✓".to_owned(),
                    Some(CellResult::Failed(_)) | None => "**✗**".to_owned(),
                    Some(CellResult::Absent(reason)) => {
                        let note = notes.iter().position(|known| known == reason).unwrap_or_else(|| {
                            notes.push(reason);
                            notes.len() - 1
                        });
                        format!("– [{}]", note + 1)
                    }
                    Some(CellResult::NotInThisRun) => "`--full`".to_owned(),
                };
                let _ = write!(out, " {mark} |");
            }
            out.push('\n');
        }
        out.push('\n');
        for (at, note) in notes.iter().enumerate() {
            let _ = writeln!(out, "{}. {note}", at + 1);
        }
        out
    }
}

fn terminal_mark(cell: &CellResult) -> String {
    match cell {
        CellResult::Passed(time) if *time >= Duration::from_secs(10) => format!("ok {}s", time.as_secs()),
        CellResult::Passed(_) => "ok".to_owned(),
        CellResult::Failed(_) => "FAIL".to_owned(),
        CellResult::Absent(_) => "–".to_owned(),
        CellResult::NotInThisRun => "full".to_owned(),
    }
}

/// The number in what a client prints as its version.
fn short(version: &str) -> &str {
    version
        .split([' ', ',', '(', '+', '~', '"'])
        .map(|word| word.trim_start_matches(['v', 'V']))
        .find(|word| word.starts_with(|first: char| first.is_ascii_digit()))
        .unwrap_or(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_shown_as_numbers() {
        assert_eq!(short("Docker version 20.10.24+dfsg1, build 297e128"), "20.10.24");
        assert_eq!(short("v4.3.1+g1234"), "4.3.1");
        assert_eq!(short("11.21.2"), "11.21.2");
        assert_eq!(short("ctr example.com/containerd/containerd 1.6.20~ds1"), "1.6.20");
        assert_eq!(short("none"), "none");
    }
}
