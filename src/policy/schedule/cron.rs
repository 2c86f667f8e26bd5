//! Cron expressions over wall clock times: five fields, six with seconds.
//!
//! The crate `cron` reads the fields; Vixie's numbering of weekdays (0 and 7 are Sunday) and his
//! union of the two day fields (crontab(5)) are ours, since the crate knows neither. Knows no
//! time zones.

use std::fmt;
use std::str::FromStr;

use cron::TimeUnitSpec;
use jiff::civil::{Date, DateTime};

use crate::policy::leaf::{Wrong, written_as_text};

/// A cron expression, checked: some date matches it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cron {
    text: String,
    /// Bit n stands for the value n; Sunday is 0.
    seconds: u64,
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// A day matches when either day field does (neither begins with `*`).
    either_day: bool,
    /// Hour, minute or second begins with `*`: it runs by interval, not at a time of day.
    by_interval: bool,
}

/// A field's name, the range that a diagnostic shows, and its place in the `cron` crate's six.
const FIELDS: [(&str, &str); 6] = [
    ("second", "0-59"),
    ("minute", "0-59"),
    ("hour", "0-23"),
    ("day of the month", "1-31"),
    ("month", "1-12 or jan-dec"),
    ("weekday", "0-7 (0 and 7 are Sunday) or sun-sat"),
];
const WEEKDAY: usize = 5;
/// Every value of every field spelled out stays below it.
const LONGEST: usize = 800;
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

impl Cron {
    /// The first match at or after `from` and before `until`, in wall clock time.
    pub(super) fn first_in(&self, from: DateTime, until: DateTime) -> Option<DateTime> {
        let mut date = from.date();
        let mut earliest = from.time();
        while date <= until.date() {
            if self.matches_day(date)
                && let Some((hour, minute, second)) =
                    self.time_from(earliest.hour(), earliest.minute(), earliest.second())
            {
                let found = date.at(hour, minute, second, 0);
                return (found < until).then_some(found);
            }
            date = date.tomorrow().ok()?;
            earliest = jiff::civil::Time::midnight();
        }
        None
    }

    /// Whether a shift of the clock moves its runs with the clock, as every half hour would.
    pub(super) fn runs_by_interval(&self) -> bool {
        self.by_interval
    }

    fn matches_day(&self, date: Date) -> bool {
        let day = has(self.days, date.day());
        let weekday = has(self.weekdays, date.weekday().to_sunday_zero_offset());
        let either = if self.either_day { day || weekday } else { day && weekday };
        has(self.months, date.month()) && either
    }

    fn time_from(&self, hour: i8, minute: i8, second: i8) -> Option<(i8, i8, i8)> {
        let first_minute = next(self.minutes, 0)?;
        let first_second = next(self.seconds, 0)?;
        if has(self.hours, hour) {
            if has(self.minutes, minute)
                && let Some(second) = next(self.seconds, second)
            {
                return Some((hour, minute, second));
            }
            if let Some(minute) = next(self.minutes, minute + 1) {
                return Some((hour, minute, first_second));
            }
        }
        next(self.hours, hour + 1).map(|hour| (hour, first_minute, first_second))
    }
}

fn has(set: u64, value: i8) -> bool {
    set >> value & 1 == 1
}

/// The least member that is `value` or greater; `value` is below 64.
fn next(set: u64, value: i8) -> Option<i8> {
    let rest = set >> value << value;
    (rest != 0).then(|| rest.trailing_zeros() as i8)
}

impl FromStr for Cron {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        if text.len() > LONGEST {
            let hint = format!("write at most {LONGEST} characters, with ranges and steps");
            return Err(Wrong::new("too long for a cron expression", hint));
        }
        let mut fields: Vec<&str> = text.split_ascii_whitespace().collect();
        match fields.len() {
            5 => fields.insert(0, "0"),
            6 => {}
            found => {
                return Err(Wrong::new(
                    format!("a cron expression of {found} fields"),
                    "write minute, hour, day, month and weekday, e.g. \"0 3 * * 0\" for Sundays \
                     at 3:00; a sixth field in front is for seconds",
                ));
            }
        }
        let mut sets = [0u64; 6];
        for (place, field) in fields.iter().enumerate() {
            sets[place] = read_field(place, field)?;
        }
        let star = |place: usize| fields[place].starts_with('*');
        let cron = Self {
            text: text.split_ascii_whitespace().collect::<Vec<_>>().join(" "),
            seconds: sets[0],
            minutes: sets[1],
            hours: sets[2],
            days: sets[3],
            months: sets[4],
            weekdays: sets[WEEKDAY],
            either_day: !star(3) && !star(WEEKDAY),
            by_interval: star(0) || star(1) || star(2),
        };
        // In 28 years every day of the year, 29 February too, meets every weekday.
        let start = jiff::civil::date(2000, 1, 1).at(0, 0, 0, 0);
        let end = jiff::civil::date(2028, 1, 1).at(0, 0, 0, 0);
        if cron.first_in(start, end).is_none() {
            return Err(Wrong::new(
                "a date that never comes",
                "no month named here has such a day",
            ));
        }
        Ok(cron)
    }
}

