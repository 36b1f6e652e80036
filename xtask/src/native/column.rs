//! Running one client through all steps: a column of the table.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use chrono::{DateTime, TimeDelta, Utc};

use super::bytes;
use super::deployment::{Backend, Deployment};
use super::suite::{At, Client, Place, Run, Suite, pair_of};
use super::upstream::Upstream;
use crate::access_log::{Expected, Line};
use crate::process::{self, Outcome};
use crate::server::Site;
use crate::setup::{Privilege, Tools};

/// How long a server may take to write the access line of a request that the client has finished.
const LOG_LIMIT: Duration = Duration::from_secs(3);

/// What one client did.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) client: String,
    pub(crate) title: String,
    pub(crate) version: String,
    /// In the order of the suite's steps.
    pub(crate) cells: Vec<CellResult>,
    /// What is wrong beside the cells: the preparation, the server's end, `verify`.
    pub(crate) trouble: Option<String>,
    pub(crate) elapsed: Duration,
    /// The server's highest resident memory in MiB.
    pub(crate) memory_mib: u64,
}

/// What stands in one place of the table after the run.
#[derive(Debug, Clone)]
pub(crate) enum CellResult {
    Passed(Duration),
    Failed(String),
    /// The client has no such command, with the reason.
    Absent(String),
    /// Left for `--full`.
    NotInThisRun,
}

/// What all columns of a run share.
#[derive(Debug, Clone)]
pub(crate) struct Context<'a> {
    pub(crate) suite: &'a Suite,
    pub(crate) tools: &'a Tools,
    pub(crate) binary: &'a Path,
    pub(crate) backend: &'a Backend,
    /// The folder of the suite's run.
    pub(crate) dir: &'a Path,
    pub(crate) full: bool,
}

/// Runs every step of one client. What goes wrong is in the result.
pub(crate) fn run(context: &Context<'_>, client: &Client) -> Column {
    let started = Instant::now();
    let mut column = Column {
        client: client.id.clone(),
        title: client.title.clone(),
        version: String::new(),
        cells: Vec::new(),
        trouble: None,
        elapsed: Duration::ZERO,
        memory_mib: 0,
    };
    if let Err(error) = run_steps(context, client, &mut column) {
        column.trouble = Some(format!("{error:#}"));
    }
    let missing = context.suite.step.len().saturating_sub(column.cells.len());
    column.cells.extend((0..missing).map(|_| CellResult::Failed("it was not reached".to_owned())));
    column.elapsed = started.elapsed();
    column
}

fn run_steps(context: &Context<'_>, client: &Client, column: &mut Column) -> Result<()> {
    let mut seat = Seat::new(context, client)?;
    let version = seat.shell("version", &client.version, Duration::from_secs(60))?;
    if !version.ok() {
        bail!("the client cannot be had: `{}` {}\n{}", client.version, version.ending(), version.tail(10));
    }
    column.version = version.stdout.lines().next().unwrap_or_default().trim().to_owned();
    let done = run_cells(&mut seat, column);
    column.memory_mib = seat.deployment.peak_memory_mib();
    // A daemon that `prepare` started is ended whatever became of the steps.
    let finished = seat.shell("finish", &client.finish, Duration::from_secs(60))?;
    done?;
    if !finished.ok() {
        bail!("the end {}\n{}", finished.ending(), finished.tail(20));
    }
    let secrets = seat.secrets();
    let mut ended = seat.deployment.finish(&secrets);
    if let Some(upstream) = seat.upstream {
        ended = ended.and(upstream.finish());
    }
    // The long steps leave gigabytes, which nobody looks at.
    let store = context.dir.join(&client.id).join("server/store");
    if context.full && store.exists() {
        fs::remove_dir_all(&store)?;
    }
    ended
}

