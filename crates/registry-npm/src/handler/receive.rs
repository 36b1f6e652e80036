//! Takes in a document that is put to a package: the tarball goes to the store while it arrives.
//!
//! Nothing is held whole but the document without its attachments, an attestation bundle (both under limits), and a
//! tarball that fits in [`INLINE`]. A larger one passes through in pieces: scanner → base64 → looked into → store.

use std::io::Write as _;

use bytes::Bytes;
use flate2::write::MultiGzDecoder;
use futures_util::{Stream, StreamExt, future};
use http::header;
use registry_core::{
    Body, BodyError,
    http::{ReadBodyError, Refusal, drain_body},
    storage::{ArtifactSpec, PendingArtifact, WantedDigests},
};
use tokio::sync::mpsc;

use super::call::Call;
use crate::{
    error::Error,
    names::PackageName,
    tarball::{Contents, Inspected, Inspector, TarballError, TarballLimits},
    version::Version,
    wire::{
        base64::Decoder,
        publish::AttachmentKind,
        scan::{Event, Scanner},
    },
};

/// A tarball of at most so many bytes is held in memory until its whole document was read and found good.
const INLINE: usize = 1 << 20;

/// The largest attestation bundle.
const MAX_BUNDLE: usize = 4 << 20;

/// Pieces on their way to the store.
const PIECES: usize = 4;

/// More than this many bytes are looked into on a thread of their own.
const INSPECT_INLINE: usize = 32 << 10;

/// How much of a compressed request is decompressed at once.
const INFLATE_STEP: usize = 4 << 10;

/// A document that was taken in.
#[derive(Debug)]
pub(crate) struct Received {
    /// The document with its attachments' texts taken out.
    pub(crate) head: Vec<u8>,
    pub(crate) tarball: Option<ReceivedTarball>,
    pub(crate) bundle: Option<ReceivedBundle>,
}

/// A tarball that was taken in.
#[derive(Debug)]
pub(crate) struct ReceivedTarball {
    /// The attachment's name.
    pub(crate) name: String,
    /// Its bytes, where they are.
    pub(crate) bytes: TarballBytes,
    /// How many.
    pub(crate) length: u64,
    /// What it says of itself, where that is asked for.
    pub(crate) inspected: Option<Inspected>,
}

/// Where a tarball's bytes are.
#[derive(Debug)]
pub(crate) enum TarballBytes {
    /// In memory, to be stored.
    Held(Bytes),
    /// In the store, not named by anything yet.
    Stored(PendingArtifact),
}

/// An attestation bundle that was taken in.
#[derive(Debug)]
pub(crate) struct ReceivedBundle {
    /// The attachment's name.
    pub(crate) name: String,
    /// The bundle, JSON text.
    pub(crate) text: Vec<u8>,
}

/// Takes in the request's document.
pub(crate) async fn receive(call: &mut Call<'_>, name: &PackageName) -> Result<Received, Error> {
    let body = call.take_body();
    let mut intake = Intake::new(call)?;
    let mut pieces = body.into_data_stream();
    let result = intake.run(call, name, &mut pieces).await;
    if result.is_err() {
        // Whoever still sends should read the answer.
        drain_body(Body::from_stream(pieces)).await;
    }
    result
}

/// A document on its way in.
struct Intake {
    inflate: Option<MultiGzDecoder<Vec<u8>>>,
    scanner: Scanner,
    attachments: Attachments,
    inspector: Option<Inspector>,
    /// How much of the tarball was handed on.
    length: u64,
}

/// What the scanner finds ends here.
#[derive(Default)]
struct Attachments {
    current: Option<AttachmentKind>,
    decoder: Decoder,
    tarball: Option<String>,
    tarball_ended: bool,
    /// Decoded bytes that were not handed on yet.
    decoded: Vec<u8>,
    bundle: Option<ReceivedBundle>,
}

