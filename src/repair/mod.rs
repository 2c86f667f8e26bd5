//! `repair`: what is damaged is put right as far as what is stored allows.
//!
//! In: a policy, whose customer's repository is meant. Out: what was done. `repo/repair/` tells the
//! story; here are the ledger, which learns of whatever goes first, and this host's locks.

use std::time::Duration;

use async_trait::async_trait;

use crate::account::{self, Account, Leased, Locked, Readings, Rooms, removing};
use crate::ground::digest::Digest;
use crate::ground::ids::RunId;
use crate::ledger::record::{Body, Record};
use crate::policy::{Policy, Setup};
use crate::repo::Depth;
use crate::repo::lock::Claim;
use crate::repo::prune::{Deletion, Keeper, Known, Refused};
use crate::repo::repair::{self, Editor, How, IndexPlan, Remains, Repair, SnapshotsRepaired};
use crate::source::manifest;

/// How long others that use the repository are waited for.
const WAIT: Duration = Duration::from_secs(60);

/// Why a repair did not come to its end. What could be read can be read, and it can be run again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error(transparent)]
    Account(#[from] account::Error),
    #[error("the repository is not repaired")]
    Repair(#[from] repair::Error),
    #[error(transparent)]
    Interrupted(#[from] account::Interrupted),
}

/// What was done, or on a dry run would be.
#[derive(Debug)]
pub struct Repaired<T> {
    pub run: RunId,
    pub done: T,
}

/// Names anew what packs hold; on a dry run only tells what it would do.
pub async fn index(
    setup: &Setup,
    policy: &Policy,
    dry_run: bool,
    rooms: &Rooms,
) -> Result<Repaired<IndexPlan>, Error> {
    let run = RunId::draw();
    let account = Account::open(setup, setup.customer_of(policy), rooms).await?;
    let keeper = OfAccount { run, policy, account: &account, rooms };
    let repair = keeper.repair();
    if dry_run {
        let done = rooms.unless_interrupted(repair.plan_index()).await??;
        return Ok(Repaired { run, done });
    }
    let lease = Leased::take("repair", policy.customer.as_str(), run, rooms).await?;
    let outcome = rooms.unless_interrupted(repair.index()).await;
    lease.give_back(rooms).await;
    Ok(Repaired { run, done: outcome?? })
}

/// Saves what can be read of damaged packs, and publishes what is left of snapshots that lost
/// something; on a dry run only tells what it would do. `read_data`: every pack is read first.
pub async fn snapshots(
    setup: &Setup,
    policy: &Policy,
    read_data: bool,
    dry_run: bool,
    rooms: &Rooms,
) -> Result<Repaired<SnapshotsRepaired>, Error> {
    let run = RunId::draw();
    let account = Account::open(setup, setup.customer_of(policy), rooms).await?;
    let keeper = OfAccount { run, policy, account: &account, rooms };
    let (memory, repair) = (Readings::of(&account, rooms), keeper.repair());
    let depth = if read_data { Depth::ReadData } else { Depth::Structure };
    let how = How { depth, dry_run, memory: &memory, editor: &keeper };
    if dry_run {
        let done = rooms.unless_interrupted(repair.snapshots(how)).await??;
        return Ok(Repaired { run, done });
    }
    let lease = Leased::take("repair", policy.customer.as_str(), run, rooms).await?;
    let outcome = rooms.unless_interrupted(repair.snapshots(how)).await;
    lease.give_back(rooms).await;
    Ok(Repaired { run, done: outcome?? })
}

/// What a repair is told by this customer's ledger and this host's state.
struct OfAccount<'a> {
    run: RunId,
    policy: &'a Policy,
    account: &'a Account,
    rooms: &'a Rooms,
}

impl OfAccount<'_> {
    fn repair(&self) -> Repair<'_> {
        Repair {
            repository: &self.account.repository,
            clock: &self.rooms.clock,
            keeper: self,
            progress: &*self.rooms.progress,
        }
    }
}

#[async_trait]
impl Keeper for OfAccount<'_> {
    async fn claim(&self) -> Result<Claim, Refused> {
        Ok(Locked::claim(self.account, self.rooms, WAIT).await?)
    }

    async fn known(&self) -> Result<Known, Refused> {
        Ok(self.account.known(self.rooms).await?)
    }

    async fn deleting(&self, what: &Deletion) -> Result<(), Refused> {
        let details = removing::details(self.run, what)?;
        let repaired = Body::IndexRepaired {
            policy: self.policy.name.clone(),
            run: self.run,
            index_files: what.index_files.len() as u64,
            forgotten_packs: what.packs.len() as u64,
            details: Digest::of(details.as_bytes()),
        };
        self.account.journal.record_before(vec![repaired], vec![details]).await?;
        Ok(())
    }

    async fn pause(&self, _: Duration) {}
}

#[async_trait]
impl Editor for OfAccount<'_> {
    fn tags(&self, original: &[String]) -> Vec<String> {
        manifest::repaired_tags(original)
    }

    async fn published(&self, what: &Remains) -> Result<(), Refused> {
        let Some(snapshot) = what.repaired.map(|id| id.0) else { return Ok(()) };
        // A repair that died right after it published left no record.
        if what.was_there {
            let is_it = |record: &Record| {
                let body = &record.event.body;
                matches!(body, Body::SnapshotRepaired { snapshot: known, .. } if *known == snapshot)
            };
            self.account.journal.deliver_all().await?;
            if self.account.records().await?.iter().any(is_it) {
                return Ok(());
            }
        }
        let repaired = Body::SnapshotRepaired {
            policy: self.policy.name.clone(),
            run: self.run,
            original: what.original.0,
            snapshot,
            files: what.files,
            folders: what.folders,
        };
        let recorded = self.account.journal.record(vec![repaired]).await?;
        account::tell(&recorded, &*self.rooms.progress);
        Ok(())
    }
}
