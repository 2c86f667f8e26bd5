//! One connection to a server, blocking, with every setting pinned that could change an answer.
//!
//! In: a [`Login`] and SQL. Out: rows of text, as the server's output functions write them. Works
//! alike on the live server and on a scratch server. Must be called from a thread that tokio's
//! runtime knows (`spawn_blocking`, or under [`tokio::runtime::Runtime::enter`]).

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use sqlx::error::DatabaseError;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow, PgSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions, Row as _};
use tokio::runtime::Handle;

use crate::ground::secret::ExposeSecret;
use crate::source::login::{Login, Tls};
use crate::source::within::{Waited, within};

/// How long a server may take to accept a connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(30);

/// By how much the server's own patience is longer than ours.
const GIVE_UP_LATER: Duration = Duration::from_secs(1);

/// What a session sets before anything else. The first seven change the text of values, and so a
/// fingerprint; `search_path` decides which names are written in full. Row security must fail
/// rather than filter: what is hidden would be missing on both sides. The rest keeps the server's
/// own time-outs and planner tricks out of long reads.
const PINNED: [(&str, &str); 16] = [
    ("TimeZone", "UTC"),
    ("DateStyle", "ISO, YMD"),
    ("IntervalStyle", "postgres"),
    ("bytea_output", "hex"),
    ("extra_float_digits", "1"),
    ("lc_monetary", "C"),
    ("xmlbinary", "base64"),
    ("search_path", "pg_catalog"),
    ("quote_all_identifiers", "off"),
    ("row_security", "off"),
    ("synchronize_seqscans", "off"),
    ("client_connection_check_interval", "10s"),
    ("idle_in_transaction_session_timeout", "0"),
    ("idle_session_timeout", "0"),
    ("transaction_timeout", "0"),
    ("client_min_messages", "error"),
];

/// Of these, what servers older than 17 may not know.
const LATER: [&str; 3] =
    ["client_connection_check_interval", "idle_session_timeout", "transaction_timeout"];

/// The setting that holds the major version in whose words definitions are told.
const WORDS: &str = "lifeboat.words";

/// SQL for the number of that version.
pub(super) const SPOKEN: &str = "current_setting('lifeboat.words')::int";

/// One answer's row: a text or NULL for each column.
pub type Row = Vec<Option<String>>;

/// A column of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    /// Its type's name, e.g. `INT8`, `NUMERIC`, `TEXT`.
    pub kind: String,
}

/// Why a server gave no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("cannot log in to database {database:?} at {server}")]
    Connect { database: String, server: String, source: sqlx::Error },
    #[error("cannot log in to database {database:?} at {server}: {message} (SQLSTATE {code})")]
    NotAdmitted { database: String, server: String, code: String, message: String },
    /// The server understood and said no; `code` is its SQLSTATE.
    #[error("database {database:?}: {message} (SQLSTATE {code})")]
    Refused { database: String, code: String, message: String },
    #[error("database {database:?} gave no answer within {} s", limit.as_secs_f64())]
    TimedOut { database: String, limit: Duration },
    #[error("the connection to database {database:?} was lost")]
    Lost { database: String, source: sqlx::Error },
    #[error("database {database:?} answered with bytes that are not text")]
    NotText { database: String },
    #[error("database {database:?} answered otherwise than asked: {what}")]
    Unexpected { database: String, what: String },
    #[error("interrupted")]
    Interrupted,
}

/// One connection to one database.
pub struct Session {
    connection: PgConnection,
    runtime: Handle,
    database: String,
    limit: Duration,
    interrupted: Arc<AtomicBool>,
}

impl Session {
    /// Logs in to `database` and pins the settings. Each statement may take as long as `limit`.
    pub fn open(
        login: &Login,
        database: &str,
        limit: Duration,
        interrupted: Arc<AtomicBool>,
    ) -> Result<Self, Error> {
        let runtime = Handle::current();
        let options = options(login, database);
        let waited = runtime.block_on(within(CONNECT_LIMIT, &interrupted, options.connect()));
        let connection = match waited {
            Ok(connected) => connected.map_err(|error| not_connected(database, login, error))?,
            Err(Waited::TooLong) => {
                return Err(Error::TimedOut {
                    database: database.to_owned(),
                    limit: CONNECT_LIMIT,
                });
            }
            Err(Waited::Interrupted) => return Err(Error::Interrupted),
        };
        let database = database.to_owned();
        let mut session = Self { connection, runtime, database, limit, interrupted };
        session.pin()?;
        session.set_limit(limit)?;
        Ok(session)
    }

    /// The database it is connected to.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// From now on definitions are told in the words of `major`, an older version than the server's or its
    /// own: what that one does not know is left out, what it calls otherwise bears its name.
    pub(super) fn speak_as(&mut self, major: u32) -> Result<(), Error> {
        self.run(&format!("SELECT set_config('{WORDS}', '{major}', false)"))
    }

    /// From now on each statement may take as long as `limit`. The server ends a late one itself,
    /// a moment after we gave up: nobody would tell it.
    pub fn set_limit(&mut self, limit: Duration) -> Result<(), Error> {
        self.limit = limit;
        let milliseconds = limit.saturating_add(GIVE_UP_LATER).as_millis().min(i32::MAX as u128);
        self.run(&format!("SET statement_timeout = {milliseconds}"))
    }

    /// Runs statements whose answers are not wanted.
    pub fn run(&mut self, sql: &str) -> Result<(), Error> {
        self.rows(sql).map(drop)
    }

    /// Runs one statement and returns all its rows. They go into memory.
    pub fn rows(&mut self, sql: &str) -> Result<Vec<Row>, Error> {
        self.asked(sql)?.iter().map(|row| self.texts(row)).collect()
    }

