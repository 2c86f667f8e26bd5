//! Index files give way to new ones.
//!
//! The order is the promise: new index files are durable and read back; together with those that stay
//! they name everything that must be named; it is written down; what cannot be read is set aside; old
//! index files go, first those that others replace, for without these they would count again.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{Error, Repair, aside};
use crate::repo::index::FILE_BLOBS;
use crate::repo::layout::{self, Folder};
use crate::repo::lock::Lock;
use crate::repo::prune::Deletion;
use crate::repo::{DoomedPack, Index, IndexFile, IndexId, IndexPack, PackId};
use crate::store::{self, ObjectName};

/// What is exchanged for what.
pub(super) struct Exchange {
    /// Index files that can be read.
    pub files: HashMap<IndexId, IndexFile>,
    /// Those of them that others replace.
    pub superseded: HashSet<IndexId>,
    /// Those of them that go.
    pub old: HashSet<IndexId>,
    /// Index files that nobody can read: they are set aside and go, too.
    pub damaged: Vec<IndexId>,
    /// What new index files name.
    pub packs: Vec<IndexPack>,
    pub doomed: Vec<DoomedPack>,
    /// What index files must name afterwards: packs and how many blobs of each.
    pub must_name: BTreeMap<PackId, usize>,
    /// Packs that they name no more.
    pub unnamed: Vec<PackId>,
}

impl Exchange {
    /// Carries it out under `lock`, which nobody shares.
    pub async fn carry_out(self, repair: &Repair<'_>, lock: &Lock) -> Result<(), Error> {
        tracing::info!(phase = "index");
        repair.progress.phase("write index", None);
        let new = self.write_new(repair).await?;
        self.check(&new)?;
        lock.confirm().await?;
        tracing::info!(phase = "record");
        let deletion = Deletion {
            index_files: self.old.iter().chain(&self.damaged).copied().collect(),
            packs: self.unnamed.clone(),
            bytes: 0,
        };
        repair.keeper.deleting(&deletion).await.map_err(Error::Keeper)?;
        tracing::info!(phase = "set-aside");
        for id in &self.damaged {
            aside::keep(repair, id).await?;
        }
        lock.confirm().await?;
        tracing::info!(phase = "unindex");
        let (first, then): (Vec<_>, Vec<_>) =
            self.old.iter().partition(|id| self.superseded.contains(*id));
        for id in first.into_iter().chain(then).chain(&self.damaged) {
            lock.still_good()?;
            delete(repair, &layout::index(id)).await?;
        }
        self.look_again(&new, repair).await
    }

    async fn write_new(&self, repair: &Repair<'_>) -> Result<HashMap<IndexId, IndexFile>, Error> {
        let mut files = Vec::new();
        let mut rest = IndexFile { packs_to_delete: self.doomed.clone(), ..IndexFile::default() };
        let mut blobs = 0;
        for pack in &self.packs {
            blobs += pack.blobs.len();
            rest.packs.push(pack.clone());
            if blobs >= FILE_BLOBS {
                files.push(std::mem::take(&mut rest));
                blobs = 0;
            }
        }
        if rest != IndexFile::default() {
            files.push(rest);
        }
        let mut written = HashMap::new();
        for file in files {
            let id = repair.repository.save_index(&file).await.map_err(Error::Store)?;
            let read = repair.repository.load(Folder::Index, &id.0, IndexFile::decode).await;
            if read.map_err(Error::Read)? != file {
                return Err(Error::NotReadBack { id });
            }
            repair.progress.advance(1, 0);
            written.insert(id, file);
        }
        Ok(written)
    }

    /// Whether the index as it will be names everything that it must.
    fn check(&self, new: &HashMap<IndexId, IndexFile>) -> Result<(), Error> {
        let mut index = Index::new();
        let stays = |id: &IndexId| !self.old.contains(id) && !self.superseded.contains(id);
        let staying = self.files.iter().filter(|(id, _)| stays(id)).map(|(_, file)| file);
        staying.chain(new.values()).for_each(|file| index.insert_file(file));
        let named: HashMap<_, _> = index.packs().map(|(pack, blobs)| (pack, blobs.len())).collect();
        let lost = self.must_name.iter().find(|(pack, blobs)| named.get(pack) < Some(*blobs));
        lost.map_or(Ok(()), |(pack, _)| Err(Error::WouldLose { pack: *pack }))
    }

    /// Somebody who took no lock may have added to the index meanwhile: it may name what is gone.
    async fn look_again(
        &self,
        new: &HashMap<IndexId, IndexFile>,
        repair: &Repair<'_>,
    ) -> Result<(), Error> {
        let listed = Folder::Index.list(&**repair.repository.store()).await.map_err(Error::List)?;
        let is_known = |id: &IndexId| self.files.contains_key(id) || new.contains_key(id);
        let stranger = listed.iter().map(|(id, _)| IndexId(*id)).find(|id| !is_known(id));
        stranger.map_or(Ok(()), |id| Err(Error::Disturbed { id }))
    }
}

async fn delete(repair: &Repair<'_>, name: &ObjectName) -> Result<(), Error> {
    match repair.repository.store().delete(name).await {
        Ok(()) | Err(store::Error::Missing { .. }) => Ok(()),
        Err(source) => Err(Error::Delete { object: name.clone(), source }),
    }
}
