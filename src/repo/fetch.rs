//! The plan by which many blobs are fetched: by pack, in the order of their offsets, in ranges.
//!
//! In: ids and where they lie. Out: batches, each one request to the store. Pure; 20 bytes a blob.

use std::collections::HashMap;
use std::ops::Range;

use super::pack::PackedBlob;
use super::{BlobId, BlobKind, PackId};

/// How much one request asks for, unless a single blob has more.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reach {
    /// The most stored bytes.
    stored: u64,
    /// The most plain bytes that may come of it: a few bytes of a compressed zero-filled file expand
    /// to megabytes.
    plain: u64,
    /// Unwanted bytes up to here are read along: cheaper than another request.
    gap: u64,
}

impl Reach {
    /// Where all that comes of a request is held at once.
    pub(super) const HELD: Self = Self { stored: 8 << 20, plain: 16 << 20, gap: 256 << 10 };

    /// Where blobs are opened one by one, and requests are dear: a pack of any usual size at once.
    pub(super) const FAR: Self = Self { stored: 32 << 20, plain: u64::MAX, gap: 2 << 20 };
}

/// One use of a blob, and where the blob lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Use {
    /// The pack's number in the order.
    pack: u32,
    offset: u32,
    /// Among the ids that were wanted.
    position: u32,
    length: u32,
    /// Zero: not compressed.
    plain_length: u32,
}

/// Everything that is wanted, in the order in which it is fetched.
#[derive(Debug, Default)]
pub(super) struct Order {
    kind: Option<BlobKind>,
    packs: Vec<PackId>,
    uses: Vec<Use>,
}

/// One request: blobs that lie close together in one pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Batch {
    pub pack: PackId,
    pub range: Range<u64>,
    /// Their uses in the order; never none.
    uses: Range<usize>,
}

impl Order {
    /// Plans how to fetch `wanted`, whose blobs may come again; the second list are the positions of
    /// those that `place` does not know. Packs come in the order in which they are first wanted: near
    /// things are restored together.
    pub(super) fn of(
        wanted: &[BlobId],
        place: impl Fn(&BlobId) -> Option<(PackId, PackedBlob)>,
    ) -> (Self, Vec<u32>) {
        let mut order = Self { uses: Vec::with_capacity(wanted.len()), ..Self::default() };
        let mut numbers: HashMap<PackId, u32> = HashMap::new();
        let mut unknown = Vec::new();
        for (position, id) in (0..).zip(wanted) {
            let Some((pack, blob)) = place(id) else {
                unknown.push(position);
                continue;
            };
            order.kind = Some(blob.kind);
            let next = order.packs.len() as u32;
            let number = *numbers.entry(pack).or_insert(next);
            if number == next {
                order.packs.push(pack);
            }
            order.uses.push(Use {
                pack: number,
                offset: blob.offset,
                position,
                length: blob.length,
                plain_length: blob.plain_length.unwrap_or(0),
            });
        }
        order.uses.sort_unstable();
        (order, unknown)
    }

