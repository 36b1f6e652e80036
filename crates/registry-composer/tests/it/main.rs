//! The registry through its public entry, with storage and users in memory and no sockets. Tests named `checklist_N_…`
//! show that line of docs/composer.md's table. (`cfg(test)` tells clippy that the helpers are of tests too.)

#[cfg(test)]
mod administration;
#[cfg(test)]
mod app;
#[cfg(test)]
mod edits;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod lists;
#[cfg(test)]
mod maintenance;
#[cfg(test)]
mod permissions;
#[cfg(test)]
mod publish;
#[cfg(test)]
mod read;
#[cfg(test)]
mod upstream;
