//! Redis: captured as its own replica would be, recovered in a caged server.
//!
//! In: how to reach a server. Out: one `dump.rdb` a snapshot, and the fingerprint of every key in it.
//! What both halves share stands here: a [`Session`], and the parser of the format ([`rdb`]).

mod capture;
mod engine;
mod grants;
mod info;
mod link;
mod live;
mod login;
mod memory;
pub mod rdb;
mod recover;
mod session;
mod taken;
mod tls;
mod transfer;

pub use engine::{Engine, Missing};
pub use login::Login;
pub use recover::Error as RecoverError;
pub(super) use recover::bytes as recovery_bytes;
pub use session::{Error as SessionError, Reply, Session};
pub use taken::Taken;
pub use transfer::Error as TransferError;

use std::path::Path;

use super::{Capture, Context, Error, Facts, Grants, Ready, Recovered, Sink, Source, Trouble};
use crate::ground::ids::Name;
use crate::policy::candidates::Servers;
use crate::policy::sources::RedisSettings;
use crate::sandbox::Scratch;

/// The one entry of a capture.
pub const FILE: &str = "dump.rdb";

/// A source of `kind = "redis"`.
#[derive(Debug, Clone)]
pub struct Redis {
    name: Name,
    servers: Servers<RedisSettings>,
}

impl Redis {
    /// The source `name` of a policy.
    pub fn new(name: Name, servers: impl Into<Servers<RedisSettings>>) -> Self {
        Self { name, servers: servers.into() }
    }
}

impl Source for Redis {
    fn probe(&self, context: &Context) -> Result<Facts, Error> {
        let (live, chosen) = live::choose(&self.servers, context)?;
        let taken = chosen.map_or_else(Vec::new, |chosen| chosen.notes(context.clock.now()));
        let mut warnings = live.warnings();
        warnings.extend(taken);
        match Engine::find() {
            Ok(engine) => warnings.extend(engine.is_too_old_for(&live.version())),
            Err(missing) => warnings.push(missing.to_string()),
        }
        Ok(Facts {
            engine: live.engine(),
            // The data set as it was captured, and as the scratch server writes it again.
            scratch_bytes: live.used_bytes().saturating_mul(2),
            warnings,
        })
    }

    fn grants(&self) -> Grants {
        grants::of(self.servers.any())
    }

    fn capture(&self, context: &Context, out: &dyn Sink) -> Result<Capture, Error> {
        capture::capture(&self.name, &self.servers, context, out)
    }

    fn prepare(
        &self,
        capture: &Capture,
        scratch: &Scratch,
    ) -> Result<Option<Box<dyn Ready>>, Trouble> {
        recover::prepare(&self.name, capture, scratch).map(Some)
    }

    fn recover(
        &self,
        capture: &Capture,
        data: &Path,
        scratch: &Scratch,
    ) -> Result<Box<dyn Recovered>, Trouble> {
        recover::prepare(&self.name, capture, scratch)?.recover(data, scratch)
    }
}
