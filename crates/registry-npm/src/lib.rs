//! registry-npm
