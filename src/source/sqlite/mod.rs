//! SQLite databases: captured beside their writers, recovered as hostile files.
//!
//! In: the path of a database. Out: one file a snapshot, and its fingerprint. Restored files are
//! opened only in a confined child ([`child`]), never in a process that holds keys.

mod capture;
pub mod child;
mod fingerprint;
mod injure;
mod live;
mod protocol;
mod restored;
mod self_check;
mod tables;
#[cfg(test)]
mod tests;

pub use fingerprint::fingerprint;

use super::{Context, Error, Facts};
use crate::ground::ids::Name;
use crate::policy::sources::SqliteSettings;

/// A source of `kind = "sqlite"`.
#[derive(Debug, Clone)]
pub struct Sqlite {
    name: Name,
    settings: SqliteSettings,
}

impl Sqlite {
    /// The source `name` of a policy.
    pub fn new(name: Name, settings: SqliteSettings) -> Self {
        Self { name, settings }
    }

    fn facts(&self, context: &Context) -> Result<Facts, Error> {
        let pinned = live::Pinned::open(&self.settings.path, context)?;
        let mut warnings = Vec::new();
        if pinned.journal_mode != "wal" {
            warnings.push(format!(
                "{} uses the journal mode {}: its writers wait while it is captured; with \
                 `PRAGMA journal_mode = wal` they would not",
                self.settings.path.display(),
                pinned.journal_mode
            ));
        }
        Ok(Facts { engine: engine_version(), scratch_bytes: pinned.bytes(), warnings })
    }
}

/// The engine that reads and checks: the one built into lifeboat.
fn engine_version() -> String {
    format!("SQLite {}", rusqlite::version())
}

impl Sqlite {
    fn capture_tmp(
        &self,
        context: &Context,
        out: &dyn super::Sink,
    ) -> Result<super::Capture, Error> {
        capture::capture(&self.name, &self.settings.path, context, out)
    }
}
