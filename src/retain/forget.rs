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
use crate::ledger::record::{Body, Record, publications};
use crate::policy::{Policy, Retention, Setup};
use crate::repo::{self, Snapshot, SnapshotId, layout};
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
    let all = Retention::of_all();
    let kept = match &policy.retention {
        Some(kept) => kept,
        // Nothing goes then, but what is gone can be told.
        None if how.accept_lost => &all,
        None => return Err(Error::KeepsAll { policy: policy.full_name() }),
    };
    let account = Account::open(setup, setup.customer_of(policy), rooms).await?;
    let work = Run { id: run, policy, kept, how, account: &account, rooms };
    if how.dry_run {
        let Look { plan, .. } = work.look().await?;
        let refusal = if how.many { None } else { plan.check_cap().err() };
        return Ok(Forgotten { run, plan, removed: Vec::new(), refusal });
    }
    let lease = Leased::take("forget", &policy.full_name(), run, rooms).await?;
    let outcome = work.under_lock(&lease).await;
    lease.give_back(rooms).await;
    outcome
}

type Snapshots = Vec<(SnapshotId, Snapshot)>;

/// What a forget goes by.
struct Look {
    plan: Plan,
    snapshots: Snapshots,
    /// Gone as an earlier run said they would be, which died before it could say that they are.
    announced: Vec<SnapshotId>,
    /// Gone without a record.
    lost: Vec<SnapshotId>,
    /// Whether some announcement still excuses what may go missing.
    is_open: bool,
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
        // What a drill proved and a backup published may wait in this host's outbox.
        self.account.journal.deliver_all().await.map_err(account::Error::from)?;
        let look = self.rooms.unless_interrupted(self.look()).await??;
        if !self.how.many {
            look.plan.check_cap()?;
        }
        let going = look.plan.removed();
        tracing::info!(phase = "record", run = %self.id);
        self.write_before(&going, &look.lost).await?;
        let is_open = look.is_open || !going.is_empty() || !look.lost.is_empty();
        let (plan, removed, outcome) = match self.again(look.snapshots).await {
            Ok(plan) => {
                let still = plan.removed();
                let going: Vec<_> = going.into_iter().filter(|id| still.contains(id)).collect();
                tracing::info!(phase = "remove", run = %self.id);
                let (removed, outcome) = self.remove_all(&going, lock, lease).await;
                (plan, removed, outcome)
            }
            Err(error) => (look.plan, Vec::new(), Err(error)),
        };
        tracing::info!(phase = "finish", run = %self.id);
        let gone = [&look.lost, &look.announced, &removed].map(Vec::as_slice).concat();
        if is_open && self.is_settled(&outcome).await {
            self.write_after(&gone, plan.left()).await?;
        }
        outcome?;
        Ok(Forgotten { run: self.id, plan, removed, refusal: None })
    }

    /// What there is, and what becomes of it.
    async fn look(&self) -> Result<Look, Error> {
        // Held against the signed checkpoints: a proof that a listing leaves out must not be missed.
        let records = self.account.proven_records(self.rooms).await?;
        let files = self.account.repository.snapshot_files().await.map_err(Error::Read)?;
        let listed: HashSet<_> = files.iter().map(|(id, _)| *id).collect();
        let known = account::unfinished(&records);
        let lost = self.lost(&records, &listed).await?;
        let (announced, lost): (Vec<_>, Vec<_>) =
            lost.into_iter().partition(|id| known.contains(id));
        if let (Some(first), false) = (lost.first(), self.how.accept_lost) {
            return Err(Error::Lost { first: *first, count: lost.len() });
        }
        let snapshots = repo::in_order(files).map_err(Error::Read)?;
        let plan = self.plan(snapshots.clone(), &records)?;
        Ok(Look { plan, snapshots, announced, lost, is_open: !known.is_empty() })
    }

    /// The plan by what the ledger says now that it names what goes: a drill may just have proven it.
    async fn again(&self, snapshots: Snapshots) -> Result<Plan, Error> {
        let records = self.account.sound_records(self.rooms).await?;
        self.plan(snapshots, &records)
    }

    /// The plan for the snapshots that the ledger names: one that only carries the policy's tags is
    /// left alone, and takes no place from them.
    fn plan(&self, mut snapshots: Snapshots, records: &[Record]) -> Result<Plan, Error> {
        let policy = &self.policy.name;
        let ours = publications(records).filter(|(_, backup)| backup.policy == *policy);
        let named: HashSet<_> = ours.map(|(_, backup)| SnapshotId(backup.snapshot)).collect();
        let all = snapshots.len();
        snapshots.retain(|(id, _)| named.contains(id));
        let plan = plan::plan(policy, self.kept, snapshots, records, self.rooms.clock.now())?;
        Ok(Plan { others: all - plan.decisions.len(), ..plan })
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
        let bodies: Vec<_> = bodies.collect();
        if !bodies.is_empty() {
            let written = self.account.journal.record_before(bodies, Vec::new()).await;
            written.map_err(account::Error::from)?;
        }
        Ok(())
    }

    /// Removes one after the other; answers those that are gone, and why not all are.
    async fn remove_all(
        &self,
        going: &[SnapshotId],
        lock: &Locked,
        lease: &Leased,
    ) -> (Vec<SnapshotId>, Result<(), Error>) {
        self.rooms.progress.phase("remove snapshots", None);
        let mut removed = Vec::new();
        for snapshot in going {
            if let Err(error) = self.remove(*snapshot, lock, lease).await {
                return (removed, Err(error));
            }
            removed.push(*snapshot);
            self.rooms.progress.advance(1, 0);
        }
        (removed, Ok(()))
    }

    /// Whether what `outcome` left behind is known. A removal that failed may have happened, its
    /// answer lost: while that cannot be told the run stays unfinished, and the next looks after it.
    async fn is_settled(&self, outcome: &Result<(), Error>) -> bool {
        match outcome {
            Err(Error::Remove { snapshot, .. }) => {
                self.account.repository.snapshot(snapshot).await.is_ok()
            }
            _ => true,
        }
    }

    async fn remove(
        &self,
        snapshot: SnapshotId,
        lock: &Locked,
        lease: &Leased,
    ) -> Result<(), Error> {
        self.rooms.check_interrupted()?;
        lease.renew().await?;
        lock.assure().await?;
        match self.account.repository.store().delete(&layout::snapshot(&snapshot)).await {
            // A lost reply that was asked again: it is gone, as it should be.
            Ok(()) | Err(store::Error::Missing { .. }) => Ok(()),
            Err(source) => Err(Error::Remove { snapshot, source }),
        }
    }

    /// Names what is gone. With nothing to name too: what was announced and stayed has no excuse to
    /// be missing from then on.
    async fn write_after(&self, gone: &[SnapshotId], left: usize) -> Result<(), Error> {
        let finished = |gone: &[SnapshotId]| Body::ForgetFinished {
            policy: self.policy.name.clone(),
            run: self.id,
            snapshots: gone.iter().map(|id| id.0).collect(),
            left: left as u64,
        };
        let mut bodies: Vec<_> = gone.chunks(NAMED).map(finished).collect();
        if bodies.is_empty() {
            bodies.push(finished(&[]));
        }
        let recorded = self.account.journal.record(bodies).await;
        account::tell(&recorded.map_err(account::Error::from)?, &*self.rooms.progress);
        Ok(())
    }
}
