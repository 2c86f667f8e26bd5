//! Runs as the ledger sees them: what starts one, and which never came to an end.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::slots::Slot;
use crate::ground::digest::Digest;
use crate::ground::ids::{Name, RunId};
use crate::ledger::record::{Body, Record};

/// One run of a backup or of a drill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Act {
    pub policy: Name,
    pub kind: Kind,
    pub run: RunId,
    /// The slot it answers, unjittered; none for runs by hand.
    pub slot: Option<Timestamp>,
}

/// What is run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Backup,
    /// None: all rungs without a declared drill; such a run answers no slot.
    Drill(Option<Name>),
}

impl Act {
    /// The slot that this run answers.
    pub(super) fn answers(&self) -> Option<Slot> {
        let time = self.slot?;
        match &self.kind {
            Kind::Backup => Some(Slot { time, drill: None }),
            Kind::Drill(drill) => Some(Slot { time, drill: Some(drill.clone()?) }),
        }
    }

    pub(super) fn started(&self, policy_digest: Digest) -> Body {
        let Self { policy, kind, run, slot } = self.clone();
        match kind {
            Kind::Backup => Body::BackupStarted { policy, run, slot, policy_digest },
            Kind::Drill(drill) => Body::DrillStarted { policy, drill, run, slot, policy_digest },
        }
    }

    pub(super) fn aborted(&self, reason: &str) -> Body {
        let Self { policy, kind, run, slot } = self.clone();
        let reason = reason.to_owned();
        match kind {
            Kind::Backup => Body::BackupAborted { policy, run, slot, reason },
            Kind::Drill(drill) => Body::DrillAborted { policy, drill, run, slot, reason },
        }
    }
}

/// The runs that started on `host` and of whose end nothing is on record, oldest first. Of another
/// host's runs nobody here can tell whether they still live.
pub fn unfinished(records: &[Record], host: &str) -> Vec<Act> {
    let mut open: BTreeMap<RunId, (u64, Act)> = BTreeMap::new();
    for record in records.iter().filter(|record| record.event.actor.host == host) {
        let started = |policy: &Name, kind, run: &RunId, slot: &Option<Timestamp>| {
            Some(Act { policy: policy.clone(), kind, run: *run, slot: *slot })
        };
        let act = match &record.event.body {
            Body::BackupStarted { policy, run, slot, .. } => {
                started(policy, Kind::Backup, run, slot)
            }
            Body::DrillStarted { policy, drill, run, slot, .. } => {
                started(policy, Kind::Drill(drill.clone()), run, slot)
            }
            _ => None,
        };
        open.extend(act.map(|act| (act.run, (record.seq, act))));
    }
    // Not in the same pass: an end that waited in an outbox may stand before its start.
    for record in records {
        match &record.event.body {
            Body::BackupFinished(finished) => open.remove(&finished.run),
            Body::DrillFinished(finished) => open.remove(&finished.run),
            Body::BackupAborted { run, .. } | Body::DrillAborted { run, .. } => open.remove(run),
            _ => None,
        };
    }
    let mut open: Vec<_> = open.into_values().collect();
    open.sort_by_key(|(seq, _)| *seq);
    open.into_iter().map(|(_, act)| act).collect()
}
