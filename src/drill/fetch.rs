//! The first two rungs: the snapshot comes out of the bucket into scratch.
//!
//! The repository's lock is held only here. Integrity is shown by the restore's own reads: every
//! blob is fetched once, decrypted and compared with its name.

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;

use super::pick::{self, NoPoint, Picked};
use super::starting::{self, Preparing, Starting};
use super::{Error, Rehearsal, Request};
use crate::account::{self, Account, Locked, Rooms, Testimony};
use crate::check::{Completeness, Id, Outcome, Why};
use crate::ground::causes::chain;
use crate::ledger::details::{Finding, NotCovered, Point};
use crate::ledger::record::{Body, Record};
use crate::repo::{BlobId, Reader, Snapshot, SnapshotId};
use crate::restore::{self, Fidelity, Occupied, Select};
use crate::sandbox::{Reserved, Scratch};
use crate::source::manifest::{self, INCOMPLETE, Manifest};
use crate::source::{Capture, Place};

/// A snapshot in scratch.
pub(super) struct Fetched {
    pub(super) reader: Reader,
    pub(super) tree: BlobId,
    /// What was restored and where to.
    pub(super) request: restore::Request,
}

/// How a fetch ended.
pub(super) enum Came {
    /// A snapshot, and its sources that are ready to start.
    Out(Fetched, Vec<Starting>),
    /// Nothing to go on with; the outcomes say why.
    Nothing,
    /// Other drills hold the room that so many bytes need: nothing was done, it is to be tried anew.
    Crowded(u64),
}

/// Why the rungs above cannot be climbed.
enum Stop {
    /// Something is missing or damaged, as the damage gathered so far tells.
    Damaged,
    Environment(String),
    Crowded(u64),
}

/// Picks, reserves room for what comes, reads and restores, while engines are made ready for it.
pub(super) async fn run(
    request: Request<'_>,
    account: &Account,
    scratch: &Arc<Scratch>,
    rehearsal: &mut Rehearsal,
    rooms: &Rooms,
) -> Result<Came, Error> {
    tracing::info!(phase = "fetch");
    let begun = Instant::now();
    let fetch = Fetch { request, account, scratch, rooms };
    let mut brought = Brought::default();
    let fetched = fetch.locked(rehearsal, &mut brought).await;
    let took = begun.elapsed();
    // Whatever became of the fetch: nothing of it may outlive this.
    let starting = match brought.preparing {
        Some(preparing) => preparing.finish(rehearsal).await?,
        None => Vec::new(),
    };
    let Integrity { blobs, damage } = brought.integrity;
    let (outcome, came) = match fetched {
        Err(Stop::Crowded(bytes)) => return Ok(Came::Crowded(bytes)),
        Ok(fetched) if damage.is_empty() => (Outcome::of(blobs, []), Came::Out(fetched, starting)),
        Ok(_) | Err(Stop::Damaged) => (Outcome::of(blobs, damage), Came::Nothing),
        Err(Stop::Environment(what)) if damage.is_empty() => {
            (Outcome::not_run(Why::Environment, what), Came::Nothing)
        }
        Err(Stop::Environment(_)) => (Outcome::of(blobs, damage), Came::Nothing),
    };
    rehearsal.settle(Id::Integrity, outcome, "blobs", took);
    Ok(came)
}

/// What a fetch works with.
struct Fetch<'a> {
    request: Request<'a>,
    account: &'a Account,
    scratch: &'a Arc<Scratch>,
    rooms: &'a Rooms,
}

/// What a fetch brought, however it ended.
#[derive(Default)]
struct Brought {
    integrity: Integrity,
    preparing: Option<Preparing>,
}

/// What was learnt of the stored bytes.
#[derive(Default)]
struct Integrity {
    /// Blobs that were read and found to be what their names say.
    blobs: u64,
    damage: Vec<Place>,
}

impl Integrity {
    fn damaged(&mut self, object: impl Into<String>, what: impl Into<String>) -> Stop {
        self.damage.push(Place { object: object.into(), what: what.into() });
        Stop::Damaged
    }
}

