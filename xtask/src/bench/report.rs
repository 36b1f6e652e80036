//! Results: medians with their spread, goals, and the page in the documentation.

use std::{fmt::Write as _, fs, path::PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::load::Sample;
use crate::workspace;

/// What one scenario found.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) scenario: String,
    pub(crate) title: String,
    pub(crate) machine: Vec<(String, String)>,
    pub(crate) rows: Vec<Row>,
    pub(crate) goals: Vec<Goal>,
    /// Sentences under the table.
    pub(crate) notes: Vec<String>,
    /// A table of its own form, where rows do not fit: a header and lines.
    pub(crate) table: Vec<Vec<String>>,
}

/// One server in one case, over all runs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) case: String,
    pub(crate) server: String,
    pub(crate) samples: Vec<Sample>,
    /// Whether throughput says more than operations a second.
    pub(crate) in_bytes: bool,
    /// How far the peak of its memory lay above its idle memory, in MiB.
    pub(crate) growth_mib: Option<f64>,
}

/// A figure that is to be reached: one value for each run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Goal {
    pub(crate) name: String,
    pub(crate) values: Vec<f64>,
    pub(crate) wanted: f64,
    /// Whether more is better.
    pub(crate) at_least: bool,
    pub(crate) unit: String,
}

/// Median, smallest and largest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Spread {
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_unstable_by(f64::total_cmp);
        let at = |index: usize| sorted.get(index).copied().unwrap_or_default();
        let last = sorted.len().saturating_sub(1);
        Self { median: f64::midpoint(at(last / 2), at(sorted.len() / 2)), least: at(0), most: at(last) }
    }
}

impl Goal {
    /// A ratio of ours to the limit's, run by run.
    pub(crate) fn ratio(
        name: impl Into<String>,
        ours: &[Sample],
        limit: &[Sample],
        wanted: f64,
        measure: impl Fn(&Sample, &Sample) -> f64,
    ) -> Self {
        let values = ours.iter().zip(limit).map(|(ours, limit)| measure(ours, limit)).collect();
        Self { name: name.into(), values, wanted, at_least: true, unit: "×".to_owned() }
    }

    /// A figure that must not be exceeded.
    pub(crate) fn at_most(name: impl Into<String>, values: Vec<f64>, wanted: f64, unit: &str) -> Self {
        Self { name: name.into(), values, wanted, at_least: false, unit: unit.to_owned() }
    }

    pub(crate) fn met(&self) -> bool {
        let median = Spread::of(self.values.iter().copied()).median;
        !self.values.is_empty() && if self.at_least { median >= self.wanted } else { median <= self.wanted }
    }
}

/// The limit's processor time an operation over ours: 1 or more means that we need no more.
pub(crate) fn cpu_ratio(ours: &Sample, limit: &Sample) -> f64 {
    over(limit.cpu_micros(), ours.cpu_micros())
}

/// Our rate over the limit's.
pub(crate) fn rate_ratio(ours: &Sample, limit: &Sample) -> f64 {
    over(ours.rate(), limit.rate())
}

/// Our throughput over the limit's.
pub(crate) fn throughput_ratio(ours: &Sample, limit: &Sample) -> f64 {
    over(ours.throughput(), limit.throughput())
}

pub(crate) fn over(a: f64, b: f64) -> f64 {
    if b > 0.0 { a / b } else { 0.0 }
}

impl Outcome {
    /// The scenario's section.
    pub(crate) fn markdown(&self) -> String {
        let mut text = format!("### {} (`{}`)\n\n", self.title, self.scenario);
        if !self.rows.is_empty() {
            text.push_str("| case | server | rate | CPU an operation | p50 | p99 | memory above idle |\n");
            text.push_str("|---|---|--:|--:|--:|--:|--:|\n");
        }
        for row in &self.rows {
            let rate = if row.in_bytes {
                spread(row.samples.iter().map(Sample::throughput), "MiB/s")
            } else {
                spread(row.samples.iter().map(Sample::rate), "/s")
            };
            let cpu = spread(row.samples.iter().map(Sample::cpu_micros), "µs");
            let p50 = Spread::of(row.samples.iter().map(|s| s.p50_micros)).median;
            let p99 = Spread::of(row.samples.iter().map(|s| s.p99_micros)).median;
            let growth = row.growth_mib.map_or_else(String::new, |mib| format!("{} MiB", number(mib)));
            let _ = writeln!(
                text,
                "| {} | {} | {rate} | {cpu} | {} µs | {} µs | {growth} |",
                row.case,
                row.server,
                number(p50),
                number(p99)
            );
        }
        for (at, line) in self.table.iter().enumerate() {
            let _ = writeln!(text, "| {} |", line.join(" | "));
            if at == 0 {
                let _ = writeln!(text, "|{}", "---|".repeat(line.len()));
            }
        }
        if !self.goals.is_empty() {
            text.push_str("\n| goal | wanted | measured | |\n|---|--:|--:|---|\n");
        }
        for goal in &self.goals {
            let sign = if goal.at_least { "≥" } else { "≤" };
            let _ = writeln!(
                text,
                "| {} | {sign} {} {} | {} | {} |",
                goal.name,
                number(goal.wanted),
                goal.unit,
                spread(goal.values.iter().copied(), &goal.unit),
                if goal.met() { "met" } else { "**not met**" }
            );
        }
        for note in &self.notes {
            let _ = write!(text, "\n{note}\n");
        }
        text.push('\n');
        text
    }

