//! A suite of real clients: which clients, which steps, and what each cell does and asserts.
//!
//! Suites are data (`suites/<protocol>.toml`), so that what is proven can be read in one place and cannot change
//! while it runs. Every cell of the table client × step is either there or named as absent with a reason.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::access_log::Expected;

/// The suites that exist, by protocol.
const SUITES: &[(&str, &str)] = &[
    ("cargo", include_str!("../../suites/cargo.toml")),
    ("composer", include_str!("../../suites/composer.toml")),
    ("maven", include_str!("../../suites/maven.toml")),
    ("npm", include_str!("../../suites/npm.toml")),
    ("oci", include_str!("../../suites/oci.toml")),
    ("pypi", include_str!("../../suites/pypi.toml")),
    ("rubygems", include_str!("../../suites/rubygems.toml")),
];

/// Other steps for the OCI clients, where blobs are redirected to a bucket.
const OCI_REDIRECTS: &str = include_str!("../../suites/oci-redirect.toml");

/// Other steps for the clients of a protocol, through a server that asks another one.
const UPSTREAMS: &[(&str, &str)] = &[
    ("cargo", include_str!("../../suites/cargo-upstream.toml")),
    ("composer", include_str!("../../suites/composer-upstream.toml")),
    ("maven", include_str!("../../suites/maven-upstream.toml")),
    ("npm", include_str!("../../suites/npm-upstream.toml")),
    ("oci", include_str!("../../suites/oci-upstream.toml")),
    ("pypi", include_str!("../../suites/pypi-upstream.toml")),
    ("rubygems", include_str!("../../suites/rubygems-upstream.toml")),
];

/// What some clients do through a server that asks the registry which they use by themselves.
const LIVE: &[(&str, &str)] = &[
    ("cargo", include_str!("../../suites/cargo-live.toml")),
    ("maven", include_str!("../../suites/maven-live.toml")),
    ("npm", include_str!("../../suites/npm-live.toml")),
    ("pypi", include_str!("../../suites/pypi-live.toml")),
];

/// One protocol's suite.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Suite {
    pub(crate) protocol: String,
    /// Tables of the server's configuration. Where there is an upstream, `$UPSTREAM_ORIGIN` and its users' `$UPSTREAM_NAME_TOKEN` are
    /// known in it.
    #[serde(default)]
    pub(crate) server: String,
    /// Tables of the configuration of a second server, which the first one asks.
    #[serde(skip)]
    pub(crate) upstream: Option<String>,
    /// Shell lines that print the address of the registry that the client uses by itself, by the client's own configuration, and on a
    /// second line the host of its files where that is another: `$LIVE_URL` and `$LIVE_FILES` in the server's.
    #[serde(skip)]
    pub(crate) live: Option<String>,
    /// What tells this suite from the protocol's own.
    #[serde(skip)]
    pub(crate) variation: Option<&'static str>,
    /// Shell functions that the cells use.
    #[serde(default)]
    pub(crate) prelude: String,
    pub(crate) user: Vec<User>,
    pub(crate) client: Vec<Client>,
    pub(crate) step: Vec<Step>,
    pub(crate) cell: Vec<Cell>,
    #[serde(default)]
    pub(crate) absent: Vec<Absent>,
}

/// Other steps for some of a suite's clients, with another configuration of the server.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Variation {
    server: String,
    #[serde(default)]
    upstream: Option<String>,
    #[serde(default)]
    live: Option<String>,
    /// More shell functions.
    #[serde(default)]
    prelude: String,
    /// What every client does before the first step, in place of its own.
    #[serde(default)]
    prepare: Option<String>,
    clients: Vec<String>,
    step: Vec<Step>,
    cell: Vec<Cell>,
    #[serde(default)]
    absent: Vec<Absent>,
}

/// A user of the server, with a password and a token that both carry these scopes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) scopes: Vec<String>,
}

/// A client program: a column of the table.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Client {
    pub(crate) id: String,
    /// As people call it, without a version.
    pub(crate) title: String,
    /// What `suites/tools.toml` must install for it; these come first on its search path.
    pub(crate) tools: Vec<String>,
    /// A shell line that prints its version.
    pub(crate) version: String,
    /// Whether it needs root.
    #[serde(default)]
    pub(crate) root: bool,
    /// Environment of its own. `$WORK` in a value is its folder.
    #[serde(default)]
    pub(crate) env: BTreeMap<String, String>,
    /// Shell run once before the first step; a failure fails every cell of the client.
    #[serde(default)]
    pub(crate) prepare: String,
    /// Shell run once after the last step, such as stopping a daemon.
    #[serde(default)]
    pub(crate) finish: String,
    /// Whether it also runs where two servers share a bucket.
    #[serde(default)]
    pub(crate) shared: bool,
}

