//! Slots: what was due when, as the policy versions on the ledger say, and what is on record of it.
//!
//! In: records. Out: slots, and the records that are still owed for them. A slot's key is its
//! unjittered time. Pure.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;

use crate::ground::ids::Name;
use crate::ledger::record::{Body, Record};
use crate::policy::{self, NotEffective};

/// A policy version whose schedules this lifeboat cannot read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the schedules in record {seq}, a policy version")]
pub struct Unreadable {
    pub seq: u64,
    pub source: NotEffective,
}

/// A moment at which something was due; ordered by time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Slot {
    pub time: Timestamp,
    /// None: a backup.
    pub drill: Option<Name>,
}

/// What became of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Answer {
    /// Nobody ran.
    Missed,
    /// A run started; how it ended is told by its own records.
    Run,
}

/// What the ledger has of a slot.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    due: bool,
    answer: Option<Answer>,
}

/// Every slot of `policy` that was past at `upto`.
///
/// A version is in force from its own time, exclusively, to that of the next, or of the policy's
/// retirement, inclusively.
pub fn due(
    records: &[Record],
    policy: &Name,
    upto: Timestamp,
) -> Result<BTreeSet<Slot>, Unreadable> {
    let planned = planned(records, policy, upto)?.into_iter();
    Ok(planned.filter(|(_, is_past)| *is_past).map(|(slot, _)| slot).collect())
}

/// Every slot of `policy` up to `upto`, and whether it is past: until the jitter is over the run
/// may still come.
fn planned(
    records: &[Record],
    policy: &Name,
    upto: Timestamp,
) -> Result<BTreeMap<Slot, bool>, Unreadable> {
    let mut versions: Vec<_> = records
        .iter()
        .filter_map(|record| match &record.event.body {
            Body::PolicyVersion { policy: of, effective, .. } if of == policy => {
                Some((record.event.time, record.seq, Some(effective)))
            }
            Body::PolicyRetired { policy: of } if of == policy => {
                Some((record.event.time, record.seq, None))
            }
            _ => None,
        })
        .collect();
    // One that waited in an outbox stands later on the ledger than it came into force.
    versions.sort_by_key(|(time, seq, _)| (*time, *seq));
    let mut slots = BTreeMap::new();
    for (index, (from, seq, effective)) in versions.iter().enumerate() {
        let Some(effective) = effective else { continue };
        let next = versions.get(index + 1);
        let end = next.map_or(upto, |next| next.0.min(upto));
        // For a retired policy no run comes any more.
        let awaited = if next.is_some_and(|next| next.2.is_none()) { end } else { upto };
        let series =
            policy::schedules_of(effective).map_err(|source| Unreadable { seq: *seq, source })?;
        for (of, schedule) in series {
            let drill = match of {
                policy::Slots::Backup => None,
                policy::Slots::Drill(drill) => Some(drill),
            };
            let is_past = |slot: &Timestamp| {
                slot.checked_add(schedule.jitter).is_ok_and(|latest| latest <= awaited)
            };
            let times = schedule.between(*from, end);
            slots.extend(times.map(|time| (Slot { time, drill: drill.clone() }, is_past(&time))));
        }
    }
    Ok(slots)
}

/// The newest slot of each series of `policy`, where nothing answers it: it can still be run.
pub(super) fn open(
    records: &[Record],
    policy: &Name,
    now: Timestamp,
) -> Result<Vec<Slot>, Unreadable> {
    let known = known(records, policy);
    let mut newest: BTreeMap<Option<Name>, Slot> = BTreeMap::new();
    // In order of time, so that of each series the last one stays.
    for slot in planned(records, policy, now)?.into_keys() {
        newest.insert(slot.drill.clone(), slot);
    }
    let is_open = |slot: &Slot| known.get(slot).is_none_or(|known| known.answer.is_none());
    Ok(newest.into_values().filter(is_open).collect())
}

/// What answers `slot`, if anything does.
pub(super) fn answer(records: &[Record], policy: &Name, slot: &Slot) -> Option<Answer> {
    known(records, policy).get(slot)?.answer
}

/// The slots of `policy` that were past at `upto` and of which the ledger has no record at all.
pub fn missing(
    records: &[Record],
    policy: &Name,
    upto: Timestamp,
) -> Result<Vec<Slot>, Unreadable> {
    let known = known(records, policy);
    let due = due(records, policy, upto)?;
    Ok(due.into_iter().filter(|slot| !known.contains_key(slot)).collect())
}

/// The records that are still owed for the past slots of `policy`, oldest slot first: `due` where
/// that is not on record, and `missed` where nobody ran and, as `is_lost` says, nobody will.
/// `running` is being run now.
pub(super) fn owed(
    records: &[Record],
    policy: &Name,
    now: Timestamp,
    running: Option<&Slot>,
    is_lost: impl Fn(&Slot) -> bool,
) -> Result<Vec<Body>, Unreadable> {
    let mut known = known(records, policy);
    for slot in due(records, policy, now)?.into_iter().chain(running.cloned()) {
        known.entry(slot).or_default();
    }
    let mut bodies = Vec::new();
    for (slot, Known { due, answer }) in known {
        // One on record by a clock that was ahead may still come.
        let is_to_come = slot.time > now && running != Some(&slot);
        if answer.is_some() || is_to_come {
            continue;
        }
        if !due {
            bodies.push(due_body(policy, &slot));
        }
        if running != Some(&slot) && is_lost(&slot) {
            bodies.push(missed_body(policy, &slot));
        }
    }
    Ok(bodies)
}

fn known(records: &[Record], policy: &Name) -> BTreeMap<Slot, Known> {
    let mut known: BTreeMap<Slot, Known> = BTreeMap::new();
    for record in records {
        let (missed, run) = (Some(Answer::Missed), Some(Answer::Run));
        let (of, drill, slot, answer) = match &record.event.body {
            Body::BackupDue { policy, slot } => (policy, None, Some(*slot), None),
            Body::BackupMissed { policy, slot } => (policy, None, Some(*slot), missed),
            Body::BackupStarted { policy, slot, .. } => (policy, None, *slot, run),
            Body::DrillDue { policy, drill, slot } => (policy, Some(drill), Some(*slot), None),
            Body::DrillMissed { policy, drill, slot } => (policy, Some(drill), Some(*slot), missed),
            Body::DrillStarted { policy, drill, slot, .. } => (policy, drill.as_ref(), *slot, run),
            Body::CampaignStarted(campaign) => {
                (&campaign.policy, Some(&campaign.drill), campaign.slot, run)
            }
            _ => continue,
        };
        if let Some(time) = slot.filter(|_| of == policy) {
            let known = known.entry(Slot { time, drill: drill.cloned() }).or_default();
            known.due |= answer.is_none();
            known.answer = known.answer.max(answer);
        }
    }
    known
}

fn due_body(policy: &Name, slot: &Slot) -> Body {
    let (policy, slot, drill) = (policy.clone(), slot.time, slot.drill.clone());
    match drill {
        None => Body::BackupDue { policy, slot },
        Some(drill) => Body::DrillDue { policy, drill, slot },
    }
}

fn missed_body(policy: &Name, slot: &Slot) -> Body {
    let (policy, slot, drill) = (policy.clone(), slot.time, slot.drill.clone());
    match drill {
        None => Body::BackupMissed { policy, slot },
        Some(drill) => Body::DrillMissed { policy, drill, slot },
    }
}
