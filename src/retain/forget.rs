//! `forget`: a policy's snapshots that no rule keeps are removed.
//!
//! In: a policy with `[retention]`. Out: the plan, and what was removed. The order is the promise:
//! the lock that nobody shares, the ledger proven, a listing that holds what the ledger knows, the
//! plan, its record, and only then the first deletion. What snapshots referred to stays stored until
//! a prune.

use std::collections::HashSet;
use std::time::Duration;

use super::plan::{self, Plan, Refusal};
use crate::account::{self, Account, Leased, Locked, Rooms};
use crate::ground::causes::chain;
use crate::ground::digest::Digest;
use crate::ground::ids::RunId;
use crate::ledger::record::{Body, Record};
use crate::policy::{Policy, Retention, Setup};
use crate::repo::{self, SnapshotId, layout};
use crate::store;

/// Snapshots that one record names.
const NAMED: usize = 500;

/// Why nothing, or not all that the plan says, was removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error(transparent)]
    Account(#[from] account::Error),
    #[error("the policy {policy} has no [retention]: all of its snapshots are kept")]
    KeepsAll { policy: String },
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("cannot read the repository's snapshots")]
    Read(#[source] repo::Error),
    #[error("snapshot {snapshot} is there, but the store's listing leaves it out")]
    Unlisted { snapshot: SnapshotId },
    #[error("{count} snapshots that the ledger names are gone without a record, first {first}")]
    Lost { first: SnapshotId, count: usize },
    #[error("cannot remove snapshot {snapshot}")]
    Remove { snapshot: SnapshotId, source: store::Error },
    #[error(transparent)]
    Interrupted(#[from] account::Interrupted),
}

/// How a forget goes about it.
#[derive(Debug, Clone, Copy, Default)]
pub struct How {
    /// Only the plan: nothing is locked, recorded or removed.
    pub dry_run: bool,
    /// More than one run may otherwise remove.
    pub many: bool,
    /// Snapshots that the ledger names and that are gone are recorded as such, and stop nothing.
    pub accept_lost: bool,
    /// How long those that use the repository are waited for.
    pub wait: Duration,
}

/// The plan and what was done of it.
#[derive(Debug)]
pub struct Forgotten {
    pub run: RunId,
    pub plan: Plan,
    /// Snapshots that were removed; none on a dry run.
    pub removed: Vec<SnapshotId>,
    /// Why a run that is not dry would be refused.
    pub refusal: Option<Refusal>,
}

/// Plans, and unless it is a dry run removes what the plan says.
pub async fn run(
    setup: &Setup,
    policy: &Policy,
    how: How,
    rooms: &Rooms,
) -> Result<Forgotten, Error> {
    let run = RunId::draw();
    let kept = policy.retention.as_ref();
    let kept = kept.ok_or_else(|| Error::KeepsAll { policy: policy.full_name() })?;
    let account = Account::open(setup, setup.customer_of(policy), rooms).await?;
    let work = Run { id: run, policy, kept, how, account: &account, rooms };
    if how.dry_run {
        let (plan, _) = work.look().await?;
        let refusal = if how.many { None } else { plan.check_cap().err() };
        return Ok(Forgotten { run, plan, removed: Vec::new(), refusal });
    }
    let lease = Leased::take("forget", &policy.full_name(), run, rooms).await?;
    let outcome = work.under_lock(&lease).await;
    lease.give_back(rooms).await;
    outcome
}

struct Run<'a> {
    id: RunId,
    policy: &'a Policy,
    kept: &'a Retention,
    how: How,
    account: &'a Account,
    rooms: &'a Rooms,
}

