//! The way back: a data set becomes a scratch server, in a cage of its own.
//!
//! In: what a capture says of its server, and later the folder a snapshot's source came out to. Out: a
//! [`Recovered`]. A data set is hostile code until proven otherwise: the server that loads it runs
//! caged, looks at every value while it loads it, and obeys no configuration but ours.

mod ask;
mod file;
mod injure;
mod restored;
mod server;
mod words;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::{Capture, Ready, Recovered, Trouble};
use super::engine::{Engine, Missing};
use super::{FILE, Taken, memory, rdb, session};
use crate::ground::ids::Name;
use crate::ground::size::ByteSize;
use crate::sandbox::{self, Bounds, Cage, Scratch};
use crate::source::lent::{Lent, make_folder};
use restored::Restored;
use server::Server;

/// What is written beside the data set that the scratch server writes again.
const OWN_BYTES: u64 = 16 << 20;

/// Slower than this, a server that loads or writes has got stuck.
const SLOWEST_BYTES_PER_SECOND: u64 = 1 << 20;

/// Threads of the server and the programs that check.
const PROCESSES: u32 = 40;

/// The least a server is given to work with.
const LEAST_MEMORY_BYTES: u64 = 1 << 30;

/// Why a data set could not be brought up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("cannot {action} {}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("the capture does not tell what its server was like")]
    Untold,
    #[error(
        "the scratch folder has {} free, and about {} are needed: [scratch] dir in the site file \
         may name another disk",
        ByteSize(*free), ByteSize(*needed)
    )]
    NoSpace { needed: u64, free: u64 },
    #[error("the server took {} of memory, and this host has {} free", ByteSize(*needed), ByteSize(*free))]
    NoMemory { needed: u64, free: u64 },
    #[error(transparent)]
    Engine(#[from] Missing),
    #[error("the scratch server did not start on it ({how}): {what}")]
    NotStarted { how: String, what: String },
    #[error("redis-check-rdb was ended ({how})")]
    NotChecked { how: String },
    #[error("what the scratch server holds cannot be read")]
    Unreadable(#[from] rdb::Damaged),
    #[error("{0}")]
    Query(&'static str),
    #[error("the query failed: {said}")]
    Refused { said: String },
    #[error(transparent)]
    Session(#[from] session::Error),
    #[error(transparent)]
    Sandbox(#[from] sandbox::Error),
}

impl Error {
    fn io(action: &'static str, path: impl Into<PathBuf>, source: impl Into<io::Error>) -> Self {
        Self::Io { action, path: path.into(), source: source.into() }
    }
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

/// Looks whether this host can start a server on what was captured, and puts up its walls; blocking.
pub(super) fn prepare(
    name: &Name,
    capture: &Capture,
    scratch: &Scratch,
) -> Result<Box<dyn Ready>, Trouble> {
    let taken = capture.redis.clone().ok_or_else(|| environment(Error::Untold))?;
    let engine = Engine::find().map_err(environment)?;
    if let Some(why) = engine.is_too_old_for(&taken.version) {
        return Err(environment(Missing::TooOld(why)));
    }
    let (needed, free) = (taken.used_bytes, memory::available().unwrap_or(u64::MAX));
    if needed > free {
        return Err(environment(Error::NoMemory { needed, free }));
    }
    let room = scratch.dir().join(format!("redis-{name}-{}", uuid::Uuid::new_v4()));
    make_folder(&room, scratch)?;
    let patience = patience(capture.bytes.max(taken.used_bytes));
    let cage = Cage::raise(scratch, &room, &[], bounds(capture.bytes, patience));
    let cage = cage.map_err(environment)?;
    Ok(Box::new(Prepared { room, cage, engine, taken, patience }))
}

/// Walls in which nothing runs yet.
struct Prepared {
    /// All of the scratch that the server sees.
    room: PathBuf,
    cage: Cage,
    engine: Engine,
    taken: Taken,
    patience: Duration,
}

impl Ready for Prepared {
    fn recover(
        self: Box<Self>,
        data: &Path,
        scratch: &Scratch,
    ) -> Result<Box<dyn Recovered>, Trouble> {
        let Self { room, cage, engine, taken, patience } = *self;
        let mut lent = Lent::default();
        let file = room.join(FILE);
        lent.link(data, FILE, &file)?;
        scratch.lend(&file).map_err(environment)?;
        let needed = bytes(lent.bytes());
        let free = scratch.free_bytes().map_err(environment)?;
        if free < needed {
            return Err(environment(Error::NoSpace { needed, free }));
        }
        let server = Server::start(engine, cage, &room, &taken, patience, scratch)?;
        lent.take_back()?;
        Ok(Box::new(Restored::new(server, room)))
    }
}

/// What a server writes to load a data set of `dumped` bytes and to write it once more.
pub(in crate::source) fn bytes(dumped: u64) -> u64 {
    dumped.saturating_mul(2).saturating_add(OWN_BYTES)
}

/// How long loading or writing so much may take.
fn patience(bytes: u64) -> Duration {
    Duration::from_secs(30 + bytes / SLOWEST_BYTES_PER_SECOND)
}

fn bounds(bytes: u64, patience: Duration) -> Bounds {
    Bounds {
        memory_bytes: Bounds::most_memory(LEAST_MEMORY_BYTES),
        processes: PROCESSES,
        // It writes what it was given once more, less well packed.
        file_bytes: bytes.saturating_mul(16).saturating_add(1 << 30),
        // Checks of the owner's come on top.
        wall: patience.saturating_mul(16).saturating_add(Duration::from_secs(3600)),
    }
}
