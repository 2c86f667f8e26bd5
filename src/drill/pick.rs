//! Which recovery point is rehearsed, and whether the ledger knows a newer one.

use jiff::Timestamp;

use super::Request;
use crate::ledger::record::{Body, Record};
use crate::policy::Pick;
use crate::repo::{Snapshot, SnapshotId};
use crate::source::Place;
use crate::source::manifest::policy_tag;

/// A recovery point and what it was chosen from.
pub(super) struct Picked {
    pub(super) id: SnapshotId,
    pub(super) snapshot: Snapshot,
    /// How it was chosen, as the record says it.
    pub(super) how: String,
    pub(super) candidates: u64,
}

/// Why there is nothing to rehearse.
pub(super) enum NoPoint {
    /// The repository holds none that fits: the data is not there.
    None(String),
    /// What was asked for is ambiguous or unknown.
    Named(String),
}

/// Chooses among `all` snapshots of the repository, oldest first.
///
/// A snapshot from the future is no recovery point: its clock, or whoever made it, was wrong.
pub(super) fn pick(
    request: Request<'_>,
    all: Vec<(SnapshotId, Snapshot)>,
    now: Timestamp,
) -> Result<Picked, NoPoint> {
    if let Some(wanted) = request.snapshot.filter(|wanted| *wanted != "latest") {
        return named(wanted, all);
    }
    let tag = policy_tag(&request.policy.name);
    let mut candidates: Vec<_> = all
        .into_iter()
        .filter(|(_, snapshot)| snapshot.tags.contains(&tag) && snapshot.time <= now)
        .collect();
    let count = candidates.len() as u64;
    let (chosen, how) = match request.pick() {
        Pick::Latest => (candidates.pop(), "latest".to_owned()),
        Pick::Oldest => (candidates.into_iter().next(), "oldest".to_owned()),
        Pick::Before(moment) => (
            candidates.into_iter().rfind(|(_, snapshot)| snapshot.time < moment),
            format!("before {moment}"),
        ),
    };
    match chosen {
        Some((id, snapshot)) => Ok(Picked { id, snapshot, how, candidates: count }),
        None if count == 0 => Err(NoPoint::None("the policy has no snapshot yet".to_owned())),
        None => Err(NoPoint::None(format!("of {} snapshots of the policy none is {how}", count))),
    }
}

fn named(wanted: &str, all: Vec<(SnapshotId, Snapshot)>) -> Result<Picked, NoPoint> {
    let candidates = all.len() as u64;
    let mut fitting = all.into_iter().filter(|(id, _)| id.to_string().starts_with(wanted));
    match (fitting.next(), fitting.next()) {
        (Some((id, snapshot)), None) => {
            Ok(Picked { id, snapshot, how: "named".to_owned(), candidates })
        }
        (None, _) => Err(NoPoint::Named(format!("no snapshot's id begins with {wanted}"))),
        (Some(_), Some(_)) => {
            Err(NoPoint::Named(format!("several snapshots' ids begin with {wanted}")))
        }
    }
}

/// Snapshots that the ledger recorded after the picked one and that the repository lost.
///
/// Only for a drill of the latest point: that another is passed off as the latest must be seen.
pub(super) fn lost_since(
    request: Request<'_>,
    picked: Option<&Picked>,
    records: &[Record],
    listed: &[SnapshotId],
) -> Vec<Place> {
    if request.snapshot.is_some() || request.pick() != Pick::Latest {
        return Vec::new();
    }
    let newest = records.iter().rev().find_map(|record| match &record.event.body {
        Body::BackupFinished(finished) if finished.policy == request.policy.name => {
            Some((record, finished))
        }
        _ => None,
    });
    match newest {
        Some((record, finished))
            if !listed.contains(&SnapshotId(finished.snapshot))
                && picked.is_none_or(|picked| picked.id.0 != finished.snapshot) =>
        {
            vec![Place {
                object: format!("snapshot {}", finished.snapshot),
                what: format!(
                    "ledger record {} says that it was published; the repository lacks it",
                    record.seq
                ),
            }]
        }
        _ => Vec::new(),
    }
}
