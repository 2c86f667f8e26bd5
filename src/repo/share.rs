//! The pieces of one content, stored by several threads: one reads and cuts, and lends pieces to
//! those who have nothing to do.
//!
//! In: pieces in their order. Out: their ids in the same order. Where nobody is free, who cuts
//! stores its pieces itself, so that many small contents pay nothing for this.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

use super::BlobId;
use super::writer::{WriteError, locked};

/// Threads that may take a piece off the one that cuts.
pub trait Hands: Sync {
    /// Whether a thread has nothing to do, or soon will have.
    fn are_free(&self) -> bool;

    /// Leaves `piece` to the first thread that is free.
    fn lend(&self, piece: Piece);

    /// A piece that was lent and that nobody has begun yet.
    fn take_back(&self) -> Option<Piece>;
}

/// Nobody else: who cuts does everything.
#[derive(Debug, Clone, Copy)]
pub struct Alone;

impl Hands for Alone {
    fn are_free(&self) -> bool {
        false
    }

    // Never called; a piece that is dropped fails its content.
    fn lend(&self, _: Piece) {}

    fn take_back(&self) -> Option<Piece> {
        None
    }
}

/// One piece on its way to [`super::Writer::store_piece`]. Dropped without that, it fails its content.
#[derive(Debug)]
pub struct Piece {
    pub(super) plain: Vec<u8>,
    at: usize,
    bytes: u64,
    content: Arc<Shared>,
    stored: Option<Result<(BlobId, bool), WriteError>>,
}

impl Piece {
    /// Tells the content what became of it; returns the room.
    pub(super) fn settle(mut self, stored: Result<(BlobId, bool), WriteError>) -> Vec<u8> {
        self.stored = Some(stored);
        std::mem::take(&mut self.plain)
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        let stored = self.stored.take().unwrap_or(Err(WriteError::PieceAbandoned));
        self.content.note(self.at, self.bytes, stored);
    }
}

/// What became of the pieces of one content so far.
#[derive(Debug, Default)]
pub(super) struct Shared {
    parts: Mutex<Parts>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Parts {
    /// By the piece's place in the content; none while it is under way.
    ids: Vec<Option<BlobId>>,
    /// Bytes of pieces that were new.
    added: u64,
    under_way: usize,
    failure: Option<WriteError>,
}

impl Shared {
    /// The next piece of the content, in `room`.
    pub(super) fn piece(self: &Arc<Self>, bytes: &[u8], mut room: Vec<u8>) -> Piece {
        room.clear();
        room.extend_from_slice(bytes);
        let mut parts = locked(&self.parts);
        let at = parts.ids.len();
        parts.ids.push(None);
        parts.under_way += 1;
        Piece { plain: room, at, bytes: bytes.len() as u64, content: self.clone(), stored: None }
    }

    /// Adds a piece that is stored already.
    pub(super) fn add(&self, id: BlobId, added: u64) {
        let mut parts = locked(&self.parts);
        parts.ids.push(Some(id));
        parts.added += added;
    }

    fn note(&self, at: usize, bytes: u64, stored: Result<(BlobId, bool), WriteError>) {
        let mut parts = locked(&self.parts);
        match stored {
            Ok((id, is_new)) => {
                parts.ids[at] = Some(id);
                parts.added += if is_new { bytes } else { 0 };
            }
            Err(error) => drop(parts.failure.get_or_insert(error)),
        }
        parts.under_way -= 1;
        self.changed.notify_all();
    }

    /// Whether a piece failed: cutting on would be in vain.
    pub(super) fn has_failed(&self) -> bool {
        locked(&self.parts).failure.is_some()
    }

    /// The ids in the order of the pieces, and the bytes that were new, once nothing is under way.
    pub(super) fn outcome(&self) -> Result<(Vec<BlobId>, u64), WriteError> {
        let mut parts = locked(&self.parts);
        match parts.failure.take() {
            Some(failure) => Err(failure),
            None => {
                let ids = std::mem::take(&mut parts.ids).into_iter().collect::<Option<Vec<_>>>();
                Ok((ids.ok_or(WriteError::PieceAbandoned)?, parts.added))
            }
        }
    }

    /// Waits until a piece is settled that is under way; false if none is.
    pub(super) fn wait(&self) -> bool {
        let parts = locked(&self.parts);
        if parts.under_way > 0 {
            drop(self.changed.wait(parts).unwrap_or_else(PoisonError::into_inner));
            return true;
        }
        false
    }
}
