//! What a scratch server must be like to take in what was captured: stands in `lifeboat.json`.

use serde::{Deserialize, Serialize};

use super::super::{Gap, GapKind};

/// A captured server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// The server's version, e.g. `7.0.15`.
    pub version: String,
    /// The version of the format that it wrote.
    pub format: u32,
    /// One more than the highest number of a database that holds keys.
    pub databases: u32,
    /// Memory that its data took: about what a scratch server takes.
    pub used_bytes: u64,
    /// Where the captured moment is in the server's replication: its history and the place in it.
    pub history: String,
    pub offset: i64,
    /// Whether it was a replica itself.
    pub is_replica: bool,
    /// Modules whose data only they can read.
    #[serde(default)]
    pub modules: Vec<String>,
    /// It is one of several nodes that have the data together.
    #[serde(default)]
    pub is_of_cluster: bool,
    /// The server wrote no checksum into what it sent.
    #[serde(default)]
    pub is_unsummed: bool,
}

impl Taken {
    /// What its data set does not cover.
    pub fn gaps(&self) -> Vec<Gap> {
        let gap = |kind, names| Gap { kind, database: None, names };
        let modules =
            (!self.modules.is_empty()).then(|| gap(GapKind::ModuleValues, self.modules.clone()));
        let nodes = self.is_of_cluster.then(|| gap(GapKind::OtherNodes, Vec::new()));
        let unsummed = self.is_unsummed.then(|| gap(GapKind::Checksum, Vec::new()));
        modules.into_iter().chain(nodes).chain(unsummed).collect()
    }
}
