//! `check-config`.

use std::fmt::Write as _;

use smartregistry::{BasePath, core::upstream::OnError};

use super::output;
use crate::{
    assemble,
    config::{self, Config, Overrides},
    exit::Failure,
    net::tls,
};

/// Checks the configuration, certificates and the administrator's token included, and says what it comes to. Nothing is opened or changed.
pub(crate) fn run(overrides: &Overrides) -> Result<(), Failure> {
    let config = config::load(overrides)?;
    assemble::admin_token()?;
    assemble::upstreams(&config)?;
    if let Some(tls) = &config.tls {
        tls::load(tls).map_err(|e| Failure::while_doing("[tls]", &e))?;
    }
    output::print(&describe(&config))
}

fn describe(config: &Config) -> String {
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    let mut out =
        format!("listen      {scheme}://{}\nstorage     {}\n", config.listen, config.storage.location);
    // Writing to a string cannot fail, here and below.
    if let Some(url) = &config.public_url {
        let _ = writeln!(out, "public url  {url}");
    }
    for instance in &config.instances {
        let paths: Vec<&str> = instance.base_paths.iter().map(BasePath::as_str).collect();
        let _ =
            write!(out, "registry    {} ({}) at {}", instance.name, instance.protocol, paths.join(" and "));
        let _ = match &instance.host {
            Some(host) => writeln!(out, " on {host}"),
            None => writeln!(out),
        };
    }
    for upstream in config.upstreams.iter().flat_map(|one| one.set.upstreams.iter().map(move |u| (one, u))) {
        let (of, upstream) = upstream;
        let _ = writeln!(out, "upstream    {} of {} at {}", upstream.id, of.instance, upstream.url);
        if upstream.on_error == OnError::Next {
            let _ = writeln!(
                out,
                "            When {} fails, names that it has may come from the next upstream.",
                upstream.id
            );
        }
    }
    out.push_str("The configuration is good.\n");
    out
}
