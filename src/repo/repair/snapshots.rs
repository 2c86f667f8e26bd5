//! Snapshots that lost data: what is left of each is published beside it.
//!
//! The order is the promise: what can be read of damaged packs is stored anew and indexed; trees
//! without what is lost are; then what is left of each snapshot is published, marked, and tied to the
//! original, which stays; last, damaged packs are marked, and index files name them no more. The packs
//! stay where they are until a prune, which removes them only once no snapshot needs what they held.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::runtime::Handle;

use super::exchange::Exchange;
use super::rewrite::{Left, Rewriting};
use super::salvage::Salvaged;
use super::{Error, Repair, aside, headers};
use crate::repo::fold::fold;
use crate::repo::layout::Folder;
use crate::repo::lock::Lock;
use crate::repo::prune::Refused;
use crate::repo::reader::Reader;
use crate::repo::verify::{Memory, Survey, survey};
use crate::repo::{
    Added, BlobId, BlobKind, Depth, Index, IndexPack, PackId, SharedIndex, Snapshot, SnapshotId,
    Verified,
};

/// Says what a repaired snapshot looks like, and writes down that it was published.
#[async_trait]
pub trait Editor: Send + Sync {
    /// The tags of what is left of a snapshot with these, `repaired` among them: nobody may take it
    /// for the original.
    fn tags(&self, original: &[String]) -> Vec<String>;
    /// What is left of a snapshot is published, now or by an earlier repair.
    async fn published(&self, what: &Remains) -> Result<(), Refused>;
}

/// A snapshot that lost something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remains {
    pub original: SnapshotId,
    pub time: Timestamp,
    /// The original's.
    pub tags: Vec<String>,
    /// Files, and folders that nobody can read, that are left out.
    pub files: u64,
    pub folders: u64,
    /// What is left; none on a dry run, and where its root cannot be read.
    pub repaired: Option<SnapshotId>,
    /// Whether an earlier repair published it.
    pub was_there: bool,
}

/// What was found, and done.
#[derive(Debug)]
pub struct SnapshotsRepaired {
    pub found: Verified,
    /// What of damaged packs was stored anew.
    pub salvaged: Added,
    /// Blobs that nobody can read any more, needed or not.
    pub lost_blobs: u64,
    /// Packs, damaged or gone, that the index names no more, or on a dry run would not.
    pub dropped: Vec<PackId>,
    /// Newest first.
    pub snapshots: Vec<Remains>,
    pub unfinished: Option<Unfinished>,
}

/// Damaged packs that index files still name: what is left of snapshots is published all the same, and
/// the next repair goes on.
#[derive(Debug)]
pub struct Unfinished {
    pub packs: Vec<PackId>,
    pub why: Error,
}

/// How a repair of snapshots goes about it.
#[derive(Clone, Copy)]
pub struct How<'a> {
    /// How packs are looked at first.
    pub depth: Depth,
    pub dry_run: bool,
    /// What is remembered of packs that were read.
    pub memory: &'a dyn Memory,
    pub editor: &'a dyn Editor,
}

