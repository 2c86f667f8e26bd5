//! A restored database, opened as the stranger's file it is. Only in the confined child.
//!
//! In: a file. Out: its self-check, fingerprint and answers. The settings are those that SQLite's
//! "Defense Against The Dark Arts" asks for with untrusted files.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::super::{Cell, Fingerprint};
use super::fingerprint::fingerprint;
use super::protocol::{Failure, Reply, Value};

/// An answer with more is refused, never cut.
const MOST_ROWS: usize = 1_000_000;
const MOST_BYTES: usize = 64 << 20;

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
        let deadline = Instant::now() + limit;
        self.connection.progress_handler(1000, Some(move || Instant::now() >= deadline))?;
        self.connection.authorizer(Some(may_only_read))?;
        let answer = self.answer(sql);
        self.connection.authorizer(None::<fn(AuthContext<'_>) -> Authorization>)?;
        self.connection.progress_handler(0, None::<fn() -> bool>)?;
        answer
    }

    fn answer(&self, sql: &str) -> Result<Reply, Failure> {
        let mut statement = self.connection.prepare(sql).map_err(of_query)?;
        if !statement.readonly() || statement.column_count() == 0 {
            return Err(Failure { data: false, what: "the query is no SELECT".to_owned() });
        }
        let columns: Vec<String> =
            statement.column_names().into_iter().map(str::to_owned).collect();
        let mut answer = Vec::new();
        let mut bytes = 0;
        let mut rows = statement.query([]).map_err(of_query)?;
        while let Some(row) = rows.next().map_err(of_query)? {
            let mut values = Vec::with_capacity(columns.len());
            for column in 0..columns.len() {
                let cell = cell(row.get_ref(column)?);
                bytes += weight(&cell);
                values.push(Value::from_cell(cell));
            }
            answer.push(values);
            if answer.len() > MOST_ROWS || bytes > MOST_BYTES {
                let what = format!("the answer is larger than {MOST_ROWS} rows or 64 MiB");
                return Err(Failure { data: false, what });
            }
        }
        Ok(Reply::Rows { columns, rows: answer })
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

fn may_only_read(asked: AuthContext<'_>) -> Authorization {
    match asked.action {
        AuthAction::Select | AuthAction::Read { .. } | AuthAction::Recursive => {
            Authorization::Allow
        }
        AuthAction::Function { function_name } if function_name != "load_extension" => {
            Authorization::Allow
        }
        _ => Authorization::Deny,
    }
}

/// Text that is not UTF-8 comes as the blob of its bytes.
fn cell(value: ValueRef<'_>) -> Cell {
    match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(number) => Cell::Integer(number),
        ValueRef::Real(number) => Cell::Real(number),
        ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Cell::Text(text.to_owned()),
            Err(_) => Cell::Blob(bytes.to_vec()),
        },
        ValueRef::Blob(bytes) => Cell::Blob(bytes.to_vec()),
    }
}

fn weight(cell: &Cell) -> usize {
    16 + match cell {
        Cell::Text(text) => text.len(),
        Cell::Blob(bytes) => 2 * bytes.len(),
        _ => 0,
    }
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

/// A table or column that is gone is the data's fault; a slip in the query is not.
fn of_query(error: rusqlite::Error) -> Failure {
    let mut failure = Failure::from(error);
    failure.data |= ["no such table: ", "no such column: "]
        .iter()
        .any(|missing| failure.what.starts_with(missing));
    if failure.what == "interrupted" {
        failure.what = "the query took too long".to_owned();
    }
    if failure.what == "not authorized" {
        failure.what = "the query may only read the database".to_owned();
    }
    failure
}
