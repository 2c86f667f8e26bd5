//! SQLite databases: captured beside their writers, recovered as hostile files.
//!
//! In: the path of a database. Out: one file a snapshot, and its fingerprint. Restored files are
//! opened only in a confined child ([`child`]), never in a process that holds keys.

mod asking;
mod capture;
pub mod child;
mod fingerprint;
mod injure;
mod live;
mod protocol;
mod recover;
mod restored;
mod self_check;
mod table;
mod tables;
#[cfg(test)]
mod tests;
mod totals;

pub use fingerprint::fingerprint;
pub use protocol::Failure;
pub use recover::Error as RecoverError;
pub(super) use recover::table;

use std::path::Path;

use super::{
    Capture, Cell, Checked, Context, Error, Facts, Fault, Fingerprint, Grants, Place, Recovered,
    Rows, Sink, Source, Trouble,
};
use crate::ground::ids::Name;
use crate::policy::sources::SqliteSettings;
use crate::sandbox::{Launcher, Scratch};

/// A source of `kind = "sqlite"`.
#[derive(Debug, Clone)]
pub struct Sqlite {
    name: Name,
    settings: SqliteSettings,
    launcher: Launcher,
}

impl Sqlite {
    /// The source `name` of a policy. Restored files are opened by this very program, started
    /// again in the role [`child::ROLE`].
    pub fn new(name: Name, settings: SqliteSettings) -> Self {
        Self { name, settings, launcher: Launcher::this_program() }
    }

    /// The same, with another program to start: where this one does not know the role.
    pub fn launched_by(self, launcher: Launcher) -> Self {
        Self { launcher, ..self }
    }
}

impl Source for Sqlite {
    fn probe(&self, context: &Context) -> Result<Facts, Error> {
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

    fn grants(&self) -> Grants {
        let path = self.settings.path.display();
        Grants {
            client: "",
            needs: vec![
                format!(
                    "who runs lifeboat reads and writes {path}, and its -wal, -shm and -journal: \
                     no statement changes anything, but what a writer left half done when it died \
                     must be undone as its own next connection would"
                ),
                "and makes and removes files in its folder: a reader of a database with a \
                 write-ahead log makes one where there is none"
                    .to_owned(),
                "best run as the application's own user, so that no file is another's".to_owned(),
            ],
            statements: Vec::new(),
        }
    }

    fn capture(&self, context: &Context, out: &dyn Sink) -> Result<Capture, Error> {
        capture::capture(&self.name, &self.settings.path, context, out)
    }

    fn recover(
        &self,
        _: &Capture,
        data: &Path,
        scratch: &Scratch,
    ) -> Result<Box<dyn Recovered>, Trouble> {
        recover::recover(&self.launcher, &self.name, data, scratch)
    }
}

/// The engine that reads and checks: the one built into lifeboat.
fn engine_version() -> String {
    format!("SQLite {}", rusqlite::version())
}
