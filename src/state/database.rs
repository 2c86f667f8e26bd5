//! Opening the state's database: private, whole, and of a version this program knows.

use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::sqlite::{
    Sqlite, SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{Connection, SqliteConnection, Transaction};

use super::{Error, Result};

/// How long a call waits for another process that writes.
const BUSY: Duration = Duration::from_secs(10);

/// What makes version `n + 1` out of version `n`. Only ever appended to.
const MIGRATIONS: [&str; 1] = ["
    CREATE TABLE lease (
        policy TEXT PRIMARY KEY,
        fence INTEGER NOT NULL,
        holder TEXT,
        until_ms INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE repository_lock (
        place TEXT NOT NULL,
        id TEXT NOT NULL,
        holder TEXT NOT NULL,
        PRIMARY KEY (place, id)
    ) STRICT;
    CREATE TABLE checkpoint (
        place TEXT PRIMARY KEY,
        size INTEGER NOT NULL,
        root TEXT NOT NULL
    ) STRICT;
    CREATE TABLE owed_hook (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        policy TEXT NOT NULL,
        argvs TEXT NOT NULL,
        holder TEXT NOT NULL
    ) STRICT;
    PRAGMA user_version = 1;
"];

/// The daemon's own database. Cheap to clone; clones share its connections.
#[derive(Debug, Clone)]
pub struct State {
    pub(super) pool: SqlitePool,
}

impl State {
    /// Opens the state at `url` (`sqlite:///path`, the path taken as it stands), making the file
    /// (mode 0600) and its folder (0700) where they are missing, and bringing it to this
    /// program's version.
    pub async fn open(url: &str) -> Result<Self> {
        let path = url.strip_prefix("sqlite://").filter(|path| path.starts_with('/'));
        let path = PathBuf::from(path.ok_or_else(|| Error::Url { url: shown(url) })?);
        make_private(&path)?;
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY);
        let pool = SqlitePoolOptions::new().max_connections(4).connect_lazy_with(options);
        let mut connection = pool.acquire().await.map_err(|source| opening(&path, source))?;
        check_whole(&mut connection, &path).await?;
        migrate(&mut connection, &path).await?;
        drop(connection);
        Ok(Self { pool })
    }

    /// Closes all connections; what was not committed is gone.
    pub async fn close(self) {
        self.pool.close().await;
    }

    /// A transaction that writes: it takes the write lock at once, so that it cannot fail for
    /// being second when it first writes.
    pub(super) async fn write(&self, action: &'static str) -> Result<Transaction<'static, Sqlite>> {
        self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(Error::query(action))
    }
}

/// A URL of another kind may hold a password: only its scheme is shown.
fn shown(url: &str) -> String {
    match url.split_once("://") {
        Some(("sqlite", _)) | None => url.chars().take(80).collect(),
        Some((scheme, _)) => format!("{}://…", scheme.chars().take(20).collect::<String>()),
    }
}

fn make_private(path: &Path) -> Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.exists()) {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|source| Error::File { action: "create", path: folder.into(), source })?;
    }
    let failed = |source: io::Error| Error::File { action: "open", path: path.into(), source };
    let options =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).clone();
    let file = options.open(path).map_err(failed)?;
    file.set_permissions(Permissions::from_mode(0o600)).map_err(failed)
}

/// What SQLite says of a file that is none of its own, or no longer whole.
fn opening(path: &Path, source: sqlx::Error) -> Error {
    // Extended result codes carry the primary one in their lowest byte: sqlite.org/rescode.html.
    const CORRUPT: u32 = 11;
    const NOT_A_DATABASE: u32 = 26;
    let code = source.as_database_error().and_then(|error| error.code()?.parse::<u32>().ok());
    match code.map(|code| code & 0xff) {
        Some(CORRUPT | NOT_A_DATABASE) => {
            Error::Damaged { path: path.into(), source: Some(source) }
        }
        _ => Error::Query { action: "open the database", source },
    }
}

async fn check_whole(connection: &mut SqliteConnection, path: &Path) -> Result<()> {
    let answer: String = sqlx::query_scalar("PRAGMA quick_check(1)")
        .fetch_one(connection)
        .await
        .map_err(|source| opening(path, source))?;
    if answer == "ok" { Ok(()) } else { Err(Error::Damaged { path: path.into(), source: None }) }
}

async fn migrate(connection: &mut PoolConnection<Sqlite>, path: &Path) -> Result<()> {
    let failed = |source| opening(path, source);
    let mut writing = connection.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
    let found: i64 =
        sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *writing).await.map_err(failed)?;
    let known = MIGRATIONS.len() as i64;
    if found < 0 || found > known {
        return Err(Error::Newer { path: path.into(), found, known });
    }
    for migration in MIGRATIONS.into_iter().skip(found as usize) {
        sqlx::raw_sql(migration).execute(&mut *writing).await.map_err(failed)?;
    }
    writing.commit().await.map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    fn url(path: &Path) -> String {
        format!("sqlite://{}", path.display())
    }

    #[tokio::test]
    async fn the_state_is_private_and_opens_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lifeboat/state.db");

        State::open(&url(&path)).await.unwrap().close().await;
        let _again = State::open(&url(&path)).await.unwrap();

        let mode = |path: &Path| path.metadata().unwrap().mode() & 0o7777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        assert_eq!(mode(&path.with_extension("db-wal")), 0o600);
    }

    #[tokio::test]
    async fn a_damaged_state_is_named_with_a_hint() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        std::fs::write(&path, "this is no database, and long enough to have a header".repeat(40))
            .unwrap();

        let error = State::open(&url(&path)).await.unwrap_err();

        assert!(matches!(error, Error::Damaged { .. }), "{error:?}");
        assert!(error.to_string().contains("state.db"), "{error}");
        assert!(error.hint().unwrap().contains("away"));
    }

    #[tokio::test]
    async fn a_state_of_a_later_version_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let state = State::open(&url(&path)).await.unwrap();
        sqlx::raw_sql("PRAGMA user_version = 99").execute(&state.pool).await.unwrap();
        state.close().await;

        let error = State::open(&url(&path)).await.unwrap_err();

        assert!(matches!(error, Error::Newer { found: 99, .. }), "{error:?}");
    }

    #[tokio::test]
    async fn a_url_with_a_password_is_not_repeated() {
        let error = State::open("postgres://lifeboat:canary@db/state").await.unwrap_err();

        assert!(matches!(error, Error::Url { .. }), "{error:?}");
        assert!(!format!("{error:?}").contains("canary"));
    }
}
