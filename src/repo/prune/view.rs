//! What a repository holds at one moment, as far as a deletion may rely on it.
//!
//! Snapshots are listed before index files and these before packs: writers make them the other way
//! round, so whatever a listed snapshot refers to is in the listings that follow.

use std::collections::{HashMap, HashSet};

use futures_util::{StreamExt, TryStreamExt, stream};

use super::{Error, Known};
use crate::ground::digest::Digest;
use crate::repo::layout::Folder;
use crate::repo::{
    BlobId, Error as RepositoryError, Index, IndexFile, IndexId, PackId, Repository, Snapshot,
    SnapshotId,
};
use crate::store;

/// How many small objects are fetched at once.
const FETCHES: usize = 16;

/// Everything that is listed; snapshots and index files read.
#[derive(Debug)]
pub(super) struct View {
    /// Each with its root tree.
    pub snapshots: HashMap<SnapshotId, BlobId>,
    pub files: HashMap<IndexId, IndexFile>,
    /// Each with its size in bytes.
    pub packs: HashMap<PackId, u64>,
}

impl View {
    /// A first look; what `known` says was published must be among the snapshots.
    pub async fn first(repository: &Repository, known: &Known) -> Result<Self, Error> {
        let nothing =
            Self { snapshots: HashMap::new(), files: HashMap::new(), packs: HashMap::new() };
        nothing.again(repository, known).await
    }

    /// Another look: what was read is not read again, and nothing of it may be missing.
    pub async fn again(self, repository: &Repository, known: &Known) -> Result<Self, Error> {
        let seen: Vec<_> = self.snapshots.keys().copied().collect();
        let by_digest = self.snapshots.into_iter().map(|(id, tree)| (id.0, tree)).collect();
        let snapshots = read(repository, Folder::Snapshots, by_digest, Snapshot::decode_tree);
        let snapshots = snapshots.await?.map_err(Error::Snapshot)?;
        let snapshots: HashMap<_, _> =
            snapshots.into_iter().map(|(id, tree)| (SnapshotId(id), tree)).collect();
        if snapshots.is_empty() {
            return Err(Error::NoSnapshots);
        }
        let expected = seen.into_iter().chain(known.published.iter().copied());
        for snapshot in expected.filter(|id| !snapshots.contains_key(id)) {
            let is_gone = repository.is_gone(&snapshot).await.map_err(Error::Snapshot)?;
            // restic forgets its own, and the ledger never knew of them.
            let is_known = known.published.contains(&snapshot);
            if !is_gone || is_known && !known.given_up.contains(&snapshot) {
                return Err(Error::Unlisted { object: format!("snapshot {snapshot}") });
            }
        }

        let seen: Vec<_> = self.files.keys().copied().collect();
        let by_digest = self.files.into_iter().map(|(id, file)| (id.0, file)).collect();
        let files = read(repository, Folder::Index, by_digest, IndexFile::decode);
        let files = files.await?.map_err(Error::Index)?;
        let files: HashMap<_, _> =
            files.into_iter().map(|(id, file)| (IndexId(id), file)).collect();
        if let Some(lost) = seen.iter().find(|id| !files.contains_key(id)) {
            return Err(not_listed(repository, *lost).await);
        }

        let packs = Folder::Data.list(&**repository.store()).await.map_err(Error::List)?;
        let packs = packs.into_iter().map(|(id, object)| (PackId(id), object.size)).collect();
        Ok(Self { snapshots, files, packs })
    }

    /// Index files that others replace: they count for nothing.
    pub fn superseded(&self) -> HashSet<IndexId> {
        let named = self.files.values().flat_map(|file| file.supersedes.iter().copied());
        named.filter(|id| self.files.contains_key(id)).collect()
    }

    /// The index files that count.
    pub fn in_force(&self) -> impl Iterator<Item = (&IndexId, &IndexFile)> {
        let superseded = self.superseded();
        self.files.iter().filter(move |(id, _)| !superseded.contains(id))
    }

    /// What the index files say together.
    pub fn index(&self) -> Index {
        let mut index = Index::new();
        for (_, file) in self.in_force() {
            index.insert_file(file);
        }
        index
    }
}

/// Why an index file that was read before is not listed.
async fn not_listed(repository: &Repository, index: IndexId) -> Error {
    match repository.load(Folder::Index, &index.0, IndexFile::decode).await {
        Err(RepositoryError::Store(store::Error::Missing { .. })) => Error::Rival { index },
        _ => Error::Unlisted { object: format!("index {index}") },
    }
}

/// Every object of a folder that holds JSON, or why one of them cannot be read; those of `known` are
/// not fetched again.
async fn read<T: Send + 'static>(
    repository: &Repository,
    folder: Folder,
    mut known: HashMap<Digest, T>,
    decode: fn(&[u8]) -> Result<T, serde_json::Error>,
) -> Result<Result<HashMap<Digest, T>, RepositoryError>, Error> {
    let listed = folder.list(&**repository.store()).await.map_err(Error::List)?;
    let ids: HashSet<_> = listed.iter().map(|(id, _)| *id).collect();
    let missing = listed.into_iter().map(|(id, _)| id).filter(|id| !known.contains_key(id));
    let missing: Vec<_> = missing.collect();
    let fetches = missing
        .into_iter()
        .map(|id| async move { repository.load(folder, &id, decode).await.map(|read| (id, read)) });
    let fetched: Result<Vec<_>, RepositoryError> =
        stream::iter(fetches).buffered(FETCHES).try_collect().await;
    known.retain(|id, _| ids.contains(id));
    Ok(fetched.map(|fetched| {
        known.extend(fetched);
        known
    }))
}
