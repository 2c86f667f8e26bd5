//! The parent's side of a restored database: questions to the confined child that holds it.
//!
//! In: the folder a snapshot's source came out to. Out: a [`Recovered`]. This process never opens
//! the file; it links it into a folder of the child's own and takes replies as a stranger's.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};

use super::super::{Access, Checked, Fault, Fingerprint, Place, Recovered, Rows, Total, Trouble};
use super::child::ROLE;
use super::protocol::{self, Reply, Request};
use super::totals;
use crate::ground::ids::Name;
use crate::sandbox::{Confined, Launcher, Limits, Scratch};

/// What the child may take beyond a query's limit before it is taken for dead.
const GRACE: Duration = Duration::from_secs(30);

/// Enough for the page cache, a row of the greatest length twice, and the longest reply.
const MEMORY_BYTES: u64 = 3 << 30;

/// Slower than this, reading a database has got stuck.
const SLOWEST_BYTES_PER_SECOND: u64 = 2 << 20;

/// The name under which the child knows the database, whatever it was called.
const FILE: &str = "database";

/// The file beside it that a table is written to.
const TABLE: &str = "table.sql";

/// Why a restored database could not be brought up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("cannot {action} {}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("{} should hold one database file and holds {found}", folder.display())]
    NotOneFile { folder: PathBuf, found: String },
    #[error("the confined child answered with {what}")]
    Reply { what: &'static str },
}

/// A restored database in its confined child.
struct Database {
    child: Confined,
    /// The folder that the file was linked into.
    folder: PathBuf,
    /// How long reading all of it may take.
    patience: Duration,
}

/// Brings up the one database file in `data`; blocking.
///
/// As root, the file's owner becomes the child's user.
pub(super) fn recover(
    launcher: &Launcher,
    source: &Name,
    data: &Path,
    scratch: &Scratch,
) -> Result<Box<dyn Recovered>, Trouble> {
    let (database, _) = bring_up(launcher, source, data, scratch)?;
    Ok(Box::new(database))
}

/// Writes the table `name` of the database file in `data` as SQL; answers how many rows came out, by
/// what is seen to pass here.
pub(in super::super) fn table(
    launcher: &Launcher,
    source: &Name,
    data: &Path,
    scratch: &Scratch,
    name: &str,
    out: &mut dyn Write,
) -> Result<u64, Trouble> {
    let (mut database, folder) = bring_up(launcher, source, data, scratch)?;
    let request = Request::Table { name: name.to_owned(), path: format!("{folder}/{TABLE}") };
    let Reply::Written { rows } = database.ask(&request, database.patience)? else {
        return Err(unexpected());
    };
    let path = scratch.dir().join(folder).join(TABLE);
    let passed = pass_on(&path, out);
    let passed = passed.map_err(|source| {
        environment(Error::Io { action: "take over", path: path.clone(), source })
    })?;
    Box::new(database).stop()?;
    if passed == rows { Ok(rows) } else { Err(unexpected()) }
}

/// Copies what the child wrote; answers how many rows are in it.
fn pass_on(path: &Path, out: &mut dyn Write) -> io::Result<u64> {
    // The child may have put a link to anything in its place.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = fs::File::from(rustix::fs::open(path, flags, Mode::empty())?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut lines = BufReader::new(file);
    let (mut line, mut rows, mut among_rows) = (Vec::new(), 0, false);
    while lines.read_until(b'\n', &mut line)? > 0 {
        let bare = line.strip_suffix(b"\n").unwrap_or(&line);
        match bare {
            _ if bare == super::table::ROWS.as_bytes() => among_rows = true,
            _ if bare == super::table::END.as_bytes() => among_rows = false,
            _ => rows += u64::from(among_rows && bare.starts_with(b"INSERT INTO ")),
        }
        out.write_all(&line)?;
        line.clear();
    }
    Ok(rows)
}

