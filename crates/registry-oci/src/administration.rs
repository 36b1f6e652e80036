//! What an operator does past the protocol, by the same changes that the handler makes.

use registry_core::{
    Actor,
    administration::{AdministrationError, PackageDetails, VersionDetails},
};
use serde::Deserialize;

use crate::{
    error::Error,
    names::{Reference, RepositoryName},
    registry::Inner,
    store::ManifestRecord,
};

impl Inner {
    /// A repository: its tags and where they point, then its manifests, the newest first.
    pub(crate) async fn show_repository(&self, name: &str) -> Result<PackageDetails, AdministrationError> {
        let name = parse_name(name)?;
        let mut tags = self.store.tag_documents(&self.store.tags_key(&name)).await?;
        let mut manifests = self.store.manifest_records(&name).await?;
        if tags.is_empty() && manifests.is_empty() && !self.store.repository_exists(&name).await? {
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

    /// Deletes a tag (its manifest stays), a manifest with its tags, or all manifests and tags of the repository.
    pub(crate) async fn delete_as_operator(
        &self,
        actor: &Actor,
        name: &str,
        version: Option<&str>,
    ) -> Result<(), AdministrationError> {
        let name = parse_name(name)?;
        let reference: Option<Reference> = version.map(str::parse).transpose().map_err(Error::from)?;
        let deleted = match &reference {
            None => self.store.delete_repository(&name, actor).await?,
            Some(Reference::Digest(digest)) => self.store.delete_manifest(&name, digest, actor).await?,
            Some(Reference::Tag(tag)) => self.store.delete_tag(&name, tag, actor).await?,
        };
        if !deleted {
            return Err(match reference {
                Some(reference) => Error::ManifestUnknown { reference },
                None => Error::NameUnknown,
            }
            .into());
        }
        Ok(self.note_delete(&name).await?)
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
