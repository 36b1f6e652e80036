//! `/versions` as it is stored: a log of immutable segments and the head document that names them and holds the last lines itself.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use chrono::{DateTime, Duration, DurationRound as _, TimeDelta, Utc};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use registry_core::{
    Body, BodyError,
    maintenance::PackageDocument,
    storage::{ArtifactSpec, DataRef, Document, Key, PendingArtifact, StorageError, Store, UnknownFields},
};
use serde::{Deserialize, Serialize};

use super::digests::{ContentDigests, Running, Saved};
use crate::wire::compact;

/// The form of what the log is made from: a newer program that renders `/info` in another way writes the log anew.
pub(crate) const FORM: u32 = 1;

/// Lines of so many bytes stay in the head document; more become a segment. Each append writes the head.
const TAIL_BYTES: usize = 32 << 10;

/// Segments are merged up to this size.
const MAX_SEGMENT: u64 = 4 << 20;

/// How many segments that were replaced are remembered until garbage collection removes them. Older ones it finds by their age.
const MAX_RETIRED: usize = 64;

/// The longest that the log's time runs ahead of the clock.
const MAX_AHEAD: TimeDelta = TimeDelta::hours(1);

/// The log's head: the arbiter of what is in `/versions`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Log {
    /// What the log was rendered by, see [`FORM`].
    pub(crate) form: u32,
    /// Random, and new whenever bytes that were served before change.
    pub(crate) epoch: String,
    /// When it last changed, in whole seconds and always later than before.
    pub(crate) modified: DateTime<Utc>,
    /// The segments in their order.
    pub(crate) segments: Vec<DataRef>,
    /// The segments' bytes together.
    sealed: u64,
    /// The digests of the segments.
    digests: Saved,
    /// What follows the segments.
    tail: String,
    /// How long it was when it was last written anew.
    base: u64,
    /// Segments that were replaced, and when.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    retired: Vec<Retired>,
    /// Fields of newer versions.
    #[serde(flatten)]
    unknown: UnknownFields,
}

/// A segment that was replaced.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Retired {
    at: DateTime<Utc>,
    data: DataRef,
}

/// A segment that takes the place of the tail and of the last segments before it.
#[derive(Debug)]
pub(crate) struct Sealing {
    segment: PendingArtifact,
    /// How many segments stay.
    kept: usize,
    digests: Saved,
    sealed: u64,
}

impl Document for Log {
    const SCHEMA: u32 = 1;
}

impl Log {
    /// A log of these lines, as one segment where they are many. The segment is written first.
    pub(crate) async fn write(
        store: &Store,
        key: &Key,
        lines: &str,
        now: DateTime<Utc>,
        before: Option<&Self>,
    ) -> Result<(Self, Option<PendingArtifact>), StorageError> {
        let text = format!("{}{lines}", compact::versions_head(now));
        let base = text.len() as u64;
        let mut log = Self {
            form: FORM,
            epoch: uuid::Uuid::new_v4().simple().to_string(),
            modified: next_time(before.map(|log| log.modified), now),
            segments: Vec::new(),
            sealed: 0,
            digests: Running::default().save(),
            tail: String::new(),
            base,
            retired: Vec::new(),
            unknown: before.map(|log| log.unknown.clone()).unwrap_or_default(),
        };
        if let Some(before) = before {
            log.retired.clone_from(&before.retired);
            log.retire(before.segments.iter().cloned(), now);
        }
        if text.len() <= TAIL_BYTES {
            log.tail = text;
            return Ok((log, None));
        }
        let mut running = Running::default();
        running.update(text.as_bytes());
        log.digests = running.save();
        log.sealed = base;
        let segment = store.write_artifact_bytes(key, text.into(), ArtifactSpec::default()).await?;
        log.segments.push(segment.data().clone());
        Ok((log, Some(segment)))
    }

    /// The length in bytes.
    pub(crate) fn length(&self) -> u64 {
        self.sealed.saturating_add(self.tail.len() as u64)
    }

    /// How many bytes were added since it was written anew, and how long it was then.
    pub(crate) fn growth(&self) -> (u64, u64) {
        (self.length().saturating_sub(self.base), self.base)
    }

    /// The digests of the whole.
    pub(crate) fn content_digests(&self, key: &Key) -> Result<ContentDigests, StorageError> {
        let mut running = self.running(key)?;
        running.update(self.tail.as_bytes());
        Ok(running.finish())
    }

