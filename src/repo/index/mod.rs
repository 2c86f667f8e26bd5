//! The index in memory: where each blob lies.
//!
//! In: index files. Out: a blob's pack and place, each pack's blobs. Blocking, memory only; some
//! 60 bytes a blob. Knows nothing of stores.

mod file;
mod table;

use std::collections::{HashMap, HashSet};
use std::ops::Range;

pub use file::{DoomedPack, FILE_BLOBS, IndexFile, IndexPack};

use self::table::Table;
use super::pack::{PackedBlob, expected_size};
use super::{BlobId, BlobKind, IndexId, PackId};

/// Where a blob lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Location {
    pub pack: PackId,
    /// Bytes from the pack's begin.
    pub offset: u32,
    /// Sealed bytes.
    pub length: u32,
    /// Plain bytes of a compressed blob; `None` where the blob is stored as it is.
    pub plain_length: Option<u32>,
}

impl Location {
    /// The same as an entry of the pack, which [`super::pack::open_blob`] wants.
    pub fn blob(&self, kind: BlobKind, id: BlobId) -> PackedBlob {
        let Self { offset, length, plain_length, .. } = *self;
        PackedBlob { id, kind, offset, length, plain_length }
    }
}

/// All blobs of a repository, as far as its index files tell.
#[derive(Debug, Default)]
pub struct Index {
    /// What new snapshots may rely on.
    kept: Section,
    /// What rustic marked for removal.
    doomed: Section,
}

impl Index {
    /// An index of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// The index that a repository's index files make together, without those that others supersede.
    pub fn of_files(files: Vec<(IndexId, IndexFile)>) -> Self {
        let superseded: HashSet<IndexId> =
            files.iter().flat_map(|(_, file)| file.supersedes.iter().copied()).collect();
        let mut index = Self::new();
        for (_, file) in files.iter().filter(|(id, _)| !superseded.contains(id)) {
            index.insert_file(file);
        }
        index
    }

    /// Where the blob lies, if a pack that stays holds it. Writers ask this: what it finds need
    /// not be stored again.
    pub fn lookup(&self, kind: BlobKind, id: &BlobId) -> Option<Location> {
        self.kept.find(kind, id).next()
    }

    /// Every place where the blob lies, the best first; packs marked for removal come last.
    /// Readers ask this: where one pack is damaged another may serve.
    pub fn places(&self, kind: BlobKind, id: &BlobId) -> impl Iterator<Item = Location> {
        self.kept.find(kind, id).chain(self.doomed.find(kind, id))
    }

    /// Takes in a pack's blobs; those of this pack that are known already are not doubled.
    pub fn insert(&mut self, pack: PackId, blobs: &[PackedBlob]) {
        self.kept.insert(pack, blobs);
    }

    /// Takes in a whole index file.
    pub fn insert_file(&mut self, file: &IndexFile) {
        for pack in &file.packs {
            self.kept.insert(pack.id, &pack.blobs);
        }
        for pack in &file.packs_to_delete {
            self.doomed.insert(pack.pack.id, &pack.pack.blobs);
        }
    }

    /// The packs that stay, each with its blobs in the order of their offsets.
    pub fn packs(&self) -> impl Iterator<Item = (PackId, Vec<PackedBlob>)> {
        self.kept.packs()
    }

    /// The packs that rustic marked for removal, with their blobs.
    pub fn doomed_packs(&self) -> impl Iterator<Item = (PackId, Vec<PackedBlob>)> {
        self.doomed.packs()
    }

    /// The packs that blobs are read from: those that stay, then the others that rustic marked.
    pub fn all_packs(&self) -> impl Iterator<Item = (PackId, Vec<PackedBlob>)> {
        let doomed = self.doomed_packs().filter(|(pack, _)| !self.has_pack(pack));
        self.packs().chain(doomed)
    }

    /// Whether rustic marked a pack with this id for removal.
    pub fn is_doomed(&self, pack: &PackId) -> bool {
        self.doomed.numbers.contains_key(pack)
    }

