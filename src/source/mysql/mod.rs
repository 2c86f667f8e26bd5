//! Databases of MariaDB and MySQL: captured by the server's own tools, recovered in a caged server.
//!
//! What both halves share stands here: a [`Session`] with pinned settings, and the fingerprint and
//! schema of a database, the same on a live server and on a scratch one.

mod accounts;
mod asking;
mod capture;
mod charset;
mod client;
mod defaults;
mod dialect;
mod dump;
mod engine;
mod fingerprint;
mod grant;
mod grants;
mod live;
mod load;
mod lock;
mod moment;
pub mod names;
mod obstacles;
mod physical;
mod privileges;
mod product;
mod proof;
mod recover;
mod replica;
mod said;
mod schema;
mod seen;
mod server;
pub mod session;
mod table;
mod tables;
mod text;

pub use dump::Error as DumpError;
pub use engine::{Engine, Engines, Missing};
pub use load::Target;
pub use physical::{BINLOG, BinlogError, Copy, CopyError, DATA, xbstream};
pub use product::{Product, Version};
pub use recover::Error as RecoverError;
pub(super) use recover::bytes as recovery_bytes;
pub use server::{Database, Moment, Server};
pub use session::Session;

pub use super::login::{Login, Tls};
pub(super) use table::write as table;

use std::path::Path;

use super::{
    Capture, Context, Error, Facts, GapKind, Grants, Ready, Recovered, Sink, Source, Trouble,
    entries,
};
use crate::ground::ids::Name;
use crate::policy::candidates::Servers;
use crate::policy::sources::{Equality, ServerSettings};
use crate::sandbox::Scratch;

/// The entry of accounts and what they are granted.
pub const GRANTS: &str = "grants.sql";

/// The entry of all views, which may name tables of any database.
pub const VIEWS: &str = "views.sql";

/// Where the dump of `database` stands below the source's folder.
pub fn file_of(database: &str) -> String {
    entries::file_of(database, "sql")
}

/// A source of `kind = "mariadb"` or `"mysql"`.
#[derive(Debug, Clone)]
pub struct Mysql {
    name: Name,
    product: Product,
    servers: Servers<ServerSettings>,
    equality: Equality,
    engines: Engines,
    method: Method,
}

/// How a server is captured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    Dumps,
    Files,
}

impl Mysql {
    /// The source `name` of a policy; `engines` are this host's programs.
    pub fn new(
        name: Name,
        product: Product,
        servers: impl Into<Servers<ServerSettings>>,
        engines: Engines,
    ) -> Self {
        let equality = Equality::Required;
        Self { name, product, servers: servers.into(), equality, engines, method: Method::Dumps }
    }

    /// The same, with what the policy says of servers that allow no exact point.
    pub fn with_equality(self, equality: Equality) -> Self {
        Self { equality, ..self }
    }

    /// The same for a server of MariaDB whose files are captured.
    pub fn by_files(name: Name, settings: ServerSettings, engines: Engines) -> Self {
        Self { method: Method::Files, ..Self::new(name, Product::Mariadb, settings, engines) }
    }
}

impl Source for Mysql {
    fn probe(&self, context: &Context) -> Result<Facts, Error> {
        let (_, mut live, chosen) =
            live::choose(self.product, &self.servers, &self.equality, &self.engines, context)?;
        let taken = chosen.map_or_else(Vec::new, |chosen| chosen.notes(context.clock.now()));
        let files = match self.method {
            Method::Dumps => None,
            Method::Files => Some(physical::Beside::of(&mut live)?),
        };
        let waived = match &self.equality {
            Equality::Required => None,
            Equality::NotRequired { reason } => Some(format!(
                "where the server allows no exact point drills may pass without comparing rows: {reason}"
            )),
        };
        let tables = live.tables().map_err(|error| live::engine_error(&live.login, error))?;
        let mut gaps = live.gaps(&tables);
        // A copy rounds nothing.
        gaps.retain(|gap| files.is_none() || gap.kind != GapKind::RoundedFloats);
        let doubtful = tables.iter().filter(|table| table.hold == tables::Hold::Written);
        let doubtful = doubtful.map(|table| {
            format!(
                "{} has no transactions: its rows are compared only where nobody writes them while \
                 they are dumped (ALTER TABLE … ENGINE=InnoDB mends it)",
                table.part_name()
            )
        });
        Ok(Facts {
            engine: format!("{} {}", self.product.name(), live.version),
            // The dumps and the server's files made of them, or the files and the copy that is started.
            scratch_bytes: files.map_or(live.bytes(), |files| files.bytes).saturating_mul(2),
            warnings: taken
                .into_iter()
                .chain(waived)
                .chain(gaps.iter().map(|gap| format!("not covered: {gap}")))
                .chain(doubtful)
                .collect(),
        })
    }

    fn grants(&self) -> Grants {
        Grants {
            needs: match self.method {
                Method::Dumps => grants::needs(self.product, &self.servers),
                Method::Files => grants::needs_beside(self.product, &self.servers),
            },
            statements: grants::statements(self.product, &self.servers),
            client: self.product.client(),
        }
    }

    fn capture(&self, context: &Context, out: &dyn Sink) -> Result<Capture, Error> {
        let Self { name, product, servers, equality, engines, method } = self;
        match method {
            Method::Dumps => {
                capture::capture(name, *product, servers, equality, engines, context, out)
            }
            Method::Files => physical::capture(name, servers.any(), engines, context, out),
        }
    }

    fn prepare(
        &self,
        capture: &Capture,
        scratch: &Scratch,
    ) -> Result<Option<Box<dyn Ready>>, Trouble> {
        recover::prepare(&self.engines, &self.name, capture, scratch).map(Some)
    }

    fn recover(
        &self,
        capture: &Capture,
        data: &Path,
        scratch: &Scratch,
    ) -> Result<Box<dyn Recovered>, Trouble> {
        recover::prepare(&self.engines, &self.name, capture, scratch)?.recover(data, scratch)
    }
}
