//! The registry through its public entry, with storage and users in memory and no sockets. Tests named `checklist_N_…`
//! show that line of docs/cargo.md's table.

#[cfg(test)]
mod administration;
#[cfg(test)]
mod app;
#[cfg(test)]
mod changes;
#[cfg(test)]
mod hooks;
#[cfg(test)]
mod hostile;
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
