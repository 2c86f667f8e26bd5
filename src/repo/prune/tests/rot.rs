//! What rots in the store, and the repairs that everybody runs beside the others' work.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, RwLock};

use async_trait::async_trait;
use jiff::Timestamp;

use super::Dice;
use super::acts::{Act, Stopped};
use super::world::World;
use crate::ground::progress::Silent;
use crate::repo::pack::{PackedBlob, read_header};
use crate::repo::prune::Refused;
use crate::repo::repair::{Editor, How, Remains, Repair};
use crate::repo::verify::Memory;
use crate::repo::{BlobId, BlobKind, Depth, NodeKind, PackId, Reader, Repository, layout};
use crate::store::{ObjectName, Put, Store};

pub(super) type Blob = (BlobKind, BlobId);

/// What is not as it was written.
#[derive(Debug, Default)]
pub(super) struct Rot {
    /// An index file is gone or garbled, and no repair of the index came to its end since.
    pub of_index: bool,
    /// Blobs that packs hold no more.
    pub of_packs: HashMap<PackId, HashSet<BlobId>>,
    /// What was needed and of which no readable copy was left.
    pub lost: HashSet<Blob>,
    /// Packs that a repair took out of the index.
    pub dropped: HashSet<PackId>,
    /// How often something rotted.
    pub times: usize,
}

impl World {
    /// An index file goes or is garbled.
    pub async fn rot_index(&self, dice: &mut Dice) {
        let files = self.list("index").await;
        if files.is_empty() {
            return;
        }
        let name = files[dice.below(files.len())].name.clone();
        match dice.one_in(2) {
            true => self.memory.delete(&name).await.unwrap(),
            false => self.memory.put(&name, vec![7; 90].into(), Put::Overwrite).await.unwrap(),
        }
        self.indexes.lock().unwrap().remove(&name);
        let mut rot = self.rot.lock().unwrap();
        (rot.of_index, rot.times) = (true, rot.times + 1);
        drop(rot);
        self.count(|tally| tally.rotted += 1);
    }

    /// A byte of a blob flips.
    pub async fn rot_pack(&self, dice: &mut Dice) {
        let packs = self.list("data").await;
        if packs.is_empty() {
            return;
        }
        let name = packs[dice.below(packs.len())].name.clone();
        let (pack, blobs) = self.held(&name).await;
        let blob = blobs[dice.below(blobs.len())];
        // One that nobody names any more is named again if its bytes change: it may have been mended.
        let is_rotten = |rot: &Rot| {
            rot.dropped.contains(&pack)
                || rot.of_packs.get(&pack).is_some_and(|of| of.contains(&blob.id))
        };
        if is_rotten(&self.rot.lock().unwrap()) {
            return;
        }
        let mut bytes = self.memory.get(&name, None).await.unwrap().to_vec();
        bytes[blob.offset as usize + 20] ^= 1;
        self.memory.put(&name, bytes.into(), Put::Overwrite).await.unwrap();
        {
            let mut rot = self.rot.lock().unwrap();
            rot.of_packs.entry(pack).or_default().insert(blob.id);
            rot.times += 1;
        }
        let of_index = self.rot.lock().unwrap().of_index;
        if !self.readable(!of_index).await.contains(&(blob.kind, blob.id)) {
            self.rot.lock().unwrap().lost.insert((blob.kind, blob.id));
        }
        self.count(|tally| tally.rotted += 1);
    }

    /// What a pack held when it was written.
    async fn held(&self, name: &ObjectName) -> (PackId, Vec<PackedBlob>) {
        let pack = super::world::id(name);
        if let Some(blobs) = self.packs.lock().unwrap().get(&pack) {
            return (pack, blobs.clone());
        }
        let bytes = self.memory.get(name, None).await.unwrap();
        let key = self.key.lock().unwrap().clone().unwrap();
        let blobs = read_header(&key, bytes.len() as u64, &bytes).unwrap();
        self.packs.lock().unwrap().insert(pack, blobs.clone());
        (pack, blobs)
    }

    /// What can be read of the packs that are there: of all, or of those that index files name.
    pub async fn readable(&self, named_only: bool) -> HashSet<Blob> {
        let named = self.named().await;
        let mut readable = HashSet::new();
        for object in self.list("data").await {
            let (pack, blobs) = self.held(&object.name).await;
            let rot = self.rot.lock().unwrap();
            let is_sound = |blob: &&PackedBlob| {
                rot.of_packs.get(&pack).is_none_or(|rotten| !rotten.contains(&blob.id))
                    && (!named_only || named.contains(&(pack, blob.id)))
            };
            readable.extend(blobs.iter().filter(is_sound).map(|blob| (blob.kind, blob.id)));
        }
        readable
    }

    async fn named(&self) -> HashSet<(PackId, BlobId)> {
        let mut named = HashSet::new();
        for object in self.list("index").await {
            let Some(file) = self.index_file(&object.name).await else { continue };
            let packs = file.packs.iter();
            named.extend(packs.flat_map(|pack| pack.blobs.iter().map(|blob| (pack.id, blob.id))));
        }
        named
    }

    /// Whatever snapshots need can be read, unless it rotted; while no index file is missed, by its name.
    pub async fn check_rotten(&self) {
        let of_index = self.rot.lock().unwrap().of_index;
        let readable = self.readable(!of_index).await;
        if let Some((name, need)) = self.missed(&readable).await {
            self.violated(format!("{name} needs {need:?}"));
        }
    }

