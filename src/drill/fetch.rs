//! The first two rungs: the snapshot comes out of the bucket into scratch.
//!
//! The repository's lock is held only here. Integrity is shown by the restore's own reads: every
//! blob is fetched once, decrypted and compared with its name.

use std::path::Path;
use std::time::Instant;

use super::pick::{self, NoPoint, Picked};
use super::{Rehearsal, Request};
use crate::account::{Account, Locked, Rooms};
use crate::backup::INCOMPLETE;
use crate::check::{Completeness, Id, Outcome, Why};
use crate::ground::causes::chain;
use crate::ledger::details::Point;
use crate::repo::{BlobId, BlobKind, NodeKind, ReadError, Reader, SnapshotId};
use crate::restore::{self, Fidelity, Occupied, Select};
use crate::source::manifest::{self, Manifest};

/// A snapshot in scratch.
pub(super) struct Fetched {
    pub(super) reader: Reader,
    pub(super) tree: BlobId,
    /// What was restored and where to.
    pub(super) request: restore::Request,
    /// None for a snapshot that lifeboat did not make.
    pub(super) manifest: Option<Manifest>,
    pub(super) begun: Instant,
}

/// Why the rungs above cannot be climbed.
enum Stop {
    Data(String, String),
    Environment(String),
}

/// Picks, reads and restores; on trouble the outcomes say why, and there is nothing to go on with.
pub(super) async fn run(
    request: Request<'_>,
    account: &Account,
    scratch: &Path,
    rehearsal: &mut Rehearsal,
    rooms: &Rooms,
) -> Option<Fetched> {
    tracing::info!(phase = "fetch");
    match fetch(request, account, scratch, rehearsal, rooms).await {
        Ok(fetched) => Some(fetched),
        Err(Stop::Data(object, what)) => {
            rehearsal.broke(Id::Integrity, &object, &what);
            None
        }
        Err(Stop::Environment(what)) => {
            rehearsal.not_run(Id::Integrity, Why::Environment, &what);
            None
        }
    }
}

async fn fetch(
    request: Request<'_>,
    account: &Account,
    scratch: &Path,
    rehearsal: &mut Rehearsal,
    rooms: &Rooms,
) -> Result<Fetched, Stop> {
    let lock = Locked::shared(account, rooms).await.map_err(|error| unknown(&error))?;
    let begun = Instant::now();
    let picked = point(request, account, rehearsal, rooms).await?;
    let index = account.index().await.map_err(|error| match &error {
        crate::account::Error::Read(read) if !read.is_environment() => {
            Stop::Data("index".into(), chain(&error))
        }
        _ => unknown(&error),
    })?;
    let reader = Reader::new(account.repository.clone(), index);
    let manifest = read_manifest(&reader, picked.snapshot.tree).await?;
    describe_point(request, &picked, manifest.as_ref(), rehearsal);

    let wanted = restore::Request {
        to: scratch.join("data"),
        select: Select::Everything,
        occupied: Occupied::Refuse,
        fidelity: Fidelity::Drill,
    };
    let restored =
        restore::run(&reader, picked.snapshot.tree, &wanted, rooms.progress.clone()).await;
    let restored = restored.map_err(|error| match error.is_environment() {
        true => unknown(&error),
        false => Stop::Data(format!("snapshot {}", picked.id), chain(&error)),
    })?;
    rehearsal.phase("fetch", begun.elapsed(), true);
    lock.release().await.map_err(|error| unknown(&error))?;

    let whole = restored.damaged.is_empty();
    let outcome = Outcome::of(restored.blobs, restored.damaged);
    rehearsal.settle(Id::Integrity, outcome, "blobs", begun.elapsed());
    if !restored.unrestored.is_empty() {
        let missing = restored.unrestored.len();
        let why = format!(
            "{missing} entries could not be made in scratch: {}",
            restored.unrestored[0].object
        );
        rehearsal.not_run(Id::Restore, Why::Environment, &why);
    }
    if !whole {
        return Err(Stop::Environment("the snapshot did not come out whole".into()));
    }
    Ok(Fetched { reader, tree: picked.snapshot.tree, request: wanted, manifest, begun })
}

/// The recovery point; also looks whether the ledger knows a newer one that is gone.
async fn point(
    request: Request<'_>,
    account: &Account,
    rehearsal: &mut Rehearsal,
    rooms: &Rooms,
) -> Result<Picked, Stop> {
    let listing = account.repository.snapshot_files().await.map_err(|error| unknown(&error))?;
    let listed: Vec<SnapshotId> = listing.iter().map(|(id, _)| *id).collect();
    let mut readable = Vec::new();
    for (id, snapshot) in listing {
        match snapshot {
            Ok(snapshot) => readable.push((id, snapshot)),
            Err(error) if error.is_environment() => return Err(unknown(&error)),
            Err(error) => {
                rehearsal.broke(Id::Integrity, &format!("snapshot {id}"), &chain(&error));
            }
        }
    }
    readable.sort_by_key(|(_, snapshot)| snapshot.time);
    let records = account.records().await.map_err(|error| unknown(&error))?;
    let picked = pick::pick(request, readable, rooms.clock.now());
    for place in pick::lost_since(request, picked.as_ref().ok(), &records, &listed) {
        rehearsal.broke(Id::Integrity, &place.object, &place.what);
    }
    picked.map_err(|none| match none {
        NoPoint::None(why) => Stop::Data("recovery point".into(), why),
        NoPoint::Named(why) => Stop::Environment(why),
    })
}

/// `lifeboat.json` of a snapshot that has one.
async fn read_manifest(reader: &Reader, tree: BlobId) -> Result<Option<Manifest>, Stop> {
    let failed = |error: ReadError| match error.is_environment() {
        true => unknown(&error),
        false => Stop::Data(manifest::FILE.into(), chain(&error)),
    };
    let root = reader.tree(&tree).await.map_err(failed)?;
    let page = root.nodes.iter().find(|node| node.name == manifest::FILE.as_bytes());
    let Some(NodeKind::File { content, .. }) = page.map(|node| &node.kind) else {
        return Ok(None);
    };
    let mut text = Vec::new();
    for id in content {
        text.extend(reader.blob(BlobKind::Data, id).await.map_err(failed)?);
    }
    let manifest: Manifest = serde_json::from_slice(&text)
        .map_err(|error| Stop::Data(manifest::FILE.into(), error.to_string()))?;
    if manifest.format > manifest::FORMAT {
        let newer =
            format!("{} of format {} needs a newer lifeboat", manifest::FILE, manifest.format);
        return Err(Stop::Environment(newer));
    }
    Ok(Some(manifest))
}

fn describe_point(
    request: Request<'_>,
    picked: &Picked,
    manifest: Option<&Manifest>,
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
    if let Some(time) = consistent_time {
        let age = rehearsal.started.duration_since(time);
        rehearsal.measured.data_age = Some(age.try_into().unwrap_or_default());
    }
    let mut unnamed = Vec::new();
    for capture in sources {
        let allowed = super::write_down::may_skip(request.policy, &capture.source);
        for skipped in &capture.skipped {
            rehearsal.skipped.push(crate::ledger::details::Finding {
                object: skipped.path.clone(),
                what: skipped.reason.clone(),
            });
            if !allowed(&skipped.path) {
                unnamed.push(skipped.path.clone());
            }
        }
    }
    let untold = incomplete && rehearsal.skipped.is_empty();
    if untold || !unnamed.is_empty() {
        rehearsal.completeness = Completeness::Incomplete { unnamed };
    }
}

fn unknown(error: &(dyn std::error::Error + 'static)) -> Stop {
    Stop::Environment(chain(error))
}
