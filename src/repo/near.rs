//! Parts of packs that trees were read from lately. A folder's tree lies near those of its folders, so
//! that a walk makes a request for many trees instead of one for each.
//!
//! In: ranges of packs. Out: the stored bytes within them. Memory: [`KEPT`] bytes.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Mutex;

use bytes::Bytes;

use super::PackId;
use super::writer::locked;

/// Bytes read around a tree.
const WINDOW: u64 = 4 << 20;

/// How many bytes are kept: folders further up lie behind all that is in them.
const KEPT: usize = 2 * WINDOW as usize;

/// How many windows are looked through: most packs of trees are far smaller than one.
const WINDOWS: usize = 64;

/// See the module; shared by tasks.
#[derive(Debug, Default)]
pub(super) struct Near(Mutex<VecDeque<(PackId, Range<u64>, Bytes)>>);

/// The part of a pack that is read for `range`, in a pack whose last blob ends at `end`.
pub(super) fn window_around(range: &Range<u64>, end: u64) -> Range<u64> {
    let begin = range.start / WINDOW * WINDOW;
    begin..(begin + WINDOW).min(end).max(range.end)
}

impl Near {
    /// The stored bytes of a part of a pack, if a window holds them.
    pub(super) fn find(&self, pack: &PackId, part: &Range<u64>) -> Option<Bytes> {
        let windows = locked(&self.0);
        let holds = |range: &Range<u64>| range.start <= part.start && part.end <= range.end;
        let (_, range, bytes) =
            windows.iter().find(|(other, range, _)| other == pack && holds(range))?;
        let at = |offset: u64| (offset - range.start) as usize;
        Some(bytes.slice(at(part.start)..at(part.end)))
    }

    /// Keeps a whole pack of trees, unless it is larger than all that is kept.
    pub(super) fn keep_pack(&self, pack: PackId, bytes: Bytes) {
        if bytes.len() <= KEPT {
            self.keep(pack, 0..bytes.len() as u64, bytes);
        }
    }

    pub(super) fn keep(&self, pack: PackId, range: Range<u64>, bytes: Bytes) {
        let mut windows = locked(&self.0);
        windows.push_back((pack, range, bytes));
        let mut kept: usize = windows.iter().map(|(_, _, bytes)| bytes.len()).sum();
        while windows.len() > WINDOWS || (kept > KEPT && windows.len() > 1) {
            kept -= windows.pop_front().map_or(0, |(_, _, bytes)| bytes.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::digest::Digest;

    fn pack(text: &str) -> PackId {
        PackId(Digest::of(text.as_bytes()))
    }

    #[test]
    fn a_window_holds_the_blob_and_ends_with_the_packs_last_one() {
        let mib = 1 << 20;

        assert_eq!(window_around(&(10..15), 100), 0..100);
        assert_eq!(window_around(&(4 * mib - 1..4 * mib + 1), 64 * mib), 0..4 * mib + 1);
        assert_eq!(window_around(&(5 * mib..5 * mib + 1), 64 * mib), 4 * mib..8 * mib);
    }

    #[test]
    fn blobs_are_found_only_in_their_own_pack_and_within_what_was_read() {
        let near = Near::default();
        near.keep(pack("one"), 10..20, Bytes::from_static(b"0123456789"));

        assert_eq!(near.find(&pack("one"), &(12..15)).unwrap(), &b"234"[..]);
        for (text, other) in [("two", 12..15), ("one", 9..12), ("one", 18..21)] {
            assert_eq!(near.find(&pack(text), &other), None);
        }
    }

    #[test]
    fn what_is_kept_is_bounded_in_bytes_and_in_windows_and_the_newest_stays() {
        let near = Near::default();
        for name in ["old", "new"] {
            near.keep(pack(name), 0..KEPT as u64, vec![0; KEPT].into());
        }
        assert_eq!(near.find(&pack("old"), &(0..1)), None);
        assert!(near.find(&pack("new"), &(0..1)).is_some());

        for number in 0..WINDOWS {
            near.keep(pack(&number.to_string()), 0..1, Bytes::from_static(b"x"));
        }

        assert_eq!(near.find(&pack("new"), &(0..1)), None);
        assert!(near.find(&pack("0"), &(0..1)).is_some());
    }
}
