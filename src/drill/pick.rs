//! Which recovery point is rehearsed, and whether it is the one that it is taken for.
//!
//! The repository's listing says what there is, the ledger what there should be. A snapshot is
//! known by the digest of its content, so one that the ledger names is what was published; one
//! that it does not name may be anybody's.

use jiff::Timestamp;

use super::{Request, Wanted};
use crate::account;
use crate::check::{Outcome, Why};
use crate::ground::digest::Digest;
use crate::ground::ids::RunId;
use crate::ledger::record::{BackupFinished, Body, Record, publications};
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
/// A snapshot from the future is no recovery point: its clock, or whoever made it, was wrong. One
/// of a run that still lives (`living`) and has no record yet is not finished.
pub(super) fn pick(
    request: Request<'_>,
    all: Vec<(SnapshotId, Snapshot)>,
    records: &[Record],
    living: &[RunId],
    now: Timestamp,
) -> Result<Picked, NoPoint> {
    match request.wanted {
        Wanted::Latest | Wanted::Oldest | Wanted::Before(_) => {}
        Wanted::Named(id) => return named(id, all),
        Wanted::Searched { snapshot, .. } => {
            let candidates = all.len() as u64;
            return this(snapshot, "searched", candidates, all);
        }
        Wanted::Drawn { draw, population } => {
            return this(SnapshotId(draw.snapshot), "drawn", population, all);
        }
    }
    let tag = policy_tag(&request.policy.name);
    let of_living = |snapshot: &Snapshot| {
        living.iter().any(|run| snapshot.tags.contains(&format!("run:{run}")))
    };
    let mut candidates: Vec<_> = all
        .into_iter()
        .filter(|(_, snapshot)| snapshot.tags.contains(&tag) && snapshot.time <= now)
        .filter(|(id, snapshot)| !of_living(snapshot) || publication(records, *id).is_some())
        .collect();
    let count = candidates.len() as u64;
    let (chosen, how) = match request.wanted {
        Wanted::Oldest => (candidates.into_iter().next(), "oldest".to_owned()),
        Wanted::Before(moment) => (
            candidates.into_iter().rfind(|(_, snapshot)| snapshot.time < moment),
            format!("before {moment}"),
        ),
        _ => (candidates.pop(), "latest".to_owned()),
    };
    match chosen {
        Some((id, snapshot)) => Ok(Picked { id, snapshot, how, candidates: count }),
        None if count == 0 => Err(NoPoint::None("the policy has no snapshot yet".to_owned())),
        None => Err(NoPoint::None(format!("of {} snapshots of the policy none is {how}", count))),
    }
}

