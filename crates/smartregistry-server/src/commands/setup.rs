//! `setup`.

use std::{fmt::Write as _, net::SocketAddr, sync::Arc};

use smartregistry::core::{Instance, PackageRegistry, Protocol};

use super::{output, registry_named};
use crate::{
    assemble,
    config::{self, Config, Overrides},
    exit::Failure,
    pages,
};

/// Prints how clients are set up, for one registry or all. Opens nothing.
pub(crate) fn run(overrides: &Overrides, wanted: Option<&str>) -> Result<(), Failure> {
    let config = config::load(overrides)?;
    let opened = super::run(assemble::without_store(&config))?;
    let registries: Vec<&dyn PackageRegistry> = match wanted {
        Some(name) => vec![registry_named(opened.registries(), name)?],
        None => opened.registries().iter().map(Arc::as_ref).collect(),
    };
    let mut out = String::new();
    for registry in registries {
        if !out.is_empty() {
            out.push('\n');
        }
        let instance = registry.instance();
        let origin = origin(&config, instance)?;
        // Writing to a string cannot fail.
        let _ = write!(
            out,
            "# {}: TOKEN stands for a token or password. A token to read and publish with is made by\n\
             #   smartregistry token create --user NAME --scope '{}'\n{}\n",
            pages::title(instance),
            scope(instance),
            pages::client_settings(registry, &origin).trim_end(),
        );
    }
    output::print(&out)
}

/// A scope that lets its owner read and publish everything.
fn scope(instance: &Instance) -> String {
    let actions = if instance.protocol == Protocol::Oci { "pull,push" } else { "read,write" };
    format!("{}:{}:*:{actions}", instance.name, instance.protocol.resource_type())
}

/// Where clients reach a registry, as far as the configuration tells.
fn origin(config: &Config, instance: &Instance) -> Result<String, Failure> {
    let own =
        config.instances.iter().find(|one| one.name == instance.name).and_then(|one| one.origin.as_ref());
    match own.or(config.public_url.as_ref()) {
        Some(origin) => Ok(origin.trim_end_matches('/').to_owned()),
        None => listening(&config.listen, config.tls.is_some()),
    }
}

/// The URL of what the server listens on, seen from the same machine.
fn listening(listen: &str, tls: bool) -> Result<String, Failure> {
    let scheme = if tls { "https" } else { "http" };
    if listen.ends_with(":0") {
        return Err(Failure::usage(
            "the server takes a free port: say where it is reached with --public-url",
        ));
    }
    let address: Option<SocketAddr> = listen.parse().ok();
    Ok(match address {
        Some(address) if address.ip().is_unspecified() => format!("{scheme}://127.0.0.1:{}", address.port()),
        _ => format!("{scheme}://{listen}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_listens_everywhere_is_reached_on_this_machine() {
        for (listen, tls, url) in [
            ("127.0.0.1:3000", false, "http://127.0.0.1:3000"),
            ("0.0.0.0:443", true, "https://127.0.0.1:443"),
            ("[::]:3000", false, "http://127.0.0.1:3000"),
            ("registry.example.com:80", false, "http://registry.example.com:80"),
        ] {
            assert_eq!(listening(listen, tls).unwrap(), url);
        }
        assert!(listening("127.0.0.1:0", false).is_err());
    }
}
