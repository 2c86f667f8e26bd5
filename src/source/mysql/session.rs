//! One connection to a server, blocking, with every setting pinned that could change an answer.
//!
//! In: a [`Login`] and SQL. Out: rows of text. Works alike on the live server and on a scratch
//! server. It has no database of its own, so that every name is written in full. Must be called
//! from a thread that tokio's runtime knows.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use futures_util::TryStreamExt;
use sqlx::mysql::{
    MySqlConnectOptions, MySqlConnection, MySqlDatabaseError, MySqlRow, MySqlSslMode,
};
use sqlx::{AssertSqlSafe, Column as _, ConnectOptions, Row as _, TypeInfo as _};
use tokio::runtime::Handle;

use super::super::login::{Login, Tls};
use super::super::within::{Waited, within};
use super::Product;
use crate::ground::secret::ExposeSecret;

/// How long a server may take to accept a connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(30);

/// By how much the server's own patience is longer than ours.
const GIVE_UP_LATER: Duration = Duration::from_secs(1);

/// One answer's row: a text or NULL for each column.
pub type Row = Vec<Option<String>>;

/// A column of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    /// Its type's name, e.g. `BIGINT`, `DECIMAL`, `VARCHAR`.
    pub kind: String,
}

/// One value of an answer as the server sent it.
pub type Bytes = Option<Vec<u8>>;

/// Numbers of the server's errors that mean something to us.
pub mod number {
    /// `ER_LOCK_WAIT_TIMEOUT`
    pub const LOCK_WAIT_TIMEOUT: u16 = 1205;
    /// `ER_TABLE_DEF_CHANGED`
    pub const DEFINITION_CHANGED: u16 = 1412;
    /// `ER_NO_SUCH_TABLE`
    pub const NO_SUCH_TABLE: u16 = 1146;
    /// Of what the server forbids: to this account, or to everybody.
    pub const FORBIDDEN: [u16; 4] = [1044, 1045, 1227, 1290];
    /// `ER_ACCOUNT_HAS_BEEN_LOCKED`, of MySQL and of MariaDB
    pub const LOCKED: [u16; 2] = [3118, 4151];
    /// Of a database, a view, a routine, a trigger, an event and an account that is gone.
    pub const GONE: [u16; 6] = [1049, 1347, 1305, 1360, 1539, 1141];
}

/// Why a server gave no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("cannot log in at {server}")]
    Connect { server: String, source: sqlx::Error },
    #[error("cannot log in at {server}: {message} (error {number})")]
    NotAdmitted { server: String, number: u16, message: String },
    /// So it also asks whoever names an account that is not there.
    #[error(
        "cannot log in at {server}: it asks for the password itself, which is sent only over TLS"
    )]
    Unencrypted { server: String },
    /// The server understood and said no; `number` is its own.
    #[error("{server}: {message} (error {number})")]
    Refused { server: String, number: u16, message: String },
    #[error("{server} gave no answer within {} s", limit.as_secs_f64())]
    TimedOut { server: String, limit: Duration },
    #[error("the connection to {server} was lost")]
    Lost { server: String, source: sqlx::Error },
    #[error("{server} answered otherwise than asked: {what}")]
    Unexpected { server: String, what: String },
    #[error("interrupted")]
    Interrupted,
}

impl Error {
    /// Whether the server understood, and forbids it.
    pub(super) fn is_forbidden(&self) -> bool {
        matches!(self, Self::Refused { number, .. } if number::FORBIDDEN.contains(number))
    }

    /// Whether something that was there a moment ago is gone or changed.
    pub(super) fn is_of_a_change(&self) -> bool {
        let Self::Refused { number, .. } = self else { return false };
        [number::NO_SUCH_TABLE, number::DEFINITION_CHANGED].contains(number)
            || number::GONE.contains(number)
    }
}

/// An answer that is larger than was asked for.
#[derive(Debug)]
pub struct TooLarge;

/// One connection to one server.
pub struct Session {
    product: Product,
    connection: MySqlConnection,
    runtime: Handle,
    server: String,
    limit: Duration,
    interrupted: Arc<AtomicBool>,
}

impl Session {
    /// Logs in and pins the settings. Each statement may take as long as `limit`.
    pub fn open(
        product: Product,
        login: &Login,
        limit: Duration,
        interrupted: Arc<AtomicBool>,
    ) -> Result<Self, Error> {
        let (runtime, server) = (Handle::current(), name_of(login));
        let options = options(product, login);
        let waited = runtime.block_on(within(CONNECT_LIMIT, &interrupted, options.connect()));
        let connection = match waited {
            Ok(connected) => connected.map_err(|error| not_connected(&server, error))?,
            Err(Waited::TooLong) => return Err(Error::TimedOut { server, limit: CONNECT_LIMIT }),
            Err(Waited::Interrupted) => return Err(Error::Interrupted),
        };
        let mut session = Self { product, connection, runtime, server, limit, interrupted };
        session.run(&product.pins())?;
        session.set_limit(limit)?;
        Ok(session)
    }

    /// What the server is.
    pub(super) fn product(&self) -> Product {
        self.product
    }

    /// From now on a lock is waited for no longer than `patience`; the server counts in seconds.
    pub(super) fn set_lock_patience(&mut self, patience: Duration) -> Result<(), Error> {
        let seconds = patience.as_secs().max(1);
        self.run(&format!("SET SESSION lock_wait_timeout = {seconds}"))
    }

