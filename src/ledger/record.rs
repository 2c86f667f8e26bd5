//! Records: one line of the ledger each (design §10).
//!
//! RFC 8785 JSON, integers only, durations in `_ms`.

mod campaign;
mod drilled;

use std::collections::HashMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Remembered;
use crate::ground::digest::Digest;
use crate::ground::ids::{Name, RunId};

pub use campaign::{CampaignFinished, CampaignStarted, Draw, Earlier};
pub use drilled::{Answer, DrillFinished, Parts, Word};

/// A record as it stands on the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// From 1, without gaps.
    pub seq: u64,
    /// SHA-256 of the line before, without its LF; 64 zeros before the first.
    pub prev: Digest,
    #[serde(flatten)]
    pub event: Event,
}

/// What happened, before it has its place on the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    pub time: Timestamp,
    pub actor: Actor,
    #[serde(flatten)]
    pub body: Body,
}

impl Event {
    /// The event with its time cut to whole milliseconds, as every record carries it.
    pub fn in_milliseconds(mut self) -> Self {
        let milliseconds = self.time.as_millisecond();
        self.time = Timestamp::from_millisecond(milliseconds)
            .expect("a time cut to milliseconds lies in the same range");
        self
    }
}

/// Who did it: a person's login or `daemon`, and on which host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    pub name: String,
    pub host: String,
}

/// The kinds of record that this version writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Body {
    /// A policy with its drills in force from now on; written when the digest changed.
    PolicyVersion {
        policy: Name,
        digest: Digest,
        effective: serde_json::Value,
    },
    /// Nothing of the policy is due any more, until a new version of it.
    PolicyRetired {
        policy: Name,
    },
    BackupDue {
        policy: Name,
        slot: Timestamp,
    },
    BackupStarted {
        policy: Name,
        run: RunId,
        slot: Option<Timestamp>,
        policy_digest: Digest,
    },
    BackupFinished(BackupFinished),
    BackupAborted {
        policy: Name,
        run: RunId,
        slot: Option<Timestamp>,
        reason: String,
    },
    BackupMissed {
        policy: Name,
        slot: Timestamp,
    },
    DrillDue {
        policy: Name,
        drill: Name,
        slot: Timestamp,
    },
    DrillStarted {
        policy: Name,
        drill: Option<Name>,
        run: RunId,
        slot: Option<Timestamp>,
        policy_digest: Digest,
        /// The draw that it rehearses, if it is part of a sampling campaign.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        draw: Option<Draw>,
    },
    DrillFinished(DrillFinished),
    DrillAborted {
        policy: Name,
        drill: Option<Name>,
        run: RunId,
        slot: Option<Timestamp>,
        reason: String,
    },
    DrillMissed {
        policy: Name,
        drill: Name,
        slot: Timestamp,
    },
    CampaignStarted(CampaignStarted),
    CampaignFinished(CampaignFinished),
    /// It states nothing, and nobody goes on with it: whoever wants a statement draws anew, on record.
    CampaignAborted {
        policy: Name,
        drill: Name,
        run: RunId,
        slot: Option<Timestamp>,
        reason: String,
    },
    Restore {
        policy: Name,
        run: RunId,
        snapshot: Digest,
        files: u64,
        bytes: u64,
        /// In the words of whoever asked for it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// The only table that was taken, after its source: `orders: shop.orders`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        table: Option<String>,
        /// The server that was loaded, after the source, with what it was to hold then, on record
        /// before anything there changed: `orders: standby: shop, crm (replaced)`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        server: Option<String>,
    },
    /// What the server of the restore of this run held afterwards; none where it did not come so far.
    RestoreCompared {
        policy: Name,
        run: RunId,
        snapshot: Digest,
        /// Rows and counters that are as they were captured, where all of it is.
        equal: Option<u64>,
        /// Places that differ.
        differs: u64,
        /// Why nothing was compared.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unknown: Option<String>,
    },
    Verify {
        policy: Name,
        run: RunId,
        /// Whether every pack was read.
        read_data: bool,
        errors: u64,
        /// Snapshots that cannot be restored whole, newest first; of very many the first thousand.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        damaged: Vec<Digest>,
        /// What was read where a part of the packs was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        part: Option<PartRead>,
    },
    /// These snapshots are to be removed: written before the first of them is deleted.
    ForgetStarted {
        policy: Name,
        run: RunId,
        snapshots: Vec<Digest>,
        /// The rules by which, or the reason for which, they go.
        why: String,
    },
    /// These snapshots are gone.
    ForgetFinished {
        policy: Name,
        run: RunId,
        snapshots: Vec<Digest>,
        /// Snapshots of the policy that stay.
        left: u64,
    },
    /// These packs and index files are given up, their ids in the details: written before the first
    /// of them is deleted. A prune in several slices writes several.
    PruneStarted {
        policy: Name,
        run: RunId,
        packs: u64,
        index_files: u64,
        bytes: u64,
        /// SHA-256 of the plain [`super::details::Prune`].
        details: Digest,
    },
    PruneFinished {
        policy: Name,
        run: RunId,
        removed_packs: u64,
        repacked_packs: u64,
        freed_bytes: u64,
    },
    /// These index files give way to new ones, which are stored; their ids, and those of packs that no
    /// index names any more, in the details. Written before the first of them is deleted.
    IndexRepaired {
        policy: Name,
        run: RunId,
        index_files: u64,
        forgotten_packs: u64,
        /// SHA-256 of the plain [`super::details::Prune`].
        details: Digest,
    },
    /// What is left of a snapshot that lost data is published as another, which is no backup.
    SnapshotRepaired {
        policy: Name,
        run: RunId,
        original: Digest,
        snapshot: Digest,
        /// Files, and folders that nobody can read, that it lacks.
        files: u64,
        folders: u64,
    },
    /// Once a day: a daemon looks after these policies, whether or not anything can run.
    Heartbeat {
        policies: Vec<Name>,
        /// As [`DrillFinished::signed`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signed: Option<Remembered>,
    },
}

