//! Our schedules against croner's, which nobody here wrote.
//!
//! croner counts lists and ranges of hours as intervals, so that a night's run can be skipped where
//! Vixie's cron makes it up, and reads `*/2` as a restricted day field; such expressions stay
//! away from clock changes, or out of the comparison.

use std::time::Duration;

use croner::parser::{CronParser, Seconds};
use jiff::Timestamp;
use proptest::prelude::*;

use super::Schedule;

const ZONES: [&str; 7] = [
    "America/New_York",
    "Europe/Berlin",
    "Asia/Shanghai",
    "Australia/Lord_Howe",
    "America/St_Johns",
    "Africa/Casablanca",
    "UTC",
];

fn compare(text: &str, zone: &str, from: Timestamp, count: usize) {
    let schedule = Schedule {
        cron: text.parse().unwrap(),
        zone: zone.parse().unwrap(),
        jitter: Duration::ZERO,
    };
    let oracle = CronParser::builder().seconds(Seconds::Optional).build().parse(text).unwrap();
    let start = from.to_zoned(schedule.zone.time_zone().clone());
    let theirs: Vec<Timestamp> =
        oracle.iter_after(start).take(count).map(|zoned| zoned.timestamp()).collect();

    let ours: Vec<Timestamp> =
        std::iter::successors(schedule.next_after(from), |slot| schedule.next_after(*slot))
            .take(count)
            .collect();

    assert_eq!(ours, theirs, "{text} in {zone} from {from}");
}

#[test]
fn times_of_day_and_intervals_agree_over_thirty_years_of_clock_changes() {
    for zone in ZONES {
        for text in ["30 2 * * *", "30 1 * * *", "0 0 * * *", "15 2 * * 0", "0 3 1 * *"] {
            for year in [2007, 2019, 2026, 2037] {
                compare(text, zone, format!("{year}-01-01T00:00:00Z").parse().unwrap(), 380);
            }
        }
        for change in
            ["2026-03-07", "2026-03-28", "2026-10-03", "2026-10-24", "2026-10-31", "2026-04-04"]
        {
            for text in ["*/30 * * * *", "*/7 1-3 * * *", "10 * * * *", "0 */4 * * *"] {
                compare(text, zone, format!("{change}T00:00:00Z").parse().unwrap(), 150);
            }
        }
    }
}

fn one_of(low: u8, high: u8) -> impl Strategy<Value = String> {
    (low..=high).prop_map(|value| value.to_string())
}

fn field(low: u8, high: u8) -> impl Strategy<Value = String> {
    prop_oneof![
        Just("*".to_owned()),
        one_of(low, high),
        (low..=high, low..=high).prop_map(|(a, b)| format!("{},{}", a.min(b), a.max(b))),
        (low..=high, low..=high).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
        (low..=high, low..=high, 1u8..6).prop_map(|(a, b, step)| format!(
            "{}-{}/{step}",
            a.min(b),
            a.max(b)
        )),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_expression_agrees_where_clocks_do_not_change(
        minute in field(0, 59),
        hour in field(0, 23),
        day in field(1, 28),
        month in field(1, 12),
        weekday in field(0, 7),
        second in 946_684_800i64..4_102_444_800,
    ) {
        let text = format!("{minute} {hour} {day} {month} {weekday}");
        compare(&text, "UTC", Timestamp::from_second(second).unwrap(), 8);
    }

    #[test]
    fn any_time_of_day_agrees_in_any_zone(
        minute in one_of(0, 59),
        hour in one_of(0, 23),
        day in field(1, 28),
        weekday in field(0, 7),
        zone in 0..ZONES.len(),
        second in 1_500_000_000i64..2_000_000_000,
    ) {
        let text = format!("{minute} {hour} {day} * {weekday}");
        compare(&text, ZONES[zone], Timestamp::from_second(second).unwrap(), 24);
    }
}
