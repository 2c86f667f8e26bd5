//! The way out: one run of a policy becomes one snapshot.
//!
//! In: a policy, the customer's account. Out: a published snapshot and its record. The order is the
//! promise: packs, then indexes, then the snapshot, each durable before the next begins; then the
//! ledger. A source's trouble with one item is listed; the store's trouble ends the run.

mod hooks;
mod node;
mod sink;

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use jiff::Timestamp;
use serde_json::Value;
use tokio::runtime::Handle;

use crate::account::journal::{self, Act};
use crate::account::{self, Account, Leased, Locked, Rooms};
use crate::ground::causes::chain;
use crate::ground::digest::Digest;
use crate::ground::ids::{Name, RunId};
use crate::ground::progress::Progress;
use crate::ledger::canonical;
use crate::ledger::details;
use crate::ledger::record::{BackupFinished, Body};
use crate::policy::sources::SourceSettings;
use crate::policy::{Policy, Setup};
use crate::repo::{
    self, Added, BlobId, NodeKind, ReadError, Reader, SharedIndex, Snapshot, SnapshotId,
    StoreError, Summary, Tree, WriteError, Writer,
};
use crate::sandbox::{self, Scratch};
use crate::source::manifest::{self, INCOMPLETE, Manifest, TAG, policy_tag};
use crate::source::{self, Capture, Skipped};

