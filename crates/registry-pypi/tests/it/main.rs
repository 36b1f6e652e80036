//! The registry through its public entry, with storage and users in memory and no sockets. Tests named `checklist_N_…`
//! show that line of docs/pypi.md's table. (`cfg(test)` tells clippy that the helpers are of tests too.)

#[cfg(test)]
mod access;
#[cfg(test)]
mod administration;
#[cfg(test)]
mod app;
#[cfg(test)]
mod attestations;
#[cfg(test)]
mod files;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod json;
#[cfg(test)]
mod maintenance;
#[cfg(test)]
mod manage;
#[cfg(test)]
mod page;
#[cfg(test)]
mod simple;
#[cfg(test)]
mod upload;
#[cfg(test)]
mod upstream;
