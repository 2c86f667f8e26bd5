//! Snapshots: what a run left behind, and where its tree begins.

use jiff::Timestamp;

use super::BlobId;

/// A snapshot, as in `snapshots/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    pub time: Timestamp,
    pub parent: Option<super::SnapshotId>,
    /// The root tree.
    pub tree: BlobId,
    pub paths: Vec<String>,
    pub hostname: String,
    pub username: String,
    pub uid: u32,
    pub gid: u32,
    pub tags: Vec<String>,
    pub program_version: String,
}
