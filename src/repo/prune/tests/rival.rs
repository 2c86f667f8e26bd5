//! Somebody else who may removes something between a prune's plan and its first slice.

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;

use super::doubled::Bench;
use crate::repo::SnapshotId;
use crate::repo::layout::Folder;
use crate::repo::lock::Claim;
use crate::repo::prune::{Course, Deletion, Error, Keeper, Known, Refused};
use crate::store::{ObjectName, Store};

/// Removes an object when it is asked for the second time what the ledger knows.
struct Rival<'a> {
    bench: &'a Bench,
    object: ObjectName,
    published: Vec<SnapshotId>,
    asked: Mutex<usize>,
}

#[async_trait]
impl Keeper for Rival<'_> {
    async fn claim(&self) -> Result<Claim, Refused> {
        Ok(Claim::default())
    }

    async fn known(&self) -> Result<Known, Refused> {
        let asked = {
            let mut asked = self.asked.lock().unwrap();
            *asked += 1;
            *asked
        };
        if asked == 2 {
            self.bench.memory.delete(&self.object).await?;
        }
        Ok(Known { published: self.published.clone(), ..Known::default() })
    }

    async fn deleting(&self, _: &Deletion) -> Result<(), Refused> {
        Ok(())
    }

    async fn pause(&self, _: Duration) {}
}

/// Prunes while the first object of `folder` is removed; `is_known`: the ledger says that it must be
/// there. Answers what became of it, and how many packs went.
async fn prune_beside(folder: Folder, is_known: bool) -> (Result<(), Error>, usize) {
    let bench = Bench::new().await;
    let before = bench.packs().await.len();
    let (first, object) = folder.list(&*bench.memory).await.unwrap().remove(0);
    let published = if is_known { vec![SnapshotId(first)] } else { vec![] };
    let rival = Rival { bench: &bench, object: object.name, published, asked: Mutex::new(0) };

    let outcome = bench.prune_for(&rival).run(&mut Course::default()).await;

    assert!(*rival.asked.lock().unwrap() > 1, "nothing was removed meanwhile");
    (outcome, before - bench.packs().await.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prune_that_another_one_overtook_says_so_and_removes_nothing() {
    let (outcome, went) = prune_beside(Folder::Index, false).await;

    assert!(matches!(outcome, Err(Error::Rival { .. })), "{outcome:?}");
    assert_eq!(went, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_restic_forgot_meanwhile_is_not_missed_and_one_on_the_ledger_is() {
    let (outcome, went) = prune_beside(Folder::Snapshots, false).await;
    outcome.unwrap();
    assert_eq!(went, 2);

    let (outcome, went) = prune_beside(Folder::Snapshots, true).await;
    assert!(matches!(outcome, Err(Error::Unlisted { .. })), "{outcome:?}");
    assert_eq!(went, 0);
}