impl Attachments {
    fn take(&mut self, event: Event<'_>) -> Result<(), Error> {
        match event {
            Event::Begin(name) => match AttachmentKind::of(name) {
                AttachmentKind::Tarball if self.tarball.is_some() => {
                    return Err(Error::bad("a publish document holds one tarball, not several"));
                }
                AttachmentKind::Bundle if self.bundle.is_some() => {
                    return Err(Error::bad("a publish document holds one attestation bundle, not several"));
                }
                kind @ AttachmentKind::Tarball => {
                    self.tarball = Some(name.to_owned());
                    self.current = Some(kind);
                }
                kind @ AttachmentKind::Bundle => {
                    self.bundle = Some(ReceivedBundle { name: name.to_owned(), text: Vec::new() });
                    self.current = Some(kind);
                }
            },
            Event::Text(text) => match (self.current, &mut self.bundle) {
                (Some(AttachmentKind::Tarball), _) => self.decoder.feed(text, &mut self.decoded)?,
                (Some(AttachmentKind::Bundle), Some(bundle)) => {
                    if bundle.text.len() + text.len() > MAX_BUNDLE {
                        let limit = MAX_BUNDLE as u64;
                        return Err(Refusal::TooLarge { what: "attestation bundle", limit }.into());
                    }
                    bundle.text.extend_from_slice(text);
                }
                _ => {}
            },
            Event::End => {
                if self.current.take() == Some(AttachmentKind::Tarball) {
                    std::mem::take(&mut self.decoder).finish()?;
                    self.tarball_ended = true;
                }
            }
        }
        Ok(())
    }
}

impl Intake {
    fn new(call: &Call<'_>) -> Result<Self, Error> {
        let encoding = call.parts.headers.get(header::CONTENT_ENCODING).map(http::HeaderValue::as_bytes);
        let inflate = match encoding {
            None | Some(b"" | b"identity") => None,
            Some(b"gzip" | b"x-gzip") => Some(MultiGzDecoder::new(Vec::new())),
            Some(_) => return Err(ReadBodyError::Encoding("only gzip is understood").into()),
        };
        let config = call.registry.config();
        let limits = TarballLimits { unpacked_bytes: config.max_unpacked_bytes, entries: config.max_entries };
        Ok(Self {
            inflate,
            scanner: Scanner::new(usize::try_from(config.max_document_bytes).unwrap_or(usize::MAX)),
            attachments: Attachments::default(),
            inspector: config.check_tarball.then(|| Inspector::new(limits)),
            length: 0,
        })
    }

    async fn run(
        &mut self,
        call: &Call<'_>,
        name: &PackageName,
        pieces: &mut (impl Stream<Item = Result<Bytes, BodyError>> + Send + Unpin),
    ) -> Result<Received, Error> {
        // Small enough to hold?
        let mut held: Vec<u8> = Vec::new();
        let mut ended = false;
        while held.len() <= INLINE && !ended {
            ended = self.step(call, pieces, &mut held).await?;
        }
        let stored = if ended { None } else { Some(self.stream(call, name, pieces, &mut held).await?) };
        if self.attachments.current.is_some() {
            return Err(Error::bad("the document is not valid JSON"));
        }
        let scanner = std::mem::replace(&mut self.scanner, Scanner::new(0));
        let head = scanner.finish()?;
        let tarball = match self.attachments.tarball.take() {
            None => None,
            Some(name) => {
                let inspected = match self.inspector.take() {
                    Some(inspector) => Some(inspector.finish()?),
                    None => None,
                };
                let bytes = match stored {
                    Some(pending) => TarballBytes::Stored(pending),
                    None => TarballBytes::Held(held.into()),
                };
                Some(ReceivedTarball { name, bytes, length: self.length, inspected })
            }
        };
        Ok(Received { head, tarball, bundle: self.attachments.bundle.take() })
    }

