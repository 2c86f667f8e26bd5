//! What a scratch server must be like to take in what was captured: stands in `lifeboat.json`.

use serde::{Deserialize, Serialize};

use super::super::Gap;
use super::Product;
use super::physical::Copy;

/// A captured server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    pub product: Product,
    /// The server's version, e.g. `10.11.19`.
    pub version: String,
    /// The part of it that decides about formats, e.g. `10.11`.
    pub series: String,
    /// The databases that were captured, in the order of their dumps; at least one.
    pub databases: Vec<Database>,
    /// Whether there is an entry of views.
    pub has_views: bool,
    /// Global variables that a scratch server takes over, each with its value.
    pub variables: Vec<(String, String)>,
    pub moment: Moment,
    /// Parts whose rows were written while they were read, in tables that no transaction holds
    /// still: they are in the dump and not compared.
    #[serde(default)]
    pub unsteady: Vec<String>,
    /// What else the dumps leave out.
    #[serde(default)]
    pub gaps: Vec<Gap>,
    /// Where its files were copied; none where its databases were dumped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copy: Option<Copy>,
}

/// A captured database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Database {
    pub name: String,
    /// `data_length + index_length` of its tables: about what a scratch copy takes.
    pub bytes: u64,
}

/// The one moment of dump and fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Moment {
    /// By the server's own clock, UTC.
    pub server_time: String,
    /// Where the binary log stood, `file:position`, the same for dump and fingerprint; none where
    /// the server writes none, so that only the lock proves that they agree.
    pub binlog: Option<String>,
    /// Of a server that was chosen among several: the transactions of its primary that it had applied,
    /// the same for dump and fingerprint; none where it does not count them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicated: Option<String>,
    /// Why commits could not be held back, so that dump and fingerprint are not of one moment and
    /// nothing can be equal; none where they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unheld: Option<String>,
    /// How long commits waited, in milliseconds.
    pub held_ms: u64,
    /// How often the dump was begun anew because definitions changed under it.
    pub repeats: u32,
}

impl Server {
    /// Bytes of all captured databases.
    pub(super) fn bytes(&self) -> u64 {
        self.databases.iter().map(|database| database.bytes).sum()
    }
}