impl Fetch<'_> {
    /// Fetches under the repository's lock, which is given back however that ends.
    async fn locked(
        &self,
        rehearsal: &mut Rehearsal,
        brought: &mut Brought,
    ) -> Result<Fetched, Stop> {
        let waiting = Instant::now();
        let lock = Locked::to_read(self.account, self.rooms).await;
        let lock = lock.map_err(|error| unknown(&error))?;
        rehearsal.phase("queue", rehearsal.queued + waiting.elapsed(), false);
        let begun = Instant::now();
        let fetched = self.fetch(rehearsal, brought).await;
        if let Some(lock) = lock {
            lock.release().await.map_err(|error| unknown(&error))?;
        }
        if fetched.is_ok() {
            // Nothing starts before the lock is given back: that is recovery time too.
            rehearsal.phase("fetch", begun.elapsed(), true);
        }
        fetched
    }

    async fn fetch(
        &self,
        rehearsal: &mut Rehearsal,
        brought: &mut Brought,
    ) -> Result<Fetched, Stop> {
        let Self { request, account, scratch, rooms } = *self;
        let integrity = &mut brought.integrity;
        let (picked, records) = point(request, account, rehearsal, integrity, rooms).await?;
        let index = account.index().await.map_err(|error| match &error {
            account::Error::Read(read) if !read.is_environment() => {
                integrity.damaged("index", chain(&error))
            }
            _ => unknown(&error),
        })?;
        let reader = Reader::new(account.repository.clone(), index);
        let manifest = read_manifest(&reader, picked.snapshot.tree, integrity).await?;
        let most_bytes = request.setup.site.scratch.max.map(|size| size.0);
        let room = Room::of(&picked.snapshot, manifest.as_ref());
        match scratch.reserve(room.whole(), most_bytes).map_err(|error| unknown(&error))? {
            Reserved::Yes => {}
            Reserved::Crowded { .. } => return Err(Stop::Crowded(room.whole())),
        }
        describe_point(request, &picked, manifest.as_ref(), &records, rehearsal);
        brought.preparing = Some(starting::prepare(request, manifest.as_ref(), scratch, rooms));

        let wanted = restore::Request {
            to: scratch.dir().join("data"),
            select: Select::Everything,
            occupied: Occupied::Refuse,
            fidelity: Fidelity::Drill,
            most_bytes,
            interrupted: rooms.interrupted.clone(),
        };
        let restored =
            restore::run(&reader, picked.snapshot.tree, &wanted, rooms.progress.clone()).await;
        let restored = restored.map_err(|error| match error.is_environment() {
            true => unknown(&error),
            false => integrity.damaged(format!("snapshot {}", picked.id), chain(&error)),
        })?;
        integrity.blobs = restored.blobs;
        integrity.damage.extend(restored.damaged);
        if let Some(first) = restored.unrestored.first() {
            let why = format!(
                "{} entries could not be made in scratch, the first: {}",
                restored.unrestored.len(),
                first.object
            );
            rehearsal.not_run(Id::Restore, Why::Environment, &why);
        }
        scratch.still_to_write(room.engines).map_err(|error| unknown(&error))?;
        Ok(Fetched { reader, tree: picked.snapshot.tree, request: wanted })
    }
}

/// Bytes that a drill writes.
struct Room {
    restored: u64,
    engines: u64,
}

impl Room {
    fn of(snapshot: &Snapshot, manifest: Option<&Manifest>) -> Self {
        let sources = manifest.map_or(&[][..], |manifest| &manifest.sources);
        let sum = |of: fn(&Capture) -> u64| sources.iter().map(of).fold(0, u64::saturating_add);
        let told = snapshot.summary.as_ref().map_or(0, |told| told.total_bytes_processed);
        Self {
            restored: sum(|capture| capture.bytes).max(told),
            engines: sum(Capture::engine_bytes),
        }
    }

    fn whole(&self) -> u64 {
        self.restored.saturating_add(self.engines)
    }
}

/// The recovery point, and the ledger's records; settles whether it is the right one.
async fn point(
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

/// `lifeboat.json` of a snapshot that has one. One that cannot be read is damage; the rest is
/// restored all the same, so that everything that is damaged gets its name.
async fn read_manifest(
    reader: &Reader,
    tree: BlobId,
    integrity: &mut Integrity,
) -> Result<Option<Manifest>, Stop> {
    match restore::manifest(reader, tree).await {
        Ok(manifest) => Ok(manifest),
        Err(error) if error.is_environment() => {
            Err(Stop::Environment(format!("{}: {}", manifest::FILE, chain(&error))))
        }
        Err(error) => {
            integrity.damaged(manifest::FILE, chain(&error));
            Ok(None)
        }
    }
}

fn describe_point(
    request: Request<'_>,
    picked: &Picked,
    manifest: Option<&Manifest>,
    records: &[Record],
    rehearsal: &mut Rehearsal,
) {
    let sources = manifest.map_or(&[][..], |manifest| &manifest.sources);
    let consistent_time = sources.iter().map(|capture| capture.consistent_time).min();
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

fn unknown(error: &(dyn std::error::Error + 'static)) -> Stop {
    Stop::Environment(chain(error))
}
