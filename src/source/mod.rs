//! Sources: one folder per kind, both directions (design §8).
//!
//! A source *captures* a consistent stream out of a live system, *recovers* it from restored data,
//! and *fingerprints* both sides alike. Blocking code on threads. Knows no repository: `backup`
//! turns [`Entry`]s into nodes.

mod access;
pub mod command;
mod entries;
pub mod files;
mod gap;
mod grants;
mod lent;
mod login;
pub mod manifest;
pub mod mysql;
pub mod postgres;
mod question;
pub mod redis;
mod running;
pub mod sqlite;
mod streamed;
pub mod sum;
mod table;
pub mod target;
mod within;

pub use access::Access;
pub use gap::{Gap, GapKind};
pub use grants::Grants;
pub use question::{Answer, Answered, Question};
pub use running::Error as RunningError;
pub use table::{NoTable, NotWhole, Table};

use std::collections::BTreeMap;
use std::io;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ground::clock::Clock;
use crate::ground::digest::Digest;
use crate::ground::ids::Name;
use crate::ground::progress::Progress;
use crate::policy::sources::{SourceKind, SourceSettings};
use crate::sandbox::{Launcher, Scratch};

/// What every call on a source gets from its caller.
pub struct Context {
    pub clock: Arc<dyn Clock>,
    pub progress: Arc<dyn Progress>,
    /// A private folder on the source's host for what must be staged, e.g. SQLite's copy.
    pub staging: PathBuf,
    /// Set when the run was interrupted; long loops look at it and end with [`Error::Interrupted`].
    pub interrupted: Arc<AtomicBool>,
    /// What the policy's drills ask of the captured moment.
    pub questions: Vec<Question>,
}

impl Context {
    /// Fails once the run was interrupted.
    pub fn check_interrupted(&self) -> Result<(), Error> {
        if self.interrupted.load(Ordering::Relaxed) { Err(Error::Interrupted) } else { Ok(()) }
    }
}

/// Why a source could not be captured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("cannot {action} {object}")]
    Io { action: &'static str, object: String, source: io::Error },
    /// The engine or its data said no.
    #[error("{object}: {what}")]
    Engine {
        object: String,
        what: String,
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    #[error("interrupted")]
    Interrupted,
    /// The sink, that is the repository or its store, failed: never a fault of one item.
    #[error("the repository could not take {entry}")]
    Sink { entry: String, source: Box<dyn std::error::Error + Send + Sync> },
}

/// The kind of a source, as policies and manifests write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Files,
    Sqlite,
    Postgres,
    Mariadb,
    Mysql,
    Redis,
    Command,
}

impl Kind {
    /// The kind of a source that is declared so.
    pub fn of(declared: &SourceKind) -> Self {
        match declared {
            SourceKind::Files(_) => Self::Files,
            SourceKind::Sqlite(_) => Self::Sqlite,
            SourceKind::Postgres(_) => Self::Postgres,
            SourceKind::Mariadb(_) => Self::Mariadb,
            SourceKind::Mysql(_) => Self::Mysql,
            SourceKind::Redis(_) => Self::Redis,
            SourceKind::Command(_) => Self::Command,
        }
    }

    /// The version of this kind's fingerprint. It goes up whenever the same data gets another
    /// fingerprint than before, or other differences show in it: two versions cannot be compared.
    pub fn fingerprint_version(self) -> u32 {
        match self {
            Self::Files
            | Self::Sqlite
            | Self::Mariadb
            | Self::Mysql
            | Self::Redis
            | Self::Command => 1,
            Self::Postgres => 2,
        }
    }
}

/// What [`Source::probe`] found out without capturing anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Engine and version, e.g. `SQLite 3.51.3`; empty for files.
    pub engine: String,
    /// About how many bytes a scratch copy will need.
    pub scratch_bytes: u64,
    /// What will be left out or is doubtful, for `doctor` to show, each with what to do.
    pub warnings: Vec<String>,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Files => "files",
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
            Self::Mariadb => "mariadb",
            Self::Mysql => "mysql",
            Self::Redis => "redis",
            Self::Command => "command",
        })
    }
}

