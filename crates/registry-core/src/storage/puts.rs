//! An object store around another one that has a say in how objects are put, and in nothing else.

use std::{fmt, ops::Range, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result, path::Path,
};

/// How objects are put.
#[async_trait]
pub(crate) trait PutRule: fmt::Debug + Send + Sync + 'static {
    /// What a store by this rule is called.
    const NAME: &'static str;

    /// Puts an object into the store below, or does not.
    async fn put(
        &self,
        below: &dyn ObjectStore,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult>;
}

/// A store in which objects are put by a rule; everything else is the store's below.
#[derive(Debug)]
pub(crate) struct PutsBy<R> {
    rule: R,
    below: Arc<dyn ObjectStore>,
}

impl<R> PutsBy<R> {
    pub(crate) fn new(rule: R, below: Arc<dyn ObjectStore>) -> Self {
        Self { rule, below }
    }
}

impl<R: PutRule> fmt::Display for PutsBy<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", R::NAME, self.below)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<R: PutRule> ObjectStore for PutsBy<R> {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.rule.put(&*self.below, location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.below.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.below.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.below.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.below.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.below.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.below.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.below.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.below.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.below.rename_opts(from, to, options).await
    }
}
