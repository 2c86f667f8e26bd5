//! What is damaged is put right as far as what is stored allows.
//!
//! In: an open repository, and a [`Keeper`] who writes down what goes. Out: an index that names what
//! packs hold, readable blobs in sound packs, and what is left of snapshots. The rules: nothing that
//! can be read is deleted or loses its name; what cannot be read is set aside, not deleted, where it
//! may have told something; what is new is durable and read back before anything old goes; whoever
//! removes holds the lock that nobody shares, and has written it down. It can end anywhere and be run
//! again. Async.

mod aside;
mod exchange;
mod headers;
mod index;
mod rewrite;
mod salvage;
mod snapshots;
mod text;

use std::sync::Arc;

pub use self::index::{Header, IndexPlan};
pub use self::snapshots::{Editor, How, Remains, SnapshotsRepaired, Unfinished};
use super::lock::{Lock, LockError};
use super::prune::{Keeper, Refused};
use super::reader::ReadError;
use super::verify::VerifyError;
use super::{BlobId, Error as RepositoryError, IndexId, PackId, Repository, WriteError};
use crate::ground::clock::Clock;
use crate::ground::progress::Progress;
use crate::store::{self, ObjectName};

/// Why a repair stopped. Whatever it is, what could be read can be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("cannot list the repository's objects")]
    List(#[source] store::Error),
    #[error("cannot read the repository")]
    Read(#[source] RepositoryError),
    #[error("cannot read pack {pack}")]
    Pack { pack: PackId, source: store::Error },
    #[error("cannot store what replaces or repairs something")]
    Store(#[source] RepositoryError),
    #[error("{object} is damaged: the index must be repaired first")]
    IndexFirst { object: String },
    #[error("cannot look at the repository")]
    Verify(#[from] VerifyError),
    #[error("pack {pack} is in no index file, and something is missed: the index must be repaired")]
    Unnamed { pack: PackId },
    #[error("pack {pack} seemed damaged, and is what its name says")]
    Whole { pack: PackId },
    #[error("cannot read blobs of the repository")]
    Blobs(#[from] ReadError),
    #[error("tree {tree} was read, and cannot be read as text")]
    NoTree { tree: BlobId },
    #[error("cannot store what is saved")]
    Write(#[source] WriteError),
    #[error("the new index file {id} is not read back as it was written")]
    NotReadBack { id: IndexId },
    #[error("the new index would no longer name pack {pack}, which can be read")]
    WouldLose { pack: PackId },
    #[error("index {id} came while the index was repaired")]
    Disturbed { id: IndexId },
    #[error("cannot set {object} aside, which is damaged")]
    SetAside { object: ObjectName, source: store::Error },
    #[error("cannot delete {object}")]
    Delete { object: ObjectName, source: store::Error },
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Keeper(Refused),
}

/// One repair of one repository.
pub struct Repair<'a> {
    pub repository: &'a Arc<Repository>,
    pub clock: &'a Arc<dyn Clock>,
    pub keeper: &'a dyn Keeper,
    pub progress: &'a dyn Progress,
}

impl Repair<'_> {
    /// What [`Self::index`] would do now. Locks and changes nothing.
    pub async fn plan_index(&self) -> Result<IndexPlan, Error> {
        Ok(index::Survey::of(self.repository, self.progress).await?.plan())
    }

    /// Names anew what packs hold, by their headers; answers what was done. Index files that say
    /// what packs say stay as they are.
    pub async fn index(&self) -> Result<IndexPlan, Error> {
        let lock = self.exclusive().await?;
        let outcome = self.index_locked(&lock).await;
        // A lock that stays is in nobody's way for long, and the reason to stop is the one to tell.
        let released = lock.release().await;
        let plan = outcome?;
        released?;
        Ok(plan)
    }

    async fn index_locked(&self, lock: &Lock) -> Result<IndexPlan, Error> {
        tracing::info!(phase = "survey");
        let survey = index::Survey::of(self.repository, self.progress).await?;
        let plan = survey.plan();
        if !plan.is_empty() {
            survey.exchange().carry_out(self, lock).await?;
        }
        tracing::info!(phase = "done");
        Ok(plan)
    }

    async fn exclusive(&self) -> Result<Lock, Error> {
        tracing::info!(phase = "lock");
        let claim = self.keeper.claim().await.map_err(Error::Keeper)?;
        Ok(Lock::exclusive(self.repository, self.clock, &claim).await?)
    }
}
