//! The registry through its public entry, with storage and users in memory and no sockets. Tests named `checklist_N_…`
//! show that line of docs/npm.md's table. (`cfg(test)` tells clippy that the helpers are of tests too.)

#[cfg(test)]
mod account;
#[cfg(test)]
mod administration;
#[cfg(test)]
mod app;
#[cfg(test)]
mod edits;
#[cfg(test)]
mod hooks;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod maintenance;
#[cfg(test)]
mod page;
#[cfg(test)]
mod permissions;
#[cfg(test)]
mod publish;
#[cfg(test)]
mod read;
#[cfg(test)]
mod search;
#[cfg(test)]
mod streaming;
#[cfg(test)]
mod tags;
#[cfg(test)]
mod tokens;
#[cfg(test)]
mod unpublish;
#[cfg(test)]
mod upstream;
#[cfg(test)]
mod weblogin;
