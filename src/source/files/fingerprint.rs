//! The fingerprint of files: what lies below a path, by names and metadata.
//!
//! In: entries as a walk finds them, on the source or in scratch. Out: one [`Part`] a path. The
//! content is not in it: a drill proves that blob by blob. Neither is what an unprivileged restore
//! cannot set: owners, devices, set-id and sticky bits, extended attributes.

use std::sync::{Mutex, MutexGuard};

use crate::ground::digest::{Digest, Hasher};

use super::super::sum::Sum;
use super::super::{EntryKind, Meta, Part};

/// Sums up the entries below one path; shared by the walk and the threads that read content.
#[derive(Debug, Default)]
pub(super) struct Tally(Mutex<Sums>);

#[derive(Debug, Default)]
struct Sums {
    /// Over all entries but devices.
    prints: Sum,
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
            sums.prints.add(digest);
        }
    }

    /// An entry that was added turned out not to be captured.
    pub(super) fn remove(&self, print: &Print) {
        let mut sums = self.lock();
        sums.entries = sums.entries.saturating_sub(1);
        sums.bytes = sums.bytes.saturating_sub(print.bytes);
        if let Some(digest) = &print.digest {
            sums.prints.remove(digest);
        }
    }

    /// The part of the fingerprint.
    pub(super) fn part(&self) -> Part {
        self.lock().prints.part()
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
