//! Capture: a live database becomes one entry, with the fingerprint of that very moment.
//!
//! In: a path, a sink. Out: a [`Capture`]. The copy is made by SQLite's online backup in one step
//! on the connection that took the fingerprint: with more steps a busy writer restarts it for
//! ever, and on another connection the two would see different moments.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};
use tempfile::TempPath;

use super::super::files::disk;
use super::super::files::owners::Owners;
use super::super::{
    Capture, Context, Entry, EntryKind, Error, Kind, Meta, Open, Sink, Skipped, Stream,
};
use super::asking;
use super::fingerprint::fingerprint;
use super::live::{self, LOCK_LIMIT, Pinned};
use crate::ground::ids::Name;
use crate::ground::process;

/// Captures the database at `path` for the source `name`.
pub(super) fn capture(
    name: &Name,
    path: &Path,
    context: &Context,
    out: &dyn Sink,
) -> Result<Capture, Error> {
    let started = context.clock.now();
    let file_name = path.file_name().ok_or_else(|| Error::Engine {
        object: path.display().to_string(),
        what: "names no file".to_owned(),
        source: None,
    })?;
    let (meta, skipped) = meta(path).map_err(|source| io_error("look at", path, source))?;
    let pinned = Pinned::open(path, context)?;
    let fingerprint = fingerprint(&pinned.connection).map_err(|error| live::engine(path, error))?;
    let answers = asking::answers(&pinned, context)?;
    let staged = stage(path, &pinned, context)?;
    let consistent_time = pinned.time;
    // The application's log can be written back again only once nobody reads its past.
    drop(pinned);
    let bytes = staged.metadata().map_err(|source| io_error("look at", &staged, source))?.len();
    let staged = Arc::new(staged);
    out.put(Entry {
        path: file_name.as_bytes().to_vec(),
        // The file alone is not the database while there is a log beside it.
        meta: Meta { kind: EntryKind::File { size: bytes }, ..meta },
        content: Some(Box::new(Staged(Arc::clone(&staged)))),
    })?;
    if let Some(skipped) = out.settle()?.into_iter().next() {
        // The file is ours and whole: leaving it out would publish a source without its data.
        return Err(io_error("read", &staged, io::Error::other(skipped.reason)));
    }
    Ok(Capture {
        source: name.clone(),
        kind: Kind::Sqlite,
        engine: super::engine_version(),
        host: process::host_name(),
        served: None,
        started,
        consistent_time,
        finished: context.clock.now(),
        entries: 1,
        bytes,
        skipped,
        fingerprint,
        answers,
        cluster: None,
        redis: None,
        server: None,
    })
}

/// Copies what `pinned` sees into a private file, removed when the last holder drops it.
fn stage(path: &Path, pinned: &Pinned, context: &Context) -> Result<TempPath, Error> {
    let folder = &context.staging;
    let space =
        rustix::fs::statvfs(folder).map_err(|error| io_error("look at", folder, error.into()))?;
    if space.f_bavail.saturating_mul(space.f_frsize) < pinned.bytes() {
        let full = io::Error::from(io::ErrorKind::StorageFull);
        return Err(io_error("stage the database's copy in", folder, full));
    }
    // Made with mode 0600.
    let staged = tempfile::Builder::new()
        .prefix("sqlite-")
        .tempfile_in(folder)
        .map_err(|source| io_error("create a file in", folder, source))?
        .into_temp_path();
    copy(pinned, &staged, context).map_err(|failed| match failed {
        CopyFailed::Sql(error) => live::engine(path, error),
        CopyFailed::Other(error) => error,
    })?;
    let bytes = staged.metadata().map_err(|source| io_error("look at", &staged, source))?.len();
    if bytes != pinned.bytes() || pinned.connection.is_autocommit() {
        return Err(Error::Engine {
            object: path.display().to_string(),
            what: format!("the copy has {bytes} bytes where {} were pinned", pinned.bytes()),
            source: None,
        });
    }
    Ok(staged)
}

enum CopyFailed {
    Sql(rusqlite::Error),
    Other(Error),
}

impl From<rusqlite::Error> for CopyFailed {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

fn copy(pinned: &Pinned, staged: &Path, context: &Context) -> Result<(), CopyFailed> {
    let mut target = Connection::open_with_flags(
        staged,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    // A crash leaves rubbish in any case; a journal would only double the writing.
    target.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF")?;
    let deadline = Instant::now() + LOCK_LIMIT;
    let backup = Backup::new(&pinned.connection, &mut target)?;
    loop {
        match backup.step(-1)? {
            StepResult::Done => return Ok(()),
            _ if Instant::now() >= deadline => {
                return Err(CopyFailed::Other(Error::Engine {
                    object: staged.display().to_string(),
                    what: format!("could not be written for {} s", LOCK_LIMIT.as_secs()),
                    source: None,
                }));
            }
            _ => {
                context.check_interrupted().map_err(CopyFailed::Other)?;
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

/// The original's metadata, and the attributes that could not be read.
fn meta(path: &Path) -> io::Result<(Meta, Vec<Skipped>)> {
    // The policy may name a link: what it leads to is the database.
    let real = path.canonicalize()?;
    let (Some(folder), Some(name)) = (real.parent(), real.file_name()) else {
        return Err(io::ErrorKind::IsADirectory.into());
    };
    let folder = disk::reach_path(folder)?;
    let name = disk::c_name(name.as_bytes())?;
    let stat = disk::stat(&folder, &name)?;
    let mut meta = disk::meta(&folder, &name, &stat, &Owners::of_this_host())?;
    // Other names of the original are not captured with it.
    meta.links = 1;
    let (read, unread) = disk::xattrs(&folder, &name)?;
    meta.xattrs = read;
    let skipped = unread.into_iter().map(|(attribute, error)| {
        let attribute = String::from_utf8_lossy(&attribute);
        let reason = format!("attribute {attribute} cannot be read: {error}");
        Skipped { path: path.display().to_string(), reason }
    });
    Ok((meta, skipped.collect()))
}

/// The staged copy; keeps it until it is read.
struct Staged(Arc<TempPath>);

impl Open for Staged {
    fn open(self: Box<Self>) -> io::Result<Box<dyn Stream>> {
        Ok(Box::new(Copied(File::open(&*self.0)?)))
    }
}

struct Copied(File);

impl Read for Copied {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Stream for Copied {
    fn finish(self: Box<Self>) -> io::Result<Option<String>> {
        Ok(None)
    }
}

fn io_error(action: &'static str, object: &Path, source: io::Error) -> Error {
    Error::Io { action, object: object.display().to_string(), source }
}
