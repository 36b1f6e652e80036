//! Hashing content as it comes, across requests and nodes.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde::{Deserialize, Serialize};
use sha2::{
    Digest as _, Sha256, Sha512,
    digest::common::hazmat::{SerializableState, SerializedState},
};

use crate::names::{Algorithm, Digest};

/// A running hash.
#[derive(Clone)]
pub(crate) enum Hasher {
    Sha256(Sha256),
    Sha512(Sha512),
}

/// A running hash as a document keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HashState {
    algorithm: Algorithm,
    /// The library's serialized state in base64.
    state: String,
}

impl Hasher {
    pub(crate) fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Sha256 => Self::Sha256(Sha256::new()),
            Algorithm::Sha512 => Self::Sha512(Sha512::new()),
        }
    }

    /// The digest of bytes in memory.
    pub(crate) fn digest(algorithm: Algorithm, bytes: &[u8]) -> Digest {
        let mut hasher = Self::new(algorithm);
        hasher.update(bytes);
        hasher.finish()
    }

    pub(crate) fn algorithm(&self) -> Algorithm {
        match self {
            Self::Sha256(_) => Algorithm::Sha256,
            Self::Sha512(_) => Algorithm::Sha512,
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Sha512(hasher) => hasher.update(bytes),
        }
    }

    pub(crate) fn finish(self) -> Digest {
        match self {
            Self::Sha256(hasher) => Digest::from_output(Algorithm::Sha256, &hasher.finalize()),
            Self::Sha512(hasher) => Digest::from_output(Algorithm::Sha512, &hasher.finalize()),
        }
    }

    pub(crate) fn save(&self) -> HashState {
        let state = match self {
            Self::Sha256(hasher) => BASE64.encode(hasher.serialize()),
            Self::Sha512(hasher) => BASE64.encode(hasher.serialize()),
        };
        HashState { algorithm: self.algorithm(), state }
    }
}

impl HashState {
    /// The hash to go on with; `None` where the state is damaged.
    pub(crate) fn restore(&self) -> Option<Hasher> {
        fn load<H: SerializableState>(bytes: &[u8]) -> Option<H> {
            H::deserialize(&SerializedState::<H>::try_from(bytes).ok()?).ok()
        }
        let bytes = BASE64.decode(&self.state).ok()?;
        match self.algorithm {
            Algorithm::Sha256 => load(&bytes).map(Hasher::Sha256),
            Algorithm::Sha512 => load(&bytes).map(Hasher::Sha512),
        }
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Hasher").field(&self.algorithm()).finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn damaged_states_are_refused() {
        let mut state = Hasher::new(Algorithm::Sha256).save();
        state.state = "AAAA".into();
        assert!(state.restore().is_none());
        state.state = "?".into();
        assert!(state.restore().is_none());
    }

    proptest! {
        #[test]
        fn a_hash_survives_being_saved_anywhere(
            bytes in prop::collection::vec(any::<u8>(), 0..400), at in 0usize..400, sha512 in any::<bool>(),
        ) {
            let algorithm = if sha512 { Algorithm::Sha512 } else { Algorithm::Sha256 };
            let (head, tail) = bytes.split_at(at.min(bytes.len()));
            let mut hasher = Hasher::new(algorithm);
            hasher.update(head);
            let json = serde_json::to_string(&hasher.save()).unwrap();
            let mut hasher = serde_json::from_str::<HashState>(&json).unwrap().restore().unwrap();
            hasher.update(tail);
            prop_assert_eq!(hasher.finish(), Hasher::digest(algorithm, &bytes));
        }
    }
}
