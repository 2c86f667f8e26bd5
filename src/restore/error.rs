//! Why a restore, or the comparison after it, did not come to its end.

use std::io;
use std::path::PathBuf;

use crate::ground::size::ByteSize;
use crate::repo::{ReadError, WalkError};

/// Why a restore ended early. Damage does not end it: see [`super::Restored::damaged`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("{} is not empty", path.display())]
    Occupied { path: PathBuf },
    #[error(
        "{} are needed, {} are free in {}",
        ByteSize(*needed_bytes), ByteSize(*free_bytes), path.display()
    )]
    NoRoom { path: PathBuf, needed_bytes: u64, free_bytes: u64 },
    #[error("the snapshot holds more than {limit} entries")]
    TooMany { limit: usize },
    #[error(
        "the snapshot repeats the same folders without end: {entries} entries as far as {path:?}"
    )]
    Repeating { path: String, entries: usize },
    #[error("nothing in the snapshot is selected by {selection}")]
    Nothing { selection: String },
    #[error("{pattern:?} is not a pattern in .gitignore's syntax")]
    Pattern { pattern: String, source: ignore::Error },
    #[error("cannot {action} {object}")]
    Local { action: &'static str, object: String, source: io::Error },
    #[error("cannot read the snapshot's trees")]
    Trees(#[source] Box<WalkError>),
    #[error("cannot read the snapshot's content")]
    Content(#[source] Box<ReadError>),
    #[error("interrupted")]
    Interrupted,
    #[error("a thread of the restore ended early")]
    Thread(#[source] tokio::task::JoinError),
}

impl Error {
    /// Whether nothing was learnt of the snapshot, because the store or this machine failed.
    pub fn is_environment(&self) -> bool {
        match self {
            Self::Trees(error) => error.source.is_environment(),
            Self::Content(error) => error.is_environment(),
            Self::Occupied { .. }
            | Self::NoRoom { .. }
            | Self::Pattern { .. }
            | Self::Local { .. }
            | Self::Interrupted
            | Self::Thread(_) => true,
            Self::TooMany { .. } | Self::Repeating { .. } | Self::Nothing { .. } => false,
        }
    }
}
