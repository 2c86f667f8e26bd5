//! The way back: blobs and trees out of packs, each checked against its name.
//!
//! In: ids. Out: plain bytes that hash to them, or an error for each blob that says why not.
//! Async; opening and expanding run on blocking threads. Many blobs are fetched pack by pack, in
//! large ranges and with a memory ceiling of some 30 MiB a core (`fetch.rs` plans it); the most at
//! once by [`Reader::pour`], on threads of its own (`pour.rs`).

use std::collections::HashSet;
use std::ops::{ControlFlow, Range};
use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinSet};

use super::fetch::{Order, Reach};
use super::near::{Near, window_around};
use super::pack::{BlobError, PackedBlob, open_blob};
use super::{BlobId, BlobKind, Location, PackId, Repository, SharedIndex, Tree, TreeError, layout};
use crate::store;

/// Why a blob or a tree could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    #[error("no index file names blob {blob}")]
    NotIndexed { blob: BlobId },
    /// The pack is missing or too short; or, by its source, the store is out of reach.
    #[error("cannot read blob {blob} from pack {pack}")]
    Pack { blob: BlobId, pack: PackId, source: store::Error },
    #[error("pack {pack} is damaged")]
    Damaged { pack: PackId, source: BlobError },
    #[error("tree {tree} cannot be understood")]
    Tree { tree: BlobId, source: TreeError },
    #[error("tree {tree} lies more than {limit} folders deep")]
    TooDeep { tree: BlobId, limit: usize },
    #[error("a thread that opens blobs ended early")]
    Thread(#[source] JoinError),
}

impl ReadError {
    /// Whether nothing was learnt of the blob, because the store or this machine failed: a drill
    /// that meets it is inconclusive, not failed.
    pub fn is_environment(&self) -> bool {
        match self {
            Self::Pack { source, .. } => is_environment(source),
            Self::Thread(_) => true,
            Self::NotIndexed { .. }
            | Self::Damaged { .. }
            | Self::Tree { .. }
            | Self::TooDeep { .. } => false,
        }
    }

    /// Whether the store has a pack that it cannot give, though it may well give others.
    pub fn is_of_one_pack(&self) -> bool {
        matches!(self, Self::Pack { source, .. } if source.is_of_one_object())
    }
}

pub(super) fn is_environment(error: &store::Error) -> bool {
    !matches!(error, store::Error::Missing { .. } | store::Error::Short { .. })
}

/// What [`Reader::fetch`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fetched {
    /// Blobs handed over whole.
    pub blobs: u64,
    /// Plain bytes of these.
    pub bytes: u64,
    /// Blobs that could not be had, each handed over as an error.
    pub failed: u64,
    /// Whether the receiver ended it early.
    pub stopped: bool,
}

/// Reads a repository through its index. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Reader {
    pub(super) repository: Arc<Repository>,
    index: SharedIndex,
    hidden: Arc<HashSet<BlobId>>,
    /// Blobs far above any usual chunk's size are opened one after the other.
    pub(super) giants: Arc<Semaphore>,
    near: Arc<Near>,
}

/// From this plain size on a blob is a giant: the most that a batch of others makes.
pub(super) const GIANT: u64 = 32 << 20;

/// Up to this size a pack of trees is read whole wherever a part of it is wanted.
const SMALL: u64 = 128 << 10;

/// Up to this plain size opening a blob takes less than handing it to another thread.
const AT_ONCE: u64 = 64 << 10;

impl Reader {
    /// A reader of what `index` names.
    pub fn new(repository: Arc<Repository>, index: SharedIndex) -> Self {
        Self::beside(Arc::default(), repository, index)
    }

    /// The same, which has trees at hand that were read a moment ago.
    pub(super) fn beside(near: Arc<Near>, repository: Arc<Repository>, index: SharedIndex) -> Self {
        let giants = Arc::new(Semaphore::new(1));
        Self { repository, index, hidden: Arc::default(), giants, near }
    }

    /// The same reader, blind for these blobs as if no index file named them: a drill's control
    /// shows with it that a missing blob is found.
    pub fn without(&self, hidden: impl IntoIterator<Item = BlobId>) -> Self {
        let hidden = self.hidden.iter().copied().chain(hidden).collect();
        Self { hidden: Arc::new(hidden), ..self.clone() }
    }

    /// The blob's plain length as the index tells it; `None` where no index file names it.
    pub fn plain_bytes(&self, kind: BlobKind, id: &BlobId) -> Option<u64> {
        self.best_place(kind, id).map(|(_, blob)| blob.plain_bytes())
    }

    /// The packs that hold the blob.
    pub fn packs_of(&self, kind: BlobKind, id: &BlobId) -> impl Iterator<Item = PackId> {
        self.places(kind, id).into_iter().map(|place| place.pack)
    }

