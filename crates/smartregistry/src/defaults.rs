//! The registries that there are where nobody says which.

use registry_core::{BasePath, Instance, InstanceName, Protocol};

use crate::builder::Make;

/// One registry of each protocol that is compiled in.
pub(crate) fn registries() -> Vec<Make> {
    Vec::from([
        #[cfg(feature = "cargo")]
        cargo(),
        #[cfg(feature = "composer")]
        composer(),
        #[cfg(feature = "maven")]
        maven(),
        #[cfg(feature = "npm")]
        npm(),
        #[cfg(feature = "oci")]
        oci(),
        #[cfg(feature = "pypi")]
        pypi(),
        #[cfg(feature = "rubygems")]
        rubygems(),
    ])
}

#[cfg(feature = "cargo")]
fn cargo() -> Make {
    use registry_cargo::{CargoConfig, CargoRegistry};
    let instance = default_instance(Protocol::Cargo);
    Box::new(|services| std::sync::Arc::new(CargoRegistry::new(instance, services, CargoConfig::default())))
}

#[cfg(feature = "composer")]
fn composer() -> Make {
    use registry_composer::{ComposerConfig, ComposerRegistry};
    let instance = default_instance(Protocol::Composer);
    Box::new(|services| {
        std::sync::Arc::new(ComposerRegistry::new(instance, services, ComposerConfig::default()))
    })
}

#[cfg(feature = "maven")]
fn maven() -> Make {
    use registry_maven::{MavenConfig, MavenRegistry};
    let instance = default_instance(Protocol::Maven);
    Box::new(|services| std::sync::Arc::new(MavenRegistry::new(instance, services, MavenConfig::default())))
}

#[cfg(feature = "npm")]
fn npm() -> Make {
    use registry_npm::{NpmConfig, NpmRegistry};
    let instance = default_instance(Protocol::Npm);
    Box::new(|services| std::sync::Arc::new(NpmRegistry::new(instance, services, NpmConfig::default())))
}

#[cfg(feature = "oci")]
fn oci() -> Make {
    use registry_oci::{OciConfig, OciRegistry};
    let instance = default_instance(Protocol::Oci);
    Box::new(|services| std::sync::Arc::new(OciRegistry::new(instance, services, OciConfig::default())))
}

#[cfg(feature = "pypi")]
fn pypi() -> Make {
    use registry_pypi::{PypiConfig, PypiRegistry};
    let instance = default_instance(Protocol::Pypi);
    Box::new(|services| std::sync::Arc::new(PypiRegistry::new(instance, services, PypiConfig::default())))
}

#[cfg(feature = "rubygems")]
fn rubygems() -> Make {
    use registry_rubygems::{RubygemsConfig, RubygemsRegistry};
    let instance = default_instance(Protocol::Rubygems);
    Box::new(|services| {
        std::sync::Arc::new(RubygemsRegistry::new(instance, services, RubygemsConfig::default()))
    })
}

/// A protocol's default registry: named as the protocol, at its usual base paths.
pub fn default_instance(protocol: Protocol) -> Instance {
    Instance::new(InstanceName::from(protocol), protocol, default_base_paths(protocol))
}

/// Where a protocol's default registry is reached.
pub fn default_base_paths(protocol: Protocol) -> Vec<BasePath> {
    let texts: &[&str] = match protocol {
        Protocol::Cargo => &["/cargo"],
        Protocol::Composer => &["/composer"],
        Protocol::Maven => &["/maven"],
        Protocol::Npm => &["/npm"],
        Protocol::Oci => &["/v2", "/oci"],
        Protocol::Pypi => &["/simple", "/pypi"],
        Protocol::Rubygems => &["/rubygems"],
    };
    texts.iter().filter_map(|text| text.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_protocol_has_its_usual_place() {
        for protocol in Protocol::ALL {
            let instance = default_instance(protocol);
            assert!(instance.is_default());
            assert!(!instance.base_paths.is_empty(), "{protocol}");
        }
        let paths = default_base_paths(Protocol::Oci);
        assert_eq!(paths.iter().map(BasePath::as_str).collect::<Vec<_>>(), ["/v2", "/oci"]);
    }
}
