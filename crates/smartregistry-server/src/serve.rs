//! `serve`: from the configuration to the last answer.

mod reload;
mod signals;

use std::{io::Write, net::SocketAddr, sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use http::Request;
use rustls::ServerConfig;
use secrecy::ExposeSecret;
use smartregistry::core::{Body, Chain, Response};
use tokio::{sync::watch, time::timeout};

use self::signals::{Signal, Signals};
use crate::{
    assemble,
    config::{self, Config, Overrides},
    exit::Failure,
    front::Front,
    log::{Log, Sink},
    metrics,
    net::{Handler, InFlight, Server, tls},
    pages::{self, Page},
};

/// How often recorded latencies are moved into their histograms.
const UPKEEP: Duration = Duration::from_secs(5);

/// How long the registries' own work in the background may take to end.
const GOODBYE: Duration = Duration::from_secs(10);

/// Serves until a signal ends it.
pub(crate) fn run(overrides: &Overrides) -> Result<(), Failure> {
    let config = config::load(overrides)?;
    let mut log = Log::start(&config.log).map_err(|e| Failure::while_doing("cannot start the log", &e))?;
    install_panic_hook(log.sink().clone(), config.abort_on_panic);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("worker")
        .build()
        .map_err(|e| Failure::while_doing("cannot start", &e))?;
    let result = runtime.block_on(serve(overrides, config, &log));
    // What still runs in the background has had its time.
    runtime.shutdown_timeout(Duration::from_secs(1));
    log.close();
    result
}

async fn serve(overrides: &Overrides, config: Config, log: &Log) -> Result<(), Failure> {
    let mut signals = Signals::new().map_err(|e| Failure::while_doing("cannot wait for signals", &e))?;
    // Before the store is opened: some of its counters are looked up once.
    let metrics = config.metrics.enabled.then(metrics::install).transpose();
    let metrics = metrics.map_err(|e| Failure::while_doing("cannot keep metrics", &e))?;
    let tls = Arc::new(ArcSwapOption::<ServerConfig>::empty());
    if let Some(files) = &config.tls {
        tls.store(Some(tls::load(files).map_err(|e| Failure::while_doing("[tls]", &e))?));
    }
    let (opened, admin_token) = assemble::open_for_serving(&config).await?;
    let server = bind(&config.listen, &config, Arc::clone(&tls)).await?;
    let own_metrics = match (&config.metrics.listen, &metrics) {
        (Some(address), Some(metrics)) => {
            let server = bind(address, &config, Arc::new(ArcSwapOption::empty())).await?;
            Some((server, MetricsOnly(metrics.clone())))
        }
        _ => None,
    };
    let front = Front::new(assemble::live(&opened, &config, log), metrics.clone());

    let (stop, stopped) = watch::channel(None);
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    if let Some(token) = admin_token {
        say(&format!("administrator's token, shown this once: {}", token.expose_secret()));
    }
    if let Some((server, _)) = &own_metrics {
        say(&format!("metrics on http://{}/metrics", address(server)?));
    }
    say(&format!("listening on {scheme}://{}", address(&server)?));

    let mut background = tokio::task::JoinSet::new();
    if let Some(metrics) = metrics {
        background.spawn(async move {
            loop {
                tokio::time::sleep(UPKEEP).await;
                metrics.upkeep();
            }
        });
    }
    if let Some((server, handler)) = own_metrics {
        let stopped = stopped.clone();
        background.spawn(async move {
            server.run(handler, stopped).await;
        });
    }
    let mut grace = config.shutdown_timeout;
    let serving = tokio::spawn(server.run(front.clone(), stopped));
    let mut reloader = reload::Reloader::new(overrides, config, opened, front, tls);
    while signals.next().await == Signal::Reload {
        grace = reloader.reload(log).await;
    }
    tracing::info!(
        grace_seconds = grace.as_secs(),
        "stopping: no new connections, requests in flight may end"
    );
    // The receivers are gone only where serving has ended already.
    let _ = stop.send(Some(grace));
    tokio::select! {
        ended = serving => {
            if !ended.unwrap_or(false) {
                tracing::warn!("some requests did not end in time");
            }
        }
        () = signals.stop() => tracing::warn!("stopping at once: a second signal came"),
    }
    background.shutdown().await;
    if timeout(GOODBYE, reloader.close()).await.is_err() {
        tracing::warn!("some work in the background did not end in time");
    }
    tracing::info!("stopped");
    Ok(())
}

async fn bind(
    address: &str,
    config: &Config,
    tls: Arc<ArcSwapOption<ServerConfig>>,
) -> Result<Server, Failure> {
    Server::bind(address, config.limits.clone(), tls).await.map_err(|e| Failure::new(e.to_string()))
}

fn address(server: &Server) -> Result<SocketAddr, Failure> {
    server.address().map_err(|e| Failure::while_doing("cannot tell the bound address", &e))
}

/// Says a line to whoever started the server, past the log, which may be a file or JSON.
fn say(line: &str) {
    // There is nobody else to tell.
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Tells panics in the log, and ends the process after one where that is wanted.
fn install_panic_hook(sink: Sink, abort: bool) {
    std::panic::set_hook(Box::new(move |panic| {
        let location = panic.location().map(ToString::to_string).unwrap_or_default();
        let message = panic.payload_as_str().unwrap_or("(no message)");
        let backtrace = std::backtrace::Backtrace::capture();
        let backtrace = match backtrace.status() {
            std::backtrace::BacktraceStatus::Captured => backtrace.to_string(),
            _ => String::new(),
        };
        tracing::error!(location, backtrace, "panic: {message}");
        if abort {
            sink.flush();
            std::process::abort();
        }
    }));
}

/// Serves `/metrics` and nothing else, on an address of its own.
#[derive(Clone, Debug)]
struct MetricsOnly(metrics::Handle);

impl Handler for MetricsOnly {
    type Body = Body;

    fn handle(
        self,
        _: SocketAddr,
        _: bool,
        _: InFlight,
        request: Request<Body>,
    ) -> impl Future<Output = Response> + Send + 'static {
        let response = match (pages::refuse_method(request.method()), Page::at(request.uri().path())) {
            (Some(refusal), _) => refusal,
            (None, Some(Page::Metrics)) => pages::metrics(self.0.render()),
            (None, Some(Page::Health)) => pages::text(http::StatusCode::OK, "ok\n"),
            (None, _) => pages::text(http::StatusCode::NOT_FOUND, "only /metrics is served here\n"),
        };
        std::future::ready(response)
    }
}

/// Tells why something is refused and the old state stays.
fn refuse(what: &str, error: &dyn std::error::Error) {
    tracing::error!(error = %Chain(error), "{what}");
}
