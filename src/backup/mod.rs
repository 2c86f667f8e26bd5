//! The way out: one run of a policy becomes one snapshot.
//!
//! In: a policy, the customer's account. Out: a published snapshot and its record. The order is the
//! promise: packs, then indexes, then the snapshot, each durable before the next begins; then the
//! ledger. A source's trouble with one item is listed; the store's trouble ends the run.

mod ahead;
mod capture;
mod deadline;
mod hooks;
mod node;
mod sink;

use std::io;
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::Value;
use tokio::runtime::Handle;
use tracing::Instrument as _;

use self::ahead::Ahead;
use self::capture::Captured;
use self::deadline::Deadline;
use crate::account::journal::{self, Act};
use crate::account::{self, Account, Leased, Locked, Rooms};
use crate::ground::causes::chain;
use crate::ground::digest::Digest;
use crate::ground::ids::{Name, RunId};
use crate::ground::progress::Progress;
use crate::ledger::canonical;
use crate::ledger::details;
use crate::ledger::record::BackupFinished;
use crate::policy::{Policy, Setup};
use crate::repo::{
    self, Added, BlobId, ReadError, Reader, Repository, SharedIndex, Snapshot, SnapshotId,
    StoreError, Summary, WriteError,
};
use crate::sandbox;
use crate::source::manifest::{self, INCOMPLETE, Manifest, TAG, policy_tag};
use crate::source::{self, Capture, Skipped};
use crate::store::Paced;

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
    #[error("the run took longer than its deadline of {limit:?}; nothing was published")]
    Deadline { limit: Duration, source: Option<Box<Error>> },
    #[error("the source {source_name} did not let go within {grace:?} and is left where it hangs")]
    Hangs { source_name: Name, grace: Duration },
    #[error("cannot begin to capture")]
    CannotBegin(#[source] io::Error),
    #[error("the thread that captures the source {source_name} died")]
    Died { source_name: Name },
    #[error("a thread that stores ended early")]
    Thread(#[source] tokio::task::JoinError),
}

/// A snapshot that was published.
#[derive(Debug)]
pub struct Published {
    pub run: RunId,
    pub snapshot: SnapshotId,
    pub added: Added,
    pub entries: u64,
    pub bytes: u64,
    pub seconds: f64,
    pub skipped: Vec<Skipped>,
    /// Why the ledger is not as it was written, if it is not. The snapshot is stored all the same,
    /// and its record made.
    pub alarm: Option<account::Error>,
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
    let span = tracing::info_span!("backup", policy = policy.full_name(), %run);
    let outcome = under(&lease, run, setup, policy, slot, rooms).instrument(span).await;
    lease.give_back(rooms).await;
    outcome
}

/// Runs the hook that a crashed run of `policy` still owes, if one does and nobody runs the policy
/// now; where the hook fails it stays owed, and is noted.
pub async fn settle_hooks(policy: &Policy, rooms: &Rooms) -> Result<(), Error> {
    let owed = rooms.state.owed_hook(&policy.full_name()).await;
    if owed.map_err(account::Error::from)?.is_none() {
        return Ok(());
    }
    match Leased::take("backup", &policy.full_name(), RunId::draw(), rooms).await {
        Ok(lease) => {
            hooks::settle(policy, rooms).await;
            lease.give_back(rooms).await;
            Ok(())
        }
        Err(account::Error::Running { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
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
    let (deadline, rooms) = Deadline::begin(policy.limits.deadline, rooms);
    let rooms = &rooms;
    account::sweep(setup, rooms).await?;
    hooks::settle(policy, rooms).await;
    let (account, founding) =
        Account::open_or_draw(setup, setup.customer_of(policy), rooms).await?;
    tracing::info!(phase = "begin", %run, policy = policy.full_name());
    let mut ahead = match &founding {
        Some(_) => Ahead::begin(setup, policy, &account, rooms).await?,
        None => None,
    };
    let effective = setup.effective(policy);
    let digest = canonical::digest(&effective).expect("an effective policy holds no floats");
    let act = Act { policy: policy.name.clone(), kind: journal::Kind::Backup, run, slot };
    let begin = async {
        if let Some(founding) = founding {
            founding.lay(rooms).await?;
        }
        Ok(account.begin(&act, &effective, digest).await?)
    };
    let recorded = ahead::unless_in_vain(&mut ahead, begin).await?;
    account::tell(&recorded, &*rooms.progress);

    let work = Run { id: run, setup, policy, effective, digest, account: &account, lease, rooms };
    let kept = work.keep(ahead).await;
    // Whoever took the lease over wrote that this run came to nothing: so be it.
    match (lease.renew().await, kept) {
        (Ok(()), Ok(kept)) => record(policy, &act, kept, begun, &account, rooms).await,
        (Ok(()), Err(error)) => {
            let error = match &deadline {
                Some(deadline) => deadline.explain(error),
                None => error,
            };
            let recorded = account.journal.aborted(&act, &chain(&error)).await;
            account::tell(&recorded.map_err(account::Error::from)?, &*rooms.progress);
            Err(error)
        }
        (Err(lost), Ok(_)) => Err(lost.into()),
        (Err(lost), Err(error)) => {
            rooms.progress.note(&chain(&lost));
            Err(error)
        }
    }
}

/// One run of a policy, and all that its steps go by.
struct Run<'a> {
    id: RunId,
    setup: &'a Setup,
    policy: &'a Policy,
    effective: Value,
    digest: Digest,
    account: &'a Account,
    lease: &'a Leased,
    rooms: &'a Rooms,
}

/// What is in the repository once everything is durable.
struct Kept {
    snapshot: SnapshotId,
    captures: Vec<Capture>,
    added: Added,
    after: Result<(), hooks::Error>,
}

/// The policy's snapshot before this one.
type Parent = Option<(SnapshotId, Snapshot)>;

impl Run<'_> {
    /// Captures and publishes under the repository's lock, which is given back however that ends.
    async fn keep(self, mut ahead: Option<Ahead>) -> Result<Kept, Error> {
        let lock = async { Ok(Locked::shared(self.account, self.rooms).await?) };
        let lock = ahead::unless_in_vain(&mut ahead, lock).await?;
        let kept = self.locked(ahead, &lock).await;
        // It says nothing of the run; the next one removes a lock that stayed.
        if let Err(error) = lock.release().await {
            self.rooms.progress.note(&chain(&error));
        }
        kept
    }

    async fn locked(&self, ahead: Option<Ahead>, lock: &Locked) -> Result<Kept, Error> {
        let (captured, parent, after) = match ahead {
            Some(ahead) => (ahead.captured().await?, None, Ok(())),
            None => {
                let (index, parent) = self.rooms.unless_interrupted(self.prepare()).await??;
                let (captured, after) = self.capture(index, &parent).await?;
                (captured, parent, after)
            }
        };
        self.rooms.check_interrupted()?;
        self.publish(captured, parent, after, lock).await
    }

    /// What is stored already.
    async fn prepare(&self) -> Result<(SharedIndex, Parent), Error> {
        tracing::info!(phase = "prepare", run = %self.id);
        let progress = &*self.rooms.progress;
        let index = stored_index(self.account, self.rooms).await?;
        let parent = newest_of(self.account, self.policy, progress).await?;
        Ok((index, parent))
    }

    /// Captures between the hooks; the second runs whatever became of the first and of the capture.
    async fn capture(
        &self,
        index: SharedIndex,
        parent: &Parent,
    ) -> Result<(Captured, Result<(), hooks::Error>), Error> {
        tracing::info!(phase = "capture", run = %self.id);
        let Self { setup, policy, account, rooms, .. } = *self;
        let reader = Reader::new(account.repository.clone(), index.clone());
        let outward = outward(account, policy, rooms);
        let writer = outward.writer(index, Handle::current(), rooms.clock.clone());
        let captured = match hooks::before(policy, rooms).await {
            Ok(()) => capture::all(setup, policy, parent.as_ref(), &reader, writer, rooms).await,
            Err(error) => Err(error.into()),
        };
        let after = hooks::after(policy, rooms).await;
        Ok((captured?, after))
    }

    /// Makes everything durable, and then, last, the snapshot.
    async fn publish(
        &self,
        captured: Captured,
        parent: Parent,
        after: Result<(), hooks::Error>,
        lock: &Locked,
    ) -> Result<Kept, Error> {
        tracing::info!(phase = "publish", run = %self.id);
        self.rooms.progress.phase("publish", None);
        let now = self.rooms.clock.now();
        let Captured { captures, mut folders, writer } = captured;
        let page = Manifest {
            format: manifest::FORMAT,
            lifeboat: env!("CARGO_PKG_VERSION").to_owned(),
            run: self.id,
            customer: self.policy.customer.clone(),
            policy: self.policy.name.clone(),
            effective: self.effective.clone(),
            effective_digest: self.digest,
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
        let added = self.rooms.unless_interrupted(writer.finish()).await??;
        lock.assure().await?;
        self.lease.renew().await?;
        self.rooms.check_interrupted()?;
        let snapshot = describe(self.policy, self.id, tree, parent, &captures, now, &added);
        tracing::info!(phase = "commit", run = %self.id);
        let id = self.account.repository.save_snapshot(&snapshot).await.map_err(Error::Publish)?;
        Ok(Kept { snapshot: id, captures, added, after })
    }
}

/// The repository as packs and indexes leave for it: no faster than the policy lets them. Locks and
/// the ledger do not wait behind them.
fn outward(account: &Account, policy: &Policy, rooms: &Rooms) -> Arc<Repository> {
    let repository = &account.repository;
    match policy.limits.upload_rate {
        Some(rate) => {
            let (store, stop) = (repository.store().clone(), rooms.interrupted.clone());
            Arc::new(repository.through(Arc::new(Paced::new(store, rate, stop))))
        }
        None => repository.clone(),
    }
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
    let alarm = account.alarm(rooms).await;
    Ok(Published { run, snapshot, added, entries, bytes, seconds, skipped, alarm })
}

/// The index of the packs that the store has at their full length and that no verification on this
/// host found damaged: what only others hold is stored again, for success means that everything is
/// there.
async fn stored_index(account: &Account, rooms: &Rooms) -> Result<SharedIndex, Error> {
    let repository = &account.repository;
    let index = repository.load_index().await.map_err(account::Error::from)?;
    if index.packs().next().is_none() {
        return Ok(Arc::new(RwLock::new(index)));
    }
    let sizes = repository.pack_sizes(&index).await;
    let mut sizes = sizes.map_err(|error| account::Error::from(repo::Error::Store(error)))?;
    for pack in account.packs_found_damaged(rooms).await? {
        sizes.remove(&pack);
    }
    let Some((rest, lost)) = index.without(&sizes) else {
        return Ok(Arc::new(RwLock::new(index)));
    };
    for pack in lost {
        let told = format!("pack {pack} is missing or damaged: what only it held is stored again");
        rooms.progress.note(&told);
    }
    Ok(Arc::new(RwLock::new(rest)))
}

/// The policy's newest snapshot, whole or not: unchanged files are taken from it, unread. So only
/// one that the ledger knows will do: content that somebody else published would be vouched for.
async fn newest_of(
    account: &Account,
    policy: &Policy,
    progress: &dyn Progress,
) -> Result<Parent, Error> {
    let tag = policy_tag(&policy.name);
    let records = account.seen_records().await?;
    for id in account::published_by(&records, &policy.name).into_iter().rev() {
        match account.repository.snapshot(&id).await {
            Ok(snapshot) if snapshot.tags.contains(&tag) => return Ok(Some((id, snapshot))),
            Ok(_) => {}
            Err(error) if error.is_out_of_reach() => {
                return Err(account::Error::from(error).into());
            }
            // It costs reading files again. That one cannot be read must not leave today without any.
            Err(error) => progress.note(&chain(&error)),
        }
    }
    Ok(None)
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
        original: None,
        tree,
        paths: policy.sources.iter().map(|source| format!("/{}", source.name)).collect(),
        hostname: policy.customer.to_string(),
        username: "lifeboat".to_owned(),
        uid: rustix::process::getuid().as_raw(),
        gid: rustix::process::getgid().as_raw(),
        tags,
        program_version: format!("lifeboat {}", env!("CARGO_PKG_VERSION")),
        others: Default::default(),
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
    captures.iter().map(Capture::state_time).min()
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(Error::Thread)
}