    /// What snapshots need and could be read by its name before an index file went still can.
    pub async fn check_names(&self, gone: &ObjectName, before: &HashSet<Blob>) {
        let mut after = self.readable(true).await;
        after.extend(self.readable(false).await.difference(before).copied());
        if let Some((name, need)) = self.missed(&after).await {
            self.violated(format!("{gone} took the name of {need:?}, which {name} needs"));
        }
    }

    /// What a snapshot needs that did not rot and is not among `stored`.
    async fn missed(&self, stored: &HashSet<Blob>) -> Option<(ObjectName, Blob)> {
        for object in self.list("snapshots").await {
            let root = self.roots.lock().unwrap()[&object.name];
            // Of what a repair published that nobody has looked at yet.
            let Some(needs) = self.needs.lock().unwrap().get(&root).cloned() else { continue };
            let rot = self.rot.lock().unwrap();
            let missed =
                needs.iter().find(|need| !stored.contains(need) && !rot.lost.contains(need));
            if let Some(missed) = missed {
                return Some((object.name, *missed));
            }
        }
        None
    }

    /// A new index file brings back what it names of packs that came; one that came and has no name
    /// yet may lose its writer.
    pub async fn named_anew(&self) {
        let readable = self.readable(true).await;
        self.rot.lock().unwrap().lost.retain(|lost| !readable.contains(lost));
    }

    /// What the tree of a snapshot that a repair published needs; all of it can be read.
    pub async fn learn(&self, base: &Arc<Repository>, root: BlobId, times: usize) {
        let (index, _) = base.load_readable_index().await.unwrap();
        let reader = Reader::new(base.clone(), Arc::new(RwLock::new(index)));
        let mut needs = BTreeSet::from([(BlobKind::Tree, root)]);
        let mut walk = reader.walk(root);
        let mut is_whole = true;
        while let Some(entry) = walk.next().await {
            match entry.map(|entry| entry.node.kind) {
                Ok(NodeKind::Dir { subtree }) => drop(needs.insert((BlobKind::Tree, subtree))),
                Ok(NodeKind::File { content, .. }) => {
                    needs.extend(content.into_iter().map(|blob| (BlobKind::Data, blob)));
                }
                Ok(_) => {}
                Err(_) => is_whole = false,
            }
        }
        let readable = self.readable(false).await;
        is_whole &= needs.iter().all(|need| readable.contains(need));
        if !is_whole && self.rot.lock().unwrap().times == times {
            self.violated("a repair published what cannot be read".into());
        }
        self.needs.lock().unwrap().insert(root, needs);
    }
}

impl Act {
    fn repairs(&self) -> usize {
        self.world.repairing.lock().unwrap().insert(self.gated.actor);
        self.world.rot.lock().unwrap().times
    }

    /// As `repair/mod.rs`; afterwards every pack that is there and sound has its name.
    pub async fn repair_index(mut self) -> Result<(), Stopped> {
        let times = self.repairs();
        let keeper = self.office();
        let (repository, clock) = (&self.repository, &self.world.clock);
        let repair = Repair { repository, clock, keeper: &keeper, progress: &Silent };
        repair.index().await?;
        let is_last = {
            let mut rot = self.world.rot.lock().unwrap();
            rot.of_index &= rot.times != times;
            rot.times == times
        };
        if is_last {
            self.world.check().await;
        }
        self.world.count(|tally| tally.index_repaired += 1);
        Ok(())
    }

    pub async fn repair_snapshots(mut self, base: &Arc<Repository>) -> Result<(), Stopped> {
        let times = self.repairs();
        let keeper = self.office();
        let desk = Desk { world: self.world.clone(), base: base.clone(), times };
        let (repository, clock) = (&self.repository, &self.world.clock);
        let repair = Repair { repository, clock, keeper: &keeper, progress: &Silent };
        let how = How { depth: Depth::ReadData, dry_run: false, memory: &desk, editor: &desk };
        let done = repair.snapshots(how).await?;
        self.world.rot.lock().unwrap().dropped.extend(&done.dropped);
        self.world.count(|tally| tally.dropped += done.dropped.len());
        Ok(())
    }
}

/// The ledger and the host, for a repair of snapshots.
struct Desk {
    world: Arc<World>,
    base: Arc<Repository>,
    /// How often something had rotted when it began.
    times: usize,
}

#[async_trait]
impl Editor for Desk {
    fn tags(&self, _: &[String]) -> Vec<String> {
        vec!["repaired".into()]
    }

    async fn published(&self, what: &Remains) -> Result<(), Refused> {
        let id = what.repaired.expect("what is published has an id");
        let root = self.world.roots.lock().unwrap().get(&layout::snapshot(&id)).copied();
        if let Some(root) = root {
            self.world.learn(&self.base, root, self.times).await;
        }
        self.world.count(|tally| tally.left_published += 1);
        Ok(())
    }
}

#[async_trait]
impl Memory for Desk {
    async fn readings(&self) -> Result<HashMap<PackId, Option<Timestamp>>, Refused> {
        Ok(HashMap::new())
    }

    async fn remember(&self, _: &[(PackId, bool)]) -> Result<(), Refused> {
        Ok(())
    }

    async fn forget(&self, _: &[PackId]) -> Result<(), Refused> {
        Ok(())
    }
}
