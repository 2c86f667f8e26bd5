//! The plan of a prune: which packs stay, which go, and which are packed anew first. Pure.
//!
//! Of a blob that lies in several packs one copy stays: that in the pack with the most to keep, so
//! that a prune that died half way is taken up where it was.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::Error;
use super::reach::Reach;
use crate::repo::pack::{PackedBlob, expected_size};
use crate::repo::{BlobId, BlobKind, Index, PackId};

/// Of a hundred bytes that stay so many unused ones may stay beside them: packing everything anew
/// for the rest would cost more than it frees.
const TOLERATED_PERCENT: u64 = 5;

/// A pack that nobody needs, or will once what stays of it is packed anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Going {
    pub pack: PackId,
    /// As stored; none where the index names a pack that the store does not have.
    pub bytes: Option<u64>,
}

/// A pack of which some stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repack {
    pub pack: PackId,
    pub bytes: u64,
    /// What must be read of it, sealed bytes.
    pub live_bytes: u64,
    pub live: Vec<PackedBlob>,
    /// rustic marked it for removal and will remove it: only what is still needed is saved.
    pub is_doomed: bool,
}

/// What becomes of every pack.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// Packs that stay as they are, and their stored bytes.
    pub kept: usize,
    pub kept_bytes: u64,
    /// Of these bytes those that no snapshot needs.
    pub waste_bytes: u64,
    /// Indexed packs of which no snapshot needs anything.
    pub unused: Vec<Going>,
    /// Indexed packs of which everything that a snapshot needs stays in another pack.
    pub doubled: Vec<Going>,
    /// Packs in no index file: left by runs that died.
    pub unindexed: Vec<Going>,
    pub repack: Vec<Repack>,
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.removed().next().is_none() && self.repack.is_empty()
    }

    /// The packs that are removed without anything being packed anew.
    pub fn removed(&self) -> impl Iterator<Item = &Going> {
        self.unindexed.iter().chain(&self.unused).chain(&self.doubled)
    }

    /// Stored bytes that go, less what is packed anew.
    pub fn freed_bytes(&self) -> u64 {
        let gone = self.removed().filter_map(|going| going.bytes);
        let repacked = self.repack.iter().map(|one| match one.is_doomed {
            true => 0,
            false => one.bytes.saturating_sub(one.live_bytes),
        });
        gone.sum::<u64>() + repacked.sum::<u64>()
    }
}

/// One pack as the index and the reach see it.
struct Seen {
    pack: PackId,
    blobs: Vec<PackedBlob>,
    is_doomed: bool,
}

/// Makes the plan. Fails where something that must stay is stored nowhere.
pub(super) fn plan(
    index: &Index,
    stored: &HashMap<PackId, u64>,
    reach: &Reach,
) -> Result<Plan, Error> {
    let kept = index.packs().map(|(pack, blobs)| Seen { pack, blobs, is_doomed: false });
    let doomed = index.doomed_packs().filter(|(pack, _)| !index.has_pack(pack));
    let doomed = doomed.map(|(pack, blobs)| Seen { pack, blobs, is_doomed: true });
    let seen: Vec<_> = kept.chain(doomed).collect();
    let present = present(&seen, stored, reach);
    for (kind, blob) in reach.all() {
        if best(index, &present, kind, &blob).is_none() {
            return Err(Error::Lost { blob });
        }
    }

    let mut plan = Plan::default();
    let mut partial = Vec::new();
    for Seen { pack, blobs, is_doomed } in seen {
        let stays = |blob: &PackedBlob| {
            reach.includes(blob.kind, &blob.id)
                && best(index, &present, blob.kind, &blob.id) == Some((pack, blob.offset))
        };
        let live: Vec<_> = blobs.iter().filter(|blob| stays(blob)).copied().collect();
        let bytes = stored.get(&pack).copied();
        match (bytes, live.len()) {
            (_, 0) if is_doomed => {}
            (bytes, 0) => {
                let is_needed = |blob: &PackedBlob| reach.includes(blob.kind, &blob.id);
                match blobs.iter().any(is_needed) {
                    true => plan.doubled.push(Going { pack, bytes }),
                    false => plan.unused.push(Going { pack, bytes }),
                }
            }
            (Some(bytes), count) if count == blobs.len() && !is_doomed => {
                plan.kept += 1;
                plan.kept_bytes += bytes;
            }
            (bytes, _) => {
                let live_bytes = live.iter().map(|blob| u64::from(blob.length)).sum();
                let bytes = bytes.unwrap_or(live_bytes);
                partial.push(Repack { pack, bytes, live_bytes, live, is_doomed });
            }
        }
    }
    choose(partial, &mut plan);
    let is_known = |pack: &PackId| index.has_pack(pack) || index.is_doomed(pack);
    let unindexed = stored.iter().filter(|(pack, _)| !is_known(pack));
    plan.unindexed =
        unindexed.map(|(pack, bytes)| Going { pack: *pack, bytes: Some(*bytes) }).collect();
    plan.unindexed.sort_by_key(|going| going.pack);
    Ok(plan)
}

/// The packs that are there as long as they should be, each with how much of it is worth keeping,
/// in thousandths.
fn present(
    seen: &[Seen],
    stored: &HashMap<PackId, u64>,
    reach: &Reach,
) -> HashMap<PackId, (bool, u64)> {
    let is_whole = |seen: &&Seen| stored.get(&seen.pack) == Some(&expected_size(&seen.blobs));
    let worth = |seen: &Seen| {
        let length = |blob: &PackedBlob| u64::from(blob.length);
        let needed = seen.blobs.iter().filter(|blob| reach.includes(blob.kind, &blob.id));
        let all: u64 = seen.blobs.iter().map(length).sum();
        (seen.pack, (!seen.is_doomed, needed.map(length).sum::<u64>() * 1000 / all.max(1)))
    };
    seen.iter().filter(is_whole).map(worth).collect()
}

/// The copy of a blob that stays: its pack and offset.
fn best(
    index: &Index,
    present: &HashMap<PackId, (bool, u64)>,
    kind: BlobKind,
    blob: &BlobId,
) -> Option<(PackId, u32)> {
    let places = index.places(kind, blob).filter_map(|place| {
        let worth = present.get(&place.pack)?;
        Some((*worth, place.pack, place.offset))
    });
    places.max().map(|(_, pack, offset)| (pack, offset))
}

/// Repacks the packs with the largest unused part, until what is unused besides is tolerable.
fn choose(mut partial: Vec<Repack>, plan: &mut Plan) {
    let unused = |one: &Repack| one.bytes.saturating_sub(one.live_bytes);
    partial.sort_by_key(|one| (Reverse(unused(one) * 1000 / one.bytes.max(1)), one.pack));
    let live: u64 = plan.kept_bytes + partial.iter().map(|one| one.live_bytes).sum::<u64>();
    let tolerated = live / 100 * TOLERATED_PERCENT;
    let mut left: u64 = partial.iter().filter(|one| !one.is_doomed).map(unused).sum();
    for one in partial {
        if one.is_doomed {
            plan.repack.push(one);
        } else if left > tolerated {
            left -= unused(&one);
            plan.repack.push(one);
        } else {
            plan.kept += 1;
            plan.kept_bytes += one.bytes;
            plan.waste_bytes += unused(&one);
        }
    }
}
