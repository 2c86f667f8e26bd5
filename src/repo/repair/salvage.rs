//! What can be read of damaged packs is stored anew, so that a pack loses its own damaged blobs and
//! no others. Adds, and removes nothing.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tokio::runtime::Handle;

use super::{Error, How, Repair};
use crate::repo::reader::{ReadError, Reader};
use crate::repo::writer::{WriteError, Writer, locked};
use crate::repo::{
    Added, BlobId, BlobKind, Depth, Index, IndexFile, IndexPack, PackId, SharedIndex, layout,
    pieces,
};

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Salvaged {
    /// What was stored anew; on a dry run how many blobs would be.
    pub added: Added,
    /// What nobody can read any more.
    pub lost: HashSet<(BlobKind, BlobId)>,
}

impl Repair<'_> {
    /// Stores again what only the packs `unsound` hold and can still be read; durable and indexed on
    /// return. On a dry run it only reads. That another pack holds a blob counts only where all packs
    /// were read: one of the right size may be rotten.
    pub(super) async fn salvage(
        &self,
        index: &SharedIndex,
        unsound: &HashSet<PackId>,
        how: How<'_>,
    ) -> Result<Salvaged, Error> {
        let (dry_run, all_were_read) = (how.dry_run, how.depth == Depth::ReadData);
        self.progress.phase("save what can be read", None);
        let (sound, wanted) = {
            let index = index.read().unwrap_or_else(PoisonError::into_inner);
            let sound = if all_were_read { without(&index, unsound) } else { Index::new() };
            let wanted = only_in(&index, unsound, &sound);
            (Arc::new(RwLock::new(sound)), wanted)
        };
        let reader = Reader::new(self.repository.clone(), index.clone());
        let writer = self.repository.writer(sound, Handle::current(), self.clock.clone());
        let mut lost = HashSet::new();
        let all = wanted.len();
        for kind in [BlobKind::Tree, BlobKind::Data] {
            let ids = wanted.iter().filter(|(of, _)| *of == kind).map(|(_, id)| *id).collect();
            let of_kind = self.save_all(&reader, &writer, kind, ids, dry_run).await?;
            lost.extend(of_kind.into_iter().map(|id| (kind, id)));
        }
        self.check_damaged(unsound).await?;
        let mut added = writer.finish().await.map_err(Error::Write)?;
        if dry_run {
            added.blobs = (all - lost.len()) as u64;
        }
        Ok(Salvaged { added, lost })
    }

    /// A pack that reads whole now is not damaged: what read it was, or the index is.
    async fn check_damaged(&self, unsound: &HashSet<PackId>) -> Result<(), Error> {
        for pack in unsound.iter().copied() {
            let read = pieces::digest(&**self.repository.store(), &layout::pack(&pack)).await;
            let digest = read.map_err(|source| Error::Pack { pack, source })?;
            if digest == Some(pack.0) {
                return Err(Error::Whole { pack });
            }
        }
        Ok(())
    }

    /// Answers those that cannot be read.
    async fn save_all(
        &self,
        reader: &Reader,
        writer: &Writer,
        kind: BlobKind,
        ids: Vec<BlobId>,
        dry_run: bool,
    ) -> Result<Vec<BlobId>, Error> {
        let seen = Mutex::new((Vec::new(), None::<WriteError>));
        let each = |id: BlobId, outcome: Result<Vec<u8>, ReadError>| {
            self.progress.advance(1, 0);
            match outcome {
                Err(_) => locked(&seen).0.push(id),
                Ok(_) if dry_run => {}
                Ok(plain) => {
                    if let Err(error) = writer.store_blob(kind, &plain) {
                        locked(&seen).1 = Some(error);
                        return ControlFlow::Break(());
                    }
                }
            }
            ControlFlow::Continue(())
        };
        reader.fetch(kind, ids, &each).await.map_err(Error::Blobs)?;
        let (lost, failed) = seen.into_inner().unwrap_or_else(PoisonError::into_inner);
        failed.map_or(Ok(lost), |error| Err(Error::Write(error)))
    }
}

/// The index without these packs.
fn without(index: &Index, unsound: &HashSet<PackId>) -> Index {
    let packs = index.packs().filter(|(pack, _)| !unsound.contains(pack));
    let packs = packs.map(|(id, blobs)| IndexPack { id, blobs }).collect();
    let mut rest = Index::new();
    rest.insert_file(&IndexFile { packs, ..IndexFile::default() });
    rest
}

/// The blobs of these packs that no pack of `sound` holds.
fn only_in(index: &Index, unsound: &HashSet<PackId>, sound: &Index) -> HashSet<(BlobKind, BlobId)> {
    let packs = index.packs().filter(|(pack, _)| unsound.contains(pack));
    let blobs = packs.flat_map(|(_, blobs)| blobs).map(|blob| (blob.kind, blob.id));
    blobs.filter(|(kind, id)| sound.lookup(*kind, id).is_none()).collect()
}
