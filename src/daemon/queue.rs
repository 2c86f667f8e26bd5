//! The queue: what waits to be run, and what runs. At most one of each series waits; a newer slot
//! takes the place of an older one. Pure.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use jiff::Timestamp;

use super::calendar::Come;
use super::series::Series;
use crate::state::Waiting;

/// A run to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Task {
    pub series: Series,
    /// The slot it is for.
    pub slot: Timestamp,
    /// Whether it answers the slot. A rerun does not: the slot has its answer on the ledger.
    pub answers: bool,
    /// Not before this moment.
    pub at: Timestamp,
    /// How often it was tried.
    pub attempts: u32,
    /// Why the last try came to nothing.
    pub error: Option<String>,
}

impl From<Come> for Task {
    fn from(Come { series, slot, at }: Come) -> Self {
        Self { series, slot, answers: true, at, attempts: 0, error: None }
    }
}

/// What waits and what runs.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: BTreeMap<Series, Task>,
    running: BTreeMap<Series, Task>,
}

impl Queue {
    /// Lets `task` wait, unless its slot waits or runs already, or a newer one of its series waits;
    /// answers what it took the place of.
    pub(super) fn offer(&mut self, task: Task) -> Option<Task> {
        let series = &task.series;
        if self.waiting.get(series).is_some_and(|other| other.slot >= task.slot)
            || self.running.get(series).is_some_and(|other| other.slot == task.slot)
        {
            return None;
        }
        self.waiting.insert(series.clone(), task)
    }

    /// Lets a task that ran wait for another try, unless a newer slot waits.
    pub(super) fn again(&mut self, task: Task) {
        self.waiting.entry(task.series.clone()).or_insert(task);
    }

    /// Takes what may start now, the longest due first; at most `parallel` run at once.
    pub(super) fn start(&mut self, now: Timestamp, parallel: NonZeroU32) -> Option<Task> {
        if self.running.len() >= usize::try_from(parallel.get()).unwrap_or(usize::MAX) {
            return None;
        }
        let is_free = |task: &&Task| {
            task.at <= now && !self.running.keys().any(|other| other.excludes(&task.series))
        };
        let first = self.waiting.values().filter(is_free).min_by_key(|task| task.at)?;
        let task = self.waiting.remove(&first.series.clone())?;
        self.running.insert(task.series.clone(), task.clone());
        Some(task)
    }

    /// A run of `series` ended.
    pub(super) fn ended(&mut self, series: &Series) -> Option<Task> {
        self.running.remove(series)
    }

    /// Forgets what waits for slots that are still to come: the clock was ahead, and went back.
    pub(super) fn forget_to_come(&mut self, now: Timestamp) {
        self.waiting.retain(|_, task| task.slot <= now);
    }

    /// Forgets what waits of series that are no more.
    pub(super) fn keep(&mut self, is_kept: impl Fn(&Series) -> bool) {
        self.waiting.retain(|series, _| is_kept(series));
    }

    pub(super) fn is_idle(&self) -> bool {
        self.running.is_empty()
    }

    pub(super) fn running(&self) -> impl Iterator<Item = &Task> {
        self.running.values()
    }

    /// When something that waits may start, whether or not there is room for it then.
    pub(super) fn next(&self, now: Timestamp) -> Option<Timestamp> {
        self.waiting.values().map(|task| task.at).filter(|at| *at > now).min()
    }

    /// Every slot that is, or is about to be, answered.
    pub(super) fn answering(&self) -> impl Iterator<Item = &Task> {
        self.waiting.values().chain(self.running.values()).filter(|task| task.answers)
    }

    /// What waits, for the board.
    pub(super) fn waiting(&self) -> Vec<Waiting> {
        let waiting = |task: &Task| Waiting {
            policy: task.series.policy_name(),
            drill: task.series.drill.as_ref().map(ToString::to_string),
            slot: task.slot,
            at: task.at,
            attempts: task.attempts,
            error: task.error.clone(),
        };
        self.waiting.values().map(waiting).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn task(policy: &str, drill: Option<&str>, slot: i64) -> Task {
        let name = |text: &str| text.parse().unwrap();
        let series =
            Series { customer: name("acme"), policy: name(policy), drill: drill.map(name) };
        Come { series, slot: at(slot), at: at(slot) }.into()
    }

    fn two() -> NonZeroU32 {
        NonZeroU32::new(2).unwrap()
    }

    #[test]
    fn no_more_run_at_once_than_may_and_the_longest_due_is_first() {
        let mut queue = Queue::default();
        for (policy, slot) in [("c", 3), ("a", 2), ("b", 1)] {
            assert_eq!(queue.offer(task(policy, None, slot)), None);
        }

        let started: Vec<_> = std::iter::from_fn(|| queue.start(at(9), two())).collect();

        assert_eq!(started, [task("b", None, 1), task("a", None, 2)]);
        queue.ended(&started[0].series);
        assert_eq!(queue.start(at(9), two()), Some(task("c", None, 3)));
    }

    #[test]
    fn a_policy_does_not_overlap_with_itself_but_its_drill_runs_beside_its_backup() {
        let mut queue = Queue::default();
        queue.offer(task("a", None, 1));
        assert!(queue.start(at(1), two()).is_some());
        queue.offer(task("a", None, 2));
        queue.offer(task("a", Some("weekly"), 2));
        queue.offer(task("a", Some("daily"), 2));

        let drill = queue.start(at(3), NonZeroU32::MAX).unwrap();

        assert!(drill.series.drill.is_some());
        assert_eq!(queue.start(at(3), NonZeroU32::MAX), None, "one drill of a policy at a time");
    }

    #[test]
    fn a_newer_slot_takes_the_place_of_one_that_waits_and_no_slot_waits_twice() {
        let mut queue = Queue::default();
        queue.offer(task("a", None, 1));
        assert_eq!(queue.offer(task("a", None, 2)), Some(task("a", None, 1)));
        assert_eq!(queue.offer(task("a", None, 2)), None);
        assert_eq!(queue.offer(task("a", None, 1)), None);
        let running = queue.start(at(2), two()).unwrap();
        assert_eq!(running.slot, at(2));

        queue.offer(task("a", None, 2));
        assert_eq!(queue.waiting(), [], "it runs already");
        queue.offer(task("a", None, 3));
        queue.ended(&running.series);
        queue.again(Task { attempts: 1, ..running });

        assert_eq!(queue.start(at(9), two()).unwrap().slot, at(3), "the newer slot goes first");
        assert_eq!(queue.start(at(9), two()), None);
    }

    #[test]
    fn what_a_clock_that_was_ahead_left_does_not_keep_the_present_waiting() {
        let mut queue = Queue::default();
        queue.offer(task("a", None, 9000));
        let ahead = queue.start(at(9000), two()).unwrap();
        queue.offer(task("b", None, 9000));

        queue.forget_to_come(at(60));
        queue.offer(task("a", None, 60));
        queue.offer(task("b", None, 60));

        assert_eq!(queue.start(at(60), two()).unwrap(), task("b", None, 60));
        queue.ended(&ahead.series);
        assert_eq!(queue.start(at(60), two()).unwrap(), task("a", None, 60));
    }

    #[test]
    fn nothing_starts_before_its_time() {
        let mut queue = Queue::default();
        queue.offer(Task { at: at(60), ..task("a", None, 1) });

        assert_eq!(queue.start(at(59), two()), None);
        assert_eq!(queue.next(at(59)), Some(at(60)));
        assert!(queue.start(at(60), two()).is_some());
    }
}
