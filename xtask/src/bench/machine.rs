//! The machine: which core runs what, and what a process has used of it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result};

use crate::workspace;

/// How long a tick of `/proc/PID/stat` is: 100 a second on every Linux.
const TICK: Duration = Duration::from_millis(10);

/// Who runs on which core. Servers have one, the load generator another, so that neither takes time from the other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cores {
    pinned: bool,
}

impl Cores {
    /// Pins this process to the second core where there are two and util-linux's `taskset` is installed.
    pub(crate) fn claim() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let own = std::process::id().to_string();
        let pinned = cores >= 2
            && Command::new("taskset")
                .args(["--all-tasks", "--pid", "--cpu-list", "1", &own])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success());
        Self { pinned }
    }

    /// A command for a server: on the first core.
    pub(crate) fn server(self, program: &Path) -> Command {
        if !self.pinned {
            return Command::new(program);
        }
        let mut command = Command::new("taskset");
        command.args(["--cpu-list", "0"]).arg(program);
        command
    }

    /// What the report says of it.
    pub(crate) fn description(self) -> &'static str {
        if self.pinned {
            "servers on core 0, load generator on core 1"
        } else {
            "servers and load generator not pinned"
        }
    }
}

/// What a server has used so far: its whole process group, since some servers are several processes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    /// From the scheduler, exact, but without threads that have ended.
    live: Duration,
    /// In ticks, threads that have ended included.
    ticks: Duration,
    /// Bytes handed to write calls.
    pub(crate) written: u64,
}

impl Usage {
    /// Reads it for the group that the process `leader` leads.
    pub(crate) fn of(leader: u32) -> Self {
        let mut sum = Self::default();
        for pid in group(leader) {
            let dir = PathBuf::from(format!("/proc/{pid}"));
            sum.ticks += ticks(&dir).unwrap_or_default();
            sum.live += live(&dir);
            sum.written += field(&dir.join("io"), "wchar:").unwrap_or_default();
        }
        sum
    }

    /// The processor time of this process.
    pub(crate) fn of_self() -> Duration {
        ticks(Path::new("/proc/self")).unwrap_or_default()
    }

    /// The processor time since `earlier`.
    pub(crate) fn cpu_since(&self, earlier: &Self) -> Duration {
        let ticks = self.ticks.saturating_sub(earlier.ticks);
        let live = self.live.saturating_sub(earlier.live);
        // The exact figure, unless threads have ended and taken theirs with them.
        if live.abs_diff(ticks) <= 3 * TICK { live } else { ticks }
    }
}

/// Memory of a process group, in KiB.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    pub(crate) resident: u64,
    pub(crate) peak: u64,
}

impl Memory {
    /// Reads it for the group that the process `leader` leads.
    pub(crate) fn of(leader: u32) -> Self {
        let mut sum = Self { resident: 0, peak: 0 };
        for pid in group(leader) {
            let status = PathBuf::from(format!("/proc/{pid}/status"));
            sum.resident += field(&status, "VmRSS:").unwrap_or_default();
            sum.peak += field(&status, "VmHWM:").unwrap_or_default();
        }
        sum
    }

    /// Lets the peaks begin anew at what is resident now.
    pub(crate) fn reset_peak(leader: u32) {
        for pid in group(leader) {
            // Without the right to do so the peak is that of the whole run, which is no less than the scenario's.
            let _ = fs::write(format!("/proc/{pid}/clear_refs"), "5");
        }
    }
}

/// The processes of a group.
fn group(leader: u32) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return vec![leader] };
    entries
        .filter_map(Result::ok)
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat_field(&stat, 5) == Some(u64::from(leader))
        })
        .collect()
}

fn ticks(dir: &Path) -> Option<Duration> {
    let stat = fs::read_to_string(dir.join("stat")).ok()?;
    let ticks = stat_field(&stat, 14)? + stat_field(&stat, 15)?;
    Some(TICK * u32::try_from(ticks).ok()?)
}

fn live(dir: &Path) -> Duration {
    let Ok(tasks) = fs::read_dir(dir.join("task")) else { return Duration::ZERO };
    tasks
        .filter_map(Result::ok)
        .filter_map(|task| fs::read_to_string(task.path().join("schedstat")).ok())
        .filter_map(|text| text.split_whitespace().next()?.parse().ok())
        .map(Duration::from_nanos)
        .sum()
}

/// A field of `/proc/PID/stat` by its number in proc(5). The second, the name, may hold anything.
fn stat_field(stat: &str, number: usize) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_whitespace().nth(number.checked_sub(3)?)?.parse().ok()
}

/// The first number of a line of a file that begins with `name`.
fn field(file: &Path, name: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The machine, a line a fact, for the report.
pub(crate) fn describe(cores: Cores, scratch: &Path) -> Result<Vec<(String, String)>> {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").context("could not read /proc/cpuinfo")?;
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or("unknown", |(_, name)| name.trim());
    let count = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let memory = field(Path::new("/proc/meminfo"), "MemTotal:").unwrap_or_default();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let first_line = |program: &str, args: &[&str]| {
        let output = Command::new(program).args(args).current_dir(workspace::root()).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        (output.status.success() && !text.is_empty())
            .then(|| text.lines().last().unwrap_or_default().to_owned())
    };
    let unknown = || "unknown".to_owned();
    let disk = scratch.to_str().and_then(|dir| first_line("df", &["--output=fstype", dir]));
    let commit = first_line("git", &["describe", "--always", "--dirty"]);
    Ok([
        ("date", first_line("date", &["--iso-8601"]).unwrap_or_else(unknown)),
        ("commit", commit.unwrap_or_else(unknown)),
        ("processor", format!("{model}, {count} cores")),
        ("memory", format!("{} MiB", memory / 1024)),
        ("kernel", format!("Linux {}", kernel.trim())),
        ("file system", disk.unwrap_or_else(unknown)),
        ("compiler", first_line("rustc", &["--version"]).unwrap_or_else(unknown)),
        ("cores", cores.description().to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_behind_the_name() {
        let stat = "12 (a (b) c) S 1 77 77 0 -1 4194560 1 2 3 4 250 125 0 0";
        assert_eq!(stat_field(stat, 5), Some(77));
        assert_eq!((stat_field(stat, 14), stat_field(stat, 15)), (Some(250), Some(125)));
        assert_eq!(stat_field("", 5), None);
    }

    #[test]
    fn threads_that_ended_do_not_lose_their_time() {
        let usage = |live, ticks| Usage {
            live: Duration::from_millis(live),
            ticks: Duration::from_millis(ticks),
            written: 0,
        };
        assert_eq!(usage(1_205, 1_200).cpu_since(&usage(0, 0)), Duration::from_millis(1_205));
        assert_eq!(usage(300, 1_200).cpu_since(&usage(0, 0)), Duration::from_millis(1_200));
    }

    #[test]
    fn this_process_uses_memory() {
        let memory = field(Path::new("/proc/self/status"), "VmRSS:").unwrap();
        assert!(memory > 100);
    }
}