/// The one with this id.
fn this(
    id: SnapshotId,
    how: &str,
    candidates: u64,
    all: Vec<(SnapshotId, Snapshot)>,
) -> Result<Picked, NoPoint> {
    match all.into_iter().find(|(other, _)| *other == id) {
        Some((id, snapshot)) => Ok(Picked { id, snapshot, how: how.to_owned(), candidates }),
        None => Err(NoPoint::Named(format!("snapshot {id} is not there any more"))),
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

/// Snapshots that would have been chosen before the picked one, that the ledger says were
/// published and not that they were to be removed, and that the repository does not list (`listed`)
/// any more.
///
/// That another is passed off as the one wanted must be seen.
pub(super) fn lost(
    request: Request<'_>,
    picked: Option<&Picked>,
    records: &[Record],
    listed: &[SnapshotId],
) -> Vec<(SnapshotId, Place)> {
    let rivals = rivals(request, picked, records);
    let announced = account::announced(records);
    let gone = rivals.filter(|(_, finished)| {
        let id = SnapshotId(finished.snapshot);
        !listed.contains(&id) && !announced.contains(&id)
    });
    gone.map(|(record, finished)| {
        let place = Place {
            object: format!("snapshot {}", finished.snapshot),
            what: format!(
                "ledger record {} says that it was published; the repository lacks it",
                record.seq
            ),
        };
        (SnapshotId(finished.snapshot), place)
    })
    .collect()
}

/// Whether a snapshot that cannot be read may be the one that is wanted: nothing else was picked and its id
/// is not known, its id was named, or by the ledger it goes before the picked one. What the ledger does not name counts for
/// nothing, whatever it holds.
pub(super) fn may_be_meant(
    request: Request<'_>,
    picked: Option<&Picked>,
    records: &[Record],
    unreadable: SnapshotId,
) -> bool {
    let is_named = match request.wanted {
        Wanted::Drawn { draw, .. } => return SnapshotId(draw.snapshot) == unreadable,
        Wanted::Searched { snapshot, .. } => snapshot == unreadable,
        Wanted::Named(wanted) => unreadable.to_string().starts_with(wanted),
        _ => false,
    };
    let announced = account::announced(records);
    let is_rival = || {
        rivals(request, picked, records).any(|(_, other)| SnapshotId(other.snapshot) == unreadable)
    };
    picked.is_none() || is_named || !announced.contains(&unreadable) && is_rival()
}

/// Which of those that may be `meant` and cannot be had the request would have picked.
pub(super) fn first_meant(
    request: Request<'_>,
    meant: &[SnapshotId],
    records: &[Record],
) -> Option<Digest> {
    let mut published = publications(records).map(|(_, backup)| backup.snapshot);
    let is_meant = |id: &Digest| meant.contains(&SnapshotId(*id));
    match request.wanted {
        Wanted::Oldest => published.find(is_meant),
        _ => published.rfind(is_meant),
    }
}

/// Whether the ledger says that the picked snapshot is what it is taken for; what cannot be read is told
/// of elsewhere, and is not among those that are there (`legible`).
pub(super) fn vouched(
    request: Request<'_>,
    picked: &Picked,
    records: &[Record],
    legible: &[SnapshotId],
) -> Outcome {
    let doubt = |what| Outcome::not_run(Why::NotApplicable, what);
    let id = picked.id;
    let Some((record, finished)) = publication(records, id) else {
        let run = |record: &Record| match &record.event.body {
            Body::BackupStarted { run, .. } => picked.snapshot.tags.contains(&format!("run:{run}")),
            _ => false,
        };
        // Whoever knows the tags can use them again, so this explains and excuses nothing.
        let perhaps = records.iter().find(|record| run(record)).map_or(String::new(), |record| {
            format!("; if its run, of record {}, died right after that, back up again", record.seq)
        });
        return doubt(format!(
            "no record on the ledger says that snapshot {id} was published{perhaps}"
        ));
    };
    if finished.policy != request.policy.name {
        let (seq, policy) = (record.seq, &finished.policy);
        return doubt(format!("snapshot {id} is one of the policy {policy}, says record {seq}"));
    }
    let is_there = |finished: &BackupFinished| legible.contains(&SnapshotId(finished.snapshot));
    match rivals(request, Some(picked), records).find(|(_, other)| is_there(other)) {
        None => Outcome::of(1, []),
        Some((rival, other)) => doubt(format!(
            "by record {} snapshot {} should have been taken instead of {id}, by the time that it \
             carries not: a clock was wrong",
            rival.seq, other.snapshot
        )),
    }
}

/// The record that says that a snapshot was published.
fn publication(records: &[Record], id: SnapshotId) -> Option<(&Record, &BackupFinished)> {
    publications(records).find(|(_, finished)| finished.snapshot == id.0)
}

/// Snapshots of the policy that, by the times of their records or because they were drawn, go before the
/// picked one.
fn rivals<'a>(
    request: Request<'a>,
    picked: Option<&Picked>,
    records: &'a [Record],
) -> impl Iterator<Item = (&'a Record, &'a BackupFinished)> {
    let id = picked.map(|picked| picked.id.0);
    let at = picked.map(|picked| {
        let known = publication(records, picked.id);
        known.map_or(picked.snapshot.time, |(record, _)| record.event.time)
    });
    let goes_before = move |snapshot: Digest, time: Timestamp| match request.wanted {
        Wanted::Named(_) | Wanted::Searched { .. } => false,
        Wanted::Drawn { draw, .. } => snapshot == draw.snapshot,
        Wanted::Latest => at.is_none_or(|at| time > at),
        Wanted::Oldest => at.is_none_or(|at| time < at),
        Wanted::Before(moment) => time < moment && at.is_none_or(|at| time > at),
    };
    publications(records).filter(move |(record, finished)| {
        finished.policy == request.policy.name
            && Some(finished.snapshot) != id
            && goes_before(finished.snapshot, record.event.time)
    })
}
