//! The end: nothing new is begun, what runs is waited for, then asked to stop.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::scheduler::Scheduler;
use super::systemd;

/// How long interrupted runs may take to write down that they were.
const GRACE: Duration = Duration::from_secs(60);

/// How a daemon ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// What ran came to its own end.
    Drained,
    /// Something was interrupted and is on the ledger as aborted.
    Interrupted,
    /// Something would not end: the process must go all the same.
    Stuck,
}

/// How far the end is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stage {
    Serving,
    Draining { until: Instant },
    Interrupting { until: Instant },
}

impl Scheduler {
    /// Another wish for the end: each brings it nearer.
    pub(super) fn end_nearer(&mut self) {
        self.is_ending.store(true, Ordering::Relaxed);
        self.stage = match self.stage {
            Stage::Serving => {
                systemd::stopping();
                let drain = self.setup.site.daemon.drain;
                tracing::info!(
                    running = self.queue.running().count(),
                    seconds = drain.as_secs(),
                    "ending: nothing new is begun, what runs may go on"
                );
                Stage::Draining { until: Instant::now() + drain }
            }
            Stage::Draining { .. } => self.interrupt("asked again"),
            Stage::Interrupting { .. } => Stage::Interrupting { until: Instant::now() },
        };
    }

    /// Interrupts what runs.
    pub(super) fn interrupt(&self, why: &str) -> Stage {
        let running = self.queue.running().count();
        tracing::warn!(running, why, "interrupting what runs");
        self.house.rooms.interrupted.store(true, Ordering::Relaxed);
        Stage::Interrupting { until: Instant::now() + GRACE }
    }

    /// Whether it is over, and how.
    pub(super) fn ended(&mut self) -> Option<Ended> {
        let is_idle = self.queue.is_idle();
        match self.stage {
            Stage::Serving => None,
            Stage::Draining { .. } if is_idle => Some(Ended::Drained),
            Stage::Draining { until } => {
                if Instant::now() >= until {
                    self.stage = self.interrupt("the deadline for draining is over");
                }
                None
            }
            Stage::Interrupting { .. } if is_idle => Some(Ended::Interrupted),
            Stage::Interrupting { until } => (Instant::now() >= until).then_some(Ended::Stuck),
        }
    }
}
