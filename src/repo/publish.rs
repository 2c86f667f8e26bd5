//! What the threads of a writer share: claims on blobs, upload slots, the first failure, and the
//! packs that are durable and not yet indexed.
//!
//! In: finished packs. Out: stored packs, then index files that name them, then the in-memory
//! index, in this order.

use std::collections::HashSet;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::{Bytes, BytesMut};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet, spawn_blocking};

use super::index::{FILE_BLOBS, IndexFile, IndexPack};
use super::layout::{self, Folder};
use super::pack::Packed;
use super::writer::{Added, UPLOADS, WriteError, locked};
use super::{BlobId, BlobKind, PackedBlob, Repository, SharedIndex};
use crate::ground::clock::Clock;
use crate::ground::digest::Digest;
use crate::store::Put;

/// An index file is written at least so often: a run that dies serves the next one up to here.
const INDEX_EVERY: SignedDuration = SignedDuration::from_mins(5);

/// Into how many parts the claims are divided, so that threads do not wait for each other.
const SHARDS: usize = 64;

type Claims = HashSet<(BlobKind, BlobId)>;

/// See the module.
pub(super) struct Publisher {
    repository: Arc<Repository>,
    index: SharedIndex,
    clock: Arc<dyn Clock>,
    /// Blobs that some thread stores or has stored, and that no index file names yet; by the first
    /// bits of their ids.
    claimed: [Mutex<Claims>; SHARDS],
    unpublished: Mutex<Vec<IndexPack>>,
    /// Blobs of these.
    unpublished_blobs: AtomicUsize,
    /// The second since the epoch in which the next index file is due.
    due_second: AtomicI64,
    /// Memory of packs that are stored.
    rooms: Mutex<Vec<BytesMut>>,
    slots: Arc<Slots>,
    /// Whether packs may go to the store.
    is_open: watch::Sender<bool>,
    failure: OnceLock<Arc<WriteError>>,
    added: Mutex<Added>,
}

impl Publisher {
    pub(super) fn new(
        repository: Arc<Repository>,
        index: SharedIndex,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let due_second = AtomicI64::new(next_due(clock.now()));
        Self {
            repository,
            index,
            clock,
            claimed: std::array::from_fn(|_| Mutex::default()),
            unpublished: Mutex::default(),
            unpublished_blobs: AtomicUsize::new(0),
            due_second,
            rooms: Mutex::default(),
            slots: Arc::new(Slots { free: Mutex::new(UPLOADS), freed: Condvar::new() }),
            is_open: watch::Sender::new(true),
            failure: OnceLock::new(),
            added: Mutex::default(),
        }
    }

    pub(super) fn repository(&self) -> &Repository {
        &self.repository
    }

    /// Fails if anything failed before.
    pub(super) fn check(&self) -> Result<(), WriteError> {
        match self.failure.get() {
            None => Ok(()),
            Some(source) => Err(WriteError::Stopped(source.clone())),
        }
    }

    /// Makes every later [`Self::check`] fail; the first failure is the one that is told.
    pub(super) fn stop(&self, error: WriteError) -> WriteError {
        // A second failure is as a rule the echo of the first.
        WriteError::Stopped(self.failure.get_or_init(|| Arc::new(error)).clone())
    }

