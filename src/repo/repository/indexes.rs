//! The index and the packs behind it: what is listed, and what a listing left out.

use std::collections::{HashMap, HashSet};
use std::pin::pin;

use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;

use super::{Error, FETCHES, Repository};
use crate::repo::layout::{self, Folder};
use crate::repo::pack::expected_size;
use crate::repo::{Index, IndexFile, IndexId, PackId};
use crate::store::{self, ObjectName};

impl Repository {
    /// All index files, the damaged ones with their error; a failed listing or a store that is out
    /// of reach is an error of the whole.
    pub async fn index_files(&self) -> Result<Vec<(IndexId, Result<IndexFile, Error>)>, Error> {
        let files = self.load_all(Folder::Index, IndexFile::decode).await?;
        Ok(files.into_iter().map(|(id, file)| (IndexId(id), file)).collect())
    }

    /// The index of all packs; a damaged index file is an error that names it.
    pub async fn load_index(&self) -> Result<Index, Error> {
        let (index, errors) = self.load_readable_index().await?;
        errors.into_iter().next().map_or(Ok(index), Err)
    }

    /// The index as far as it can be read, and the errors of the index files that cannot: for those
    /// who save what there is.
    pub async fn load_readable_index(&self) -> Result<(Index, Vec<Error>), Error> {
        let (index, errors) = self.gather_index().await?;
        Ok((index, errors.into_iter().map(|(_, error)| error).collect()))
    }

    /// The index as far as it can be read, and the index files that cannot. A failed listing or a
    /// store that is out of reach is an error of the whole. Memory: the index and a few of its files.
    pub(in super::super) async fn gather_index(
        &self,
    ) -> Result<(Index, Vec<(IndexId, Error)>), Error> {
        let mut superseded = HashSet::new();
        loop {
            let (mut index, mut errors, mut taken) = (Index::new(), Vec::new(), HashSet::new());
            let mut files = pin!(self.each(Folder::Index, IndexFile::decode).await?);
            while let Some((id, file)) = files.try_next().await? {
                let id = IndexId(id);
                match file {
                    Ok(file) => {
                        superseded.extend(file.supersedes.iter().copied());
                        if !superseded.contains(&id) {
                            taken.insert(id);
                            index.insert_file(&file);
                        }
                    }
                    Err(error) => errors.push((id, error)),
                }
            }
            // One that another replaces may have come before it: rare, and read again.
            if taken.is_disjoint(&superseded) {
                return Ok((index, errors));
            }
        }
    }

    /// The packs that the store has, and their sizes in bytes: those it lists, and those that
    /// `index` names and a listing left out.
    pub async fn pack_sizes(&self, index: &Index) -> Result<HashMap<PackId, u64>, store::Error> {
        let packs = self.stored_packs(index).await?;
        Ok(packs.into_iter().map(|(id, (size, _))| (id, size)).collect())
    }

    /// As [`Self::pack_sizes`], with when each was written, as far as a listing tells.
    pub(in super::super) async fn stored_packs(
        &self,
        index: &Index,
    ) -> Result<HashMap<PackId, (u64, Option<Timestamp>)>, store::Error> {
        let listed = Folder::Data.list(&*self.store).await?;
        let stored =
            |(id, object): (_, store::Object)| (PackId(id), (object.size, Some(object.modified)));
        let mut packs: HashMap<_, _> = listed.into_iter().map(stored).collect();
        let missing: Vec<_> = index
            .packs()
            .filter(|(pack, _)| !packs.contains_key(pack))
            .map(|(pack, blobs)| (pack, expected_size(&blobs)))
            .collect();
        let asked = missing.into_iter().map(|(pack, size)| async move {
            Ok::<_, store::Error>((pack, self.unlisted_size(&pack, size).await?))
        });
        let found: Vec<_> = stream::iter(asked).buffered(FETCHES).try_collect().await?;
        for (pack, size) in found {
            if let Some(size) = size {
                tracing::warn!(%pack, "the store's listing leaves out a pack");
                packs.insert(pack, (size, None));
            }
        }
        Ok(packs)
    }

    /// What tells of damaged packs that a repair took out of the index.
    pub(in super::super) async fn packs_aside(&self) -> Result<HashSet<ObjectName>, store::Error> {
        let listed = self.store.list(Some(&layout::packs_aside()));
        listed.map_ok(|object| object.name).try_collect().await
    }

    /// The size of a pack that was not listed, as far as the `expected` one goes; none if it is
    /// not there.
    async fn unlisted_size(
        &self,
        pack: &PackId,
        expected: u64,
    ) -> Result<Option<u64>, store::Error> {
        let last = expected.saturating_sub(1)..expected;
        match self.store.get(&layout::pack(pack), Some(last)).await {
            Ok(_) => Ok(Some(expected)),
            Err(store::Error::Short { size, .. }) => Ok(Some(size)),
            Err(store::Error::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Stores an index file; every pack that it names must be durable already.
    pub async fn save_index(&self, index: &IndexFile) -> Result<IndexId, Error> {
        self.save(Folder::Index, &index.encode()).await.map(IndexId)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::digest::Digest;
    use crate::repo::pack::PackedBlob;
    use crate::repo::repository::tests::empty;
    use crate::repo::{BlobId, BlobKind, IndexPack};

    #[tokio::test]
    async fn an_index_counts_until_another_supersedes_it() {
        let repository = empty().await;
        let blob = PackedBlob {
            id: BlobId(Digest::of(b"blob")),
            kind: BlobKind::Data,
            offset: 0,
            length: 40,
            plain_length: None,
        };
        let pack = |text: &str| PackId(Digest::of(text.as_bytes()));
        let file = |text| IndexFile {
            packs: vec![IndexPack { id: pack(text), blobs: vec![blob] }],
            ..IndexFile::default()
        };
        let old = repository.save_index(&file("old")).await.unwrap();
        assert!(repository.load_index().await.unwrap().has_pack(&pack("old")));

        let replacing = IndexFile { supersedes: vec![old], ..file("new") };
        repository.save_index(&replacing).await.unwrap();

        let index = repository.load_index().await.unwrap();
        assert!(index.has_pack(&pack("new")) && !index.has_pack(&pack("old")));
    }
}
