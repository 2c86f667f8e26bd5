//! Is what is stored intact, and is everything there that the snapshots refer to?
//!
//! In: a repository. Out: a list of damages that name their objects and the files behind them.
//! Changes nothing. Async; reads every index file, snapshot and tree, and on demand every pack.
//! What could not be looked at is an `Err`, never a clean result.

mod affected;
mod examine;
mod packs;
mod part;
mod trees;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, RwLock};

use serde::Serialize;

pub use self::affected::{Affected, Gap, Use};
use self::packs::Losses;
use self::part::{Candidate, Forgetful};
pub use self::part::{Coverage, Memory, NotAShare, Share};
use super::prune::Refused;
use super::reader::{ReadError, Reader};
use super::{BlobId, Error, Index, PackId, Repository, SharedIndex, Snapshot, SnapshotId, layout};
use crate::ground::progress::Progress;
use crate::store;

/// Damages that are named one by one; the rest is counted.
const NAMED: usize = 1000;

/// How much is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Index files, snapshots and trees; packs only by their listed sizes, but for those that were
    /// damaged when they were last read.
    Structure,
    /// Every byte of every indexed pack besides.
    ReadData,
    /// Of so many packs besides; of all of them in successive runs that share a [`Memory`].
    Part(Share),
}

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Damage {
    /// What is damaged: `pack …`, `index …`, `snapshot …`, `tree …` or `blob …` with its full id.
    pub object: String,
    /// What is wrong with it.
    pub what: String,
    /// Files that need it, the first few; of a tree the folder that it was.
    pub files: Vec<Use>,
    /// How many need it besides; each folder counts once, in however many snapshots it is.
    pub more_files: u64,
}

impl Damage {
    /// A damage of which nothing more is known.
    pub fn of(object: impl Into<String>, what: impl Into<String>) -> Self {
        Self { object: object.into(), what: what.into(), files: Vec::new(), more_files: 0 }
    }

    /// Causes before what follows from them.
    fn rank(&self) -> usize {
        let kinds = ["snapshot ", "index ", "pack ", "tree "];
        kinds.iter().position(|kind| self.object.starts_with(kind)).unwrap_or(kinds.len())
    }
}

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verified {
    /// Empty where all is well.
    pub errors: Vec<Damage>,
    /// How many there are besides.
    pub more_errors: u64,
    /// Snapshots that must be there and are not; each is one of the damages.
    pub gone: Vec<SnapshotId>,
    /// The snapshots that cannot be restored whole, newest first.
    pub affected: Vec<Affected>,
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
    /// How much has been read of everything, where packs were read.
    pub coverage: Option<Coverage>,
}

impl Verified {
    /// Whether nothing is damaged.
    pub fn is_intact(&self) -> bool {
        self.damages() == 0
    }

    /// How many damages there are, named or not.
    pub fn damages(&self) -> u64 {
        self.errors.len() as u64 + self.more_errors
    }

    /// Takes back that those of [`Self::gone`] are damages that are not `missed`: somebody removed them
    /// on purpose while the verification went on.
    pub fn acquit(&mut self, missed: &[SnapshotId]) {
        let is_missed = |id: &SnapshotId| missed.contains(id);
        let (gone, acquitted): (Vec<_>, Vec<_>) = self.gone.drain(..).partition(is_missed);
        self.gone = gone;
        for id in acquitted {
            let object = of_snapshot(&id);
            match self.errors.iter().position(|damage| damage.object == object) {
                Some(named) => drop(self.errors.remove(named)),
                None => self.more_errors -= 1,
            }
        }
    }

