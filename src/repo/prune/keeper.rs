//! What a prune must be told, and whom it tells: the seam to the ledger and to this host.

use std::collections::HashSet;
use std::time::Duration;

use async_trait::async_trait;

use crate::repo::lock::Claim;
use crate::repo::{IndexId, PackId, SnapshotId};

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
    /// Lets others have the repository after a slice that had it for so long.
    async fn pause(&self, held: Duration);
}