/// What this host has for sources to work with.
#[derive(Debug, Clone)]
pub struct Host {
    /// Starts what opens restored data.
    pub launcher: Launcher,
    pub postgres: postgres::Engines,
    pub mysql: mysql::Engines,
}

/// The source that a policy's settings declare.
pub fn of(settings: &SourceSettings, host: &Host) -> Box<dyn Source> {
    let name = settings.name.clone();
    match &settings.kind {
        SourceKind::Files(files) => Box::new(files::Files::new(name, files.clone())),
        SourceKind::Sqlite(sqlite) => {
            Box::new(sqlite::Sqlite::new(name, sqlite.clone()).launched_by(host.launcher.clone()))
        }
        SourceKind::Postgres(server) => {
            Box::new(postgres::Postgres::new(name, server.clone(), host.postgres.clone()))
        }
        SourceKind::Mariadb(server) => Box::new(mysql::Mysql::new(
            name,
            mysql::Product::Mariadb,
            server.clone(),
            host.mysql.clone(),
        )),
        SourceKind::Mysql(server) => Box::new(mysql::Mysql::new(
            name,
            mysql::Product::Mysql,
            server.clone(),
            host.mysql.clone(),
        )),
        SourceKind::Redis(server) => Box::new(redis::Redis::new(name, server.clone())),
        SourceKind::Command(programs) => Box::new(command::Command::new(name, programs.clone())),
    }
}

/// One kind of thing that can be backed up and brought back.
pub trait Source: Send + Sync {
    /// Looks whether a capture can work here: tools, logins, privileges, size.
    fn probe(&self, context: &Context) -> Result<Facts, Error>;

    /// What this source must be allowed, so that a capture can work; asks nobody.
    fn grants(&self) -> Grants;

    /// Captures everything the policy selects into `out`, as of one consistent point.
    ///
    /// An error means that nothing of this source may be published. Items that could not be read
    /// do not end the capture; they are in [`Capture::skipped`].
    fn capture(&self, context: &Context, out: &dyn Sink) -> Result<Capture, Error>;

    /// Makes ready in `scratch` what recovering `capture` needs besides the data, while that is
    /// still on its way; none for a kind that needs nothing.
    ///
    /// Nothing of the customer's may run yet, and nothing here can be the data's fault.
    fn prepare(
        &self,
        _capture: &Capture,
        _scratch: &Scratch,
    ) -> Result<Option<Box<dyn Ready>>, Trouble> {
        Ok(None)
    }

    /// Brings up restored data in `scratch`, with all that [`Source::prepare`] would have made
    /// ready. `data` is the folder that holds what was captured, i.e. the restored `/<source>/`.
    fn recover(
        &self,
        capture: &Capture,
        data: &Path,
        scratch: &Scratch,
    ) -> Result<Box<dyn Recovered>, Trouble>;
}

/// A scratch environment that waits for its data. Dropped, nothing of it stays running.
pub trait Ready: Send {
    /// Brings up the data in `data`, as [`Source::recover`] does.
    fn recover(
        self: Box<Self>,
        data: &Path,
        scratch: &Scratch,
    ) -> Result<Box<dyn Recovered>, Trouble>;
}

/// Takes what a source captures. Called from one thread, in depth-first order: a directory before
/// what is in it, all of it before the directory's next sibling.
pub trait Sink: Sync {
    /// Takes one entry. The content is read later, on other threads, unless it is known already.
    fn put(&self, entry: Entry) -> Result<(), Error>;

    /// Waits until everything put so far is read; returns what could not be.
    fn settle(&self) -> Result<Vec<Skipped>, Error>;

    /// Takes back all that was put, which must be settled: it was of no single moment.
    fn start_over(&self) -> Result<(), Error>;
}

/// One file, directory or other entry on its way into a snapshot.
pub struct Entry {
    /// Below `/<source>/`, parts joined by `/`, no leading `/`. Parent directories come first;
    /// ones that were never put are made with neutral metadata.
    pub path: Vec<u8>,
    pub meta: Meta,
    /// For regular files only: how to read it.
    pub content: Option<Box<dyn Open>>,
}