    fn running(&self, key: &Key) -> Result<Running, StorageError> {
        self.digests.restore().ok_or_else(|| StorageError::Damaged {
            key: key.to_string(),
            what: "its digests cannot be read".to_owned(),
        })
    }

    /// Appends lines.
    pub(crate) fn append(&mut self, lines: &str, now: DateTime<Utc>) {
        self.tail.push_str(lines);
        self.modified = next_time(Some(self.modified), now);
    }

    /// Where the tail has become long, a segment for it. Segments that are no longer than what follows them are merged into it, so that
    /// there are few of them and each byte is written again only a few times.
    pub(crate) async fn sealing(
        &self,
        store: &Store,
        key: &Key,
        segment_key: &Key,
    ) -> Result<Option<Sealing>, StorageError> {
        if self.tail.len() <= TAIL_BYTES {
            return Ok(None);
        }
        let mut length = self.tail.len() as u64;
        let mut kept = self.segments.len();
        while let Some(before) = kept.checked_sub(1).and_then(|at| self.segments.get(at))
            && before.size <= length
            && length.saturating_add(before.size) <= MAX_SEGMENT
        {
            length = length.saturating_add(before.size);
            kept = kept.saturating_sub(1);
        }
        let merged = self.segments.get(kept..).unwrap_or_default();
        let mut bytes = if merged.is_empty() {
            BytesMut::new()
        } else {
            collect(store.read_artifact(merged, None).await?).await?
        };
        bytes.extend_from_slice(self.tail.as_bytes());
        let mut running = self.running(key)?;
        running.update(self.tail.as_bytes());
        let segment =
            store.write_artifact_bytes(segment_key, bytes.freeze(), ArtifactSpec::default()).await?;
        Ok(Some(Sealing { segment, kept, digests: running.save(), sealed: self.length() }))
    }

    /// Puts a segment in the place of what it holds.
    pub(crate) fn seal(&mut self, data: &DataRef, sealing: &SealedAs, now: DateTime<Utc>) {
        let replaced = self.segments.split_off(sealing.kept.min(self.segments.len()));
        self.retire(replaced.into_iter(), now);
        self.segments.push(data.clone());
        self.sealed = sealing.sealed;
        self.digests = sealing.digests.clone();
        self.tail.clear();
    }

    fn retire(&mut self, replaced: impl Iterator<Item = DataRef>, now: DateTime<Utc>) {
        self.retired.extend(replaced.map(|data| Retired { at: now, data }));
        let excess = self.retired.len().saturating_sub(MAX_RETIRED);
        self.retired.drain(..excess);
    }

    /// A part of it as a stream; the part must lie within.
    pub(crate) async fn read(&self, store: &Store, range: Range<u64>) -> Result<Body, StorageError> {
        let within = |at: u64| usize::try_from(at.saturating_sub(self.sealed)).unwrap_or(usize::MAX);
        let tail = self.tail.get(within(range.start)..within(range.end)).unwrap_or_default();
        let tail = Bytes::copy_from_slice(tail.as_bytes());
        let end = range.end.min(self.sealed);
        if range.start >= end {
            return Ok(Body::from(tail));
        }
        let sealed = store.serve_artifact(&self.segments, Some(range.start..end)).await?;
        if tail.is_empty() {
            return Ok(sealed);
        }
        let length = range.end.saturating_sub(range.start);
        let rest = stream::once(async move { Ok::<_, BodyError>(tail) }).boxed();
        Ok(Body::from_sized_stream(length, sealed.into_data_stream().chain(rest)))
    }

    /// Its text from a position on.
    pub(crate) async fn text(&self, store: &Store, key: &Key, from: u64) -> Result<String, StorageError> {
        let bytes = collect(self.read(store, from..self.length()).await?).await?;
        String::from_utf8(bytes.into()).map_err(|_| StorageError::Damaged {
            key: key.to_string(),
            what: "a segment is no UTF-8".to_owned(),
        })
    }
}

/// What a log knows of a segment that is put in.
#[derive(Clone, Debug)]
pub(crate) struct SealedAs {
    kept: usize,
    digests: Saved,
    sealed: u64,
}

impl Sealing {
    /// The bytes, and what the log is told of them.
    pub(crate) fn split(self) -> (PendingArtifact, SealedAs) {
        let Self { segment, kept, digests, sealed } = self;
        (segment, SealedAs { kept, digests, sealed })
    }
}

impl PackageDocument for Log {
    fn live_data(&self) -> Vec<&DataRef> {
        self.segments.iter().collect()
    }

