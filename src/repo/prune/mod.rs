//! What no snapshot needs any more is removed from the store.
//!
//! In: an open repository, and a [`Keeper`] who says which snapshots must be there and writes down
//! what goes. Out: less stored. The rules: nothing is planned on a view that may be wrong (a listing
//! that fails, is empty or lacks something known; a snapshot, tree or index file that cannot be
//! read); what stays of a pack is checked before it is packed anew; everything is listed again,
//! under a lock that nobody shares, before anything is deleted. It can end anywhere: what is left is
//! a whole repository, and the next prune takes it up. Async.

mod plan;
mod reach;
mod repack;
mod slice;
#[cfg(test)]
mod tests;
mod view;

use std::collections::HashSet;
use std::sync::{Arc, RwLock};

use async_trait::async_trait;

pub use self::plan::{Going, Plan, Repack};
use self::reach::Reach;
use self::view::View;
use super::lock::{Claim, Lock, LockError};
use super::reader::{ReadError, Reader};
use super::{
    BlobId, Error as RepositoryError, IndexId, PackId, Repository, SnapshotId, WriteError,
};
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
    #[error("cannot list the repository's objects")]
    List(#[source] store::Error),
    #[error("cannot read the repository's index and snapshots")]
    Read(#[source] RepositoryError),
    #[error("cannot read a tree, so nobody knows what its snapshots need")]
    Tree(#[source] ReadError),
    #[error("blob {blob} is needed by a snapshot, and no pack that is there holds it")]
    Lost { blob: BlobId },
    #[error("cannot pack anew what stays of a pack; nothing of it is removed")]
    Repack(#[source] ReadError),
    #[error("cannot store what is packed anew")]
    Store(#[source] WriteError),
    #[error("a new snapshot needs blob {blob} of pack {pack}, which was to be removed")]
    Overtaken { pack: PackId, blob: BlobId },
    #[error("cannot lock the repository")]
    Lock(#[from] LockError),
    #[error("cannot delete {object}")]
    Delete { object: ObjectName, source: store::Error },
    #[error(transparent)]
    Keeper(Refused),
}

/// Why a [`Keeper`] does not let a prune go on.
pub type Refused = Box<dyn std::error::Error + Send + Sync>;

/// What a ledger knows of snapshots.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// They must be there, whatever a listing says.
    pub published: Vec<SnapshotId>,
    /// They were to be removed: one of them that is not there is not missed.
    pub given_up: HashSet<SnapshotId>,
}

/// What is about to be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deletion {
    pub index_files: Vec<IndexId>,
    pub packs: Vec<PackId>,
    /// Of the packs, as stored.
    pub bytes: u64,
}

/// Who runs a prune: knows the ledger and this host.
#[async_trait]
pub trait Keeper: Send + Sync {
    /// How to ask for a lock now.
    async fn claim(&self) -> Result<Claim, Refused>;
    /// What the ledger knows of snapshots now.
    async fn known(&self) -> Result<Known, Refused>;
    /// Writes down what is about to be deleted; unless it succeeds nothing is.
    async fn deleting(&self, what: &Deletion) -> Result<(), Refused>;
    /// Lets others have the repository between two slices.
    async fn pause(&self);
}

/// One prune of one repository.
pub struct Prune<'a> {
    pub repository: &'a Arc<Repository>,
    pub clock: &'a Arc<dyn Clock>,
    pub keeper: &'a dyn Keeper,
    pub progress: &'a dyn Progress,
}

impl Prune<'_> {
    /// What a prune would do now. Reads every tree; removes and locks nothing.
    pub async fn plan(&self) -> Result<Plan, Error> {
        tracing::info!(phase = "survey");
        Ok(self.survey().await?.2)
    }

    /// Plans and carries it out; answers the plan.
    pub async fn run(&self) -> Result<Plan, Error> {
        let mut lock = self.shared().await?;
        tracing::info!(phase = "survey");
        let (mut view, mut reach, plan) = released_on_error(self.survey().await, &mut lock).await?;
        let removed = plan.repack.iter().filter(|one| !one.is_doomed).map(|one| one.pack);
        let mut going: Vec<_> = plan.unused.iter().chain(&plan.unindexed).cloned().collect();
        let all: HashSet<_> = going.iter().map(|one| one.pack).chain(removed).collect();

        let mut batches = repack::batches(plan.repack.clone()).into_iter();
        loop {
            let batch = batches.next().unwrap_or_default();
            if !batch.is_empty() {
                tracing::info!(phase = "repack");
                let repacked = self.repack(&view, &batch, &all).await;
                released_on_error(repacked, &mut lock).await?;
            }
            if let Some(lock) = lock.take() {
                lock.release().await?;
            }
            let old = batch.into_iter().filter(|one| !one.is_doomed);
            going.extend(old.map(|one| Going { pack: one.pack, bytes: Some(one.bytes) }));
            let bytes = going.iter().filter_map(|one| one.bytes).sum();
            self.progress.phase("remove packs", Some(bytes));
            while !going.is_empty() {
                view = self.slice(view, &mut reach, &mut going).await?;
                if !going.is_empty() || batches.len() > 0 {
                    self.keeper.pause().await;
                }
            }
            if batches.len() == 0 {
                tracing::info!(phase = "done");
                return Ok(plan);
            }
            lock = self.shared().await?;
            let looked = self.look_again(view, &mut reach).await;
            view = released_on_error(looked, &mut lock).await?;
        }
    }

    async fn shared(&self) -> Result<Option<Lock>, Error> {
        let claim = self.keeper.claim().await.map_err(Error::Keeper)?;
        Ok(Some(Lock::shared(self.repository, self.clock, &claim).await?))
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

/// Gives the lock back before an error is told.
async fn released_on_error<T>(
    outcome: Result<T, Error>,
    lock: &mut Option<Lock>,
) -> Result<T, Error> {
    if outcome.is_err()
        && let Some(lock) = lock.take()
    {
        // The reason to stop is the one to tell; a lock that stays is stale in half an hour.
        let _ = lock.release().await;
    }
    outcome
}
