//! PostgreSQL databases: captured by the server's own tools, recovered in a caged server.
//!
//! What both halves share stands here: a [`Session`] with pinned settings, and the
//! [`fingerprint()`] and [`schema`] of a database, the same on a live server and on a scratch one.

mod acl;
mod archive;
mod asking;
mod capture;
mod client;
mod cluster;
mod database;
mod describe;
mod dump;
mod engine;
mod extensions;
mod fingerprint;
mod globals;
mod grants;
mod left_out;
mod live;
mod load;
pub mod names;
mod pinned;
mod privileges;
mod proof;
mod recover;
pub mod schema;
mod sequences;
pub mod session;
mod shared;
mod standby;
mod table;
mod tables;

pub use cluster::{Cluster, Database, Extension, Server};
pub use dump::Error as DumpError;
pub use engine::{Engine, Engines, MAJORS, Missing};
pub use fingerprint::fingerprint;
pub use load::Target;
pub(super) use recover::bytes as recovery_bytes;
pub use recover::{Error as RecoverError, prepare};
pub use session::Session;

pub use super::login::{Login, Tls};
pub use table::Error as TableError;
pub(super) use table::write as table;

use std::path::Path;

use super::{
    Capture, Context, Error, Facts, Grants, Ready, Recovered, Sink, Source, Trouble, entries,
};
use crate::ground::ids::Name;
use crate::policy::candidates::Servers;
use crate::policy::sources::ServerSettings;
use crate::sandbox::Scratch;

/// The entry of roles and their settings.
pub const GLOBALS: &str = "globals.sql";

/// Where the dump of `database` stands below the source's folder.
pub fn file_of(database: &str) -> String {
    entries::file_of(database, "dump")
}

/// Whether another major version tells the definition of an object of `capture` in other words, though
/// it is the same: how views are deparsed, what an extension's version is, what publications can.
pub(super) fn is_retold(cluster: &Cluster, object: &str) -> bool {
    const KINDS: [&str; 4] = ["view ", "materialized view ", "extension ", "publication "];
    let within = cluster.databases.iter().filter_map(|database| {
        object.strip_prefix(&*names::readable(&database.name))?.strip_prefix(": ")
    });
    within.into_iter().any(|object| KINDS.iter().any(|kind| object.starts_with(kind)))
}

/// A source of `kind = "postgres"`.
#[derive(Debug, Clone)]
pub struct Postgres {
    name: Name,
    servers: Servers<ServerSettings>,
    engines: Engines,
    /// The major version to recover on, where that is not the captured one.
    onto: Option<u32>,
}

impl Postgres {
    /// The source `name` of a policy; `engines` are this host's programs.
    pub fn new(name: Name, servers: impl Into<Servers<ServerSettings>>, engines: Engines) -> Self {
        Self { name, servers: servers.into(), engines, onto: None }
    }

    /// The same, recovered on the newer `major`: an upgrade rehearsal.
    pub fn onto(self, major: u32) -> Self {
        Self { onto: Some(major), ..self }
    }
}

impl Source for Postgres {
    fn probe(&self, context: &Context) -> Result<Facts, Error> {
        let (_, live, chosen) = live::choose(&self.servers, &self.engines, context)?;
        let taken = chosen.map_or_else(Vec::new, |chosen| chosen.notes(context.clock.now()));
        let gaps = live.cluster.gaps();
        let not_covered = gaps.iter().map(|gap| format!("not covered: {gap}"));
        Ok(Facts {
            engine: format!("PostgreSQL {}", live.cluster.version),
            // The dumps and the servers' files made of them.
            scratch_bytes: live.bytes.saturating_mul(2),
            warnings: taken
                .into_iter()
                .chain(self.engines.passed_over(live.cluster.major))
                .chain(not_covered)
                .collect(),
        })
    }

    fn grants(&self) -> Grants {
        Grants {
            needs: grants::needs(&self.servers),
            statements: grants::statements(&self.servers),
            client: "psql -d postgres",
        }
    }

    fn capture(&self, context: &Context, out: &dyn Sink) -> Result<Capture, Error> {
        capture::capture(&self.name, &self.servers, &self.engines, context, out)
    }

    fn prepare(
        &self,
        capture: &Capture,
        scratch: &Scratch,
    ) -> Result<Option<Box<dyn Ready>>, Trouble> {
        prepare(&self.engines, &self.name, capture, self.onto, scratch).map(Some)
    }

    fn recover(
        &self,
        capture: &Capture,
        data: &Path,
        scratch: &Scratch,
    ) -> Result<Box<dyn Recovered>, Trouble> {
        prepare(&self.engines, &self.name, capture, self.onto, scratch)?.recover(data, scratch)
    }
}
