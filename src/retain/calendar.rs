//! The calendar that keep rules count by: hours, days, weeks, months and years of a zone.
//!
//! Every choice is restic's, so that both keep the same snapshots (its
//! `internal/data/snapshot_policy.go`). Pure.

use std::fmt;

use jiff::civil::{Date, DateTime};
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};

use crate::policy::span::CalendarSpan;

/// What a rule keeps one of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unit {
    Snapshot,
    Hour,
    Day,
    Week,
    Month,
    Year,
}

impl Unit {
    /// The adjective by which restic calls its rule.
    pub fn rule(self) -> &'static str {
        match self {
            Self::Snapshot => "last",
            Self::Hour => "hourly",
            Self::Day => "daily",
            Self::Week => "weekly",
            Self::Month => "monthly",
            Self::Year => "yearly",
        }
    }

    /// A number that the moments of one unit share; `nth` tells single snapshots apart. An hour that
    /// comes twice when clocks go back is one hour.
    pub(super) fn number(self, wall: DateTime, nth: usize) -> i64 {
        let [year, month, day, hour] = [
            i64::from(wall.year()),
            i64::from(wall.month()),
            i64::from(wall.day()),
            i64::from(wall.hour()),
        ];
        match self {
            Self::Snapshot => i64::try_from(nth).unwrap_or(i64::MAX),
            Self::Hour => year * 1_000_000 + month * 10_000 + day * 100 + hour,
            Self::Day => year * 10_000 + month * 100 + day,
            Self::Week => {
                let week = wall.date().iso_week_date();
                i64::from(week.year()) * 100 + i64::from(week.week())
            }
            Self::Month => year * 100 + month,
            Self::Year => year,
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.rule())
    }
}

/// The moment that lies `span` before `moment`; where the calendar has no such day the surplus days
/// count on (31 March less a month is 3 March), as Go's `AddDate` has it.
pub(super) fn before(moment: Timestamp, span: &CalendarSpan, zone: &TimeZone) -> Timestamp {
    let wall = zone.to_datetime(moment);
    let months = i64::from(wall.year()) * 12 + i64::from(wall.month())
        - 1
        - i64::from(span.years) * 12
        - i64::from(span.months);
    let first = i16::try_from(months.div_euclid(12))
        .ok()
        .and_then(|year| Date::new(year, months.rem_euclid(12) as i8 + 1, 1).ok());
    let days = SignedDuration::from_hours(24 * (i64::from(wall.day()) - 1 - i64::from(span.days)));
    let date = first.and_then(|first| first.checked_add(days).ok());
    let hours = SignedDuration::from_hours(i64::from(span.hours));
    date.and_then(|date| at(date.to_datetime(wall.time()), zone))
        .and_then(|moment| moment.checked_sub(hours).ok())
        .unwrap_or(Timestamp::MIN)
}

/// The moment at which clocks show `wall`. Where they show it twice or never, the choice is that of
/// Go's `time.Date`: it takes the time for one of UTC, and corrects it by the offset found there.
fn at(wall: DateTime, zone: &TimeZone) -> Option<Timestamp> {
    let as_utc = Offset::UTC.to_timestamp(wall).ok()?;
    let near = as_utc.checked_sub(of(zone.to_offset(as_utc))).ok()?;
    as_utc.checked_sub(of(zone.to_offset(near))).ok()
}

fn of(offset: Offset) -> SignedDuration {
    SignedDuration::from_secs(i64::from(offset.seconds()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn back(moment: &str, span: &str, zone: &str) -> String {
        let zone = TimeZone::get(zone).unwrap();
        before(moment.parse().unwrap(), &span.parse().unwrap(), &zone).to_string()
    }

    #[test]
    fn a_month_before_a_day_that_it_lacks_counts_on() {
        assert_eq!(back("2026-03-31T12:00:00Z", "1mo", "UTC"), "2026-03-03T12:00:00Z");
        assert_eq!(back("2024-02-29T12:00:00Z", "1y", "UTC"), "2023-03-01T12:00:00Z");
        assert_eq!(back("2026-01-15T00:00:00Z", "13mo", "UTC"), "2024-12-15T00:00:00Z");
    }

    #[test]
    fn days_follow_the_clock_on_the_wall_and_hours_do_not() {
        // Berlin's clocks went forward on 29 March 2026.
        assert_eq!(back("2026-03-29T10:00:00Z", "1d", "Europe/Berlin"), "2026-03-28T11:00:00Z");
        assert_eq!(back("2026-03-29T10:00:00Z", "24h", "Europe/Berlin"), "2026-03-28T10:00:00Z");
    }

    #[test]
    fn a_time_that_clocks_skip_or_show_twice_is_the_one_that_go_takes() {
        // 02:30 on 29 March 2026 is skipped in Berlin; on 25 October it comes twice.
        assert_eq!(back("2026-03-30T00:30:00Z", "1d", "Europe/Berlin"), "2026-03-29T01:30:00Z");
        assert_eq!(back("2026-10-26T01:30:00Z", "1d", "Europe/Berlin"), "2026-10-25T01:30:00Z");
        assert_eq!(back("2026-11-02T06:30:00Z", "1d", "America/New_York"), "2026-11-01T05:30:00Z");
    }

    #[test]
    fn a_span_beyond_the_calendar_reaches_its_beginning() {
        assert_eq!(back("2026-03-29T10:00:00Z", "1000y", "UTC"), "1026-03-29T10:00:00Z");
        let zone = TimeZone::UTC;
        let span = CalendarSpan { years: u16::MAX, ..CalendarSpan::default() };
        assert_eq!(before(Timestamp::UNIX_EPOCH, &span, &zone), Timestamp::MIN);
    }

    #[test]
    fn weeks_begin_on_monday_and_belong_to_the_year_of_their_thursday() {
        let week = |date: &str| Unit::Week.number(date.parse().unwrap(), 0);
        assert_eq!(week("2026-12-31T00:00:00"), 202_653);
        assert_eq!(week("2027-01-03T23:59:59"), 202_653);
        assert_eq!(week("2027-01-04T00:00:00"), 202_701);
        assert_eq!(week("2024-12-30T00:00:00"), 202_501);
    }
}
