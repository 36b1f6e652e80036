//! `explain`: where an answer about a name would come from, by the rules as they are configured.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use smartregistry::core::{
    Actor,
    administration::AdministrationError,
    upstream::{Hosted, KeptOfName, Resolution},
};

use super::{output, registry_named, token::time};
use crate::{assemble::Opened, cli::Explain, exit::Failure};

/// Says whether a name is hosted, who is asked for it, which versions are hidden, and what is kept of it. Asks nobody.
pub(crate) async fn run(store: &Opened, command: Explain) -> Result<(), Failure> {
    let registry = registry_named(store.registries(), &command.registry)?;
    let name = command.name.as_str();
    let hosted = match registry.show_package(name).await {
        Ok(_) => Hosted::Yes,
        Err(AdministrationError::NotFound(_)) => Hosted::No,
        Err(error) => return Err(Failure::while_doing(format!("cannot look for {name}"), &error)),
    };
    let upstreams = store.upstreams_of(registry);
    let resolved = upstreams.resolve(&Actor::anonymous(), Some(name), hosted).await;
    let resolved = resolved.map_err(|e| Failure::while_doing("cannot find out who is asked", &e))?;
    let kept = upstreams.kept_of(name).await;
    let kept =
        kept.map_err(|e| Failure::while_doing(format!("cannot look at what is kept of {name}"), &e))?;
    output::print(&told(hosted, &resolved, &kept, Utc::now()))
}

fn told(hosted: Hosted, resolved: &Resolution, kept: &[KeptOfName], now: DateTime<Utc>) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail, here and below.
    let is_hosted = if hosted == Hosted::Yes { "yes" } else { "no" };
    let _ = writeln!(out, "hosted    {is_hosted}");
    match resolved {
        Resolution::Denied(denial) => {
            let _ = writeln!(out, "asked     nobody: {denial}");
        }
        Resolution::Local { rule: Some(rule) } => {
            let _ = writeln!(out, "asked     nobody: the rule `{rule}` keeps it local");
        }
        Resolution::Local { rule: None } if hosted == Hosted::Yes => {
            out.push_str("asked     nobody: a hosted name is answered from here alone\n");
        }
        Resolution::Local { rule: None } => out.push_str("asked     nobody: no upstream may be asked\n"),
        Resolution::Ask(plan) => {
            for (at, upstream) in plan.upstreams.iter().enumerate() {
                let label = if at == 0 { "asked    " } else { "then     " };
                let _ = writeln!(out, "{label} {} at {}", upstream.id, upstream.url);
            }
            if plan.merge {
                out.push_str("merged    with what is hosted, which wins\n");
            }
            for rule in plan.policy.rules() {
                let _ = writeln!(out, "hidden    {rule}");
            }
        }
    }
    for kept in kept {
        let age = now.signed_duration_since(kept.newest).num_seconds().max(0);
        let _ = writeln!(
            out,
            "kept      of {}: {} documents, {} artifacts, {} bytes, the newest of {} ({age} s old)",
            kept.upstream,
            kept.kept.documents,
            kept.kept.artifacts,
            kept.kept.bytes,
            time(Some(kept.newest))
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_has_its_reason() {
        let now = "2026-03-04T05:06:07Z".parse().unwrap();
        for (hosted, resolved, want) in [
            (Hosted::Yes, Resolution::Local { rule: None }, "hosted    yes\nasked     nobody: a hosted name"),
            (
                Hosted::No,
                Resolution::Local { rule: Some("@acme/*".to_owned()) },
                "hosted    no\nasked     nobody: the rule `@acme/*` keeps it local",
            ),
            (Hosted::No, Resolution::Local { rule: None }, "hosted    no\nasked     nobody: no upstream"),
        ] {
            let text = told(hosted, &resolved, &[], now);
            assert!(text.starts_with(want), "{text}");
        }
    }
}
