//! Due slots, recomputed: what was due and has no record did not vanish, it is missing.
//!
//! In: the records of a verified ledger. Out: every slot without a record. Pure.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;

use crate::account::journal::slots::{self, Unreadable};
use crate::ground::ids::Name;
use crate::ledger::record::{Body, Record};

/// A slot that was due and of which the ledger has no record, not even that it was missed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Missing {
    pub policy: Name,
    /// None: a backup.
    pub drill: Option<Name>,
    pub slot: Timestamp,
}

/// Every slot that was past at `upto` and has no record, by policy and time.
///
/// Recomputed from the policy versions on the ledger; fails where one cannot be read.
pub fn missing(records: &[Record], upto: Timestamp) -> Result<Vec<Missing>, Unreadable> {
    let policies: BTreeSet<_> = records
        .iter()
        .filter_map(|record| match &record.event.body {
            Body::PolicyVersion { policy, .. } => Some(policy),
            _ => None,
        })
        .collect();
    let mut all = Vec::new();
    for policy in policies {
        let missing = slots::missing(records, policy, upto)?;
        all.extend(missing.into_iter().map(|slot| Missing {
            policy: policy.clone(),
            drill: slot.drill,
            slot: slot.time,
        }));
    }
    Ok(all)
}

/// The moment up to which a checkpoint of `size` records says what was due: its last record's.
/// Without a checkpoint (`None`) that of the last record of all; `None` for an empty ledger.
pub fn horizon(records: &[Record], size: Option<u64>) -> Option<Timestamp> {
    let last = match size {
        Some(size) => records.iter().rev().find(|record| record.seq == size),
        None => records.last(),
    };
    last.map(|record| record.event.time)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::ground::digest::Digest;
    use crate::ledger::record::{Actor, Event};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn records(bodies: Vec<(i64, Body)>) -> Vec<Record> {
        let actor = Actor { name: "daemon".into(), host: "quay".into() };
        let event = |(second, body)| Event { time: at(second), actor: actor.clone(), body };
        let record = |(seq, event)| Record { seq, prev: Digest::ZERO, event };
        (1..).zip(bodies.into_iter().map(event)).map(record).collect()
    }

    /// Backups every ten seconds.
    fn version(policy: &str) -> Body {
        let policy = policy.parse().unwrap();
        let schedule = json!({"cron": "*/10 * * * * *", "timezone": "UTC", "jitter_ms": 0});
        let effective = json!({"policy": {"schedule": schedule}, "drills": []});
        Body::PolicyVersion { policy, digest: Digest::ZERO, effective }
    }

    #[test]
    fn a_slot_of_any_policy_without_a_record_is_missing_up_to_the_horizon() {
        let slot = Body::BackupMissed { policy: "a".parse().unwrap(), slot: at(20) };
        let records = records(vec![(5, version("a")), (15, version("b")), (45, slot)]);
        let upto = horizon(&records, None).unwrap();
        let missing = missing(&records, upto).unwrap();

        let found: Vec<_> =
            missing.iter().map(|one| (one.policy.as_str(), one.slot.as_second())).collect();
        assert_eq!(found, [("a", 10), ("a", 30), ("a", 40), ("b", 20), ("b", 30), ("b", 40)]);
        assert_eq!(horizon(&records, Some(2)), Some(at(15)));
        assert_eq!(horizon(&[], None), None);
    }

    #[test]
    fn a_version_that_cannot_be_read_is_an_error_that_names_it() {
        let (policy, effective) = ("a".parse().unwrap(), json!({"later": 2}));
        let version = Body::PolicyVersion { policy, digest: Digest::ZERO, effective };

        let error = missing(&records(vec![(5, version)]), at(9)).unwrap_err();

        assert_eq!(error.seq, 1);
    }
}
