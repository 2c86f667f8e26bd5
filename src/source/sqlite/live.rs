//! The live database: opened to read, pinned to one moment.
//!
//! In: the database's path. Out: a [`Pinned`] read transaction. Works beside writers, with a
//! write-ahead log (they go on writing) and with a rollback journal (they wait for us to end).

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, ffi};

use super::super::{Context, Error};

/// How long a program may keep the database locked against us.
pub(super) const LOCK_LIMIT: Duration = Duration::from_secs(30);

/// A read transaction on a live database: what it sees does not change until it is dropped.
pub(super) struct Pinned {
    pub connection: Connection,
    /// A moment at which every later change was still to come, or being made.
    pub time: Timestamp,
    pub page_count: u32,
    pub page_bytes: u32,
    /// `wal`, `delete`, `truncate`, `persist`, …
    pub journal_mode: String,
}

impl Pinned {
    /// Opens the database at `path` and begins to read; waits up to [`LOCK_LIMIT`] for locks.
    pub fn open(path: &Path, context: &Context) -> Result<Self, Error> {
        pin(path, context).map_err(|failed| match failed {
            Failed::Sql(error) => engine(path, error),
            Failed::Other(error) => error,
        })
    }

    /// Bytes of the database at the pinned moment.
    pub fn bytes(&self) -> u64 {
        u64::from(self.page_count) * u64::from(self.page_bytes)
    }
}

enum Failed {
    Sql(rusqlite::Error),
    Other(Error),
}

impl From<rusqlite::Error> for Failed {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

fn pin(path: &Path, context: &Context) -> Result<Pinned, Failed> {
    let had_log = has_log(path);
    // Able to write, though no statement may: only so can it undo the half transaction of a
    // writer that died, as the application's own next connection would, and remove the empty log
    // that reading without a writer makes, which in our name could lock the application out.
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_timeout(Duration::from_millis(500))?;
    // Writing the application's log back into the database is the application's business.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, had_log)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.execute_batch("PRAGMA query_only = ON; PRAGMA cell_size_check = ON")?;
    let interrupted = context.interrupted.clone();
    connection.progress_handler(10_000, Some(move || interrupted.load(Ordering::Relaxed)))?;
    let deadline = Instant::now() + LOCK_LIMIT;
    loop {
        context.check_interrupted().map_err(Failed::Other)?;
        let time = context.clock.now();
        match begin(&connection) {
            Ok((page_count, page_bytes, journal_mode)) => {
                return Ok(Pinned { connection, time, page_count, page_bytes, journal_mode });
            }
            Err(error) if is_locked(&error) && Instant::now() < deadline => {
                if !connection.is_autocommit() {
                    connection.execute_batch("ROLLBACK")?;
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn begin(connection: &Connection) -> rusqlite::Result<(u32, u32, String)> {
    connection.execute_batch("BEGIN")?;
    // BEGIN alone pins nothing; the first read does.
    connection.query_row("SELECT count(*) FROM main.sqlite_schema", [], |_| Ok(()))?;
    let number = |pragma| connection.pragma_query_value(None, pragma, |row| row.get(0));
    let journal_mode =
        connection.pragma_query_value(None, "journal_mode", |row| row.get::<_, String>(0))?;
    Ok((number("page_count")?, number("page_size")?, journal_mode))
}

/// Whether waiting may help.
fn is_locked(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// Whether a write-ahead log lies beside the database.
fn has_log(path: &Path) -> bool {
    let mut log = path.canonicalize().unwrap_or_else(|_| path.to_owned()).into_os_string();
    log.push("-wal");
    Path::new(&log).exists()
}

/// What the engine said of the database at `path`, in the source's terms.
pub(super) fn engine(path: &Path, error: rusqlite::Error) -> Error {
    let object = path.display().to_string();
    let what = match error.sqlite_error_code() {
        Some(ErrorCode::OperationInterrupted) => return Error::Interrupted,
        Some(ErrorCode::NotADatabase) => "is not a SQLite database, or is encrypted".to_owned(),
        Some(ErrorCode::DatabaseCorrupt) => "the database is damaged".to_owned(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            format!("another program kept it locked for {} s", LOCK_LIMIT.as_secs())
        }
        Some(ErrorCode::CannotOpen) if !path.exists() => "does not exist".to_owned(),
        Some(ErrorCode::CannotOpen) => {
            let code = error.sqlite_error().map_or(ffi::SQLITE_CANTOPEN, |said| said.extended_code);
            format!("cannot be opened by this user (SQLite's code {code})")
        }
        _ => "SQLite could not read it".to_owned(),
    };
    Error::Engine { object, what, source: Some(error.into()) }
}
