//! What stays of packs that go is packed anew: read, opened, held against its name, and only then
//! stored and indexed like new content. Adds, and removes nothing: a shared lock does.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tokio::runtime::Handle;

use super::plan::Repack;
use super::view::View;
use super::{Error, Prune};
use crate::repo::reader::{ReadError, Reader};
use crate::repo::writer::{WriteError, locked};
use crate::repo::{BlobId, BlobKind, Index, PackId};

/// What is packed anew before packs are removed, in sealed bytes: bounds what a prune needs besides.
const BATCH_BYTES: u64 = 512 << 20;

enum Stopped {
    Read(ReadError),
    Write(WriteError),
}

/// Cuts the packs to repack into batches.
pub(super) fn batches(repack: Vec<Repack>) -> Vec<Vec<Repack>> {
    let mut batches: Vec<Vec<Repack>> = Vec::new();
    let mut bytes = u64::MAX;
    for one in repack {
        if bytes.saturating_add(one.live_bytes) > BATCH_BYTES {
            batches.push(Vec::new());
            bytes = 0;
        }
        bytes += one.live_bytes;
        batches.last_mut().expect("one was pushed before").push(one);
    }
    batches
}

impl Prune<'_> {
    /// Stores what stays of `batch` in new packs, and indexes them; both are durable on return.
    /// `going` are all packs that this prune removes: what they hold does not count as stored.
    pub(super) async fn repack(
        &self,
        view: &View,
        batch: &[Repack],
        going: &HashSet<PackId>,
    ) -> Result<(), Error> {
        self.progress.phase("pack anew", Some(batch.iter().map(|one| one.live_bytes).sum()));
        let all = view.index();
        let mut staying = Index::new();
        for (pack, blobs) in all.packs().filter(|(pack, _)| !going.contains(pack)) {
            staying.insert(pack, &blobs);
        }
        let reader = Reader::new(self.repository.clone(), Arc::new(RwLock::new(all)));
        let staying = Arc::new(RwLock::new(staying));
        let writer = self.repository.writer(staying, Handle::current(), self.clock.clone());
        let lengths: HashMap<_, _> = batch
            .iter()
            .flat_map(|one| &one.live)
            .map(|blob| (blob.id, u64::from(blob.length)))
            .collect();
        for kind in [BlobKind::Tree, BlobKind::Data] {
            let live = batch.iter().flat_map(|one| &one.live).filter(|blob| blob.kind == kind);
            let ids: Vec<_> = live.map(|blob| blob.id).collect();
            let stopped = Mutex::new(None);
            let each = |id: BlobId, outcome: Result<Vec<u8>, ReadError>| {
                let stored = outcome
                    .map_err(Stopped::Read)
                    .and_then(|plain| writer.store_blob(kind, &plain).map_err(Stopped::Write));
                match stored {
                    Ok(stored) => {
                        debug_assert_eq!(stored, id, "a reader gives what hashes to the id");
                        self.progress.advance(1, lengths.get(&id).copied().unwrap_or(0));
                        ControlFlow::Continue(())
                    }
                    Err(error) => {
                        *locked(&stopped) = Some(error);
                        ControlFlow::Break(())
                    }
                }
            };
            reader.fetch(kind, ids, &each).await.map_err(Error::Repack)?;
            match stopped.into_inner().unwrap_or_else(PoisonError::into_inner) {
                None => {}
                Some(Stopped::Read(error)) => return Err(Error::Repack(error)),
                Some(Stopped::Write(error)) => return Err(Error::Store(error)),
            }
        }
        writer.finish().await.map_err(Error::Store)?;
        Ok(())
    }
}
