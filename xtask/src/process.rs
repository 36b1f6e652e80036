//! Running programs: a clean environment, a deadline, output kept in files.
//!
//! Output goes to files rather than pipes, so that a daemon that inherits them cannot keep a finished command
//! waiting, and so that it is still there to be read after a failure.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// The folders searched for programs of the system, in this order, whatever the caller's `PATH` says.
pub(crate) const SYSTEM_PATH: &str = "/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/bin";

/// What a finished command left behind.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    /// The exit code; `None` when a signal or the deadline ended it.
    pub(crate) code: Option<i32>,
    /// Whether the deadline ended it.
    pub(crate) timed_out: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Outcome {
    /// Whether it exited with 0.
    pub(crate) fn ok(&self) -> bool {
        self.code == Some(0)
    }

    /// How it ended, for people.
    pub(crate) fn ending(&self) -> String {
        match (self.timed_out, self.code) {
            (true, _) => "was stopped at its deadline".to_owned(),
            (false, Some(code)) => format!("exited with {code}"),
            (false, None) => "was ended by a signal".to_owned(),
        }
    }

    /// Both outputs, the last `lines` lines of each.
    pub(crate) fn tail(&self, lines: usize) -> String {
        let last = |text: &str| {
            let all: Vec<&str> = text.lines().collect();
            all.get(all.len().saturating_sub(lines)..).unwrap_or_default().join("\n")
        };
        format!("{}\n{}", last(&self.stdout), last(&self.stderr)).trim().to_owned()
    }
}

/// A command with an empty environment but for `PATH`, `HOME`, `TMPDIR` and the language.
pub(crate) fn clean(program: impl AsRef<OsStr>, path: &str, home: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", path)
        .env("HOME", home)
        .env("TMPDIR", home)
        .env("LANG", "C.UTF-8")
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null());
    command
}

/// Runs `command` to its end or to `limit`, with its output in `<stem>.out` and `<stem>.err`.
///
/// At the deadline the whole process group is killed.
pub(crate) fn run(command: &mut Command, stem: &Path, limit: Duration) -> Result<Outcome> {
    let (out, err) = (stem.with_extension("out"), stem.with_extension("err"));
    let mut child = spawn(command, &out, &err)?;
    let (status, timed_out) = wait(&mut child, limit)?;
    Ok(Outcome { code: status.code(), timed_out, stdout: read_lossy(&out)?, stderr: read_lossy(&err)? })
}

/// Like [`run`], answering what the command asks: each pair is a text to wait for in its output, and the answer.
pub(crate) fn converse(
    command: &mut Command,
    stem: &Path,
    limit: Duration,
    answers: &[(String, String)],
) -> Result<Outcome> {
    let (out, err) = (stem.with_extension("out"), stem.with_extension("err"));
    let deadline = Instant::now() + limit;
    let mut child = spawn(command.stdin(Stdio::piped()), &out, &err)?;
    let mut stdin = child.stdin.take().context("the child has no standard input")?;
    // Each prompt is looked for behind the one before it, in each of the two outputs.
    let mut seen = [0; 2];
    for (prompt, answer) in answers {
        while child.try_wait()?.is_none() && Instant::now() < deadline {
            let texts = [read_lossy(&out)?, read_lossy(&err)?];
            let found = |at: usize| {
                Some(seen.get(at)? + texts.get(at)?.get(*seen.get(at)?..)?.find(prompt)? + prompt.len())
            };
            let Some((at, end)) = (0..2).find_map(|at| Some((at, found(at)?))) else {
                thread::sleep(Duration::from_millis(20));
                continue;
            };
            if let Some(seen) = seen.get_mut(at) {
                *seen = end;
            }
            // A client that has just gone away is judged by its exit code, not here.
            let _ = stdin.write_all(format!("{answer}\n").as_bytes());
            break;
        }
    }
    let (status, timed_out) = wait(&mut child, deadline.saturating_duration_since(Instant::now()))?;
    drop(stdin);
    Ok(Outcome { code: status.code(), timed_out, stdout: read_lossy(&out)?, stderr: read_lossy(&err)? })
}

/// Like [`run`], with the output in a temporary folder.
pub(crate) fn output(command: &mut Command, limit: Duration) -> Result<Outcome> {
    let dir = tempfile::tempdir()?;
    run(command, &dir.path().join("output"), limit)
}

