//! Keeping customers' ledgers: their past is settled when the daemon starts, after a reload, and
//! once a day.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tracing::Instrument as _;

use super::scheduler::{News, Scheduler};
use super::series::Series;
use super::settle::{self, Outcome};
use super::trouble::{self, Trouble};
use crate::account::journal::slots::Slot;
use crate::ground::ids::Name;

/// Nothing is planned for later than that: what is was planned by a clock that was ahead.
const FARTHEST: SignedDuration = SignedDuration::from_hours(25);

/// A customer whose ledger this daemon keeps.
pub(super) struct Kept {
    /// Since when its policies are declared as they are.
    since: Timestamp,
    /// When its past is settled next.
    pub(super) next: Timestamp,
    pub(super) is_settling: bool,
    /// What is being settled is so by a configuration that is no longer in force.
    is_stale: bool,
    attempts: u32,
}

impl Kept {
    /// One whose policies are declared anew at `now`.
    pub(super) fn anew(now: Timestamp, before: Option<Self>) -> Self {
        let is_settling = before.is_some_and(|kept| kept.is_settling);
        Self { since: now, next: now, is_settling, is_stale: is_settling, attempts: 0 }
    }

    fn is_due(&self, now: Timestamp) -> bool {
        let ahead = self.next.duration_since(now);
        !self.is_settling && (ahead <= SignedDuration::ZERO || ahead > FARTHEST)
    }
}

impl Scheduler {
    /// Settles what is due, beside the loop.
    pub(super) fn settle_what_is_due(&mut self, now: Timestamp) {
        for (customer, kept) in self.customers.iter_mut().filter(|(_, kept)| kept.is_due(now)) {
            kept.is_settling = true;
            let spared: BTreeSet<_> = self
                .queue
                .answering()
                .filter(|task| task.series.customer == *customer)
                .map(|task| {
                    let Series { policy, drill, .. } = &task.series;
                    (policy.clone(), Slot { time: task.slot, drill: drill.clone() })
                })
                .collect();
            let (setup, rooms) = (self.setup.clone(), self.house.rooms.clone());
            let (send, customer) = (self.send.clone(), customer.clone());
            let (span, name) = (tracing::info_span!("settle", %customer), customer.clone());
            let work = async move { settle::settle(&setup, &name, &spared, &rooms).await };
            let work = tokio::spawn(work.instrument(span));
            tokio::spawn(async move {
                let outcome = work.await.unwrap_or_else(|died| Outcome::Failed {
                    trouble: Trouble::Lasting,
                    error: died.to_string(),
                });
                // Nobody listens any more once the daemon has ended.
                let _ = send.send(News::Settled(customer, outcome));
            });
        }
    }

    /// A customer's past is settled, or why it is not.
    pub(super) fn settled(&mut self, customer: &Name, outcome: Outcome) {
        let now = self.house.clock.now();
        let Some(kept) = self.customers.get_mut(customer) else { return };
        kept.is_settling = false;
        if std::mem::take(&mut kept.is_stale) {
            return;
        }
        let settings = &self.setup.site.daemon;
        let later = |pause: Duration| now.checked_add(pause).unwrap_or(now);
        match outcome {
            Outcome::Settled { at, open, next } => {
                (kept.attempts, kept.next) = (0, next);
                self.calendar.settled(customer, at);
                for (series, slot) in open {
                    if let Some(come) = self.calendar.place(&series, slot) {
                        tracing::info!(%series, %slot, "was not run when it was due");
                        self.offer(come.into());
                    }
                }
            }
            Outcome::Nothing => {
                // A first run by hand would bring something to settle.
                kept.next = later(settings.retry_longest);
                self.calendar.settled(customer, kept.since);
            }
            Outcome::Failed { trouble, error } => {
                kept.attempts += 1;
                let pause = trouble::pause(settings, kept.attempts);
                kept.next = later(pause);
                tracing::error!(
                    %customer, error, seconds = pause.as_secs(),
                    "the past is not settled; will be tried again"
                );
                if trouble == Trouble::Lasting {
                    // Runs will say what is wrong, drills on record.
                    self.calendar.settled(customer, kept.since);
                }
            }
        }
    }
}
