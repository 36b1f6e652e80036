//! Counts and times what is asked of a store.
//!
//! `storage_operations_total{operation, outcome}` and `storage_operation_duration_seconds{operation}`. The operations are
//! `get`, `put`, `upload_part`, `upload_complete`, `delete`, `list` and `copy`; the outcomes `ok`, `absent`, `unchanged`,
//! `conflict` and `error`. A get is timed until its bytes begin.

use std::{fmt, ops::Range, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream::BoxStream};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result, UploadPart, path::Path,
};
use tokio::time::Instant;

/// A store that is watched.
#[derive(Debug)]
pub(crate) struct Metered<S> {
    inner: S,
    gauges: Arc<Gauges>,
}

impl<S: ObjectStore> Metered<S> {
    pub(crate) fn new(inner: S) -> Self {
        Self { inner, gauges: Arc::new(Gauges::new()) }
    }
}

/// The counters of all operations, looked up once: the recorder has to be there before.
struct Gauges {
    get: Gauge,
    put: Gauge,
    upload_part: Gauge,
    upload_complete: Gauge,
    delete: Gauge,
    list: Gauge,
    copy: Gauge,
}

impl Gauges {
    fn new() -> Self {
        metrics::describe_counter!(
            "storage_operations_total",
            "What the folder or bucket was asked, by outcome"
        );
        metrics::describe_histogram!(
            "storage_operation_duration_seconds",
            "How long the folder or bucket took"
        );
        metrics::describe_counter!(
            "storage_contended_total",
            "Conditional writes that somebody else was faster with, tried again"
        );
        Self {
            get: Gauge::of("get"),
            put: Gauge::of("put"),
            upload_part: Gauge::of("upload_part"),
            upload_complete: Gauge::of("upload_complete"),
            delete: Gauge::of("delete"),
            list: Gauge::of("list"),
            copy: Gauge::of("copy"),
        }
    }
}

impl fmt::Debug for Gauges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gauges").finish_non_exhaustive()
    }
}

struct Gauge {
    ok: metrics::Counter,
    absent: metrics::Counter,
    unchanged: metrics::Counter,
    conflict: metrics::Counter,
    error: metrics::Counter,
    seconds: metrics::Histogram,
}

impl Gauge {
    fn of(operation: &'static str) -> Self {
        let counter = |outcome: &'static str| metrics::counter!("storage_operations_total", "operation" => operation, "outcome" => outcome);
        Self {
            ok: counter("ok"),
            absent: counter("absent"),
            unchanged: counter("unchanged"),
            conflict: counter("conflict"),
            error: counter("error"),
            seconds: metrics::histogram!("storage_operation_duration_seconds", "operation" => operation),
        }
    }

    fn ended<T>(&self, begun: Instant, result: Result<T>) -> Result<T> {
        self.seconds.record(begun.elapsed());
        self.counted(result)
    }

    fn counted<T>(&self, result: Result<T>) -> Result<T> {
        let counter = match &result {
            Ok(_) => &self.ok,
            Err(Error::NotFound { .. }) => &self.absent,
            Err(Error::NotModified { .. }) => &self.unchanged,
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => &self.conflict,
            Err(_) => &self.error,
        };
        counter.increment(1);
        result
    }
}

impl<S: fmt::Display> fmt::Display for Metered<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.inner, f)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: ObjectStore> ObjectStore for Metered<S> {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let begun = Instant::now();
        self.gauges.put.ended(begun, self.inner.put_opts(location, payload, options).await)
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let inner = self.inner.put_multipart_opts(location, options).await?;
        Ok(Box::new(MeteredUpload { inner, gauges: Arc::clone(&self.gauges) }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let begun = Instant::now();
        self.gauges.get.ended(begun, self.inner.get_opts(location, options).await)
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let begun = Instant::now();
        self.gauges.get.ended(begun, self.inner.get_ranges(location, ranges).await)
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let gauges = Arc::clone(&self.gauges);
        self.inner.delete_stream(locations).map(move |result| gauges.delete.counted(result)).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.gauges.list.ok.increment(1);
        self.inner.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.gauges.list.ok.increment(1);
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let begun = Instant::now();
        self.gauges.list.ended(begun, self.inner.list_with_delimiter(prefix).await)
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let begun = Instant::now();
        self.gauges.copy.ended(begun, self.inner.copy_opts(from, to, options).await)
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        let begun = Instant::now();
        self.gauges.copy.ended(begun, self.inner.rename_opts(from, to, options).await)
    }
}

#[derive(Debug)]
struct MeteredUpload {
    inner: Box<dyn MultipartUpload>,
    gauges: Arc<Gauges>,
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl MultipartUpload for MeteredUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let part = self.inner.put_part(data);
        let gauges = Arc::clone(&self.gauges);
        let begun = Instant::now();
        Box::pin(async move { gauges.upload_part.ended(begun, part.await) })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let begun = Instant::now();
        self.gauges.upload_complete.ended(begun, self.inner.complete().await)
    }

    async fn abort(&mut self) -> Result<()> {
        self.inner.abort().await
    }
}
