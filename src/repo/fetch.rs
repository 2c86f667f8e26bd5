//! The plan by which many blobs are fetched: by pack, in the order of their offsets, in ranges.
//!
//! In: ids and where they lie. Out: batches, each one request to the store. Pure.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::pack::PackedBlob;
use super::{BlobId, PackId};

/// The most stored bytes of one request, and the most plain bytes that may come of it, unless a
/// single blob has more: a few bytes of a compressed zero-filled file expand to megabytes.
const RANGE: u64 = 8 << 20;
const PLAIN: u64 = 16 << 20;

/// Unwanted bytes up to here are read along: cheaper than another request.
const GAP: u64 = 256 << 10;

/// One request: blobs that lie close together in one pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Batch {
    pub pack: PackId,
    pub range: Range<u64>,
    /// By offset; never none.
    pub blobs: Vec<PackedBlob>,
}

/// Plans how to fetch `wanted`, each once; the second list are those that `place` does not know.
/// Packs come in the order in which they are first wanted: near things are restored together.
pub(super) fn plan(
    wanted: impl IntoIterator<Item = BlobId>,
    place: impl Fn(&BlobId) -> Option<(PackId, PackedBlob)>,
) -> (Vec<Batch>, Vec<BlobId>) {
    let mut seen = HashSet::new();
    let mut order: HashMap<PackId, usize> = HashMap::new();
    let mut packs: Vec<(PackId, Vec<PackedBlob>)> = Vec::new();
    let mut unknown = Vec::new();
    for id in wanted {
        if !seen.insert(id) {
            continue;
        }
        let Some((pack, blob)) = place(&id) else {
            unknown.push(id);
            continue;
        };
        let at = *order.entry(pack).or_insert(packs.len());
        if at == packs.len() {
            packs.push((pack, Vec::new()));
        }
        packs[at].1.push(blob);
    }
    let batches = packs.into_iter().flat_map(|(pack, blobs)| batches(pack, blobs)).collect();
    (batches, unknown)
}

fn batches(pack: PackId, mut blobs: Vec<PackedBlob>) -> Vec<Batch> {
    blobs.sort_unstable_by_key(|blob| blob.offset);
    let mut batches: Vec<Batch> = Vec::new();
    let mut plain = 0;
    for blob in blobs {
        let (begin, end) = (u64::from(blob.offset), blob.end());
        match batches.last_mut() {
            Some(batch)
                if begin <= batch.range.end + GAP
                    && end.max(batch.range.end) - batch.range.start <= RANGE
                    && plain + blob.plain_bytes() <= PLAIN =>
            {
                batch.range.end = batch.range.end.max(end);
                batch.blobs.push(blob);
                plain += blob.plain_bytes();
            }
            _ => {
                plain = blob.plain_bytes();
                batches.push(Batch { pack, range: begin..end, blobs: vec![blob] });
            }
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::digest::Digest;
    use crate::repo::BlobKind;

    fn blob(offset: u32, length: u32, plain_length: Option<u32>) -> PackedBlob {
        let id = BlobId(Digest::of(&offset.to_le_bytes()));
        PackedBlob { id, kind: BlobKind::Data, offset, length, plain_length }
    }

    /// Begin and end of each request.
    fn planned(blobs: &[PackedBlob]) -> Vec<(u64, u64)> {
        let pack = PackId(Digest::of(b"pack"));
        let wanted = blobs.iter().rev().map(|blob| blob.id);
        let (batches, unknown) =
            plan(wanted, |id| Some((pack, *blobs.iter().find(|blob| blob.id == *id)?)));
        assert!(unknown.is_empty());
        batches.into_iter().map(|batch| (batch.range.start, batch.range.end)).collect()
    }

    #[test]
    fn near_blobs_share_a_request_and_far_ones_do_not() {
        let far = 100 + (GAP as u32) + 1;

        assert_eq!(planned(&[blob(0, 50, None), blob(100, 50, None)]), [(0, 150)]);
        let apart = planned(&[blob(0, 100, None), blob(far, 50, None)]);
        assert_eq!(apart, [(0, 100), (u64::from(far), u64::from(far) + 50)]);
    }

    #[test]
    fn requests_are_bounded_in_stored_and_in_plain_bytes() {
        let mib = 1 << 20;
        let stored: Vec<_> = (0..20).map(|n| blob(n * mib, mib, None)).collect();
        let plain: Vec<_> = (0..20).map(|n| blob(n * 200, 200, Some(4 * mib))).collect();

        assert!(planned(&stored).iter().all(|(begin, end)| end - begin <= RANGE));
        assert_eq!(planned(&plain).len(), 5);
        assert_eq!(planned(&[blob(0, 64 * mib, None)]), [(0, 64 << 20)]);
    }

    #[test]
    fn overlapping_entries_of_a_hostile_index_do_not_confuse_the_plan() {
        assert_eq!(planned(&[blob(0, 1000, None), blob(10, 20, None)]), [(0, 1000)]);
        let end = u64::from(u32::MAX);
        assert_eq!(planned(&[blob(u32::MAX, u32::MAX, None)]), [(end, 2 * end)]);
    }

    #[test]
    fn a_blob_wanted_twice_is_fetched_once_and_an_unknown_one_is_told() {
        let (known, unknown) = (blob(0, 10, None), BlobId(Digest::of(b"unknown")));
        let pack = PackId(Digest::of(b"pack"));

        let (batches, missing) = plan([known.id, unknown, known.id, unknown], |id| {
            (*id == known.id).then_some((pack, known))
        });

        assert_eq!(batches, [Batch { pack, range: 0..10, blobs: vec![known] }]);
        assert_eq!(missing, [unknown]);
    }
}
