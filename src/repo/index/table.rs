//! Fixed-size entries in the order they came, found by id through an open-addressed hash table.

use std::hash::{BuildHasher, RandomState};

use crate::ground::digest::Digest;
use crate::repo::pack::PackedBlob;
use crate::repo::{BlobId, BlobKind};

/// One blob in one pack: 52 bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    id: Digest,
    /// The pack's number in its section.
    pub pack: u32,
    pub offset: u32,
    pub length: u32,
    /// Zero: not compressed.
    plain_length: u32,
    kind: BlobKind,
}

impl Entry {
    pub fn plain_length(&self) -> Option<u32> {
        (self.plain_length != 0).then_some(self.plain_length)
    }
}

/// An honest probe ends long before; here it is asked whether the entries on the way are copies.
const LONG_PROBE: usize = 64;

/// Of so many copies of a blob on a long way no more is found by the blob's id: no repository has
/// them, and without a bound the time to take in an index would grow with their square.
pub(super) const MOST_COPIES: usize = 64;

/// A slot that leads nowhere.
const FREE: u32 = u32::MAX;

#[derive(Debug, Default)]
pub(super) struct Table {
    entries: Vec<Entry>,
    /// Numbers of entries; a power of two in length, at most three quarters taken.
    slots: Vec<u32>,
    /// Who chooses what is backed up chooses ids; the seed keeps them from choosing slots.
    seed: RandomState,
}

impl Table {
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// The blob of the `at`th entry.
    pub fn blob(&self, at: u32) -> PackedBlob {
        let entry = &self.entries[at as usize];
        PackedBlob {
            id: BlobId(entry.id),
            kind: entry.kind,
            offset: entry.offset,
            length: entry.length,
            plain_length: entry.plain_length(),
        }
    }

    /// Makes room for so many more in one step.
    pub fn reserve(&mut self, more: usize) {
        let entries = self.entries.len() + more;
        let slots = (entries / 3 * 4 + 4).next_power_of_two();
        if slots > self.slots.len() {
            self.grow(slots);
        }
    }

    /// Appends an entry; an equal one that is there already stays before it.
    pub fn push(&mut self, pack: u32, blob: &PackedBlob) {
        let at = u32::try_from(self.entries.len()).ok().filter(|at| *at != FREE);
        let at = at.expect("four billion entries do not fit into memory");
        if self.entries.len() >= self.slots.len() / 4 * 3 {
            self.grow((self.slots.len() * 2).max(16));
        }
        self.entries.push(Entry {
            id: blob.id.0,
            pack,
            offset: blob.offset,
            length: blob.length,
            plain_length: blob.plain_length.unwrap_or(0),
            kind: blob.kind,
        });
        self.place(at);
    }

    /// The entries of that kind and id, in the order they came; of very many copies the first ones.
    pub fn find(&self, kind: BlobKind, id: BlobId) -> impl Iterator<Item = &Entry> {
        self.probe(&id.0)
            .map_while(|slot| self.entries.get(self.slots[slot] as usize))
            .filter(move |entry| entry.kind == kind && entry.id == id.0)
    }

    /// The slots where an id may be, from its own onwards; endless unless the table is empty.
    fn probe(&self, id: &Digest) -> impl Iterator<Item = usize> + use<> {
        let slots = self.slots.len();
        let begin = if slots == 0 { 0 } else { self.seed.hash_one(id) as usize };
        (0..slots).map(move |step| begin.wrapping_add(step) & (slots - 1))
    }

    fn place(&mut self, at: u32) {
        let Entry { id, kind, .. } = self.entries[at as usize];
        let mut copies = 0;
        for (step, slot) in self.probe(&id).enumerate() {
            match self.slots[slot] {
                FREE => {
                    self.slots[slot] = at;
                    return;
                }
                other if step >= LONG_PROBE => {
                    let other = &self.entries[other as usize];
                    copies += usize::from(other.id == id && other.kind == kind);
                    if copies >= MOST_COPIES {
                        return;
                    }
                }
                _ => {}
            }
        }
    }

    /// To a power of two.
    fn grow(&mut self, slots: usize) {
        self.slots.clear();
        self.slots.resize(slots, FREE);
        for at in 0..self.entries.len() as u32 {
            self.place(at);
        }
    }
}
