//! Checkpoints that must be in the store, whatever a listing says: those of which somebody whose
//! word counts says that they were signed.

use std::collections::{BTreeMap, BTreeSet};

use super::chain::Line;
use super::checkpoint::{self, Checkpoint, Stored};
use super::verify::Verify;
use crate::ground::digest::Digest;

/// What is said of one checkpoint.
struct Said {
    root: Digest,
    by: String,
}

/// The checkpoints that are owed, by size.
pub(super) struct Owed {
    said: BTreeMap<u64, Said>,
    /// Where whoever appended was to sign next. It may have died before: these are asked for, and
    /// none is owed.
    likely: BTreeSet<u64>,
}

impl Owed {
    /// What `lines`, this host and the verifier know of.
    pub fn by(lines: &[Line], against: Verify<'_>) -> Self {
        let mut said = BTreeMap::new();
        for line in lines {
            if let Some(signed) = line.record.event.body.signed() {
                let by = || format!("record {} says that it was signed", line.record.seq);
                said.entry(signed.size).or_insert_with(|| Said { root: signed.root, by: by() });
            }
        }
        if let Some(signed) = against.remembered {
            let by = "this host signed it".to_owned();
            said.insert(signed.size, Said { root: signed.root, by });
        }
        if let Some(Checkpoint { size, root, .. }) = against.earlier {
            let by = "the verifier has kept it".to_owned();
            said.entry(*size).or_insert(Said { root: *root, by });
        }
        let signs = |line: &&Line| line.record.event.body.is_signed_next();
        let likely = lines.iter().filter(signs).map(|line| line.record.seq).collect();
        Self { said, likely }
    }

    /// The sizes at which to look for one that is not among `listed`.
    pub fn unlisted(&self, listed: &BTreeSet<u64>) -> Vec<u64> {
        let sizes: BTreeSet<_> = self.said.keys().chain(&self.likely).copied().collect();
        sizes.difference(listed).copied().collect()
    }

    pub fn sizes(&self) -> impl Iterator<Item = u64> {
        self.said.keys().copied()
    }

    /// What is owed and not there whole, one sentence each.
    pub fn missing(&self, stored: &[Stored]) -> Vec<String> {
        let missing = self.said.iter().filter_map(|(size, Said { by, .. })| {
            let found = stored.iter().find(|stored| stored.size == *size);
            let name = match found {
                Some(Stored { signature: Some(_), .. }) => return None,
                Some(_) => checkpoint::signature_name(*size),
                None => checkpoint::name(*size),
            };
            Some(format!("{name} is missing: {by}"))
        });
        missing.collect()
    }

    /// Those that say another root than the lines have, with who says so; `computed` are
    /// checkpoints of sound lines, by size.
    pub fn contradicted(&self, computed: &BTreeMap<u64, Checkpoint>) -> Vec<(u64, String)> {
        let differs = self.said.iter().filter(|(size, said)| {
            computed.get(size).is_none_or(|computed| computed.root != said.root)
        });
        differs.map(|(size, said)| (*size, said.by.clone())).collect()
    }
}