/// What kind of entry, with what only that kind has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    File { size: u64 },
    Dir,
    Symlink { target: Vec<u8> },
    BlockDevice { number: u64 },
    CharDevice { number: u64 },
    Fifo,
    Socket,
}

/// An entry's metadata as `lstat` and the extended attributes give it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    pub kind: EntryKind,
    /// `st_mode & 0o7777`.
    pub mode: u32,
    pub mtime: Timestamp,
    pub ctime: Timestamp,
    pub uid: u32,
    pub gid: u32,
    pub user: String,
    pub group: String,
    pub inode: u64,
    pub device_id: u64,
    pub links: u64,
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Whether an equal size, mtime, ctime and inode in the parent snapshot prove the content
    /// unchanged. False for streams and for what was touched too recently to tell.
    pub reusable: bool,
}

/// Opens an entry's content; on a worker thread, at most once, not at all if it is known unchanged.
pub trait Open: Send {
    fn open(self: Box<Self>) -> io::Result<Box<dyn Stream>>;
}

/// Bytes out of a live system.
pub trait Stream: io::Read {
    /// Confirms, after the end of file, that the producer ended well.
    ///
    /// Reaching end of file proves nothing; only `finish` does. `Ok(Some(reason))` means the bytes
    /// are stored but are not one moment's state: the file changed while it was read.
    fn finish(self: Box<Self>) -> io::Result<Option<String>>;
}

/// An item that was selected but is not (or not soundly) in the snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// As the user knows it, e.g. the absolute path; bytes that are not UTF-8 are replaced.
    pub path: String,
    pub reason: String,
}

/// What a source says of its capture; stands in the snapshot's `lifeboat.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capture {
    pub source: Name,
    pub kind: Kind,
    /// Engine with version, empty for files.
    pub engine: String,
    /// The host it was read on.
    pub host: String,
    pub started: Timestamp,
    /// The moment whose state was captured: for files when the walk began.
    pub consistent_time: Timestamp,
    pub finished: Timestamp,
    /// Number of entries and bytes put.
    pub entries: u64,
    pub bytes: u64,
    pub skipped: Vec<Skipped>,
    /// Taken inside the very snapshot that was dumped.
    pub fingerprint: Fingerprint,
    /// What the drills of then asked of it, answered in the same snapshot.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<Answered>,
    /// Of PostgreSQL: what the scratch server must be like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<postgres::Cluster>,
    /// Of MariaDB and MySQL: the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<mysql::Server>,
    /// Of Redis: likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redis: Option<redis::Taken>,
}

impl Capture {
    /// Why nothing of it can be equal to what comes back: dump and fingerprint are not of one moment.
    pub fn unheld(&self) -> Option<&str> {
        self.server.as_ref()?.moment.unheld.as_deref()
    }

    /// Whether of each of its parts nothing was captured but itself.
    pub fn holds_nothing(&self) -> bool {
        self.bytes == 0 && self.fingerprint.parts.values().all(|part| part.rows <= 1)
    }

    /// About how many bytes an engine writes to recover it, beside what is restored.
    pub fn engine_bytes(&self) -> u64 {
        let cluster = self.cluster.iter().map(|it| postgres::recovery_bytes(it, self.bytes));
        let server = self.server.iter().map(|it| mysql::recovery_bytes(it, self.bytes));
        let redis = self.redis.iter().map(|_| redis::recovery_bytes(self.bytes));
        cluster.chain(server).chain(redis).fold(0, u64::saturating_add)
    }

    /// What the source has and this capture does not cover.
    pub fn gaps(&self) -> Vec<Gap> {
        let cluster = self.cluster.iter().flat_map(postgres::Cluster::gaps);
        let server = self.server.iter().flat_map(|server| server.gaps.clone());
        cluster.chain(server).chain(self.redis.iter().flat_map(redis::Taken::gaps)).collect()
    }
}

