//! `cargo xtask test-native`: the real clients against the real binary.

mod bytes;
mod column;
mod deployment;
mod suite;
mod table;
mod upstream;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

pub(crate) use self::deployment::Backend;
use self::suite::{Client, Suite};
use crate::docs;
use crate::setup::Tools;
use crate::tally::Tally;
use crate::workspace;

/// What to run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    /// Protocols; all when empty.
    pub(crate) protocols: Vec<String>,
    /// Ids of clients; all of the protocol when empty.
    pub(crate) clients: Vec<String>,
    /// Also the long steps.
    pub(crate) full: bool,
    /// Through a server that asks the registries which the clients use by themselves, and nothing else.
    pub(crate) live: bool,
    /// Write the tables to docs/compatibility.md.
    pub(crate) write_docs: bool,
    /// A server to test in place of the one that is built.
    pub(crate) binary: Option<PathBuf>,
    /// How many clients run at the same time.
    pub(crate) jobs: usize,
}

/// Builds the server and runs the suites on folders.
pub(crate) fn run(options: &Options) -> Result<Tally> {
    let mut suites = load(options)?;
    suites = if options.live {
        let live = varied(&suites, Suite::live)?;
        if live.is_empty() {
            bail!("there is no suite with a live registry for these protocols and clients");
        }
        live
    } else {
        with_upstreams(suites)?
    };
    let tools = Tools::ensure(suites.iter().flat_map(|(_, clients)| Suite::tools(clients)))?;
    let binary = match &options.binary {
        Some(binary) => binary.clone(),
        None => workspace::server_binary()?,
    };
    run_on(&suites, &tools, &binary, &Backend::Folder, "native", options)
}

/// Runs the suites on folders with tools and a binary that are there.
pub(crate) fn run_with(tools: &Tools, binary: &Path, options: &Options) -> Result<Tally> {
    run_on(&with_upstreams(load(options)?)?, tools, binary, &Backend::Folder, "native", options)
}

/// Runs the suites on one bucket, with those clients that the suites mark as `shared`.
pub(crate) fn run_shared(
    tools: &Tools,
    binary: &Path,
    backend: &Backend,
    options: &Options,
) -> Result<Tally> {
    let mut suites = load(options)?;
    for (_, clients) in &mut suites {
        clients.retain(|client| client.shared);
    }
    run_on(&suites, tools, binary, backend, "native-shared", options)
}

/// Runs the OCI clients on one bucket from which they read blobs themselves.
pub(crate) fn run_redirects(
    tools: &Tools,
    binary: &Path,
    backend: &Backend,
    options: &Options,
) -> Result<Tally> {
    if !options.protocols.is_empty() && !options.protocols.iter().any(|protocol| protocol == "oci") {
        return Ok(Tally::default());
    }
    let suite = Suite::oci_redirects()?;
    let mut clients = suite.client.clone();
    if !options.clients.is_empty() {
        clients.retain(|client| options.clients.contains(&client.id));
    }
    if clients.is_empty() {
        return Ok(Tally::default());
    }
    // The tables in the documentation are those of the whole suites.
    let options = Options { write_docs: false, ..options.clone() };
    run_on(&[(suite, clients)], tools, binary, backend, "native-redirect", &options)
}

/// The tools that all clients of all suites need.
pub(crate) fn tools() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for name in Suite::names() {
        names.extend(Suite::tools(&Suite::load(name)?.client));
    }
    Ok(names)
}

fn load(options: &Options) -> Result<Vec<(Suite, Vec<Client>)>> {
    let all = Suite::names();
    let names: Vec<&str> = match options.protocols.as_slice() {
        [] => all,
        some => some.iter().map(String::as_str).collect(),
    };
    let mut suites = Vec::new();
    for name in names {
        let suite = Suite::load(name)?;
        let mut clients = suite.client.clone();
        if !options.clients.is_empty() {
            clients.retain(|client| options.clients.contains(&client.id));
        }
        if clients.is_empty() {
            bail!("the suite `{name}` has none of the clients asked for");
        }
        suites.push((suite, clients));
    }
    Ok(suites)
}

/// These suites, and after them what the same clients do through a server that asks another one.
fn with_upstreams(mut suites: Vec<(Suite, Vec<Client>)>) -> Result<Vec<(Suite, Vec<Client>)>> {
    let through = varied(&suites, Suite::through_upstream)?;
    suites.extend(through);
    Ok(suites)
}

