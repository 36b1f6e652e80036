//! `verify`.

use smartregistry::core::maintenance::VerifyRun;

use super::{output, progress};
use crate::{assemble::Opened, exit::Failure};

/// Reads and hashes everything of every registry. A line on standard output for each fault, and then a failure.
pub(crate) async fn run(store: &Opened) -> Result<(), Failure> {
    let run = VerifyRun::default();
    let mut told = 0;
    for registry in store.registries() {
        let name = registry.instance().name.as_str();
        let result = progress::show(name, &run.report, registry.verify(&run)).await;
        let faults = run.report.faults();
        output::print(&output::lines(faults.iter().skip(told)))?;
        told = faults.len();
        result.map_err(|e| Failure::while_doing(format!("cannot verify {name}"), &e))?;
    }
    let examined = run.report.examined_count();
    if told > 0 {
        return Err(Failure::new(format!("{told} faults in {examined} examined")));
    }
    output::print(&format!("{examined} examined, no faults\n"))
}
