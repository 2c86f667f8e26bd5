//! A value's digest out of its parts: numbers and digests have fixed lengths, so that no two values
//! are written alike.

use crate::ground::digest::{Digest, Hasher};

/// The parts of a value so far.
#[derive(Default)]
pub(super) struct Record(Hasher);

impl Record {
    pub fn number(&mut self, number: u64) {
        self.0.update(&number.to_le_bytes());
    }

    pub fn digest(&mut self, digest: &Digest) {
        self.0.update(&digest.0);
    }

    pub fn finish(self) -> Digest {
        self.0.finish()
    }
}

/// The digest of two strings that belong together.
pub(super) fn pair(one: &Digest, other: &Digest) -> Digest {
    let mut record = Record::default();
    record.digest(one);
    record.digest(other);
    record.finish()
}
