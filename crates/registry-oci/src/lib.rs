//! registry-oci
