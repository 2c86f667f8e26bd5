//! The fingerprint of files: what lies below a path, by names and metadata.
//!
//! In: entries as a walk finds them, on the source or in scratch. Out: one [`Part`] a path. The
//! content is not in it: a drill proves that blob by blob. Neither is what an unprivileged restore
//! cannot set: owners, devices, set-id and sticky bits, extended attributes.

use std::sync::{Mutex, MutexGuard};

use crate::ground::digest::{Digest, Hasher};

use super::super::{EntryKind, Meta, Part};

/// Sums up the entries below one path; shared by the walk and the threads that read content.
#[derive(Debug, Default)]
pub(super) struct Tally(Mutex<Sums>);

#[derive(Debug, Default)]
struct Sums {
    rows: u64,
    hash: Sum,
    entries: u64,
    bytes: u64,
}

/// What one entry adds; needed to take it out again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Print {
    digest: Option<Digest>,
    bytes: u64,
}

impl Print {
    /// The print of the entry at `path` below the policy's path, with `size` bytes of content.
    pub(super) fn of(path: &[u8], meta: &Meta, size: u64) -> Self {
        let (letter, detail): (u8, &[u8]) = match &meta.kind {
            EntryKind::File { .. } => (b'f', &size.to_be_bytes()),
            EntryKind::Dir => (b'd', &[]),
            EntryKind::Symlink { target } => (b'l', target),
            EntryKind::Fifo => (b'p', &[]),
            EntryKind::Socket => (b's', &[]),
            EntryKind::BlockDevice { .. } | EntryKind::CharDevice { .. } => {
                return Self { digest: None, bytes: 0 };
            }
        };
        // A link's mode is the kernel's choice and cannot be set: symlink(7).
        let mode = if letter == b'l' { 0 } else { meta.mode & 0o777 };
        let mut hasher = Hasher::new();
        hasher.update(&[letter]);
        for variable in [path, detail] {
            hasher.update(&(variable.len() as u64).to_be_bytes());
            hasher.update(variable);
        }
        hasher.update(&mode.to_be_bytes());
        hasher.update(&meta.mtime.as_nanosecond().to_be_bytes());
        Self { digest: Some(hasher.finish()), bytes: size }
    }
}

impl Tally {
    /// One more entry is there.
    pub(super) fn add(&self, print: &Print) {
        let mut sums = self.lock();
        sums.entries += 1;
        sums.bytes += print.bytes;
        if let Some(digest) = &print.digest {
            sums.rows += 1;
            sums.hash.add(digest);
        }
    }

    /// An entry that was added turned out not to be captured.
    pub(super) fn remove(&self, print: &Print) {
        let mut sums = self.lock();
        sums.entries = sums.entries.saturating_sub(1);
        sums.bytes = sums.bytes.saturating_sub(print.bytes);
        if let Some(digest) = &print.digest {
            sums.rows = sums.rows.saturating_sub(1);
            sums.hash.subtract(digest);
        }
    }

    /// The part of the fingerprint.
    pub(super) fn part(&self) -> Part {
        let sums = self.lock();
        Part { rows: sums.rows, hash: Digest(sums.hash.0) }
    }

    /// Number of entries, devices too, and the bytes of their content.
    pub(super) fn size(&self) -> (u64, u64) {
        let sums = self.lock();
        (sums.entries, sums.bytes)
    }

    fn lock(&self) -> MutexGuard<'_, Sums> {
        // Sums are changed by plain arithmetic that cannot panic half-way.
        self.0.lock().unwrap_or_else(|held| held.into_inner())
    }
}

/// A sum of digests modulo 2²⁵⁶: the order does not matter, and unlike with exclusive or two equal
/// entries do not cancel out.
#[derive(Debug, Clone, Copy, Default)]
struct Sum([u8; 32]);

impl Sum {
    fn add(&mut self, digest: &Digest) {
        let mut carry = 0;
        for (sum, byte) in self.0.iter_mut().zip(digest.0).rev() {
            let total = u16::from(*sum) + u16::from(byte) + carry;
            *sum = total as u8;
            carry = total >> 8;
        }
    }

    fn subtract(&mut self, digest: &Digest) {
        let mut borrow = false;
        for (sum, byte) in self.0.iter_mut().zip(digest.0).rev() {
            let (once, first) = sum.overflowing_sub(byte);
            let (twice, second) = once.overflowing_sub(u8::from(borrow));
            *sum = twice;
            borrow = first || second;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_out_again_leaves_no_trace_and_order_does_not_matter() {
        let digests: Vec<_> = (0..50u8).map(|n| Digest::of(&[n])).collect();
        let (mut forth, mut back) = (Sum::default(), Sum::default());
        for digest in &digests {
            forth.add(digest);
        }
        for digest in digests.iter().rev() {
            back.add(digest);
        }
        assert_eq!(forth.0, back.0);

        for digest in &digests {
            forth.subtract(digest);
        }

        assert_eq!(forth.0, [0; 32]);
    }

    #[test]
    fn two_equal_entries_do_not_cancel_out() {
        let mut sum = Sum::default();
        sum.add(&Digest([0xff; 32]));
        sum.add(&Digest([0xff; 32]));

        let mut expected = [0xff; 32];
        expected[31] = 0xfe;
        assert_eq!(sum.0, expected);
    }
}