    /// As [`Session::rows`], with the columns; without rows there are none.
    pub fn table(&mut self, sql: &str) -> Result<(Vec<Column>, Vec<Row>), Error> {
        use sqlx::{Column as _, TypeInfo as _};

        let rows = self.asked(sql)?;
        let names = rows.first().map_or_else(Vec::new, |row| {
            let columns = row.columns().iter().map(|column| Column {
                name: column.name().to_owned(),
                kind: column.type_info().name().to_owned(),
            });
            columns.collect()
        });
        let rows = rows.iter().map(|row| self.texts(row)).collect::<Result<_, _>>()?;
        Ok((names, rows))
    }

    /// The only row of an answer.
    pub fn row(&mut self, sql: &str) -> Result<Row, Error> {
        let mut rows = self.rows(sql)?;
        match (rows.pop(), rows.is_empty()) {
            (Some(row), true) => Ok(row),
            (None, _) => Err(self.unexpected("no row where one was asked for")),
            (Some(_), false) => Err(self.unexpected("several rows where one was asked for")),
        }
    }

    /// The only value of an answer.
    pub fn value(&mut self, sql: &str) -> Result<String, Error> {
        let value = self.row(sql)?.into_iter().next().flatten();
        value.ok_or_else(|| self.unexpected("nothing where a value was asked for"))
    }

    /// The first value of each row, where there is one.
    pub(super) fn column(&mut self, sql: &str) -> Result<Vec<String>, Error> {
        Ok(self.rows(sql)?.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect())
    }

    /// An answer that does not fit the question.
    pub(super) fn unexpected(&self, what: impl Into<String>) -> Error {
        Error::Unexpected { database: self.database.clone(), what: what.into() }
    }

    fn pin(&mut self) -> Result<(), Error> {
        // A statement without operators or functions, first: a database's owner chooses the path,
        // and with it what a bare `=` would run.
        self.run("SET search_path = pg_catalog")?;
        let values: Vec<String> =
            PINNED.iter().map(|(name, value)| format!("('{name}', '{value}')")).collect();
        // Only those that this version knows: setting another one is an error.
        let set = self.rows(&format!(
            "SELECT w.name, pg_catalog.set_config(s.name, w.value, false) \
             FROM (VALUES {}) AS w(name, value) \
             JOIN pg_catalog.pg_settings s \
               ON pg_catalog.lower(s.name) OPERATOR(pg_catalog.=) pg_catalog.lower(w.name)",
            values.join(", ")
        ))?;
        // Whatever a restored role or database has set there.
        self.run(&format!(
            "SELECT set_config('{WORDS}', \
               (current_setting('server_version_num')::int / 10000)::text, false)"
        ))?;
        let is_set = |name: &str| set.iter().any(|row| row[0].as_deref() == Some(name));
        match PINNED.iter().find(|(name, _)| !LATER.contains(name) && !is_set(name)) {
            Some((name, _)) => Err(self.unexpected(format!("{name} could not be set"))),
            None => Ok(()),
        }
    }

    fn asked(&mut self, sql: &str) -> Result<Vec<PgRow>, Error> {
        let query = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        let asked = query.fetch_all(&mut self.connection);
        let waited = self.runtime.block_on(within(self.limit, &self.interrupted, asked));
        let database = || self.database.clone();
        match waited {
            Ok(Ok(rows)) => Ok(rows),
            Ok(Err(sqlx::Error::Database(said))) => {
                let (code, message) = refusal(&*said);
                Err(Error::Refused { database: database(), code, message })
            }
            Ok(Err(source)) => Err(Error::Lost { database: database(), source }),
            Err(Waited::TooLong) => {
                Err(Error::TimedOut { database: database(), limit: self.limit })
            }
            Err(Waited::Interrupted) => Err(Error::Interrupted),
        }
    }

    fn texts(&self, row: &PgRow) -> Result<Row, Error> {
        (0..row.len())
            .map(|column| {
                let value = row
                    .try_get_raw(column)
                    .map_err(|source| Error::Lost { database: self.database.clone(), source })?;
                if sqlx::ValueRef::is_null(&value) {
                    return Ok(None);
                }
                let text = value.as_str().map(str::to_owned);
                text.map(Some).map_err(|_| Error::NotText { database: self.database.clone() })
            })
            .collect()
    }
}

fn options(login: &Login, database: &str) -> PgConnectOptions {
    let mut options = PgConnectOptions::new_without_pgpass()
        .port(login.port)
        .username(&login.user)
        // Without one an empty password, not one of the environment, meant for another server.
        .password(login.password.as_ref().map_or("", |password| password.expose_secret()))
        .database(database)
        .application_name("lifeboat")
        .options([("client_encoding", "UTF8")])
        .statement_cache_capacity(0)
        .disable_statement_logging();
    options =
        if login.is_local() { options.socket(&login.host) } else { options.host(&login.host) };
    match &login.tls {
        Tls::Off => options.ssl_mode(PgSslMode::Disable),
        Tls::Require => options.ssl_mode(PgSslMode::Require),
        Tls::Verify { ca } => options.ssl_mode(PgSslMode::VerifyFull).ssl_root_cert(ca),
    }
}

fn not_connected(database: &str, login: &Login, error: sqlx::Error) -> Error {
    let (database, server) = (database.to_owned(), login.server());
    match error {
        sqlx::Error::Database(said) => {
            let (code, message) = refusal(&*said);
            Error::NotAdmitted { database, server, code, message }
        }
        source => Error::Connect { database, server, source },
    }
}

/// SQLSTATE and message of what the server said. The error itself would also tell a line of the
/// server's own source text.
fn refusal(said: &dyn DatabaseError) -> (String, String) {
    let code = said.code().map(|code| code.into_owned()).unwrap_or_default();
    (code, said.message().to_owned())
}
