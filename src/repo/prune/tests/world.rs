//! The store that all share, what everybody may rely on, and what must be so at every moment.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::{AddAssign, Range};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use jiff::{SignedDuration, Timestamp};

use super::gate::{Call, Gate};
use super::rot::Rot;
use crate::ground::clock::{Clock, SetClock};
use crate::ground::digest::Digest;
use crate::repo::LockId;
use crate::repo::pack::{PackedBlob, expected_size};
use crate::repo::{BlobId, BlobKind, IndexFile, PackId, Repository, SnapshotId, file};
use crate::seal::MasterKey;
use crate::store::{self, Memory, Object, ObjectName, Put, Store};

/// A mistake that is put in on purpose, to see that the model finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Planted {
    /// A backup's packs arrive after the index file that names them.
    IndexBeforePack,
    /// A backup's index files arrive after its snapshot.
    SnapshotBeforeIndex,
    /// A prune deletes by what it listed in the beginning.
    DeletionBeforeRelisting,
    /// A backup publishes without asking whether it still has its lock.
    MissingFence,
    /// A repair's new index files never arrive.
    NamesGoFirst,
    /// What a repair saves never arrives, and it is indexed.
    DropBeforeSalvage,
    /// A repair marks no pack that it takes out of the index.
    MarkForgotten,
}

/// What happened in a run, to see that it tried something.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Tally {
    pub published: usize,
    pub forgotten: usize,
    pub pruned: usize,
    pub repacked: usize,
    pub verified: usize,
    pub fenced: usize,
    /// Packs that a backup began to use while they were to go.
    pub spared: usize,
    /// Pauses between two slices, backups that were published and prunes that died in one.
    pub paused: usize,
    pub published_between: usize,
    pub crashed_between: usize,
    pub crashed: usize,
    pub slept: usize,
    /// Where things rot.
    pub rotted: usize,
    pub index_repaired: usize,
    pub dropped: usize,
    pub left_published: usize,
}

impl Tally {
    pub fn all(&self) -> [usize; 12] {
        let Self { published, forgotten, pruned, repacked, verified, fenced, spared, .. } = *self;
        let Self { paused, published_between, crashed_between, crashed, slept, .. } = *self;
        [
            published,
            forgotten,
            pruned,
            repacked,
            verified,
            fenced,
            spared,
            paused,
            published_between,
            crashed_between,
            crashed,
            slept,
        ]
    }
}

impl Tally {
    pub fn of_repairs(&self) -> [usize; 4] {
        [self.rotted, self.index_repaired, self.dropped, self.left_published]
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.published += other.published;
        self.forgotten += other.forgotten;
        self.pruned += other.pruned;
        self.repacked += other.repacked;
        self.verified += other.verified;
        self.fenced += other.fenced;
        self.spared += other.spared;
        self.paused += other.paused;
        self.published_between += other.published_between;
        self.crashed_between += other.crashed_between;
        self.crashed += other.crashed;
        self.slept += other.slept;
        self.rotted += other.rotted;
        self.index_repaired += other.index_repaired;
        self.dropped += other.dropped;
        self.left_published += other.left_published;
    }
}

pub(super) struct World {
    pub memory: Arc<Memory>,
    pub gate: Gate,
    pub hands: Arc<SetClock>,
    pub clock: Arc<dyn Clock>,
    pub key: Mutex<Option<MasterKey>>,
    pub planted: Option<Planted>,
    pub tally: Mutex<Tally>,
    /// The ledger: what was published and not given up.
    pub published: Mutex<Vec<SnapshotId>>,
    pub given_up: Mutex<HashSet<SnapshotId>>,
    /// What a tree needs, itself included; told by whoever backs it up.
    pub needs: Mutex<HashMap<BlobId, BTreeSet<(BlobKind, BlobId)>>>,
    pub roots: Mutex<HashMap<ObjectName, BlobId>>,
    modified: Mutex<HashMap<ObjectName, Timestamp>>,
    locks: Mutex<HashMap<usize, HashSet<ObjectName>>>,
    pub indexes: Mutex<HashMap<ObjectName, Arc<IndexFile>>>,
    /// Whether packs and index files rot, and are repaired.
    pub rots: bool,
    pub rot: Mutex<Rot>,
    /// What packs hold, as they were written.
    pub packs: Mutex<HashMap<PackId, Vec<PackedBlob>>>,
    /// Actors that repair.
    pub repairing: Mutex<HashSet<usize>>,
    /// Prunes that let others have the repository for a while.
    pub between_slices: Mutex<HashSet<usize>>,
    pub violation: Mutex<Option<String>>,
}

impl World {
    pub fn new(rots: bool, planted: Option<Planted>) -> Arc<Self> {
        let hands = Arc::new(SetClock::at(Timestamp::from_second(1_000_000_000).unwrap()));
        Arc::new(Self {
            memory: Arc::new(Memory::new()),
            gate: Gate::default(),
            clock: hands.clone(),
            hands,
            key: Mutex::default(),
            planted,
            tally: Mutex::default(),
            published: Mutex::default(),
            given_up: Mutex::default(),
            needs: Mutex::default(),
            roots: Mutex::default(),
            modified: Mutex::default(),
            locks: Mutex::default(),
            indexes: Mutex::default(),
            rots,
            rot: Mutex::default(),
            packs: Mutex::default(),
            repairing: Mutex::default(),
            between_slices: Mutex::default(),
            violation: Mutex::default(),
        })
    }