/// The database in its child, and the child's own folder in the scratch.
fn bring_up(
    launcher: &Launcher,
    source: &Name,
    data: &Path,
    scratch: &Scratch,
) -> Result<(Database, String), Trouble> {
    let (file, bytes) = the_one_file(data)?;
    // A control brings a copy up beside what its own drill judged.
    let folder = format!("sqlite-{source}-{}", uuid::Uuid::new_v4());
    let own = scratch.dir().join(&folder);
    let failed = |action, path: &Path, source| {
        environment(Error::Io { action, path: path.to_owned(), source })
    };
    DirBuilder::new().mode(0o700).create(&own).map_err(|error| failed("create", &own, error))?;
    let linked = own.join(FILE);
    // A link, not a copy: what is judged is the very file that was restored.
    if fs::hard_link(&file, &linked).is_err() {
        fs::copy(&file, &linked).map_err(|error| failed("copy", &file, error))?;
    }
    // The child's user must read it whatever rights it had; once it is open they are put back, for
    // what was restored is still to be compared with what was captured.
    // By the open file: under the name the child may by then have put a link to anything.
    let held =
        rustix::fs::open(&linked, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
            .map(fs::File::from)
            .map_err(|error| failed("open", &linked, error.into()))?;
    let rights = held.metadata().map_err(|error| failed("look at", &linked, error))?;
    let by_number = format!("/proc/self/fd/{}", held.as_raw_fd());
    let prepared = |rights| {
        fs::set_permissions(&by_number, rights).map_err(|error| failed("prepare", &linked, error))
    };
    prepared(Permissions::from_mode(0o600))?;
    scratch.hand_over(&own).map_err(environment)?;
    let patience = Duration::from_secs(600 + bytes / SLOWEST_BYTES_PER_SECOND);
    let limits = Limits {
        memory_bytes: MEMORY_BYTES,
        cpu_seconds: patience.as_secs().saturating_mul(8),
        // Journals of injuries, and what sorting spills.
        file_bytes: bytes.saturating_mul(2).saturating_add(1 << 30),
        wall: patience.saturating_mul(16),
    };
    let child = Confined::spawn(launcher, ROLE, scratch, limits).map_err(environment)?;
    let mut database = Database { child, folder: own.clone(), patience };
    let path = format!("{folder}/{FILE}");
    match database.ask(&Request::Open { path }, patience)? {
        Reply::Opened => {
            prepared(rights.permissions())?;
            Ok((database, folder))
        }
        _ => Err(unexpected()),
    }
}

/// The only entry of `data`, which must be a regular file, and its length.
fn the_one_file(data: &Path) -> Result<(PathBuf, u64), Trouble> {
    let not_one =
        |found: String| Trouble::Data(Error::NotOneFile { folder: data.to_owned(), found }.into());
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => not_one("nothing".to_owned()),
        _ => environment(Error::Io { action: "read", path: data.to_owned(), source }),
    };
    let entries = fs::read_dir(data).map_err(failed)?;
    let entries = entries.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    let [entry] = &entries[..] else {
        return Err(not_one(format!("{} entries", entries.len())));
    };
    // Does not follow links.
    let found = entry.metadata().map_err(failed)?;
    if !found.is_file() {
        return Err(not_one("something that is no regular file".to_owned()));
    }
    Ok((entry.path(), found.len()))
}

fn environment(error: impl std::error::Error + Send + Sync + 'static) -> Trouble {
    Trouble::Environment(Box::new(error))
}

fn unexpected() -> Trouble {
    environment(Error::Reply { what: "something else than was asked" })
}

impl Database {
    fn ask(&mut self, request: &Request, limit: Duration) -> Result<Reply, Trouble> {
        let line = serde_json::to_string(request).map_err(environment)?;
        let reply = self.child.ask(&line, limit).map_err(environment)?;
        match serde_json::from_str(&reply) {
            Ok(Reply::Failed(failure)) if failure.data => Err(Trouble::Data(Box::new(failure))),
            Ok(Reply::Failed(failure)) => Err(environment(failure)),
            Ok(reply) => Ok(reply),
            Err(_) => Err(environment(Error::Reply { what: "what is no reply" })),
        }
    }
}

impl Recovered for Database {
    fn self_check(&mut self) -> Result<Checked, Trouble> {
        match self.ask(&Request::SelfCheck, self.patience)? {
            Reply::Checked { compared, problems } => Ok(protocol::checked(compared, problems)),
            _ => Err(unexpected()),
        }
    }

    fn fingerprint(&mut self) -> Result<Fingerprint, Trouble> {
        match self.ask(&Request::Fingerprint, self.patience)? {
            Reply::Fingerprint(fingerprint) => Ok(fingerprint),
            _ => Err(unexpected()),
        }
    }

    fn first_answer(&mut self) -> Result<(), Trouble> {
        self.query(None, "SELECT count(*) FROM sqlite_schema", self.patience).map(drop)
    }

    fn query(&mut self, _: Option<&str>, sql: &str, limit: Duration) -> Result<Rows, Trouble> {
        let limit_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        let request = Request::Query { sql: sql.to_owned(), limit_ms };
        match self.ask(&request, limit.saturating_add(GRACE))? {
            Reply::Rows { columns, rows } => {
                protocol::rows(columns, rows).map_err(|_| unexpected())
            }
            _ => Err(unexpected()),
        }
    }

    fn totals(&mut self, captured: &Fingerprint) -> Result<Vec<Total>, Trouble> {
        let patience = self.patience;
        totals::of(self, captured, patience)
    }

    fn files(&self) -> Option<&Path> {
        None
    }

    fn access(&mut self, _: &Scratch) -> Result<Option<Access>, Trouble> {
        Ok(Some(Access {
            folder: self.folder.clone(),
            paths: vec![("FILE", FILE.into())],
            words: Vec::new(),
        }))
    }

    fn injure(&mut self, fault: Fault) -> Result<Option<Place>, Trouble> {
        match self.ask(&Request::Injure { fault }, self.patience)? {
            Reply::Injured(place) => Ok(place),
            _ => Err(unexpected()),
        }
    }

    fn confinement(&self) -> Option<String> {
        Some(self.child.confinement().to_string())
    }

    fn stop(self: Box<Self>) -> Result<(), Trouble> {
        self.child.end().map_err(environment)
    }
}
