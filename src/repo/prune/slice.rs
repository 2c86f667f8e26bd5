//! One slice of deletion, under a lock that nobody shares, short enough for others to wait for.
//!
//! The order is the promise: everything is listed again; what is about to go is needed by no
//! snapshot, or lies in a pack that stays and is there; new index files are durable; it is written
//! down; old index files go; packs go. Whenever it is cut short, what is left is whole.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, RwLock};
use std::time::Instant;

use super::batch::{Batch, Leaving, batch, check_whole, spare};
use super::reach::Reach;
use super::view::View;
use super::{Deletion, Done, Error, Prune, released};
use crate::repo::layout::{self, Folder};
use crate::repo::lock::Lock;

use crate::repo::reader::Reader;
use crate::repo::{IndexFile, IndexId, IndexPack, PackId};
use crate::store::{self, ObjectName};

impl Prune<'_> {
    /// Deletes the first of `leaving`, and writes index files of at most `index_blobs` blobs anew;
    /// answers the view as it then is.
    pub(super) async fn slice(
        &self,
        view: View,
        reach: &mut Reach,
        leaving: &mut Leaving,
        index_blobs: usize,
        done: &mut Done,
    ) -> Result<View, Error> {
        tracing::info!(phase = "lock");
        let claim = self.keeper.claim().await.map_err(Error::Keeper)?;
        let lock = Lock::exclusive(self.repository, self.clock, &claim).await?;
        let outcome = self.locked(&lock, view, reach, leaving, index_blobs, done).await;
        released(outcome, lock).await
    }

    async fn locked(
        &self,
        lock: &Lock,
        view: View,
        reach: &mut Reach,
        leaving: &mut Leaving,
        index_blobs: usize,
        done: &mut Done,
    ) -> Result<View, Error> {
        tracing::info!(phase = "look");
        let view = self.look_again(view, reach).await?;
        done.spared_packs += spare(&view, reach, leaving) as u64;
        let going = &mut leaving.packs;
        if going.is_empty() {
            return Ok(view);
        }
        let batch = batch(&view, going, self.limits.packs, index_blobs);

        tracing::info!(phase = "index");
        let files = self.write_index(&view, &batch).await?;
        check_whole(&view, &batch, &files, reach)?;
        self.write_down(lock, &batch).await?;
        let mut view = self.unindex(lock, view, &batch, files).await?;
        self.delete_packs(lock, &mut view, &batch, done).await?;
        going.retain(|one| view.packs.contains_key(&one.pack) || !batch.takes(one));
        Ok(view)
    }

    async fn write_down(&self, lock: &Lock, batch: &Batch) -> Result<(), Error> {
        lock.confirm().await?;
        tracing::info!(phase = "record");
        let packs = batch.packs.iter().filter(|going| going.bytes.is_some());
        let deletion = Deletion {
            index_files: batch.files.iter().copied().collect(),
            packs: packs.clone().map(|going| going.pack).collect(),
            bytes: packs.filter_map(|going| going.bytes).sum(),
        };
        self.keeper.deleting(&deletion).await.map_err(Error::Keeper)
    }

    /// Deletes the batch's index files, which `files` replace.
    async fn unindex(
        &self,
        lock: &Lock,
        mut view: View,
        batch: &Batch,
        files: Vec<(IndexId, IndexFile)>,
    ) -> Result<View, Error> {
        lock.confirm().await?;
        tracing::info!(phase = "unindex");
        let superseded = view.superseded();
        // First those that others replace: without these they would count again.
        let (first, then): (Vec<_>, Vec<_>) =
            batch.files.iter().partition(|id| superseded.contains(*id));
        for id in first.into_iter().chain(then) {
            lock.still_good()?;
            self.delete(&layout::index(id)).await?;
            view.files.remove(id);
        }
        view.files.extend(files);
        let listed = Folder::Index.list(&**self.repository.store()).await.map_err(Error::List)?;
        // One that was not listed before may name what seems to be in no index file.
        match listed.iter().find(|(id, _)| !view.files.contains_key(&IndexId(*id))) {
            Some((id, _)) => Err(Error::Unlisted { object: format!("index {id}") }),
            None => Ok(view),
        }
    }

    async fn delete_packs(
        &self,
        lock: &Lock,
        view: &mut View,
        batch: &Batch,
        done: &mut Done,
    ) -> Result<(), Error> {
        tracing::info!(phase = "delete");
        let begun = Instant::now();
        for (nth, one) in batch.packs.iter().enumerate() {
            if nth > 0 && begun.elapsed() > self.limits.longest {
                // No index file names it now; the next slice deletes it.
                break;
            }
            lock.still_good()?;
            if let Some(bytes) = one.bytes {
                self.delete(&layout::pack(&one.pack)).await?;
                done.removed_packs += 1;
                done.removed_bytes += bytes;
            }
            view.packs.remove(&one.pack);
            self.progress.advance(1, one.bytes.unwrap_or(0));
        }
        Ok(())
    }

    /// Lists everything anew, and takes in what new snapshots need.
    pub(super) async fn look_again(&self, view: View, reach: &mut Reach) -> Result<View, Error> {
        let known = self.keeper.known().await.map_err(Error::Keeper)?;
        let view = view.again(self.repository, &known).await?;
        let index = Arc::new(RwLock::new(view.index()));
        let reader = Reader::new(self.repository.clone(), index);
        reach.extend(&reader, view.snapshots.values().copied(), self.progress).await?;
        Ok(view)
    }

    /// Writes what stays of the batch's index files into new ones.
    async fn write_index(
        &self,
        view: &View,
        batch: &Batch,
    ) -> Result<Vec<(IndexId, IndexFile)>, Error> {
        let superseded = view.superseded();
        let gone: HashSet<_> = batch.packs.iter().map(|going| going.pack).collect();
        let old = batch.files.iter().filter(|id| !superseded.contains(*id));
        let mut staying: BTreeMap<PackId, IndexPack> = BTreeMap::new();
        let mut rest = IndexFile::default();
        for file in old.filter_map(|id| view.files.get(id)) {
            for pack in file.packs.iter().filter(|pack| !gone.contains(&pack.id)) {
                let known = staying.entry(pack.id).or_insert_with(|| pack.clone());
                // Each of several index files may name a part of it.
                let offsets: HashSet<_> = known.blobs.iter().map(|blob| blob.offset).collect();
                let more = pack.blobs.iter().filter(|blob| !offsets.contains(&blob.offset));
                known.blobs.extend(more);
                known.blobs.sort_by_key(|blob| blob.offset);
            }
            rest.packs_to_delete.extend(file.packs_to_delete.iter().cloned());
        }
        let mut files = Vec::new();
        let mut blobs = 0;
        for pack in staying.into_values() {
            blobs += pack.blobs.len();
            rest.packs.push(pack);
            if blobs >= self.limits.file_blobs {
                files.push(std::mem::take(&mut rest));
                blobs = 0;
            }
        }
        if rest != IndexFile::default() {
            files.push(rest);
        }
        let mut written = Vec::with_capacity(files.len());
        for file in files {
            let id = self.repository.save_index(&file).await.map_err(Error::StoreIndex)?;
            written.push((id, file));
        }
        let listed = Folder::Index.list(&**self.repository.store()).await.map_err(Error::List)?;
        let listed: HashSet<_> = listed.into_iter().map(|(id, _)| IndexId(id)).collect();
        match written.iter().find(|(id, _)| !listed.contains(id)) {
            Some((id, _)) => Err(Error::Unlisted { object: format!("index {id}") }),
            None => Ok(written),
        }
    }

    async fn delete(&self, name: &ObjectName) -> Result<(), Error> {
        match self.repository.store().delete(name).await {
            Ok(()) | Err(store::Error::Missing { .. }) => Ok(()),
            Err(source) => Err(Error::Delete { object: name.clone(), source }),
        }
    }
}
