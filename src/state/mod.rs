//! The daemon's own database: what is running here, and what a crash must not make us forget.
//!
//! In: a database's URL. Out: leases, and memories of locks, checkpoints and owed hooks. All
//! async. The bucket is the truth: losing this database loses only what was running. Knows
//! nothing of what a policy, a repository or a ledger is; they are text here.

mod database;
mod holder;
mod lease;
mod memory;

use std::path::PathBuf;

use jiff::Timestamp;

pub use database::State;
pub use holder::Holder;
pub use lease::Lease;
pub use memory::{Checkpoint, Owed};

/// Why the state did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("{url:?} is no place for the state: expected sqlite:///path/to/state.db")]
    Url { url: String },
    #[error("cannot {action} {}", path.display())]
    File { action: &'static str, path: PathBuf, source: std::io::Error },
    #[error("the state in {} is damaged", path.display())]
    Damaged { path: PathBuf, source: Option<sqlx::Error> },
    #[error("the state in {} is of version {found}; this lifeboat knows {known}", path.display())]
    Newer { path: PathBuf, found: i64, known: i64 },
    #[error("cannot {action} in the state")]
    Query { action: &'static str, source: sqlx::Error },
    #[error("the state holds {what} that cannot be read")]
    Unreadable { what: &'static str, source: serde_json::Error },
    #[error("{policy} is in use by {by} until {until}")]
    Held { policy: String, by: Box<Holder>, until: Timestamp },
    #[error("the lease of {policy} was taken over by another run")]
    Lost { policy: String },
}

impl Error {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Damaged { .. } => Some(
                "move the file and those beside it (-wal, -shm) away: the bucket holds everything \
                 but what was running",
            ),
            Self::Newer { .. } => Some("run the newer lifeboat, or name another state file"),
            Self::Held { .. } => Some("wait for that run, or stop it"),
            _ => None,
        }
    }

    fn query(action: &'static str) -> impl Fn(sqlx::Error) -> Self {
        move |source| Self::Query { action, source }
    }
}

/// The result of an act on the state.
pub type Result<T, E = Error> = std::result::Result<T, E>;