    /// Whether a pack that stays has this id.
    pub fn has_pack(&self, pack: &PackId) -> bool {
        self.kept.numbers.contains_key(pack)
    }

    /// Where the last blob of a pack ends, in bytes from the pack's begin.
    pub fn blobs_end(&self, pack: &PackId) -> Option<u64> {
        self.kept.blobs_end(pack).or_else(|| self.doomed.blobs_end(pack))
    }

    /// This index without the packs that are not stored with the size that it expects, and those
    /// packs; `None` where there are none such.
    pub fn without(&self, stored: &HashMap<PackId, u64>) -> Option<(Self, Vec<PackId>)> {
        let is_lost = |pack: &PackId, blobs: &[PackedBlob]| {
            stored.get(pack).is_none_or(|size| *size != expected_size(blobs))
        };
        let all = || self.packs();
        let lost: Vec<_> =
            all().filter(|(pack, blobs)| is_lost(pack, blobs)).map(|(pack, _)| pack).collect();
        if lost.is_empty() {
            return None;
        }
        let mut rest = Self::new();
        for (pack, blobs) in all().filter(|(pack, blobs)| !is_lost(pack, blobs)) {
            rest.insert(pack, &blobs);
        }
        Some((rest, lost))
    }

    /// How many packs stay.
    pub fn pack_count(&self) -> usize {
        self.kept.packs.len()
    }

    /// How many blobs lie in packs that stay, doubles counted as often as they are stored.
    pub fn blob_count(&self) -> usize {
        self.kept.blobs.len()
    }
}

/// Packs of one standing.
#[derive(Debug, Default)]
struct Section {
    packs: Vec<Pack>,
    numbers: HashMap<PackId, u32>,
    blobs: Table,
}

#[derive(Debug)]
struct Pack {
    id: PackId,
    /// Its blobs in the table: one run, more where several index files speak of it.
    runs: Vec<Range<u32>>,
}

impl Section {
    fn find(&self, kind: BlobKind, id: &BlobId) -> impl Iterator<Item = Location> {
        self.blobs.find(kind, *id).map(|entry| Location {
            pack: self.packs[entry.pack as usize].id,
            offset: entry.offset,
            length: entry.length,
            plain_length: entry.plain_length(),
        })
    }

    fn insert(&mut self, pack: PackId, blobs: &[PackedBlob]) {
        let next = u32::try_from(self.packs.len()).expect("no store holds 4 billion packs");
        let number = *self.numbers.entry(pack).or_insert(next);
        let is_new = number == next;
        if is_new {
            self.packs.push(Pack { id: pack, runs: Vec::new() });
        }
        let begin = self.blobs.len() as u32;
        self.blobs.reserve(blobs.len());
        for blob in blobs {
            if is_new || !self.is_known(number, blob) {
                self.blobs.push(number, blob);
            }
        }
        let end = self.blobs.len() as u32;
        if begin < end {
            self.packs[number as usize].runs.push(begin..end);
        }
    }

    /// Whether an index file said this of the pack before. Of a blob with more copies than are found,
    /// all are taken for known: two files that name the same pack say the same of it.
    fn is_known(&self, pack: u32, blob: &PackedBlob) -> bool {
        let mut copies = 0;
        let mut entries = self.blobs.find(blob.kind, blob.id).inspect(|_| copies += 1);
        entries.any(|entry| entry.pack == pack && entry.offset == blob.offset)
            || copies >= table::MOST_COPIES
    }

    fn blobs_end(&self, pack: &PackId) -> Option<u64> {
        let pack = &self.packs[*self.numbers.get(pack)? as usize];
        pack.runs.iter().cloned().flatten().map(|at| self.blobs.blob(at).end()).max()
    }