fn run_cells(seat: &mut Seat<'_>, column: &mut Column) -> Result<()> {
    let (context, client) = (seat.context, seat.client);
    let prepared = seat.shell("prepare", &client.prepare, Duration::from_secs(120))?;
    if !prepared.ok() {
        bail!("the preparation {}\n{}", prepared.ending(), prepared.tail(20));
    }
    for (at, step) in context.suite.step.iter().enumerate() {
        let started = Instant::now();
        column.cells.push(match context.suite.place(&client.id, &step.id) {
            Some(Place::Absent(reason)) => CellResult::Absent(reason.to_owned()),
            Some(Place::Cell(cell)) if !context.full && (step.full || cell.full.contains(&client.id)) => {
                CellResult::NotInThisRun
            }
            Some(Place::Cell(cell)) => match seat.cell(&format!("{at:02}-{}", step.id), &cell.run) {
                Ok(()) => CellResult::Passed(started.elapsed()),
                Err(error) => CellResult::Failed(format!("{error:#}")),
            },
            None => return Err(anyhow!("the suite has no cell for `{}`", step.id)),
        });
    }
    Ok(())
}

/// One client with its folders, its environment and its servers.
struct Seat<'a> {
    context: &'a Context<'a>,
    client: &'a Client,
    deployment: Deployment,
    upstream: Option<Upstream>,
    work: PathBuf,
    output: PathBuf,
    env: Vec<(String, String)>,
    /// What differs in it for commands at the upstream.
    upstream_env: Vec<(String, String)>,
    path: String,
    /// A short path for sockets, whose paths may have 107 bytes at most.
    run: tempfile::TempDir,
}

impl<'a> Seat<'a> {
    fn new(context: &'a Context<'a>, client: &'a Client) -> Result<Self> {
        let dir = context.dir.join(&client.id);
        let (work, output) = (dir.join("work"), dir.join("output"));
        fs::create_dir_all(work.join("home"))?;
        fs::create_dir_all(&output)?;
        let suite = context.suite;
        let passwords = suite.user.iter().map(|user| Ok(format!("{}-{}", user.name, secret()?)));
        let passwords: Vec<String> = passwords.collect::<Result<_>>()?;
        let mut config = suite.server.clone();
        let (mut upstream, mut upstream_env) = (None, Vec::new());
        if let Some(tables) = &suite.upstream {
            let running = Upstream::start(context.binary, &dir.join("upstream"), tables)?;
            upstream_env = users(suite, running.site(), &passwords)?;
            upstream_env.extend(origin(running.addr()));
            for (name, value) in &upstream_env {
                config = config.replace(&format!("$UPSTREAM_{name}"), value);
            }
            upstream = Some(running);
        }
        if let Some(shell) = &suite.live {
            let (url, files) = live_registry(shell)?;
            config = config.replace("$LIVE_URL", &url).replace("$LIVE_FILES", &files);
        }
        let deployment = Deployment::start(context.binary, &dir, context.backend, &config)?;
        let addr = deployment.addr().ok_or_else(|| anyhow!("no server was started"))?;
        let run = tempfile::Builder::new().prefix("sr").tempdir()?;
        let mut env = vec![
            ("LAG".to_owned(), deployment.lag_seconds().to_string()),
            ("WORK".to_owned(), work.to_string_lossy().into_owned()),
            ("RUN".to_owned(), run.path().to_string_lossy().into_owned()),
        ];
        env.extend(origin(addr));
        env.extend(users(suite, deployment.site(), &passwords)?);
        for (name, value) in &client.env {
            let value = value.replace("$WORK", &work.to_string_lossy());
            env.push((name.clone(), value.replace("$RUN", &run.path().to_string_lossy())));
        }
        let path = context.tools.path(&client.tools)?;
        Ok(Self { context, client, deployment, upstream, work, output, env, upstream_env, path, run })
    }

    fn secrets(&self) -> Vec<String> {
        let secret = |name: &str| name.ends_with("_PASSWORD") || name.ends_with("_TOKEN");
        let all = self.env.iter().chain(&self.upstream_env);
        all.filter(|(name, _)| secret(name)).map(|(_, value)| value.clone()).collect()
    }

