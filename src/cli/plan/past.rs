//! What runs took before: the measure for those to come.

use std::collections::HashMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::daemon::Series;
use crate::ground::ids::{Name, RunId};
use crate::ledger::record::{Body, Record};

/// Of so many runs the middle one is the measure: one that was slow for once says little.
const RUNS: usize = 5;

/// What past runs of one customer's policies took.
#[derive(Debug, Default)]
pub(super) struct Past {
    /// The newest last.
    took: HashMap<Series, Vec<Duration>>,
    /// What the newest complete backup of a policy held, and what backups of it stored anew.
    bytes: HashMap<Name, u64>,
    stored: HashMap<Name, Vec<u64>>,
}

impl Past {
    /// What the ledger of `customer` tells.
    pub(super) fn of(customer: &Name, records: &[Record]) -> Self {
        let mut past = Self::default();
        let mut started: HashMap<RunId, Timestamp> = HashMap::new();
        for Record { event, .. } in records {
            let series = |policy: &Name, drill: Option<&Name>| Series {
                customer: customer.clone(),
                policy: policy.clone(),
                drill: drill.cloned(),
            };
            match &event.body {
                Body::BackupFinished(backup) => {
                    let took = past.took.entry(series(&backup.policy, None)).or_default();
                    took.push(Duration::from_millis(backup.duration_ms));
                    past.stored.entry(backup.policy.clone()).or_default().push(backup.stored_bytes);
                    if backup.complete {
                        past.bytes.insert(backup.policy.clone(), backup.bytes);
                    }
                }
                Body::DrillStarted { run, .. } => drop(started.insert(*run, event.time)),
                Body::CampaignStarted(campaign) => {
                    started.insert(campaign.run, event.time);
                }
                // What it is part of is the run that took so long.
                Body::DrillFinished(drill) if drill.is_part() => {}
                Body::DrillFinished(drill) => {
                    let Some(name) = &drill.drill else { continue };
                    let begun = started.remove(&drill.run);
                    past.ended(series(&drill.policy, Some(name)), begun, event.time);
                }
                Body::CampaignFinished(campaign) => {
                    let series = series(&campaign.policy, Some(&campaign.drill));
                    past.ended(series, started.remove(&campaign.run), event.time);
                }
                _ => {}
            }
        }
        past
    }

    fn ended(&mut self, series: Series, begun: Option<Timestamp>, ended: Timestamp) {
        if let Some(begun) = begun {
            let took = ended.duration_since(begun).max(SignedDuration::ZERO);
            self.took.entry(series).or_default().push(took.unsigned_abs());
        }
    }

    /// How long a run of `series` takes; none where there was none.
    pub(super) fn took(&self, series: &Series) -> Option<Duration> {
        median(self.took.get(series)?)
    }

    /// The size of what a drill of `policy` restores.
    pub(super) fn bytes(&self, policy: &Name) -> Option<u64> {
        self.bytes.get(policy).copied()
    }

    /// What a backup of `policy` adds to the bucket.
    pub(super) fn stored(&self, policy: &Name) -> Option<u64> {
        median(self.stored.get(policy)?)
    }
}

/// The median of the last runs; of two in the middle the larger.
fn median<T: Copy + Ord>(all: &[T]) -> Option<T> {
    let mut last = all[all.len().saturating_sub(RUNS)..].to_vec();
    last.sort_unstable();
    last.get(last.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_one_of_the_last_runs_is_the_measure() {
        assert_eq!(median::<u64>(&[]), None);
        assert_eq!(median(&[7]), Some(7));
        assert_eq!(median(&[7, 9]), Some(9));
        assert_eq!(median(&[900, 900, 900, 1, 2, 3, 500, 4]), Some(3), "only the last five count");
    }
}
