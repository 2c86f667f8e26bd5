//! One customer's belongings, opened: repository, ledger and journal.
//!
//! In: the site, a customer, this process's own rooms. Out: [`Account`]. What every act needs
//! before it can begin stands here once; what acts do with it stands in their own rooms.

mod error;
mod founding;
pub mod journal;
mod lease;
mod lock;
mod place;
mod published;
mod readings;
pub mod removing;
mod rooms;
mod scratch;
mod signing;
pub mod store;
mod testimony;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

pub use error::Error;
pub use founding::Founding;
pub use lease::Leased;
pub use lock::Locked;
pub use place::Place;
pub use published::{announced, published, published_by, recovery_points, unfinished};
pub use readings::Readings;
pub use rooms::{Interrupted, Rooms};
pub use scratch::{scratch, sweep};
pub use signing::signer;
pub use testimony::Testimony;

use self::journal::{Act, Journal, Reach, Recorded};
use crate::ground::digest::Digest;
use crate::ground::progress::Progress;
use crate::ledger::outbox::Outbox;
use crate::ledger::record::{Body, Record, publications};
use crate::ledger::sign::Signer;
use crate::ledger::{Ledger, Remembered};
use crate::policy::{Customer, Setup};
use crate::repo::{self, Index, KnownKey, Repository, SharedIndex, Snapshot, SnapshotId};

/// What a repository holds, and what it should hold besides.
pub struct Snapshots {
    pub files: Vec<(SnapshotId, Result<Snapshot, repo::Error>)>,
    pub gone: Vec<SnapshotId>,
    /// Those that the ledger says were published, by backups and by repairs.
    pub named: HashSet<SnapshotId>,
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
        let ledger = match rooms.state.newest_checkpoint(&ledger.place()).await? {
            Some((size, root)) => ledger.vouched_for(Remembered { size, root }),
            None => ledger,
        };
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
        let journal =
            open_journal(customer, rooms, Reach::Ledger(ledger.keeping_in(&kept).into()))?;
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

/// Remembers the key file that opens the repository at `place`. Where that does not work out the next
/// run lists them all.
async fn remember(key: KnownKey, place: &str, rooms: &Rooms) {
    if let Err(error) = rooms.state.remember_opening_key(place, key.id, key.bytes).await {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(error, "cannot write down which key opens a repository");
    }
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
