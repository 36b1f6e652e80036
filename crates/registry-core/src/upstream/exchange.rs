//! Asking an upstream: turns, retries, redirects and credentials. One layer does all of it; the transport below does none.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use secrecy::ExposeSecret as _;
use tokio::time::{Instant, timeout};
use url::Url;

use super::{
    Denial, Failure, FailureKind, Lookup,
    address::Standing,
    breaker::Ticket,
    call::{Answer, Call, Content, Served},
    config::UpstreamAuth,
    gate::Health,
    observe,
    outcome::DeniedBy,
    retry,
    source::Upstream,
    transport::{Incoming, Outgoing, TransportError},
};

/// The most redirects that are followed.
const MOST_HOPS: usize = 5;
/// How long a request waits for its turn.
const TURN: Duration = Duration::from_secs(10);
/// How long an upstream is left alone that says 429 without a time.
const COOLING: Duration = Duration::from_secs(5);

/// One attempt's end.
enum Attempt {
    Answered(Incoming, Served),
    /// Worth another attempt, perhaps after a time that the upstream named.
    Passing(Failure, Option<Duration>),
    Final(Failure),
}

impl Upstream {
    /// Asks. `Found` is 2xx or 304.
    pub(crate) async fn exchange(self: &Arc<Self>, call: &Call) -> Lookup<Answer> {
        if self.config.offline {
            return Lookup::Failed(self.failure(FailureKind::Offline));
        }
        if let Some(wait) = self.gate.cooling(self.now()) {
            return Lookup::Failed(Failure::after(self.id(), FailureKind::Cooling, wait));
        }
        let turn = Arc::clone(self.turns(call.content)).acquire_owned();
        let Ok(Ok(turn)) = timeout(TURN, turn).await else {
            return Lookup::Failed(self.failure(FailureKind::Busy));
        };
        let header_timeout = match call.content {
            Content::Document => self.config.document_timeout,
            Content::Artifact => self.config.artifact_timeout,
        };
        let deadline = Instant::now() + header_timeout * 2;
        self.gate.earn_retry();
        let mut attempts = 0;
        loop {
            // However often it is tried, nobody waits longer than twice.
            let patience = header_timeout.min(deadline.saturating_duration_since(Instant::now()));
            let (failure, wait) = match self.attempt(call, patience).await {
                Attempt::Answered(incoming, served) => {
                    let Incoming { status, headers, body, delimited } = incoming;
                    return match self.read_status(status, &headers) {
                        None => Lookup::Found(Answer { status, headers, body, delimited, served, turn }),
                        Some(end) => end,
                    };
                }
                Attempt::Final(failure) => {
                    self.log(call, attempts, &failure);
                    return Lookup::Failed(failure);
                }
                Attempt::Passing(failure, wait) => (failure, wait),
            };
            self.log(call, attempts, &failure);
            if let Some(wait) = wait.filter(|wait| *wait > retry::SHORT_WAIT) {
                self.gate.cool(self.now(), wait);
                return Lookup::Failed(Failure { wait: Some(wait), ..failure });
            }
            let pause = wait.unwrap_or_else(|| retry::delay(attempts));
            let may = matches!(call.method, Method::GET | Method::HEAD)
                && attempts < self.config.retries
                && Instant::now() + pause < deadline
                && self.gate.spend_retry();
            if !may {
                if failure.kind == FailureKind::Cooling {
                    self.gate.cool(self.now(), failure.wait.unwrap_or(COOLING));
                }
                return Lookup::Failed(failure);
            }
            attempts += 1;
            observe::retry(self);
            tokio::time::sleep(pause).await;
        }
    }

    /// What a final status means where it is none to read on with.
    fn read_status(&self, status: StatusCode, headers: &HeaderMap) -> Option<Lookup<Answer>> {
        let configured = self.config.auth != UpstreamAuth::None;
        if self.config.is_absent(status.as_u16()) {
            return Some(Lookup::Absent);
        }
        match status.as_u16() {
            200..=299 | 304 => {
                if configured {
                    self.gate.credentials(false);
                }
                None
            }
            401 | 403 if configured => {
                if self.gate.credentials(true) {
                    tracing::error!(upstream = %self.id(), status = status.as_u16(), "an upstream refuses the credentials that are configured for it");
                }
                Some(Lookup::Failed(self.failure(FailureKind::Credentials)))
            }
            401 | 403 | 451 => {
                let text = format!("the upstream registry `{}` does not give this out", self.id());
                Some(Lookup::Denied(Denial::new(DeniedBy::Upstream, text)))
            }
            other => {
                let wait = retry::retry_after(headers, self.now());
                Some(Lookup::Failed(Failure { wait, ..self.failure(FailureKind::Status(other)) }))
            }
        }
    }

