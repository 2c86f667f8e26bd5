//! The daemon's own database: leases, its queue, locks to clean up, what is owed after a crash.
//!
//! In: a file. Out: [`State`]. It can be lost: the bucket is the truth, and what stands here only
//! says what this host is doing. SQLite in WAL mode, one writer; async.

mod board;
mod holder;
mod hooks;
mod lease;
mod memory;
mod readings;
mod slots;
#[cfg(test)]
mod tests;

use std::fs::{self, DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

pub use board::{Board, DAEMON, Unapplied, Waiting};
pub use holder::Holder;
pub use lease::{Held, Lease};

/// How long a call waits for another process's write.
const BUSY: Duration = Duration::from_secs(10);

/// The tables, by the version that brought them and that the file then carries; only ever added to.
const MIGRATIONS: [&str; 4] = [
    "
    CREATE TABLE lease (
      key TEXT PRIMARY KEY, fence INTEGER NOT NULL, run TEXT NOT NULL, holder TEXT NOT NULL,
      until_ms INTEGER NOT NULL) STRICT;
    CREATE TABLE repository_lock (
      place TEXT NOT NULL, id TEXT NOT NULL, holder TEXT NOT NULL,
      PRIMARY KEY (place, id)) STRICT;
    CREATE TABLE checkpoint (
      place TEXT PRIMARY KEY, size INTEGER NOT NULL, root TEXT NOT NULL) STRICT;
    CREATE TABLE owed_hook (key TEXT PRIMARY KEY, argv TEXT NOT NULL) STRICT;
    PRAGMA user_version = 1;
    ",
    "
    CREATE TABLE board (
      id INTEGER PRIMARY KEY CHECK (id = 1), holder TEXT NOT NULL, text TEXT NOT NULL) STRICT;
    CREATE TABLE begun_slot (
      series TEXT NOT NULL, slot_ms INTEGER NOT NULL, PRIMARY KEY (series, slot_ms)) STRICT;
    PRAGMA user_version = 2;
    ",
    "
    CREATE TABLE pack_read (
      place TEXT NOT NULL, pack BLOB NOT NULL, read_ms INTEGER,
      PRIMARY KEY (place, pack)) STRICT, WITHOUT ROWID;
    PRAGMA user_version = 3;
    ",
    "
    CREATE TABLE opening_key (
      place TEXT PRIMARY KEY, id TEXT NOT NULL, bytes INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    PRAGMA user_version = 4;
    ",
];

/// Why the state could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("cannot make the state file {}", path.display())]
    Make { path: PathBuf, source: io::Error },
    #[error("the state file {} is of a newer lifeboat (version {found})", path.display())]
    Newer { path: PathBuf, found: i64 },
    #[error("the state file {} cannot be used", path.display())]
    Unusable { path: PathBuf, source: sqlx::Error },
    #[error("cannot {action} in the state")]
    Query { action: &'static str, source: sqlx::Error },
    #[error("the state holds what nobody wrote: {what}")]
    Nonsense { what: String },
    #[error("the state file {} was removed or replaced while it was in use", path.display())]
    Gone { path: PathBuf },
    #[error("the lease on {key} was lost: somebody else took it over")]
    LeaseLost { key: String },
}

impl Error {
    /// Whether there is no room for it on its disk.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Unusable { source, .. } | Self::Query { source, .. } => {
                code_of(source) == Some(SQLITE_FULL)
            }
            _ => false,
        }
    }

    /// Whether the file itself is broken, and not its disk, its rights or whoever else uses it.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Unusable { source, .. } => {
                [SQLITE_CORRUPT, SQLITE_NOTADB].map(Some).contains(&code_of(source))
            }
            Self::Nonsense { .. } => true,
            _ => false,
        }
    }
}

/// The daemon's own database. Cheap to clone; clones share it.
#[derive(Debug, Clone)]
pub struct State {
    pool: SqlitePool,
    file: Arc<Opened>,
}

/// Which file was opened, told apart from one that took its place.
#[derive(Debug)]
struct Opened {
    path: PathBuf,
    inode: u64,
}

impl State {
    /// Opens the state in `file`, and makes it, readable by its owner only, where it is not there.
    pub async fn open(file: &Path) -> Result<Self, Error> {
        make(file).map_err(|source| Error::Make { path: file.to_owned(), source })?;
        let options = SqliteConnectOptions::new()
            .filename(file)
            .journal_mode(SqliteJournalMode::Wal)
            // A lease that a power cut forgets would let two runs believe that they are alone.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY);
        let unusable = |source| Error::Unusable { path: file.to_owned(), source };
        let pool = connected(&options).await;
        let make = |source| Error::Make { path: file.to_owned(), source };
        let inode = fs::metadata(file).map_err(make)?.ino();
        let file = Arc::new(Opened { path: file.to_owned(), inode });
        let state = Self { pool: pool.map_err(unusable)?, file: file.clone() };
        match state.migrate().await {
            Ok(None) => Ok(state),
            Ok(Some(found)) => Err(Error::Newer { path: file.path.clone(), found }),
            Err(source) => Err(Error::Unusable { path: file.path.clone(), source }),
        }
    }

    /// Fails where the file was removed or replaced: what is written to it nobody else sees.
    fn still_there(&self) -> Result<(), Error> {
        match fs::metadata(&self.file.path) {
            Ok(found) if found.ino() == self.file.inode => Ok(()),
            _ => Err(Error::Gone { path: self.file.path.clone() }),
        }
    }

    /// Brings the tables up to date; answers a version that this program does not know.
    async fn migrate(&self) -> Result<Option<i64>, sqlx::Error> {
        let mut work = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let found: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *work).await?;
        let known = MIGRATIONS.len() as i64;
        if found > known {
            return Ok(Some(found));
        }
        for migration in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or(0)) {
            sqlx::raw_sql(*migration).execute(&mut *work).await?;
        }
        work.commit().await?;
        Ok(None)
    }
}

/// One connection. While another process makes the same file, SQLite is busy whatever its time-out
/// says (sqlite.org/wal.html, "Sometimes Queries Return SQLITE_BUSY In WAL Mode").
async fn connected(options: &SqliteConnectOptions) -> Result<SqlitePool, sqlx::Error> {
    let deadline = Instant::now() + BUSY;
    loop {
        let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options.clone()).await;
        match pool {
            Err(error) if is_busy(&error) && Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            other => return other,
        }
    }
}

fn is_busy(error: &sqlx::Error) -> bool {
    code_of(error) == Some(SQLITE_BUSY)
}

/// Result codes; see sqlite.org/rescode.html.
const SQLITE_BUSY: u32 = 5;
const SQLITE_CORRUPT: u32 = 11;
const SQLITE_FULL: u32 = 13;
const SQLITE_NOTADB: u32 = 26;

/// The primary code of whatever extended one.
fn code_of(error: &sqlx::Error) -> Option<u32> {
    let code = error.as_database_error()?.code()?.parse::<u32>().ok()?;
    Some(code & 0xff)
}

fn make(file: &Path) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(file) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let mode = fs::metadata(file)?.permissions().mode();
            if mode & 0o077 == 0 {
                return Ok(());
            }
            // It names hosts and customers: what a restored copy lost is put right.
            fs::set_permissions(file, fs::Permissions::from_mode(0o600))
        }
        made => made.map(drop),
    }
}

fn failed(action: &'static str) -> impl FnOnce(sqlx::Error) -> Error {
    move |source| Error::Query { action, source }
}