/// Why no snapshot was published, or why one that was is not in order.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error(transparent)]
    Account(#[from] account::Error),
    #[error("cannot capture the source {source_name}")]
    Capture { source_name: Name, source: source::Error },
    #[error("cannot read the snapshot before this one")]
    Parent(#[from] ReadError),
    #[error("cannot store what was captured")]
    Write(#[from] WriteError),
    #[error("cannot store the snapshot's own page")]
    Page(#[from] StoreError),
    #[error("cannot publish the snapshot")]
    Publish(#[source] repo::Error),
    #[error("cannot prepare a folder for staging")]
    Staging(#[from] sandbox::Error),
    #[error(transparent)]
    Hook(#[from] hooks::Error),
    #[error("snapshot {snapshot} is published, but what came after it failed")]
    After { snapshot: SnapshotId, source: hooks::Error },
    #[error(transparent)]
    Interrupted(#[from] account::Interrupted),
    #[error("a thread that captures ended early")]
    Thread(#[source] tokio::task::JoinError),
}

/// A snapshot that was published.
#[derive(Debug, Clone)]
pub struct Published {
    pub run: RunId,
    pub snapshot: SnapshotId,
    pub added: Added,
    pub entries: u64,
    pub bytes: u64,
    pub seconds: f64,
    pub skipped: Vec<Skipped>,
}

/// Runs `policy` once; `slot` is the scheduled time it answers, none by hand.
pub async fn run(
    setup: &Setup,
    policy: &Policy,
    slot: Option<Timestamp>,
    rooms: &Rooms,
) -> Result<Published, Error> {
    let run = RunId::draw();
    let lease = Leased::take("backup", &policy.full_name(), run, rooms).await?;
    let outcome = under(&lease, run, setup, policy, slot, rooms).await;
    lease.give_back(rooms).await;
    outcome
}

/// The run itself, under the policy's lease.
async fn under(
    lease: &Leased,
    run: RunId,
    setup: &Setup,
    policy: &Policy,
    slot: Option<Timestamp>,
    rooms: &Rooms,
) -> Result<Published, Error> {
    let begun = Instant::now();
    account::sweep(setup, rooms).await?;
    hooks::settle(policy, rooms).await;
    let account = Account::open_or_create(setup, setup.customer_of(policy), rooms).await?;
    tracing::info!(phase = "begin", %run, policy = policy.full_name());
    let effective = setup.effective(policy);
    let digest = canonical::digest(&effective).expect("an effective policy holds no floats");
    let act = Act { policy: policy.name.clone(), kind: journal::Kind::Backup, run, slot };
    let recorded = account.begin(&act, &effective, digest, rooms).await?;
    account::tell(&recorded, &*rooms.progress);

    let kept = keep(setup, policy, run, (&effective, digest), &account, lease, rooms).await;
    match kept {
        Ok(kept) => record(policy, &act, kept, begun, &account, rooms).await,
        Err(error) => {
            let recorded = account.journal.aborted(&act, &chain(&error)).await;
            account::tell(&recorded.map_err(account::Error::from)?, &*rooms.progress);
            Err(error)
        }
    }
}

/// What is in the repository once everything is durable.
struct Kept {
    snapshot: SnapshotId,
    captures: Vec<Capture>,
    added: Added,
    after: Result<(), hooks::Error>,
}

/// Captures between the hooks and publishes, under the repository's lock.
async fn keep(
    setup: &Setup,
    policy: &Policy,
    run: RunId,
    (effective, digest): (&Value, Digest),
    account: &Account,
    lease: &Leased,
    rooms: &Rooms,
) -> Result<Kept, Error> {
    let lock = Locked::shared(account, rooms).await?;
    tracing::info!(phase = "prepare", %run);
    let index = stored_index(account, &*rooms.progress).await?;
    let parent = newest_of(account, policy, &*rooms.progress).await?;
    let reader = Reader::new(account.repository.clone(), index.clone());
    let writer = account.repository.writer(index, Handle::current(), rooms.clock.clone());

    tracing::info!(phase = "capture", %run);
    let captured = match hooks::before(policy, rooms).await {
        Ok(()) => capture_all(setup, policy, parent.as_ref(), &reader, writer, rooms).await,
        Err(error) => Err(error.into()),
    };
    let after = hooks::after(policy, rooms).await;
    let Captured { captures, mut folders, writer } = captured?;
    rooms.check_interrupted()?;

    tracing::info!(phase = "publish", %run);
    rooms.progress.phase("publish", None);
    let now = rooms.clock.now();
    let page = Manifest {
        format: manifest::FORMAT,
        lifeboat: env!("CARGO_PKG_VERSION").to_owned(),
        run,
        customer: policy.customer.clone(),
        policy: policy.name.clone(),
        effective: effective.clone(),
        effective_digest: digest,
        sources: captures,
    };
    let (tree, captures, writer) = blocking(move || {
        let text = serde_json::to_vec(&page).expect("a manifest has only text for keys");
        let content = writer.store_content(&mut &text[..])?;
        let size = content.size;
        folders.push(node::file_node(manifest::FILE, content.ids, size, now));
        let tree = writer.store_tree(&node::sorted(folders))?;
        Ok::<_, StoreError>((tree, page.sources, writer))
    })
    .await??;
    let added = writer.finish().await?;
    lock.assure().await?;
    lease.renew().await?;
    let snapshot = describe(policy, run, tree, parent, &captures, now, &added);
    tracing::info!(phase = "commit", %run);
    let id = account.repository.save_snapshot(&snapshot).await.map_err(Error::Publish)?;
    lock.release().await?;
    Ok(Kept { snapshot: id, captures, added, after })
}

/// Writes down what was kept.
async fn record(
    policy: &Policy,
    act: &Act,
    kept: Kept,
    begun: Instant,
    account: &Account,
    rooms: &Rooms,
) -> Result<Published, Error> {
    let Kept { snapshot, captures, added, after } = kept;
    tracing::info!(phase = "record", run = %act.run);
    let elapsed = begun.elapsed();
    let skipped: Vec<_> = captures.iter().flat_map(|capture| capture.skipped.clone()).collect();
    let finished = BackupFinished {
        policy: policy.name.clone(),
        run: act.run,
        slot: act.slot,
        snapshot: snapshot.0,
        consistent_time: earliest(&captures).unwrap_or_else(|| rooms.clock.now()),
        complete: skipped.is_empty(),
        entries: captures.iter().map(|capture| capture.entries).sum(),
        bytes: captures.iter().map(|capture| capture.bytes).sum(),
        added_bytes: added.added_bytes,
        stored_bytes: added.stored_bytes,
        skipped: skipped.len() as u64,
        duration_ms: elapsed.as_millis() as u64,
        // The journal sets it to what it stores.
        details: Digest::ZERO,
    };
    let (entries, bytes) = (finished.entries, finished.bytes);
    let finding = |skipped: &Skipped| details::Finding {
        object: skipped.path.clone(),
        what: skipped.reason.clone(),
    };
    let details = details::Backup {
        format: details::FORMAT,
        lifeboat: env!("CARGO_PKG_VERSION").to_owned(),
        run: act.run,
        skipped: skipped.iter().map(finding).collect(),
        sources: serde_json::to_value(&captures).expect("captures have only text for keys"),
    };
    let recorded = account.journal.backup_finished(finished, &details).await;
    account::tell(&recorded.map_err(account::Error::from)?, &*rooms.progress);
    after.map_err(|source| Error::After { snapshot, source })?;
    let (run, seconds) = (act.run, elapsed.as_secs_f64());
    Ok(Published { run, snapshot, added, entries, bytes, seconds, skipped })
}

/// The sources of a run, in the repository but not yet published.
struct Captured {
    captures: Vec<Capture>,
    folders: Vec<repo::Node>,
    writer: Writer,
}

/// Captures one source after the other, on a thread of its own.
async fn capture_all(
    setup: &Setup,
    policy: &Policy,
    parent: Option<&(SnapshotId, Snapshot)>,
    reader: &Reader,
    writer: Writer,
    rooms: &Rooms,
) -> Result<Captured, Error> {
    let root = match parent {
        Some((_, snapshot)) => known(reader.tree(&snapshot.tree).await)?,
        None => None,
    };
    let (mut captures, mut folders, mut writer) = (Vec::new(), Vec::new(), writer);
    for settings in &policy.sources {
        rooms.progress.phase(&format!("capture {}", settings.name), None);
        let subtree = root.as_ref().and_then(|tree| folder_in(tree, settings.name.as_str()));
        let before = match subtree {
            Some(id) => known(reader.tree(&id).await)?,
            None => None,
        };
        let scratch = Scratch::create(&setup.site.scratch.dir, None)?;
        let context = source::Context {
            clock: rooms.clock.clone(),
            progress: rooms.progress.clone(),
            staging: scratch.dir().to_owned(),
            interrupted: rooms.interrupted.clone(),
        };
        let (settings, reader, host) = (settings.clone(), reader.clone(), rooms.host.clone());
        let (captured, back) = blocking(move || {
            let captured = capture(&settings, &context, before, &reader, &writer, &host);
            drop(scratch);
            (
                captured.map_err(|source| Error::Capture { source_name: settings.name, source }),
                writer,
            )
        })
        .await?;
        writer = back;
        let (capture, tree) = captured?;
        folders.push(node::neutral_node(capture.source.as_str(), tree));
        captures.push(capture);
    }
    Ok(Captured { captures, folders, writer })
}

/// Captures one source; blocking.
fn capture(
    settings: &SourceSettings,
    context: &source::Context,
    before: Option<Tree>,
    reader: &Reader,
    writer: &Writer,
    host: &source::Host,
) -> Result<(Capture, BlobId), source::Error> {
    let runtime = Handle::current();
    // A tree of the parent that cannot be read costs reading its files again, nothing else.
    let parents = |id: &BlobId| runtime.block_on(reader.tree(id)).ok();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let source = source::of(settings, host);
    let (progress, interrupted) = (&*context.progress, &*context.interrupted);
    sink::gather(writer, &parents, before, progress, interrupted, cores, |sink| {
        source.capture(context, sink)
    })
}

/// The index of the packs that the store has at their full length: what only a lost or cut pack
/// holds is stored again, for success means that everything is there.
async fn stored_index(account: &Account, progress: &dyn Progress) -> Result<SharedIndex, Error> {
    let index = account.index().await?;
    let sizes = account.repository.pack_sizes().await.map_err(account::Error::from)?;
    let lost = index.read().unwrap_or_else(PoisonError::into_inner).without(&sizes);
    let Some((rest, lost)) = lost else { return Ok(index) };
    for pack in lost {
        progress.note(&format!("pack {pack} is missing or damaged: what it held is stored again"));
    }
    Ok(Arc::new(RwLock::new(rest)))
}

/// The policy's newest snapshot, whole or not: unchanged files are taken from it, unread. So only
/// one that the ledger knows will do: content that somebody else published would be vouched for.
async fn newest_of(
    account: &Account,
    policy: &Policy,
    progress: &dyn Progress,
) -> Result<Option<(SnapshotId, Snapshot)>, Error> {
    let tag = policy_tag(&policy.name);
    let records = account.records().await?;
    let published: BTreeSet<_> = records
        .iter()
        .filter_map(|record| match &record.event.body {
            Body::BackupFinished(finished) => Some(finished.snapshot),
            _ => None,
        })
        .collect();
    let mut newest: Option<(SnapshotId, Snapshot)> = None;
    for (id, file) in account.repository.snapshot_files().await.map_err(account::Error::from)? {
        match file {
            Ok(snapshot) => {
                let is_newer = newest.as_ref().is_none_or(|(_, other)| snapshot.time > other.time);
                let is_ours = snapshot.tags.contains(&tag) && published.contains(&id.0);
                if is_newer && is_ours {
                    newest = Some((id, snapshot));
                }
            }
            // It costs reading files again. That one is damaged must not leave today without any.
            Err(error) => progress.note(&chain(&error)),
        }
    }
    Ok(newest)
}

/// A tree of the parent snapshot, if the repository still has it whole.
fn known(tree: Result<Tree, ReadError>) -> Result<Option<Tree>, ReadError> {
    match tree {
        Ok(tree) => Ok(Some(tree)),
        Err(error) if error.is_environment() => Err(error),
        Err(_) => Ok(None),
    }
}

fn folder_in(tree: &Tree, name: &str) -> Option<BlobId> {
    let node = tree.nodes.iter().find(|node| node.name == name.as_bytes())?;
    match node.kind {
        NodeKind::Dir { subtree } => Some(subtree),
        _ => None,
    }
}

fn describe(
    policy: &Policy,
    run: RunId,
    tree: BlobId,
    parent: Option<(SnapshotId, Snapshot)>,
    captures: &[Capture],
    now: Timestamp,
    added: &Added,
) -> Snapshot {
    let mut tags = vec![TAG.to_owned(), policy_tag(&policy.name), format!("run:{run}")];
    if captures.iter().any(|capture| !capture.skipped.is_empty()) {
        tags.push(INCOMPLETE.to_owned());
    }
    let started = captures.iter().map(|capture| capture.started).min().unwrap_or(now);
    Snapshot {
        time: now,
        parent: parent.map(|(id, _)| id),
        tree,
        paths: policy.sources.iter().map(|source| format!("/{}", source.name)).collect(),
        hostname: policy.customer.to_string(),
        username: "lifeboat".to_owned(),
        uid: rustix::process::getuid().as_raw(),
        gid: rustix::process::getgid().as_raw(),
        tags,
        program_version: format!("lifeboat {}", env!("CARGO_PKG_VERSION")),
        summary: Some(Summary {
            backup_start: started,
            backup_end: now,
            data_added: added.added_bytes,
            data_added_packed: added.stored_bytes,
            total_files_processed: captures.iter().map(|capture| capture.entries).sum(),
            total_bytes_processed: captures.iter().map(|capture| capture.bytes).sum(),
            ..Summary::default()
        }),
    }
}

fn earliest(captures: &[Capture]) -> Option<Timestamp> {
    captures.iter().map(|capture| capture.consistent_time).min()
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(Error::Thread)
}