    fn damaged(&mut self, object: String, what: impl Into<String>) {
        if self.errors.len() < NAMED {
            self.errors.push(Damage::of(object, what));
        } else {
            self.more_errors += 1;
        }
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
    #[error("cannot look up or write down which packs were read")]
    Memory(#[source] Refused),
}

/// Verifies a repository; `known` are snapshots that must be there, whatever a listing says.
pub async fn verify(
    repository: &Arc<Repository>,
    known: &[SnapshotId],
    depth: Depth,
    progress: &dyn Progress,
) -> Result<Verified, VerifyError> {
    verify_with(&Forgetful, repository, known, depth, progress).await
}

/// As [`verify`], and what packs it read is remembered in `memory`, while it goes on.
pub async fn verify_with(
    memory: &dyn Memory,
    repository: &Arc<Repository>,
    known: &[SnapshotId],
    depth: Depth,
    progress: &dyn Progress,
) -> Result<Verified, VerifyError> {
    Ok(survey(memory, repository, known, depth, progress).await?.found)
}

/// What a verification saw.
pub(super) struct Survey {
    pub found: Verified,
    /// Those that can be read.
    pub snapshots: HashMap<SnapshotId, Snapshot>,
    /// As far as index files can be read.
    pub index: SharedIndex,
    pub losses: Losses,
    /// Trees of these snapshots that were read.
    pub trees: HashSet<BlobId>,
}

/// As [`verify_with`], with all that it saw.
pub(super) async fn survey(
    memory: &dyn Memory,
    repository: &Arc<Repository>,
    known: &[SnapshotId],
    depth: Depth,
    progress: &dyn Progress,
) -> Result<Survey, VerifyError> {
    tracing::info!(phase = "survey");
    let mut found = Verified::default();
    // First, for a backup publishes last: what its snapshot refers to is in what is read next.
    let snapshots = read_snapshots(repository, known, &mut found, progress).await?;
    let index = load_index(repository, &mut found, progress).await?;
    progress.phase("list packs", None);
    let stored = repository.stored_packs(&index).await.map_err(VerifyError::ListPacks)?;
    let listed: HashMap<_, _> = stored.iter().map(|(pack, (bytes, _))| (*pack, *bytes)).collect();

    let mut losses = Losses::default();
    packs::compare_with_listing(&index, &listed, &mut losses, &mut found);
    let unnamed = packs::unnamed(&index, &listed);
    if !unnamed.is_empty() {
        let marks = repository.packs_aside().await.map_err(VerifyError::ListPacks)?;
        let marked = marks.iter().filter_map(layout::pack_aside).collect();
        packs::tell_unnamed(&unnamed, &marked, &mut found);
    }
    let candidate = |pack: PackId| {
        let (bytes, written) = *stored.get(&pack)?;
        Some(Candidate { pack, bytes, written })
    };
    let there: Vec<_> = index.all_packs().filter_map(|(pack, _)| candidate(pack)).collect();
    let readings = memory.readings().await.map_err(VerifyError::Memory)?;
    let chosen = match depth {
        Depth::Structure => part::choose(&there, &readings, None),
        Depth::Part(share) => part::choose(&there, &readings, Some(share)),
        Depth::ReadData => there.iter().map(|one| one.pack).collect(),
    };
    let mut near = Arc::default();
    if !chosen.is_empty() {
        tracing::info!(phase = "read");
        let reading = packs::Reading::new(repository, memory, &chosen);
        near = reading.run(&index, &listed, &mut losses, &mut found, progress).await?;
    }
    if depth != Depth::Structure {
        let begun_anew = readings.is_empty();
        let readings = memory.readings().await.map_err(VerifyError::Memory)?;
        found.coverage = Some(part::coverage(&there, &readings, &chosen, begun_anew));
        let is_gone = |pack: &&PackId| !stored.contains_key(*pack);
        let gone: Vec<_> = readings.keys().filter(is_gone).copied().collect();
        memory.forget(&gone).await.map_err(VerifyError::Memory)?;
    }

    tracing::info!(phase = "trees");
    let index: SharedIndex = Arc::new(RwLock::new(index));
    let reader = Reader::beside(near, repository.clone(), index.clone());
    let roots = snapshots.iter().map(|(_, snapshot)| snapshot.tree);
    let (lost, trees) =
        trees::follow(&reader, &index, roots, &losses, &mut found, progress).await?;
    lost.tell(&mut found);
    found.errors.sort_by(|a, b| (a.rank(), a).cmp(&(b.rank(), b)));
    found.errors.dedup();
    if !lost.is_empty() {
        affected::name(&reader, &index, &snapshots, &lost, &mut found, progress).await?;
    }
    Ok(Survey { found, snapshots: snapshots.into_iter().collect(), index, losses, trees })
}

async fn load_index(
    repository: &Repository,
    found: &mut Verified,
    progress: &dyn Progress,
) -> Result<Index, VerifyError> {
    progress.phase("read index", None);
    let (index, errors) = repository.gather_index().await?;
    for (id, error) in errors {
        found.damaged(format!("index {id}"), told(&error));
    }
    found.packs = index.pack_count() as u64;
    found.blobs = index.blob_count() as u64;
    Ok(index)
}

async fn read_snapshots(
    repository: &Repository,
    known: &[SnapshotId],
    found: &mut Verified,
    progress: &dyn Progress,
) -> Result<Vec<(SnapshotId, Snapshot)>, VerifyError> {
    progress.phase("read snapshots", None);
    let files = repository.snapshot_files_with(known).await?;
    let there: HashSet<SnapshotId> = files.iter().map(|(id, _)| *id).collect();
    found.gone = known.iter().filter(|id| !there.contains(id)).copied().collect();
    for gone in found.gone.clone() {
        found.damaged(of_snapshot(&gone), "it was published, and is not here any more");
    }
    let mut snapshots = Vec::new();
    for (id, outcome) in files {
        progress.advance(1, 0);
        match outcome {
            Ok(snapshot) => snapshots.push((id, snapshot)),
            Err(error) if error.is_out_of_reach() => return Err(error.into()),
            Err(error) => found.damaged(of_snapshot(&id), told(&error)),
        }
    }
    found.snapshots = snapshots.len() as u64;
    Ok(snapshots)
}

fn of_snapshot(id: &SnapshotId) -> String {
    format!("snapshot {id}")
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
