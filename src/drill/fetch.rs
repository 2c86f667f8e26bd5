//! The first two rungs: the snapshot comes out of the bucket into scratch.
//!
//! The repository's lock is held only here. Integrity is shown by the restore's own reads: every
//! blob is fetched once, decrypted and compared with its name.

use std::sync::Arc;
use std::time::Instant;

use super::independent::{self, Copied};
use super::starting::{self, Preparing, Starting};
use super::{Error, Rehearsal, Request, point};
use crate::account::{self, Account, Locked, Rooms};
use crate::check::{Id, Outcome, Why};
use crate::ground::causes::chain;
use crate::repo::{BlobId, Reader, Snapshot, SnapshotId};
use crate::restore::{self, Fidelity, Occupied, Select};
use crate::sandbox::{Reserved, Scratch};
use crate::source::manifest::{self, Manifest};
use crate::source::{Capture, Place};

/// A snapshot in scratch.
pub(super) struct Fetched {
    pub(super) reader: Reader,
    pub(super) tree: BlobId,
    /// What was restored and where to.
    pub(super) request: restore::Request,
    /// The stored objects themselves, where other programs restore them once more; or why there are none.
    pub(super) copied: Option<Result<Copied, String>>,
    /// What is still to be written once all sources are up.
    pub(super) later_bytes: u64,
    snapshot: SnapshotId,
}

/// How a fetch ended.
pub(super) enum Came {
    /// A snapshot, and its sources that are ready to start.
    Out(Box<Fetched>, Vec<Starting>),
    /// Nothing to go on with; the outcomes say why.
    Nothing,
    /// Other drills hold the room that so many bytes need: nothing was done, it is to be tried anew.
    Crowded(u64),
}

/// Why the rungs above cannot be climbed.
pub(super) enum Stop {
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
        Ok(fetched) if damage.is_empty() => {
            (Outcome::of(blobs, []), Came::Out(Box::new(fetched), starting))
        }
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
pub(super) struct Integrity {
    /// Blobs that were read and found to be what their names say.
    blobs: u64,
    pub(super) damage: Vec<Place>,
}

impl Integrity {
    pub(super) fn damaged(&mut self, object: impl Into<String>, what: impl Into<String>) -> Stop {
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
        let mut fetched = self.fetch(rehearsal, brought).await;
        let copying = Instant::now();
        if let Ok(fetched) = &mut fetched {
            fetched.copied = self.copy(fetched).await;
        }
        // No recovery would make a copy.
        let aside = copying.elapsed();
        if let Some(lock) = lock {
            lock.release().await.map_err(|error| unknown(&error))?;
        }
        if fetched.is_ok() {
            // Nothing starts before the lock is given back: that is recovery time too.
            rehearsal.phase("fetch", begun.elapsed().saturating_sub(aside), true);
        }
        fetched
    }

    /// The snapshot as it is stored, where the drill is to restore it independently. While the lock is
    /// held nobody prunes it.
    async fn copy(&self, fetched: &Fetched) -> Option<Result<Copied, String>> {
        let Self { request, account, scratch, rooms } = *self;
        if !request.is_independent() {
            return None;
        }
        let what = (fetched.snapshot, fetched.tree);
        let copied = independent::copy(request, account, &fetched.reader, what, scratch, rooms);
        Some(copied.await)
    }

    async fn fetch(
        &self,
        rehearsal: &mut Rehearsal,
        brought: &mut Brought,
    ) -> Result<Fetched, Stop> {
        let Self { request, account, scratch, rooms } = *self;
        let integrity = &mut brought.integrity;
        let (picked, records) = point::find(request, account, rehearsal, integrity, rooms).await?;
        let index = account.index().await.map_err(|error| match &error {
            account::Error::Read(read) if !read.is_environment() => {
                integrity.damaged("index", chain(&error))
            }
            _ => unknown(&error),
        })?;
        let reader = Reader::new(account.repository.clone(), index);
        let manifest = read_manifest(&reader, picked.snapshot.tree, integrity).await?;
        let room = Room::of(&picked.snapshot, manifest.as_ref(), request.is_independent());
        match scratch
            .reserve(room.whole(), request.most_bytes())
            .map_err(|error| unknown(&error))?
        {
            Reserved::Yes => {}
            Reserved::Crowded { .. } => return Err(Stop::Crowded(room.whole())),
        }
        point::describe(request, &picked, manifest.as_ref(), &records, rehearsal);
        brought.preparing = Some(starting::prepare(request, manifest.as_ref(), scratch, rooms));

        let wanted = restore::Request {
            to: scratch.dir().join("data"),
            select: Select::Everything,
            occupied: Occupied::Refuse,
            fidelity: Fidelity::Drill,
            most_bytes: request.most_bytes(),
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
        let ahead = room.engines.saturating_add(room.again);
        scratch.still_to_write(ahead).map_err(|error| unknown(&error))?;
        Ok(Fetched {
            reader,
            tree: picked.snapshot.tree,
            request: wanted,
            copied: None,
            later_bytes: room.again,
            snapshot: picked.id,
        })
    }
}

/// Bytes that a drill writes.
struct Room {
    restored: u64,
    engines: u64,
    /// By other programs, after all that.
    again: u64,
}

impl Room {
    fn of(snapshot: &Snapshot, manifest: Option<&Manifest>, independently: bool) -> Self {
        let sources = manifest.map_or(&[][..], |manifest| &manifest.sources);
        let sum = |of: fn(&Capture) -> u64| sources.iter().map(of).fold(0, u64::saturating_add);
        let told = snapshot.summary.as_ref().map_or(0, |told| told.total_bytes_processed);
        let restored = sum(|capture| capture.bytes).max(told);
        let engines = sum(Capture::engine_bytes);
        // The packs, what comes out of them, and what engines make of that.
        let again = restored.saturating_mul(2).saturating_add(engines);
        Self { restored, engines, again: if independently { again } else { 0 } }
    }

    fn whole(&self) -> u64 {
        self.restored.saturating_add(self.engines).saturating_add(self.again)
    }
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

pub(super) fn unknown(error: &(dyn std::error::Error + 'static)) -> Stop {
    Stop::Environment(chain(error))
}