    /// Keeps the outcome for the page, in place of an earlier one.
    pub(crate) fn save(&self) -> Result<()> {
        let file = folder()?.join(format!("{}.json", self.scenario));
        fs::write(&file, serde_json::to_vec_pretty(self)?)
            .with_context(|| format!("could not write {}", file.display()))
    }

    /// The kept outcome of a scenario.
    pub(crate) fn load(scenario: &str) -> Option<Self> {
        let bytes = fs::read(folder().ok()?.join(format!("{scenario}.json"))).ok()?;
        serde_json::from_slice(&bytes).ok()
    }
}

fn folder() -> Result<PathBuf> {
    let dir = workspace::target().join("xtask").join("bench-results");
    fs::create_dir_all(&dir)?;
    Ok(dir)
}

/// `median (least–most) unit`.
fn spread(values: impl IntoIterator<Item = f64>, unit: &str) -> String {
    let found = Spread::of(values);
    let (low, high) = (number(found.least), number(found.most));
    let range = if low == high { String::new() } else { format!(" ({low}–{high})") };
    format!("{}{range} {unit}", number(found.median))
}

/// Three significant digits, thousands apart.
pub(crate) fn number(value: f64) -> String {
    let digits = match value.abs() {
        v if v >= 100.0 || v == 0.0 => 0,
        v if v >= 10.0 => 1,
        _ => 2,
    };
    let text = format!("{value:.digits$}");
    let (whole, rest) =
        text.split_once('.').map_or((text.as_str(), String::new()), |(w, r)| (w, format!(".{r}")));
    let mut grouped = String::new();
    for (at, digit) in whole.chars().enumerate() {
        let left = whole.len() - at;
        if at > 0 && left.is_multiple_of(3) && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + &rest
}

/// Writes docs/benchmarks.md from all outcomes that are kept, in this order.
pub(crate) fn write_page(scenarios: &[&str], versions: &[(String, String)]) -> Result<()> {
    let outcomes: Vec<Outcome> = scenarios.iter().filter_map(|name| Outcome::load(name)).collect();
    let mut text = String::from(include_str!("benchmarks.head.md"));
    text.push_str("\n## The machine\n\n| | |\n|---|---|\n");
    for (name, value) in outcomes.last().map(|outcome| outcome.machine.as_slice()).unwrap_or_default() {
        let _ = writeln!(text, "| {name} | {value} |");
    }
    for (name, value) in versions {
        let _ = writeln!(text, "| {name} | {value} |");
    }
    text.push_str("\n## Goals\n\n| scenario | goal | wanted | measured | |\n|---|---|--:|--:|---|\n");
    for outcome in &outcomes {
        for goal in &outcome.goals {
            let _ = writeln!(
                text,
                "| `{}` | {} | {} {} {} | {} | {} |",
                outcome.scenario,
                goal.name,
                if goal.at_least { "≥" } else { "≤" },
                number(goal.wanted),
                goal.unit,
                spread(goal.values.iter().copied(), &goal.unit),
                if goal.met() { "met" } else { "**not met**" }
            );
        }
    }
    text.push('\n');
    text.push_str(include_str!("benchmarks.reasons.md"));
    text.push_str("## Scenarios\n\n");
    for outcome in &outcomes {
        text.push_str(&outcome.markdown());
    }
    let text = format!("{}\n", text.trim_end());
    fs::write(workspace::root().join("docs/benchmarks.md"), text)
        .context("could not write docs/benchmarks.md")?;
    println!("docs/benchmarks.md is up to date");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_odd_and_even_counts() {
        assert_eq!(Spread::of([3.0, 1.0, 2.0]), Spread { median: 2.0, least: 1.0, most: 3.0 });
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 3.0]).median, 2.5);
        assert_eq!(Spread::of([]).median, 0.0);
    }

    #[test]
    fn numbers_have_three_digits() {
        for (value, want) in [
            (0.0, "0"),
            (1.234, "1.23"),
            (12.34, "12.3"),
            (123.4, "123"),
            (1234.5, "1,234"),
            (1_234_567.0, "1,234,567"),
            (-1234.0, "-1,234"),
        ] {
            assert_eq!(number(value), want);
        }
    }

    #[test]
    fn a_goal_is_judged_by_its_median() {
        let sample = |cpu| Sample { operations: 10, seconds: 1.0, cpu_seconds: cpu, ..Sample::default() };
        let ours = [sample(1.0), sample(2.0), sample(1.0)];
        let limit = [sample(1.1), sample(1.0), sample(1.2)];
        let goal = Goal::ratio("x", &ours, &limit, 1.0, cpu_ratio);
        assert!(goal.met());
        assert_eq!(goal.values.len(), 3);
        assert!(!Goal::ratio("x", &ours, &limit, 1.15, cpu_ratio).met());
        assert!(Goal::at_most("y", vec![3.0, 4.0, 50.0], 4.0, "MiB").met());
        assert!(!Goal::at_most("y", vec![], 4.0, "MiB").met());
    }
}
