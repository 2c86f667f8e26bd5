//! The calendar: which slots come when, as the configuration in force says.
//!
//! In: schedules, the present moment. Out: slots that have come, each once. What is past when a
//! policy is settled is not the calendar's: the ledger decides that. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::series::Series;
use crate::ground::ids::Name;
use crate::policy::{Schedule, Setup};

/// Every series that has a schedule.
#[derive(Debug, Default)]
pub(super) struct Calendar {
    lines: BTreeMap<Series, Line>,
}

#[derive(Debug)]
struct Line {
    schedule: Schedule,
    /// The moment up to which slots have come. None: not until its past is settled.
    told: Option<Timestamp>,
}

/// A slot that has come, or is left from before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Come {
    pub series: Series,
    pub slot: Timestamp,
    /// When its run starts: the slot with its jitter.
    pub at: Timestamp,
}

impl Calendar {
    /// The schedules of `setup`; nothing comes before it is [settled](Self::settled).
    pub(super) fn of(setup: &Setup) -> Self {
        let backups = setup
            .policies
            .iter()
            .filter_map(|policy| Some((Series::of_backups(policy), policy.schedule.clone()?)));
        let drills = setup
            .drills
            .iter()
            .filter_map(|drill| Some((Series::of_drill(drill), drill.schedule.clone()?)));
        let line = |(series, schedule)| (series, Line { schedule, told: None });
        Self { lines: backups.chain(drills).map(line).collect() }
    }

    pub(super) fn has(&self, series: &Series) -> bool {
        self.lines.contains_key(series)
    }

    /// The past of a customer's policies is settled up to `at`: from there on slots come.
    pub(super) fn settled(&mut self, customer: &Name, at: Timestamp) {
        for (series, line) in &mut self.lines {
            if series.customer == *customer && line.told.is_none() {
                line.told = Some(at);
            }
        }
    }

    /// `slot` of `series` with the moment its run starts; none where the series is unknown.
    pub(super) fn place(&self, series: &Series, slot: Timestamp) -> Option<Come> {
        let delay = self.lines.get(series)?.schedule.delay(&series.to_string(), slot);
        let at = slot.checked_add(delay).unwrap_or(slot);
        Some(Come { series: series.clone(), slot, at })
    }

    /// The slots that came since the last call, up to `now`. Of a series of which several came, as
    /// after a sleep, the newest: the older ones are missed.
    pub(super) fn come(&mut self, now: Timestamp) -> Vec<Come> {
        let mut found = Vec::new();
        for (series, line) in &mut self.lines {
            let Some(told) = line.told.replace(now) else {
                line.told = None;
                continue;
            };
            if let Some(newest) = line.schedule.between(told, now).last() {
                found.push((series.clone(), newest));
            }
        }
        found.iter().filter_map(|(series, slot)| self.place(series, *slot)).collect()
    }

    /// Every slot after `from`, up to `to`, by its time; settled or not.
    pub(super) fn within(&self, from: Timestamp, to: Timestamp) -> Vec<Come> {
        let slots = self.lines.iter().flat_map(|(series, line)| {
            line.schedule.between(from, to).filter_map(|slot| self.place(series, slot))
        });
        let mut within: Vec<_> = slots.collect();
        within.sort_by_key(|come| come.slot);
        within
    }

    /// When the next slot comes.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.lines.values().filter_map(|line| line.schedule.next_after(line.told?)).min()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::policy::Cron;

    fn at(text: &str) -> Timestamp {
        format!("2026-03-08T{text}Z").parse().unwrap()
    }

    fn series(drill: Option<&str>) -> Series {
        let name = |text: &str| text.parse().unwrap();
        Series { customer: name("acme"), policy: name("shop"), drill: drill.map(name) }
    }

    /// Hourly backups, and a drill at 2:30 in New York, where the clocks go forward this night.
    fn calendar(jitter: Duration) -> Calendar {
        let line = |cron: &str| {
            let cron: Cron = cron.parse().unwrap();
            let zone = "America/New_York".parse().unwrap();
            Line { schedule: Schedule { cron, zone, jitter }, told: None }
        };
        let lines =
            [(series(None), line("0 * * * *")), (series(Some("nightly")), line("30 2 * * *"))];
        Calendar { lines: lines.into() }
    }

    fn slots(come: &[Come]) -> Vec<(bool, Timestamp)> {
        come.iter().map(|come| (come.series.drill.is_some(), come.slot)).collect()
    }

    #[test]
    fn nothing_comes_before_the_past_is_settled() {
        let mut calendar = calendar(Duration::ZERO);
        assert_eq!(calendar.come(at("06:30:00")), []);
        assert_eq!(calendar.next(), None);

        calendar.settled(&"acme".parse().unwrap(), at("06:30:00"));

        assert_eq!(calendar.next(), Some(at("07:00:00")));
        let come = calendar.come(at("07:00:00"));
        assert_eq!(slots(&come), [(false, at("07:00:00")), (true, at("07:00:00"))]);
        assert_eq!(calendar.come(at("07:00:01")), []);
    }

    #[test]
    fn of_slots_that_passed_together_the_newest_comes() {
        let mut calendar = calendar(Duration::ZERO);
        calendar.settled(&"acme".parse().unwrap(), at("05:30:00"));

        let come = calendar.come(at("11:59:59"));

        assert_eq!(slots(&come), [(false, at("11:00:00")), (true, at("07:00:00"))]);
    }

    #[test]
    fn a_clock_that_goes_back_brings_its_slots_once_more() {
        let mut calendar = calendar(Duration::ZERO);
        calendar.settled(&"acme".parse().unwrap(), at("09:30:00"));
        assert_eq!(calendar.come(at("08:30:00")), []);

        assert_eq!(slots(&calendar.come(at("09:00:00"))), [(false, at("09:00:00"))]);
    }

    #[test]
    fn a_run_starts_within_its_jitter_and_keeps_its_slot() {
        let jitter = Duration::from_secs(600);
        let mut calendar = calendar(jitter);
        calendar.settled(&"acme".parse().unwrap(), at("05:30:00"));

        let come = calendar.come(at("06:00:00"));

        assert_eq!(come[0].slot, at("06:00:00"));
        assert!(come[0].at >= come[0].slot && come[0].at < come[0].slot + jitter, "{come:?}");
        assert_eq!(calendar.place(&series(None), at("06:00:00")), Some(come[0].clone()));
    }
}
