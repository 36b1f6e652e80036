//! Metrics in Prometheus' text format: what the server counts itself, and what the crates below count by `metrics`.

use std::{sync::OnceLock, time::Duration};

use http::{Method, StatusCode};
use metrics::{
    Counter, Histogram, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use smartregistry::core::Protocol;

/// Upper ends of the latency histograms' buckets, in seconds.
const SECONDS: [f64; 14] =
    [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 120.0];

/// The methods that are told apart; all others count as `OTHER`.
const METHODS: [&str; 8] = ["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "OTHER"];

/// The classes of status codes.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// All protocols and, last, the server's own pages.
const PROTOCOLS: usize = Protocol::ALL.len() + 1;

/// What is counted of requests. The handles are looked up once, so that counting one costs a few additions.
#[derive(Debug, Default)]
pub(crate) struct RequestMetrics {
    of: [OfProtocol; PROTOCOLS],
}

#[derive(Debug, Default)]
struct OfProtocol {
    requests: [[OnceLock<Counter>; CLASSES.len()]; METHODS.len()],
    seconds: OnceLock<Histogram>,
    sent: OnceLock<Counter>,
    received: OnceLock<Counter>,
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Handle")
    }
}

/// What renders the metrics of this process.
#[derive(Clone)]
pub(crate) struct Handle(PrometheusHandle);

/// Begins to keep metrics.
pub(crate) fn install() -> Result<Handle, BuildError> {
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
        .install_recorder()?;
    describe_counter!("http_requests_total", "Requests by protocol, method and class of status");
    describe_histogram!("http_request_duration_seconds", "From a request's headers to its answer's end");
    describe_counter!("http_sent_bytes_total", "Bytes of answers' bodies");
    describe_counter!("http_received_bytes_total", "Bytes of requests' bodies, as announced");
    describe_counter!("http_panics_total", "Requests whose handling panicked");
    describe_gauge!("smartregistry_build_info", "Always 1; the label tells the version");
    gauge!("smartregistry_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    Ok(Handle(recorder))
}

impl Handle {
    /// All metrics as Prometheus reads them.
    pub(crate) fn render(&self) -> String {
        self.0.render()
    }

    /// Moves what was recorded into the histograms, which otherwise grow until somebody looks.
    pub(crate) fn upkeep(&self) {
        self.0.run_upkeep();
    }
}

impl RequestMetrics {
    /// Counts one request.
    pub(crate) fn record(
        &self,
        protocol: Option<Protocol>,
        method: &Method,
        status: StatusCode,
        duration: Duration,
        sent: u64,
        received: u64,
    ) {
        let at = protocol.map_or(PROTOCOLS - 1, |p| p as usize);
        let name = protocol_name(protocol);
        let Some(of) = self.of.get(at) else { return };
        let (method, class) = (method_index(method), class_index(status));
        if let Some(requests) = of.requests.get(method).and_then(|m| m.get(class)) {
            requests.get_or_init(|| request_counter(name, method, class)).increment(1);
        }
        of.seconds
            .get_or_init(|| histogram!("http_request_duration_seconds", "protocol" => name))
            .record(duration.as_secs_f64());
        if sent > 0 {
            of.sent.get_or_init(|| counter!("http_sent_bytes_total", "protocol" => name)).increment(sent);
        }
        if received > 0 {
            of.received
                .get_or_init(|| counter!("http_received_bytes_total", "protocol" => name))
                .increment(received);
        }
    }
}

/// The protocol's name in logs and metrics; `server` for the server's own pages.
pub(crate) fn protocol_name(protocol: Option<Protocol>) -> &'static str {
    protocol.map_or("server", Protocol::as_str)
}

fn request_counter(protocol: &'static str, method: usize, class: usize) -> Counter {
    let method = METHODS.get(method).copied().unwrap_or("OTHER");
    let class = CLASSES.get(class).copied().unwrap_or("5xx");
    counter!("http_requests_total", "protocol" => protocol, "method" => method, "status" => class)
}

fn method_index(method: &Method) -> usize {
    METHODS.iter().position(|m| *m == method.as_str()).unwrap_or(METHODS.len() - 1)
}

fn class_index(status: StatusCode) -> usize {
    usize::from(status.as_u16() / 100).saturating_sub(1).min(CLASSES.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_closed_sets_of_labels() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            let metrics = RequestMetrics::default();
            let second = Duration::from_secs(1);
            metrics.record(Some(Protocol::Npm), &Method::GET, StatusCode::OK, second, 10, 0);
            metrics.record(Some(Protocol::Npm), &Method::GET, StatusCode::NO_CONTENT, second, 5, 0);
            metrics.record(Some(Protocol::Oci), &Method::PUT, StatusCode::NOT_FOUND, second, 0, 7);
            metrics.record(None, &Method::from_bytes(b"BREW").unwrap(), StatusCode::OK, second, 0, 0);
        });
        let text = handle.render();
        for line in [
            r#"http_requests_total{protocol="npm",method="GET",status="2xx"} 2"#,
            r#"http_requests_total{protocol="oci",method="PUT",status="4xx"} 1"#,
            r#"http_requests_total{protocol="server",method="OTHER",status="2xx"} 1"#,
            r#"http_sent_bytes_total{protocol="npm"} 15"#,
            r#"http_received_bytes_total{protocol="oci"} 7"#,
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is missing in\n{text}");
        }
    }
}