    /// Runs all commands of a cell, up to the first that does not do what is expected.
    fn cell(&mut self, name: &str, commands: &[Run]) -> Result<()> {
        self.deployment.new_lines()?;
        for (at, command) in commands.iter().enumerate() {
            if let Some(upstream) = &mut self.upstream {
                upstream.switch(command.upstream)?;
                upstream.new_lines()?;
            }
            // Lines have the time to a millisecond, cut off.
            let begun = Utc::now() - TimeDelta::milliseconds(1);
            let outcome = self.shell_with(
                &format!("{name}-{at}"),
                (&command.sh, command.at),
                Duration::from_secs(command.limit_s),
                &command.answers,
            )?;
            let (mut lines, mut asked) = (Vec::new(), Vec::new());
            let judged = self.judge(command, (begun, &outcome), &mut lines);
            let judged = judged.and_then(|()| self.judge_upstream(command, begun, &mut asked));
            judged.map_err(|error| {
                let shown =
                    |lines: &[Line]| -> String { lines.iter().map(|line| format!("    {line}\n")).collect() };
                let of_upstream = if asked.is_empty() { "" } else { "  the upstream's:\n" };
                anyhow!(
                    "{error:#}\n  command: {}\n  output:\n{}\n  requests:\n{}{of_upstream}{}",
                    command.sh.trim(),
                    indented(&outcome.tail(25)),
                    shown(&lines),
                    shown(&asked).trim_end()
                )
            })?;
        }
        Ok(())
    }

    fn judge(
        &mut self,
        command: &Run,
        (begun, outcome): (DateTime<Utc>, &Outcome),
        lines: &mut Vec<Line>,
    ) -> Result<()> {
        let logged = self.await_lines(command, begun, lines);
        if !command.exit.allows(outcome.code) {
            bail!("it {}", outcome.ending());
        }
        let printed = format!("{}\n{}", outcome.stdout, outcome.stderr);
        for text in &command.prints {
            let text = self.expand(text);
            if !printed.contains(&text) {
                bail!("it did not print `{text}`");
            }
        }
        for text in &command.never {
            if printed.contains(&self.expand(text)) {
                bail!("it printed `{text}`");
            }
        }
        for pair in &command.same {
            let (left, right) = pair_of(pair)?;
            bytes::compare(&self.work.join(left), &self.work.join(right))?;
        }
        logged?;
        if let Some(unwanted) = command.unlogged.iter().find(|one| lines.iter().any(|line| one.matches(line)))
        {
            bail!("the server logged `{unwanted}`");
        }
        if let Some(broken) = lines.iter().find(|line| line.status >= 500) {
            bail!("the server failed: {broken}");
        }
        Ok(())
    }

    /// Collects the access lines of whom the command talks to until the expected ones are there or the limit is over. Late lines of the
    /// command before are none of this one's, but a failure is one whenever it is told.
    fn await_lines(&mut self, command: &Run, begun: DateTime<Utc>, lines: &mut Vec<Line>) -> Result<()> {
        self.await_all(&command.log, command.at, begun, lines)?;
        let protocol = &self.context.suite.protocol;
        let ours = |line: &&Line| line.protocol == *protocol;
        for one in &command.log {
            let Some(line) = lines.iter().filter(ours).find(|line| one.matches(line)) else {
                bail!("the server logged `{one}`, but not under the protocol {protocol}");
            };
            if line.request_id.len() < 8 || !line.duration_ms.is_finite() || line.duration_ms < 0.0 {
                bail!("the line of `{one}` has no request id or no time");
            }
            if line.method == "GET" && line.status == 200 && line.bytes == 0 {
                bail!("the line of `{one}` counts no bytes");
            }
        }
        Ok(())
    }

