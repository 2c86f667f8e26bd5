//! Spans of the calendar: what `within = "1y 6mo"` means.

use std::fmt;
use std::str::FromStr;

use super::leaf::{Wrong, written_as_text};

/// A span of the calendar, longer than nothing; written `14d` or `1y 6mo`. Unlike a duration a
/// month has as many days as it has, and a day may have 23 or 25 hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CalendarSpan {
    pub years: u16,
    pub months: u16,
    pub days: u16,
    pub hours: u16,
}

/// Of years, months and hours: above it nothing is gained, and sums stay within the calendar.
const MOST: u32 = 1000;
const DAYS_OF_A_WEEK: u32 = 7;
/// Of days: as many weeks.
const MOST_DAYS: u32 = MOST * DAYS_OF_A_WEEK;

impl FromStr for CalendarSpan {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        const HINT: &str = "write a number and y, mo, w, d or h, e.g. \"14d\" or \"1y 6mo\"";
        let wrong = || Wrong::new("not a span of the calendar", HINT);
        let mut span = Self::default();
        let mut rest = text.trim();
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (number, tail) = rest.split_at(digits);
            let letters = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
            let (unit, tail) = tail.split_at(letters);
            let number = number.parse::<u32>().map_err(|_| wrong())?;
            let (field, number, most) = match unit {
                "y" => (&mut span.years, number, MOST),
                "mo" => (&mut span.months, number, MOST),
                "w" => (&mut span.days, number.saturating_mul(DAYS_OF_A_WEEK), MOST_DAYS),
                "d" => (&mut span.days, number, MOST_DAYS),
                "h" => (&mut span.hours, number, MOST),
                _ => return Err(wrong()),
            };
            let sum = u32::from(*field).saturating_add(number);
            let sum = u16::try_from(sum).ok().filter(|sum| u32::from(*sum) <= most);
            *field = sum.ok_or_else(wrong)?;
            rest = tail.trim_start();
        }
        if span == Self::default() {
            return Err(Wrong::new("a span of nothing", HINT));
        }
        Ok(span)
    }
}

impl fmt::Display for CalendarSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { years, months, days, hours } = *self;
        let parts = [(years, "y"), (months, "mo"), (days, "d"), (hours, "h")];
        let written = parts.iter().filter(|(number, _)| *number > 0);
        let written: Vec<_> = written.map(|(number, unit)| format!("{number}{unit}")).collect();
        f.pad(&written.join(" "))
    }
}

written_as_text!(CalendarSpan, "calendar-span", "A span of the calendar such as 14d or 1y 6mo");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_read_as_it_is_written() {
        for (text, again) in
            [("14d", "14d"), ("1y 6mo", "1y 6mo"), ("2w3h", "14d 3h"), ("9w900w", "6363d")]
        {
            let span: CalendarSpan = text.parse().unwrap();
            assert_eq!(span.to_string(), again);
            assert_eq!(again.parse::<CalendarSpan>().unwrap(), span);
        }
        for text in [
            "",
            "d",
            "0d",
            "5m",
            "1.5d",
            "-1d",
            "1001y",
            "14 d",
            "7001d",
            "1001w",
            "600mo600mo",
            "4000000000w",
            "99999999999d",
        ] {
            assert!(text.parse::<CalendarSpan>().is_err(), "{text:?}");
        }
    }
}
