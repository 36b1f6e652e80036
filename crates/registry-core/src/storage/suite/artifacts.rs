//! Checks of artefacts.

use std::io::{Read, Seek, SeekFrom};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use sha2::{Digest, Sha256};

use super::{Bench, Ledger, keys, ledger_key};
use crate::{
    Actor, Body, BodyError,
    hooks::Operation,
    storage::{ArtifactSpec, DataRef, Digests, Draft, Key, StorageError, Store, UpdateError, WantedDigests},
};

const ALL_DIGESTS: WantedDigests = WantedDigests { sha512: true, sha1: true, md5: true, blake2b_256: true };

fn data_key(store: &Store) -> Key {
    store.key().fixed("packages").segment("lib").fixed("-").segment("lib-1.0.0.tgz").build()
}

/// Bytes that differ everywhere.
fn content(length: usize) -> Bytes {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    (0..length)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state.to_be_bytes()[0]
        })
        .collect()
}

/// A body that comes in uneven pieces.
fn in_pieces(bytes: &Bytes, piece: usize) -> Body {
    let pieces: Vec<_> =
        bytes.chunks(piece).map(|piece| Ok::<_, BodyError>(Bytes::copy_from_slice(piece))).collect();
    Body::from_stream(stream::iter(pieces))
}

async fn read(store: &Store, data: &[DataRef], range: Option<std::ops::Range<u64>>) -> Vec<u8> {
    let body = store.read_artifact(data, range).await.unwrap();
    let announced = body.known_length().unwrap();
    let whole: Vec<u8> = body.into_data_stream().map_ok(|piece| piece.to_vec()).try_concat().await.unwrap();
    assert_eq!(whole.len() as u64, announced);
    whole
}

async fn served(store: &Store, data: &DataRef, range: Option<std::ops::Range<u64>>) -> Vec<u8> {
    let body = store.serve_artifact(std::slice::from_ref(data), range).await.unwrap();
    body.into_data_stream().map_ok(|piece| piece.to_vec()).try_concat().await.unwrap()
}

pub(super) async fn what_was_served_is_served_from_memory_until_it_is_removed(bench: Bench) {
    let store = bench.store();
    for (length, small) in [(0, true), (1000, true), (256 * 1024, true), (256 * 1024 + 1, false)] {
        let bytes = content(length);
        let spec = ArtifactSpec::default();
        let data = store.write_artifact_bytes(&data_key(&store), bytes.clone(), spec).await.unwrap().keep();
        let middle = length / 4..length / 2;
        let asked = middle.start as u64..middle.end as u64;
        assert!(served(&store, &data, Some(asked.clone())).await == bytes[middle.clone()]);
        assert!(served(&store, &data, None).await == bytes);
        assert_eq!(store.is_at_hand(&data), small);
        assert!(served(&store, &data, None).await == bytes);
        assert!(served(&store, &data, Some(asked)).await == bytes[middle]);
        store.remove(&data.key).await.unwrap();
        assert!(!store.is_at_hand(&data));
        if length > 0 {
            let gone = store.serve_artifact(std::slice::from_ref(&data), None).await.unwrap_err();
            assert!(matches!(gone, StorageError::Missing { .. }), "{gone}");
        }
    }
}