    /// Reads one tree.
    pub async fn tree(&self, id: &BlobId) -> Result<Tree, ReadError> {
        let bytes = self.blob(BlobKind::Tree, id).await?;
        Tree::decode(&bytes).map_err(|source| ReadError::Tree { tree: *id, source })
    }

    /// Reads one blob; where one of the packs that hold it is damaged or cannot be read, the others are
    /// tried.
    pub async fn blob(&self, kind: BlobKind, id: &BlobId) -> Result<Vec<u8>, ReadError> {
        let (mut damaged, mut unread) = (None, None);
        for place in self.places(kind, id) {
            match self.blob_at(&place, place.blob(kind, *id)).await {
                Err(error) if error.is_of_one_pack() => drop(unread.get_or_insert(error)),
                Err(error) if !error.is_environment() => drop(damaged.get_or_insert(error)),
                outcome => return outcome,
            }
        }
        Err(unread.or(damaged).unwrap_or(ReadError::NotIndexed { blob: *id }))
    }

    /// Reads many blobs in any order, each pack in few large ranges.
    ///
    /// `each` is called exactly once for each distinct id, with its bytes or with why there are
    /// none; one call at a time, and it may block (on a current-thread runtime it then holds up
    /// the runtime). Ends early when `each` breaks, and with an error when the store is out of
    /// reach: then some ids were not handed over.
    pub async fn fetch(
        &self,
        kind: BlobKind,
        wanted: impl IntoIterator<Item = BlobId>,
        each: &(dyn Fn(BlobId, Result<Vec<u8>, ReadError>) -> ControlFlow<()> + Send + Sync),
    ) -> Result<Fetched, ReadError> {
        let mut done = Fetched::default();
        let wanted: Vec<BlobId> = wanted.into_iter().collect();
        let (order, unknown) = Order::of(&wanted, |id| self.best_place(kind, id));
        let unknown: HashSet<_> = unknown.iter().map(|at| wanted[*at as usize]).collect();
        for blob in unknown {
            done.failed += 1;
            if each(blob, Err(ReadError::NotIndexed { blob })).is_break() {
                return Ok(Fetched { stopped: true, ..done });
            }
        }
        let mut batches = order.batches(Reach::HELD).map(|batch| Batch {
            blobs: order.blobs(&batch, &wanted).map(|(blob, _)| blob).collect(),
            pack: batch.pack,
            range: batch.range,
        });
        // Dropped on every way out, and with it what is still under way.
        let mut running = JoinSet::new();
        for batch in batches.by_ref().take(parallel()) {
            running.spawn(self.clone().batch(kind, batch));
        }
        while let Some(ended) = running.join_next().await {
            let (outcomes, _giant) = ended.map_err(ReadError::Thread)??;
            if let Some(batch) = batches.next() {
                running.spawn(self.clone().batch(kind, batch));
            }
            if hand_over(outcomes, &mut done, each).is_break() {
                return Ok(Fetched { stopped: true, ..done });
            }
        }
        Ok(done)
    }

    /// The pack that holds a blob, if any does, and where.
    pub(super) fn best_place(&self, kind: BlobKind, id: &BlobId) -> Option<(PackId, PackedBlob)> {
        if self.hidden.contains(id) {
            return None;
        }
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        index.places(kind, id).next().map(|place| (place.pack, place.blob(kind, *id)))
    }

    /// The most plain bytes that any pack which holds the blob claims for it.
    pub(super) fn most_plain_bytes(&self, kind: BlobKind, id: &BlobId) -> u64 {
        let places = self.places(kind, id).into_iter();
        places.map(|place| place.blob(kind, *id).plain_bytes()).max().unwrap_or(0)
    }

    /// Where a blob lies, the best place first.
    fn places(&self, kind: BlobKind, id: &BlobId) -> Vec<Location> {
        if self.hidden.contains(id) {
            return Vec::new();
        }
        self.index.read().unwrap_or_else(PoisonError::into_inner).places(kind, id).collect()
    }

    async fn blob_at(&self, place: &Location, blob: PackedBlob) -> Result<Vec<u8>, ReadError> {
        let pack = place.pack;
        let range = u64::from(blob.offset)..blob.end();
        let sealed = match self.nearby(blob.kind, &pack, &range, u64::MAX).await {
            Some(sealed) => sealed,
            None => {
                let read = self.repository.store().get(&layout::pack(&pack), Some(range)).await;
                read.map_err(|source| ReadError::Pack { blob: blob.id, pack, source })?
            }
        };
        let damaged = |source| ReadError::Damaged { pack, source };
        let key = self.repository.key().clone();
        if blob.plain_bytes() <= AT_ONCE {
            return open_blob(&key, &blob, &sealed).map_err(damaged);
        }
        tokio::task::spawn_blocking(move || open_blob(&key, &blob, &sealed))
            .await
            .map_err(ReadError::Thread)?
            .map_err(damaged)
    }

