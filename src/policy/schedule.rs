//! Schedules: a cron expression in a time zone becomes moments.
//!
//! In: an expression, a zone. Out: unjittered moments, in order, each once. Where clocks change, a
//! time of day that is skipped runs at the first moment after the gap, and one that comes twice
//! runs once; schedules by interval (`*/30 * * * *`) follow the clock on the wall, as in Vixie's
//! cron (cron(8)). Pure.

mod cron;
#[cfg(test)]
mod oracle;

use std::time::Duration;

use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};

pub use self::cron::Cron;
use super::leaf::Zone;
use crate::ground::digest::Digest;

/// When something is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    pub cron: Cron,
    pub zone: Zone,
    /// A run starts up to this much after its slot; zero for at once.
    pub jitter: Duration,
}

/// Longer than the longest wait for a date that does come (29 February on a given weekday).
const HORIZON: SignedDuration = SignedDuration::from_hours(24 * 366 * 41);
const SECOND: SignedDuration = SignedDuration::from_secs(1);

impl Schedule {
    /// The first slot after `moment`, unjittered; `None` only at the end of the calendar.
    pub fn next_after(&self, moment: Timestamp) -> Option<Timestamp> {
        let whole = Timestamp::from_second(moment.as_second()).ok()?;
        // Negative moments round towards zero, that is past the second they lie in.
        let mut from = if whole > moment { whole } else { whole.checked_add(SECOND).ok()? };
        let horizon = from.checked_add(HORIZON).unwrap_or(Timestamp::MAX);
        while from < horizon {
            let stretch = self.stretch(from);
            if let Some(slot) = self.first_in(&stretch, from, horizon) {
                return Some(slot);
            }
            from = stretch.end?;
        }
        None
    }

    /// The slots after `from` up to and including `to`, in order.
    pub fn between(&self, from: Timestamp, to: Timestamp) -> impl Iterator<Item = Timestamp> {
        std::iter::successors(self.next_after(from), |slot| self.next_after(*slot))
            .take_while(move |slot| *slot <= to)
    }

    /// The shortest time between two slots that follow each other, out of the first thousand.
    pub fn shortest_interval(&self) -> Option<Duration> {
        let slots = self.between(Timestamp::UNIX_EPOCH, Timestamp::MAX).take(1000);
        let slots: Vec<_> = slots.collect();
        let intervals = slots.windows(2).map(|pair| pair[1].duration_since(pair[0]));
        intervals.min().and_then(|shortest| shortest.try_into().ok())
    }

    /// How much after `slot` its run starts: less than the jitter, and the same whenever it is
    /// asked. `series` tells schedules apart that share their slots.
    pub fn delay(&self, series: &str, slot: Timestamp) -> Duration {
        let Ok(jitter_ms @ 1..) = u64::try_from(self.jitter.as_millis()) else {
            return Duration::ZERO;
        };
        let drawn = Digest::of(format!("{series} {slot}").as_bytes()).0;
        let first = drawn.first_chunk().expect("a digest is longer than a number");
        Duration::from_millis(u64::from_be_bytes(*first) % jitter_ms)
    }

    /// The stretch of unchanged clocks around `moment`.
    fn stretch(&self, moment: Timestamp) -> Stretch {
        let zone = self.zone.time_zone();
        let nanosecond = SignedDuration::from_nanos(1);
        let just_after = moment.checked_add(nanosecond).unwrap_or(moment);
        let entered = zone.preceding(just_after).next().map(|change| {
            let start = change.timestamp();
            let before = start.checked_sub(nanosecond).unwrap_or(start);
            (start, zone.to_offset(before))
        });
        Stretch {
            offset: zone.to_offset(moment),
            entered,
            end: zone.following(moment).next().map(|change| change.timestamp()),
        }
    }

    fn first_in(
        &self,
        stretch: &Stretch,
        from: Timestamp,
        horizon: Timestamp,
    ) -> Option<Timestamp> {
        let offset = stretch.offset;
        let mut first = offset.to_datetime(from);
        if let Some((start, before)) = stretch.entered
            && !self.cron.runs_by_interval()
        {
            let (left, reached) = (before.to_datetime(start), offset.to_datetime(start));
            if from == start && self.cron.first_in(left, reached).is_some() {
                return Some(start);
            }
            // Wall clock times before `left` have come already, if the clock went back.
            first = first.max(left);
        }
        let end = offset.to_datetime(stretch.end.unwrap_or(horizon));
        self.cron.first_in(first, end).and_then(|found| offset.to_timestamp(found).ok())
    }
}

/// A stretch of time in which a zone's offset stays the same.
struct Stretch {
    offset: Offset,
    /// The change at its beginning and the offset before it.
    entered: Option<(Timestamp, Offset)>,
    end: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(cron: &str, zone: &str, from: &str, to: &str) -> Vec<String> {
        let schedule = Schedule {
            cron: cron.parse().unwrap(),
            zone: zone.parse().unwrap(),
            jitter: Duration::ZERO,
        };
        schedule
            .between(from.parse().unwrap(), to.parse().unwrap())
            .map(|slot| slot.to_string())
            .collect()
    }

