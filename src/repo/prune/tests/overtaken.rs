//! A backup begins to use what a prune has planned to remove: between its survey and what follows.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use tokio::runtime::Handle;

use super::acts::{node, snapshot};
use crate::ground::clock::{Clock, SetClock};
use crate::ground::digest::Digest;
use crate::ground::progress::Silent;
use crate::repo::layout;
use crate::repo::lock::Claim;
use crate::repo::prune::{Course, Deletion, Keeper, Known, Limits, Prune, Refused};
use crate::repo::repository::tests::create_in;
use crate::repo::{BlobId, BlobKind, Index, NodeKind, PackId, Reader, Repository, Tree};
use crate::store::{Memory, Put, Store};

/// So many bytes that do not compress.
fn noise(length: usize, seed: u8) -> Vec<u8> {
    let block = |n: usize| Digest::of(&[seed, n as u8, (n >> 8) as u8]).0;
    (0..length.div_ceil(32)).flat_map(block).take(length).collect()
}

struct Bench {
    memory: Arc<Memory>,
    repository: Arc<Repository>,
    clock: Arc<dyn Clock>,
    /// Locks that were asked for.
    asked: AtomicUsize,
    /// What the backup between needs.
    wanted: Vec<u8>,
}

impl Bench {
    async fn new(wanted: Vec<u8>) -> Self {
        let memory = Arc::new(Memory::new());
        let repository = Arc::new(create_in(memory.clone()).await);
        let clock = Arc::new(SetClock::at(Timestamp::from_second(1_000_000).unwrap()));
        Self { memory, repository, clock, asked: AtomicUsize::new(0), wanted }
    }

    /// Stores `contents` in one pack, whatever is stored elsewhere already; answers which.
    async fn pack(&self, contents: &[&[u8]]) -> PackId {
        self.store(Index::new(), contents).await;
        let index = self.repository.load_index().await.unwrap();
        let blob = BlobId(Digest::of(contents.last().unwrap()));
        index.places(BlobKind::Data, &blob).next().unwrap().pack
    }

    async fn store(&self, index: Index, contents: &[&[u8]]) -> Vec<BlobId> {
        let index = Arc::new(RwLock::new(index));
        let writer = self.repository.writer(index, Handle::current(), self.clock.clone());
        let store = |content: &&[u8]| writer.store_blob(BlobKind::Data, content).unwrap();
        let blobs = contents.iter().map(store).collect();
        writer.finish().await.unwrap();
        blobs
    }

    /// Backs up `content`, by what the index knows of it.
    async fn back_up(&self, content: &[u8]) {
        let index = self.repository.load_index().await.unwrap();
        let index = Arc::new(RwLock::new(index));
        let writer = self.repository.writer(index, Handle::current(), self.clock.clone());
        let blob = writer.store_blob(BlobKind::Data, content).unwrap();
        let kind = NodeKind::File { size: content.len() as u64, content: vec![blob] };
        let root = writer.store_tree(&Tree { nodes: vec![node(0, kind)] }).unwrap();
        writer.finish().await.unwrap();
        self.repository.save_snapshot(&snapshot(root, self.clock.now())).await.unwrap();
    }

    async fn prune(&self) -> Course {
        let (repository, clock) = (&self.repository, &self.clock);
        let limits = Limits::default();
        let prune = Prune { repository, clock, keeper: self, progress: &Silent, limits };
        let mut course = Course::default();
        prune.run(&mut course).await.unwrap();
        course
    }

    async fn is_there(&self, pack: &PackId) -> bool {
        self.memory.get(&layout::pack(pack), None).await.is_ok()
    }

    /// What the backup between stored is read back.
    async fn is_sound(&self) {
        let index = Arc::new(RwLock::new(self.repository.load_index().await.unwrap()));
        let blob = BlobId(Digest::of(&self.wanted));
        let read = Reader::new(self.repository.clone(), index).blob(BlobKind::Data, &blob).await;
        assert_eq!(read.unwrap(), self.wanted);
    }
}

#[async_trait]
impl Keeper for Bench {
    /// The second lock is the first after the survey.
    async fn claim(&self) -> Result<Claim, Refused> {
        if self.asked.fetch_add(1, Ordering::Relaxed) == 1 {
            self.back_up(&self.wanted).await;
        }
        Ok(Claim::default())
    }

    async fn known(&self) -> Result<Known, Refused> {
        Ok(Known::default())
    }

    async fn deleting(&self, _: &Deletion) -> Result<(), Refused> {
        Ok(())
    }

    async fn pause(&self, _: Duration) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pack_that_was_to_be_packed_anew_stays_where_a_backup_uses_the_rest_of_it() {
    let (needed, rest) = (noise(2000, 1), noise(90_000, 2));
    let bench = Bench::new(rest.clone()).await;
    let pack = bench.pack(&[&rest, &needed]).await;
    bench.back_up(&needed).await;

    let course = bench.prune().await;

    let repack = course.plan.unwrap().repack;
    assert!(repack.iter().any(|one| one.pack == pack), "{repack:#?}");
    assert_eq!((course.done.spared_packs, course.done.removed_packs), (1, 0));
    assert!(bench.is_there(&pack).await);
    bench.is_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unused_pack_stays_where_a_backup_uses_what_lies_rotten_in_another_one() {
    let (needed, wanted) = (noise(90_000, 1), noise(500, 2));
    let bench = Bench::new(wanted.clone()).await;
    let rotten = bench.pack(&[&wanted, &needed]).await;
    bench.back_up(&needed).await;
    let unused = {
        bench.store(Index::new(), &[&wanted]).await;
        let index = bench.repository.load_index().await.unwrap();
        let blob = BlobId(Digest::of(&wanted));
        let mut places = index.places(BlobKind::Data, &blob);
        places.find(|place| place.pack != rotten).unwrap().pack
    };
    let name = layout::pack(&rotten);
    let mut bytes = bench.memory.get(&name, None).await.unwrap().to_vec();
    bytes[0] ^= 1;
    bench.memory.put(&name, Bytes::from(bytes), Put::Overwrite).await.unwrap();

    let course = bench.prune().await;

    let plan = course.plan.unwrap();
    assert_eq!(plan.unused.iter().map(|one| one.pack).collect::<Vec<_>>(), [unused], "{plan:#?}");
    assert_eq!(course.done.spared_packs, 1);
    assert!(bench.is_there(&unused).await, "the only whole copy is gone");
    bench.is_sound().await;
}
