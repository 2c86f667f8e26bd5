//! What the records say of the past, and who may say it.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::act::{Act, unfinished};
use super::slots::{self, Slot, Unreadable};
use super::{Error, Journal, Recorded};
use crate::ground::causes::chain;
use crate::ground::digest::Digest;
use crate::ground::ids::Name;
use crate::ledger::record::{Body, Record};

impl Journal {
    /// That slots were due of the other policies that a daemon serves: no checkpoint shall come
    /// between a slot's time and its first record.
    pub(super) fn due_of_others(
        &self,
        records: &[Record],
        policy: &Name,
        served: &BTreeSet<Name>,
        time: Timestamp,
        bodies: &mut Vec<Body>,
        recorded: &mut Recorded,
    ) {
        for other in served.iter().filter(|other| *other != policy) {
            push(bodies, slots::owed(records, other, time, None, |_| false), recorded);
        }
    }

    /// Ends on record this host's runs of `policy` that no living process holds a lease for.
    pub(super) async fn aborted_by_death(
        &self,
        records: &[Record],
        policy: &Name,
        mine: Option<&Act>,
    ) -> Result<Vec<Body>, Error> {
        let living = self.state.living_runs().await?;
        let is_gone = |act: &Act| {
            let is_mine = mine.is_some_and(|mine| mine.run == act.run);
            act.policy == *policy && !is_mine && !living.contains(&act.run)
        };
        let gone = unfinished(records, &self.actor.host).into_iter().filter(is_gone);
        Ok(gone.map(|act| act.aborted("its process ended without a record")).collect())
    }

    /// The policies of this customer that a living daemon answers for.
    pub(super) async fn served(&self) -> BTreeSet<Name> {
        let served = match self.state.served().await {
            Ok(served) => served,
            Err(error) => {
                // Then at worst a slot that is about to be run is called missed, and run all the
                // same.
                tracing::warn!(error = &error as &dyn std::error::Error, "cannot read the board");
                BTreeSet::new()
            }
        };
        let mine = |name: String| {
            let (customer, policy) = name.split_once('/')?;
            (customer == self.customer.as_str()).then(|| policy.parse().ok())?
        };
        served.into_iter().filter_map(mine).collect()
    }

    /// The name by which this host's state knows a series of slots.
    pub(super) fn series(&self, policy: &Name, slot: &Slot) -> String {
        match &slot.drill {
            None => format!("{}/{policy}", self.customer),
            Some(drill) => format!("{}/{policy}/{drill}", self.customer),
        }
    }
}

/// What is owed for past slots, or that it is not known.
pub(super) fn push(
    bodies: &mut Vec<Body>,
    owed: Result<Vec<Body>, Unreadable>,
    recorded: &mut Recorded,
) {
    match owed {
        Ok(owed) => bodies.extend(owed),
        Err(error) => {
            recorded.warnings.push(format!("past slots are not settled: {}", chain(&error)));
        }
    }
}

/// The version of `policy` that is in force; none where it was retired, or never was.
pub(super) fn newest_version(records: &[Record], policy: &Name) -> Option<Digest> {
    let versions = records.iter().filter_map(|record| match &record.event.body {
        Body::PolicyVersion { policy: of, digest, .. } if of == policy => {
            Some((record.event.time, record.seq, Some(*digest)))
        }
        Body::PolicyRetired { policy: of } if of == policy => {
            Some((record.event.time, record.seq, None))
        }
        _ => None,
    });
    versions.max_by_key(|(time, seq, _)| (*time, *seq)).and_then(|(.., digest)| digest)
}