/// Runs a command and returns its standard output, trimmed; an error shows the end of what it printed.
pub(crate) fn capture(command: &mut Command, limit: Duration) -> Result<String> {
    let shown = show(command);
    let outcome = output(command, limit)?;
    if !outcome.ok() {
        bail!("`{shown}` {}:\n{}", outcome.ending(), outcome.tail(20));
    }
    Ok(outcome.stdout.trim().to_owned())
}

/// Starts a command in a process group of its own, with its output in the two files.
pub(crate) fn spawn(command: &mut Command, out: &Path, err: &Path) -> Result<Child> {
    let file =
        |path: &Path| File::create(path).with_context(|| format!("could not create {}", path.display()));
    let shown = show(command);
    command.stdout(file(out)?).stderr(file(err)?).process_group(0);
    command.spawn().with_context(|| format!("could not start `{shown}`"))
}

/// Waits for a child; the second value says whether it had to be killed at the deadline.
pub(crate) fn wait(child: &mut Child, limit: Duration) -> Result<(ExitStatus, bool)> {
    let deadline = Instant::now() + limit;
    let mut pause = Duration::from_millis(2);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok((status, false));
        }
        if Instant::now() >= deadline {
            signal_group(child, "KILL");
            return Ok((child.wait()?, true));
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// Sends a signal to one process.
pub(crate) fn signal(pid: u32, name: &str) {
    let _ = Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).stderr(Stdio::null()).status();
}

/// Sends a signal to the process group that [`spawn`] made for a child.
pub(crate) fn signal_group(child: &Child, name: &str) {
    let group = format!("-{}", child.id());
    let _ = Command::new("kill").args([&format!("-{name}"), "--", &group]).stderr(Stdio::null()).status();
}

/// A command line for messages. It never shows the environment, where the tokens are.
pub(crate) fn show(command: &Command) -> String {
    let mut shown = command.get_program().to_string_lossy().into_owned();
    for arg in command.get_args() {
        shown.push(' ');
        shown.push_str(&arg.to_string_lossy());
    }
    shown
}

fn read_lossy(path: &Path) -> Result<String> {
    let bytes = fs::read(path).with_context(|| format!("could not read {}", path.display()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_keeps_its_code_and_both_outputs() {
        let outcome = output(
            clean("sh", SYSTEM_PATH, Path::new("/")).args(["-c", "echo out; echo err >&2; exit 3"]),
            Duration::from_secs(20),
        )
        .unwrap();
        assert_eq!((outcome.code, outcome.timed_out), (Some(3), false));
        assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("out\n", "err\n"));
        assert_eq!(outcome.ending(), "exited with 3");
    }

    #[test]
    fn a_deadline_ends_the_whole_group() {
        let outcome = output(
            clean("sh", SYSTEM_PATH, Path::new("/")).args(["-c", "sleep 600 & sleep 600"]),
            Duration::from_millis(50),
        )
        .unwrap();
        assert!(outcome.timed_out && !outcome.ok());
    }

    #[test]
    fn questions_are_answered_in_their_order() {
        let dir = tempfile::tempdir().unwrap();
        let script = "printf 'name: '; read a; printf 'name: ' >&2; read b; echo \"$a and $b\"";
        let mut command = clean("sh", SYSTEM_PATH, Path::new("/"));
        let answers =
            [("name:", "one"), ("name:", "two")].map(|(ask, answer)| (ask.to_owned(), answer.to_owned()));
        let outcome =
            converse(command.args(["-c", script]), &dir.path().join("x"), Duration::from_secs(20), &answers)
                .unwrap();
        assert!(outcome.ok() && outcome.stdout.ends_with("one and two\n"), "{outcome:?}");
    }

    #[test]
    fn the_environment_is_clean() {
        let outcome =
            output(&mut clean("env", SYSTEM_PATH, Path::new("/nowhere")), Duration::from_secs(20)).unwrap();
        let mut names: Vec<&str> = outcome.stdout.lines().filter_map(|line| line.split('=').next()).collect();
        names.sort_unstable();
        assert_eq!(names, ["HOME", "LANG", "LC_ALL", "PATH", "TMPDIR"]);
    }
}
