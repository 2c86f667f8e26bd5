//! Everybody's acts, as the rooms above do them.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::runtime::Handle;

use super::Dice;
use super::gate::Call;
use super::world::{Gated, Planted, World};
use crate::ground::progress::Silent;
use crate::repo::LockId;
use crate::repo::layout;
use crate::repo::lock::{self, Claim, Lock, LockError};
use crate::repo::prune::{Course, Deletion, Error, Keeper, Known, Limits, Prune, Refused};
use crate::repo::{
    BlobId, BlobKind, Depth, Node, NodeKind, Repository, Snapshot, SnapshotId, Tree, verify,
};

/// How one act ended that did not come to its end; only a violation counts against anybody.
pub(super) type Stopped = Box<dyn std::error::Error + Send + Sync>;

pub(super) struct Act {
    pub world: Arc<World>,
    pub gated: Arc<Gated>,
    pub repository: Arc<Repository>,
    /// Locks of dead actors that this host knows of.
    pub dead: Vec<LockId>,
    pub dice: Dice,
}

impl Act {
    pub fn new(world: &Arc<World>, base: &Repository, dice: Dice, dead: Vec<LockId>) -> Self {
        let actor = world.gate.enter();
        let gated =
            Arc::new(Gated { world: world.clone(), actor, late: Mutex::default(), stale: None });
        let repository = gated.repository(base);
        Self { world: world.clone(), gated, repository, dead, dice }
    }

    /// What a repair is told.
    pub fn office(&mut self) -> Office {
        Office {
            world: self.world.clone(),
            actor: self.gated.actor,
            claim: self.claim(),
            turns: self.dice.below(60),
            known: None,
        }
    }

    fn claim(&self) -> Claim {
        Claim { dead: self.dead.clone(), ..Claim::default() }
    }

    /// As `backup/mod.rs`: lock, index held against the listing, content, fence, snapshot, ledger.
    pub async fn backup(mut self) -> Result<(), Stopped> {
        let lock = Lock::shared(&self.repository, &self.world.clock, &self.claim()).await?;
        let index = self.repository.load_index().await?;
        let sizes = self.repository.pack_sizes(&index).await?;
        let index = index.without(&sizes).map_or(index, |(rest, _)| rest);
        let index = Arc::new(RwLock::new(index));
        let clock = self.world.clock.clone();
        let writer = self.repository.writer(index, Handle::current(), clock);
        let (mut needs, mut nodes) = (BTreeSet::new(), Vec::new());
        // Few contents: much is stored already, and much is needed no more.
        for name in 0..=self.dice.below(4) {
            let content = vec![self.dice.below(10) as u8; 40];
            let blob = writer.store_blob(BlobKind::Data, &content)?;
            needs.insert((BlobKind::Data, blob));
            nodes.push(node(name, NodeKind::File { size: 40, content: vec![blob] }));
        }
        let folder = writer.store_tree(&Tree { nodes })?;
        let nodes = vec![node(0, NodeKind::Dir { subtree: folder })];
        let root = writer.store_tree(&Tree { nodes })?;
        needs.extend([(BlobKind::Tree, folder), (BlobKind::Tree, root)]);
        writer.finish().await?;
        if self.world.planted != Some(Planted::MissingFence) {
            lock.confirm().await.inspect_err(|_| self.world.count(|tally| tally.fenced += 1))?;
        }
        self.world.needs.lock().unwrap().insert(root, needs);
        let id = self.repository.save_snapshot(&snapshot(root, self.world.clock.now())).await?;
        self.world.published.lock().unwrap().push(id);
        let is_between = !self.world.between_slices.lock().unwrap().is_empty();
        self.world.count(|tally| {
            tally.published += 1;
            tally.published_between += usize::from(is_between);
        });
        Ok(lock.release().await?)
    }

    /// As `retain/forget.rs`, with a plan by chance that keeps at least one.
    pub async fn forget(mut self) -> Result<(), Stopped> {
        let lock = Lock::exclusive(&self.repository, &self.world.clock, &self.claim()).await?;
        let mut all = self.repository.snapshots().await?;
        all.pop();
        let going: Vec<_> = all.into_iter().filter(|_| !self.dice.one_in(3)).collect();
        let is_going = |id: &SnapshotId| going.iter().any(|(one, _)| one == id);
        self.world.published.lock().unwrap().retain(|id| !is_going(id));
        self.world.given_up.lock().unwrap().extend(going.iter().map(|(id, _)| *id));
        for (id, _) in &going {
            lock.confirm().await.inspect_err(|_| self.world.count(|tally| tally.fenced += 1))?;
            self.repository.store().delete(&layout::snapshot(id)).await?;
            self.world.count(|tally| tally.forgotten += 1);
        }
        Ok(lock.release().await?)
    }

