//! The way in: content becomes blobs, blobs become packs, packs become durable, then indexed.
//!
//! In: streams and blobs, from as many threads as there are cores. Out: objects under `data/` and
//! `index/`. Blocking calls for CPU work; uploads run on the runtime. Memory has a ceiling that
//! does not depend on the data: some 20 MiB a thread and four packs.
//!
//! Order, which every promise to the reader rests on: a pack is durable before an index file names
//! it, and an index file is durable before [`Writer::finish`] returns. One failure stops all: a
//! blob that one thread has claimed is believed stored by the others.

use std::io::{self, Read};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::runtime::Handle;
use tokio::task::{JoinError, JoinSet};

use super::chunker::{Chunker, Pieces, Shape};
use super::encoder::Encoder;
use super::index::IndexPack;
use super::pack::BLOB_LIMIT;
use super::pack::PackBuilder;
use super::publish::{Gate, Publisher, Slot};
use super::share::{Alone, Hands, Piece, Shared};
use super::{BlobId, BlobKind, Error, PackId, Repository, SharedIndex, Tree};
use crate::ground::clock::Clock;
use crate::ground::digest::Digest;
use crate::store;

/// A pack of data is closed at this size, as restic's are: four of them are in memory.
const DATA_PACK: usize = 16 << 20;

/// In a store where requests are dear. 32 MiB would take more memory than restic does.
const FAR_DATA_PACK: usize = 24 << 20;

/// Trees are read together and often; small packs keep them apart from data.
const TREE_PACK: usize = 4 << 20;

/// A pack of tiny blobs is closed at this count, far below the 16 MiB of header restic reads.
const PACK_BLOBS: usize = 20_000;

/// Packs on their way to the store at one time.
pub(super) const UPLOADS: usize = 3;

/// Content that is stored, or will be when [`Writer::finish`] returns well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// Its pieces in order.
    pub ids: Vec<BlobId>,
    /// Bytes read.
    pub size: u64,
    /// Bytes that the repository did not have, before compression.
    pub added: u64,
}

/// What one writer added to the repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Added {
    pub blobs: u64,
    pub packs: u64,
    /// Bytes of new packs as stored.
    pub stored_bytes: u64,
    /// Bytes of new blobs before compression.
    pub added_bytes: u64,
}