/// A part of all packs that was read, and what it and earlier ones come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartRead {
    pub read_packs: u64,
    pub read_bytes: u64,
    /// Read from `since` on, found whole then, and still there.
    pub covered_packs: u64,
    pub covered_bytes: u64,
    /// All that there are.
    pub packs: u64,
    pub bytes: u64,
    pub since: Option<Timestamp>,
}

/// How a backup ended that published a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupFinished {
    pub policy: Name,
    pub run: RunId,
    pub slot: Option<Timestamp>,
    pub snapshot: Digest,
    /// Earliest `consistent_time` of its sources, what a replica was behind taken off.
    pub consistent_time: Timestamp,
    pub complete: bool,
    pub entries: u64,
    pub bytes: u64,
    pub added_bytes: u64,
    pub stored_bytes: u64,
    pub skipped: u64,
    pub duration_ms: u64,
    pub details: Digest,
}

/// The backups that `records` say were published, in their order.
pub fn publications(
    records: &[Record],
) -> impl DoubleEndedIterator<Item = (&Record, &BackupFinished)> {
    records.iter().filter_map(|record| match &record.event.body {
        Body::BackupFinished(finished) => Some((record, finished)),
        _ => None,
    })
}

/// The snapshots that cannot be restored whole, as far as `records` tell, each with the record that says
/// so: by a verification or a drill, until a drill proves the snapshot, or a verification that read
/// everything finds it whole.
pub fn found_damaged(records: &[Record]) -> HashMap<Digest, u64> {
    let mut found = HashMap::new();
    for record in records {
        match &record.event.body {
            Body::Verify { read_data, damaged, .. } => {
                if *read_data {
                    found.clear();
                }
                found.extend(damaged.iter().map(|snapshot| (*snapshot, record.seq)));
            }
            Body::DrillFinished(drill) => {
                let Some(snapshot) = drill.about() else { continue };
                if drill.proves_the_snapshot() {
                    found.remove(&snapshot);
                } else if drill.parts.restorable == Answer::No && !drill.upgrade {
                    found.insert(snapshot, record.seq);
                }
            }
            _ => {}
        }
    }
    found
}

impl Body {
    /// The policy that it is about, if it is about one.
    pub fn policy(&self) -> Option<&Name> {
        match self {
            Self::BackupFinished(finished) => Some(&finished.policy),
            Self::DrillFinished(finished) => Some(&finished.policy),
            Self::CampaignStarted(started) => Some(&started.policy),
            Self::CampaignFinished(finished) => Some(&finished.policy),
            Self::PolicyVersion { policy, .. }
            | Self::PolicyRetired { policy }
            | Self::BackupDue { policy, .. }
            | Self::BackupStarted { policy, .. }
            | Self::BackupAborted { policy, .. }
            | Self::BackupMissed { policy, .. }
            | Self::DrillDue { policy, .. }
            | Self::DrillStarted { policy, .. }
            | Self::DrillAborted { policy, .. }
            | Self::DrillMissed { policy, .. }
            | Self::CampaignAborted { policy, .. }
            | Self::Restore { policy, .. }
            | Self::RestoreCompared { policy, .. }
            | Self::Verify { policy, .. }
            | Self::ForgetStarted { policy, .. }
            | Self::ForgetFinished { policy, .. }
            | Self::PruneStarted { policy, .. }
            | Self::PruneFinished { policy, .. }
            | Self::IndexRepaired { policy, .. }
            | Self::SnapshotRepaired { policy, .. } => Some(policy),
            Self::Heartbeat { .. } => None,
        }
    }

    /// The checkpoint that it says was signed.
    pub fn signed(&self) -> Option<Remembered> {
        match self {
            Self::DrillFinished(finished) => finished.signed,
            Self::CampaignFinished(finished) => finished.signed,
            Self::Heartbeat { signed, .. } => *signed,
            _ => None,
        }
    }

    /// Whether whoever writes it signs the ledger next.
    pub fn is_signed_next(&self) -> bool {
        matches!(
            self,
            Self::DrillFinished(_)
                | Self::CampaignStarted(_)
                | Self::CampaignFinished(_)
                | Self::Heartbeat { .. }
                | Self::PolicyRetired { .. }
        )
    }

    /// The details that it names.
    pub fn details(&self) -> Option<Digest> {
        match self {
            Self::BackupFinished(finished) => Some(finished.details),
            Self::DrillFinished(finished) => Some(finished.details),
            Self::CampaignStarted(started) => Some(started.details),
            Self::PruneStarted { details, .. } | Self::IndexRepaired { details, .. } => {
                Some(*details)
            }
            _ => None,
        }
    }
}