    fn await_all(
        &mut self,
        wanted: &[Expected],
        at: At,
        begun: DateTime<Utc>,
        lines: &mut Vec<Line>,
    ) -> Result<()> {
        let deadline = Instant::now() + LOG_LIMIT;
        loop {
            let new = match (at, &mut self.upstream) {
                (At::Upstream, Some(upstream)) => upstream.new_lines()?,
                (At::Upstream, None) => bail!("there is no upstream in this suite"),
                (At::Server, _) => self.deployment.new_lines()?,
            };
            lines.extend(new.into_iter().filter(|line| line.began >= begun || line.status >= 500));
            let Some(missing) = wanted.iter().find(|one| !lines.iter().any(|line| one.matches(line))) else {
                return Ok(());
            };
            if Instant::now() >= deadline {
                let who = if at == At::Server { "server" } else { "upstream" };
                bail!("the {who} did not log `{missing}`");
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// What the upstream was asked while a client talked to the server under test.
    fn judge_upstream(&mut self, command: &Run, begun: DateTime<Utc>, asked: &mut Vec<Line>) -> Result<()> {
        if command.at == At::Upstream || (command.asked.is_empty() && !command.unasked) {
            return Ok(());
        }
        self.await_all(&command.asked, At::Upstream, begun, asked)?;
        match asked.first().filter(|_| command.unasked) {
            Some(line) => bail!("the upstream was asked: {line}"),
            None => Ok(()),
        }
    }

    /// `$NAME` of the cell's environment, in a text to look for.
    fn expand(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, value) in &self.env {
            text = text.replace(&format!("${name}"), value);
        }
        text
    }

    fn shell(&self, name: &str, text: &str, limit: Duration) -> Result<Outcome> {
        self.shell_with(name, (text, At::Server), limit, &[])
    }

    fn shell_with(
        &self,
        name: &str,
        (text, at): (&str, At),
        limit: Duration,
        answers: &[(String, String)],
    ) -> Result<Outcome> {
        let stem = self.output.join(name);
        let file = stem.with_extension("sh");
        fs::write(&file, format!("set -eu -o pipefail\n{}\n{text}\n", self.context.suite.prelude))?;
        let mut command = self.command(&file, at);
        command.current_dir(&self.work);
        if answers.is_empty() {
            return process::run(&mut command, &stem, limit);
        }
        let answers: Vec<(String, String)> =
            answers.iter().map(|(prompt, answer)| (prompt.clone(), self.expand(answer))).collect();
        process::converse(&mut command, &stem, limit, &answers)
    }

    fn command(&self, script: &Path, at: At) -> Command {
        let home = self.work.join("home");
        // What comes later wins.
        let of_upstream = if at == At::Upstream { self.upstream_env.as_slice() } else { &[] };
        let env = || self.env.iter().chain(of_upstream);
        if !self.client.root || self.context.tools.privilege() != Privilege::Sudo {
            let mut command = process::clean("bash", &self.path, &home);
            command.arg(script).envs(env().cloned());
            return command;
        }
        let mut command = self.context.tools.privilege().command("env");
        command.arg("-i").arg(format!("PATH={}", self.path)).arg(format!("HOME={}", home.display()));
        command.arg(format!("TMPDIR={}", self.run.path().display())).arg("LANG=C.UTF-8");
        command.args(env().map(|(name, value)| format!("{name}={value}")));
        command.arg("bash").arg(script);
        command
    }
}

/// The registry that a client uses by itself, and the host of its files where that is another: what the shell lines print in the
/// environment of whoever runs this.
fn live_registry(shell: &str) -> Result<(String, String)> {
    let output = Command::new("bash").args(["-eu", "-c", shell]).output()?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut lines = printed.lines().map(str::trim);
    let url = lines.next().unwrap_or_default();
    if !output.status.success() || !url.starts_with("http") {
        let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        bail!("the client's own configuration names no registry that can be asked: {why}");
    }
    Ok((url.to_owned(), lines.next().unwrap_or_default().to_owned()))
}

/// Where a server is, as the cells know it.
fn origin(addr: SocketAddr) -> [(String, String); 2] {
    [("ORIGIN".to_owned(), format!("http://{addr}")), ("HOST".to_owned(), addr.to_string())]
}

/// Adds the suite's users to a server; their passwords and tokens as the cells know them.
fn users(suite: &Suite, site: &Site, passwords: &[String]) -> Result<Vec<(String, String)>> {
    let mut env = Vec::new();
    for (user, password) in suite.user.iter().zip(passwords) {
        site.add_user(&user.name, password, &user.scopes)?;
        let token = site.create_token(&user.name, &user.scopes)?;
        let name = user.name.to_uppercase();
        env.push((format!("{name}_PASSWORD"), password.clone()));
        env.push((format!("{name}_TOKEN"), token));
    }
    Ok(env)
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect::<String>().trim_end().to_owned()
}

/// 24 characters that nobody guesses.
fn secret() -> Result<String> {
    let mut bytes = [0; 12];
    std::io::Read::read_exact(&mut fs::File::open("/dev/urandom")?, &mut bytes)?;
    Ok(hex::encode(bytes))
}