    /// One attempt: the request and the redirects it leads to.
    async fn attempt(self: &Arc<Self>, call: &Call, header_timeout: Duration) -> Attempt {
        let (mut url, mut left_home, mut token_tried) = (call.url.clone(), false, false);
        let mut hops = 0;
        loop {
            let Some(standing) = self.reach.standing(&url) else {
                observe::forbidden(self);
                return Attempt::Final(self.failure(FailureKind::Forbidden));
            };
            let home = standing == Standing::Configured && url.path().starts_with(self.config.url.path());
            left_home |= standing != Standing::Configured;
            let origin = url.origin().ascii_serialization();
            let ticket = match self.gate.admit(&origin, self.now()) {
                Ok(ticket) => ticket,
                Err(wait) => {
                    return Attempt::Final(Failure::after(self.id(), FailureKind::BreakerOpen, wait));
                }
            };
            let guard = Admitted { upstream: self, origin: &origin, ticket, reported: false };
            let outgoing = Outgoing {
                method: call.method.clone(),
                url: url.clone(),
                guarded: standing == Standing::Learnt,
                headers: self.headers(call, home && !left_home),
                body: call.body.clone(),
            };
            let started = Instant::now();
            let sent = timeout(header_timeout, self.transport.send(outgoing)).await;
            observe::answered(self, call.content, started.elapsed(), &sent);
            let incoming = match sent.unwrap_or(Err(TransportError::Timeout)) {
                Ok(incoming) => incoming,
                Err(error) => {
                    tracing::debug!(upstream = %self.id(), error = %crate::Chain(&error), "an upstream did not answer");
                    let (kind, health, again) = match error {
                        TransportError::Timeout => (FailureKind::Timeout, Health::Bad, true),
                        TransportError::Connect(_) => (FailureKind::Unreachable, Health::Bad, true),
                        TransportError::Hopeless(_) => (FailureKind::Unreachable, Health::Bad, false),
                        TransportError::Forbidden => {
                            observe::forbidden(self);
                            (FailureKind::Forbidden, Health::Unknown, false)
                        }
                    };
                    guard.report(health);
                    let failure = self.failure(kind);
                    return if again { Attempt::Passing(failure, None) } else { Attempt::Final(failure) };
                }
            };
            let status = incoming.status;
            let bad = status.is_server_error() && !matches!(status.as_u16(), 501 | 505);
            let ticket = guard.report(if bad { Health::Bad } else { Health::Good });
            if matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
                hops += 1;
                url = match next_hop(&url, &incoming.headers).filter(|_| hops <= MOST_HOPS) {
                    Some(next) if matches!(call.method, Method::GET | Method::HEAD) => next,
                    _ => return Attempt::Final(self.failure(FailureKind::Redirect)),
                };
                continue;
            }
            if status == StatusCode::UNAUTHORIZED && home && !token_tried {
                token_tried = true;
                match self.answer_challenge(call, &incoming.headers).await {
                    Ok(true) => continue,
                    Ok(false) => {}
                    Err(failure) => return Attempt::Passing(failure, None),
                }
            }
            if retry::is_passing(status) {
                let wait = retry::retry_after(&incoming.headers, self.now());
                let kind = match status.as_u16() {
                    429 => FailureKind::Cooling,
                    408 | 504 => FailureKind::Timeout,
                    other => FailureKind::Status(other),
                };
                return Attempt::Passing(Failure { wait, ..self.failure(kind) }, wait);
            }
            let served = Served { upstream: Arc::clone(self), origin, ticket };
            return Attempt::Answered(incoming, served);
        }
    }

    /// The headers of a request, made from nothing: a client's never get here.
    fn headers(&self, call: &Call, with_credentials: bool) -> HeaderMap {
        let mut headers = call.headers.clone();
        let encoding = match call.content {
            // A range is one of what is sent.
            Content::Document if !headers.contains_key(header::RANGE) => "gzip",
            Content::Document | Content::Artifact => "identity",
        };
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(encoding));
        headers.insert(
            header::USER_AGENT,
            HeaderValue::from_static(concat!("smartregistry/", env!("CARGO_PKG_VERSION"))),
        );
        headers.insert(header::VIA, HeaderValue::from_static("1.1 smartregistry"));
        if with_credentials && let Some((name, mut value)) = self.credentials(call) {
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        headers
    }

    /// What the configured origin is shown.
    fn credentials(&self, call: &Call) -> Option<(header::HeaderName, HeaderValue)> {
        if let Some(token) = call.scope.as_deref().and_then(|scope| self.tokens.get(scope, self.now())) {
            let value = HeaderValue::try_from(format!("Bearer {}", token.expose_secret())).ok()?;
            return Some((header::AUTHORIZATION, value));
        }
        match &self.config.auth {
            UpstreamAuth::None => None,
            UpstreamAuth::Basic { username, password } => {
                let value = super::token::basic(username, password)?;
                Some((header::AUTHORIZATION, value))
            }
            UpstreamAuth::Bearer { token } => {
                let value = HeaderValue::try_from(format!("Bearer {}", token.expose_secret())).ok()?;
                Some((header::AUTHORIZATION, value))
            }
            UpstreamAuth::Header { name, value } => {
                Some((name.clone(), HeaderValue::try_from(value.expose_secret()).ok()?))
            }
        }
    }

    fn log(&self, call: &Call, attempts: u32, failure: &Failure) {
        let (upstream, content) = (self.id(), call.content.as_str());
        tracing::debug!(%upstream, content, attempt = attempts + 1, failure = %failure.kind, "an upstream failed");
    }
}

/// Where a redirect leads: never from https to http.
fn next_hop(from: &Url, headers: &HeaderMap) -> Option<Url> {
    let to = from.join(headers.get(header::LOCATION)?.to_str().ok()?).ok()?;
    (from.scheme() != "https" || to.scheme() == "https").then_some(to)
}

/// A request that was let through. Dropped without a word, it gives its place back.
struct Admitted<'a> {
    upstream: &'a Upstream,
    origin: &'a str,
    ticket: Option<Ticket>,
    reported: bool,
}

impl Admitted<'_> {
    fn report(mut self, health: Health) -> Option<Ticket> {
        self.reported = true;
        self.upstream.gate.report(self.origin, self.ticket, self.upstream.now(), health);
        observe::breaker(self.upstream);
        self.ticket
    }
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        if !self.reported {
            self.upstream.gate.report(self.origin, self.ticket, self.upstream.now(), Health::Unknown);
        }
    }
}
