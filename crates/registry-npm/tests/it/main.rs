//! The registry through its public entry, with storage and users in memory and no sockets. Tests named `checklist_N_…`
//! show that line of docs/npm.md's table.

mod account;
mod app;
mod edits;
mod hooks;
mod maintenance;
mod permissions;
mod publish;
mod read;
mod search;
mod streaming;
mod tags;
mod tokens;
mod unpublish;
mod weblogin;
