//! The digests of a growing content: kept with it, so that a few more bytes cost no reading of the others.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use md5::{Digest as _, Md5};
use serde::{Deserialize, Serialize};
use sha2::{
    Sha256,
    digest::common::hazmat::{SerializableState, SerializedState},
};

/// Running digests.
#[derive(Clone, Debug, Default)]
pub(crate) struct Running {
    md5: Md5,
    sha256: Sha256,
}

/// Running digests as a document keeps them, in base64.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Saved {
    md5: String,
    sha256: String,
}

/// The digests of a content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ContentDigests {
    pub(crate) md5: [u8; 16],
    pub(crate) sha256: [u8; 32],
}

impl Running {
    /// Goes on with more bytes.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.md5.update(bytes);
        self.sha256.update(bytes);
    }

    /// The digests of everything so far.
    pub(crate) fn finish(self) -> ContentDigests {
        ContentDigests { md5: self.md5.finalize().into(), sha256: self.sha256.finalize().into() }
    }

    pub(crate) fn save(&self) -> Saved {
        Saved { md5: STANDARD.encode(self.md5.serialize()), sha256: STANDARD.encode(self.sha256.serialize()) }
    }
}

impl Saved {
    /// The digests to go on with; `None` where they are damaged.
    pub(crate) fn restore(&self) -> Option<Running> {
        fn load<H: SerializableState>(text: &str) -> Option<H> {
            let bytes = STANDARD.decode(text).ok()?;
            H::deserialize(&SerializedState::<H>::try_from(&*bytes).ok()?).ok()
        }
        Some(Running { md5: load(&self.md5)?, sha256: load(&self.sha256)? })
    }
}

impl ContentDigests {
    /// Of bytes in memory.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mut running = Running::default();
        running.update(bytes);
        running.finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn digests_survive_being_saved_anywhere(bytes in prop::collection::vec(any::<u8>(), 0..300), at in 0_usize..300) {
            let (head, tail) = bytes.split_at(at.min(bytes.len()));
            let mut running = Running::default();
            running.update(head);
            let json = serde_json::to_string(&running.save()).unwrap();
            let mut running = serde_json::from_str::<Saved>(&json).unwrap().restore().unwrap();
            running.update(tail);
            prop_assert_eq!(running.finish(), ContentDigests::of(&bytes));
        }
    }

    #[test]
    fn damaged_states_are_refused() {
        for text in ["", "?", "AAAA"] {
            assert!(Saved { md5: text.to_owned(), sha256: text.to_owned() }.restore().is_none());
        }
    }
}
