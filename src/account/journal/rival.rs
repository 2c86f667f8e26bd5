//! Another host that answers the slots which this one answers: a configuration that was copied.
//!
//! Nothing keeps two such hosts from running one slot at the same moment, for each reads the ledger
//! before either has written. So it is told, as long as it lasts.

use std::collections::BTreeSet;
use std::fmt;

use jiff::{SignedDuration, Timestamp};

use crate::ground::ids::Name;
use crate::ledger::record::{Body, CampaignStarted, Record};

/// For so long after its last run the other host is told of.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(7 * 24);

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rival {
    pub host: String,
    policy: Name,
    drill: Option<Name>,
    slot: Timestamp,
}

impl Rival {
    /// The newest run by which another host than `host` answered a slot of a series of `policy`,
    /// after `host` itself had answered one. A host that took over from another is no rival, nor
    /// is one that runs what this one does not.
    pub fn of(records: &[Record], policy: &Name, host: &str, now: Timestamp) -> Option<Self> {
        let mut ours = BTreeSet::new();
        let mut newest = None;
        for record in records {
            let (of, series, slot) = match &record.event.body {
                Body::BackupStarted { policy, slot: Some(slot), .. } => (policy, None, *slot),
                Body::DrillStarted { policy, drill: Some(drill), slot: Some(slot), .. } => {
                    (policy, Some(drill.clone()), *slot)
                }
                Body::CampaignStarted(CampaignStarted {
                    policy, drill, slot: Some(slot), ..
                }) => (policy, Some(drill.clone()), *slot),
                _ => continue,
            };
            let actor = &record.event.actor;
            if of != policy {
                continue;
            }
            if actor.host == host {
                ours.insert(series);
            } else if ours.contains(&series) && now.duration_since(record.event.time) < REMEMBERED {
                let (policy, host) = (policy.clone(), actor.host.clone());
                newest = Some(Self { host, policy, drill: series, slot });
            }
        }
        newest
    }
}

impl fmt::Display for Rival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, policy, drill, slot } = self;
        let what = drill.as_ref().map_or("backup".to_owned(), |drill| format!("drill {drill}"));
        write!(
            f,
            "another host, {host}, serves {policy} too and ran the {what} of {slot}: of two daemons \
             with one policy either may run a slot, or both; end one of them"
        )
    }
}
