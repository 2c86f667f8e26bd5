//! Parts of packs that trees were read from lately. A folder's tree lies near those of its folders, so
//! that a walk makes a request for many trees instead of one for each.
//!
//! In: ranges of packs. Out: the sealed bytes of blobs within them. Memory: [`KEPT`] windows.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Mutex;

use bytes::Bytes;

use super::PackId;
use super::pack::PackedBlob;
use super::writer::locked;

/// Bytes read around a tree.
const WINDOW: u64 = 4 << 20;

/// How many windows are kept: folders further up lie behind all that is in them.
const KEPT: usize = 2;

/// See the module; shared by tasks.
#[derive(Debug, Default)]
pub(super) struct Near(Mutex<VecDeque<(PackId, Range<u64>, Bytes)>>);

/// The part of a pack that is read for a blob, in a pack whose last blob ends at `end`.
pub(super) fn window_around(blob: &PackedBlob, end: u64) -> Range<u64> {
    let begin = u64::from(blob.offset) / WINDOW * WINDOW;
    begin..(begin + WINDOW).min(end).max(blob.end())
}

impl Near {
    /// The blob's sealed bytes, if a window holds them.
    pub(super) fn find(&self, pack: &PackId, blob: &PackedBlob) -> Option<Bytes> {
        let windows = locked(&self.0);
        let (begin, end) = (u64::from(blob.offset), blob.end());
        let (_, range, bytes) = windows
            .iter()
            .find(|(other, range, _)| other == pack && range.start <= begin && end <= range.end)?;
        let at = |offset: u64| (offset - range.start) as usize;
        Some(bytes.slice(at(begin)..at(end)))
    }

    pub(super) fn keep(&self, pack: PackId, range: Range<u64>, bytes: Bytes) {
        let mut windows = locked(&self.0);
        if windows.len() >= KEPT {
            windows.pop_front();
        }
        windows.push_back((pack, range, bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::digest::Digest;
    use crate::repo::{BlobId, BlobKind};

    fn blob(offset: u32, length: u32) -> PackedBlob {
        let id = BlobId(Digest::of(&offset.to_le_bytes()));
        PackedBlob { id, kind: BlobKind::Tree, offset, length, plain_length: None }
    }

    #[test]
    fn a_window_holds_the_blob_and_ends_with_the_packs_last_one() {
        let mib = 1 << 20;

        assert_eq!(window_around(&blob(10, 5), 100), 0..100);
        let across = window_around(&blob(4 * mib - 1, 2), 64 << 20);
        assert_eq!(across, 0..(4 << 20) + 1);
        assert_eq!(window_around(&blob(5 * mib, 1), 64 << 20), 4 << 20..8 << 20);
    }

    #[test]
    fn blobs_are_found_only_in_their_own_pack_and_within_what_was_read() {
        let pack = |text: &str| PackId(Digest::of(text.as_bytes()));
        let near = Near::default();
        near.keep(pack("one"), 10..20, Bytes::from_static(b"0123456789"));

        assert_eq!(near.find(&pack("one"), &blob(12, 3)).unwrap(), &b"234"[..]);
        for (text, other) in [("two", blob(12, 3)), ("one", blob(9, 3)), ("one", blob(18, 3))] {
            assert_eq!(near.find(&pack(text), &other), None);
        }
    }
}
