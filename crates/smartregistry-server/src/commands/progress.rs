//! How far long work is, for people at a terminal.

use std::{io::IsTerminal, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};
use smartregistry::core::maintenance::Report;

/// How often the counts are shown anew.
const EVERY: Duration = Duration::from_millis(100);

/// Does some work, and shows on a terminal what its report has counted meanwhile.
pub(crate) async fn show<T>(what: &str, report: &Report, work: impl Future<Output = T>) -> T {
    if !std::io::stderr().is_terminal() {
        return work.await;
    }
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix}: {msg} ({elapsed})") {
        bar.set_style(style);
    }
    bar.set_prefix(what.to_owned());
    let mut work = std::pin::pin!(work);
    let mut tick = tokio::time::interval(EVERY);
    let done = loop {
        tokio::select! {
            done = work.as_mut() => break done,
            _ = tick.tick() => {
                bar.set_message(counts(report));
                bar.tick();
            }
        }
    };
    bar.finish_and_clear();
    done
}

fn counts(report: &Report) -> String {
    let (removed, bytes) = report.removed_count();
    let faults = report.faults().len();
    let mut parts = vec![format!("{} examined", report.examined_count())];
    if removed > 0 {
        parts.push(format!("{removed} to remove ({bytes} bytes)"));
    }
    if faults > 0 {
        parts.push(format!("{faults} faults"));
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_tell_only_what_there_is() {
        let report = Report::default();
        report.examined();
        assert_eq!(counts(&report), "1 examined");
        report.removed("npm/packages/lib/x~1", 10);
        report.fault("npm/packages/lib/x~2: gone");
        assert_eq!(counts(&report), "1 examined, 1 to remove (10 bytes), 1 faults");
    }
}
