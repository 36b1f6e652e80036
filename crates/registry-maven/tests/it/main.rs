//! The registry through its public entry, with storage and users in memory and no sockets. Tests named `checklist_N_…`
//! show that line of docs/maven.md's table. (`cfg(test)` tells clippy that the helpers are of tests too.)

#[cfg(test)]
mod access;
#[cfg(test)]
mod administration;
#[cfg(test)]
mod app;
#[cfg(test)]
mod checksums;
#[cfg(test)]
mod clients;
#[cfg(test)]
mod cost;
#[cfg(test)]
mod deploy;
#[cfg(test)]
mod folders;
#[cfg(test)]
mod hooks;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod maintenance;
#[cfg(test)]
mod metadata;
#[cfg(test)]
mod page;
#[cfg(test)]
mod plugins;
#[cfg(test)]
mod read;
#[cfg(test)]
mod remove;
#[cfg(test)]
mod snapshots;
#[cfg(test)]
mod upstream;