    pub async fn prune(mut self, base: &Repository) -> Result<(), Stopped> {
        let is_stale = self.world.planted == Some(Planted::DeletionBeforeRelisting);
        if is_stale {
            let stale = Some(Mutex::new(HashMap::new()));
            let (world, actor) = (self.world.clone(), self.gated.actor);
            self.gated = Arc::new(Gated { world, actor, late: Mutex::default(), stale });
            self.repository = self.gated.repository(base);
        }
        let limits = limits(&mut self.dice);
        let keeper = Office { known: is_stale.then(Mutex::default), ..self.office() };
        let (repository, clock, progress) = (&self.repository, &self.world.clock, &Silent);
        let prune = Prune { repository, clock, keeper: &keeper, progress, limits };
        let mut course = Course::default();
        let ended = prune.run(&mut course).await;
        self.world.count(|tally| {
            tally.pruned += course.done.removed_packs as usize;
            tally.repacked += course.done.repacked_packs as usize;
            tally.spared += course.done.spared_packs as usize;
            if let Err(Error::Lock(LockError::Removed | LockError::Unrefreshed { .. })) = &ended {
                tally.fenced += 1;
            }
        });
        Ok(ended?)
    }

    /// While its lock holds, whoever looks finds everything that snapshots need.
    pub async fn verify(self) -> Result<(), Stopped> {
        let lock = Lock::shared(&self.repository, &self.world.clock, &self.claim()).await?;
        let found = verify(&self.repository, &[], Depth::Structure, &Silent).await?;
        lock.confirm().await?;
        // An index file may name a pack that is gone: its writer lost its lock. Nobody needs it.
        let needed = |object: &str| !object.starts_with("pack ");
        let rots = self.world.rot.lock().unwrap().times > 0;
        if let Some(damage) = found.errors.iter().find(|damage| !rots && needed(&damage.object)) {
            self.world.violated(format!("verify found {damage:?}"));
        }
        self.world.count(|tally| tally.verified += 1);
        Ok(lock.release().await?)
    }

    /// A person who removes locks that others hold.
    pub async fn unlock(self) -> Result<(), Stopped> {
        lock::unlock(&self.repository, &*self.world.clock, &[], true).await?;
        Ok(())
    }
}

/// Mostly so tight that every prune takes several slices and several batches.
fn limits(dice: &mut Dice) -> Limits {
    if dice.one_in(4) {
        return Limits::default();
    }
    Limits {
        longest: if dice.one_in(2) { Duration::ZERO } else { Limits::default().longest },
        packs: 1 + dice.below(3),
        index_blobs: 1 + dice.below(10),
        file_blobs: 1 + dice.below(5),
        batch_bytes: 1 + dice.below(400) as u64,
    }
}

/// The ledger and the host, for a prune.
pub(super) struct Office {
    world: Arc<World>,
    actor: usize,
    claim: Claim,
    /// How many turns others have between two slices.
    turns: usize,
    /// What a planted mistake knows for ever.
    known: Option<Mutex<Option<Known>>>,
}

#[async_trait]
impl Keeper for Office {
    async fn claim(&self) -> Result<Claim, Refused> {
        Ok(self.claim.clone())
    }

    async fn known(&self) -> Result<Known, Refused> {
        let published = self.world.published.lock().unwrap().clone();
        let given_up = self.world.given_up.lock().unwrap().clone();
        let now = Known { published, given_up };
        Ok(match &self.known {
            Some(known) => known.lock().unwrap().get_or_insert(now).clone(),
            None => now,
        })
    }

    async fn deleting(&self, _: &Deletion) -> Result<(), Refused> {
        Ok(())
    }

    async fn pause(&self, _: Duration) {
        self.world.between_slices.lock().unwrap().insert(self.actor);
        for _ in 0..self.turns {
            self.world.gate.pass(self.actor, Call::Other).await;
        }
        self.world.between_slices.lock().unwrap().remove(&self.actor);
        self.world.count(|tally| tally.paused += 1);
    }
}

pub(super) fn node(name: usize, kind: NodeKind) -> Node {
    Node {
        name: format!("{name}").into_bytes(),
        kind,
        mode: 0o644,
        mtime: None,
        atime: None,
        ctime: None,
        uid: 0,
        gid: 0,
        user: String::new(),
        group: String::new(),
        inode: 0,
        device_id: 0,
        links: 0,
        xattrs: Vec::new(),
    }
}

pub(super) fn snapshot(tree: BlobId, time: Timestamp) -> Snapshot {
    Snapshot {
        time,
        parent: None,
        original: None,
        tree,
        paths: Vec::new(),
        hostname: String::new(),
        username: String::new(),
        uid: 0,
        gid: 0,
        tags: Vec::new(),
        program_version: String::new(),
        others: Default::default(),
        summary: None,
    }
}
