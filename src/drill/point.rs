//! The recovery point: which one it is, whether it is the right one, and what is to be said of it.

use std::time::Instant;

use jiff::Timestamp;

use super::fetch::{Integrity, Stop, unknown};
use super::pick::{self, NoPoint, Picked};
use super::{Rehearsal, Request};
use crate::account::{self, Account, Rooms, Testimony};
use crate::check::{Completeness, Id, Outcome, Why};
use crate::ground::causes::chain;
use crate::ledger::details::{Finding, NotCovered, Point};
use crate::ledger::record::{Body, Record};
use crate::repo::SnapshotId;
use crate::source::Capture;
use crate::source::manifest::{INCOMPLETE, Manifest};

/// The recovery point, and the ledger's records; settles whether it is the right one.
pub(super) async fn find(
    request: Request<'_>,
    account: &Account,
    rehearsal: &mut Rehearsal,
    integrity: &mut Integrity,
    rooms: &Rooms,
) -> Result<(Picked, Vec<Record>), Stop> {
    let begun = Instant::now();
    // Before the listing: what is on record by now must be listed then.
    let testimony = account.testimony(rooms).await.map_err(|error| unknown(&error))?;
    let Testimony { mut records, mut doubt } = testimony;
    let published = account::published(&records);
    let listing = account.repository.snapshot_files_with(&published).await;
    let listing = listing.map_err(|error| unknown(&error))?;
    // After it: whoever is not alive by now has left a record of what was listed.
    let living = rooms.state.living_runs().await.map_err(|error| unknown(&error))?;
    let listed: Vec<SnapshotId> = listing.iter().map(|(id, _)| *id).collect();
    let is_readable = |(id, snapshot): &(SnapshotId, Result<_, _>)| snapshot.is_ok().then_some(*id);
    let legible: Vec<SnapshotId> = listing.iter().filter_map(is_readable).collect();
    let (mut readable, mut unreadable) = (Vec::new(), Vec::new());
    for (id, snapshot) in listing {
        match snapshot {
            Ok(snapshot) => readable.push((id, snapshot)),
            Err(error) if error.is_environment() => return Err(unknown(&error)),
            Err(error) => unreadable.push((id, chain(&error))),
        }
    }
    readable.sort_by_key(|(_, snapshot)| snapshot.time);
    let picked = pick::pick(request, readable, &records, &living, rooms.clock.now());
    let mut meant = Vec::new();
    for (id, what) in unreadable {
        let object = format!("snapshot {id}");
        if pick::may_be_meant(request, picked.as_ref().ok(), &records, id) {
            meant.push(id);
            integrity.damaged(object, what);
        } else {
            rehearsal.beside.push(Finding { object, what });
        }
    }
    let mut lost = pick::lost(request, picked.as_ref().ok(), &records, &listed);
    if !lost.is_empty() && doubt.is_none() {
        // Where no lock could be taken they may have been forgotten since the ledger was read.
        let anew = account.testimony(rooms).await.map_err(|error| unknown(&error))?;
        let announced = account::announced(&anew.records);
        lost.retain(|(id, _)| !announced.contains(id));
        doubt = anew.doubt;
    }
    meant.extend(lost.iter().map(|(id, _)| *id));
    rehearsal.instead_of = pick::first_meant(request, &meant, &records);
    integrity.damage.extend(lost.into_iter().map(|(_, place)| place));
    let picked = picked.map_err(|none| match none {
        NoPoint::None(why) => integrity.damaged("recovery point", why),
        NoPoint::Named(why) => Stop::Environment(why),
    })?;
    let mut vouched = pick::vouched(request, &picked, &records, &legible);
    if doubt.is_none() && !matches!(vouched, Outcome::Held { .. }) {
        // It may have been published and recorded since the ledger was read.
        let anew = account.testimony(rooms).await.map_err(|error| unknown(&error))?;
        Testimony { records, doubt } = anew;
        vouched = pick::vouched(request, &picked, &records, &legible);
    }
    let alarm = doubt.map(|what| Outcome::not_run(Why::Contradiction, what));
    let outcome = alarm.unwrap_or(vouched);
    rehearsal.settle(Id::Point, outcome, "records", begun.elapsed());
    Ok((picked, records))
}

/// Writes down what the snapshot says of itself, and how old its data is.
pub(super) fn describe(
    request: Request<'_>,
    picked: &Picked,
    manifest: Option<&Manifest>,
    records: &[Record],
    rehearsal: &mut Rehearsal,
) {
    let sources = manifest.map_or(&[][..], |manifest| &manifest.sources);
    let consistent_time = sources.iter().map(Capture::state_time).min();
    let incomplete = picked.snapshot.tags.iter().any(|tag| tag == INCOMPLETE)
        || sources.iter().any(|capture| !capture.skipped.is_empty());
    rehearsal.point = Some(Point {
        snapshot: picked.id.0,
        time: picked.snapshot.time,
        consistent_time,
        pick: picked.how.clone(),
        candidates: picked.candidates,
        complete: !incomplete,
        manifest: manifest.is_some(),
    });
    let mut unnamed = Vec::new();
    for capture in sources {
        rehearsal.not_covered.extend(capture.gaps().into_iter().map(|gap| NotCovered {
            source: capture.source.clone(),
            what: gap.kind.code().to_owned(),
            database: gap.database,
            names: gap.names,
        }));
        let allowed = super::write_down::may_skip(request.policy, &capture.source);
        for skipped in &capture.skipped {
            rehearsal
                .skipped
                .push(Finding { object: skipped.path.clone(), what: skipped.reason.clone() });
            if !allowed(&skipped.path) {
                unnamed.push(skipped.path.clone());
            }
        }
    }
    let untold = incomplete && rehearsal.skipped.is_empty();
    let mut counts_from = consistent_time;
    if untold || !unnamed.is_empty() {
        rehearsal.completeness = Completeness::Incomplete { unnamed };
        // What lacks items does not make the data any younger.
        counts_from = newest_complete(request, records);
    }
    // A moment that is still to come is a clock that was wrong, and no age.
    rehearsal.measured.data_age =
        counts_from.and_then(|time| rehearsal.started.duration_since(time).try_into().ok());
}

fn newest_complete(request: Request<'_>, records: &[Record]) -> Option<Timestamp> {
    let complete = records.iter().filter_map(|record| match &record.event.body {
        Body::BackupFinished(finished) if finished.policy == request.policy.name => {
            finished.complete.then_some(finished.consistent_time)
        }
        _ => None,
    });
    complete.max()
}