    /// From now on each statement may take as long as `limit`. The server ends a late one itself,
    /// a moment after we gave up: nobody would tell it.
    pub fn set_limit(&mut self, limit: Duration) -> Result<(), Error> {
        self.limit = limit;
        self.run(&self.product.limits(limit.saturating_add(GIVE_UP_LATER)))
    }

    /// Runs statements whose answers are not wanted.
    pub fn run(&mut self, sql: &str) -> Result<(), Error> {
        self.rows(sql).map(drop)
    }

    /// Runs one statement and returns all its rows. They go into memory.
    pub fn rows(&mut self, sql: &str) -> Result<Vec<Row>, Error> {
        let query = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        let asked = query.fetch_all(&mut self.connection);
        let waited = self.runtime.block_on(within(self.limit, &self.interrupted, asked));
        let rows = self.told(waited)?;
        rows.iter()
            .map(|row| {
                let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
                Ok(self.values(row)?.into_iter().map(|value| value.map(text)).collect())
            })
            .collect()
    }

    /// The answer to one statement with its columns, read row by row and no further than
    /// `most_rows` and `most_bytes`. Without rows there are no columns. The session is of no use
    /// after an answer that is larger.
    pub fn table(
        &mut self,
        sql: &str,
        most_rows: usize,
        most_bytes: usize,
    ) -> Result<Result<(Vec<Column>, Vec<Vec<Bytes>>), TooLarge>, Error> {
        let query = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        let reading = async {
            let mut answer = query.fetch(&mut self.connection);
            let (mut rows, mut bytes) = (Vec::new(), 0);
            while let Some(row) = answer.try_next().await? {
                for column in 0..row.len() {
                    let value: Bytes = row.try_get_unchecked(column)?;
                    bytes += 16 + value.map_or(0, |value| value.len());
                }
                if rows.len() == most_rows || bytes > most_bytes {
                    return Ok(Err(TooLarge));
                }
                rows.push(row);
            }
            Ok(Ok(rows))
        };
        let waited = self.runtime.block_on(within(self.limit, &self.interrupted, reading));
        let Ok(rows) = self.told(waited)? else { return Ok(Err(TooLarge)) };
        let columns = rows.first().map_or_else(Vec::new, columns_of);
        let rows = rows.iter().map(|row| self.values(row)).collect::<Result<_, _>>()?;
        Ok(Ok((columns, rows)))
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
        Error::Unexpected { server: self.server.clone(), what: what.into() }
    }

    fn told<T>(&self, waited: Result<Result<T, sqlx::Error>, Waited>) -> Result<T, Error> {
        let server = || self.server.clone();
        match waited {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(sqlx::Error::Database(said))) => {
                let (number, message) = refusal(&*said);
                Err(Error::Refused { server: server(), number, message })
            }
            Ok(Err(source)) => Err(Error::Lost { server: server(), source }),
            Err(Waited::TooLong) => Err(Error::TimedOut { server: server(), limit: self.limit }),
            Err(Waited::Interrupted) => Err(Error::Interrupted),
        }
    }

    fn values(&self, row: &MySqlRow) -> Result<Vec<Bytes>, Error> {
        (0..row.len())
            .map(|column| {
                row.try_get_unchecked(column)
                    .map_err(|source| Error::Lost { server: self.server.clone(), source })
            })
            .collect()
    }
}

/// The server as messages name it.
pub(super) fn name_of(login: &Login) -> String {
    if login.is_local() { login.host.clone() } else { login.server() }
}

fn columns_of(row: &MySqlRow) -> Vec<Column> {
    let columns = row.columns().iter().map(|column| Column {
        name: column.name().to_owned(),
        kind: column.type_info().name().to_owned(),
    });
    columns.collect()
}

fn options(product: Product, login: &Login) -> MySqlConnectOptions {
    let mut options = MySqlConnectOptions::new()
        .port(login.port)
        .username(&login.user)
        .charset("utf8mb4")
        .statement_cache_capacity(0)
        .pipes_as_concat(false)
        .no_engine_substitution(false)
        .timezone(None)
        .disable_statement_logging();
    if let Some(password) = &login.password {
        options = options.password(password.expose_secret());
    }
    options =
        if login.is_local() { options.socket(&login.host) } else { options.host(&login.host) };
    match &login.tls {
        // A password that the server does not remember is asked for as it is, which sqlx does not
        // send over a socket; TLS over it, with the key that every server makes, lets it.
        Tls::Off if product == Product::Mysql && login.password.is_some() => {
            options.ssl_mode(MySqlSslMode::Preferred)
        }
        Tls::Off => options.ssl_mode(MySqlSslMode::Disabled),
        Tls::Require => options.ssl_mode(MySqlSslMode::Required),
        Tls::Verify { ca } => options.ssl_mode(MySqlSslMode::VerifyIdentity).ssl_ca(ca),
    }
}

fn not_connected(server: &str, error: sqlx::Error) -> Error {
    let server = server.to_owned();
    match error {
        sqlx::Error::Database(said) => {
            let (number, message) = refusal(&*said);
            Error::NotAdmitted { server, number, message }
        }
        // sqlx was built without the other way, by a key that the server sends.
        sqlx::Error::Configuration(why) if why.to_string().starts_with("RSA ") => {
            Error::Unencrypted { server }
        }
        source => Error::Connect { server, source },
    }
}

fn refusal(said: &dyn sqlx::error::DatabaseError) -> (u16, String) {
    let number = said.try_downcast_ref::<MySqlDatabaseError>().map_or(0, |said| said.number());
    (number, said.message().to_owned())
}
