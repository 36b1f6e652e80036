//! `gc`.

use chrono::Utc;
use smartregistry::core::maintenance::GcRun;

use super::{output, progress};
use crate::{assemble::Opened, cli::Gc, exit::Failure};

/// Collects garbage in every registry, and tells what was removed.
pub(crate) async fn run(store: &Opened, command: Gc) -> Result<(), Failure> {
    let run = GcRun::new(Utc::now(), command.grace.0, command.dry_run);
    let run = run.without_servers(store.storage()).await;
    let run =
        run.map_err(|e| Failure::while_doing("cannot find out whether a server works on the store", &e))?;
    let (verb, done) =
        if command.dry_run { ("would remove", "to be removed") } else { ("removed", "removed") };
    for registry in store.registries() {
        let name = registry.instance().name.as_str();
        let result = progress::show(name, &run.report, registry.collect_garbage(&run)).await;
        output::print(&lines(&run, verb))?;
        result.map_err(|e| Failure::while_doing(format!("cannot collect the garbage of {name}"), &e))?;
    }
    let result = progress::show("users and tokens", &run.report, store.auth().collect_garbage(&run)).await;
    output::print(&lines(&run, verb))?;
    result.map_err(|e| Failure::while_doing("cannot collect the garbage of users and tokens", &e))?;
    let (removed, bytes) = run.report.removed_count();
    output::print(&format!("{} examined, {removed} {done}, {bytes} bytes\n", run.report.examined_count()))
}

/// A line for each thing removed since the last call.
fn lines(run: &GcRun, verb: &str) -> String {
    output::lines(run.report.take_lines().iter().map(|what| format!("{verb} {what}")))
}
