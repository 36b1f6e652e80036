//! What an operator does past the protocol, by the same changes that the handler makes.

use async_trait::async_trait;
use registry_core::{
    Actor, Administration, Protocol,
    administration::{AdministrationError, PackageDetails, VersionDetails, Yank},
};
use serde::Deserialize;

use crate::{
    error::Error,
    names::{Reference, RepositoryName},
    registry::OciRegistry,
    store::ManifestRecord,
};

#[async_trait]
impl Administration for OciRegistry {
    /// A repository: its tags and where they point, then its manifests, the newest first.
    async fn show_package(&self, name: &str) -> Result<PackageDetails, AdministrationError> {
        let (name, store) = (parse_name(name)?, &self.inner.store);
        let mut tags = store.tag_documents(&store.tags_key(&name)).await?;
        let mut manifests = store.manifest_records(&name).await?;
        if tags.is_empty() && manifests.is_empty() && !store.repository_exists(&name).await? {
            return Err(Error::NameUnknown.into());
        }
        tags.sort_unstable_by(|a, b| b.updated.cmp(&a.updated).then_with(|| a.tag.cmp(&b.tag)));
        manifests.sort_unstable_by(|a, b| b.life.since.cmp(&a.life.since).then(a.digest.cmp(&b.digest)));
        let changed = tags.iter().map(|tag| tag.updated);
        let changed = changed.chain(manifests.iter().map(|manifest| manifest.life.since)).max();
        let mut details = PackageDetails::new(name.as_str(), changed.unwrap_or_default());
        details.latest = tags.first().map(|tag| tag.tag.to_string());
        details.add_fact("tags", tags.len().to_string());
        details.add_fact("manifests", manifests.len().to_string());
        details.versions.extend(tags.iter().map(|tag| {
            let mut details = VersionDetails::new(tag.tag.as_str());
            details.published = Some(tag.updated);
            details.digest = tag.digest.as_ref().map(ToString::to_string);
            details
        }));
        details.versions.extend(manifests.iter().map(|manifest| {
            let mut details = VersionDetails::new(manifest.digest.as_str());
            details.published = Some(manifest.life.since);
            details.bytes = content_bytes(manifest);
            details
        }));
        Ok(details)
    }

    async fn yank_version(&self, _: &Actor, _: &str, _: &str, _: &Yank) -> Result<(), AdministrationError> {
        let instead = "move the tag to another manifest, or delete it";
        Err(AdministrationError::not_offered(Protocol::Oci, "yank", instead))
    }

    /// Deletes a tag (its manifest stays), a manifest with its tags, or all manifests and tags of the repository.
    async fn delete_package(
        &self,
        actor: &Actor,
        name: &str,
        version: Option<&str>,
    ) -> Result<(), AdministrationError> {
        let (name, store) = (parse_name(name)?, &self.inner.store);
        let reference: Option<Reference> = version.map(str::parse).transpose().map_err(Error::from)?;
        let deleted = match &reference {
            None => store.delete_repository(&name, actor).await?,
            Some(Reference::Digest(digest)) => store.delete_manifest(&name, digest, actor).await?,
            Some(Reference::Tag(tag)) => store.delete_tag(&name, tag, actor).await?,
        };
        if !deleted {
            return Err(match reference {
                Some(reference) => Error::ManifestUnknown { reference },
                None => Error::NameUnknown,
            }
            .into());
        }
        Ok(self.inner.note_delete(&name).await?)
    }

    async fn forget_package(&self, _: &Actor, _: &str, _: Option<&str>) -> Result<(), AdministrationError> {
        let instead = "tags and manifests that were deleted can be pushed again as they are";
        Err(AdministrationError::not_offered(Protocol::Oci, "tombstones to forget", instead))
    }
}

/// How many bytes a manifest has together with the configuration and layers that it names; those of other manifests, which an
/// index names, are theirs. `None` of a manifest that is too large to lie in its record.
fn content_bytes(record: &ManifestRecord) -> Option<u64> {
    #[derive(Deserialize)]
    struct Descriptor {
        size: u64,
    }

    #[derive(Default, Deserialize)]
    struct Image {
        #[serde(default)]
        config: Option<Descriptor>,
        #[serde(default)]
        layers: Vec<Descriptor>,
    }

    // What was pushed is known to be well formed; what is no image has nothing to add.
    let image: Image = serde_json::from_slice(record.inline.as_ref()?).unwrap_or_default();
    let named = image.config.iter().chain(&image.layers).map(|descriptor| descriptor.size);
    Some(named.fold(record.size, u64::saturating_add))
}

fn parse_name(text: &str) -> Result<RepositoryName, AdministrationError> {
    Ok(text.parse().map_err(Error::Name)?)
}
