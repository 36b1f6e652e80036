//! Verification: everything is read and hashed again.

use std::sync::Arc;

use http_body_util::BodyExt as _;
use registry_core::{
    maintenance::VerifyRun,
    storage::{DataRef, Document, Key, StorageError, Versioned},
};

use crate::{
    error::Error,
    hash::Hasher,
    names::{Algorithm, Digest},
    registry::Inner,
    store::{BlobDescriptor, BlobLink, ManifestRecord, OciStore, StoredManifest, TagRecord, digest_of},
    wire::manifest::Manifest,
};

impl Inner {
    pub(crate) async fn verify(&self, run: &VerifyRun) -> Result<(), StorageError> {
        let verifier = Verifier { store: &self.store, run, sparse: self.config.allow_sparse };
        for repository in self.store.repositories().await? {
            verifier.manifests(&repository).await?;
            verifier.tags(&repository).await?;
            verifier.links(&repository).await?;
        }
        verifier.blobs().await
    }
}

struct Verifier<'a> {
    store: &'a OciStore,
    run: &'a VerifyRun,
    sparse: bool,
}

impl Verifier<'_> {
    /// A document, or a fault.
    async fn read<D: Document>(&self, key: &Key) -> Result<Option<Arc<Versioned<D>>>, StorageError> {
        match self.store.store().read_fresh::<D>(key).await {
            Err(error @ (StorageError::Damaged { .. } | StorageError::Newer { .. })) => {
                self.run.report.fault(error.to_string());
                Ok(None)
            }
            other => other,
        }
    }

    async fn documents<D: Document>(
        &self,
        folder: &Key,
    ) -> Result<Vec<(Key, Arc<Versioned<D>>)>, StorageError> {
        let mut found = Vec::new();
        for child in self.store.store().children(folder, None, usize::MAX).await? {
            let key = folder.child().listed(&child).build();
            self.run.report.examined();
            if let Some(document) = self.read::<D>(&key).await? {
                found.push((key, document));
            }
        }
        Ok(found)
    }

    async fn manifests(&self, repository: &Key) -> Result<(), StorageError> {
        let folder = repository.child().fixed("_manifests").build();
        for (key, record) in self.documents::<ManifestRecord>(&folder).await? {
            if record.life.is_dead() {
                continue;
            }
            let stored = StoredManifest::new(key.clone(), Arc::clone(&record));
            let bytes = match self.store.manifest_bytes(&stored).await {
                Ok(bytes) => bytes,
                Err(Error::Storage(error)) if is_fault(&error) => {
                    self.run.report.fault(format!("{key}: {error}"));
                    continue;
                }
                Err(error) => return Err(crate::gc::storage_error(error)),
            };
            let actual = Hasher::digest(record.digest.algorithm(), &bytes);
            if actual != record.digest || bytes.len() as u64 != record.size {
                self.run.report.fault(format!("{key}: the manifest's bytes have the digest {actual}"));
                continue;
            }
            match Manifest::parse_stored(&bytes, &record.media_type) {
                Ok(manifest) => self.named(&key, &record, &manifest).await?,
                Err(error) => self.run.report.fault(format!("{key}: {error}")),
            }
        }
        Ok(())
    }

    /// Whether what a manifest names was ever there (it may have been deleted since), and whether its subject knows it.
    async fn named(
        &self,
        key: &Key,
        record: &ManifestRecord,
        manifest: &Manifest,
    ) -> Result<(), StorageError> {
        for named in manifest.named.iter().filter(|named| !named.optional && !self.sparse) {
            let link = self.read::<BlobLink>(&self.store.link_key(&record.repository, &named.digest)).await?;
            let child = self.store.manifest_key(&record.repository, &named.digest);
            if link.is_none() && (!named.child || self.read::<ManifestRecord>(&child).await?.is_none()) {
                self.run
                    .report
                    .fault(format!("{key}: it names {}, which is not in its repository", named.digest));
            }
        }
        if let Some(subject) = &manifest.subject
            && !self.store.is_marked(&record.repository, subject, &record.digest).await?
        {
            self.run.report.fault(format!("{key}: its subject {subject} does not list it"));
        }
        Ok(())
    }

    async fn tags(&self, repository: &Key) -> Result<(), StorageError> {
        let folder = repository.child().fixed("_tags").build();
        for (key, tag) in self.documents::<TagRecord>(&folder).await? {
            let Some(digest) = &tag.digest else { continue };
            // A tombstone is where a delete was interrupted: the tag reads as absent.
            if self.read::<ManifestRecord>(&self.store.manifest_key(&tag.repository, digest)).await?.is_none()
            {
                self.run
                    .report
                    .fault(format!("{key}: the tag points to {digest}, which is not in its repository"));
            }
        }
        Ok(())
    }

    async fn links(&self, repository: &Key) -> Result<(), StorageError> {
        let folder = repository.child().fixed("_blobs").build();
        for (key, link) in self.documents::<BlobLink>(&folder).await? {
            if link.life.is_dead() {
                continue;
            }
            let named = key.as_str().rsplit_once('/').and_then(|(_, file)| digest_of(file));
            if named.as_ref() != Some(&link.digest) {
                self.run.report.fault(format!("{key}: the link says that it is of {}", link.digest));
            }
            let sound = if let Some(bytes) = &link.inline {
                bytes.len() as u64 == link.size
                    && Hasher::digest(link.digest.algorithm(), bytes) == link.digest
            } else {
                let owner = self.read::<BlobDescriptor>(&self.store.descriptor_key(&link.digest)).await?;
                owner.is_some_and(|owner| !owner.life.is_dead() && owner.parts == link.parts)
            };
            if !sound {
                self.run
                    .report
                    .fault(format!("{key}: the blob's bytes are not those of its digest, or not there"));
            }
        }
        Ok(())
    }

    async fn blobs(&self) -> Result<(), StorageError> {
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let root = self.store.blobs_key().child().fixed(algorithm.as_str()).build();
            for folder in self.store.store().children(&root, None, usize::MAX).await? {
                let folder = root.child().listed(&folder).build();
                for (key, descriptor) in self.documents::<BlobDescriptor>(&folder).await? {
                    if descriptor.life.is_dead() {
                        continue;
                    }
                    match self.hash(algorithm, &descriptor.parts).await? {
                        Ok((digest, size)) if digest == descriptor.digest && size == descriptor.size => {}
                        Ok((digest, _)) => {
                            self.run
                                .report
                                .fault(format!("{key}: the blob's bytes have the digest {digest}"));
                        }
                        Err(fault) => self.run.report.fault(format!("{key}: {fault}")),
                    }
                }
            }
        }
        Ok(())
    }

    async fn hash(
        &self,
        algorithm: Algorithm,
        parts: &[DataRef],
    ) -> Result<Result<(Digest, u64), String>, StorageError> {
        let mut body = match self.store.store().read_artifact(parts, None).await {
            Ok(body) => body,
            Err(error) if is_fault(&error) => return Ok(Err(error.to_string())),
            Err(error) => return Err(error),
        };
        let (mut hasher, mut size) = (Hasher::new(algorithm), 0u64);
        while let Some(frame) = body.frame().await {
            match frame {
                Ok(frame) => {
                    if let Some(piece) = frame.data_ref() {
                        hasher.update(piece);
                        size = size.saturating_add(piece.len() as u64);
                    }
                }
                Err(_) => return Ok(Err("the blob's data cannot be read to its end".to_owned())),
            }
        }
        Ok(Ok((hasher.finish(), size)))
    }
}

/// Whether an error says that what is stored is wrong, rather than that it cannot be looked at now.
fn is_fault(error: &StorageError) -> bool {
    matches!(error, StorageError::Damaged { .. } | StorageError::Missing { .. } | StorageError::Newer { .. })
}
