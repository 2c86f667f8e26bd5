//! Content that is stored twice: one copy goes, once the other was read.

use std::collections::HashSet;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use tokio::runtime::Handle;

use super::acts::{node, snapshot};
use crate::ground::clock::{Clock, SetClock};
use crate::ground::progress::Silent;
use crate::repo::layout::{self, Folder};
use crate::repo::lock::Claim;
use crate::repo::prune::{Course, Deletion, Error, Keeper, Known, Limits, Prune, Refused};
use crate::repo::repository::tests::create_in;
use crate::repo::{BlobKind, Index, NodeKind, PackId, Repository, Tree};
use crate::store::{Memory, Put, Store};

/// Nobody else is there, and nothing is written down.
struct Alone;

#[async_trait]
impl Keeper for Alone {
    async fn claim(&self) -> Result<Claim, Refused> {
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

pub(super) struct Bench {
    pub memory: Arc<Memory>,
    pub repository: Arc<Repository>,
    clock: Arc<dyn Clock>,
}

impl Bench {
    /// A repository with one snapshot, all of which is stored twice.
    pub async fn new() -> Self {
        let memory = Arc::new(Memory::new());
        let repository = Arc::new(create_in(memory.clone()).await);
        let clock = Arc::new(SetClock::at(Timestamp::from_second(1_000_000).unwrap()));
        let bench = Self { memory, repository, clock };
        for _ in 0..2 {
            // As two backups do that run at once: neither knows of the other's packs.
            let nothing = Arc::new(RwLock::new(Index::new()));
            let (handle, clock) = (Handle::current(), bench.clock.clone());
            let writer = bench.repository.writer(nothing, handle, clock);
            let blob = writer.store_blob(BlobKind::Data, &[7; 4000]).unwrap();
            let kind = NodeKind::File { size: 4000, content: vec![blob] };
            let root = writer.store_tree(&Tree { nodes: vec![node(0, kind)] }).unwrap();
            writer.finish().await.unwrap();
            bench.repository.save_snapshot(&snapshot(root, bench.clock.now())).await.unwrap();
        }
        bench
    }

    fn prune(&self) -> Prune<'_> {
        self.prune_for(&Alone)
    }

    pub fn prune_for<'a>(&'a self, keeper: &'a dyn Keeper) -> Prune<'a> {
        let (repository, clock) = (&self.repository, &self.clock);
        let limits = Limits::default();
        Prune { repository, clock, keeper, progress: &Silent, limits }
    }

    pub async fn packs(&self) -> HashSet<PackId> {
        let listed = Folder::Data.list(&*self.memory).await.unwrap();
        listed.into_iter().map(|(id, _)| PackId(id)).collect()
    }

    /// Turns every bit of a pack's first byte.
    async fn flip(&self, pack: &PackId) {
        let name = layout::pack(pack);
        let mut bytes = self.memory.get(&name, None).await.unwrap().to_vec();
        bytes[0] ^= 0xff;
        self.memory.put(&name, Bytes::from(bytes), Put::Overwrite).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_stays_while_the_other_one_is_damaged() {
    let bench = Bench::new().await;
    let plan = bench.prune().plan().await.unwrap();
    let doubled: HashSet<_> = plan.doubled.iter().map(|one| one.pack).collect();
    assert_eq!((doubled.len(), plan.kept, plan.is_empty()), (2, 2, false), "{plan:#?}");
    let all = bench.packs().await;
    let staying: Vec<_> = all.difference(&doubled).collect();
    for pack in &staying {
        bench.flip(pack).await;
    }

    let error = bench.prune().run(&mut Course::default()).await.unwrap_err();

    assert!(matches!(error, Error::Save(_)), "{error:?}");
    assert_eq!(bench.packs().await, all, "a whole copy was removed");
    for pack in &staying {
        bench.flip(pack).await;
    }
    let mut course = Course::default();
    bench.prune().run(&mut course).await.unwrap();
    assert_eq!(course.done.removed_packs, 2);
    assert_eq!(bench.packs().await, staying.into_iter().copied().collect());
}
