//! One customer's belongings, opened: repository, ledger and journal.
//!
//! In: the site, a customer, this process's own rooms. Out: [`Account`]. What every act needs
//! before it can begin stands here once; what acts do with it stands in their own rooms.

mod founding;
pub mod journal;
mod lease;
mod lock;
mod readings;
pub mod removing;
pub mod store;
mod testimony;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;

pub use founding::Founding;
pub use lease::Leased;
pub use lock::Locked;
pub use readings::Readings;
pub use testimony::Testimony;

use self::journal::{Act, Journal, Reach, Recorded};
use crate::ground::clock::Clock;
use crate::ground::digest::Digest;
use crate::ground::ids::Name;
use crate::ground::progress::Progress;
use crate::ground::secret;
use crate::ledger::outbox::Outbox;
use crate::ledger::record::{Actor, BackupFinished, Body, Record, publications};
use crate::ledger::sign::{self, Signer};
use crate::ledger::{self, Ledger, Remembered};
use crate::policy::{Customer, Scratch, Setup};
use crate::repo::{self, Index, KnownKey, Repository, SharedIndex, Snapshot, SnapshotId};
use crate::sandbox;
use crate::source;
use crate::state::{self, State};
use crate::store::{ObjectName, Prefixed, Shared};

/// How soon waiting work learns that somebody asked for an end.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What a repository holds, and what it should hold besides.
pub struct Snapshots {
    pub files: Vec<(SnapshotId, Result<Snapshot, repo::Error>)>,
    pub gone: Vec<SnapshotId>,
    /// Those that the ledger says were published, by backups and by repairs.
    pub named: HashSet<SnapshotId>,
}

/// What this process has for itself, whoever the customer is. Clones share it.
#[derive(Clone)]
pub struct Rooms {
    pub state: State,
    pub clock: Arc<dyn Clock>,
    pub progress: Arc<dyn Progress>,
    pub interrupted: Arc<AtomicBool>,
    pub actor: Actor,
    pub host: source::Host,
    /// The folder of outboxes; durable.
    pub outbox: PathBuf,
}

impl Rooms {
    /// Fails once somebody asked for an end.
    pub fn check_interrupted(&self) -> Result<(), Interrupted> {
        if self.interrupted.load(Ordering::Relaxed) { Err(Interrupted) } else { Ok(()) }
    }

    /// How many entries wait on this host for `customer`'s ledger to take them.
    pub async fn waiting(&self, customer: &Name) -> Result<usize, Error> {
        let (folder, customer) = (self.outbox.clone(), customer.clone());
        // Waits for another process that delivers or holds.
        let looked = tokio::task::spawn_blocking(move || Outbox::open(&folder)?.waiting(&customer));
        Ok(looked.await.map_err(Error::Thread)?.map_err(journal::Error::from)?)
    }