    /// The requests, one after the other.
    pub(super) fn batches(&self, reach: Reach) -> impl Iterator<Item = Batch> + Send + '_ {
        let mut next = 0;
        std::iter::from_fn(move || {
            let first = self.uses.get(next)?;
            let begin = u64::from(first.offset);
            let mut end = first.end();
            let (start, mut plain, mut last) = (next, first.plain_bytes(), first);
            next += 1;
            while let Some(one) = self.uses.get(next)
                && one.pack == first.pack
                && u64::from(one.offset) <= end + reach.gap
                && one.end().max(end) - begin <= reach.stored.max(end - begin)
            {
                // The same again costs nothing.
                let more = if one.offset == last.offset { 0 } else { one.plain_bytes() };
                if more > 0 && plain.saturating_add(more) > reach.plain {
                    break;
                }
                (plain, end, last) = (plain.saturating_add(more), one.end().max(end), one);
                next += 1;
            }
            let pack = self.packs[first.pack as usize];
            Some(Batch { pack, range: begin..end, uses: start..next })
        })
    }

    /// A batch's blobs by their offsets, each with the positions where it is wanted.
    pub(super) fn blobs<'a>(
        &'a self,
        batch: &Batch,
        wanted: &'a [BlobId],
    ) -> impl Iterator<Item = (PackedBlob, impl Iterator<Item = u32> + Clone + 'a)> + 'a {
        let kind = self.kind.unwrap_or(BlobKind::Data);
        let id = |one: &Use| wanted[one.position as usize];
        let same = move |a: &Use, b: &Use| a.offset == b.offset && id(a) == id(b);
        self.uses[batch.uses.clone()].chunk_by(same).map(move |uses| {
            let Use { offset, length, plain_length, .. } = uses[0];
            let plain_length = (plain_length != 0).then_some(plain_length);
            let blob = PackedBlob { id: id(&uses[0]), kind, offset, length, plain_length };
            (blob, uses.iter().map(|one| one.position))
        })
    }
}

impl Use {
    fn end(&self) -> u64 {
        u64::from(self.offset) + u64::from(self.length)
    }

    fn plain_bytes(&self) -> u64 {
        u64::from(if self.plain_length == 0 { self.length } else { self.plain_length })
    }
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
        planned_for(Reach::HELD, blobs)
    }

    fn planned_for(reach: Reach, blobs: &[PackedBlob]) -> Vec<(u64, u64)> {
        let pack = PackId(Digest::of(b"pack"));
        let wanted: Vec<_> = blobs.iter().rev().map(|blob| blob.id).collect();
        let (order, unknown) =
            Order::of(&wanted, |id| Some((pack, *blobs.iter().find(|blob| blob.id == *id)?)));
        assert!(unknown.is_empty());
        order.batches(reach).map(|batch| (batch.range.start, batch.range.end)).collect()
    }

    #[test]
    fn near_blobs_share_a_request_and_far_ones_do_not() {
        let far = 100 + (Reach::HELD.gap as u32) + 1;

        assert_eq!(planned(&[blob(0, 50, None), blob(100, 50, None)]), [(0, 150)]);
        let apart = planned(&[blob(0, 100, None), blob(far, 50, None)]);
        assert_eq!(apart, [(0, 100), (u64::from(far), u64::from(far) + 50)]);
    }

    #[test]
    fn requests_are_bounded_in_stored_and_in_plain_bytes() {
        let mib = 1 << 20;
        let stored: Vec<_> = (0..20).map(|n| blob(n * mib, mib, None)).collect();
        let plain: Vec<_> = (0..20).map(|n| blob(n * 200, 200, Some(4 * mib))).collect();

        assert!(planned(&stored).iter().all(|(begin, end)| end - begin <= Reach::HELD.stored));
        assert_eq!(planned(&plain).len(), 5);
        assert_eq!(planned(&[blob(0, 64 * mib, None)]), [(0, 64 << 20)]);
    }

    #[test]
    fn a_pack_is_one_request_where_requests_are_dear() {
        let mib = 1 << 20;
        let pack: Vec<_> =
            (0..24).filter(|n| n % 5 != 1).map(|n| blob(n * mib, mib, Some(9 * mib))).collect();

        assert_eq!(planned_for(Reach::FAR, &pack), [(0, 24 << 20)]);
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

        let wanted = [known.id, unknown, known.id, unknown];
        let (order, missing) = Order::of(&wanted, |id| (*id == known.id).then_some((pack, known)));

        let batches: Vec<_> = order.batches(Reach::HELD).collect();
        assert_eq!((batches.len(), batches[0].range.clone()), (1, 0..10));
        let blobs = order.blobs(&batches[0], &wanted).map(|(blob, at)| (blob, at.collect()));
        assert_eq!(blobs.collect::<Vec<(_, Vec<u32>)>>(), [(known, vec![0, 2])]);
        assert_eq!(missing, [1, 3]);
    }
}
