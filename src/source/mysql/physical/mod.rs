//! MariaDB beside its server: its files are copied, and brought to one exact moment by the binary log.
//!
//! A copy by `mariadb-backup` is of the moment at which it ends, which nobody can hold still to read the
//! rows in it. So the fingerprint is taken right afterwards, as of a position in the binary log, and the
//! log from the copy's end up to that position is captured, too: a drill replays it, and what comes
//! back is of the fingerprint's own moment.

mod beside;
mod binlog;
mod capture;
mod copy;
mod stages;
mod still;
mod unpack;
pub mod xbstream;

pub(super) use beside::Beside;
pub use binlog::Error as BinlogError;
pub(super) use capture::capture;
pub use unpack::Error as CopyError;

use serde::{Deserialize, Serialize};

/// The program that copies, and prepares a copy.
pub(super) const COPIER: &str = "mariadb-backup";

/// The program that makes SQL of a binary log.
pub(super) const READER: &str = "mariadb-binlog";

/// Where a source's files stand below its folder, and the pieces of the binary log.
pub const DATA: &str = "data";
pub const BINLOG: &str = "binlog";

/// A capture by files: stands in `lifeboat.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copy {
    /// Where the binary log stood at the end of the copy, `file:position`.
    pub end: String,
    /// The pieces of it that lead to the fingerprint's moment, in their order.
    pub binlog: Vec<String>,
    /// Bytes of all files.
    pub bytes: u64,
}