    /// A part of a pack of trees, read with what lies around it, up to `most` bytes: the trees that are
    /// wanted next. None for data, where it would be more, and where that did not work out; reading
    /// the part alone tells why.
    async fn nearby(
        &self,
        kind: BlobKind,
        pack: &PackId,
        part: &Range<u64>,
        most: u64,
    ) -> Option<Bytes> {
        if kind == BlobKind::Data {
            return None;
        }
        if let Some(sealed) = self.near.find(pack, part) {
            return Some(sealed);
        }
        let end = {
            let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
            index.blobs_end(pack)?
        };
        let window = window_around(part, end);
        if window.end - window.start > most {
            return None;
        }
        let read = self.repository.store().get(&layout::pack(pack), Some(window.clone())).await;
        self.near.keep(*pack, window, read.ok()?);
        self.near.find(pack, part)
    }

    /// What a batch gives; with a giant in it the permit to hold one, kept until it is handed over.
    async fn batch(
        self,
        kind: BlobKind,
        batch: Batch,
    ) -> Result<(Outcomes, Option<OwnedSemaphorePermit>), ReadError> {
        let bytes = |blob: &PackedBlob| self.most_plain_bytes(kind, &blob.id);
        let giant = match batch.blobs.iter().map(bytes).max() {
            Some(bytes) if bytes > GIANT => {
                let permit = self.giants.clone().acquire_owned().await;
                Some(permit.expect("the semaphore is never closed"))
            }
            _ => None,
        };
        let mut outcomes = self.opened(&batch).await?;
        for (blob, outcome) in batch.blobs.iter().zip(&mut outcomes) {
            // Alone, so that a cut pack takes only those with it that lie beyond the cut, and
            // from every other pack that holds it.
            if outcome.is_none() {
                *outcome = match self.blob(kind, &blob.id).await {
                    Err(error) if error.is_environment() => return Err(error),
                    alone => Some(alone),
                };
            }
        }
        let ids = batch.blobs.iter().map(|blob| blob.id);
        Ok((ids.zip(outcomes).filter_map(|(id, outcome)| Some((id, outcome?))).collect(), giant))
    }

    /// The batch's blobs, `None` for each that this range of this pack did not give.
    async fn opened(
        &self,
        batch: &Batch,
    ) -> Result<Vec<Option<Result<Vec<u8>, ReadError>>>, ReadError> {
        let nothing = || batch.blobs.iter().map(|_| None).collect();
        let Some(first) = batch.blobs.first() else { return Ok(nothing()) };
        let name = layout::pack(&batch.pack);
        // Trees wanted level by level lie in nearly all packs: of large ones only what is wanted is read.
        let most = SMALL.max(2 * (batch.range.end - batch.range.start));
        let read = match self.nearby(first.kind, &batch.pack, &batch.range, most).await {
            Some(bytes) => Ok(bytes),
            None => self.repository.store().get(&name, Some(batch.range.clone())).await,
        };
        let bytes = match read {
            Ok(bytes) => bytes,
            Err(source) if is_environment(&source) => {
                return Err(ReadError::Pack { blob: first.id, pack: batch.pack, source });
            }
            Err(_) => return Ok(nothing()),
        };
        let (key, begin) = (self.repository.key().clone(), batch.range.start);
        let blobs = batch.blobs.clone();
        let open = move |blob: &PackedBlob| {
            let from = usize::try_from(u64::from(blob.offset) - begin).ok()?;
            let sealed = bytes.get(from..from.checked_add(blob.length as usize)?)?;
            open_blob(&key, blob, sealed).ok().map(Ok)
        };
        tokio::task::spawn_blocking(move || blobs.iter().map(open).collect())
            .await
            .map_err(ReadError::Thread)
    }
}

/// One request and the blobs in its range, by offset; never none.
struct Batch {
    pack: PackId,
    range: Range<u64>,
    blobs: Vec<PackedBlob>,
}

type Outcomes = Vec<(BlobId, Result<Vec<u8>, ReadError>)>;

fn hand_over(
    outcomes: Outcomes,
    done: &mut Fetched,
    each: &(dyn Fn(BlobId, Result<Vec<u8>, ReadError>) -> ControlFlow<()> + Send + Sync),
) -> ControlFlow<()> {
    let all = || {
        for (id, outcome) in outcomes {
            match &outcome {
                Ok(bytes) => {
                    done.blobs += 1;
                    done.bytes += bytes.len() as u64;
                }
                Err(_) => done.failed += 1,
            }
            each(id, outcome)?;
        }
        ControlFlow::Continue(())
    };
    in_place(all)
}

/// Does what may block where async code runs.
pub(super) fn in_place<T>(work: impl FnOnce() -> T) -> T {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::CurrentThread => work(),
        _ => tokio::task::block_in_place(work),
    }
}

/// Ranges under way at one time: enough to hide a store's latency and to keep every core opening.
pub(super) fn parallel() -> usize {
    (cores() + 2).min(16)
}

/// How many threads this process may run at once.
pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
