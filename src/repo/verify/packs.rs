//! Packs: is each there, as long as its index says, and intact to the last byte?

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tokio::task::JoinSet;

use super::examine::{Findings, examine, held};
use super::{Memory, Verified, VerifyError};
use crate::ground::progress::Progress;
use crate::repo::near::Near;
use crate::repo::pack::{PackedBlob, expected_size};
use crate::repo::reader::{cores, parallel};
use crate::repo::{BlobId, Index, Location, PackId, Repository};

/// Bytes of packs in memory at one time for each core, unless a single pack has more: one of the
/// usual size. The largest ones are read by pieces.
const IN_MEMORY: u64 = 20 << 20;

/// The same in a far store, where packs are larger.
const FAR_IN_MEMORY: u64 = 29 << 20;

/// Offsets have 32 bits, and a header follows: what is larger is not read.
const LARGEST: u64 = (4 << 30) + (32 << 20);

/// Packs that are read between two times that it is written down: what an interrupt costs.
const REMEMBERED_AT_ONCE: usize = 64;

/// What cannot be read of which pack.
#[derive(Debug, Default)]
pub(in crate::repo) struct Losses {
    lost: HashMap<PackId, Loss>,
    /// Packs that are not as they should be, whether or not a blob is lost.
    unsound: HashSet<PackId>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Loss {
    All,
    Beyond(u64),
    Blobs(HashSet<BlobId>),
}

impl Losses {
    /// Whether this place gives the blob no more.
    pub(super) fn include(&self, id: &BlobId, place: &Location) -> bool {
        match self.lost.get(&place.pack) {
            None => false,
            Some(Loss::All) => true,
            Some(Loss::Beyond(size)) => u64::from(place.offset) + u64::from(place.length) > *size,
            Some(Loss::Blobs(lost)) => lost.contains(id),
        }
    }

    /// Packs that are not as they should be.
    pub(in crate::repo) fn unsound(&self) -> &HashSet<PackId> {
        &self.unsound
    }

    fn lose(&mut self, pack: PackId, loss: Loss) {
        self.lost.insert(pack, loss);
        self.unsound.insert(pack);
    }
}

/// Compares the index with what the store lists.
pub(super) fn compare_with_listing(
    index: &Index,
    listed: &HashMap<PackId, u64>,
    losses: &mut Losses,
    found: &mut Verified,
) {
    for (pack, blobs) in index.packs() {
        let object = || format!("pack {pack}");
        let expected = expected_size(&blobs);
        match listed.get(&pack) {
            None => {
                found
                    .damaged(object(), format!("it is missing, and with it {} blobs", blobs.len()));
                losses.lose(pack, Loss::All);
            }
            Some(size) if *size != expected => {
                let what = format!("it has {size} bytes, its index says {expected}");
                found.damaged(object(), what);
                losses.lose(pack, Loss::Beyond(*size));
            }
            Some(_) if !lie_end_to_end(&blobs) => {
                found.damaged(object(), "its index gives blobs that overlap or leave gaps");
                losses.unsound.insert(pack);
            }
            Some(_) => {}
        }
    }
    // rustic removes these in time: that one is missing or cut is no damage, but it holds less.
    for (pack, blobs) in index.doomed_packs().filter(|(pack, _)| !index.has_pack(pack)) {
        match listed.get(&pack) {
            None => drop(losses.lost.insert(pack, Loss::All)),
            Some(size) if *size != expected_size(&blobs) => {
                losses.lost.insert(pack, Loss::Beyond(*size));
            }
            Some(_) => {}
        }
    }
}

/// Packs that no index file names.
pub(super) fn unnamed(index: &Index, listed: &HashMap<PackId, u64>) -> Vec<PackId> {
    let is_named = |pack: &PackId| index.has_pack(pack) || index.is_doomed(pack);
    listed.keys().filter(|pack| !is_named(pack)).copied().collect()
}

/// Tells of packs that are `unnamed`, without those that a repair left out of the index.
pub(super) fn tell_unnamed(unnamed: &[PackId], left_out: &HashSet<PackId>, found: &mut Verified) {
    let mut unknown: Vec<_> = unnamed
        .iter()
        .filter(|pack| !left_out.contains(pack))
        .map(|pack| format!("pack {pack} is in no index file, as an interrupted run leaves it"))
        .collect();
    unknown.sort();
    found.hints.append(&mut unknown);
}

fn lie_end_to_end(blobs: &[PackedBlob]) -> bool {
    let mut end = 0;
    blobs.iter().all(|blob| {
        let begin = std::mem::replace(&mut end, blob.end());
        begin == u64::from(blob.offset)
    })
}

/// A reading of packs: all that can be checked of them is.
pub(super) struct Reading<'a> {
    repository: &'a Arc<Repository>,
    memory: &'a dyn Memory,
    chosen: HashSet<PackId>,
    /// Of packs of trees, which are wanted next.
    near: Arc<Near>,
    /// Read since `memory` was told, and whether whole.
    read: Vec<(PackId, bool)>,
}

