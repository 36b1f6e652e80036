//! Pulling through from other registries: whom to ask, asking, keeping copies.
//!
//! One engine for all protocols. A protocol crate holds [`Upstreams`] of its instance, asks it for the [`Route`] of a name, and
//! fetches documents ([`DocumentRequest`]) and artefacts ([`ArtifactRequest`]) along it; what documents say and how their URLs are
//! rewritten is the protocol's. `docs/upstreams.md` tells how an adapter is written.
//!
//! - Four ends, each a type of its own ([`Lookup`]): a failure is never taken for "not there".
//! - A hosted or reserved name asks nobody ([`Hosted`], [`Routing`]).
//! - Nothing is kept whose length and digest were not checked.
//! - Whoever asks first does not own the fetch: it is a task of its own, and all who ask watch it.

mod address;
mod artifact;
mod ask;
mod body;
mod breaker;
mod call;
mod config;
mod documents;
mod engine;
mod exchange;
mod fetch;
mod fill;
mod flight;
mod forward;
mod found;
mod freshness;
mod gate;
#[cfg(feature = "upstream")]
mod http_transport;
mod kept;
mod names;
mod observe;
mod outcome;
mod policy;
mod provider;
mod retry;
mod route;
mod rules;
mod source;
mod spool;
mod status;
mod stored;
#[cfg(test)]
mod tests;
mod token;
mod transport;

#[cfg(feature = "upstream")]
pub use self::http_transport::HttpConnector;
pub use self::{
    artifact::{ArtifactHead, ArtifactRequest, Expected, Location, UpstreamArtifact},
    breaker::BreakerState,
    config::{
        Egress, InvalidUpstreamId, OnError, UpstreamAuth, UpstreamConfig, UpstreamId, UpstreamUrlError,
    },
    documents::{Check, DocumentRequest, UpstreamDocument},
    engine::{UpstreamEngine, UpstreamHealth},
    forward::{Forward, Forwarded},
    found::Found,
    kept::{Kept, KeptOfName, Purge},
    outcome::{Denial, DeniedBy, Failure, FailureKind, Lookup, Unanswered},
    policy::{NamePolicy, Sifted},
    provider::{
        InstanceUpstreams, Plan, Resolution, ResolveError, StaticUpstreamProvider, UpstreamProvider,
        UpstreamRequest,
    },
    route::{Hosted, Route, Routing, Source, Upstreams},
    rules::{Rule, RuleAction, RuleSet},
    status::{CacheState, Provenance},
    stored::Resource,
    transport::{Connector, ConnectorError, Incoming, Outgoing, Transport, TransportError},
};
