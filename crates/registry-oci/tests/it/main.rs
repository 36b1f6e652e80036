//! The registry through `handle`, in memory: no sockets.

#[cfg(test)]
mod access;
#[cfg(test)]
mod administration;
#[cfg(test)]
mod bench;
#[cfg(test)]
mod blobs;
#[cfg(test)]
mod gc;
#[cfg(test)]
mod hooks;
#[cfg(test)]
mod manifests;
#[cfg(test)]
mod redirect;
#[cfg(test)]
mod referrers;
#[cfg(test)]
mod tags;
#[cfg(test)]
mod uploads;
#[cfg(test)]
mod upstream;
