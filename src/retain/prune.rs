//! `prune`: what no snapshot of the repository needs any more is removed from the store.
//!
//! In: a policy, whose customer's repository is meant: all of its snapshots count. Out: the plan, and
//! what was removed. `repo/prune/` tells the story; here are the ledger, which knows what must be
//! there and learns of every deletion first, and this host's locks.

use std::time::Duration;

use async_trait::async_trait;

use crate::account::{self, Account, Leased, Locked, Rooms, removing};
use crate::ground::digest::Digest;
use crate::ground::ids::RunId;
use crate::ledger::record::Body;
use crate::policy::{Policy, Setup};
use crate::repo::lock::Claim;
use crate::repo::prune::{
    self, Course, Deletion, Done, Keeper, Known, Limits, Plan, Prune, Refused,
};

/// How long others that use the repository are waited for before a slice.
const WAIT: Duration = Duration::from_secs(60);

/// How long others have the repository between two slices at most: longer than those who wait for a
/// lock leave it alone between two looks.
const PAUSE: Duration = Duration::from_secs(10);
/// They have it so many times as long as the slice did.
const TIMES: u32 = 10;

/// Why a prune did not come to its end. What is stored is whole, and another prune goes on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error(transparent)]
    Account(#[from] account::Error),
    #[error("the repository is not pruned to the end")]
    Prune(#[from] prune::Error),
    #[error(transparent)]
    Interrupted(#[from] account::Interrupted),
}

/// The plan of a prune, and what became of it.
#[derive(Debug)]
pub struct Pruned {
    pub run: RunId,
    pub plan: Plan,
    /// Nothing on a dry run.
    pub done: Done,
    /// Why not all of the plan was carried out.
    pub stopped: Option<Error>,
}

/// Plans, and unless it is a dry run removes what the plan says. An error means that nothing was.
pub async fn run(
    setup: &Setup,
    policy: &Policy,
    dry_run: bool,
    rooms: &Rooms,
) -> Result<Pruned, Error> {
    let run = RunId::draw();
    let account = Account::open(setup, setup.customer_of(policy), rooms).await?;
    // Once as far as it can be proven; what changes on the way needs only to hold together with it.
    account.proven_records(rooms).await?;
    let keeper = OfAccount { run, policy, dry_run, account: &account, rooms };
    let prune = Prune {
        repository: &account.repository,
        clock: &rooms.clock,
        keeper: &keeper,
        progress: &*rooms.progress,
        limits: Limits::default(),
    };
    if dry_run {
        let plan = rooms.unless_interrupted(prune.plan()).await??;
        return Ok(Pruned { run, plan, done: Done::default(), stopped: None });
    }
    // One prune of a customer at a time, whichever policy it is asked for by.
    let lease = Leased::take("prune", policy.customer.as_str(), run, rooms).await?;
    let mut course = Course::default();
    let ended = rooms.unless_interrupted(prune.run(&mut course)).await;
    lease.give_back(rooms).await;
    let stopped = match ended {
        Err(interrupted) => Some(Error::from(interrupted)),
        Ok(ended) => ended.err().map(Error::from),
    };
    let Course { plan, done } = course;
    if done != Done::default() {
        keeper.finished(done).await?;
    }
    match (plan, stopped) {
        (None, Some(error)) => Err(error),
        (plan, stopped) => Ok(Pruned { run, plan: plan.unwrap_or_default(), done, stopped }),
    }
}

/// What a prune is told by this customer's ledger and this host's state.
struct OfAccount<'a> {
    run: RunId,
    policy: &'a Policy,
    dry_run: bool,
    account: &'a Account,
    rooms: &'a Rooms,
}

#[async_trait]
impl Keeper for OfAccount<'_> {
    async fn claim(&self) -> Result<Claim, Refused> {
        Ok(Locked::claim(self.account, self.rooms, WAIT).await?)
    }

    async fn known(&self) -> Result<Known, Refused> {
        if !self.dry_run {
            self.account.journal.deliver_all().await?;
        }
        Ok(self.account.known(self.rooms).await?)
    }

    async fn deleting(&self, what: &Deletion) -> Result<(), Refused> {
        let details = removing::details(self.run, what)?;
        let started = Body::PruneStarted {
            policy: self.policy.name.clone(),
            run: self.run,
            packs: what.packs.len() as u64,
            index_files: what.index_files.len() as u64,
            bytes: what.bytes,
            details: Digest::of(details.as_bytes()),
        };
        self.account.journal.record_before(vec![started], vec![details]).await?;
        Ok(())
    }

    async fn pause(&self, held: Duration) {
        tokio::time::sleep(PAUSE.min(held * TIMES)).await;
    }
}

impl OfAccount<'_> {
    async fn finished(&self, done: Done) -> Result<(), Error> {
        let finished = Body::PruneFinished {
            policy: self.policy.name.clone(),
            run: self.run,
            removed_packs: done.removed_packs,
            repacked_packs: done.repacked_packs,
            freed_bytes: done.freed_bytes(),
        };
        let recorded = self.account.journal.record(vec![finished]).await;
        account::tell(&recorded.map_err(account::Error::from)?, &*self.rooms.progress);
        Ok(())
    }
}