    /// What `work` answers; once somebody asks for an end it is dropped where it waits.
    pub async fn unless_interrupted<T>(
        &self,
        work: impl Future<Output = T>,
    ) -> Result<T, Interrupted> {
        let asked = async {
            while !self.interrupted.load(Ordering::Relaxed) {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        tokio::select! {
            done = work => Ok(done),
            () = asked => Err(Interrupted),
        }
    }
}

/// Somebody asked for an end.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted;

/// Why a customer's belongings could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("cannot use the store at {place}")]
    Store { place: String, source: crate::store::Error },
    #[error("cannot read the keys to {place}")]
    StoreKeys { place: String, source: secret::Error },
    #[error("cannot read the repository's password")]
    Password(#[source] secret::Error),
    #[error("cannot read the signing key")]
    SigningKey(#[source] secret::Error),
    #[error("the signing key is of no use")]
    Signer(#[from] sign::Error),
    #[error("cannot open the repository at {place}")]
    Repository { place: String, source: repo::OpenError },
    #[error("cannot read the repository")]
    Read(#[from] repo::Error),
    #[error("there is no repository at {place}, but there was one: {trace}")]
    RepositoryLost { place: String, trace: &'static str },
    /// Of two that append at once one would be lost.
    #[error("the store at {place} creates what is there already: it cannot hold a ledger")]
    NoLedger { place: String },
    #[error("cannot create the repository at {place}")]
    Create { place: String, source: repo::OpenError },
    #[error("{act} of {policy} is running already, by {by}")]
    Running { act: &'static str, policy: String, by: String },
    #[error("cannot use the daemon's own database")]
    State(#[from] state::Error),
    #[error("cannot lock the repository")]
    Lock(#[from] repo::lock::LockError),
    #[error("cannot write down what happened")]
    Journal(#[from] journal::Error),
    #[error("the ledger cannot be read or signed")]
    Checkpoint(#[source] ledger::Error),
    #[error("cannot clear away what an earlier run left in scratch")]
    Sweep(#[source] sandbox::Error),
    #[error("a thread ended early")]
    Thread(#[source] tokio::task::JoinError),
}

/// Where a customer's objects are.
#[derive(Debug, Clone)]
pub struct Place {
    pub repository: Shared,
    pub ledger: Shared,
}

impl Place {
    /// The customer's part of its store; async. Reads nothing but the keys to it and, of a folder,
    /// whether it is there.
    pub async fn open(setup: &Setup, customer: &Customer) -> Result<Self, Error> {
        let store = store::open(setup.store_of(customer)).await?;
        let part = |folder: &str| -> Shared {
            let name: ObjectName = format!("{}/{folder}", customer.id)
                .parse()
                .expect("a customer's id and a fixed word make an object's name");
            Arc::new(Prefixed::new(store.clone(), name))
        };
        Ok(Self { repository: part("repo"), ledger: part("ledger") })
    }

    /// Whether the store answers at all, whatever is or is not in it; needs no key.
    pub async fn reach(&self) -> Result<(), Error> {
        let any: ObjectName = "config".parse().expect("a word is an object's name");
        match self.repository.get(&any, None).await {
            Ok(_) | Err(crate::store::Error::Missing { .. }) => Ok(()),
            Err(source) => Err(Error::Store { place: self.repository.place(), source }),
        }
    }

    /// What shows that a repository was begun here, wherever it is now; needs no key. An empty
    /// folder may be one on which no disk is mounted, so this host's memory counts, too.
    async fn trace(&self, rooms: &Rooms) -> Result<Option<&'static str>, Error> {
        if !ledger::is_empty(&*self.ledger).await.map_err(Error::Checkpoint)? {
            return Ok(Some("the ledger beside it has records"));
        }
        let signed = rooms.state.newest_checkpoint(&self.ledger.place()).await?;
        Ok(signed.map(|_| "this host signed the ledger beside it, which is gone as well"))
    }
}

/// A customer's repository and journal, opened with its password.
pub struct Account {
    pub repository: Arc<Repository>,
    pub journal: Journal,
    /// None where the site declares no key: then nothing is signed.
    signer: Option<Signer>,
}

impl Account {
    /// Opens what is there; async. A missing repository and a wrong password are told apart by
    /// [`repo::OpenError`] inside [`Error::Repository`].
    pub async fn open(setup: &Setup, customer: &Customer, rooms: &Rooms) -> Result<Self, Error> {
        let place = Place::open(setup, customer).await?;
        Self::at(&place, setup, customer, rooms).await
    }

    async fn at(
        place: &Place,
        setup: &Setup,
        customer: &Customer,
        rooms: &Rooms,
    ) -> Result<Self, Error> {
        let password = customer.repository_password.reveal().map_err(Error::Password)?;
        let at = place.repository.place();
        let known = rooms.state.opening_key(&at).await?;
        let known = known.map(|(id, bytes)| KnownKey { id, bytes });
        let opened = Repository::open_by(place.repository.clone(), &password, known).await;
        let (repository, key) =
            opened.map_err(|source| Error::Repository { place: at.clone(), source })?;
        if known != Some(key) {
            remember(key, &at, rooms).await;
        }
        let ledger = Ledger::open(place.ledger.clone(), repository.key().clone());
        Self::with(repository, ledger, setup, customer, rooms)
    }

    /// Opens what is there; `None` where nothing was begun yet. A repository of which only a trace
    /// is left fails with [`Error::RepositoryLost`].
    pub async fn open_if_begun(
        setup: &Setup,
        customer: &Customer,
        rooms: &Rooms,
    ) -> Result<Option<Self>, Error> {
        let place = Place::open(setup, customer).await?;
        Self::if_begun(&place, setup, customer, rooms).await
    }

    async fn if_begun(
        place: &Place,
        setup: &Setup,
        customer: &Customer,
        rooms: &Rooms,
    ) -> Result<Option<Self>, Error> {
        match Self::at(place, setup, customer, rooms).await {
            Err(Error::Repository { source: repo::OpenError::Missing { .. }, .. }) => {}
            opened => return opened.map(Some),
        }
        match place.trace(rooms).await? {
            Some(trace) => Err(Error::RepositoryLost { place: place.repository.place(), trace }),
            None => Ok(None),
        }
    }

    /// Opens what is there, or begins it where nothing was begun yet.
    pub async fn open_or_create(
        setup: &Setup,
        customer: &Customer,
        rooms: &Rooms,
    ) -> Result<Self, Error> {
        let (account, founding) = Self::open_or_draw(setup, customer, rooms).await?;
        if let Some(founding) = founding {
            founding.lay(rooms).await?;
        }
        Ok(account)
    }

    /// Opens what is there. Where nothing was begun yet it answers an account of which nothing is stored,
    /// and what is to be laid before anything may be.
    pub async fn open_or_draw(
        setup: &Setup,
        customer: &Customer,
        rooms: &Rooms,
    ) -> Result<(Self, Option<Founding>), Error> {
        let place = Place::open(setup, customer).await?;
        if let Some(account) = Self::if_begun(&place, setup, customer, rooms).await? {
            return Ok((account, None));
        }
        let password = customer.repository_password.reveal().map_err(Error::Password)?;
        let repository = Repository::draw(place.repository.clone());
        // Looked for a moment ago: it has no record.
        let ledger = Ledger::begin(place.ledger.clone(), repository.key().clone());
        let account = Self::with(repository, ledger, setup, customer, rooms)?;
        let founding = Founding::new(account.repository.clone(), password);
        Ok((account, Some(founding)))
    }

    fn with(
        repository: Repository,
        ledger: Ledger,
        setup: &Setup,
        customer: &Customer,
        rooms: &Rooms,
    ) -> Result<Self, Error> {
        let kept = rooms.outbox.with_file_name("ledgers").join(segments_of(&ledger.place()));
        let journal = open_journal(customer, rooms, Reach::Ledger(ledger.keeping_in(&kept)))?;
        Ok(Self { repository: Arc::new(repository), journal, signer: signer(setup)? })
    }

    /// The repository's whole index.
    pub async fn index(&self) -> Result<SharedIndex, Error> {
        let index: Index = self.repository.load_index().await?;
        Ok(Arc::new(std::sync::RwLock::new(index)))
    }

    /// Writes that `act` begins, after the policy's past is settled.
    pub async fn begin(
        &self,
        act: &Act,
        effective: &Value,
        digest: Digest,
    ) -> Result<Recorded, Error> {
        Ok(self.journal.begin(act, effective, digest).await?)
    }

    /// Every record of the ledger, in order; those that cannot be read are left out here and found
    /// by `ledger verify`.
    pub async fn records(&self) -> Result<Vec<Record>, Error> {
        let Some(ledger) = self.journal.ledger() else { return Ok(Vec::new()) };
        let reading = ledger.read_quickly().await.map_err(Error::Checkpoint)?;
        Ok(reading.lines.into_iter().map(|line| line.record).collect())
    }

    /// Every record that this run has read or written; none is asked for again.
    pub async fn seen_records(&self) -> Result<Vec<Record>, Error> {
        let Some(ledger) = self.journal.ledger() else { return Ok(Vec::new()) };
        let reading = ledger.seen().await.map_err(Error::Checkpoint)?;
        Ok(reading.lines.into_iter().map(|line| line.record).collect())
    }

    /// The repository's snapshots by id, the unreadable ones with their error, and those that the
    /// ledger says were published and that are not there: somebody removed them.
    pub async fn snapshots(&self) -> Result<Snapshots, Error> {
        let records = self.records().await?;
        let published = published(&records);
        let files = self.repository.snapshot_files_with(&published).await?;
        let backups = publications(&records).map(|(_, one)| SnapshotId(one.snapshot));
        let repaired = records.iter().filter_map(|record| match &record.event.body {
            Body::SnapshotRepaired { snapshot, .. } => Some(SnapshotId(*snapshot)),
            _ => None,
        });
        let named = backups.chain(repaired).collect();
        let gone = self.missed(published, &files).await?;
        Ok(Snapshots { files, gone, named })
    }

    /// Those of `published` that are not in `files`, a listing made later, and that nobody announced to
    /// remove. No lock need be held: the ledger is asked again for what was forgotten in between.
    pub async fn missed(
        &self,
        mut published: Vec<SnapshotId>,
        files: &[(SnapshotId, Result<Snapshot, repo::Error>)],
    ) -> Result<Vec<SnapshotId>, Error> {
        let there: HashSet<_> = files.iter().map(|(id, _)| *id).collect();
        published.retain(|id| !there.contains(id));
        if !published.is_empty() {
            let announced = announced(&self.records().await?);
            published.retain(|id| !announced.contains(id));
        }
        Ok(published)
    }

    /// Signs the ledger as it stands and remembers what was signed.
    ///
    /// Fails with an alarm where the ledger is not what was signed before.
    pub async fn sign(&self, rooms: &Rooms) -> Result<(), Error> {
        let (Some(ledger), Some(signer)) = (self.journal.ledger(), &self.signer) else {
            return Ok(());
        };
        let remembered = self.remembered(rooms).await?;
        let signed = self.journal.sign(signer, remembered).await;
        if let Some(checkpoint) = signed.map_err(Error::Checkpoint)? {
            let Remembered { size, root } = checkpoint.remembered();
            rooms.state.remember_checkpoint(&ledger.place(), size, root).await?;
        }
        Ok(())
    }

    /// Remembers the newest checkpoint in the bucket that our key signed, where this host's state
    /// remembers none because it is new or was lost. Answers its size.
    ///
    /// Fails with an alarm where the ledger is not what that checkpoint says.
    pub async fn recall(&self, rooms: &Rooms) -> Result<Option<u64>, Error> {
        let (Some(ledger), Some(signer)) = (self.journal.ledger(), &self.signer) else {
            return Ok(None);
        };
        if let Some(Remembered { size, .. }) = self.remembered(rooms).await? {
            return Ok(Some(size));
        }
        let key = signer.public_key().clone();
        let newest = ledger.newest_signed(&[key]).await.map_err(Error::Checkpoint)?;
        let Some(Remembered { size, root }) = newest else { return Ok(None) };
        rooms.state.remember_checkpoint(&ledger.place(), size, root).await?;
        Ok(Some(size))
    }

    /// What this host signed of the ledger the last time.
    pub async fn remembered(&self, rooms: &Rooms) -> Result<Option<Remembered>, Error> {
        let Some(ledger) = self.journal.ledger() else { return Ok(None) };
        let remembered = rooms.state.newest_checkpoint(&ledger.place()).await?;
        Ok(remembered.map(|(size, root)| Remembered { size, root }))
    }

    /// Who signs.
    pub fn signer(&self) -> Option<&Signer> {
        self.signer.as_ref()
    }
}

/// The snapshots that `records` say were published and not given up, in their order. They must be
/// in the repository, whatever a listing of it says.
pub fn published(records: &[Record]) -> Vec<SnapshotId> {
    published_where(records, |_| true)
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

/// A journal for a customer whose repository cannot be opened: everything waits in the outbox.
pub fn journal_beyond(customer: &Customer, rooms: &Rooms, why: String) -> Result<Journal, Error> {
    open_journal(customer, rooms, Reach::Beyond { why })
}

fn open_journal(customer: &Customer, rooms: &Rooms, reach: Reach) -> Result<Journal, Error> {
    let outbox = Outbox::open(&rooms.outbox).map_err(journal::Error::from)?;
    let (clock, actor, state) = (rooms.clock.clone(), rooms.actor.clone(), rooms.state.clone());
    Ok(Journal::open(customer.id.clone(), reach, outbox, clock, actor, state))
}

/// The site's signing key.
pub fn signer(setup: &Setup) -> Result<Option<Signer>, Error> {
    match &setup.site.signing_key {
        Some(key) => Ok(Some(Signer::open(&key.reveal().map_err(Error::SigningKey)?)?)),
        None => Ok(None),
    }
}

/// Remembers the key file that opens the repository at `place`. Where that does not work out the next
/// run lists them all.
async fn remember(key: KnownKey, place: &str, rooms: &Rooms) {
    if let Err(error) = rooms.state.remember_opening_key(place, key.id, key.bytes).await {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(error, "cannot write down which key opens a repository");
    }
}

/// A scratch environment as the site declares it, which ends once somebody asks for an end; blocking.
pub fn scratch(settings: &Scratch, rooms: &Rooms) -> Result<sandbox::Scratch, sandbox::Error> {
    let mut scratch = sandbox::Scratch::create(&settings.dir, settings.user.as_deref())?;
    scratch.end_when(rooms.interrupted.clone());
    if settings.without_sandbox {
        scratch.waive_sandbox()?;
    }
    Ok(scratch)
}

/// Removes what dead runs left in scratch, and says so.
pub async fn sweep(setup: &Setup, rooms: &Rooms) -> Result<(), Error> {
    let root = setup.site.scratch.dir.clone();
    let swept = tokio::task::spawn_blocking(move || sandbox::sweep(&root)).await;
    for left in swept.map_err(Error::Thread)?.map_err(Error::Sweep)? {
        let outcome = left.leftover.as_ref().map_or("removed".to_owned(), ToString::to_string);
        rooms.progress.note(&format!(
            "swept a scratch environment that nobody holds any more: {} processes, {outcome}",
            left.killed
        ));
    }
    Ok(())
}

/// Shows a person what the journal had to say.
pub fn tell(recorded: &Recorded, progress: &dyn Progress) {
    for warning in &recorded.warnings {
        progress.note(warning);
    }
    if let Some(held) = &recorded.held {
        progress.note(&format!("the record waits in the outbox: {held}"));
    }
}

/// A folder's name for the ledger at `place`.
fn segments_of(place: &str) -> String {
    Digest::of(place.as_bytes()).to_string()
}

/// The folder in which a process keeps its outboxes, beside its state.
pub fn outbox_beside(state: &Path) -> PathBuf {
    state.parent().unwrap_or(state).join("outbox")
}
