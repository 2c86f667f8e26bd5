//! The way back: dumps become a scratch server, in a cage of its own.
//!
//! In: the capture's [`Server`](super::Server), and later the folder a snapshot's source came out to.
//! Out: a [`Recovered`]. Dumps are hostile code until proven otherwise: server and clients run caged,
//! the client may run no program and read no file, and whatever the load complains of is trouble. The
//! server is made before the dumps are there, so that it takes no time.

pub(super) mod ask;
mod check;
pub(super) mod complaint;
mod injure;
mod laid;
mod recovered;
mod scratch;
mod settings;
mod totals;

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::lent::{self, Lent};
use super::super::{Capture, Ready, Recovered, Trouble};
use super::engine::{Engines, Missing};
use super::{GRANTS, Server, VIEWS, file_of, session};
use crate::ground::ids::Name;
use crate::ground::size::ByteSize;
use crate::sandbox::{self, Bounds, Cage, Scratch};
use laid::Laid;
use recovered::Restored;
use scratch::ScratchServer;

/// What a new server has written, its undo and redo logs among it.
const NEW_SERVER_BYTES: u64 = 200 << 20;

/// What it writes beside its databases and its redo log afterwards, at least.
const OWN_BYTES: u64 = 64 << 20;

/// The least and the most of a redo log: a load waits for pages wherever it is full.
const REDO_LOG_BYTES: (u64, u64) = (64 << 20, 1 << 30);

/// Slower than this, a load has got stuck.
const SLOWEST_BYTES_PER_SECOND: u64 = 256 << 10;

/// Processes of server and client at once, and their threads.
const PROCESSES: u32 = 200;

/// The least a server is given to work with.
const LEAST_MEMORY_BYTES: u64 = 2 << 30;

/// Room that InnoDB's files have to grow beyond what was captured.
const FILE_BYTES: u64 = 4 << 30;