impl Run<'_> {
    async fn under_lock(&self, lease: &Leased) -> Result<Forgotten, Error> {
        tracing::info!(phase = "lock", run = %self.id);
        let waiting = Locked::exclusive(self.account, self.rooms, self.how.wait);
        let lock = self.rooms.unless_interrupted(waiting).await??;
        let outcome = self.locked(&lock, lease).await;
        // It says nothing of the run; the next one removes a lock that stayed.
        if let Err(error) = lock.release().await {
            self.rooms.progress.note(&chain(&error));
        }
        outcome
    }

    async fn locked(&self, lock: &Locked, lease: &Leased) -> Result<Forgotten, Error> {
        tracing::info!(phase = "plan", run = %self.id);
        let (plan, lost) = self.rooms.unless_interrupted(self.look()).await??;
        if !self.how.many {
            plan.check_cap()?;
        }
        let going = plan.removed();
        if !going.is_empty() || !lost.is_empty() {
            tracing::info!(phase = "record", run = %self.id);
            self.write_before(&going, &lost).await?;
            tracing::info!(phase = "remove", run = %self.id);
            self.rooms.progress.phase("remove snapshots", None);
            for snapshot in &going {
                self.rooms.check_interrupted()?;
                lock.assure().await?;
                lease.renew().await?;
                self.remove(*snapshot).await?;
                self.rooms.progress.advance(1, 0);
            }
            tracing::info!(phase = "finish", run = %self.id);
            self.write_after(&plan).await?;
        }
        Ok(Forgotten { run: self.id, plan, removed: going, refusal: None })
    }

    /// The plan, and the snapshots that are gone without a record.
    async fn look(&self) -> Result<(Plan, Vec<SnapshotId>), Error> {
        // What a drill proved and a backup published may wait in this host's outbox.
        self.account.journal.deliver_all().await.map_err(account::Error::from)?;
        let records = self.account.sound_records(self.rooms).await?;
        let files = self.account.repository.snapshot_files().await.map_err(Error::Read)?;
        let listed: HashSet<_> = files.iter().map(|(id, _)| *id).collect();
        let lost = self.lost(&records, &listed).await?;
        if let (Some(first), false) = (lost.first(), self.how.accept_lost) {
            return Err(Error::Lost { first: *first, count: lost.len() });
        }
        let snapshots = repo::in_order(files).map_err(Error::Read)?;
        let now = self.rooms.clock.now();
        Ok((plan::plan(&self.policy.name, self.kept, snapshots, &records, now)?, lost))
    }

    /// The snapshots that must be there and are not. One that is there and was not listed stops
    /// everything: the listing may leave out others too.
    async fn lost(
        &self,
        records: &[Record],
        listed: &HashSet<SnapshotId>,
    ) -> Result<Vec<SnapshotId>, Error> {
        let published = account::published(records);
        let mut lost = Vec::new();
        for snapshot in published.into_iter().filter(|id| !listed.contains(id)) {
            match self.account.repository.snapshot(&snapshot).await {
                Err(repo::Error::Store(store::Error::Missing { .. })) => lost.push(snapshot),
                Err(error) if error.is_environment() => return Err(Error::Read(error)),
                _ => return Err(Error::Unlisted { snapshot }),
            }
        }
        Ok(lost)
    }

    async fn write_before(&self, going: &[SnapshotId], lost: &[SnapshotId]) -> Result<(), Error> {
        let given_up = |snapshots: &[SnapshotId], why: &str| Body::ForgetStarted {
            policy: self.policy.name.clone(),
            run: self.id,
            snapshots: snapshots.iter().map(|id| id.0).collect::<Vec<Digest>>(),
            why: why.to_owned(),
        };
        let rules = self.kept.to_string();
        let bodies = going.chunks(NAMED).map(|going| given_up(going, &rules));
        let accepted = "they were gone already, which a person accepted";
        let bodies = bodies.chain(lost.chunks(NAMED).map(|lost| given_up(lost, accepted)));
        let written = self.account.journal.record_before(bodies.collect(), Vec::new()).await;
        written.map_err(account::Error::from)?;
        Ok(())
    }

    async fn remove(&self, snapshot: SnapshotId) -> Result<(), Error> {
        match self.account.repository.store().delete(&layout::snapshot(&snapshot)).await {
            // A lost reply that was asked again: it is gone, as it should be.
            Ok(()) | Err(store::Error::Missing { .. }) => Ok(()),
            Err(source) => Err(Error::Remove { snapshot, source }),
        }
    }

    async fn write_after(&self, plan: &Plan) -> Result<(), Error> {
        let finished = Body::ForgetFinished {
            policy: self.policy.name.clone(),
            run: self.id,
            removed: plan.removed().len() as u64,
            left: plan.left() as u64,
        };
        let recorded = self.account.journal.record(vec![finished]).await;
        account::tell(&recorded.map_err(account::Error::from)?, &*self.rooms.progress);
        Ok(())
    }
}
