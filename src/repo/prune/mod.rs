//! What no snapshot needs any more is removed from the store.
//!
//! In: an open repository, and a [`Keeper`] who says which snapshots must be there and writes down
//! what goes. Out: less stored. The rules: nothing is planned on a view that may be wrong (a listing
//! that fails, is empty or lacks something known; a snapshot, tree or index file that cannot be
//! read); what nobody needs at all goes first, since it makes the room for the rest; what must stay
//! of a pack is read, and stands elsewhere, before the pack goes; everything is listed again, under
//! a lock that nobody shares, before anything is deleted. It can end anywhere: what is left is a
//! whole repository, and the next prune takes it up. Async.

mod batch;
mod keeper;
mod plan;
mod reach;
mod save;
mod slice;
mod step;
#[cfg(test)]
mod tests;
mod view;

use std::collections::HashSet;
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use self::batch::Leaving;
pub use self::keeper::{Deletion, Keeper, Known, Refused};
pub use self::plan::{Going, Plan, Repack};
use self::reach::Reach;
use self::view::View;
use super::index::FILE_BLOBS;
use super::lock::{Lock, LockError};
use super::reader::{ReadError, Reader};
use super::{BlobId, Error as RepositoryError, IndexId, Repository, WriteError};
use crate::ground::clock::Clock;
use crate::ground::progress::Progress;
use crate::store::{self, ObjectName};

/// Why a prune stopped. Whatever it is, what is stored is whole.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("no snapshot is listed: everything would be removed")]
    NoSnapshots,
    #[error("the store's listing lacks {object}, which must be there")]
    Unlisted { object: String },
    #[error("another prune removed index {index} meanwhile")]
    Rival { index: IndexId },
    #[error("cannot list the repository's objects")]
    List(#[source] store::Error),
    #[error("cannot read a snapshot, so nobody knows what it needs")]
    Snapshot(#[source] RepositoryError),
    #[error("cannot read the repository's index")]
    Index(#[source] RepositoryError),
    #[error("cannot read a tree, so nobody knows what its snapshots need")]
    Tree(#[source] ReadError),
    #[error("blob {blob} is needed by a snapshot, and no pack that is there holds it")]
    Lost { blob: BlobId },
    #[error("cannot read what must stay of a pack; nothing of it is removed")]
    Save(#[source] ReadError),
    #[error("cannot store what is packed anew")]
    Store(#[source] WriteError),
    #[error("cannot store the new index, before which nothing goes")]
    StoreIndex(#[source] RepositoryError),
    #[error("cannot lock the repository")]
    Lock(#[from] LockError),
    #[error("cannot delete {object}")]
    Delete { object: ObjectName, source: store::Error },
    #[error(transparent)]
    Keeper(Refused),
}

/// How much is done at once; more of it takes more turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// After so long no more packs are deleted in a slice.
    pub longest: Duration,
    /// Packs of one slice.
    pub packs: usize,
    /// Blobs in index files that one slice writes anew.
    pub index_blobs: usize,
    /// Blobs of one new index file.
    pub file_blobs: usize,
    /// What is packed anew before packs are removed, in sealed bytes: what a prune takes besides.
    pub batch_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            longest: Duration::from_secs(30),
            packs: 500,
            index_blobs: 8 * FILE_BLOBS,
            file_blobs: FILE_BLOBS,
            batch_bytes: 512 << 20,
        }
    }
}

/// How far a prune has come.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Course {
    /// None before everything was read.
    pub plan: Option<Plan>,
    pub done: Done,
}

/// What a prune did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Done {
    pub removed_packs: u64,
    pub removed_bytes: u64,
    /// Packs of which what must stay was packed anew.
    pub repacked_packs: u64,
    /// Bytes of the new packs.
    pub stored_bytes: u64,
    /// Packs that were to go and stay, for a new backup uses something of them.
    pub spared_packs: u64,
}

impl Done {
    /// Stored bytes that are there no more.
    pub fn freed_bytes(&self) -> u64 {
        self.removed_bytes.saturating_sub(self.stored_bytes)
    }
}

/// One prune of one repository.
pub struct Prune<'a> {
    pub repository: &'a Arc<Repository>,
    pub clock: &'a Arc<dyn Clock>,
    pub keeper: &'a dyn Keeper,
    pub progress: &'a dyn Progress,
    pub limits: Limits,
}

impl Prune<'_> {
    /// What a prune would do now. Reads every tree; removes and locks nothing.
    pub async fn plan(&self) -> Result<Plan, Error> {
        tracing::info!(phase = "survey");
        Ok(self.survey().await?.2)
    }

    /// Plans and carries it out. `course` says how far it came, also where it fails or is dropped.
    pub async fn run(&self, course: &mut Course) -> Result<(), Error> {
        let lock = self.shared().await?;
        tracing::info!(phase = "survey");
        let (mut view, mut reach, plan) = released(self.survey().await, lock).await?;
        let steps = step::steps(&plan, self.limits.batch_bytes);
        course.plan = Some(plan);
        let done = &mut course.done;
        let mut held = None;
        for mut step in steps {
            let mut safe = HashSet::new();
            if step.saves() {
                let lock = self.shared().await?;
                let saved = self.save(view, &mut reach, &mut step, done).await;
                (view, safe) = released(saved, lock).await?;
            }
            let mut leaving = Leaving { packs: step.going, safe };
            let bytes = leaving.packs.iter().filter_map(|one| one.bytes).sum();
            self.progress.phase("remove packs", Some(bytes));
            while !leaving.packs.is_empty() {
                // The first slice stores no more than one index file: there may be little room.
                let index_blobs = match held {
                    None => self.limits.file_blobs,
                    Some(held) => {
                        self.keeper.pause(held).await;
                        self.limits.index_blobs
                    }
                };
                let begun = Instant::now();
                view = self.slice(view, &mut reach, &mut leaving, index_blobs, done).await?;
                held = Some(begun.elapsed());
            }
        }
        tracing::info!(phase = "done");
        Ok(())
    }

    async fn shared(&self) -> Result<Lock, Error> {
        let claim = self.keeper.claim().await.map_err(Error::Keeper)?;
        Ok(Lock::shared(self.repository, self.clock, &claim).await?)
    }

    async fn survey(&self) -> Result<(View, Reach, Plan), Error> {
        self.progress.phase("read index and snapshots", None);
        let known = self.keeper.known().await.map_err(Error::Keeper)?;
        let view = View::first(self.repository, &known).await?;
        let index = Arc::new(RwLock::new(view.index()));
        let reader = Reader::new(self.repository.clone(), index.clone());
        let mut reach = Reach::default();
        self.progress.phase("read trees", None);
        reach.extend(&reader, view.snapshots.values().copied(), self.progress).await?;
        let plan = plan::plan(&view.index(), &view.packs, &reach)?;
        Ok((view, reach, plan))
    }
}

/// Gives the lock back. Where something went wrong that is told, and not what became of the lock:
/// one that stays is stale in half an hour.
async fn released<T>(outcome: Result<T, Error>, lock: Lock) -> Result<T, Error> {
    let released = lock.release().await;
    let outcome = outcome?;
    released?;
    Ok(outcome)
}