    fn packs(&self) -> impl Iterator<Item = (PackId, Vec<PackedBlob>)> {
        self.packs.iter().map(|pack| {
            let mut blobs: Vec<_> =
                pack.runs.iter().cloned().flatten().map(|at| self.blobs.blob(at)).collect();
            blobs.sort_by_key(|blob| blob.offset);
            (pack.id, blobs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::digest::Digest;

    fn blob(number: u32) -> PackedBlob {
        PackedBlob {
            id: BlobId(Digest::of(&number.to_le_bytes())),
            kind: if number.is_multiple_of(4) { BlobKind::Tree } else { BlobKind::Data },
            offset: number * 100,
            length: 100,
            plain_length: number.is_multiple_of(2).then_some(300),
        }
    }

    fn pack(number: u32) -> PackId {
        PackId(Digest::of(format!("pack {number}").as_bytes()))
    }

    #[test]
    fn every_blob_is_found_where_it_lies_and_only_under_its_kind() {
        let mut index = Index::new();
        for number in 0..100 {
            let blobs: Vec<_> = (number * 50..number * 50 + 50).map(blob).collect();
            index.insert(pack(number), &blobs);
        }

        for number in 0..5000 {
            let wanted = blob(number);
            let found = index.lookup(wanted.kind, &wanted.id).unwrap();
            assert_eq!(
                (found.pack, found.blob(wanted.kind, wanted.id)),
                (pack(number / 50), wanted)
            );
            let other = if wanted.kind == BlobKind::Tree { BlobKind::Data } else { BlobKind::Tree };
            assert_eq!(index.lookup(other, &wanted.id), None);
        }
        assert_eq!(index.lookup(BlobKind::Data, &blob(5001).id), None);
        assert_eq!((index.pack_count(), index.blob_count()), (100, 5000));
        let listed: Vec<_> = index.packs().flat_map(|(_, blobs)| blobs).collect();
        assert_eq!(listed, (0..5000).map(blob).collect::<Vec<_>>());
    }

    #[test]
    fn a_blob_in_two_packs_has_two_places() {
        let mut index = Index::new();
        index.insert(pack(1), &[blob(1)]);
        index.insert(pack(2), &[blob(1), blob(2)]);

        let places: Vec<_> = index.places(BlobKind::Data, &blob(1).id).map(|at| at.pack).collect();

        assert_eq!(places, [pack(1), pack(2)]);
    }

    #[test]
    fn a_pack_that_two_index_files_name_is_one_pack_with_all_its_blobs() {
        let mut index = Index::new();
        index.insert(pack(1), &[blob(2), blob(3)]);
        index.insert(pack(1), &[blob(1), blob(2)]);

        let packs: Vec<_> = index.packs().collect();

        assert_eq!(packs, [(pack(1), vec![blob(1), blob(2), blob(3)])]);
    }

    #[test]
    fn of_a_blob_that_very_many_packs_claim_a_bounded_number_is_looked_at() {
        let mut index = Index::new();
        let claims = 20_000;
        for number in 0..claims {
            index.insert(pack(number), &[blob(1)]);
        }
        // As an index file that replaces another one says it once more.
        index.insert(pack(claims - 1), &[blob(1)]);
        index.insert(pack(claims), &[blob(2)]);

        let places = index.places(BlobKind::Data, &blob(1).id).count();
        assert!((64..200).contains(&places), "{places}");
        assert_eq!(index.lookup(BlobKind::Data, &blob(1).id).unwrap().pack, pack(0));
        assert_eq!(index.lookup(BlobKind::Data, &blob(2).id).unwrap().pack, pack(claims));
        assert_eq!(index.blob_count(), claims as usize + 1);
        assert_eq!(index.packs().nth(claims as usize - 1).unwrap().1, [blob(1)]);
    }

    #[test]
    fn packs_marked_for_removal_serve_readers_but_not_writers() {
        let mut index = Index::new();
        index.insert_file(&IndexFile {
            packs_to_delete: vec![DoomedPack {
                pack: IndexPack { id: pack(1), blobs: vec![blob(1)] },
                time: None,
                size: None,
            }],
            ..IndexFile::default()
        });

        assert_eq!(index.lookup(BlobKind::Data, &blob(1).id), None);
        assert_eq!(index.places(BlobKind::Data, &blob(1).id).count(), 1);
        assert!(!index.has_pack(&pack(1)));
    }
}
