//! What a daemon writes between runs: the past of all its policies, and that it is there.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::past::{newest_version, push};
use super::slots::{self, Slot};
use super::{Entry, Error, Journal, Recorded};
use crate::ground::digest::Digest;
use crate::ground::ids::Name;
use crate::ledger::record::{Body, Record};

/// How long the ledger may say nothing of a daemon that lives.
const HEARTBEAT: SignedDuration = SignedDuration::from_hours(24);

/// A policy as it is carried out from now on.
#[derive(Debug, Clone, Copy)]
pub struct Declared<'a> {
    pub policy: &'a Name,
    /// See [`crate::policy::Setup::effective`].
    pub effective: &'a Value,
    /// SHA-256 of its canonical JSON.
    pub digest: Digest,
}

impl Declared<'_> {
    pub(super) fn version(&self) -> Body {
        Body::PolicyVersion {
            policy: self.policy.clone(),
            digest: self.digest,
            effective: self.effective.clone(),
        }
    }

    /// The version, if it is another than the newest among `records`.
    pub(super) fn version_after(&self, records: &[Record]) -> Option<Body> {
        (newest_version(records, self.policy) != Some(self.digest)).then(|| self.version())
    }
}

/// How the past was left.
#[derive(Debug)]
pub struct Settled {
    /// The moment up to which slots are settled.
    pub at: Timestamp,
    /// By policy, the newest slot of each series that nothing answers yet, if there is one.
    pub open: BTreeMap<Name, Vec<Slot>>,
    /// Whether the ledger now says that a daemon is there: a checkpoint shall follow.
    pub heartbeat: bool,
    /// When the next heartbeat is due.
    pub next_heartbeat: Timestamp,
    pub recorded: Recorded,
}

impl Journal {
    /// Settles the past of all that a daemon serves for this customer: dead runs are aborted, slots
    /// due are on record, those missed but the newest of each series and those in `spared`, which
    /// are about to be run. New policy versions are in force from now on. Once a day the ledger gets
    /// a heartbeat.
    ///
    /// Fails with [`Error::Unread`] where the ledger cannot be read: then nothing is decided.
    pub async fn settle(
        &self,
        policies: &[Declared<'_>],
        spared: &BTreeSet<(Name, Slot)>,
    ) -> Result<Settled, Error> {
        let _pen = self.pen().await?;
        let mut recorded = Recorded::default();
        let Some(records) = self.catch_up(&mut recorded).await else {
            let held = recorded.held.take().expect("a ledger that was not read says why");
            return Err(Error::Unread(held));
        };
        let at = self.clock.now();
        let mut bodies = Vec::new();
        let mut open = BTreeMap::new();
        for declared in policies {
            let policy = declared.policy;
            bodies.extend(self.aborted_by_death(&records, policy, None).await?);
            // A version that cannot be read is told of below.
            let mut newest = slots::open(&records, policy, at).unwrap_or_default();
            newest.retain(|slot| is_declared(declared, slot));
            self.forget_begun(policy, &mut newest).await?;
            let is_lost = |slot: &Slot| {
                !newest.contains(slot) && !spared.contains(&(policy.clone(), slot.clone()))
            };
            push(&mut bodies, slots::owed(&records, policy, at, None, is_lost), &mut recorded);
            bodies.extend(declared.version_after(&records));
            open.insert(policy.clone(), newest);
        }
        let last = newest_heartbeat(&records).filter(|last| *last <= at);
        let heartbeat = last.is_none_or(|last| at.duration_since(last) >= HEARTBEAT);
        if heartbeat {
            let policies = policies.iter().map(|declared| declared.policy.clone()).collect();
            let signed = self.signed_last().await?;
            bodies.push(Body::Heartbeat { policies, signed });
        }
        let last = if heartbeat { at } else { last.unwrap_or(at) };
        let next_heartbeat = last.checked_add(HEARTBEAT).unwrap_or(Timestamp::MAX);
        let recorded = match bodies.is_empty() {
            true => recorded,
            false => self.write(Entry { time: at, bodies, details: Vec::new() }, recorded).await?,
        };
        Ok(Settled { at, open, heartbeat, next_heartbeat, recorded })
    }

    /// Leaves only slots of which this host knows no run.
    async fn forget_begun(&self, policy: &Name, slots: &mut Vec<Slot>) -> Result<(), Error> {
        let mut left = Vec::new();
        for slot in slots.drain(..) {
            if !self.state.has_begun(&self.series(policy, &slot), slot.time).await? {
                left.push(slot);
            }
        }
        *slots = left;
        Ok(())
    }
}

/// Whether the policy still has the series that `slot` is of.
fn is_declared(declared: &Declared<'_>, slot: &Slot) -> bool {
    let series = crate::policy::schedules_of(declared.effective).unwrap_or_default();
    series.into_iter().any(|(of, _)| match (of, &slot.drill) {
        (crate::policy::Slots::Backup, None) => true,
        (crate::policy::Slots::Drill(name), Some(drill)) => name == *drill,
        _ => false,
    })
}

fn newest_heartbeat(records: &[Record]) -> Option<Timestamp> {
    let beats = records.iter().filter(|record| matches!(record.event.body, Body::Heartbeat { .. }));
    beats.map(|record| record.event.time).max()
}
