//! Settling a customer: what its ledger says of the past, before anything new is begun.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Value;

use super::series::Series;
use super::trouble::Trouble;
use crate::account::journal::slots::Slot;
use crate::account::journal::{Declared, Settled};
use crate::account::{self, Account, Rooms};
use crate::ground::causes::chain;
use crate::ground::digest::Digest;
use crate::ground::ids::Name;
use crate::ledger::canonical;
use crate::policy::{Customer, Policy, Setup};

/// What came of it.
#[derive(Debug)]
pub(super) enum Outcome {
    Settled {
        /// The moment up to which slots are settled.
        at: Timestamp,
        /// The newest slot of each series that nothing answers yet.
        open: Vec<(Series, Timestamp)>,
        /// When the next heartbeat is due.
        next: Timestamp,
    },
    /// Nothing was ever written for this customer, and nothing is due.
    Nothing,
    Failed {
        trouble: Trouble,
        error: String,
    },
}

/// Settles all policies of one customer; slots in `spared` wait or run.
pub(super) async fn settle(
    setup: &Setup,
    customer: &Name,
    spared: &BTreeSet<(Name, Slot)>,
    rooms: &Rooms,
) -> Outcome {
    let Ok(customer) = setup.customer(customer) else { return Outcome::Nothing };
    match try_to(setup, customer, spared, rooms).await {
        Ok(Some(settled)) => {
            let series = |policy: &Name, slot: Slot| {
                let (customer, policy) = (customer.id.clone(), policy.clone());
                (Series { customer, policy, drill: slot.drill }, slot.time)
            };
            let open = settled.open.into_iter();
            let open = open.flat_map(|(policy, slots)| {
                slots.into_iter().map(|slot| series(&policy, slot)).collect::<Vec<_>>()
            });
            Outcome::Settled { at: settled.at, open: open.collect(), next: settled.next_heartbeat }
        }
        Ok(None) => Outcome::Nothing,
        Err(error) => Outcome::Failed { trouble: Trouble::of(&error), error: chain(&error) },
    }
}

async fn try_to(
    setup: &Setup,
    customer: &Customer,
    spared: &BTreeSet<(Name, Slot)>,
    rooms: &Rooms,
) -> Result<Option<Settled>, account::Error> {
    let policies: Vec<_> =
        setup.policies.iter().filter(|policy| policy.customer == customer.id).collect();
    let is_scheduled = |policy: &&Policy| {
        policy.schedule.is_some() || setup.drills_of(policy).any(|drill| drill.schedule.is_some())
    };
    let account = if policies.iter().any(is_scheduled) {
        // What is due is on record from now on, whether or not any run can begin.
        Account::open_or_create(setup, customer, rooms).await?
    } else {
        match Account::open_if_begun(setup, customer, rooms).await? {
            Some(account) => account,
            None => return Ok(None),
        }
    };
    if let Err(error) = account.recall(rooms).await {
        // An alarm that `ledger verify` explains; backups go on all the same.
        tracing::error!(customer = %customer.id, "{}", chain(&error));
    }
    let effective: Vec<_> = policies.iter().map(|policy| effective(setup, policy)).collect();
    let declared: Vec<_> = policies
        .iter()
        .zip(&effective)
        .map(|(policy, (effective, digest))| Declared {
            policy: &policy.name,
            effective,
            digest: *digest,
        })
        .collect();
    let settled = account.journal.settle(&declared, spared).await?;
    account::tell(&settled.recorded, &*rooms.progress);
    if settled.heartbeat && settled.recorded.held.is_none() {
        // An alarm, or out of reach; either way it ends no run, and the next drill signs.
        if let Err(error) = account.sign(rooms).await {
            tracing::error!(customer = %customer.id, "{}", chain(&error));
        }
    }
    Ok(Some(settled))
}

fn effective(setup: &Setup, policy: &Policy) -> (Value, Digest) {
    let effective = setup.effective(policy);
    let digest = canonical::digest(&effective).expect("an effective policy holds no floats");
    (effective, digest)
}
