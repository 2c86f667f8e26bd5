//! `forget`: a policy's snapshots that no rule keeps are removed.
//!
//! In: a policy with `[retention]`. Out: the plan, and what was removed. The order is the promise:
//! the lock that nobody shares, the ledger proven, a listing that holds what the ledger knows, the
//! plan, the newest of what stays opened, the record, and only then the first deletion. What
//! snapshots referred to stays stored until a prune.

mod look;
mod record;

use std::time::Duration;

use self::look::Look;
use super::plan::{Plan, Refusal};
use crate::account::{self, Account, Leased, Locked, Rooms};
use crate::ground::causes::chain;
use crate::ground::ids::RunId;
use crate::policy::{Policy, Retention, Setup};
use crate::repo::{self, SnapshotId, layout};
use crate::store;

/// Snapshots that an error names, of however many.
const TOLD: usize = 10;

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
    #[error("{} snapshots that the ledger names are gone without a record: {}", .0.len(), told(.0))]
    Lost(Vec<SnapshotId>),
    #[error("snapshot {snapshot}, the newest that would stay, cannot be opened")]
    NewestUnread { snapshot: SnapshotId, source: repo::Error },
    #[error("snapshot {snapshot}, the newest that would stay, has a tree that cannot be read")]
    NewestBroken { snapshot: SnapshotId, source: repo::ReadError },
    #[error("cannot remove snapshot {snapshot}")]
    Remove { snapshot: SnapshotId, source: store::Error },
    #[error(transparent)]
    Interrupted(#[from] account::Interrupted),
}

fn told(snapshots: &[SnapshotId]) -> String {
    let named: Vec<_> = snapshots.iter().take(TOLD).map(ToString::to_string).collect();
    match snapshots.len().saturating_sub(TOLD) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
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
    /// Snapshots that were removed; none on a dry run, and where the plan is refused.
    pub removed: Vec<SnapshotId>,
    /// Gone without a record until now, which a person accepts.
    pub accepted: Vec<SnapshotId>,
    /// Snapshots of the policy, or of nobody knows which, that cannot be read: they stay, and take no
    /// place from others.
    pub unreadable: Vec<(SnapshotId, repo::Error)>,
    /// Why the plan is not carried out.
    pub refusal: Option<Refusal>,
}

/// Plans, and unless it is a dry run or refused removes what the plan says.
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
        let look = work.look().await?;
        let refusal = work.refusal(&look.plan);
        return Ok(work.planned(look, refusal));
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
        // What a drill proved and a backup published may wait in this host's outbox.
        self.account.journal.deliver_all().await.map_err(account::Error::from)?;
        let mut look = self.rooms.unless_interrupted(self.look()).await??;
        if let Some(refusal) = self.refusal(&look.plan) {
            return Ok(self.planned(look, Some(refusal)));
        }
        let going = look.plan.removed();
        if !going.is_empty() {
            self.rooms.unless_interrupted(self.open_newest(&look.plan)).await??;
        }
        tracing::info!(phase = "record", run = %self.id);
        self.write_before(&going, &look.lost).await?;
        let is_open = look.is_open || !going.is_empty() || !look.lost.is_empty();
        let (removed, outcome) = match self.plan_again(&mut look).await {
            Ok(()) => {
                let still = look.plan.removed();
                let going: Vec<_> = going.into_iter().filter(|id| still.contains(id)).collect();
                tracing::info!(phase = "remove", run = %self.id);
                self.remove_all(&going, lock, lease).await
            }
            Err(error) => (Vec::new(), Err(error)),
        };
        tracing::info!(phase = "finish", run = %self.id);
        let gone = [&look.lost, &look.announced, &removed].map(Vec::as_slice).concat();
        if is_open && self.is_settled(&outcome).await {
            self.write_after(&gone, look.plan.left()).await?;
        }
        outcome?;
        Ok(Forgotten { removed, ..self.planned(look, None) })
    }

    fn refusal(&self, plan: &Plan) -> Option<Refusal> {
        if self.how.many { None } else { plan.check_cap().err() }
    }

    /// What there is to tell before anything is removed.
    fn planned(&self, look: Look, refusal: Option<Refusal>) -> Forgotten {
        let Look { plan, unreadable, lost: accepted, .. } = look;
        Forgotten { run: self.id, plan, removed: Vec::new(), accepted, unreadable, refusal }
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
}