    pub fn count(&self, what: impl FnOnce(&mut Tally)) {
        what(&mut self.tally.lock().unwrap());
    }

    /// All clocks go on; whoever holds a lock slept.
    pub fn pass_time(&self, minutes: i64) {
        self.hands.set(self.clock.now() + SignedDuration::from_mins(minutes));
    }

    /// Locks that an actor left, if it is dead.
    pub fn left_by(&self, actor: usize) -> Vec<LockId> {
        let locks = self.locks.lock().unwrap();
        let id = |name: &ObjectName| name.as_str().rsplit('/').next()?.parse().ok();
        locks.get(&actor).into_iter().flatten().filter_map(id).collect()
    }

    pub fn violated(&self, what: String) {
        self.violation.lock().unwrap().get_or_insert(what);
    }

    async fn get(&self, name: &ObjectName) -> Option<Bytes> {
        self.memory.get(name, None).await.ok()
    }

    pub async fn list(&self, folder: &str) -> Vec<Object> {
        let folder = folder.parse().unwrap();
        self.memory.list(Some(&folder)).map(Result::unwrap).collect().await
    }

    pub async fn index_file(&self, name: &ObjectName) -> Option<Arc<IndexFile>> {
        if let Some(known) = self.indexes.lock().unwrap().get(name) {
            return Some(known.clone());
        }
        let sealed = self.get(name).await?;
        let key = self.key.lock().unwrap().clone()?;
        let json = file::decode_unnamed(&key, &sealed).ok()?;
        let file = Arc::new(IndexFile::decode(&json).unwrap());
        self.indexes.lock().unwrap().insert(name.clone(), file.clone());
        Some(file)
    }

    /// What must be so at every moment.
    pub async fn check(&self) {
        if self.rots {
            return self.check_rotten().await;
        }
        let packs: HashMap<PackId, u64> =
            self.list("data").await.into_iter().map(|one| (id(&one.name), one.size)).collect();
        let mut stored: HashSet<(BlobKind, BlobId)> = HashSet::new();
        for object in self.list("index").await {
            let Some(file) = self.index_file(&object.name).await else { continue };
            for pack in &file.packs {
                if packs.get(&pack.id) == Some(&expected_size(&pack.blobs)) {
                    stored.extend(pack.blobs.iter().map(|blob| (blob.kind, blob.id)));
                }
            }
        }
        for object in self.list("snapshots").await {
            let root = self.roots.lock().unwrap()[&object.name];
            let needs = self.needs.lock().unwrap()[&root].clone();
            if let Some((kind, lost)) = needs.iter().find(|blob| !stored.contains(blob)) {
                self.violated(format!("{} needs the {kind:?} blob {lost}", object.name));
            }
        }
    }

    /// Whoever still has its lock names only what is there, or what was named before: of a pack that
    /// is gone and that nobody needs a slice may write down what it found written.
    async fn check_order(&self, actor: usize, name: &ObjectName) {
        let locks = self.locks.lock().unwrap().get(&actor).cloned().unwrap_or_default();
        let mut is_locked = false;
        for lock in locks {
            is_locked |= self.get(&lock).await.is_some();
        }
        let Some(file) = self.index_file(name).await.filter(|_| is_locked) else { return };
        let mut named = HashSet::new();
        for other in self.list("index").await.iter().filter(|other| other.name != *name) {
            let other = self.index_file(&other.name).await;
            named.extend(other.iter().flat_map(|file| &file.packs).map(|pack| pack.id));
        }
        for pack in file.packs.iter().filter(|pack| !named.contains(&pack.id)) {
            if self.rot.lock().unwrap().dropped.contains(&pack.id) {
                self.violated(format!("{name} names pack {} again, which is damaged", pack.id));
            }
            let object = crate::repo::layout::pack(&pack.id);
            if self.get(&object).await.is_none() {
                self.violated(format!("{name} names pack {}, which is not there", pack.id));
            }
        }
    }
}

pub(super) fn id(name: &ObjectName) -> PackId {
    PackId(name.as_str().rsplit('/').next().unwrap().parse::<Digest>().unwrap())
}

/// The store as one actor reaches it.
pub(super) struct Gated {
    pub world: Arc<World>,
    pub actor: usize,
    /// Puts that a planted mistake holds back.
    pub late: Mutex<Vec<(ObjectName, Bytes)>>,
    /// What a planted mistake lists for ever.
    pub stale: Option<Mutex<HashMap<String, Vec<Object>>>>,
}

impl std::fmt::Debug for Gated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Gated({})", self.actor)
    }
}

impl Gated {
    pub fn repository(self: &Arc<Self>, base: &Repository) -> Arc<Repository> {
        Arc::new(base.through(self.clone()))
    }

