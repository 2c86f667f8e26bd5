//! What one slice takes up, and whether it may: as much as the limits allow, nothing of which a
//! snapshot needs the only copy. Pure.

use std::collections::{BTreeMap, HashSet};

use super::Error;
use super::plan::Going;
use super::reach::Reach;
use super::view::View;
use crate::repo::pack::{PackedBlob, expected_size};
use crate::repo::{BlobId, BlobKind, Index, IndexFile, IndexId, PackId};

/// Packs that are to go.
#[derive(Debug, Default)]
pub(super) struct Leaving {
    pub packs: Vec<Going>,
    /// What of them is needed and was read where it stays: of nothing else may a copy go.
    pub safe: HashSet<(BlobKind, BlobId)>,
}

/// What one slice takes up.
pub(super) struct Batch {
    pub packs: Vec<Going>,
    /// Index files that name them, or that count no more.
    pub files: HashSet<IndexId>,
}

impl Batch {
    /// Whether `one` is among its packs.
    pub fn takes(&self, one: &Going) -> bool {
        self.packs.iter().any(|other| other.pack == one.pack)
    }
}

/// As many of `going` as one slice takes, by the index files that name them.
pub(super) fn batch(view: &View, going: &[Going], packs: usize, index_blobs: usize) -> Batch {
    let superseded = view.superseded();
    let mut naming: BTreeMap<PackId, Vec<IndexId>> = BTreeMap::new();
    let wanted: HashSet<_> = going.iter().map(|one| one.pack).collect();
    for (id, file) in view.in_force() {
        for pack in file.packs.iter().filter(|pack| wanted.contains(&pack.id)) {
            naming.entry(pack.id).or_default().push(*id);
        }
    }
    let named_by = |one: &Going| naming.get(&one.pack).map_or(&[][..], Vec::as_slice);
    let mut ordered: Vec<_> = going.iter().collect();
    ordered.sort_by_key(|one| (named_by(one).first().copied(), one.pack));
    let mut batch = Batch { packs: Vec::new(), files: superseded };
    let mut blobs = 0;
    for one in ordered.into_iter().take(packs) {
        let new = named_by(one).iter().filter(|id| !batch.files.contains(*id));
        let new: Vec<_> = new.copied().collect();
        let of = |id: &IndexId| view.files.get(id).map_or(0, blobs_of);
        let more: usize = new.iter().map(of).sum();
        if !batch.packs.is_empty() && blobs + more > index_blobs {
            break;
        }
        blobs += more;
        batch.files.extend(new);
        batch.packs.push(one.clone());
    }
    batch
}

/// Whether the index as it will be still leads to everything that a snapshot needs.
pub(super) fn check_whole(
    view: &View,
    batch: &Batch,
    files: &[(IndexId, IndexFile)],
    reach: &Reach,
) -> Result<(), Error> {
    let mut index = Index::new();
    let old = view.in_force().filter(|(id, _)| !batch.files.contains(*id)).map(|(_, file)| file);
    old.chain(files.iter().map(|(_, file)| file)).for_each(|file| index.insert_file(file));
    let lost = reach.all().find(|(kind, blob)| {
        !index.places(*kind, blob).any(|place| view.packs.contains_key(&place.pack))
    });
    lost.map_or(Ok(()), |(_, blob)| Err(Error::Lost { blob }))
}

fn blobs_of(file: &IndexFile) -> usize {
    file.packs.iter().map(|pack| pack.blobs.len()).sum()
}

/// Takes those packs out of `leaving` of which a snapshot needs something that was not made safe, or
/// lies in no pack that stays for now, at its full length; answers how many. A backup began to use
/// them since.
pub(super) fn spare(view: &View, reach: &Reach, leaving: &mut Leaving) -> usize {
    let index = view.index();
    let Leaving { packs, safe } = leaving;
    let all: HashSet<_> = packs.iter().map(|one| one.pack).collect();
    let (mut whole, mut blobs_of_going) = (HashSet::new(), Vec::new());
    for (pack, blobs) in index.packs() {
        if all.contains(&pack) {
            blobs_of_going.push((pack, blobs));
        } else if view.packs.get(&pack) == Some(&expected_size(&blobs)) {
            whole.insert(pack);
        }
    }
    let is_safe = |blob: &PackedBlob| {
        let mut places = index.places(blob.kind, &blob.id);
        !reach.includes(blob.kind, &blob.id)
            || safe.contains(&(blob.kind, blob.id)) && places.any(|at| whole.contains(&at.pack))
    };
    let used = blobs_of_going.into_iter().filter(|(_, blobs)| !blobs.iter().all(is_safe));
    let used: HashSet<_> = used.map(|(pack, _)| pack).collect();
    packs.retain(|one| !used.contains(&one.pack));
    used.len()
}
