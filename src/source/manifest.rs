//! `lifeboat.json`: what a snapshot says of itself, beside the data.

use serde::{Deserialize, Serialize};

use super::Capture;
use crate::ground::digest::Digest;
use crate::ground::ids::{Name, RunId};

/// The manifest's file name in the snapshot's root.
pub const FILE: &str = "lifeboat.json";

/// The version of the manifest's format that is written.
pub const FORMAT: u32 = 1;

/// The longest manifest that is read. One of a million skipped items has a third of it.
pub const MOST_BYTES: u64 = 256 << 20;

/// The tag that marks every snapshot that lifeboat made.
pub const TAG: &str = "lifeboat";

/// The tag of a snapshot that lacks selected items.
pub const INCOMPLETE: &str = "incomplete";

/// The tag of a policy's snapshots.
pub fn policy_tag(policy: &Name) -> String {
    format!("policy:{policy}")
}

/// The content of `lifeboat.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    pub format: u32,
    pub lifeboat: String,
    pub run: RunId,
    pub customer: Name,
    pub policy: Name,
    /// The effective policy, its drills and the customer's part of the site, defaults resolved,
    /// secrets as references.
    pub effective: serde_json::Value,
    /// SHA-256 of `effective` in canonical JSON.
    pub effective_digest: Digest,
    pub sources: Vec<Capture>,
}
