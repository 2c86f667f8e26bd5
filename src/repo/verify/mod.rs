//! Is what is stored intact, and is everything there that the snapshots refer to?
//!
//! In: a repository. Out: a list of damages that name their objects and the files behind them.
//! Changes nothing. Async; reads every index file, snapshot and tree, and on demand every pack.
//! What could not be looked at is an `Err`, never a clean result.

mod packs;
mod trees;

use std::collections::HashSet;
use std::sync::{Arc, RwLock};

use serde::Serialize;

use self::packs::Losses;
use super::reader::{ReadError, Reader};
use super::{Error, Index, PackId, Repository, SharedIndex, SnapshotId};
use crate::ground::progress::Progress;
use crate::store;

/// How much is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Index files, snapshots and trees; packs only by their listed sizes.
    Structure,
    /// Every byte of every indexed pack besides.
    ReadData,
}

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Damage {
    /// What is damaged: `pack …`, `index …`, `snapshot …`, `tree …`, `blob …`, each with its full
    /// id, trees and blobs with where they are used.
    pub object: String,
    /// What is wrong with it.
    pub what: String,
}

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Verified {
    /// Empty where all is well.
    pub errors: Vec<Damage>,
    /// What deserves a look and harms nobody: packs that no index file names.
    pub hints: Vec<String>,
    /// Snapshots that were read; no damage in a repository with none says little.
    pub snapshots: u64,
    /// Packs that the index names.
    pub packs: u64,
    /// Blobs that the index names.
    pub blobs: u64,
    /// Distinct trees that were read.
    pub trees: u64,
    /// Bytes of trees and, where packs were read, of packs.
    pub bytes_read: u64,
}

impl Verified {
    /// Whether nothing is damaged.
    pub fn is_intact(&self) -> bool {
        self.errors.is_empty()
    }

    fn damaged(&mut self, object: String, what: impl Into<String>) {
        self.errors.push(Damage { object, what: what.into() });
    }
}

/// Why a repository could not be verified: nothing is known of what was not looked at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    #[error("cannot list the repository's packs")]
    ListPacks(#[source] store::Error),
    #[error("cannot read pack {pack}")]
    ReadPack { pack: PackId, source: store::Error },
    #[error("cannot read the repository's index and snapshots")]
    Repository(#[from] Error),
    #[error("cannot read the repository's trees")]
    Read(#[from] ReadError),
    #[error("a thread that checks packs ended early")]
    Thread(#[source] tokio::task::JoinError),
}

/// Verifies a repository; `known` are snapshots that must be there, whatever a listing says.
pub async fn verify(
    repository: &Arc<Repository>,
    known: &[SnapshotId],
    depth: Depth,
    progress: &dyn Progress,
) -> Result<Verified, VerifyError> {
    let mut found = Verified::default();
    // First, for a backup publishes last: what its snapshot refers to is in what is read next.
    let snapshots = read_snapshots(repository, known, &mut found, progress).await?;
    let index = load_index(repository, &mut found, progress).await?;
    progress.phase("list packs", None);
    let listed = repository.pack_sizes(&index).await.map_err(VerifyError::ListPacks)?;

    let mut losses = Losses::default();
    packs::compare_with_listing(&index, &listed, &mut losses, &mut found);
    if depth == Depth::ReadData {
        packs::read_all(repository, &index, &listed, &mut losses, &mut found, progress).await?;
    }

    let index: SharedIndex = Arc::new(RwLock::new(index));
    let reader = Reader::new(repository.clone(), index.clone());
    trees::follow(&reader, &index, snapshots, &losses, &mut found, progress).await?;
    found.errors.sort();
    found.errors.dedup();
    Ok(found)
}

async fn load_index(
    repository: &Repository,
    found: &mut Verified,
    progress: &dyn Progress,
) -> Result<Index, VerifyError> {
    progress.phase("read index", None);
    let mut files = Vec::new();
    for (id, outcome) in repository.index_files().await? {
        progress.advance(1, 0);
        match outcome {
            Ok(file) => files.push((id, file)),
            Err(error) if error.is_environment() => return Err(error.into()),
            Err(error) => found.damaged(format!("index {id}"), told(&error)),
        }
    }
    let index = Index::of_files(files);
    found.packs = index.pack_count() as u64;
    found.blobs = index.blob_count() as u64;
    Ok(index)
}

async fn read_snapshots(
    repository: &Repository,
    known: &[SnapshotId],
    found: &mut Verified,
    progress: &dyn Progress,
) -> Result<Vec<(SnapshotId, super::BlobId)>, VerifyError> {
    progress.phase("read snapshots", None);
    let files = repository.snapshot_files_with(known).await?;
    let there: HashSet<SnapshotId> = files.iter().map(|(id, _)| *id).collect();
    for lost in known.iter().filter(|id| !there.contains(id)) {
        found.damaged(format!("snapshot {lost}"), "it was published, and is not here any more");
    }
    let mut roots = Vec::new();
    for (id, outcome) in files {
        progress.advance(1, 0);
        match outcome {
            Ok(snapshot) => roots.push((id, snapshot.tree)),
            Err(error) if error.is_environment() => return Err(error.into()),
            Err(error) => found.damaged(format!("snapshot {id}"), told(&error)),
        }
    }
    found.snapshots = roots.len() as u64;
    Ok(roots)
}

/// An error with its causes, in one line.
fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}
