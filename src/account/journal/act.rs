//! Runs as the ledger sees them: what starts one, and which never came to an end.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::slots::Slot;
use crate::ground::digest::Digest;
use crate::ground::ids::{Name, RunId};
use crate::ledger::record::{Body, CampaignStarted, Draw, Record};

/// One run of a backup, of a drill or of a sampling campaign.
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
    /// A drill of what a sampling campaign drew; the campaign answers the slot.
    Draw {
        drill: Name,
        draw: Draw,
    },
    /// A sampling campaign of the drill with this name.
    Campaign(Name),
}

impl Act {
    /// The slot that this run answers.
    pub(super) fn answers(&self) -> Option<Slot> {
        let time = self.slot?;
        match &self.kind {
            Kind::Backup => Some(Slot { time, drill: None }),
            Kind::Drill(drill) => Some(Slot { time, drill: Some(drill.clone()?) }),
            Kind::Draw { .. } => None,
            Kind::Campaign(drill) => Some(Slot { time, drill: Some(drill.clone()) }),
        }
    }

    /// None for a campaign: its record holds what was drawn.
    pub(super) fn started(&self, policy_digest: Digest) -> Option<Body> {
        let Self { policy, kind, run, slot } = self.clone();
        let (drill, draw) = match kind {
            Kind::Backup => return Some(Body::BackupStarted { policy, run, slot, policy_digest }),
            Kind::Campaign(_) => return None,
            Kind::Drill(drill) => (drill, None),
            Kind::Draw { drill, draw } => (Some(drill), Some(draw)),
        };
        Some(Body::DrillStarted { policy, drill, run, slot, policy_digest, draw })
    }

    pub(super) fn aborted(&self, reason: &str) -> Body {
        let Self { policy, kind, run, slot } = self.clone();
        let reason = reason.to_owned();
        match kind {
            Kind::Backup => Body::BackupAborted { policy, run, slot, reason },
            Kind::Drill(drill) => Body::DrillAborted { policy, drill, run, slot, reason },
            Kind::Draw { drill, .. } => {
                Body::DrillAborted { policy, drill: Some(drill), run, slot, reason }
            }
            Kind::Campaign(drill) => Body::CampaignAborted { policy, drill, run, slot, reason },
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
            Body::CampaignStarted(campaign) => {
                let CampaignStarted { policy, drill, run, slot, .. } = campaign;
                started(policy, Kind::Campaign(drill.clone()), run, slot)
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
            Body::CampaignFinished(finished) => open.remove(&finished.run),
            Body::BackupAborted { run, .. }
            | Body::DrillAborted { run, .. }
            | Body::CampaignAborted { run, .. } => open.remove(run),
            _ => None,
        };
    }
    let mut open: Vec<_> = open.into_values().collect();
    open.sort_by_key(|(seq, _)| *seq);
    open.into_iter().map(|(_, act)| act).collect()
}