impl<'a> Reading<'a> {
    /// Of those packs that are `chosen`.
    pub(super) fn new(
        repository: &'a Arc<Repository>,
        memory: &'a dyn Memory,
        chosen: &[PackId],
    ) -> Self {
        let chosen = chosen.iter().copied().collect();
        Self { repository, memory, chosen, near: Arc::default(), read: Vec::new() }
    }

    /// Answers what it keeps of the trees that it read.
    pub(super) async fn run(
        mut self,
        index: &Index,
        listed: &HashMap<PackId, u64>,
        losses: &mut Losses,
        found: &mut Verified,
        progress: &dyn Progress,
    ) -> Result<Arc<Near>, VerifyError> {
        let size_of = |pack: &PackId| listed.get(pack).copied();
        progress.phase("read packs", Some(self.chosen.iter().filter_map(size_of).sum()));
        let is_far = self.repository.store().is_far();
        let most = if is_far { FAR_IN_MEMORY } else { IN_MEMORY } * cores().max(2) as u64;
        let mut running = JoinSet::new();
        let mut in_memory = 0;
        for (pack, blobs) in index.all_packs() {
            let Some(size) = size_of(&pack).filter(|_| self.chosen.contains(&pack)) else {
                continue;
            };
            if size > LARGEST {
                found.damaged(format!("pack {pack}"), format!("it has {size} bytes, no pack has"));
                losses.lose(pack, Loss::All);
                continue;
            }
            let held = held(size, &blobs);
            while running.len() >= parallel() || (in_memory > 0 && in_memory + held > most) {
                let ended = running.join_next().await;
                in_memory -= self.take_in(ended, losses, found, progress).await?;
            }
            in_memory += held;
            let examined = examine(self.repository.clone(), self.near.clone(), pack, size, blobs);
            running.spawn(async move { examined.await.map(|findings| (held, findings)) });
        }
        while !running.is_empty() {
            let ended = running.join_next().await;
            self.take_in(ended, losses, found, progress).await?;
        }
        // No repair has to do with what rustic removes.
        losses.unsound.retain(|pack| index.has_pack(pack));
        self.remember().await?;
        Ok(self.near)
    }

    /// Takes in what one task found; returns the bytes it no longer holds.
    async fn take_in(
        &mut self,
        ended: Option<Ended>,
        losses: &mut Losses,
        found: &mut Verified,
        progress: &dyn Progress,
    ) -> Result<u64, VerifyError> {
        let Some(ended) = ended else { return Ok(0) };
        let (held, findings) = ended.map_err(VerifyError::Thread)??;
        let Findings { pack, size, read, what, lost } = findings;
        found.bytes_read += read;
        self.read.push((pack, what.is_empty()));
        if !what.is_empty() {
            losses.unsound.insert(pack);
        }
        for what in what {
            found.damaged(format!("pack {pack}"), what);
        }
        if let Some(loss) = lost {
            losses.lose(pack, loss);
        }
        progress.advance(1, size);
        if self.read.len() >= REMEMBERED_AT_ONCE {
            self.remember().await?;
        }
        Ok(held)
    }

    async fn remember(&mut self) -> Result<(), VerifyError> {
        let read = std::mem::take(&mut self.read);
        self.memory.remember(&read).await.map_err(VerifyError::Memory)
    }
}

type Ended = Result<Result<(u64, Findings), VerifyError>, tokio::task::JoinError>;
