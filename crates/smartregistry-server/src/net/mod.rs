//! The network: listening, connections, TLS, and clients that are too slow.

mod connection;
mod pace;
mod slices;
mod stall;
pub(crate) mod tls;
mod uploads;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use rustls::ServerConfig;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;

pub(crate) use self::connection::{Handler, InFlight};
use self::{
    connection::{Caller, Speech, Version, version_of},
    stall::{Line, StallGuard},
};
use crate::config::Limits;

/// How long a client may take to agree on TLS.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How long to wait after an accept failed, mostly for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Nothing while a server serves; when it must stop, how long requests in flight may take to end.
pub(crate) type Stop = watch::Receiver<Option<Duration>>;

/// A bound address that is served until it is told to stop.
#[derive(Debug)]
pub(crate) struct Server {
    listener: TcpListener,
    limits: Limits,
    tls: Arc<ArcSwapOption<ServerConfig>>,
}

impl Server {
    /// Binds an address, `host:port`.
    pub(crate) async fn bind(
        address: &str,
        limits: Limits,
        tls: Arc<ArcSwapOption<ServerConfig>>,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address)
            .await
            .map_err(|e| io::Error::new(e.kind(), format!("cannot listen on {address}: {e}")))?;
        Ok(Server { listener, limits, tls })
    }

    /// The address that was bound, with its real port.
    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop` holds a grace, then stops accepting, lets the requests in flight end within that grace, and
    /// says whether all of them did.
    pub(crate) async fn run<H: Handler>(self, handler: H, mut stop: Stop) -> bool {
        let most = self.limits.connections;
        let places = Arc::new(Semaphore::new(most as usize));
        let speech = Arc::new(Speech::new(&self.limits));
        let grace = loop {
            let accepted = tokio::select! {
                biased;
                grace = told(&mut stop) => break grace,
                accepted = accept(&self.listener, &places) => accepted,
            };
            let Some((stream, peer, place)) = accepted else { continue };
            let (handler, speech, stop) = (handler.clone(), Arc::clone(&speech), stop.clone());
            let (tls, patience) = (self.tls.load_full(), self.limits.write_timeout);
            tokio::spawn(async move {
                // Answers go out as they are written; without this a small one could wait for an acknowledgement.
                let _ = stream.set_nodelay(true);
                let line = Line::default();
                match tls {
                    None => {
                        if let Some(version) = opening(&stream, speech.patience(), stop.clone()).await {
                            let stream = StallGuard::new(stream, patience, line.clone());
                            let caller = Caller { peer, tls: false, version, line, stop };
                            speech.serve(stream, caller, handler).await;
                        }
                    }
                    Some(tls) => {
                        let stream = StallGuard::new(stream, patience, line.clone());
                        if let Ok(Ok(stream)) =
                            timeout(HANDSHAKE, TlsAcceptor::from(tls).accept(stream)).await
                        {
                            let agreed = stream.get_ref().1.alpn_protocol();
                            let version = if agreed == Some(b"h2") { Version::Two } else { Version::One };
                            let caller = Caller { peer, tls: true, version, line, stop };
                            speech.serve(stream, caller, handler).await;
                        }
                    }
                }
                drop(place);
            });
        };
        drop(self.listener);
        timeout(grace, places.acquire_many(most)).await.is_ok()
    }
}

/// Waits until serving must stop, and gives the grace for the requests in flight.
async fn told(stop: &mut Stop) -> Duration {
    match stop.wait_for(Option::is_some).await {
        Ok(grace) => grace.unwrap_or_default(),
        // Whoever could have told is gone.
        Err(_) => Duration::ZERO,
    }
}

/// The version that a client begins to speak; `None` where it says nothing in time, or the server stops before.
async fn opening(stream: &TcpStream, patience: Duration, mut stop: Stop) -> Option<Version> {
    tokio::select! {
        biased;
        version = version_of(stream) => version.ok(),
        _ = stop.changed() => None,
        () = sleep(patience) => None,
    }
}

/// The next connection, once there is a place for it; `None` where accepting failed and may be tried again.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => Some((stream, peer, place)),
        Err(error) => {
            tracing::warn!(%error, "cannot accept a connection");
            sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

#[cfg(test)]
mod tests;
