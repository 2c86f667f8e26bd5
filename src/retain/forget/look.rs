//! What a forget goes by: the ledger, what the repository has, and the plan that follows from both.

use std::collections::HashSet;
use std::sync::{Arc, RwLock};

use futures_util::{StreamExt, TryStreamExt, stream};

use super::super::plan::{self, History, Plan, Refusal};
use super::{Error, Run};
use crate::account;
use crate::ledger::record::{Record, publications};
use crate::repo::{self, Reader, Snapshot, SnapshotId};

/// How many snapshots are asked for at once.
const ASKED: usize = 16;

/// See the module.
pub(super) struct Look {
    pub plan: Plan,
    /// All that can be read.
    snapshots: Vec<(SnapshotId, Snapshot)>,
    /// Of the policy, or of nobody knows which.
    pub unreadable: Vec<(SnapshotId, repo::Error)>,
    /// Gone as an earlier run said they would be, which died before it could say that they are.
    pub announced: Vec<SnapshotId>,
    /// Gone without a record.
    pub lost: Vec<SnapshotId>,
    /// Whether some announcement still excuses what may go missing.
    pub is_open: bool,
}

impl Run<'_> {
    /// What there is, and what becomes of it.
    pub(super) async fn look(&self) -> Result<Look, Error> {
        // Held against the signed checkpoints: a proof that a listing leaves out must not be missed.
        let records = self.account.proven_records(self.rooms).await?;
        let files = self.account.repository.snapshot_files().await.map_err(Error::Read)?;
        let known = account::unfinished(&records);
        let lost = self.lost(&records, files.iter().map(|(id, _)| *id).collect()).await?;
        let (announced, lost): (Vec<_>, Vec<_>) =
            lost.into_iter().partition(|id| known.contains(id));
        if !lost.is_empty() && !self.how.accept_lost {
            return Err(Error::Lost(lost));
        }
        let (mut snapshots, mut unreadable) = (Vec::new(), Vec::new());
        for (id, file) in files {
            match file {
                Ok(snapshot) => snapshots.push((id, snapshot)),
                Err(error) => unreadable.push((id, error)),
            }
        }
        let of_others = publications(&records).filter(|(_, one)| one.policy != self.policy.name);
        let of_others: HashSet<_> = of_others.map(|(_, one)| SnapshotId(one.snapshot)).collect();
        unreadable.retain(|(id, _)| !of_others.contains(id));
        let plan = self.plan(&snapshots, &unreadable, &records)?;
        let is_open = !known.is_empty();
        Ok(Look { plan, snapshots, unreadable, announced, lost, is_open })
    }

    /// Makes the plan by what the ledger says now that it names what goes: a drill may just have
    /// proven it.
    pub(super) async fn plan_again(&self, look: &mut Look) -> Result<(), Error> {
        let records = self.account.sound_records(self.rooms).await?;
        look.plan = self.plan(&look.snapshots, &look.unreadable, &records)?;
        Ok(())
    }

    fn plan(
        &self,
        snapshots: &[(SnapshotId, Snapshot)],
        unreadable: &[(SnapshotId, repo::Error)],
        records: &[Record],
    ) -> Result<Plan, Refusal> {
        let unreadable: Vec<_> = unreadable.iter().map(|(id, _)| *id).collect();
        let history = History { snapshots, unreadable: &unreadable, records };
        plan::plan(&self.policy.name, self.kept, history, self.rooms.clock.now())
    }

    /// The snapshots that must be there and are not. One that is there and was not listed stops
    /// everything: the listing may leave out others too.
    async fn lost(
        &self,
        records: &[Record],
        listed: HashSet<SnapshotId>,
    ) -> Result<Vec<SnapshotId>, Error> {
        let mut lost = account::published(records);
        lost.retain(|id| !listed.contains(id));
        let repository = &self.account.repository;
        let asked = lost.clone().into_iter().map(|id| async move {
            repository.is_gone(&id).await.map(|is_gone| (id, is_gone)).map_err(Error::Read)
        });
        let asked: Vec<_> = stream::iter(asked).buffered(ASKED).try_collect().await?;
        match asked.into_iter().find(|(_, is_gone)| !is_gone) {
            Some((snapshot, _)) => Err(Error::Unlisted { snapshot }),
            None => Ok(lost),
        }
    }

    /// Opens the newest complete snapshot that stays, and its root tree: for a promise that nothing
    /// can be read of, nothing is given up.
    pub(super) async fn open_newest(&self, plan: &Plan) -> Result<(), Error> {
        let staying = || plan.decisions.iter().filter(|decision| !decision.goes());
        let newest = staying().find(|one| one.is_complete).or(staying().next());
        let Some(snapshot) = newest.map(|decision| decision.id) else { return Ok(()) };
        let repository = &self.account.repository;
        let unread = |source| Error::NewestUnread { snapshot, source };
        let root = repository.snapshot(&snapshot).await.map_err(unread)?.tree;
        let index = Arc::new(RwLock::new(repository.load_index().await.map_err(unread)?));
        let tree = Reader::new(repository.clone(), index).tree(&root).await;
        tree.map(drop).map_err(|source| Error::NewestBroken { snapshot, source })
    }
}