impl Repair<'_> {
    /// Saves what can be read of damaged packs, and publishes what is left of snapshots that lost
    /// something. The index must be readable.
    pub async fn snapshots(&self, how: How<'_>) -> Result<SnapshotsRepaired, Error> {
        if how.dry_run {
            let look = self.look(how).await?;
            return self.publish(how, look, None).await.map(|(repaired, _)| repaired);
        }
        let claim = self.keeper.claim().await.map_err(Error::Keeper)?;
        let lock = Lock::shared(self.repository, self.clock, &claim).await?;
        let outcome = async {
            let look = self.look(how).await?;
            self.publish(how, look, Some(&lock)).await
        };
        let outcome = outcome.await;
        let released = lock.release().await;
        let (mut repaired, lost) = outcome?;
        released?;
        if !repaired.dropped.is_empty()
            && let Err(why) = self.drop_packs(&repaired.dropped, &lost).await
        {
            let packs = std::mem::take(&mut repaired.dropped);
            repaired.unfinished = Some(Unfinished { packs, why });
        }
        tracing::info!(phase = "done");
        Ok(repaired)
    }

    async fn look(&self, how: How<'_>) -> Result<Survey, Error> {
        let known = self.keeper.known().await.map_err(Error::Keeper)?;
        let mut published = known.published;
        published.retain(|id| !known.given_up.contains(id));
        let looked =
            survey(how.memory, self.repository, &published, how.depth, self.progress).await?;
        let is_index = |object: &&str| object.starts_with("index ");
        let objects = looked.found.errors.iter().map(|damage| &*damage.object);
        if let Some(object) = objects.into_iter().find(is_index) {
            return Err(Error::IndexFirst { object: object.to_owned() });
        }
        if !looked.found.affected.is_empty() {
            self.check_named(&looked.index, &looked.found).await?;
        }
        Ok(looked)
    }

    /// What is missed may be in a pack that says what it holds and that no index file names.
    async fn check_named(&self, index: &SharedIndex, found: &Verified) -> Result<(), Error> {
        let missed: HashSet<_> = found.errors.iter().map(|damage| &*damage.object).collect();
        let listed = Folder::Data.list(&**self.repository.store()).await.map_err(Error::List)?;
        let unnamed: Vec<_> = {
            let index = index.read().unwrap_or_else(PoisonError::into_inner);
            let is_named = |pack: &PackId| index.has_pack(pack) || index.is_doomed(pack);
            let packs = listed.into_iter().map(|(id, object)| (PackId(id), object.size));
            packs.filter(|(pack, _)| !is_named(pack)).collect()
        };
        let marks = self.repository.packs_aside().await.map_err(Error::List)?;
        for (pack, size) in unnamed {
            let Ok(blobs) = headers::read(self.repository, pack, size).await? else { continue };
            let is_missed = blobs.iter().any(|blob| match blob.kind {
                BlobKind::Data => missed.contains(&*format!("blob {}", blob.id)),
                BlobKind::Tree => missed.contains(&*format!("tree {}", blob.id)),
            });
            if is_missed && !aside::is_marked(self.repository, &marks, &pack).await? {
                return Err(Error::Unnamed { pack });
            }
        }
        Ok(())
    }

    async fn publish(
        &self,
        how: How<'_>,
        look: Survey,
        lock: Option<&Lock>,
    ) -> Result<(SnapshotsRepaired, HashSet<(BlobKind, BlobId)>), Error> {
        let Survey { found, mut snapshots, index, losses, trees } = look;
        let unsound = losses.unsound().clone();
        tracing::info!(phase = "salvage");
        let Salvaged { added, lost } = self.salvage(&index, &unsound, how).await?;
        tracing::info!(phase = "rewrite");
        let left = self.rewrite(&index, &lost, &trees, &snapshots, lock.is_some()).await?;
        tracing::info!(phase = "publish");
        self.learn_of_new(&mut snapshots).await?;
        let mut remains = Vec::new();
        for (id, left) in left {
            let original = snapshots[&id].clone();
            let (repaired, was_there) = match (left.tree, lock) {
                (Some(tree), Some(lock)) => {
                    self.publish_one(how, lock, id, &original, tree, &mut snapshots).await?
                }
                _ => (None, false),
            };
            let one = Remains {
                original: id,
                time: original.time,
                tags: original.tags,
                files: left.files,
                folders: left.folders,
                repaired,
                was_there,
            };
            if repaired.is_some() {
                how.editor.published(&one).await.map_err(Error::Keeper)?;
            }
            remains.push(one);
        }
        remains.sort_by_key(|one| std::cmp::Reverse((one.time, one.original)));
        let mut dropped: Vec<_> = unsound.into_iter().collect();
        dropped.sort();
        let repaired = SnapshotsRepaired {
            found,
            salvaged: added,
            lost_blobs: lost.len() as u64,
            dropped,
            snapshots: remains,
            unfinished: None,
        };
        Ok((repaired, lost))
    }

    /// What is left of those snapshots that lost something; new trees are durable on return. `sound` are
    /// trees that were read.
    async fn rewrite(
        &self,
        index: &SharedIndex,
        lost: &HashSet<(BlobKind, BlobId)>,
        sound: &HashSet<BlobId>,
        snapshots: &HashMap<SnapshotId, Snapshot>,
        stores: bool,
    ) -> Result<Vec<(SnapshotId, Left)>, Error> {
        self.progress.phase("write trees", None);
        let reader = Reader::new(self.repository.clone(), index.clone());
        let nothing_known = Arc::new(RwLock::new(Index::new()));
        let writer = self.repository.writer(nothing_known, Handle::current(), self.clock.clone());
        let stored = Vec::new();
        let writes = stores.then_some(&writer);
        let mut rewriting = Rewriting { index, lost, sound, writer: writes, stored };
        let mut known = HashMap::new();
        let mut all = Vec::new();
        let mut ordered: Vec<_> = snapshots.iter().collect();
        // What is left of originals may be what earlier repairs left, and make that whole again.
        ordered.sort_by_key(|(id, one)| (one.left_of().is_some(), one.time, **id));
        for (id, snapshot) in ordered {
            let left = fold(&reader, snapshot.tree, &mut known, &mut rewriting).await?;
            let stored = std::mem::take(&mut rewriting.stored).into_iter();
            known.extend(stored.map(|tree| (tree, Left::whole(tree))));
            self.progress.advance(1, 0);
            if left.tree != Some(snapshot.tree) {
                all.push((*id, left));
            }
        }
        writer.finish().await.map_err(Error::Write)?;
        Ok(all)
    }

    /// Publishes a tree as what is left of a snapshot, unless an earlier repair, one of another host, or
    /// this one did: of two snapshots that are left of the same one the same may be left.
    async fn publish_one(
        &self,
        how: How<'_>,
        lock: &Lock,
        id: SnapshotId,
        original: &Snapshot,
        tree: BlobId,
        snapshots: &mut HashMap<SnapshotId, Snapshot>,
    ) -> Result<(Option<SnapshotId>, bool), Error> {
        let of = original.left_of().unwrap_or(id);
        let is_it = |other: &Snapshot| other.left_of() == Some(of) && other.tree == tree;
        if let Some((there, _)) = snapshots.iter().find(|(_, other)| is_it(other)) {
            return Ok((Some(*there), true));
        }
        lock.confirm().await?;
        let snapshot = Snapshot {
            tree,
            original: Some(of),
            tags: how.editor.tags(&original.tags),
            program_version: format!("lifeboat {}", env!("CARGO_PKG_VERSION")),
            // What it counts is not what is left.
            summary: None,
            ..original.clone()
        };
        let saved = self.repository.save_snapshot(&snapshot).await.map_err(Error::Store)?;
        snapshots.insert(saved, snapshot);
        Ok((Some(saved), false))
    }

    /// Adds the snapshots that came since they were read.
    async fn learn_of_new(
        &self,
        snapshots: &mut HashMap<SnapshotId, Snapshot>,
    ) -> Result<(), Error> {
        let listed = Folder::Snapshots.list(&**self.repository.store()).await;
        for (id, _) in listed.map_err(Error::List)? {
            let id = SnapshotId(id);
            if !snapshots.contains_key(&id)
                && let Ok(snapshot) = self.repository.snapshot(&id).await
            {
                snapshots.insert(id, snapshot);
            }
        }
        Ok(())
    }

    /// Index files name these packs no more; what can be read of them is in others.
    async fn drop_packs(
        &self,
        packs: &[PackId],
        lost: &HashSet<(BlobKind, BlobId)>,
    ) -> Result<(), Error> {
        let lock = self.exclusive().await?;
        let outcome = self.drop_locked(&lock, packs, lost).await;
        // A lock that stays is in nobody's way for long, and the reason to stop is the one to tell.
        let released = lock.release().await;
        outcome?;
        Ok(released?)
    }

    async fn drop_locked(
        &self,
        lock: &Lock,
        packs: &[PackId],
        lost: &HashSet<(BlobKind, BlobId)>,
    ) -> Result<(), Error> {
        let mut files = HashMap::new();
        for (id, file) in self.repository.index_files().await.map_err(Error::Read)? {
            files.insert(id, file.map_err(Error::Read)?);
        }
        let named = files.values().flat_map(|file| file.supersedes.iter().copied());
        let superseded: HashSet<_> = named.filter(|id| files.contains_key(id)).collect();
        let in_force: Vec<_> = files.iter().filter(|(id, _)| !superseded.contains(id)).collect();
        let mut index = Index::new();
        in_force.iter().for_each(|(_, file)| index.insert_file(file));
        let going: HashSet<_> = packs.iter().copied().collect();
        check_saved(&index, &going, lost)?;
        for pack in packs {
            aside::mark(self, *pack).await?;
        }

        let names_one =
            |file: &crate::repo::IndexFile| file.packs.iter().any(|pack| going.contains(&pack.id));
        let old: Vec<_> = in_force.iter().filter(|(_, file)| names_one(file)).collect();
        let of_old: HashSet<PackId> =
            old.iter().flat_map(|(_, file)| &file.packs).map(|pack| pack.id).collect();
        let doomed =
            old.iter().flat_map(|(_, file)| file.packs_to_delete.iter().cloned()).collect();
        let old = old.iter().map(|(id, _)| **id).chain(superseded.iter().copied()).collect();
        let staying = || index.packs().filter(|(pack, _)| !going.contains(pack));
        let must_name = staying().map(|(pack, blobs)| (pack, blobs.len())).collect();
        let again = staying().filter(|(pack, _)| of_old.contains(pack));
        let packs = again.map(|(id, blobs)| IndexPack { id, blobs }).collect();
        let mut unnamed: Vec<_> =
            going.iter().filter(|pack| index.has_pack(pack)).copied().collect();
        if !unnamed.is_empty() {
            unnamed.sort();
            let damaged = Vec::new();
            let exchange =
                Exchange { files, superseded, old, damaged, packs, doomed, must_name, unnamed };
            exchange.carry_out(self, lock).await?;
        }
        Ok(())
    }
}

/// Whether everything that the packs `going` hold is in others, or lost.
fn check_saved(
    index: &Index,
    going: &HashSet<PackId>,
    lost: &HashSet<(BlobKind, BlobId)>,
) -> Result<(), Error> {
    for (pack, blobs) in index.packs().filter(|(pack, _)| going.contains(pack)) {
        for blob in blobs.iter().filter(|blob| !lost.contains(&(blob.kind, blob.id))) {
            let mut places = index.places(blob.kind, &blob.id);
            if !places.any(|place| index.has_pack(&place.pack) && !going.contains(&place.pack)) {
                return Err(Error::WouldLose { pack });
            }
        }
    }
    Ok(())
}