fn read_field(place: usize, field: &str) -> Result<u64, Wrong> {
    let (name, range) = FIELDS[place];
    let wrong = |item: &str| {
        let shown: String = item.chars().take(40).collect();
        Wrong::new(
            format!("`{shown}` does not fit the {name} field"),
            format!("it takes {range}, `*`, lists 1,3, ranges 1-5 and steps */2 or 1-5/2"),
        )
    };
    let mut set = 0;
    for item in field.split(',') {
        set |= read_item(place, item).ok_or_else(|| wrong(item))?;
    }
    Ok(set)
}

fn read_item(place: usize, item: &str) -> Option<u64> {
    let (range, step) = match item.split_once('/') {
        Some((range, step)) => (range, Some(step)),
        None => (item, None),
    };
    // `5/15` means different things to different crons.
    if step.is_some() && range != "*" && !range.contains('-') {
        return None;
    }
    let plain = |text: &str| {
        (1..=9).contains(&text.len())
            && (text.bytes().all(|c| c.is_ascii_digit())
                || text.bytes().all(|c| c.is_ascii_alphabetic()))
    };
    let digits = |text: &str| plain(text) && text.as_bytes()[0].is_ascii_digit();
    let ends: Vec<&str> = range.split('-').collect();
    let shaped = range == "*" || ends.len() <= 2 && ends.iter().all(|end| plain(end));
    if !shaped || !step.is_none_or(|step| digits(step) && step.parse() != Ok(0)) {
        return None;
    }
    if place == WEEKDAY {
        return weekdays(&ends, step.map_or(Some(1), |step| step.parse().ok())?);
    }
    let mut fields = ["*"; 6];
    fields[place] = item;
    let read = cron::Schedule::from_str(&fields.join(" ")).ok()?;
    let values: Vec<u32> = match place {
        0 => read.seconds().iter().collect(),
        1 => read.minutes().iter().collect(),
        2 => read.hours().iter().collect(),
        3 => read.days_of_month().iter().collect(),
        _ => read.months().iter().collect(),
    };
    Some(values.iter().fold(0, |set, value| set | 1 << value))
}

/// `*`, one weekday or two ends of a range, as Vixie numbers them.
fn weekdays(ends: &[&str], step: usize) -> Option<u64> {
    let number = |text: &str| match text.parse::<usize>() {
        Ok(number) => (number <= 7).then_some(number),
        Err(_) => WEEKDAYS.iter().position(|name| name.eq_ignore_ascii_case(text)),
    };
    let (first, last) = match ends {
        ["*"] => (0, 6),
        [one] => (number(one)?, number(one)?),
        [first, last] => match (number(first)?, number(last)?) {
            // fri-sun ends with the Sunday after Friday.
            (first, 0) if first > 0 && last.eq_ignore_ascii_case("sun") => (first, 7),
            ends => ends,
        },
        _ => return None,
    };
    if first > last {
        return None;
    }
    Some((first..=last).step_by(step).fold(0, |set, day| set | 1 << (day % 7)))
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

written_as_text!(Cron, "cron", "Five cron fields (six with seconds): 0 3 * * 0");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_that_mean_nothing_are_refused_with_the_field_at_fault() {
        let cases = [
            ("0 3 * *", "4 fields"),
            ("@daily", "1 fields"),
            ("60 3 * * *", "`60` does not fit the minute field"),
            ("0 24 * * *", "`24` does not fit the hour field"),
            ("0 3 0 * *", "day of the month"),
            ("0 3 * 13 *", "month"),
            ("0 3 * * 8", "weekday"),
            ("0 3 * * mon-xyz", "weekday"),
            ("*/0 3 * * *", "minute"),
            ("5/15 * * * *", "minute"),
            ("*/99999999999 * * * *", "minute"),
            ("1Mon * * * *", "minute"),
            ("0 3 ? * *", "day of the month"),
            ("0,,1 3 * * *", "minute"),
            ("0 0 30 2 *", "never comes"),
            ("0 0 31 4,6,9,11 *", "never comes"),
        ];
        for (text, what) in cases {
            let wrong = text.parse::<Cron>().unwrap_err();
            assert!(wrong.what.contains(what), "{text}: {wrong}");
        }
    }

    #[test]
    fn sunday_is_0_and_7_and_names_are_read_in_any_case() {
        let set = |text: &str| format!("0 3 * * {text}").parse::<Cron>().unwrap().weekdays;
        assert_eq!(set("0"), 1);
        assert_eq!(set("7"), 1);
        assert_eq!(set("SUN"), 1);
        assert_eq!(set("5-7"), 0b110_0001);
        assert_eq!(set("fri-sun"), 0b110_0001);
        assert_eq!(set("0-0"), 1);
        assert_eq!(set("*/2"), 0b101_0101);
        assert!("0 3 * * 5-0".parse::<Cron>().is_err());
        assert_eq!(set("1,3-5/2"), 0b10_1010);
    }
}