pub(super) async fn bytes_go_in_and_out(bench: Bench) {
    let store = bench.store();
    for length in [0, 1, 4096, 256 * 1024, 1024 * 1024 - 1, 1024 * 1024, 1024 * 1024 + 1, 5_000_000] {
        let bytes = content(length);
        let spec = ArtifactSpec {
            digests: ALL_DIGESTS,
            length: Some(length as u64),
            sha256: Some(hex::encode(Sha256::digest(&bytes))),
            md5: Some(hex::encode_upper(md5::Md5::digest(&bytes))),
            blake2b_256: Some(hex::encode(blake2::Blake2b256::digest(&bytes))),
            ..ArtifactSpec::default()
        };
        let streamed =
            store.write_artifact(&data_key(&store), in_pieces(&bytes, 100_003), spec.clone()).await.unwrap();
        let whole = store.write_artifact_bytes(&data_key(&store), bytes.clone(), spec).await.unwrap();
        assert_eq!(streamed.digests(), whole.digests());
        assert_eq!(whole.digests().sha1.as_ref().unwrap(), &hex::encode(sha1::Sha1::digest(&bytes)));
        assert_eq!(whole.digests().sha512.as_ref().unwrap(), &hex::encode(sha2::Sha512::digest(&bytes)));
        assert_eq!(whole.digests(), &Digests::of(&bytes, ALL_DIGESTS));
        let digests = whole.digests().clone();
        let (streamed, whole) = (streamed.keep(), whole.keep());
        let again = store.hash_artifact(std::slice::from_ref(&whole), ALL_DIGESTS).await.unwrap();
        assert_eq!(again, (length as u64, digests));
        assert_ne!(streamed.key, whole.key);
        for data in [streamed, whole] {
            assert_eq!(data.size, length as u64);
            assert!(read(&store, std::slice::from_ref(&data), None).await == bytes);
            for range in [0..1, 1..length / 2, length / 2..length, length.saturating_sub(1)..length] {
                if !range.is_empty() && range.end <= length {
                    let part =
                        read(&store, std::slice::from_ref(&data), Some(range.start as u64..range.end as u64));
                    assert!(part.await == bytes[range]);
                }
            }
        }
    }
}