/// Why content was not stored. The two kinds must not be confused: a source that cannot be read
/// may be listed as skipped, a repository that cannot be written ends the run.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("cannot read the content")]
    Read(#[source] io::Error),
    #[error("cannot store the content")]
    Repository(#[from] WriteError),
}

/// Why a blob is not stored. Whatever it is, the run is over.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    #[error("cannot store pack {pack}")]
    StorePack { pack: PackId, source: store::Error },
    #[error("cannot store an index file")]
    StoreIndex(#[source] Error),
    #[error("blob {blob} has {bytes} bytes, more than the {BLOB_LIMIT} that a reader takes")]
    TooLarge { blob: BlobId, bytes: u64 },
    #[error("a compressed blob does not expand to what it was: memory or processor are faulty")]
    SpoiltInMemory,
    #[error("there is no memory for a compressor")]
    NoEncoder(#[source] io::Error),
    #[error("blob {blob} was begun and not stored")]
    BlobAbandoned { blob: BlobId },
    #[error("a piece of a content was begun and not stored")]
    PieceAbandoned,
    #[error("nothing may be stored here: what must be there first is not")]
    HeldBack,
    #[error("an upload ended early")]
    Task(#[source] JoinError),
    #[error("storing has stopped")]
    Stopped(#[source] Arc<WriteError>),
}

/// Adds blobs to a repository. Without [`Self::finish`] nothing of the last packs is kept, and
/// what was uploaded is at most unreferenced.
pub struct Writer {
    publisher: Arc<Publisher>,
    runtime: Handle,
    /// Uploads under way; dropping the writer ends them.
    uploads: Mutex<JoinSet<()>>,
    data: Mutex<PackBuilder>,
    trees: Mutex<PackBuilder>,
    /// Threads that wait for one of these two.
    packing: AtomicUsize,
    /// One a thread that is or was at work: their buffers are used again.
    chunkers: Mutex<Vec<Chunker>>,
    encoders: Mutex<Vec<Encoder>>,
    /// Of pieces that were lent.
    rooms: Mutex<Vec<Vec<u8>>>,
    /// Bytes at which a pack of data is closed.
    data_pack: usize,
}

impl Repository {
    /// A writer that knows the blobs of `index` and adds its own to it once an index file names
    /// them. Uploads run on `runtime`, which must have its I/O driver; `clock` says when the next
    /// index file is due.
    pub fn writer(
        self: &Arc<Self>,
        index: SharedIndex,
        runtime: Handle,
        clock: Arc<dyn Clock>,
    ) -> Writer {
        let data_pack = if self.store().is_far() { FAR_DATA_PACK } else { DATA_PACK };
        let publisher = Arc::new(Publisher::new(self.clone(), index, clock));
        let builder = |bytes| {
            Mutex::new(PackBuilder::within(self.key().clone(), publisher.room(room_of(bytes))))
        };
        Writer {
            data: builder(data_pack),
            trees: builder(TREE_PACK),
            publisher,
            runtime,
            packing: AtomicUsize::new(0),
            uploads: Mutex::default(),
            chunkers: Mutex::default(),
            encoders: Mutex::default(),
            rooms: Mutex::default(),
            data_pack,
        }
    }
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Writer(…)")
    }
}

impl Writer {
    /// Reads `content` to its end, cuts it and stores the pieces. Blocking; not for async code.
    ///
    /// After [`StoreError::Read`] the writer is as usable as before; after
    /// [`StoreError::Repository`] every later call fails.
    pub fn store_content(&self, content: &mut dyn Read) -> Result<Content, StoreError> {
        self.store_content_with(content, Shape::Unknown, &Alone)
    }

    /// As [`Self::store_content`], cut as its `shape` asks for; `hands` take pieces off this thread where they are free, each by
    /// [`Self::store_piece`].
    pub fn store_content_with(
        &self,
        content: &mut dyn Read,
        shape: Shape,
        hands: &dyn Hands,
    ) -> Result<Content, StoreError> {
        let mut chunker = locked(&self.chunkers).pop().unwrap_or_else(Chunker::new);
        let stored = self.cut(&mut chunker.pieces(content, shape), hands);
        locked(&self.chunkers).push(chunker);
        stored
    }

    fn cut(&self, pieces: &mut Pieces<'_>, hands: &dyn Hands) -> Result<Content, StoreError> {
        let shared = Arc::new(Shared::default());
        let mut size = 0;
        while let Some(cut) = pieces.next().map_err(StoreError::Read)? {
            size += cut.bytes.len() as u64;
            if !cut.is_last && hands.are_free() {
                let room = locked(&self.rooms).pop().unwrap_or_default();
                hands.lend(shared.piece(cut.bytes, room));
            } else {
                let (id, is_new) = self.store(BlobKind::Data, cut.bytes)?;
                shared.add(id, if is_new { cut.bytes.len() as u64 } else { 0 });
            }
            if shared.has_failed() {
                break;
            }
        }
        loop {
            if let Some(piece) = hands.take_back() {
                self.store_piece(piece);
            } else if !shared.wait() {
                break;
            }
        }
        let (ids, added) = shared.outcome()?;
        Ok(Content { ids, size, added })
    }

    /// Stores a piece that another thread cut; how that ends is for that thread to know. Blocking.
    pub fn store_piece(&self, piece: Piece) {
        let stored = self.store(BlobKind::Data, &piece.plain);
        locked(&self.rooms).push(piece.settle(stored));
    }

    /// Stores one blob unless the repository has it. Blocking; not for async code.
    pub fn store_blob(&self, kind: BlobKind, plain: &[u8]) -> Result<BlobId, WriteError> {
        self.store(kind, plain).map(|(id, _)| id)
    }

    /// Stores a directory. Blocking; not for async code.
    pub fn store_tree(&self, tree: &Tree) -> Result<BlobId, WriteError> {
        self.store_blob(BlobKind::Tree, &tree.encode())
    }

    /// Keeps packs in memory until the gate is opened: for what must not be stored yet. Once there are two
    /// whoever stores waits. Dropped unopened the gate ends the writer: nothing is stored. To be called
    /// before anything is stored.
    pub fn hold_back(&self) -> Gate {
        self.publisher.hold_back()
    }

    /// Whether the blob is in the repository, or will be when [`Self::finish`] returns well.
    pub fn contains(&self, kind: BlobKind, id: &BlobId) -> bool {
        self.publisher.knows(kind, id)
    }

    /// Uploads what is left, waits until all of it is durable, and indexes it.
    ///
    /// An `Err` here or from any call before means that no snapshot may refer to what this writer
    /// stored.
    pub async fn finish(self) -> Result<Added, WriteError> {
        let Self { publisher, runtime, uploads, data, trees, .. } = self;
        let mut packing = JoinSet::new();
        for builder in [inner(data), inner(trees)].into_iter().filter(|one| !one.is_empty()) {
            packing.spawn_blocking_on(move || builder.finish(), &runtime);
        }
        let mut uploads = inner(uploads);
        // From here on no slot is taken, and these two get theirs at once.
        publisher.join(&mut uploads).await?;
        // Before the last uploads begin, whose packs come to it, too.
        let mut packs = publisher.take_unpublished();
        while let Some(packed) = packing.join_next().await {
            let packed = packed.map_err(|source| publisher.stop(WriteError::Task(source)))?;
            packs.push(IndexPack { id: packed.id, blobs: packed.blobs.clone() });
            let (publisher, slot) = (publisher.clone(), publisher.slot());
            uploads.spawn_on(async move { publisher.upload(packed, slot).await }, &runtime);
        }
        publisher.publish_rest(packs, &mut uploads).await
    }

    /// Stores `plain`; true if it was new.
    fn store(&self, kind: BlobKind, plain: &[u8]) -> Result<(BlobId, bool), WriteError> {
        self.publisher.check()?;
        self.publish_if_due();
        let id = BlobId(Digest::of(plain));
        let Some(claim) = self.publisher.claim(kind, id) else { return Ok((id, false)) };
        match self.encode_and_pack(kind, id, plain) {
            Ok(()) => {
                claim.keep();
                Ok((id, true))
            }
            Err(error) => Err(self.publisher.stop(error)),
        }
    }

    fn encode_and_pack(&self, kind: BlobKind, id: BlobId, plain: &[u8]) -> Result<(), WriteError> {
        if plain.len() as u64 > BLOB_LIMIT {
            return Err(WriteError::TooLarge { blob: id, bytes: plain.len() as u64 });
        }
        let idle = locked(&self.encoders).pop();
        let mut encoder = match idle {
            Some(encoder) => encoder,
            None => Encoder::new().map_err(WriteError::NoEncoder)?,
        };
        let repository = self.publisher.repository();
        let encoded = encoder.encode(repository.key(), plain, repository.compresses())?;

        let (builder, target) = match kind {
            BlobKind::Data => (&self.data, self.data_pack),
            BlobKind::Tree => (&self.trees, TREE_PACK),
        };
        self.packing.fetch_add(1, Ordering::Relaxed);
        let mut open = locked(builder);
        self.packing.fetch_sub(1, Ordering::Relaxed);
        open.add(id, kind, encoded.sealed, plain.len() as u32, encoded.compressed);
        if open.len() >= target || open.blobs().len() >= PACK_BLOBS {
            // Waits with the builder locked, so that the others wait too: this is the ceiling.
            let slot = self.publisher.slot();
            let room = self.publisher.room(room_of(target));
            let next = PackBuilder::within(repository.key().clone(), room);
            let full = std::mem::replace(&mut *open, next);
            drop(open);
            self.spawn_upload(full, slot);
        } else {
            // While nobody waits: with many cores somebody does, and whoever fills a pack hashes it.
            while self.packing.load(Ordering::Relaxed) == 0 && open.hash_ahead() {}
        }
        locked(&self.encoders).push(encoder);
        Ok(())
    }

    fn spawn_upload(&self, full: PackBuilder, slot: Slot) {
        let packed = full.finish();
        let publisher = self.publisher.clone();
        self.spawn(async move { publisher.upload(packed, slot).await });
    }

    fn publish_if_due(&self) {
        if let Some(packs) = self.publisher.due() {
            let publisher = self.publisher.clone();
            self.spawn(async move { publisher.publish(packs).await });
        }
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut uploads = locked(&self.uploads);
        uploads.spawn_on(task, &self.runtime);
        // What ended is taken out here, so that the set does not grow with the data.
        while let Some(ended) = uploads.try_join_next() {
            if let Err(source) = ended {
                self.publisher.stop(WriteError::Task(source));
            }
        }
    }
}

/// A panic while one of these locks is held has dropped a claim, which stops the writer: the state
/// may be looked at, and nothing of it will be published.
pub(super) fn locked<T>(lock: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(|held| held.into_inner())
}

/// What a pack takes that is closed at `bytes`, with its last blob and its header: memory that grows is
/// copied.
fn room_of(bytes: usize) -> usize {
    bytes + bytes / 8
}

fn inner<T>(lock: Mutex<T>) -> T {
    lock.into_inner().unwrap_or_else(|held| held.into_inner())
}