    /// Hands on what is held and all that follows to the store while it arrives.
    async fn stream(
        &mut self,
        call: &Call<'_>,
        name: &PackageName,
        pieces: &mut (impl Stream<Item = Result<Bytes, BodyError>> + Send + Unpin),
        held: &mut Vec<u8>,
    ) -> Result<PendingArtifact, Error> {
        let file = self.attachments.tarball.as_deref().unwrap_or_default();
        let file = file.rsplit('/').next().unwrap_or_default().to_owned();
        let key = call.registry.packages().file_key(name, &file);
        let (sender, receiver) = mpsc::channel::<Result<Bytes, BodyError>>(PIECES);
        let receiver = futures_util::stream::unfold(receiver, |mut receiver| async {
            receiver.recv().await.map(|piece| (piece, receiver))
        });
        let spec = ArtifactSpec {
            digests: WantedDigests { sha512: true, sha1: true, ..WantedDigests::default() },
            max_bytes: Some(call.registry.config().max_tarball_bytes),
            ..ArtifactSpec::default()
        };
        let store = call.registry.packages().store();
        let writing = store.write_artifact(&key, Body::from_stream(receiver), spec);
        let reading = async {
            let mut sender = Some(sender);
            let mut out = std::mem::take(held);
            loop {
                if !out.is_empty()
                    && let Some(open) = &sender
                {
                    let piece = Bytes::from(std::mem::take(&mut out));
                    if open.send(Ok(piece)).await.is_err() {
                        // The store gave up; its own error says why. The rest of the document is only read.
                        sender = None;
                    }
                }
                out.clear();
                if self.attachments.tarball_ended {
                    sender = None;
                }
                match self.step(call, pieces, &mut out).await {
                    Ok(false) => {}
                    Ok(true) => {
                        if let (Some(open), false) = (&sender, out.is_empty()) {
                            let _gone = open.send(Ok(Bytes::from(out))).await;
                        }
                        return Ok(());
                    }
                    Err(error) => {
                        if let Some(open) = sender {
                            let _gone = open.send(Err(BodyError::new("the document was refused"))).await;
                        }
                        return Err(error);
                    }
                }
            }
        };
        let (read, written) = future::join(reading, writing).await;
        read?;
        Ok(written.map_err(|error| Refusal::of_upload("tarball", error))?)
    }

    /// Reads one piece of the body; what it held of the tarball is appended to `out`. True at the body's end.
    async fn step(
        &mut self,
        call: &Call<'_>,
        pieces: &mut (impl Stream<Item = Result<Bytes, BodyError>> + Send + Unpin),
        out: &mut Vec<u8>,
    ) -> Result<bool, Error> {
        let Some(piece) = pieces.next().await else {
            if let Some(mut inflate) = self.inflate.take() {
                inflate.try_finish().map_err(|_| truncated())?;
                let rest = std::mem::take(inflate.get_mut());
                self.scan(&rest)?;
            }
            self.hand_on(call, out).await?;
            return Ok(true);
        };
        let piece = piece.map_err(ReadBodyError::Body)?;
        if self.inflate.is_some() {
            // In small steps: each can grow a thousandfold.
            for part in piece.chunks(INFLATE_STEP) {
                let Some(inflate) = &mut self.inflate else { break };
                inflate.write_all(part).map_err(|_| truncated())?;
                let plain = std::mem::take(inflate.get_mut());
                self.scan(&plain)?;
                self.hand_on(call, out).await?;
            }
        } else {
            self.scan(&piece)?;
            self.hand_on(call, out).await?;
        }
        Ok(false)
    }

    fn scan(&mut self, piece: &[u8]) -> Result<(), Error> {
        let attachments = &mut self.attachments;
        self.scanner.feed(piece, &mut |event| attachments.take(event))
    }

    /// Counts and looks into the decoded bytes, and appends them to `out`.
    async fn hand_on(&mut self, call: &Call<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
        if self.attachments.decoded.is_empty() {
            return Ok(());
        }
        let decoded = std::mem::take(&mut self.attachments.decoded);
        self.length += decoded.len() as u64;
        let limit = call.registry.config().max_tarball_bytes;
        if self.length > limit {
            return Err(Refusal::TooLarge { what: "tarball", limit }.into());
        }
        let decoded = match self.inspector.take() {
            None => decoded,
            Some(mut inspector) if decoded.len() <= INSPECT_INLINE => {
                inspector.feed(&decoded)?;
                self.inspector = Some(inspector);
                decoded
            }
            Some(mut inspector) => {
                let looked = tokio::task::spawn_blocking(move || {
                    let result = inspector.feed(&decoded);
                    (inspector, decoded, result)
                });
                let (inspector, decoded, result) = looked.await.map_err(Refusal::internal)?;
                result?;
                self.inspector = Some(inspector);
                decoded
            }
        };
        out.extend_from_slice(&decoded);
        Ok(())
    }
}

fn truncated() -> Error {
    ReadBodyError::Encoding("it is not valid gzip").into()
}

impl ReceivedTarball {
    /// What it holds, if it was looked into; an error if that is another package or version.
    pub(crate) fn contents(
        &self,
        name: &PackageName,
        version: &Version,
    ) -> Result<Option<Contents>, TarballError> {
        self.inspected.as_ref().map(|inspected| inspected.is(name, version)).transpose()
    }
}