/// A step of a package's life: a row of the table.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Step {
    pub(crate) id: String,
    pub(crate) title: String,
    /// Only run with `--full`.
    #[serde(default)]
    pub(crate) full: bool,
}

/// What some clients do in one step.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cell {
    pub(crate) step: String,
    pub(crate) clients: Vec<String>,
    /// Those of the clients that do it only with `--full`: the same was tried with others.
    #[serde(default)]
    pub(crate) full: Vec<String>,
    /// Commands, one after the other; the first that does not do what is expected fails the cell.
    pub(crate) run: Vec<Run>,
}

/// One command of a cell and everything that must be true of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Run {
    /// The shell text, run by bash with `set -eu -o pipefail` in the client's folder.
    pub(crate) sh: String,
    /// Which server it talks to: ORIGIN, HOST and the users' tokens are those of this one, and `log` and `unlogged` are about it.
    #[serde(default)]
    pub(crate) at: At,
    /// Whether the upstream runs meanwhile.
    #[serde(default)]
    pub(crate) upstream: Power,
    /// What it asks, and the answers, in this order; `$NAME` in an answer is of the cell's environment.
    #[serde(default)]
    pub(crate) answers: Vec<(String, String)>,
    /// The exit code.
    #[serde(default)]
    pub(crate) exit: Exit,
    /// Texts that must appear in what it prints.
    #[serde(default)]
    pub(crate) prints: Vec<String>,
    /// Texts that must not appear there.
    #[serde(default)]
    pub(crate) never: Vec<String>,
    /// Pairs `LEFT == RIGHT` of files or folders that must hold the same bytes afterwards.
    #[serde(default)]
    pub(crate) same: Vec<String>,
    /// Requests that the server must have logged meanwhile.
    #[serde(default)]
    pub(crate) log: Vec<Expected>,
    /// Requests that it must not have logged.
    #[serde(default)]
    pub(crate) unlogged: Vec<Expected>,
    /// Requests that the upstream must have logged meanwhile.
    #[serde(default)]
    pub(crate) asked: Vec<Expected>,
    /// Whether the upstream must have logged no request at all.
    #[serde(default)]
    pub(crate) unasked: bool,
    /// Seconds after which it is ended.
    #[serde(default = "default_limit")]
    pub(crate) limit_s: u64,
}

/// A server that a command talks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum At {
    /// The one under test.
    #[default]
    Server,
    /// The one that it asks.
    Upstream,
}

/// Whether a server runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Power {
    /// It does.
    #[default]
    Up,
    /// It was stopped.
    Down,
}

/// The exit code that is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(crate) enum Exit {
    /// This code.
    Code(i32),
    /// Any code that a failing client chose itself; written `exit = "failure"`.
    Failure(Failure),
}

/// The word for any failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Failure {
    /// A code from 1 to 125: not a signal, not "command not found".
    Failure,
}

/// Cells that are not there, because the client has no such command.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Absent {
    pub(crate) step: String,
    pub(crate) clients: Vec<String>,
    pub(crate) reason: String,
}

