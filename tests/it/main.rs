//! The cross-crate suites.
