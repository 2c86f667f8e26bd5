//! The way back: dumps become a scratch server, in a cage of its own.
//!
//! In: the capture's [`Cluster`], and later the folder a snapshot's source came out to. Out: a
//! [`Recovered`]. Dumps are hostile code until proven otherwise: server and clients run caged, and
//! whatever the restore complains of is trouble. The server is made, and what this host lacks is
//! told, before the dumps are there, so that it takes no time and is not held against the data.

mod amcheck;
mod ask;
mod beginnings;
mod complaint;
mod dumps;
mod findings;
mod injure;
mod needs;
mod recovered;
mod server;
mod totals;
pub(super) mod values;

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::{Capture, Place, Ready, Recovered, Trouble};
use super::engine::{Engines, Missing};
use super::names::readable;
use super::{Cluster, session};
use crate::ground::ids::Name;
use crate::ground::size::ByteSize;
use crate::sandbox::{self, Bounds, Cage, Scratch};
use crate::source::lent::make_folder;
pub(super) use beginnings::Dropped;
pub(super) use complaint::without_rows;
use dumps::Dumps;
use recovered::Restored;
use server::Server;

/// What a new server has written.
const NEW_SERVER_BYTES: u64 = 80 << 20;

/// What it writes beside its databases afterwards, at least.
const OWN_BYTES: u64 = 112 << 20;

/// Slower than this, a restore has got stuck.
const SLOWEST_BYTES_PER_SECOND: u64 = 256 << 10;

/// Processes of server and clients at once.
const PROCESSES: u32 = 120;

/// The least a server with its workers is given to work with.
const LEAST_MEMORY_BYTES: u64 = 2 << 30;

/// A server's files are cut at 1 GiB each.
const FILE_BYTES: u64 = (1 << 30) + (64 << 20);

/// Why dumps could not be brought up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("the capture does not tell what its server was like")]
    NoCluster,
    #[error(
        "the recovery point is of PostgreSQL {captured} already, and the upgrade to {onto} cannot be \
         rehearsed with it"
    )]
    NotNewer { onto: u32, captured: u32 },
    #[error(
        "the scratch folder has {} free, and about {} are needed: [scratch] dir in the site file \
         may name another disk",
        ByteSize(*free), ByteSize(*needed)
    )]
    NoSpace { needed: u64, free: u64 },
    #[error(transparent)]
    Engine(#[from] Missing),
    #[error(
        "the extension {name} {version} of database {database:?} is not on this host ({found}): \
         install its package for PostgreSQL {major}, or where the source's is the older one, update it \
         there (ALTER EXTENSION … UPDATE)"
    )]
    Extension { database: String, name: String, version: String, found: String, major: u32 },
    #[error(
        "database {database:?} cannot be made on this host: {what}; its locale must be installed \
         (locale-gen)"
    )]
    Locale { database: String, what: String },
    #[error("{program} failed ({how}): {what}")]
    Program { program: String, how: String, what: String },
    #[error("the scratch server did not start ({how}): {what}")]
    NotStarted { how: String, what: String },
    #[error("{0}")]
    Query(&'static str),
    #[error("the query failed: {what} (SQLSTATE {code})")]
    Refused { code: String, what: String },
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
    let session::Error::Refused { code, .. } = &error else { return environment(error) };
    // Resources, operator's doings, the system around the server, what its build lacks.
    match code.get(..2) {
        Some("53" | "57" | "58" | "08" | "0A") | None => environment(error),
        Some(_) => data(error),
    }
}

/// Makes and starts a server for what was captured, of its own major version or `onto` a newer one, and tries what that needs of this host;
/// blocking, on a thread that tokio's runtime knows.
pub fn prepare(
    engines: &Engines,
    name: &Name,
    capture: &Capture,
    onto: Option<u32>,
    scratch: &Scratch,
) -> Result<Box<dyn Ready>, Trouble> {
    let cluster = capture.cluster.clone().ok_or_else(|| environment(Error::NoCluster))?;
    let major = match onto {
        Some(onto) if onto <= cluster.major => {
            return Err(environment(Error::NotNewer { onto, captured: cluster.major }));
        }
        onto => onto.unwrap_or(cluster.major),
    };
    let engine = engines.find(major).map_err(environment)?;
    leave_room(&cluster, capture.bytes, NEW_SERVER_BYTES, scratch)?;
    let room = scratch.dir().join(format!("postgres-{name}-{}", uuid::Uuid::new_v4()));
    make_folder(&room, scratch)?;
    let bounds = bounds(&cluster, capture.bytes);
    let cage = Cage::raise(scratch, &room, engine.folders(), bounds).map_err(environment)?;
    let server = Server::create(engine, cage, &cluster, &room, scratch)?;
    needs::check(&server, &cluster).map_err(environment)?;
    server.rest();
    let dropped = Dropped::of(capture);
    Ok(Box::new(Prepared { room, server, cluster, dropped }))
}

/// A server that holds nothing of the customer's yet.
struct Prepared {
    /// All of the scratch that the server sees.
    room: PathBuf,
    server: Server,
    cluster: Cluster,
    dropped: Dropped,
}

impl Ready for Prepared {
    fn recover(
        self: Box<Self>,
        data: &Path,
        scratch: &Scratch,
    ) -> Result<Box<dyn Recovered>, Trouble> {
        let Self { room, server, cluster, dropped } = *self;
        server.work();
        let dumps = Dumps::lend(data, &room, &cluster, scratch)?;
        // The dumps themselves are written since it was asked first.
        leave_room(&cluster, dumps.bytes(), 0, scratch)?;
        server.load_globals(dumps.globals())?;
        for (database, dump) in dumps.databases(&cluster) {
            server.load(database, dump)?;
        }
        dumps.take_back()?;
        Ok(Box::new(Restored::new(server, cluster, dropped)))
    }
}

/// What a new server writes until `dumped` bytes of dumps are loaded, beside them.
pub(in crate::source) fn bytes(cluster: &Cluster, dumped: u64) -> u64 {
    needed(cluster, dumped, NEW_SERVER_BYTES)
}

fn needed(cluster: &Cluster, dumped: u64, besides: u64) -> u64 {
    let live: u64 = cluster.databases.iter().map(|database| database.bytes).sum();
    // The dump lacks indexes, the live size has room that a fresh copy does not need.
    live.max(dumped).saturating_add(dumped / 4).saturating_add(OWN_BYTES + besides)
}

/// Fails where `dumped` bytes of dumps cannot be loaded, and so much else be written.
fn leave_room(
    cluster: &Cluster,
    dumped: u64,
    besides: u64,
    scratch: &Scratch,
) -> Result<(), Trouble> {
    let needed = needed(cluster, dumped, besides);
    let free = scratch.free_bytes().map_err(environment)?;
    if free < needed { Err(environment(Error::NoSpace { needed, free })) } else { Ok(()) }
}

fn bounds(cluster: &Cluster, dumped: u64) -> Bounds {
    let live: u64 = cluster.databases.iter().map(|database| database.bytes).sum();
    let patience = 3600 + live.max(dumped) / SLOWEST_BYTES_PER_SECOND;
    Bounds {
        memory_bytes: Bounds::most_memory(LEAST_MEMORY_BYTES),
        processes: PROCESSES,
        file_bytes: FILE_BYTES,
        wall: Duration::from_secs(patience),
    }
}
