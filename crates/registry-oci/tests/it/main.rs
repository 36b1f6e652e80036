//! The registry through `handle`, in memory: no sockets.

mod access;
mod bench;
mod blobs;
mod gc;
mod hooks;
mod manifests;
mod referrers;
mod tags;
mod uploads;
