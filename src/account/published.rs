//! Which snapshots the ledger says there are: published, given up, or about to go. Pure.

use std::collections::{HashMap, HashSet};

use crate::ground::ids::Name;
use crate::ledger::record::{BackupFinished, Body, Record, publications};
use crate::repo::SnapshotId;

/// The snapshots that `records` say were published and not given up, in their order. They must be
/// in the repository, whatever a listing of it says.
pub fn published(records: &[Record]) -> Vec<SnapshotId> {
    published_where(records, |_| true)
}

/// The recovery points of `policy`, in their order: published, and neither given up nor about to go.
pub fn recovery_points(records: &[Record], policy: &Name) -> Vec<SnapshotId> {
    let mut points = published_by(records, policy);
    let announced = announced(records);
    points.retain(|id| !announced.contains(id));
    points
}

/// Those of [`published`] that are `policy`'s.
pub fn published_by(records: &[Record], policy: &Name) -> Vec<SnapshotId> {
    published_where(records, |finished| finished.policy == *policy)
}

fn published_where(
    records: &[Record],
    counts: impl Fn(&BackupFinished) -> bool,
) -> Vec<SnapshotId> {
    let given_up = given_up(records);
    let backups = publications(records).map(|(_, backup)| backup);
    let ids = backups.filter(|backup| counts(backup)).map(|backup| SnapshotId(backup.snapshot));
    ids.filter(|id| !given_up.contains(id)).collect()
}

/// The snapshots that `records` say are gone.
fn given_up(records: &[Record]) -> HashSet<SnapshotId> {
    let snapshots = records.iter().filter_map(|record| match &record.event.body {
        Body::ForgetFinished { snapshots, .. } => Some(snapshots),
        _ => None,
    });
    snapshots.flatten().map(|id| SnapshotId(*id)).collect()
}

/// The snapshots that nobody misses: they are gone by `records`, or were to go in an unfinished run.
pub fn announced(records: &[Record]) -> HashSet<SnapshotId> {
    let mut announced = given_up(records);
    announced.extend(unfinished(records));
    announced
}

/// The snapshots that were to be removed by runs that never said what came of it: each may be there
/// or gone. The next run of the policy that ends looks after all of them.
pub fn unfinished(records: &[Record]) -> HashSet<SnapshotId> {
    let mut open: HashMap<&Name, HashSet<SnapshotId>> = HashMap::new();
    for record in records {
        match &record.event.body {
            Body::ForgetStarted { policy, snapshots, .. } => {
                open.entry(policy).or_default().extend(snapshots.iter().map(|id| SnapshotId(*id)));
            }
            Body::ForgetFinished { policy, .. } => drop(open.remove(policy)),
            _ => {}
        }
    }
    open.into_values().flatten().collect()
}