/// A variation of each of these suites that has it, for those of the clients that are in it.
fn varied(
    suites: &[(Suite, Vec<Client>)],
    variation: impl Fn(&str) -> Result<Option<Suite>>,
) -> Result<Vec<(Suite, Vec<Client>)>> {
    let mut all = Vec::new();
    for (suite, wanted) in suites {
        let Some(varied) = variation(&suite.protocol)? else { continue };
        let mut clients = varied.client.clone();
        clients.retain(|client| wanted.iter().any(|one| one.id == client.id));
        if !clients.is_empty() {
            all.push((varied, clients));
        }
    }
    Ok(all)
}

fn run_on(
    suites: &[(Suite, Vec<Client>)],
    tools: &Tools,
    binary: &Path,
    backend: &Backend,
    name: &str,
    options: &Options,
) -> Result<Tally> {
    let all = suites.iter();
    let suites: Vec<(&Suite, Vec<Client>)> =
        all.clone().map(|(suite, clients)| (suite, within_reach(clients, tools))).collect();
    if options.write_docs && all.zip(&suites).any(|((_, all), (_, within))| within.len() < all.len()) {
        bail!("clients were left out, and the tables in the documentation have all of them");
    }
    let mut dirs = Vec::new();
    for (suite, _) in &suites {
        dirs.push(scratch(tools, &format!("{name}/{}", suite.name()))?);
    }
    let mut work = Vec::new();
    for ((suite, clients), dir) in suites.iter().zip(&dirs) {
        let context = column::Context { suite, tools, binary, backend, dir, full: options.full };
        work.extend(clients.iter().map(|client| (context.clone(), client)));
    }
    let mut done = run_columns(&work, options.jobs).into_iter();
    let mut tally = Tally::default();
    let mut summary =
        vec![format!("{:16} {:>7} {:>7} {:>7} {:>8}", name, "clients", "passed", "failed", "seconds")];
    for ((suite, clients), dir) in suites.iter().zip(&dirs) {
        let (begun, columns): (Vec<Instant>, Vec<column::Column>) = done.by_ref().take(clients.len()).unzip();
        let table = table::Table::new(suite, &columns);
        println!("{}", table.for_terminal());
        let ended = begun.iter().zip(&columns).map(|(begun, column)| *begun + column.elapsed).max();
        let elapsed = ended.zip(begun.iter().min()).map_or(Duration::ZERO, |(ended, begun)| ended - *begun);
        println!(
            "{name} {}: {} ({} s; outputs in {})\n",
            suite.name(),
            table.tally(),
            elapsed.as_secs(),
            dir.display()
        );
        let of_suite = table.tally();
        summary.push(format!(
            "{:16} {:>7} {:>7} {:>7} {:>8}",
            suite.name(),
            clients.len(),
            of_suite.passed,
            of_suite.failed,
            elapsed.as_secs()
        ));
        tally += of_suite;
        if options.write_docs {
            docs::replace_section("docs/compatibility.md", &suite.name(), &table.for_docs())?;
        }
    }
    println!("{}\n", summary.join("\n"));
    Ok(tally)
}

/// The clients without those that this machine cannot fetch.
fn within_reach(clients: &[Client], tools: &Tools) -> Vec<Client> {
    let mut within = clients.to_vec();
    within.retain(|client| {
        let missing = client.tools.iter().find(|tool| tools.is_out_of_reach(tool));
        if let Some(tool) = missing {
            println!("{} is left out: no repository that this machine reaches has {tool}", client.id);
        }
        missing.is_none()
    });
    within
}

/// Runs the clients, a few at a time, whatever suite they are of: a suite with one client leaves no processor idle. When each
/// began and what it did come in the order of `work`.
fn run_columns(work: &[(column::Context<'_>, &Client)], jobs: usize) -> Vec<(Instant, column::Column)> {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, Instant, column::Column)>> = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, work.len().max(1)) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some((context, client)) = work.get(at) else { break };
                    let begun = Instant::now();
                    let column = column::run(context, client);
                    eprintln!("  {} {}: {} s", column.title, column.version, column.elapsed.as_secs());
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((at, begun, column));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(at, _, _)| *at);
    done.into_iter().map(|(_, begun, column)| (begun, column)).collect()
}

/// Like [`workspace::scratch`], also where clients left files of root's.
fn scratch(tools: &Tools, name: &str) -> Result<PathBuf> {
    tools.privilege().remove_tree(&workspace::target().join("xtask").join(name))?;
    workspace::scratch(name)
}