pub(super) async fn wrong_bytes_leave_nothing(bench: Bench) {
    let store = bench.store();
    let key = data_key(&store);
    let before = keys(&bench.storage, &store).await;
    for length in [10, 3_000_000] {
        let bytes = content(length);
        let other = hex::encode(Sha256::digest(b"other"));
        let limit = length as u64 - 1;
        let exact = ArtifactSpec::default();
        for (spec, what) in [
            (ArtifactSpec { sha256: Some(other.clone()), ..exact.clone() }, "sha256"),
            (ArtifactSpec { sha1: Some(other.clone()), ..exact.clone() }, "sha1"),
            (ArtifactSpec { sha512: Some(other.clone()), ..exact.clone() }, "sha512"),
            (ArtifactSpec { md5: Some(other.clone()), ..exact.clone() }, "md5"),
            (ArtifactSpec { blake2b_256: Some(other.clone()), ..exact.clone() }, "blake2b-256"),
            (ArtifactSpec { length: Some(length as u64 + 1), ..exact.clone() }, "length"),
            (ArtifactSpec { length: Some(limit), ..exact.clone() }, "length"),
            (ArtifactSpec { max_bytes: Some(limit), ..exact.clone() }, "limit"),
        ] {
            let error = store.write_artifact(&key, in_pieces(&bytes, 65_536), spec).await.unwrap_err();
            match error {
                StorageError::Mismatch { what: found, .. } => assert_eq!(found, what),
                StorageError::TooLarge { limit: found } => assert_eq!((found, what), (limit, "limit")),
                error => panic!("{what}: {error}"),
            }
        }
        let broken = stream::iter([Ok(bytes), Err(BodyError::new("gone"))]);
        let error =
            store.write_artifact(&key, Body::from_stream(broken.boxed()), exact.clone()).await.unwrap_err();
        assert!(matches!(error, StorageError::Body(_)));
        drop(store.write_artifact_bytes(&key, content(length), exact).await.unwrap());
    }
    let stuck =
        Body::from_stream(stream::iter([Ok::<_, BodyError>(content(3_000_000))]).chain(stream::pending()));
    let mut write = Box::pin(store.write_artifact(&key, stuck, ArtifactSpec::default()));
    let begun = tokio::time::timeout(std::time::Duration::from_millis(200), &mut write).await;
    assert!(begun.is_err());
    drop(write);
    bench.storage.drained().await;
    let mut after = keys(&bench.storage, &store).await;
    // The file of an upload that was dropped midway goes in the background.
    for _ in 0..100 {
        if after == before {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        after = keys(&bench.storage, &store).await;
    }
    assert_eq!(after, before);
}

pub(super) async fn bytes_share_the_fate_of_their_commit(bench: Bench) {
    let store = bench.store();
    let key = ledger_key(&store);
    let data_objects = async || {
        let all = keys(&bench.storage, &store).await;
        all.into_iter().filter(|key| key.contains('~')).count()
    };
    for (round, (refuse, alter)) in [(true, false), (false, false), (false, true)].into_iter().enumerate() {
        let artifact = store
            .write_artifact_bytes(&data_key(&store), content(1000), ArtifactSpec::default())
            .await
            .unwrap();
        let event = store.event(Operation::Put, &key, &Actor::anonymous());
        let mut permit = store.permit(event).await.unwrap();
        let data = permit.attach(artifact);
        let change = move |draft: &mut Draft<Ledger>| {
            if refuse {
                return Err(UpdateError::Refused("no"));
            }
            if alter {
                draft.edit_or_insert_with(Ledger::default).entries.push(data.size);
            }
            Ok(())
        };
        let result = store.commit(&key, permit, change).await;
        assert_eq!(matches!(result, Err(UpdateError::Refused("no"))), refuse);
        assert_eq!(data_objects().await, usize::from(alter), "round {round}");
    }
}

pub(super) async fn parts_read_as_one(bench: Bench) {
    let store = bench.store();
    let bytes = content(1_000_000);
    let mut parts = Vec::new();
    for part in bytes.chunks(300_000) {
        let part = Bytes::copy_from_slice(part);
        let artifact =
            store.write_artifact_bytes(&data_key(&store), part, ArtifactSpec::default()).await.unwrap();
        parts.push(artifact.keep());
    }
    assert!(read(&store, &parts, None).await == bytes);
    for range in [0..10, 299_999..300_001, 300_000..600_000, 250_000..950_000, 999_999..1_000_000] {
        let got = read(&store, &parts, Some(range.start as u64..range.end as u64)).await;
        assert!(got == bytes[range.clone()], "{range:?}");
    }
    store.remove(&parts[1].key).await.unwrap();
    let missing = store.read_artifact(&parts[1..2], None).await.unwrap_err();
    assert!(matches!(missing, StorageError::Missing { .. }), "{missing}");
    let wrong = DataRef { size: 10, ..parts[0].clone() };
    let damaged = store.read_artifact(&[wrong], None).await.unwrap_err();
    assert!(matches!(damaged, StorageError::Damaged { .. }), "{damaged}");
}

pub(super) async fn what_is_stored_can_be_looked_into(bench: Bench) {
    let store = bench.store();
    let bytes = content(3_000_000);
    let spec = ArtifactSpec::default();
    let pending = store.write_artifact(&data_key(&store), in_pieces(&bytes, 65_536), spec).await.unwrap();
    let spec = ArtifactSpec::default();
    let first = store.write_artifact_bytes(&data_key(&store), bytes.slice(..10), spec).await.unwrap();
    let parts = [first.data().clone(), pending.data().clone()];
    let whole: Bytes = [&bytes[..10], &bytes[..]].concat().into();
    let want = whole.clone();
    let read = store
        .inspect(&parts, move |reader| {
            assert_eq!(reader.length(), want.len() as u64);
            let mut tail = Vec::new();
            reader.seek(SeekFrom::End(-22)).unwrap();
            reader.read_to_end(&mut tail).unwrap();
            assert!(tail == want[want.len() - 22..]);
            let mut piece = [0; 100];
            for at in [0, 5, 1_234_567, 262_130, 2_999_900] {
                reader.seek(SeekFrom::Start(at as u64)).unwrap();
                reader.read_exact(&mut piece).unwrap();
                assert!(piece == want[at..at + 100], "at {at}");
            }
            assert!(reader.seek(SeekFrom::Current(i64::MIN)).is_err());
            reader.seek(SeekFrom::Start(u64::MAX)).unwrap();
            assert_eq!(reader.read(&mut piece).unwrap(), 0);
            reader.rewind().unwrap();
            let mut all = Vec::new();
            reader.read_to_end(&mut all).unwrap();
            all
        })
        .await
        .unwrap();
    assert!(read == whole);
    store.remove(&parts[1].key).await.unwrap();
    let gone = store.inspect(&parts[1..], |reader| reader.read(&mut [0]).is_err()).await.unwrap_err();
    assert!(matches!(gone, StorageError::Missing { .. }), "{gone}");
    let wrong = DataRef { size: 11, ..parts[0].clone() };
    let damaged = store.inspect(&[wrong], |reader| reader.read(&mut [0]).is_err()).await.unwrap_err();
    assert!(matches!(damaged, StorageError::Damaged { .. }), "{damaged}");
    drop((first, pending));
}
