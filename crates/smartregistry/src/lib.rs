//! smartregistry
