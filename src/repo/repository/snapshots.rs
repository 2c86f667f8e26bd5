//! The snapshots of a repository: listed, found by a prefix, published.

use std::collections::{BTreeSet, HashSet};

use futures_util::{StreamExt, TryStreamExt, stream};

use super::{Error, FETCHES, Repository};
use crate::repo::layout::Folder;
use crate::repo::{Snapshot, SnapshotId};
use crate::store;

impl Repository {
    /// All snapshots, oldest first; an unreadable one is an error that names it.
    pub async fn snapshots(&self) -> Result<Vec<(SnapshotId, Snapshot)>, Error> {
        in_order(self.snapshot_files().await?)
    }

    /// All snapshots by id, the unreadable ones with their error; a failed listing or a store that
    /// is out of reach is an error of the whole.
    pub async fn snapshot_files(
        &self,
    ) -> Result<Vec<(SnapshotId, Result<Snapshot, Error>)>, Error> {
        let mut files = self.load_all(Folder::Snapshots, Snapshot::decode).await?;
        let is_missing = |file: &Result<Snapshot, Error>| {
            matches!(file, Err(Error::Store(store::Error::Missing { .. })))
        };
        if files.iter().any(|(_, file)| is_missing(file)) {
            // Whoever forgets meanwhile removes what was listed a moment ago.
            let listed = Folder::Snapshots.list(&*self.store).await.map_err(Error::Store)?;
            let listed: HashSet<_> = listed.into_iter().map(|(id, _)| id).collect();
            files.retain(|(id, file)| !is_missing(file) || listed.contains(id));
        }
        Ok(files.into_iter().map(|(id, file)| (SnapshotId(id), file)).collect())
    }

    /// [`Self::snapshot_files`], and those of `known` that the listing left out and that are there
    /// all the same.
    pub async fn snapshot_files_with(
        &self,
        known: &[SnapshotId],
    ) -> Result<Vec<(SnapshotId, Result<Snapshot, Error>)>, Error> {
        let mut files = self.snapshot_files().await?;
        let listed: HashSet<SnapshotId> = files.iter().map(|(id, _)| *id).collect();
        let unlisted: Vec<_> = known.iter().filter(|id| !listed.contains(id)).copied().collect();
        let asked = unlisted.into_iter().map(|id| async move {
            match self.snapshot(&id).await {
                Err(Error::Store(store::Error::Missing { .. })) => Ok(None),
                Err(error) if error.is_out_of_reach() => Err(error),
                found => Ok(Some((id, found))),
            }
        });
        let found: Vec<_> = stream::iter(asked).buffered(FETCHES).try_collect().await?;
        for (id, file) in found.into_iter().flatten() {
            tracing::warn!(snapshot = %id, "the store's listing leaves out a snapshot");
            files.push((id, file));
        }
        Ok(files)
    }

    /// One snapshot.
    pub async fn snapshot(&self, id: &SnapshotId) -> Result<Snapshot, Error> {
        self.load(Folder::Snapshots, &id.0, Snapshot::decode).await
    }

    /// Whether a snapshot is not there, whatever a listing says. One that cannot be read is there.
    pub async fn is_gone(&self, id: &SnapshotId) -> Result<bool, Error> {
        match self.snapshot(id).await {
            Err(Error::Store(store::Error::Missing { .. })) => Ok(true),
            Err(error) if error.is_environment() => Err(error),
            _ => Ok(false),
        }
    }

    /// The one snapshot whose id begins with `prefix`: of those listed, and of those `known` that a
    /// listing may leave out.
    pub async fn find(&self, prefix: &str, known: &[SnapshotId]) -> Result<SnapshotId, Error> {
        let listed = Folder::Snapshots.list(&*self.store).await.map_err(Error::Store)?;
        let listed = listed.into_iter().map(|(id, _)| SnapshotId(id));
        let fits = |id: &SnapshotId| !prefix.is_empty() && id.to_string().starts_with(prefix);
        let ids: BTreeSet<_> = listed.chain(known.iter().copied()).filter(fits).collect();
        match (ids.first(), ids.len()) {
            (Some(id), 1) => Ok(*id),
            (None, _) => Err(Error::NoSnapshot { prefix: prefix.to_owned() }),
            (_, count) => Err(Error::Ambiguous { prefix: prefix.to_owned(), count }),
        }
    }

    /// Publishes a snapshot; everything it refers to must be durable and indexed already.
    pub async fn save_snapshot(&self, snapshot: &Snapshot) -> Result<SnapshotId, Error> {
        self.save(Folder::Snapshots, &snapshot.encode()).await.map(SnapshotId)
    }
}

/// Snapshots oldest first; an unreadable one is an error that names it.
pub fn in_order(
    files: Vec<(SnapshotId, Result<Snapshot, Error>)>,
) -> Result<Vec<(SnapshotId, Snapshot)>, Error> {
    let read = files.into_iter().map(|(id, snapshot)| Ok((id, snapshot?)));
    let mut snapshots = read.collect::<Result<Vec<_>, Error>>()?;
    snapshots.sort_by_key(|(id, snapshot)| (snapshot.time, *id));
    Ok(snapshots)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use jiff::Timestamp;

    use super::*;
    use crate::ground::digest::Digest;
    use crate::repo::repository::tests::empty;
    use crate::repo::{BlobId, layout};
    use crate::store::Put;

    fn snapshot(second: i64) -> Snapshot {
        Snapshot {
            time: Timestamp::from_second(second).unwrap(),
            parent: None,
            original: None,
            tree: BlobId(Digest::of(b"tree")),
            paths: vec!["/srv".into()],
            hostname: "acme".into(),
            username: String::new(),
            uid: 0,
            gid: 0,
            tags: vec!["lifeboat".into()],
            program_version: String::new(),
            others: Default::default(),
            summary: None,
        }
    }

    #[tokio::test]
    async fn snapshots_come_back_oldest_first_and_are_found_by_prefix() {
        let repository = empty().await;
        let newer = repository.save_snapshot(&snapshot(2)).await.unwrap();
        let older = repository.save_snapshot(&snapshot(1)).await.unwrap();

        assert_eq!(
            repository.snapshots().await.unwrap(),
            [(older, snapshot(1)), (newer, snapshot(2))]
        );
        assert_eq!(repository.snapshot(&newer).await.unwrap(), snapshot(2));
        assert_eq!(repository.find(&newer.to_string()[..32], &[]).await.unwrap(), newer);
        assert!(matches!(repository.find("", &[]).await, Err(Error::NoSnapshot { .. })));
        assert!(matches!(repository.find("latest", &[]).await, Err(Error::NoSnapshot { .. })));
    }

    #[tokio::test]
    async fn a_damaged_snapshot_is_named_and_the_others_are_still_listed() {
        let repository = empty().await;
        let good = repository.save_snapshot(&snapshot(1)).await.unwrap();
        let bad = repository.save_snapshot(&snapshot(2)).await.unwrap();
        let name = layout::snapshot(&bad);
        let store = repository.store();
        store.put(&name, Bytes::from_static(b"junk"), Put::Overwrite).await.unwrap();

        let error = repository.snapshots().await.unwrap_err();
        assert!(error.to_string().contains(name.as_str()), "{error}");
        assert!(!error.is_environment());
        let listed = repository.snapshot_files().await.unwrap();
        assert_eq!(listed.len(), 2);
        assert!(listed.iter().all(|(id, file)| file.is_ok() == (*id == good)));
    }
}
