//! The registry through its public entry, with storage and users in memory and no sockets. Tests named `checklist_N_…`
//! show that line of docs/rubygems.md's table. (`cfg(test)` tells clippy that the helpers are of tests too.)

#[cfg(test)]
mod access;
#[cfg(test)]
mod account;
#[cfg(test)]
mod administration;
#[cfg(test)]
mod app;
#[cfg(test)]
mod archives;
#[cfg(test)]
mod changes;
#[cfg(test)]
mod compact;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod crowd;
#[cfg(test)]
mod hooks;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod json;
#[cfg(test)]
mod maintenance;
#[cfg(test)]
mod push;
#[cfg(test)]
mod specs;
#[cfg(test)]
mod upstream;
