//! Restored data that is up: what it can be asked, and where something is wrong with it.

use std::num::NonZeroU64;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Access, Fingerprint, Rows, Total};
use crate::sandbox::Scratch;

/// Why something of a drill did not work out: the data's fault, or the environment's.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// What was restored is at fault: the drill fails.
    #[error("the restored data is at fault")]
    Data(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Something else is at fault, nothing is known of the data: the drill is inconclusive.
    #[error("the environment is at fault")]
    Environment(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Restored data that answers questions in its scratch environment.
pub trait Recovered: Send {
    /// The engine's own consistency check. [`Checked::problems`] empty means clean.
    fn self_check(&mut self) -> Result<Checked, Trouble>;

    /// The same summary as [`super::Capture::fingerprint`], of what was recovered.
    fn fingerprint(&mut self) -> Result<Fingerprint, Trouble>;

    /// Answers a first question, whatever it is: with it recovery ends.
    fn first_answer(&mut self) -> Result<(), Trouble>;

    /// Answers a read-only query; one that takes longer than `limit` is the environment's trouble.
    /// Of a source with several databases `database` names the one that is asked.
    fn query(
        &mut self,
        database: Option<&str>,
        sql: &str,
        limit: Duration,
    ) -> Result<Rows, Trouble>;

    /// What can be counted and added up of it by plain queries; nothing of a kind that answers none.
    fn totals(&mut self, _captured: &Fingerprint) -> Result<Vec<Total>, Trouble> {
        Ok(Vec::new())
    }

    /// Where the files are, for the kinds that are files.
    fn files(&self) -> Option<&Path>;

    /// How a program of the owner's reaches it from another cage; none for a kind that cannot be reached
    /// so.
    fn access(&mut self, _scratch: &Scratch) -> Result<Option<Access>, Trouble> {
        Ok(None)
    }

    /// Damages the scratch copy on purpose (a control) and tells where.
    fn injure(&mut self, fault: Fault) -> Result<Option<Place>, Trouble>;

    /// Whether a fault is undone once the fingerprint was taken: then controls need no copy.
    fn undoes_faults(&self) -> bool {
        false
    }

    /// How what opens the data is confined, for the record; none where nothing is run on it.
    fn confinement(&self) -> Option<String> {
        None
    }

    /// Ends it; nothing may be left running.
    fn stop(self: Box<Self>) -> Result<(), Trouble>;
}

/// What a self-check looked at and what it found wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// How much was looked at, in the engine's terms (pages, tables, entries).
    pub compared: Option<NonZeroU64>,
    pub problems: Vec<Place>,
}

/// A deliberate fault: a control injures the scratch copy and a check must find it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// One value of one row changes.
    RowChanged,
    /// One row is removed.
    RowRemoved,
    /// One byte of one file flips.
    ByteFlipped,
    /// One blob cannot be found in the repository (injured by the drill itself).
    BlobHidden,
}

/// Where something is wrong, or was injured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// A table, index, file path, blob or check, e.g. `table orders`, `file img/a.jpg`.
    pub object: String,
    /// What is wrong there, without row values.
    pub what: String,
}
