//! Runs: from a slot that has come to what is made of its end.

use jiff::Timestamp;
use tracing::Instrument as _;

use super::queue::Task;
use super::scheduler::{News, Scheduler};
use super::series::Series;
use super::trouble::{self, Trouble};
use super::work::{self, End, Retention};
use crate::state::Unapplied;

impl Scheduler {
    /// Lets a run wait for its turn.
    pub(super) fn offer(&mut self, task: Task) {
        let Task { series, slot, .. } = &task;
        tracing::debug!(%series, %slot, at = %task.at, "due");
        if let Some(before) = self.queue.offer(task) {
            let Task { series, slot, error, .. } = before;
            tracing::warn!(%series, %slot, error, "not run before the next slot came");
        }
    }

    /// Starts a run whose turn it is.
    pub(super) fn start(&self, task: Task) {
        let (setup, rooms) = (self.setup.clone(), self.house.rooms.clone());
        let (send, series) = (self.send.clone(), task.series.clone());
        let span = tracing::info_span!("slot", %series, slot = %task.slot, attempt = task.attempts);
        let is_ending = self.is_ending.clone();
        let work = tokio::spawn(work::run(task, setup, rooms, is_ending).instrument(span));
        tokio::spawn(async move {
            let end = work.await.unwrap_or_else(|died| End::Failed {
                trouble: Trouble::Lasting,
                is_on_record: true,
                error: died.to_string(),
            });
            // Nobody listens any more once the daemon has ended.
            let _ = send.send(News::Ran(series, end));
        });
    }

    /// A run ended: it is over, or will be tried again.
    pub(super) fn ran(&mut self, series: &Series, end: End) {
        let Some(mut task) = self.queue.ended(series) else { return };
        let now = self.house.clock.now();
        let slot = task.slot;
        match end {
            End::Done { retention } => self.retained(series, retention, now),
            End::Answered { was_run: true } => {
                tracing::info!(%series, %slot, "was run already");
            }
            End::Answered { was_run: false } => {
                tracing::warn!(%series, %slot, "is on record as missed; run without a slot");
                self.queue.again(Task { answers: false, at: now, ..task });
            }
            End::Failed { trouble, is_on_record, error } => {
                // A store that was away has not used up the tries of what began at last.
                let is_first_begun = task.answers && is_on_record;
                task.attempts = if is_first_begun { 1 } else { task.attempts + 1 };
                task.answers &= !is_on_record;
                if task.attempts >= trouble.tries(is_on_record) {
                    tracing::error!(%series, %slot, error, "came to nothing");
                    return;
                }
                let pause = trouble::pause(&self.setup.site.daemon, task.attempts);
                tracing::warn!(
                    %series, %slot, error, attempts = task.attempts, seconds = pause.as_secs(),
                    "came to nothing; will be tried again"
                );
                task.error = Some(error);
                task.at = now.checked_add(pause).unwrap_or(now);
                self.queue.again(task);
            }
        }
    }

    /// What came of the retention after a backup, if there was any.
    fn retained(&mut self, series: &Series, retention: Option<Retention>, now: Timestamp) {
        let policy = series.policy_name();
        match retention {
            None => {}
            Some(Ok(())) => drop(self.unapplied.remove(&policy)),
            Some(Err(error)) => {
                let anew = Unapplied { policy: policy.clone(), since: now, error: String::new() };
                self.unapplied.entry(policy).or_insert(anew).error = error;
            }
        }
    }
}
