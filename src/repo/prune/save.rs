//! What must stay of packs that go is made safe: packed anew, or found elsewhere. Either way it is
//! read, opened and held against its name first. Adds, and removes nothing: a shared lock does.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tokio::runtime::Handle;

use super::reach::Reach;
use super::step::Step;
use super::view::View;
use super::{Done, Error, Prune};
use crate::repo::pack::PackedBlob;
use crate::repo::reader::{ReadError, Reader};
use crate::repo::writer::{Added, WriteError, locked};
use crate::repo::{BlobId, BlobKind, Index, PackId};

const KINDS: [BlobKind; 2] = [BlobKind::Tree, BlobKind::Data];

type Needed = HashSet<(BlobKind, BlobId)>;

enum Stopped {
    Read(ReadError),
    Write(WriteError),
}

impl Prune<'_> {
    /// Looks at everything again, then makes safe what is needed of the packs of `step`: it is durable
    /// and indexed on return, which answers what it is. A pack of which a backup began to use
    /// something that nobody planned to save is left as it is.
    pub(super) async fn save(
        &self,
        view: View,
        reach: &mut Reach,
        step: &mut Step,
        done: &mut Done,
    ) -> Result<(View, Needed), Error> {
        let view = self.look_again(view, reach).await?;
        let index = view.index();
        let (staying, mut needed, spared) = apart(&index, reach, step);
        done.spared_packs += spared as u64;
        let live: Vec<_> = step.repack.iter().flat_map(|one| &one.live).copied().collect();
        for blob in &live {
            needed.remove(&(blob.kind, blob.id));
        }
        let repacked = self.repack(index, &live).await?;
        done.stored_bytes += repacked.stored_bytes;
        done.repacked_packs += step.repack.iter().filter(|one| !one.is_doomed).count() as u64;
        self.find(staying, &needed).await?;
        needed.extend(live.iter().map(|blob| (blob.kind, blob.id)));
        Ok((view, needed))
    }

    /// Stores `live` once more, in packs of its own, and indexes them.
    async fn repack(&self, index: Index, live: &[PackedBlob]) -> Result<Added, Error> {
        if live.is_empty() {
            return Ok(Added::default());
        }
        tracing::info!(phase = "repack");
        let lengths: HashMap<BlobId, u64> =
            live.iter().map(|blob| (blob.id, u64::from(blob.length))).collect();
        self.progress.phase("pack anew", Some(lengths.values().sum()));
        let reader = Reader::new(self.repository.clone(), Arc::new(RwLock::new(index)));
        // Nothing counts as stored: each of them has the one copy that stays in a pack that goes.
        let nothing = Arc::new(RwLock::new(Index::new()));
        let writer = self.repository.writer(nothing, Handle::current(), self.clock.clone());
        for kind in KINDS {
            let ids = live.iter().filter(|blob| blob.kind == kind).map(|blob| blob.id);
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
            reader.fetch(kind, ids, &each).await.map_err(Error::Save)?;
            match stopped.into_inner().unwrap_or_else(PoisonError::into_inner) {
                None => {}
                Some(Stopped::Read(error)) => return Err(Error::Save(error)),
                Some(Stopped::Write(error)) => return Err(Error::Store(error)),
            }
        }
        writer.finish().await.map_err(Error::Store)
    }

    /// Reads everything of `needed` from the packs of `staying`: what is damaged there may be whole
    /// in a pack that is about to go.
    async fn find(&self, staying: Index, needed: &Needed) -> Result<(), Error> {
        if needed.is_empty() {
            return Ok(());
        }
        tracing::info!(phase = "find");
        self.progress.phase("read what stands elsewhere too", None);
        let reader = Reader::new(self.repository.clone(), Arc::new(RwLock::new(staying)));
        for kind in KINDS {
            let ids = needed.iter().filter(|(of, _)| *of == kind).map(|(_, id)| *id);
            let lost = Mutex::new(None);
            let each = |_, outcome: Result<Vec<u8>, ReadError>| match outcome {
                Ok(plain) => {
                    self.progress.advance(1, plain.len() as u64);
                    ControlFlow::Continue(())
                }
                Err(error) => {
                    *locked(&lost) = Some(error);
                    ControlFlow::Break(())
                }
            };
            reader.fetch(kind, ids, &each).await.map_err(Error::Save)?;
            if let Some(error) = lost.into_inner().unwrap_or_else(PoisonError::into_inner) {
                return Err(Error::Save(error));
            }
        }
        Ok(())
    }
}

/// What stays when the packs of `step` go, what is needed of these, and how many were taken out of it:
/// those of which something is needed that would be nowhere then.
fn apart(index: &Index, reach: &Reach, step: &mut Step) -> (Index, Needed, usize) {
    let going: HashSet<PackId> = step.going.iter().map(|one| one.pack).collect();
    let (mut staying, mut gone) = (Index::new(), Vec::new());
    for (pack, blobs) in index.packs() {
        match going.contains(&pack) {
            true => gone.push((pack, blobs)),
            false => staying.insert(pack, &blobs),
        }
    }
    let live = step.repack.iter().flat_map(|one| &one.live);
    let live: Needed = live.map(|blob| (blob.kind, blob.id)).collect();
    let is_needed = |blob: &&PackedBlob| reach.includes(blob.kind, &blob.id);
    let is_lost = |blob: &PackedBlob| {
        !live.contains(&(blob.kind, blob.id)) && staying.lookup(blob.kind, &blob.id).is_none()
    };
    let (used, gone): (Vec<_>, Vec<_>) =
        gone.into_iter().partition(|(_, blobs)| blobs.iter().filter(is_needed).any(is_lost));
    for (pack, blobs) in &used {
        staying.insert(*pack, blobs);
    }
    step.spare(&used.iter().map(|(pack, _)| *pack).collect());
    let needed = gone.iter().flat_map(|(_, blobs)| blobs.iter().filter(is_needed));
    let needed = needed.map(|blob| (blob.kind, blob.id)).collect();
    (staying, needed, used.len())
}
