//! How a drill ended, as its record says it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Draw;
use crate::ground::digest::Digest;
use crate::ground::ids::{Name, RunId};
use crate::ledger::Remembered;

/// How a drill ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrillFinished {
    pub policy: Name,
    /// None: all rungs without a declared drill.
    pub drill: Option<Name>,
    pub run: RunId,
    pub slot: Option<Timestamp>,
    /// None where no recovery point could be picked.
    pub snapshot: Option<Digest>,
    pub verdict: Word,
    pub parts: Parts,
    pub recovery_ms: Option<u64>,
    pub data_age_ms: Option<u64>,
    pub checks_held: u64,
    pub checks_declared: u64,
    pub controls_found: u64,
    pub controls_run: u64,
    pub policy_digest: Digest,
    /// SHA-256 of the plain [`crate::ledger::details::Drill`].
    pub details: Digest,
    /// The last checkpoint that the writer had signed before: it must be in the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed: Option<Remembered>,
    /// The point that was meant and cannot be had, which alone fails the drill: `snapshot` was tried in its
    /// place, and is not what is found wanting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instead_of: Option<Digest>,
    /// Whether a person named the point: says nothing of the one that the drill picks.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub named: bool,
    /// The failed drill after which this older recovery point was tried: says nothing of the latest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub searched_for: Option<RunId>,
    /// The draw of a sampling campaign that it rehearsed: says nothing of the latest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draw: Option<Draw>,
    /// Whether it brought sources up on a newer major version than their own: an upgrade rehearsal, which
    /// says nothing of the point on its own engine.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub upgrade: bool,
}

impl DrillFinished {
    /// The recovery point that its verdict is about.
    pub fn about(&self) -> Option<Digest> {
        self.instead_of.or(self.snapshot)
    }

    /// Whether it was part of something larger, a search or a campaign, and is no news of its series.
    pub fn is_part(&self) -> bool {
        self.searched_for.is_some() || self.draw.is_some()
    }

    /// Whether it proves its snapshot good, on the engine that it was captured on.
    pub fn proves_the_snapshot(&self) -> bool {
        !self.upgrade && self.parts.prove_the_snapshot()
    }

    /// Whether it finds its snapshot broken: what a newer version makes of it is no fault of it.
    pub fn refutes_the_snapshot(&self) -> bool {
        !self.upgrade && self.parts.refute_the_snapshot()
    }

    /// Whether it shows that an older point comes back in the place of the one that `failed` drilled. Of
    /// several that do the last on the ledger is of the newest point: a search goes on only to newer ones.
    pub fn stands_in_for(&self, failed: RunId) -> bool {
        self.searched_for == Some(failed) && self.proves_the_snapshot()
    }
}

/// The verdict's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Word {
    Pass,
    Fail,
    Inconclusive,
}

/// One part of a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    Yes,
    No,
    Unknown,
    NotApplicable,
}

/// The verdict's parts (design §9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Parts {
    pub restorable: Answer,
    pub intact: Answer,
    pub within_rto: Answer,
    pub within_rpo: Answer,
    pub cleaned_up: Answer,
}

impl Parts {
    /// Whether the snapshot is proved good, whatever the clock said: retention keeps the newest.
    pub fn prove_the_snapshot(&self) -> bool {
        self.restorable == Answer::Yes && self.intact == Answer::Yes
    }

    /// Whether the snapshot is found broken.
    pub fn refute_the_snapshot(&self) -> bool {
        self.restorable == Answer::No || self.intact == Answer::No
    }
}