/// What stands in one place of the table.
#[derive(Debug)]
pub(crate) enum Place<'a> {
    /// Something to run.
    Cell(&'a Cell),
    /// Nothing, for this reason.
    Absent(&'a str),
}

fn default_limit() -> u64 {
    120
}

impl Default for Exit {
    fn default() -> Self {
        Self::Code(0)
    }
}

impl Exit {
    /// Whether this code is the expected one.
    pub(crate) fn allows(self, code: Option<i32>) -> bool {
        match (self, code) {
            (Self::Code(expected), Some(code)) => expected == code,
            (Self::Failure(_), Some(code)) => (1..=125).contains(&code),
            (_, None) => false,
        }
    }
}

impl Suite {
    /// The names of all suites.
    pub(crate) fn names() -> Vec<&'static str> {
        SUITES.iter().map(|(name, _)| *name).collect()
    }

    /// Reads one suite and checks that its table is whole.
    pub(crate) fn load(protocol: &str) -> Result<Self> {
        let Some((_, text)) = SUITES.iter().find(|(name, _)| *name == protocol) else {
            bail!("there is no native suite `{protocol}`; there are {}", Self::names().join(", "));
        };
        let suite: Self = toml::from_str(text).with_context(|| format!("suites/{protocol}.toml"))?;
        suite.check().with_context(|| format!("suites/{protocol}.toml"))?;
        Ok(suite)
    }

    /// The OCI clients with what they do where blobs are redirected to a bucket.
    pub(crate) fn oci_redirects() -> Result<Self> {
        Self::varied("oci", "redirect", OCI_REDIRECTS)
    }

    /// A protocol's clients with what they do through a server that asks another one.
    pub(crate) fn through_upstream(protocol: &str) -> Result<Option<Self>> {
        let found = UPSTREAMS.iter().find(|(name, _)| *name == protocol);
        found.map(|(_, text)| Self::varied(protocol, "upstream", text)).transpose()
    }

    /// A protocol's clients with what they do through a server that asks the registry which they use by themselves.
    pub(crate) fn live(protocol: &str) -> Result<Option<Self>> {
        let found = LIVE.iter().find(|(name, _)| *name == protocol);
        found.map(|(_, text)| Self::varied(protocol, "live", text)).transpose()
    }

    fn varied(protocol: &str, variation: &'static str, text: &str) -> Result<Self> {
        let name = format!("suites/{protocol}-{variation}.toml");
        let Variation { server, upstream, live, prelude, prepare, clients, step, cell, absent } =
            toml::from_str(text).with_context(|| name.clone())?;
        let mut suite = Self {
            server,
            upstream,
            live,
            variation: Some(variation),
            step,
            cell,
            absent,
            ..Self::load(protocol)?
        };
        suite.prelude.push_str(&prelude);
        suite.client.retain(|client| clients.contains(&client.id));
        if let Some(prepare) = prepare {
            suite.client.iter_mut().for_each(|client| client.prepare.clone_from(&prepare));
        }
        suite.check().context(name)?;
        Ok(suite)
    }

    /// What it is called in output and documentation.
    pub(crate) fn name(&self) -> String {
        self.variation
            .map_or_else(|| self.protocol.clone(), |variation| format!("{}-{variation}", self.protocol))
    }

    /// What stands at a client and a step.
    pub(crate) fn place(&self, client: &str, step: &str) -> Option<Place<'_>> {
        let is = |at: &str, clients: &[String]| at == step && clients.iter().any(|id| id == client);
        let cell = self.cell.iter().find(|cell| is(&cell.step, &cell.clients)).map(Place::Cell);
        cell.or_else(|| {
            let absent = self.absent.iter().find(|absent| is(&absent.step, &absent.clients))?;
            Some(Place::Absent(&absent.reason))
        })
    }

    /// The tools that these clients need.
    pub(crate) fn tools(clients: &[Client]) -> BTreeSet<String> {
        clients.iter().flat_map(|client| client.tools.iter().cloned()).collect()
    }

    fn check(&self) -> Result<()> {
        let clients: BTreeSet<&str> = self.client.iter().map(|client| client.id.as_str()).collect();
        let steps: BTreeSet<&str> = self.step.iter().map(|step| step.id.as_str()).collect();
        let mut seen = BTreeSet::new();
        let cells = self.cell.iter().map(|cell| (&cell.step, &cell.clients));
        let absent = self.absent.iter().map(|absent| (&absent.step, &absent.clients));
        for (step, ids) in cells.chain(absent) {
            if !steps.contains(step.as_str()) {
                bail!("a cell names the step `{step}`, which is not listed");
            }
            for id in ids {
                if !clients.contains(id.as_str()) {
                    bail!("the step `{step}` names the client `{id}`, which is not listed");
                }
                if !seen.insert((id.as_str(), step.as_str())) {
                    bail!("the step `{step}` of `{id}` stands there twice");
                }
            }
        }
        for client in &clients {
            if let Some(step) = steps.iter().find(|step| !seen.contains(&(*client, **step))) {
                bail!("the step `{step}` of `{client}` is neither a cell nor absent with a reason");
            }
        }
        if let Some(empty) = self.absent.iter().find(|absent| absent.reason.trim().is_empty()) {
            bail!("the step `{}` is absent without a reason", empty.step);
        }
        for cell in &self.cell {
            cell.check()
                .with_context(|| format!("the step `{}` of {}", cell.step, cell.clients.join(", ")))?;
        }
        Ok(())
    }
}

impl Cell {
    fn check(&self) -> Result<()> {
        if self.run.iter().all(|run| run.log.is_empty() && run.unlogged.is_empty() && run.asked.is_empty()) {
            bail!("it asserts nothing of the server's log");
        }
        if let Some(other) = self.full.iter().find(|client| !self.clients.contains(client)) {
            bail!("`{other}` does it with `--full`, but is none of its clients");
        }
        for run in &self.run {
            for pair in &run.same {
                pair_of(pair)?;
            }
        }
        Ok(())
    }
}