/// Why dumps could not be brought up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("the capture does not tell what its server was like")]
    NoServer,
    #[error("the server's files are missing")]
    NoFiles,
    #[error(
        "the scratch folder has {} free, and about {} are needed: [scratch] dir in the site file \
         may name another disk",
        ByteSize(*free), ByteSize(*needed)
    )]
    NoSpace { needed: u64, free: u64 },
    #[error(transparent)]
    Engine(#[from] Missing),
    #[error("{program} failed on {what_of} ({how}): {what}")]
    Program { program: String, what_of: String, how: String, what: String },
    #[error("the scratch server did not start ({how}): {what}")]
    NotStarted { how: String, what: String },
    #[error("{0}")]
    Query(&'static str),
    #[error("the query failed: {what} (error {number})")]
    Refused { number: u16, what: String },
    #[error(transparent)]
    Session(#[from] session::Error),
    #[error(transparent)]
    Sandbox(#[from] sandbox::Error),
}

/// The data is at fault.
fn data(error: impl Into<Error>) -> Trouble {
    Trouble::Data(Box::new(error.into()))
}

/// This host is at fault, and nothing is known of the data.
fn environment(error: impl Into<Error>) -> Trouble {
    match error.into() {
        // The sandbox's own errors tell a time-out from a crash.
        Error::Sandbox(error) => Trouble::Environment(Box::new(error)),
        error => Trouble::Environment(Box::new(error)),
    }
}

/// Whose fault it is that a server gave no answer.
fn of_session(error: session::Error) -> Trouble {
    let session::Error::Refused { number, message, .. } = &error else { return environment(error) };
    if complaint::is_of_the_host(*number, message) { environment(error) } else { data(error) }
}

/// Makes and starts a server for what was captured; blocking, on a thread that tokio's runtime knows.
pub(super) fn prepare(
    engines: &Engines,
    name: &Name,
    capture: &Capture,
    scratch: &Scratch,
) -> Result<Box<dyn Ready>, Trouble> {
    let source = capture.server.clone().ok_or_else(|| environment(Error::NoServer))?;
    let engine = engines.find(source.product, &source.series).map_err(environment)?;
    let copier = source.copy.as_ref().map(|_| engine.copier()).transpose().map_err(environment)?;
    leave_room(&source, capture.bytes, NEW_SERVER_BYTES, scratch)?;
    let kind = source.product.kind();
    let room = scratch.dir().join(format!("{kind}-{name}-{}", uuid::Uuid::new_v4()));
    lent::make_folder(&room, scratch)?;
    let bounds = bounds(&source, capture.bytes);
    let cage = Cage::raise(scratch, &room, &engine.folders(), bounds).map_err(environment)?;
    if let (Some(copier), Some(copy)) = (copier, source.copy.clone()) {
        return Ok(Box::new(Laid { room, cage, engine, copier, source, copy }));
    }
    let server = ScratchServer::create(engine, cage, &source, &room, scratch)?;
    server.rest();
    Ok(Box::new(Prepared { room, server, source }))
}

/// A server that holds nothing of the customer's yet.
struct Prepared {
    /// All of the scratch that the server sees.
    room: PathBuf,
    server: ScratchServer,
    source: Server,
}

impl Ready for Prepared {
    fn recover(
        self: Box<Self>,
        data: &Path,
        scratch: &Scratch,
    ) -> Result<Box<dyn Recovered>, Trouble> {
        let Self { room, server, source } = *self;
        server.work();
        let dumps = room.join("dumps");
        lent::make_folder(&dumps, scratch)?;
        let mut lent = Lent::default();
        let mut lend = |name: &str, to: &str| {
            let to = dumps.join(to);
            lent.link(data, name, &to).map(|()| to)
        };
        let grants = lend(GRANTS, "grants.sql")?;
        let mut files = Vec::new();
        for (number, database) in source.databases.iter().enumerate() {
            // Databases' names may be longer than a file's, and hold anything.
            files.push((
                database.name.clone(),
                lend(&file_of(&database.name), &number.to_string())?,
            ));
        }
        if source.has_views {
            files.push((VIEWS.to_owned(), lend(VIEWS, "views.sql")?));
        }
        scratch.hand_over(&dumps).map_err(environment)?;
        // The dumps themselves are written since it was asked first.
        leave_room(&source, lent.bytes(), 0, scratch)?;
        // Views and routines name accounts, grants name tables: what fails now is done afterwards.
        server.load(GRANTS, &grants, true)?;
        for (name, file) in &files {
            server.load(name, file, false)?;
        }
        server.load(GRANTS, &grants, false)?;
        lent.take_back()?;
        // Whatever a dump said of it.
        let off = server.session()?.run("SET GLOBAL event_scheduler = OFF");
        off.map_err(of_session)?;
        Ok(Box::new(Restored::new(server, source)))
    }
}

/// What a server writes until `dumped` bytes of dumps are loaded, or files are started, beside them.
pub(in crate::source) fn bytes(source: &Server, dumped: u64) -> u64 {
    needed(source, dumped, NEW_SERVER_BYTES)
}

fn needed(source: &Server, dumped: u64, besides: u64) -> u64 {
    if let Some(copy) = &source.copy {
        // The copy that is started, and what its redo log and the binary log make of it.
        let copied = copy.bytes.saturating_add(copy.bytes / 4);
        return copied.saturating_add(redo_log_bytes(source) + OWN_BYTES);
    }
    let live = source.bytes().max(dumped).saturating_add(dumped / 4);
    live.saturating_add(redo_log_bytes(source) + OWN_BYTES + besides)
}

/// Fails where `dumped` bytes of dumps cannot be loaded, and so much else be written.
fn leave_room(
    source: &Server,
    dumped: u64,
    besides: u64,
    scratch: &Scratch,
) -> Result<(), Trouble> {
    let needed = needed(source, dumped, besides);
    let free = scratch.free_bytes().map_err(environment)?;
    if free < needed { Err(environment(Error::NoSpace { needed, free })) } else { Ok(()) }
}

/// The size of the scratch server's redo log.
fn redo_log_bytes(source: &Server) -> u64 {
    let (least, most) = REDO_LOG_BYTES;
    if source.copy.is_some() {
        // Nothing is loaded.
        return least;
    }
    (source.bytes() / 2).clamp(least, most)
}

fn bounds(source: &Server, dumped: u64) -> Bounds {
    let live = source.bytes().max(dumped);
    Bounds {
        memory_bytes: Bounds::most_memory(LEAST_MEMORY_BYTES),
        processes: PROCESSES,
        file_bytes: live.saturating_mul(2).saturating_add(FILE_BYTES),
        wall: Duration::from_secs(3600 + live / SLOWEST_BYTES_PER_SECOND),
    }
}
