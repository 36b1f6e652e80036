//! Lists in byte order of the keys, walked as they are consumed.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind},
    path::PathBuf,
};

use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use object_store::{ListResult, ObjectMeta, path::Path};

use super::{FolderStore, Inner, fs_ops::Entry, is_reserved, object_meta};

/// How many objects a hop to the blocking pool finds.
const BATCH: usize = 1_000;

pub(super) fn list(
    store: FolderStore,
    prefix: Option<Path>,
    after: Option<Path>,
) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
    let prefix = prefix.unwrap_or_default();
    let walk = Walk { prefix: prefix.clone(), after, open: None };
    stream::try_unfold((store, prefix, walk), |(store, prefix, mut walk)| async move {
        let (found, walk) = store
            .read(&prefix, move |inner| {
                let found = walk.next_batch(inner)?;
                Ok((found, walk))
            })
            .await?;
        if found.is_empty() {
            return Ok::<_, object_store::Error>(None);
        }
        Ok(Some((stream::iter(found.into_iter().map(Ok)), (store, prefix, walk))))
    })
    .flat_map(|batch| match batch {
        Ok(batch) => batch.boxed(),
        Err(error) => stream::once(async move { Err(error) }).boxed(),
    })
    .boxed()
}

pub(super) async fn list_with_delimiter(
    store: &FolderStore,
    prefix: Option<Path>,
) -> object_store::Result<ListResult> {
    let prefix = prefix.unwrap_or_default();
    let folder = prefix.clone();
    let work = move |inner: &Inner| {
        let mut common_prefixes = Vec::new();
        let mut objects = Vec::new();
        for Named { key, path, is_dir } in children(inner, folder.as_ref())? {
            let Ok(location) = Path::parse(&key) else { continue };
            if is_dir {
                common_prefixes.push(location);
            } else if let Some(stat) = inner.stat(&path)? {
                objects.push(object_meta(location, &stat));
            }
        }
        Ok(ListResult { common_prefixes, objects, extensions: object_store::Extensions::default() })
    };
    store.read(&prefix, work).await
}

/// An entry with its key.
struct Named {
    key: String,
    path: PathBuf,
    is_dir: bool,
}

impl Named {
    /// Folders sort as what lies in them.
    fn sort_key(&self) -> impl Iterator<Item = u8> + '_ {
        self.key.bytes().chain(self.is_dir.then_some(b'/'))
    }
}

/// A walk through the folder, one open folder a level.
struct Walk {
    prefix: Path,
    after: Option<Path>,
    open: Option<Vec<VecDeque<Named>>>,
}

impl Walk {
    fn next_batch(&mut self, inner: &Inner) -> io::Result<Vec<ObjectMeta>> {
        let mut found = Vec::new();
        let after = self.after.as_ref().map(AsRef::as_ref);
        let open = match &mut self.open {
            Some(open) => open,
            None => self.open.insert(vec![children(inner, self.prefix.as_ref())?.into()]),
        };
        while found.len() < BATCH {
            let Some(level) = open.last_mut() else { break };
            let Some(Named { key, path, is_dir }) = level.pop_front() else {
                open.pop();
                continue;
            };
            if is_dir {
                // All keys in it begin with its key and a slash: none of them may be wanted.
                let below = format!("{key}/");
                if after.is_none_or(|after| after < below.as_str() || after.starts_with(&below)) {
                    open.push(children(inner, &key)?.into());
                }
            } else if after.is_none_or(|after| key.as_str() > after)
                && let Ok(location) = Path::parse(&key)
                && let Some(stat) = inner.stat(&path)?
            {
                found.push(object_meta(location, &stat));
            }
        }
        Ok(found)
    }
}

/// What lies directly in a folder, sorted; nothing where it does not exist.
fn children(inner: &Inner, prefix: &str) -> io::Result<Vec<Named>> {
    let mut folder = inner.root.clone();
    folder.extend(prefix.split('/').filter(|part| !part.is_empty()));
    let entries = match inner.files.read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(error),
    };
    let mut named: Vec<Named> = entries
        .into_iter()
        .filter(|entry| !(prefix.is_empty() && is_reserved(&entry.name)))
        .map(|Entry { name, is_dir }| Named {
            path: folder.join(&name),
            key: if prefix.is_empty() { name } else { format!("{prefix}/{name}") },
            is_dir,
        })
        .collect();
    named.sort_by(|a, b| a.sort_key().cmp(b.sort_key()));
    Ok(named)
}

/// Listing a file's own key as a prefix finds nothing, as in object stores.
#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt;
    use object_store::{ObjectStore, ObjectStoreExt, PutPayload};

    use super::*;

    #[tokio::test]
    async fn lists_are_in_byte_order_and_can_start_anywhere() {
        let folder = tempfile::tempdir().unwrap();
        let store = FolderStore::open(folder.path()).unwrap();
        let keys = ["o/a-b", "o/a.z", "o/a/x", "o/a/z", "o/a0", "o/b/c/d", "p/x"];
        for key in keys.iter().rev() {
            store.put(&Path::parse(key).unwrap(), PutPayload::from_static(b"x")).await.unwrap();
        }
        let names = |found: Vec<ObjectMeta>| -> Vec<String> {
            found.into_iter().map(|meta| meta.location.to_string()).collect()
        };
        assert_eq!(names(store.list(None).try_collect().await.unwrap()), keys);
        for (at, key) in keys.iter().enumerate() {
            let found = store.list_with_offset(None, &Path::parse(key).unwrap());
            assert_eq!(names(found.try_collect().await.unwrap()), keys[at + 1..], "after {key}");
        }
        let under = store.list(Some(&Path::parse("o/a").unwrap()));
        assert_eq!(names(under.try_collect().await.unwrap()), ["o/a/x", "o/a/z"]);
        let file = store.list(Some(&Path::parse("p/x").unwrap()));
        assert_eq!(names(file.try_collect().await.unwrap()), Vec::<String>::new());

        let level = store.list_with_delimiter(Some(&Path::parse("o").unwrap())).await.unwrap();
        assert_eq!(names(level.objects), ["o/a-b", "o/a.z", "o/a0"]);
        let folders: Vec<_> = level.common_prefixes.iter().map(ToString::to_string).collect();
        assert_eq!(folders, ["o/a", "o/b"]);
    }
}