    /// The right and duty to store a blob; `None` if it is stored or somebody else's.
    pub(super) fn claim(&self, kind: BlobKind, id: BlobId) -> Option<Claim<'_>> {
        // An index file's blobs enter the index before their claims end, and this lock is held
        // over both looks: no blob is between the two.
        let mut claimed = self.claims(&id);
        if claimed.contains(&(kind, id)) || self.is_indexed(kind, &id) {
            return None;
        }
        claimed.insert((kind, id));
        Some(Claim { publisher: self, id, kept: false })
    }

    pub(super) fn knows(&self, kind: BlobKind, id: &BlobId) -> bool {
        self.claims(id).contains(&(kind, *id)) || self.is_indexed(kind, id)
    }

    fn claims(&self, id: &BlobId) -> MutexGuard<'_, Claims> {
        locked(&self.claimed[usize::from(id.0.0[0]) % SHARDS])
    }

    fn is_indexed(&self, kind: BlobKind, id: &BlobId) -> bool {
        self.index.read().unwrap_or_else(PoisonError::into_inner).lookup(kind, id).is_some()
    }

    /// Waits for a free upload slot.
    pub(super) fn slot(&self) -> Slot {
        let mut free = locked(&self.slots.free);
        while *free == 0 {
            free = self.slots.freed.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
        *free -= 1;
        Slot(self.slots.clone())
    }

    /// Keeps packs from the store until the gate is opened.
    pub(super) fn hold_back(self: &Arc<Self>) -> Gate {
        self.is_open.send_replace(false);
        Gate { publisher: self.clone(), _slots: std::array::from_fn(|_| self.slot()) }
    }

    /// Makes a pack durable and remembers it for the next index file.
    pub(super) async fn upload(&self, packed: Packed, _slot: Slot) {
        // Fails only where there is no sender any more, and that is ours.
        let _ = self.is_open.subscribe().wait_for(|is_open| *is_open).await;
        // Nothing is to be gained by packs that no index file will name.
        if self.failure.get().is_some() {
            return;
        }
        let Packed { id, bytes, blobs } = packed;
        let stored_bytes = bytes.len() as u64;
        let name = layout::pack(&id);
        // The name is the digest of the bytes: whatever is replaced was the same, or damaged.
        let put = self.repository.store().put(&name, bytes.clone(), Put::Overwrite).await;
        if let Err(source) = put {
            self.stop(WriteError::StorePack { pack: id, source });
            return;
        }
        {
            let mut added = locked(&self.added);
            added.packs += 1;
            added.stored_bytes += stored_bytes;
            added.blobs += blobs.len() as u64;
            added.added_bytes += blobs.iter().map(PackedBlob::plain_bytes).sum::<u64>();
        }
        {
            let mut unpublished = locked(&self.unpublished);
            self.unpublished_blobs.fetch_add(blobs.len(), Ordering::Relaxed);
            unpublished.push(IndexPack { id, blobs });
        }
        // Somebody else may hold the bytes still; then the next pack gets memory of its own.
        if let Ok(room) = bytes.try_into_mut() {
            locked(&self.rooms).push(room);
        }
    }

    /// Memory for a pack of some `bytes`: of one that is stored, if there is any.
    pub(super) fn room(&self, bytes: usize) -> BytesMut {
        locked(&self.rooms).pop().unwrap_or_else(|| BytesMut::with_capacity(bytes))
    }

    /// The durable packs that the next index file shall name, if it is time for one.
    pub(super) fn due(&self) -> Option<Vec<IndexPack>> {
        let now = self.clock.now();
        let is_due = self.unpublished_blobs.load(Ordering::Relaxed) >= FILE_BLOBS
            || now.as_second() >= self.due_second.load(Ordering::Relaxed);
        if !is_due {
            return None;
        }
        let mut unpublished = locked(&self.unpublished);
        self.due_second.store(next_due(now), Ordering::Relaxed);
        self.unpublished_blobs.store(0, Ordering::Relaxed);
        let packs = std::mem::take(&mut *unpublished);
        (!packs.is_empty()).then_some(packs)
    }

    /// Writes an index file that names `packs`, all of them durable; a failure stops the writer.
    pub(super) async fn publish(&self, packs: Vec<IndexPack>) {
        match self.seal_index(packs).await {
            Ok(sealed) => self.store_index(sealed).await,
            Err(source) => drop(self.stop(WriteError::Task(source))),
        }
    }

    /// Makes the index file of `packs`, which is not stored yet.
    fn seal_index(&self, packs: Vec<IndexPack>) -> JoinHandle<SealedIndex> {
        let repository = self.repository.clone();
        spawn_blocking(move || {
            let file = IndexFile { packs, ..IndexFile::default() };
            let (id, sealed) = repository.seal(&file.encode());
            SealedIndex { file, id, sealed }
        })
    }

    /// Stores an index file whose packs are durable, all of them.
    async fn store_index(&self, index: SealedIndex) {
        let SealedIndex { file, id, sealed } = index;
        if let Err(error) = self.repository.put_file(Folder::Index, id, sealed).await {
            self.stop(WriteError::StoreIndex(error));
            return;
        }
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        for pack in &file.packs {
            index.insert(pack.id, &pack.blobs);
        }
        drop(index);
        for blob in file.packs.iter().flat_map(|pack| &pack.blobs) {
            self.claims(&blob.id).remove(&(blob.kind, blob.id));
        }
    }

    /// Waits for every task of `uploads`; fails if one of them did.
    pub(super) async fn join(&self, uploads: &mut JoinSet<()>) -> Result<(), WriteError> {
        while let Some(ended) = uploads.join_next().await {
            if let Err(source) = ended {
                self.stop(WriteError::Task(source));
            }
        }
        self.check()
    }

    /// The packs that are durable and that no index file names.
    pub(super) fn take_unpublished(&self) -> Vec<IndexPack> {
        std::mem::take(&mut *locked(&self.unpublished))
    }

    /// Writes the last index file, which names `packs`: durable ones, and those that `uploads` bring. It
    /// is made while these are under way, and stored once they are done.
    pub(super) async fn publish_rest(
        &self,
        packs: Vec<IndexPack>,
        uploads: &mut JoinSet<()>,
    ) -> Result<Added, WriteError> {
        let sealed = (!packs.is_empty()).then(|| self.seal_index(packs));
        self.join(uploads).await?;
        if let Some(sealed) = sealed {
            match sealed.await {
                Ok(sealed) => self.store_index(sealed).await,
                Err(source) => drop(self.stop(WriteError::Task(source))),
            }
        }
        self.check()?;
        Ok(*locked(&self.added))
    }
}

/// Holds back what a writer has ready: [`super::Writer::hold_back`].
pub struct Gate {
    publisher: Arc<Publisher>,
    /// All but one: whoever waits for a key derives it meanwhile, which takes as much memory as two packs.
    _slots: [Slot; UPLOADS - 1],
}

impl Gate {
    /// Lets it go to the store.
    pub fn open(self) {
        self.publisher.is_open.send_replace(true);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        if !*self.publisher.is_open.borrow() {
            self.publisher.stop(WriteError::HeldBack);
            self.publisher.is_open.send_replace(true);
        }
    }
}

/// An index file on its way to the store.
struct SealedIndex {
    file: IndexFile,
    id: Digest,
    sealed: Bytes,
}

fn next_due(now: Timestamp) -> i64 {
    now.saturating_add(INDEX_EVERY).unwrap_or(Timestamp::MAX).as_second()
}

/// A blob that one thread has promised to store.
pub(super) struct Claim<'a> {
    publisher: &'a Publisher,
    id: BlobId,
    kept: bool,
}

impl Claim<'_> {
    /// The blob is in a pack.
    pub(super) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        // Others may already count on the blob: a promise broken by a panic ends the run.
        if !self.kept {
            self.publisher.stop(WriteError::BlobAbandoned { blob: self.id });
        }
    }
}

struct Slots {
    free: Mutex<usize>,
    freed: Condvar,
}

/// The right to have one pack in memory and on its way.
pub(super) struct Slot(Arc<Slots>);

impl Drop for Slot {
    fn drop(&mut self) {
        *locked(&self.0.free) += 1;
        self.0.freed.notify_one();
    }
}