    #[test]
    fn a_time_that_is_skipped_runs_once_at_the_first_moment_after_the_gap() {
        let night = ("2026-03-08T06:00:00Z", "2026-03-08T09:00:00Z");
        let at_three = ["2026-03-08T07:00:00Z"];
        assert_eq!(slots("30 2 * * *", "America/New_York", night.0, night.1), at_three);
        assert_eq!(slots("0,15,30 2 * * *", "America/New_York", night.0, night.1), at_three);
        assert_eq!(slots("0 2,3 * * *", "America/New_York", night.0, night.1), at_three);
    }

    #[test]
    fn a_time_that_comes_twice_runs_once() {
        let night = ("2026-11-01T04:30:00Z", "2026-11-01T08:00:00Z");
        assert_eq!(
            slots("30 1 * * *", "America/New_York", night.0, night.1),
            ["2026-11-01T05:30:00Z"]
        );
        assert_eq!(
            slots("0,30 1,2 * * *", "America/New_York", night.0, night.1),
            [
                "2026-11-01T05:00:00Z",
                "2026-11-01T05:30:00Z",
                "2026-11-01T07:00:00Z",
                "2026-11-01T07:30:00Z"
            ]
        );
    }

    #[test]
    fn half_hours_stay_even_across_both_changes() {
        for day in ["2026-03-08", "2026-11-01"] {
            let (from, to) = (format!("{day}T03:59:59Z"), format!("{day}T09:00:00Z"));
            assert_eq!(slots("*/30 * * * *", "America/New_York", &from, &to).len(), 11, "{day}");
        }
    }

    #[test]
    fn a_gap_of_half_an_hour_is_one_too() {
        // Lord Howe: 2:00 becomes 2:30 on 4 October 2026.
        assert_eq!(
            slots(
                "15 2 * * *",
                "Australia/Lord_Howe",
                "2026-10-03T12:00:00Z",
                "2026-10-04T12:00:00Z"
            ),
            ["2026-10-03T15:30:00Z"]
        );
    }

    #[test]
    fn both_day_fields_restricted_mean_either_and_a_star_means_both() {
        let month = ("2026-06-30T23:59:59Z", "2026-07-31T23:59:59Z");
        assert_eq!(slots("0 0 1,15 * 1", "UTC", month.0, month.1).len(), 6);
        assert_eq!(slots("0 0 1,15 * *", "UTC", month.0, month.1).len(), 2);
        assert_eq!(slots("0 0 * * 1", "UTC", month.0, month.1).len(), 4);
        // Mondays on odd days: a field that begins with `*` restricts nothing in Vixie's sense.
        assert_eq!(slots("0 0 */2 * 1", "UTC", month.0, month.1).len(), 2);
    }

    #[test]
    fn jitter_is_drawn_once_for_each_slot_and_spreads_those_that_share_it() {
        let schedule = Schedule {
            cron: "0 * * * *".parse().unwrap(),
            zone: Zone::UTC,
            jitter: Duration::from_secs(300),
        };
        let slot: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let drawn: Vec<_> =
            (0..50).map(|number| schedule.delay(&format!("acme/p{number}"), slot)).collect();

        assert!(drawn.iter().all(|delay| *delay < schedule.jitter), "{drawn:?}");
        let distinct: std::collections::BTreeSet<_> = drawn.iter().collect();
        assert!(distinct.len() > 40, "{drawn:?}");
        assert_eq!(schedule.delay("acme/p0", slot), drawn[0]);
        let at_once = Schedule { jitter: Duration::ZERO, ..schedule };
        assert_eq!(at_once.delay("acme/p0", slot), Duration::ZERO);
    }

    #[test]
    fn the_29th_of_february_is_waited_for_and_seconds_are_kept() {
        let schedule = |text: &str| Schedule {
            cron: text.parse().unwrap(),
            zone: Zone::UTC,
            jitter: Duration::ZERO,
        };
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let leap = schedule("0 12 29 2 *");
        assert_eq!(leap.next_after(at("2096-03-01T00:00:00Z")), Some(at("2104-02-29T12:00:00Z")));
        let seconds = schedule("*/20 0 0 * * *");
        assert_eq!(
            seconds.next_after(at("2026-01-01T00:00:05.5Z")),
            Some(at("2026-01-01T00:00:20Z"))
        );
        assert_eq!(
            seconds.next_after(at("1969-12-31T23:59:59.5Z")),
            Some(at("1970-01-01T00:00:00Z"))
        );
        assert_eq!(leap.next_after(Timestamp::MAX), None);
    }
}