    async fn put_now(&self, name: &ObjectName, body: Bytes, how: Put) -> store::Result<()> {
        let world = &self.world;
        world.memory.put(name, body, how).await?;
        world.modified.lock().unwrap().insert(name.clone(), world.clock.now());
        if name.as_str().starts_with("locks/") {
            let mut locks = world.locks.lock().unwrap();
            locks.entry(self.actor).or_default().insert(name.clone());
        }
        if name.as_str().starts_with("index/") {
            world.check_order(self.actor, name).await;
            if world.rots {
                world.named_anew().await;
            }
        }
        Ok(())
    }

    fn is_late(&self, name: &ObjectName) -> bool {
        match self.world.planted {
            Some(Planted::IndexBeforePack) => name.as_str().starts_with("data/"),
            Some(Planted::SnapshotBeforeIndex) => name.as_str().starts_with("index/"),
            Some(Planted::NamesGoFirst) => self.repairs() && name.as_str().starts_with("index/"),
            Some(Planted::DropBeforeSalvage) => {
                self.repairs() && name.as_str().starts_with("data/")
            }
            Some(Planted::MarkForgotten) => name.as_str().starts_with("damaged/data/"),
            _ => false,
        }
    }

    fn repairs(&self) -> bool {
        self.world.repairing.lock().unwrap().contains(&self.actor)
    }

    /// The folder after whose next object what was held back arrives.
    fn lets_arrive(&self, name: &ObjectName) -> bool {
        let after = match self.world.planted {
            Some(Planted::IndexBeforePack) => "index/",
            Some(Planted::SnapshotBeforeIndex) => "snapshots/",
            _ => return false,
        };
        name.as_str().starts_with(after)
    }
}

#[async_trait]
impl Store for Gated {
    async fn put(&self, name: &ObjectName, body: Bytes, how: Put) -> store::Result<()> {
        let world = self.world.clone();
        let is_snapshot = name.as_str().starts_with("snapshots/");
        let call = if is_snapshot { Call::Commit } else { Call::Other };
        world.gate.pass(self.actor, call).await;
        if is_snapshot {
            let key = world.key.lock().unwrap().clone().unwrap();
            let json = file::decode_unnamed(&key, &body).unwrap();
            let root = crate::repo::Snapshot::decode(&json).unwrap().tree;
            world.roots.lock().unwrap().insert(name.clone(), root);
        }
        if self.is_late(name) {
            self.late.lock().unwrap().push((name.clone(), body));
        } else {
            self.put_now(name, body, how).await?;
            if is_snapshot {
                world.check().await;
            }
            if self.lets_arrive(name) {
                let late = std::mem::take(&mut *self.late.lock().unwrap());
                for (name, body) in late {
                    self.put_now(&name, body, Put::Overwrite).await?;
                }
            }
        }
        world.gate.pass(self.actor, Call::Answer).await;
        Ok(())
    }

    async fn get(&self, name: &ObjectName, range: Option<Range<u64>>) -> store::Result<Bytes> {
        self.world.gate.pass(self.actor, Call::Other).await;
        let late = self.late.lock().unwrap().iter().find(|(one, _)| one == name).cloned();
        match (late, range) {
            (Some((_, body)), None) => Ok(body),
            (_, range) => self.world.memory.get(name, range).await,
        }
    }

    fn list(&self, prefix: Option<&ObjectName>) -> BoxStream<'_, store::Result<Object>> {
        let prefix = prefix.cloned();
        let listing = async move {
            self.world.gate.pass(self.actor, Call::Other).await;
            let folder = prefix.as_ref().map_or("", ObjectName::as_str).to_owned();
            let listed: Vec<_> = self.world.memory.list(prefix.as_ref()).collect().await;
            let modified = self.world.modified.lock().unwrap().clone();
            let listed = listed.into_iter().map(|object| {
                object.map(|mut object| {
                    object.modified = modified.get(&object.name).copied().unwrap_or_default();
                    object
                })
            });
            let listed: Vec<Object> = listed.collect::<store::Result<_>>().unwrap();
            let listed = match &self.stale {
                Some(stale) if folder == "snapshots" => {
                    stale.lock().unwrap().entry(folder).or_insert(listed).clone()
                }
                _ => listed,
            };
            stream::iter(listed.into_iter().map(Ok))
        };
        stream::once(listing).flatten().boxed()
    }

    async fn delete(&self, name: &ObjectName) -> store::Result<()> {
        let world = &self.world;
        let text = name.as_str();
        let is_commit = ["data/", "index/", "snapshots/"].iter().any(|one| text.starts_with(one));
        world.gate.pass(self.actor, if is_commit { Call::Commit } else { Call::Other }).await;
        let is_index = world.rots && text.starts_with("index/");
        let before = if is_index { world.readable(true).await } else { HashSet::new() };
        let deleted = world.memory.delete(name).await;
        if is_index {
            world.check_names(name, &before).await;
        }
        if text.starts_with("data/") || text.starts_with("index/") {
            world.check().await;
        }
        world.gate.pass(self.actor, Call::Answer).await;
        deleted
    }

    fn place(&self) -> String {
        "a model".into()
    }
}
