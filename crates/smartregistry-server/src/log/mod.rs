//! The log: events of the program by `tracing`, and the access log, into one stream of lines.

mod access;
mod sink;

use std::io::{self, IsTerminal};

use tracing::{Level, level_filters::LevelFilter};
use tracing_subscriber::{Layer, Registry, filter::Targets, fmt, layer::SubscriberExt, reload};

pub(crate) use self::{
    access::{Access, AccessLog},
    sink::{Sink, Target, Writer},
};
use crate::config::{LogConfig, LogFormat};

/// The log of the running server.
#[derive(Debug)]
pub(crate) struct Log {
    sink: Sink,
    json: bool,
    level: reload::Handle<Targets, Registry>,
    writer: Option<Writer>,
}

impl Log {
    /// Starts the log and makes it the process's own.
    pub(crate) fn start(config: &LogConfig) -> io::Result<Self> {
        let json = is_json(config);
        let (sink, writer) = Sink::start(Target::open(config.file.as_deref())?)?;
        let lines: Box<dyn Layer<Registry> + Send + Sync> = if json {
            Box::new(
                fmt::layer().json().flatten_event(true).with_current_span(false).with_writer(sink.clone()),
            )
        } else {
            let colours = config.file.is_none() && io::stderr().is_terminal();
            Box::new(fmt::layer().compact().with_ansi(colours).with_writer(sink.clone()))
        };
        let (filter, level) = reload::Layer::new(targets(config.level));
        let subscriber = Registry::default().with(lines.with_filter(filter));
        // Fails only where a log was started before in this process, which then serves on.
        let _ = tracing::subscriber::set_global_default(subscriber);
        Ok(Log { sink, json, level, writer: Some(writer) })
    }

    /// The access log, where the level lets it through.
    pub(crate) fn access(&self, config: &LogConfig) -> Option<AccessLog> {
        (config.level >= Level::INFO).then(|| AccessLog::new(self.sink.clone(), self.json))
    }

    /// Goes on in `target`, which was opened anew since the file may have been rotated, and with the new level. The format
    /// stays as it was.
    pub(crate) fn reload(&self, config: &LogConfig, target: Target) {
        self.sink.redirect(target);
        // Fails only where the subscriber is gone, and then there is nothing to change.
        let _ = self.level.reload(targets(config.level));
    }

    /// The stream of lines itself.
    pub(crate) fn sink(&self) -> &Sink {
        &self.sink
    }

    /// Writes what waits and ends the log.
    pub(crate) fn close(&mut self) {
        if let Some(writer) = self.writer.take() {
            writer.close();
        }
    }
}

fn is_json(config: &LogConfig) -> bool {
    match config.format {
        LogFormat::Json => true,
        LogFormat::Human => false,
        LogFormat::Auto => config.file.is_some() || !io::stderr().is_terminal(),
    }
}

/// Our own crates at the level asked for; others only where something is wrong, or everything is wanted.
fn targets(level: Level) -> Targets {
    let others = if level == Level::TRACE { LevelFilter::TRACE } else { LevelFilter::WARN.min(level.into()) };
    [
        "smartregistry",
        "registry_cargo",
        "registry_composer",
        "registry_maven",
        "registry_core",
        "registry_npm",
        "registry_oci",
        "registry_pypi",
        "registry_rubygems",
    ]
    .into_iter()
    .fold(Targets::new().with_default(others), |targets, name| targets.with_target(name, level))
}