/// The two sides of `LEFT == RIGHT`.
pub(crate) fn pair_of(text: &str) -> Result<(&Path, &Path)> {
    match text.split_once(" == ") {
        Some((left, right)) => Ok((Path::new(left.trim()), Path::new(right.trim()))),
        None => bail!("`{text}` is not LEFT == RIGHT"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = r#"
        protocol = "x"
        user = [{ name = "alice", scopes = [] }]
        client = [{ id = "a", title = "A", tools = [], version = "true" }, { id = "b", title = "B", tools = [], version = "true" }]
        step = [{ id = "one", title = "One" }]
        cell = [{ step = "one", clients = ["a"], run = [{ sh = "true", exit = "failure", log = ["GET / 200 *"] }] }]
    "#;

    fn checked(text: &str) -> Result<Suite> {
        let suite: Suite = toml::from_str(text)?;
        suite.check()?;
        Ok(suite)
    }

    #[test]
    fn every_suite_is_whole() {
        for name in Suite::names() {
            let suite = Suite::load(name).unwrap();
            assert_eq!(suite.protocol, name);
            assert!(suite.client.iter().any(|client| client.shared), "{name} runs nowhere on a bucket");
        }
    }

    #[test]
    fn every_suite_through_an_upstream_is_whole() {
        for name in Suite::names() {
            let Some(suite) = Suite::through_upstream(name).unwrap() else { continue };
            assert!(suite.upstream.is_some() && suite.server.contains("$UPSTREAM_ORIGIN"), "{name}");
            let runs = || suite.cell.iter().flat_map(|cell| &cell.run);
            assert!(runs().any(|run| run.upstream == Power::Down), "{name} never stops the upstream");
            assert!(
                runs().any(|run| !run.asked.is_empty()),
                "{name} never looks at what the upstream was asked"
            );
        }
    }

    #[test]
    fn live_suites_read_the_address_from_the_client() {
        for name in Suite::names() {
            let Some(suite) = Suite::live(name).unwrap() else { continue };
            assert!(suite.live.is_some() && suite.server.contains("$LIVE_URL"), "{name}");
        }
    }

    #[test]
    fn redirects_are_followed_by_several_clients() {
        let suite = Suite::oci_redirects().unwrap();
        assert!(suite.client.len() >= 3 && suite.server.contains("redirect = true"));
    }

    #[test]
    fn a_hole_in_the_table_is_refused() {
        assert!(checked(WHOLE).unwrap_err().to_string().contains("neither a cell nor absent"));
        let whole = format!(
            "{WHOLE}\nabsent = [{{ step = \"one\", clients = [\"b\"], reason = \"no such command\" }}]"
        );
        let suite = checked(&whole).unwrap();
        assert!(matches!(suite.place("a", "one"), Some(Place::Cell(_))));
        assert!(matches!(suite.place("b", "one"), Some(Place::Absent("no such command"))));
        assert!(suite.place("b", "two").is_none());
    }

    #[test]
    fn a_cell_that_asserts_nothing_of_the_log_is_refused() {
        let text = WHOLE
            .replace(", log = [\"GET / 200 *\"]", "")
            .replace("clients = [\"a\"]", "clients = [\"a\", \"b\"]");
        assert!(format!("{:#}", checked(&text).unwrap_err()).contains("asserts nothing"));
    }

    #[test]
    fn only_a_cell_s_own_clients_can_leave_it_for_the_full_run() {
        let whole = WHOLE.replace("clients = [\"a\"]", "clients = [\"a\", \"b\"]");
        checked(&whole.replace("clients = [\"a\", \"b\"]", "clients = [\"a\", \"b\"], full = [\"b\"]"))
            .unwrap();
        let text = whole.replace("clients = [\"a\", \"b\"]", "clients = [\"a\", \"b\"], full = [\"c\"]");
        assert!(format!("{:#}", checked(&text).unwrap_err()).contains("none of its clients"));
    }

    #[test]
    fn exit_codes_are_exact_unless_any_failure_will_do() {
        let any = Exit::Failure(Failure::Failure);
        assert!(Exit::default().allows(Some(0)) && !Exit::default().allows(Some(1)));
        assert!(any.allows(Some(1)) && !any.allows(Some(0)) && !any.allows(Some(127)) && !any.allows(None));
    }
}
