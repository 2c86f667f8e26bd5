//! Many blobs at full speed: every core fetches, opens and hands over, each pack in large ranges.
//!
//! In: ids, as often as they are wanted. Out: each blob's bytes with all the positions where it is
//! wanted, on whatever thread opened it. Blocking; memory: a range and a blob for each thread.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::{SemaphorePermit, watch};

use super::fetch::{Batch, Order, Reach};
use super::pack::{Opener, PackedBlob};
use super::reader::{Fetched, GIANT, ReadError, Reader, is_environment, parallel};
use super::writer::locked;
use super::{BlobId, BlobKind, layout};

/// Takes blobs on one thread: the positions in what was wanted, and the bytes or why there are none.
pub type Receiver<'r> = Box<dyn FnMut(&[u32], Result<&[u8], ReadError>) -> ControlFlow<()> + 'r>;

/// What becomes of blobs in a pack that the store has and cannot give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreadable {
    /// Nothing is learnt of them: the end.
    Ends,
    /// They are handed over as errors, and others are read.
    Skipped,
}

/// What the threads of one pouring share.
struct Pouring<'p, B> {
    reader: &'p Reader,
    kind: BlobKind,
    unreadable: Unreadable,
    wanted: &'p [BlobId],
    order: &'p Order,
    batches: Mutex<B>,
    runtime: &'p Handle,
    /// Set once somebody breaks off or fails: ends also what waits for the store.
    stop: watch::Sender<bool>,
    stopped: AtomicBool,
    failure: Mutex<Option<ReadError>>,
    blobs: AtomicU64,
    bytes: AtomicU64,
    failed: AtomicU64,
}

impl Reader {
    /// Reads many blobs on as many threads as there are cores and some more, each pack in few large
    /// ranges.
    ///
    /// `receiver` makes what takes the blobs of one thread. Every position of `wanted` is handed over
    /// exactly once, equal ids together, unless a receiver breaks or, with an error, the store is out
    /// of reach. Blocking; to be called within a runtime that has threads of its own.
    pub fn pour<'r>(
        &self,
        kind: BlobKind,
        wanted: &[BlobId],
        unreadable: Unreadable,
        receiver: &(dyn Fn() -> Receiver<'r> + Sync),
    ) -> Result<Fetched, ReadError> {
        let (order, unknown) = Order::of(wanted, |id| self.best_place(kind, id));
        let mut failed = 0;
        let mut take = receiver();
        for at in unknown {
            failed += 1;
            let blob = wanted[at as usize];
            if take(&[at], Err(ReadError::NotIndexed { blob })).is_break() {
                return Ok(Fetched { failed, stopped: true, ..Fetched::default() });
            }
        }
        drop(take);
        let is_far = self.repository.store().is_far();
        let reach = if is_far { Reach::FAR } else { Reach::HELD };
        let pouring = Pouring {
            reader: self,
            kind,
            unreadable,
            wanted,
            order: &order,
            batches: Mutex::new(order.batches(reach)),
            runtime: &Handle::current(),
            stop: watch::Sender::new(false),
            stopped: AtomicBool::new(false),
            failure: Mutex::new(None),
            blobs: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            failed: AtomicU64::new(failed),
        };
        std::thread::scope(|scope| {
            for _ in 0..parallel() {
                scope.spawn(|| pouring.work(&mut receiver()));
            }
        });
        match pouring.failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error),
            None => Ok(Fetched {
                blobs: pouring.blobs.into_inner(),
                bytes: pouring.bytes.into_inner(),
                failed: pouring.failed.into_inner(),
                stopped: pouring.stopped.into_inner(),
            }),
        }
    }
}

