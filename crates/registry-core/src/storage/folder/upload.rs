//! Uploads in parts: the parts of one file, written as they come.

use std::{ops::Range, path::PathBuf, sync::Arc};

use async_trait::async_trait;
use object_store::{MultipartUpload, PutMode, PutPayload, PutResult, UploadPart, path::Path};

use super::{FolderStore, Inner, closed, dirs::Unsynced, e_tag, fs_ops::OpenFile, store_error};

/// An upload under way. Dropped before it is complete, it removes its file.
#[derive(Debug)]
pub(super) struct FolderUpload {
    store: FolderStore,
    location: Path,
    file: Arc<dyn OpenFile>,
    /// Where the bytes lie now.
    at: PathBuf,
    target: Target,
    written: u64,
    done: bool,
}

#[derive(Debug)]
enum Target {
    /// The file lies where it stays.
    InPlace(Arc<Unsynced>),
    /// The file is to be moved here.
    Place(PathBuf),
}

/// How many bytes are written out at a time.
const STRETCH_BYTES: u64 = 8 << 20;

/// The last stretch that bytes from `begin` to `end` fill up.
fn full_stretch(begin: u64, end: u64) -> Option<Range<u64>> {
    let full = end.checked_sub(end % STRETCH_BYTES)?;
    (full > begin).then(|| full.saturating_sub(STRETCH_BYTES)..full)
}

impl FolderUpload {
    pub(super) async fn start(
        store: FolderStore,
        location: Path,
        in_place: bool,
    ) -> object_store::Result<Self> {
        let for_work = (store.clone(), location.clone());
        store
            .write(move |inner| {
                let (store, location) = for_work;
                let failed = |error| store_error(&location, error);
                let path = inner.file_path(&location)?;
                let (file, at, target) = if in_place {
                    let (file, unsynced) = inner.create_in_place(&location, &path).map_err(failed)?;
                    (file, path, Target::InPlace(Arc::new(unsynced)))
                } else {
                    let (file, temporary) = inner.create_temporary().map_err(failed)?;
                    (file, temporary.keep(), Target::Place(path))
                };
                Ok(Self { store, location, file: Arc::from(file), at, target, written: 0, done: false })
            })
            .await
    }

    fn remove(&mut self) -> impl FnOnce(&Inner) + Send + 'static {
        self.done = true;
        let at = std::mem::take(&mut self.at);
        move |inner| {
            if let Err(error) = inner.files.remove_file(&at) {
                tracing::debug!(path = %at.display(), error = %error, "an upload's file stays");
            }
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl MultipartUpload for FolderUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let offset = self.written;
        self.written = self.written.saturating_add(data.content_length() as u64);
        let (store, location, file) = (self.store.clone(), self.location.clone(), Arc::clone(&self.file));
        Box::pin(async move {
            store
                .write(move |_| {
                    let (begin, mut offset) = (offset, offset);
                    for piece in &data {
                        file.write_all_at(piece, offset).map_err(|error| store_error(&location, error))?;
                        offset = offset.saturating_add(piece.len() as u64);
                    }
                    // The disk works while the next bytes come, so that the last sync has little left to wait for.
                    if let Some(stretch) = full_stretch(begin, offset) {
                        file.begin_writeback(stretch.start, stretch.end.saturating_sub(stretch.start));
                    }
                    Ok(())
                })
                .await
        })
    }

    async fn complete(&mut self) -> object_store::Result<PutResult> {
        if self.done {
            return Err(closed());
        }
        let (location, file, at) = (self.location.clone(), Arc::clone(&self.file), self.at.clone());
        let place = match &self.target {
            Target::InPlace(unsynced) => Ok(Arc::clone(unsynced)),
            Target::Place(path) => Err(path.clone()),
        };
        let result = self
            .store
            .write(move |inner| {
                let failed = |error| store_error(&location, error);
                inner.pending.check().map_err(failed)?;
                let stat = inner.finish_file(&*file).map_err(failed)?;
                match place {
                    Ok(unsynced) => {
                        inner.folders.sync(&unsynced, &inner.locks, location.as_ref()).map_err(failed)?;
                        Ok(PutResult {
                            e_tag: Some(e_tag(&stat)),
                            version: None,
                            extensions: object_store::Extensions::default(),
                        })
                    }
                    Err(path) => inner.place(&location, &path, inner.temporary_at(at), &PutMode::Overwrite),
                }
            })
            .await?;
        self.done = true;
        Ok(result)
    }

    async fn abort(&mut self) -> object_store::Result<()> {
        if self.done {
            return Ok(());
        }
        let remove = self.remove();
        self.store
            .write(move |inner| {
                remove(inner);
                Ok(())
            })
            .await
    }
}

impl Drop for FolderUpload {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let remove = self.remove();
        let inner = Arc::clone(&self.store.inner);
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(move || remove(&inner))),
            Err(_) => remove(&inner),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_written_out_in_whole_stretches() {
        const MIB: u64 = 1 << 20;
        for (begin, end, stretch) in [
            (0, 0, None),
            (0, MIB, None),
            (6 * MIB, 7 * MIB, None),
            (7 * MIB, 8 * MIB, Some(0..8 * MIB)),
            (8 * MIB, 9 * MIB, None),
            (15 * MIB, 17 * MIB, Some(8 * MIB..16 * MIB)),
            (u64::MAX - 1, u64::MAX, None),
        ] {
            assert_eq!(full_stretch(begin, end), stretch, "{begin}..{end}");
        }
    }
}
