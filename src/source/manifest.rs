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

/// The tag of what a repair left of a snapshot.
pub const REPAIRED: &str = "repaired";

/// The tag that stands in the place of a policy's on what a repair left of its snapshots: they are
/// no backups.
pub fn repaired_tag(policy: &Name) -> String {
    format!("{REPAIRED}:{policy}")
}

/// The tags of what a repair left of a snapshot with these.
pub fn repaired_tags(original: &[String]) -> Vec<String> {
    let renamed = |tag: &String| match tag.strip_prefix("policy:") {
        Some(policy) => format!("{REPAIRED}:{policy}"),
        None => tag.clone(),
    };
    let mut tags: Vec<_> = original.iter().map(renamed).collect();
    for mark in [INCOMPLETE, REPAIRED] {
        if !tags.iter().any(|tag| tag == mark) {
            tags.push(mark.to_owned());
        }
    }
    tags
}

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