impl<B: Iterator<Item = Batch>> Pouring<'_, B> {
    fn work(&self, take: &mut Receiver<'_>) {
        let mut opener = Opener::default();
        while !*self.stop.borrow()
            && let Some(batch) = { locked(&self.batches).next() }
        {
            match self.batch(&batch, &mut opener, take) {
                Ok(ControlFlow::Continue(())) => continue,
                Ok(ControlFlow::Break(())) => self.stopped.store(true, Ordering::Relaxed),
                Err(error) => drop(locked(&self.failure).get_or_insert(error)),
            }
            self.stop.send_replace(true);
        }
    }

    /// Hands over what lies in one range.
    fn batch(
        &self,
        batch: &Batch,
        opener: &mut Opener,
        take: &mut Receiver<'_>,
    ) -> Result<ControlFlow<()>, ReadError> {
        let bytes = self.range_of(batch)?;
        let key = self.reader.repository.key();
        for (blob, uses) in self.order.blobs(batch, self.wanted) {
            let uses: Vec<u32> = uses.collect();
            let from = (u64::from(blob.offset) - batch.range.start) as usize;
            let sealed =
                bytes.as_ref().and_then(|bytes| bytes.get(from..from + blob.length as usize));
            let giant = self.giant(self.reader.most_plain_bytes(self.kind, &blob.id));
            let opened = sealed.and_then(|sealed| opener.open(key, &blob, sealed).ok());
            let flow = match opened {
                Some(plain) => self.hand_over(&uses, Ok(plain), take),
                None => {
                    opener.give_back();
                    self.alone(&blob, &uses, take)?
                }
            };
            // Before the permit: the next thread with one takes as much.
            opener.give_back();
            drop(giant);
            if flow.is_break() {
                return Ok(flow);
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// The permit to hold a blob far above any usual size: one is held at a time.
    fn giant(&self, bytes: u64) -> Option<SemaphorePermit<'_>> {
        let permit = || self.runtime.block_on(self.reader.giants.acquire());
        (bytes > GIANT).then(|| permit().expect("the semaphore is never closed"))
    }

    /// The bytes of a range; none where the pack does not give them.
    fn range_of(&self, batch: &Batch) -> Result<Option<Bytes>, ReadError> {
        let name = layout::pack(&batch.pack);
        let mut stop = self.stop.subscribe();
        let read = self.runtime.block_on(async {
            let store = self.reader.repository.store();
            tokio::select! {
                read = store.get(&name, Some(batch.range.clone())) => Some(read),
                _ = stop.wait_for(|stop| *stop) => None,
            }
        });
        match read {
            Some(Ok(bytes)) => Ok(Some(bytes)),
            Some(Err(source)) if is_environment(&source) && !source.is_of_one_object() => {
                let blob = self.order.blobs(batch, self.wanted).next().map(|(blob, _)| blob.id);
                let blob = blob.unwrap_or(BlobId(batch.pack.0));
                Err(ReadError::Pack { blob, pack: batch.pack, source })
            }
            _ => Ok(None),
        }
    }

    /// Reads a blob by itself, so that a cut pack takes only those with it that lie beyond the cut,
    /// and from every other pack that holds it.
    fn alone(
        &self,
        blob: &PackedBlob,
        uses: &[u32],
        take: &mut Receiver<'_>,
    ) -> Result<ControlFlow<()>, ReadError> {
        if *self.stop.borrow() {
            return Ok(ControlFlow::Break(()));
        }
        match self.runtime.block_on(self.reader.blob(self.kind, &blob.id)) {
            Err(error) if error.is_environment() && !self.skips(&error) => Err(error),
            Ok(plain) => Ok(self.hand_over(uses, Ok(&plain), take)),
            Err(error) => Ok(self.hand_over(uses, Err(error), take)),
        }
    }

    fn skips(&self, error: &ReadError) -> bool {
        self.unreadable == Unreadable::Skipped && error.is_of_one_pack()
    }

    fn hand_over(
        &self,
        uses: &[u32],
        outcome: Result<&[u8], ReadError>,
        take: &mut Receiver<'_>,
    ) -> ControlFlow<()> {
        match &outcome {
            Ok(plain) => {
                self.blobs.fetch_add(1, Ordering::Relaxed);
                self.bytes.fetch_add(plain.len() as u64, Ordering::Relaxed);
            }
            Err(_) => drop(self.failed.fetch_add(1, Ordering::Relaxed)),
        }
        take(uses, outcome)
    }
}