    fn removed_data(&self) -> Vec<(DateTime<Utc>, &DataRef)> {
        self.retired.iter().map(|retired| (retired.at, &retired.data)).collect()
    }

    fn forget_data(&mut self, is_over: &dyn Fn(DateTime<Utc>) -> bool) {
        self.retired.retain(|retired| !is_over(retired.at));
    }
}

/// A time for a changed content: in whole seconds, not before the change, and later than the one before, so that who has the content of
/// that time is told that there is a newer one. Where changes come faster than seconds it runs ahead, and at most by an hour.
fn next_time(before: Option<DateTime<Utc>>, now: DateTime<Utc>) -> DateTime<Utc> {
    let second = Duration::seconds(1);
    let floor = now.duration_trunc(second).unwrap_or(now);
    let ceiling = if floor == now { now } else { floor + second };
    match before {
        None => ceiling,
        Some(before) => ceiling.max((before + second).min(now + MAX_AHEAD)).max(before),
    }
}

/// A small content as text; empty where it is none.
pub(crate) async fn collect_text(body: Body) -> Result<String, StorageError> {
    Ok(String::from_utf8(collect(body).await?.into()).unwrap_or_default())
}

async fn collect(body: Body) -> Result<BytesMut, StorageError> {
    let mut bytes = BytesMut::new();
    let mut pieces = body.into_data_stream();
    while let Some(piece) = pieces.try_next().await.map_err(StorageError::Body)? {
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use registry_core::{
        Instance, Protocol,
        storage::{Storage, StorageOptions},
    };

    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn times_are_whole_and_grow() {
        let now = at("2026-01-01T00:00:00.250Z");
        let first = next_time(None, now);
        assert_eq!(first, at("2026-01-01T00:00:01Z"));
        let second = next_time(Some(first), now);
        assert_eq!(second, at("2026-01-01T00:00:02Z"));
        assert_eq!(next_time(Some(second), at("2026-01-01T00:05:00Z")), at("2026-01-01T00:05:00Z"));
        let far = now + MAX_AHEAD;
        assert_eq!(next_time(Some(far), now), far);
    }

    async fn grow(lines: &[String]) -> (Store, Log, String) {
        let storage = Storage::memory(StorageOptions::default());
        let store = storage.store(&Instance::new(Protocol::Rubygems.into(), Protocol::Rubygems, Vec::new()));
        let key = store.key().fixed("log.json").build();
        let segment = store.key().fixed("-").fixed("segment").build();
        let now = at("2026-01-01T00:00:00Z");
        let (mut log, _) = Log::write(&store, &segment, "", now, None).await.unwrap();
        let mut whole = log.text(&store, &key, 0).await.unwrap();
        for line in lines {
            if let Some(sealing) = log.sealing(&store, &key, &segment).await.unwrap() {
                let (artifact, told) = sealing.split();
                let data = artifact.keep();
                log.seal(&data, &told, now);
            }
            log.append(line, now);
            whole.push_str(line);
            assert_eq!(log.length(), whole.len() as u64);
        }
        assert_eq!(log.content_digests(&key).unwrap(), ContentDigests::of(whole.as_bytes()));
        assert_eq!(log.text(&store, &key, 0).await.unwrap(), whole);
        (store, log, whole)
    }

    #[tokio::test]
    async fn a_long_log_has_few_segments_and_reads_back_from_anywhere() {
        let lines: Vec<String> =
            (0..2000).map(|n| format!("gem-{n} 1.0 {}\n", "x".repeat(n % 700))).collect();
        let (store, log, whole) = grow(&lines).await;
        assert!((2..=8).contains(&log.segments.len()), "{}", log.segments.len());
        assert!(log.tail.len() <= TAIL_BYTES + 1000 && log.retired.len() <= MAX_RETIRED);
        let key = store.key().fixed("log.json").build();
        for from in [0, 1, whole.len() / 2, whole.len() - log.tail.len(), whole.len() - 1, whole.len()] {
            assert_eq!(log.text(&store, &key, from as u64).await.unwrap(), whole[from..], "{from}");
        }
        let part = collect(log.read(&store, 10..whole.len() as u64 - 5).await.unwrap()).await.unwrap();
        assert_eq!(part, whole.as_bytes()[10..whole.len() - 5]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]
        #[test]
        fn any_growth_reads_back(sizes in prop::collection::vec(1_usize..20_000, 0..40)) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let lines: Vec<String> = sizes.iter().map(|size| format!("{}\n", "y".repeat(*size))).collect();
            runtime.block_on(grow(&lines));
        }
    }
}