/// A summary of content that is equal on both sides exactly if the content is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Which [`Kind::fingerprint_version`] made it; the first ones did not say.
    #[serde(default = "first_version")]
    pub version: u32,
    /// By part: a table's name; for files each path of the policy.
    pub parts: BTreeMap<String, Part>,
    /// By object, e.g. `table orders`, `index orders_by_day`: the digest of its definition.
    pub schema: BTreeMap<String, Digest>,
}

fn first_version() -> u32 {
    1
}

impl Fingerprint {
    /// One of nothing, in the version of `kind` that this program computes.
    pub fn empty(kind: Kind) -> Self {
        let version = kind.fingerprint_version();
        Self { version, parts: BTreeMap::new(), schema: BTreeMap::new() }
    }
}

/// One part of a fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Rows of a table; entries below a path.
    pub rows: u64,
    /// Independent of the order in which rows or entries come.
    pub hash: Digest,
}

/// Why something of a drill did not work out: the data's fault, or the environment's.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// What was restored is at fault: the drill fails.
    #[error("the restored data is at fault")]
    Data(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Something else is at fault, nothing is known of the data: the drill is inconclusive.
    #[error("the environment is at fault")]
    Environment(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Restored data that answers questions in its scratch environment.
pub trait Recovered: Send {
    /// The engine's own consistency check. [`Checked::problems`] empty means clean.
    fn self_check(&mut self) -> Result<Checked, Trouble>;

    /// The same summary as [`Capture::fingerprint`], of what was recovered.
    fn fingerprint(&mut self) -> Result<Fingerprint, Trouble>;

    /// Answers a first question, whatever it is: with it recovery ends.
    fn first_answer(&mut self) -> Result<(), Trouble>;

    /// Answers a read-only query; one that takes longer than `limit` is the environment's trouble.
    /// Of a source with several databases `database` names the one that is asked.
    fn query(
        &mut self,
        database: Option<&str>,
        sql: &str,
        limit: Duration,
    ) -> Result<Rows, Trouble>;

    /// Where the files are, for the kinds that are files.
    fn files(&self) -> Option<&Path>;

    /// How a program of the owner's reaches it from another cage; none for a kind that cannot be reached
    /// so.
    fn access(&mut self, _scratch: &Scratch) -> Result<Option<Access>, Trouble> {
        Ok(None)
    }

    /// Damages the scratch copy on purpose (a control) and tells where.
    fn injure(&mut self, fault: Fault) -> Result<Option<Place>, Trouble>;

    /// Whether a fault is undone once the fingerprint was taken: then controls need no copy.
    fn undoes_faults(&self) -> bool {
        false
    }

    /// How what opens the data is confined, for the record; none where nothing is run on it.
    fn confinement(&self) -> Option<String> {
        None
    }

    /// Ends it; nothing may be left running.
    fn stop(self: Box<Self>) -> Result<(), Trouble>;
}

/// What a self-check looked at and what it found wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// How much was looked at, in the engine's terms (pages, tables, entries).
    pub compared: Option<NonZeroU64>,
    pub problems: Vec<Place>,
}

/// A query's answer: small, since it goes into memory.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Rows {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<Cell>>,
}

impl Rows {
    /// An answer with more is refused, never cut.
    const MOST: usize = 1_000_000;
    const MOST_BYTES: usize = 64 << 20;

    /// What is said of one.
    const TOO_LARGE: &str = "the answer is larger than 1,000,000 rows or 64 MiB";
}

/// One value of an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cell {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
    Blob(Vec<u8>),
}

impl Eq for Cell {}

/// A deliberate fault: a control injures the scratch copy and a check must find it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// One value of one row changes.
    RowChanged,
    /// One row is removed.
    RowRemoved,
    /// One byte of one file flips.
    ByteFlipped,
    /// One blob cannot be found in the repository (injured by the drill itself).
    BlobHidden,
}

/// Where something is wrong, or was injured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// A table, index, file path, blob or check, e.g. `table orders`, `file img/a.jpg`.
    pub object: String,
    /// What is wrong there, without row values.
    pub what: String,
}
