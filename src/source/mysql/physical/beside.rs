//! A server that lifeboat runs beside: where its files are, and whether a copy of them can be brought to
//! the fingerprint's moment.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::super::super::Error;
use super::super::live::{Live, engine_error};
use super::super::session::{self, Session};
use super::binlog::Position;

/// What every data folder has.
const PROBE: &str = "aria_log_control";

/// A server whose files may be captured.
pub(in super::super) struct Beside {
    /// The folder of its files.
    pub data: PathBuf,
    /// The folder of its binary logs.
    pub logs: PathBuf,
    /// The program that copies.
    pub copier: PathBuf,
    /// About how many bytes the files have.
    pub bytes: u64,
}

impl Beside {
    /// Looks at the server and at its files.
    pub fn of(live: &mut Live) -> Result<Self, Error> {
        let refused = |what: String, source| Error::Engine {
            object: session::name_of(&live.login),
            what,
            source,
        };
        if !live.login.is_local() {
            let what = "files of a server are read on its own host, by its socket".to_owned();
            return Err(refused(what, None));
        }
        let copier = live.engine.copier().map_err(|missing| {
            let what = "what copies a server's files is not on this host".to_owned();
            refused(what, Some(Box::new(missing)))
        })?;
        let failed = |error| engine_error(&live.login, error);
        if let Some(what) = obstacle(&mut live.session).map_err(failed)? {
            return Err(refused(what, None));
        }
        let session = &mut live.session;
        let data = PathBuf::from(session.value("SELECT @@datadir").map_err(failed)?);
        let stem = PathBuf::from(session.value("SELECT @@log_bin_basename").map_err(failed)?);
        let logs = stem.parent().unwrap_or(Path::new("/")).to_owned();
        let newest = listed(session).map_err(failed)?.pop();
        let newest = newest.ok_or_else(|| refused("it lists no binary log".to_owned(), None))?;
        let unreadable = |path: &Path, source| {
            let what = format!(
                "its files cannot be read ({}): lifeboat must run on the server's own host, as root or \
                 as the server's user",
                path.display()
            );
            refused(what, Some(Box::new(source)))
        };
        for path in [data.join(PROBE), logs.join(newest)] {
            readable(&path).map_err(|source| unreadable(&path, source))?;
        }
        fs::read_dir(&data).map_err(|source| unreadable(&data, source))?;
        let bytes = bytes(session).map_err(failed)?.max(live.bytes());
        Ok(Self { data, logs, copier, bytes })
    }
}

/// The names of the server's binary logs, oldest first.
pub(super) fn listed(session: &mut Session) -> Result<Vec<String>, session::Error> {
    session.column("SHOW BINARY LOGS")
}

/// Where the binary log stands under a lock; by the session's snapshot.
pub(super) fn position(session: &mut Session) -> Result<Position, session::Error> {
    let told = super::super::lock::position(session)?;
    Position::read(&told).ok_or_else(|| session.unexpected("no position of the binary log"))
}

fn readable(path: &Path) -> io::Result<()> {
    File::open(path).map(drop)
}

/// Why a copy could not be brought to the fingerprint's moment, or not be started in a drill.
fn obstacle(session: &mut Session) -> Result<Option<String>, session::Error> {
    let equal = "so that a copy cannot be brought to the fingerprint's moment";
    if session.value("SELECT @@log_bin")? != "1" {
        return Ok(Some(format!(
            "it writes no binary log, {equal}: set log_bin and binlog_format=ROW in its configuration and \
             start it anew, or leave `method` out, so that it is dumped"
        )));
    }
    let format = session.value("SELECT @@GLOBAL.binlog_format")?;
    if format != "ROW" {
        return Ok(Some(format!(
            "its binlog_format is {format}, which does not repeat every change exactly, {equal}: set \
             binlog_format=ROW in its configuration and by SET GLOBAL, and let its clients connect anew"
        )));
    }
    let status = session.row("SHOW MASTER STATUS")?;
    let filters = status.iter().skip(2).take(2).flatten().any(|filter| !filter.is_empty());
    if filters {
        return Ok(Some(format!(
            "its binary log leaves databases out (binlog-do-db, binlog-ignore-db), {equal}: take the \
             filters out of its configuration, or leave `method` out"
        )));
    }
    let is_encrypted = session.value(
        "SELECT @@encrypt_binlog OR @@aria_encrypt_tables OR @@innodb_encrypt_log
           OR (SELECT COUNT(*) FROM information_schema.INNODB_TABLESPACES_ENCRYPTION
               WHERE ENCRYPTION_SCHEME <> 0) > 0",
    )?;
    if is_encrypted != "0" {
        return Ok(Some(
            "it encrypts tables or logs, whose keys a drill does not have: leave `method` out, so that it \
             is dumped"
                .to_owned(),
        ));
    }
    let elsewhere = session.column(
        "SELECT NAME FROM information_schema.INNODB_SYS_TABLESPACES
         WHERE NAME LIKE '%/%' AND FILENAME NOT LIKE './%' ORDER BY 1 LIMIT 5",
    )?;
    if !elsewhere.is_empty() || session.value("SELECT @@innodb_data_file_path")?.contains('/') {
        return Ok(Some(format!(
            "it keeps tables outside of its data folder (DATA DIRECTORY, innodb_data_file_path), where a \
             drill must not look: {}; move them, or leave `method` out",
            elsewhere.join(", ")
        )));
    }
    Ok(None)
}

/// Bytes of InnoDB's files, those without tables among them.
fn bytes(session: &mut Session) -> Result<u64, session::Error> {
    let told = session.value(
        "SELECT CAST(COALESCE(SUM(FILE_SIZE), 0) AS UNSIGNED) FROM information_schema.INNODB_SYS_TABLESPACES",
    )?;
    told.parse().map_err(|_| session.unexpected("a size that is no number"))
}
