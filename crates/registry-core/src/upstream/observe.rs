//! What upstreams do, in metrics. Labels are closed sets: the configured ids, the protocol, a kind of outcome. Never a name.

use std::time::Duration;

use super::{
    call::Content,
    source::Upstream,
    transport::{Incoming, TransportError},
};

fn count(name: &'static str, upstream: &Upstream) {
    let id = upstream.config.id.as_str().to_owned();
    metrics::counter!(name, "upstream" => id, "protocol" => upstream.protocol.as_str()).increment(1);
}

/// A lookup ended.
pub(crate) fn lookup(upstream: &Upstream, content: Content, outcome: &'static str) {
    let id = upstream.config.id.as_str().to_owned();
    metrics::counter!(
        "upstream_lookups_total", "upstream" => id, "protocol" => upstream.protocol.as_str(),
        "class" => content.as_str(), "outcome" => outcome
    )
    .increment(1);
}

/// An upstream was asked, and answered or not.
pub(crate) fn answered(
    upstream: &Upstream,
    content: Content,
    took: Duration,
    sent: &Result<Result<Incoming, TransportError>, tokio::time::error::Elapsed>,
) {
    let status = match sent {
        Ok(Ok(incoming)) => match incoming.status.as_u16() / 100 {
            1 => "1xx",
            2 => "2xx",
            3 => "3xx",
            4 => "4xx",
            _ => "5xx",
        },
        Ok(Err(TransportError::Timeout)) | Err(_) => "timeout",
        Ok(Err(_)) => "unreachable",
    };
    let id = upstream.config.id.as_str().to_owned();
    metrics::counter!(
        "upstream_requests_total", "upstream" => id.clone(), "protocol" => upstream.protocol.as_str(),
        "class" => content.as_str(), "status" => status
    )
    .increment(1);
    metrics::histogram!(
        "upstream_header_duration_seconds", "upstream" => id, "protocol" => upstream.protocol.as_str()
    )
    .record(took.as_secs_f64());
}

/// Where the breaker of the configured origin stands: 0 closed, 1 open, 2 half-open.
pub(crate) fn breaker(upstream: &Upstream) {
    let id = upstream.config.id.as_str().to_owned();
    let instance = upstream.instance.as_str().to_owned();
    metrics::gauge!("upstream_breaker_state", "upstream" => id, "instance" => instance)
        .set(f64::from(upstream.state().as_number()));
}

/// A request is made again.
pub(crate) fn retry(upstream: &Upstream) {
    count("upstream_retries_total", upstream);
}

/// A URL was not asked because of where it leads.
pub(crate) fn forbidden(upstream: &Upstream) {
    count("upstream_blocked_addresses_total", upstream);
}

/// A body broke off.
pub(crate) fn truncated(upstream: &Upstream) {
    count("upstream_truncated_total", upstream);
}

/// A broken body was continued.
pub(crate) fn resumed(upstream: &Upstream) {
    count("upstream_resumed_total", upstream);
}

/// Bytes were not those that the metadata promises.
pub(crate) fn integrity(upstream: &Upstream) {
    count("upstream_integrity_failures_total", upstream);
}

/// What is immutable changed upstream.
pub(crate) fn digest_changed(upstream: &Upstream) {
    count("upstream_digest_changed_total", upstream);
}

/// Somebody waits for what is being fetched already.
pub(crate) fn coalesced(upstream: &Upstream) {
    count("upstream_coalesced_total", upstream);
}

/// Bytes came from the upstream.
pub(crate) fn received(upstream: &Upstream, bytes: u64) {
    let id = upstream.config.id.as_str().to_owned();
    metrics::counter!(
        "upstream_received_bytes_total", "upstream" => id, "protocol" => upstream.protocol.as_str()
    )
    .increment(bytes);
}
