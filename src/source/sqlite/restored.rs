//! A restored database, opened as the stranger's file it is. Only in the confined child.
//!
//! In: a file. Out: its self-check, fingerprint and answers. The settings are those that SQLite's
//! "Defense Against The Dark Arts" asks for with untrusted files.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::super::{Fingerprint, Rows};
use super::asking;
use super::fingerprint::fingerprint;
use super::protocol::{Failure, Reply, Value};

/// The smallest page that SQLite's file format knows.
const LEAST_PAGE_BYTES: u64 = 512;

/// A restored database in the child.
pub(super) struct Restored {
    path: PathBuf,
    pub connection: Connection,
}

impl Restored {
    /// Opens `path` to read. Nothing beside the file is read or written: a copy made by a backup
    /// has no log, even where its header says that one was in use.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let bytes = std::fs::metadata(path).map_err(|error| Failure {
            data: error.kind() == std::io::ErrorKind::NotFound,
            what: format!("the restored file cannot be opened: {error}"),
        })?;
        // SQLite would take the stump of a page for an empty database, which has no bytes at all.
        if (1..LEAST_PAGE_BYTES).contains(&bytes.len()) {
            return Err(Failure { data: true, what: "the file is cut short".to_owned() });
        }
        let connection = Connection::open_with_flags(
            immutable(path),
            OpenFlags::SQLITE_OPEN_READ_ONLY
                | OpenFlags::SQLITE_OPEN_URI
                | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?;
        distrust(&connection)?;
        // The first read finds files that are no databases, or shorter than their header says.
        connection.query_row("SELECT count(*) FROM main.sqlite_schema", [], |_| Ok(()))?;
        Ok(Self { path: path.to_owned(), connection })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The same summary as was taken at capture.
    pub fn fingerprint(&self) -> Result<Fingerprint, Failure> {
        Ok(fingerprint(&self.connection)?)
    }

    /// Answers one statement that only reads, within `limit`.
    pub fn query(&self, sql: &str, limit: Duration) -> Result<Reply, Failure> {
        let Rows { columns, rows } = asking::query(&self.connection, sql, limit, || false)?;
        let values = |row: Vec<_>| row.into_iter().map(Value::from_cell).collect();
        Ok(Reply::Rows { columns, rows: rows.into_iter().map(values).collect() })
    }
}

/// Applies the settings for untrusted files and untrusted statements.
pub(super) fn distrust(connection: &Connection) -> rusqlite::Result<()> {
    for (setting, on) in [
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER, false),
        // A column that is gone must not turn into the text of its own quoted name.
        (DbConfig::SQLITE_DBCONFIG_DQS_DML, false),
    ] {
        connection.set_db_config(setting, on)?;
    }
    for (limit, most) in [
        (Limit::SQLITE_LIMIT_ATTACHED, 0),
        (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
        (Limit::SQLITE_LIMIT_SQL_LENGTH, 4 << 20),
        (Limit::SQLITE_LIMIT_VDBE_OP, 1_000_000),
    ] {
        connection.set_limit(limit, most)?;
    }
    connection.execute_batch(
        "PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0; PRAGMA cache_size = -32768",
    )
}

/// The name under which SQLite opens `path` without looking for a journal or log beside it.
fn immutable(path: &Path) -> String {
    let mut name = String::from("file:");
    for byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.".contains(byte) {
            name.push(char::from(*byte));
        } else {
            name.push_str(&format!("%{byte:02X}"));
        }
    }
    name + "?immutable=1"
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        let data = matches!(
            error.sqlite_error_code(),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
        );
        Self { data, what: message(&error) }
    }
}

/// What the engine said, without the statement's text.
pub(super) fn message(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        rusqlite::Error::SqliteFailure(code, None) => code.to_string(),
        rusqlite::Error::SqliteFailure(_, Some(said)) => said.clone(),
        rusqlite::Error::MultipleStatement => "the query is more than one statement".to_owned(),
        other => other.to_string(),
    }
}
