//! Sources: one folder per kind, both directions (design §8).
//!
//! A source *captures* a consistent stream out of a live system, *recovers* it from restored data,
//! and *fingerprints* both sides alike. Blocking code on threads. Knows no repository: `backup`
//! turns [`Entry`]s into nodes.

mod access;
mod capture;
pub mod command;
mod entries;
mod entry;
pub mod files;
mod gap;
mod grants;
mod kind;
mod lent;
mod login;
pub mod manifest;
pub mod mysql;
pub mod postgres;
mod question;
mod recovered;
pub mod redis;
mod rows;
mod running;
mod served;
pub mod sqlite;
mod streamed;
pub mod sum;
mod table;
pub mod target;
mod total;
mod within;

pub use access::Access;
pub use capture::{Capture, Fingerprint, Part};
pub use entry::{Entry, EntryKind, Meta, Open, Sink, Skipped, Stream};
pub use gap::{Gap, GapKind};
pub use grants::Grants;
pub use kind::Kind;
pub use question::{Answer, Answered, Question};
pub use recovered::{Checked, Fault, Place, Recovered, Trouble};
pub use rows::{Cell, Rows};
pub use running::Error as RunningError;
pub use served::{PassedOver, Role, Served};
pub use table::{NoTable, NotWhole, Table};
pub use total::Total;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use crate::ground::clock::Clock;
use crate::ground::progress::Progress;
use crate::policy::candidates::Servers;
use crate::policy::sources::{ServerSettings, SourceKind, SourceSettings};
use crate::sandbox::{Launcher, Scratch};

/// What every call on a source gets from its caller.
pub struct Context {
    pub clock: Arc<dyn Clock>,
    pub progress: Arc<dyn Progress>,
    /// A private folder on the source's host for what must be staged, e.g. SQLite's copy.
    pub staging: PathBuf,
    /// Set when the run was interrupted; long loops look at it and end with [`Error::Interrupted`].
    pub interrupted: Arc<AtomicBool>,
    /// What the policy's drills ask of the captured moment.
    pub questions: Vec<Question>,
}

impl Context {
    /// Fails once the run was interrupted.
    pub fn check_interrupted(&self) -> Result<(), Error> {
        if self.interrupted.load(Ordering::Relaxed) { Err(Error::Interrupted) } else { Ok(()) }
    }
}

/// Why a source could not be captured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("cannot {action} {object}")]
    Io { action: &'static str, object: String, source: io::Error },
    /// The engine or its data said no.
    #[error("{object}: {what}")]
    Engine {
        object: String,
        what: String,
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    #[error("interrupted")]
    Interrupted,
    /// The sink, that is the repository or its store, failed: never a fault of one item.
    #[error("the repository could not take {entry}")]
    Sink { entry: String, source: Box<dyn std::error::Error + Send + Sync> },
}

/// What [`Source::probe`] found out without capturing anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Engine and version, e.g. `SQLite 3.51.3`; empty for files.
    pub engine: String,
    /// About how many bytes a scratch copy will need.
    pub scratch_bytes: u64,
    /// What will be left out or is doubtful, for `doctor` to show, each with what to do.
    pub warnings: Vec<String>,
}

/// What this host has for sources to work with.
#[derive(Debug, Clone)]
pub struct Host {
    /// Starts what opens restored data.
    pub launcher: Launcher,
    pub postgres: postgres::Engines,
    pub mysql: mysql::Engines,
}

/// The source that a policy's settings declare.
pub fn of(settings: &SourceSettings, host: &Host) -> Box<dyn Source> {
    let name = settings.name.clone();
    match &settings.kind {
        SourceKind::Files(files) => Box::new(files::Files::new(name, files.clone())),
        SourceKind::Sqlite(sqlite) => {
            Box::new(sqlite::Sqlite::new(name, sqlite.clone()).launched_by(host.launcher.clone()))
        }
        SourceKind::Postgres(server) => {
            Box::new(postgres::Postgres::new(name, server.clone(), host.postgres.clone()))
        }
        SourceKind::Mariadb(servers) => mysql_of(settings, mysql::Product::Mariadb, servers, host),
        SourceKind::MariadbFiles(server) => {
            Box::new(mysql::Mysql::by_files(name, server.clone(), host.mysql.clone()))
        }
        SourceKind::Mysql(servers) => mysql_of(settings, mysql::Product::Mysql, servers, host),
        SourceKind::Redis(server) => Box::new(redis::Redis::new(name, server.clone())),
        SourceKind::Command(programs) => Box::new(command::Command::new(name, programs.clone())),
    }
}

/// The same, recovered on a newer major version than it was captured on; none of a kind that cannot.
pub fn upgraded(settings: &SourceSettings, major: u32, host: &Host) -> Option<Box<dyn Source>> {
    let SourceKind::Postgres(servers) = &settings.kind else { return None };
    let name = settings.name.clone();
    let source = postgres::Postgres::new(name, servers.clone(), host.postgres.clone());
    Some(Box::new(source.onto(major)))
}

fn mysql_of(
    settings: &SourceSettings,
    product: mysql::Product,
    servers: &Servers<ServerSettings>,
    host: &Host,
) -> Box<dyn Source> {
    let name = settings.name.clone();
    let source = mysql::Mysql::new(name, product, servers.clone(), host.mysql.clone());
    Box::new(source.with_equality(settings.equality.clone()))
}

/// One kind of thing that can be backed up and brought back.
pub trait Source: Send + Sync {
    /// Looks whether a capture can work here: tools, logins, privileges, size.
    fn probe(&self, context: &Context) -> Result<Facts, Error>;

    /// What this source must be allowed, so that a capture can work; asks nobody.
    fn grants(&self) -> Grants;

    /// Captures everything the policy selects into `out`, as of one consistent point.
    ///
    /// An error means that nothing of this source may be published. Items that could not be read
    /// do not end the capture; they are in [`Capture::skipped`].
    fn capture(&self, context: &Context, out: &dyn Sink) -> Result<Capture, Error>;

    /// Makes ready in `scratch` what recovering `capture` needs besides the data, while that is
    /// still on its way; none for a kind that needs nothing.
    ///
    /// Nothing of the customer's may run yet, and nothing here can be the data's fault.
    fn prepare(
        &self,
        _capture: &Capture,
        _scratch: &Scratch,
    ) -> Result<Option<Box<dyn Ready>>, Trouble> {
        Ok(None)
    }

    /// Brings up restored data in `scratch`, with all that [`Source::prepare`] would have made
    /// ready. `data` is the folder that holds what was captured, i.e. the restored `/<source>/`.
    fn recover(
        &self,
        capture: &Capture,
        data: &Path,
        scratch: &Scratch,
    ) -> Result<Box<dyn Recovered>, Trouble>;
}

/// A scratch environment that waits for its data. Dropped, nothing of it stays running.
pub trait Ready: Send {
    /// Brings up the data in `data`, as [`Source::recover`] does.
    fn recover(
        self: Box<Self>,
        data: &Path,
        scratch: &Scratch,
    ) -> Result<Box<dyn Recovered>, Trouble>;
}
