//! Suites over the whole: several clients at once, killed servers, several servers on one store, all registries beside each
//! other.

mod early;
mod gc;
mod kills;
mod large;
mod large_packages;
#[cfg(feature = "test-s3")]
mod nodes;
mod publishes;
mod slow;
mod together;
mod uploads;
