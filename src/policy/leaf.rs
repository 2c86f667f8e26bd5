//! Single values that users write as text: durations, sizes, time zones, moments, references.
//!
//! In: text. Out: typed values, or what is wrong with a hint. Each names a `format` in the JSON
//! Schema, by which `walk` checks it where it stands.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::nearest::nearest;
use crate::ground::ids::Name;
use crate::ground::size::{ByteRate, ByteSize};

/// Why a text is not what its key asks for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct Wrong {
    pub what: String,
    /// What would be right.
    pub hint: Option<String>,
}

impl Wrong {
    pub(super) fn new(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { what: what.into(), hint: Some(hint.into()) }
    }
}

/// Reads the type from text wherever serde meets it, and names its format in the schema.
macro_rules! written_as_text {
    ($type:ty, $format:literal, $description:literal) => {
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl schemars::JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                $format.into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": "string", "format": $format, "description": $description,
                })
            }
        }
    };
}
pub(super) use written_as_text;

/// Checks `text` against a `format` of the schema; formats unknown here are not checked.
pub(super) fn check(format: &str, text: &str) -> Result<(), Wrong> {
    match format {
        "cron" => text.parse::<super::schedule::Cron>().map(drop),
        "duration-text" => text.parse::<Period>().map(drop),
        "size-text" => text.parse::<Size>().map(drop),
        "rate-text" => text.parse::<Rate>().map(drop),
        "time-zone" => text.parse::<Zone>().map(drop),
        "instant" => text.parse::<Instant>().map(drop),
        "policy-reference" => text.parse::<PolicyRef>().map(drop),
        "expectation" => text.parse::<super::expect::Expected>().map(drop),
        "store-url" => text.parse::<super::address::StoreUrl>().map(drop),
        "s3-endpoint" => text.parse::<super::address::Endpoint>().map(drop),
        "state-url" => text.parse::<super::address::StateUrl>().map(drop),
        "gitignore-pattern" => text.parse::<Pattern>().map(drop),
        "path-text" => text.parse::<super::address::PathText>().map(drop),
        "words" => text.parse::<Words>().map(drop),
        "calendar-span" => text.parse::<super::span::CalendarSpan>().map(drop),
        "snapshot-id" => text.parse::<SnapshotPrefix>().map(drop),
        _ => Ok(()),
    }
}

/// A length of time greater than zero; written `6h`, `30m` or `1h 30m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period(pub Duration);

impl FromStr for Period {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        const HINT: &str = "write a number and w, d, h, m, s or ms, e.g. \"6h\" or \"1h 30m\"";
        let wrong = || Wrong::new("not a duration", HINT);
        let mut total_ms = 0u64;
        let mut rest = text.trim();
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (number, tail) = rest.split_at(digits);
            let letters = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
            let (unit, tail) = tail.split_at(letters);
            let unit_ms = match unit {
                "w" => 604_800_000,
                "d" => 86_400_000,
                "h" => 3_600_000,
                "m" | "min" => 60_000,
                "s" => 1_000,
                "ms" => 1,
                _ => return Err(wrong()),
            };
            let part = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit_ms));
            total_ms = part.and_then(|part| total_ms.checked_add(part)).ok_or_else(wrong)?;
            rest = tail.trim_start();
        }
        // A century is beyond every promise and keeps later sums from overflowing.
        match total_ms {
            0 if text.bytes().any(|c| c.is_ascii_digit()) => {
                Err(Wrong::new("a duration of zero", "it must be longer than nothing"))
            }
            0 => Err(wrong()),
            1..=3_155_760_000_000 => Ok(Self(Duration::from_millis(total_ms))),
            _ => Err(Wrong::new("longer than a hundred years", HINT)),
        }
    }
}

impl fmt::Display for Period {
    /// In as few units as will do; parses back to the same.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest_ms = self.0.as_millis();
        for (unit, unit_ms) in
            [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)]
        {
            let (whole, rest) = (rest_ms / unit_ms, rest_ms % unit_ms);
            if whole > 0 {
                write!(f, "{whole}{unit}{}", if rest > 0 { " " } else { "" })?;
            }
            rest_ms = rest;
        }
        Ok(())
    }
}

/// An amount of data; written `64MiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub ByteSize);

impl FromStr for Size {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        const HINT: &str = "write a number and B, KB, KiB, MB, MiB, GB, GiB, TB or TiB";
        match text.parse() {
            Ok(ByteSize(0)) => Err(Wrong::new("a size of zero", HINT)),
            Ok(size) => Ok(Self(size)),
            Err(_) => Err(Wrong::new("not a size", HINT)),
        }
    }
}

/// An amount of data per second; written `100MiB/s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate(pub ByteRate);

impl FromStr for Rate {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        const HINT: &str = "write a size (bytes, not bits) and /s, e.g. \"100MiB/s\"";
        match (text.parse(), text.strip_suffix("/s").map(str::parse)) {
            (Ok(rate), _) => Ok(Self(rate)),
            (_, Some(Ok(ByteSize(0)))) => {
                Err(Wrong::new("a rate of zero", "leave it out for no limit"))
            }
            _ => Err(Wrong::new("not a rate", HINT)),
        }
    }
}

/// A time zone of the IANA database, e.g. `Asia/Shanghai`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone(TimeZone);

impl Zone {
    /// Coordinated Universal Time.
    pub const UTC: Self = Self(TimeZone::UTC);

    /// As jiff knows it.
    pub fn time_zone(&self) -> &TimeZone {
        &self.0
    }
}

impl FromStr for Zone {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        if let Ok(zone) = TimeZone::get(text)
            && zone.iana_name().is_some()
        {
            return Ok(Self(zone));
        }
        let names: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
        let hint = match nearest(text, names.iter().map(String::as_str)) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => "write a name of the IANA database, e.g. \"Asia/Shanghai\" or \"UTC\"".into(),
        };
        Err(Wrong::new("unknown time zone", hint))
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0.iana_name().unwrap_or("UTC"))
    }
}

/// A moment, written with its zone: `2026-10-01T00:00:00Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instant(pub Timestamp);

impl FromStr for Instant {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        text.parse().map(Self).map_err(|_| {
            Wrong::new(
                "not a moment in time",
                "write date, time and zone, e.g. \"2026-10-01T08:00:00+08:00\"",
            )
        })
    }
}

/// A policy by its whole name: `acme/shop`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyRef {
    pub customer: Name,
    pub policy: Name,
}

impl FromStr for PolicyRef {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        text.split_once('/')
            .and_then(|(customer, policy)| {
                Some(Self { customer: customer.parse().ok()?, policy: policy.parse().ok()? })
            })
            .ok_or_else(|| {
                Wrong::new("not the name of a policy", "write customer/policy, e.g. \"acme/shop\"")
            })
    }
}

/// One pattern in .gitignore's syntax.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(pub String);

impl FromStr for Pattern {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        const HINT: &str = "patterns are as in .gitignore, e.g. \"*.tmp\", \"/cache/\"";
        let mut builder = ignore::gitignore::GitignoreBuilder::new("/");
        if text.trim().is_empty() || text.contains('\n') {
            return Err(Wrong::new("a pattern that matches nothing", HINT));
        }
        builder.add_line(None, text).map_err(|_| Wrong::new("not a pattern", HINT))?;
        Ok(Self(text.to_owned()))
    }
}

/// Text that says something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words(pub String);

impl FromStr for Words {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        if text.trim().is_empty() {
            return Err(Wrong { what: "empty text".into(), hint: None });
        }
        if text.contains('\0') {
            return Err(Wrong { what: "text with a zero byte".into(), hint: None });
        }
        Ok(Self(text.to_owned()))
    }
}

/// A snapshot's id, or as much of it as tells it from others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotPrefix(pub String);

/// As many digits as `snapshots` shows.
const SHORTEST: usize = 8;
const WHOLE: usize = 64;

impl FromStr for SnapshotPrefix {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        let is_digit = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
        if (SHORTEST..=WHOLE).contains(&text.len()) && text.bytes().all(is_digit) {
            return Ok(Self(text.to_owned()));
        }
        Err(Wrong::new(
            "not the id of a snapshot",
            "write its id as `lifeboat snapshots` shows it: 8 to 64 of 0-9 and a-f",
        ))
    }
}

written_as_text!(Period, "duration-text", "A duration such as 6h, 30m or 1h 30m");
written_as_text!(Size, "size-text", "An amount of data such as 64MiB");
written_as_text!(Rate, "rate-text", "An amount of data per second such as 100MiB/s");
written_as_text!(Zone, "time-zone", "A time zone of the IANA database, e.g. Asia/Shanghai");
written_as_text!(Instant, "instant", "A moment with its zone, e.g. 2026-10-01T08:00:00+08:00");
written_as_text!(PolicyRef, "policy-reference", "A policy as customer/policy");
written_as_text!(Pattern, "gitignore-pattern", "A pattern in .gitignore's syntax");
written_as_text!(Words, "words", "Text that is not empty");
written_as_text!(SnapshotPrefix, "snapshot-id", "A snapshot's id, or at least 8 digits of it");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_add_up_and_nothing_or_nonsense_is_refused() {
        for (text, seconds) in
            [("6h", 21_600), ("1h 30m", 5_400), ("1h30m", 5_400), ("2d", 172_800)]
        {
            assert_eq!(text.parse::<Period>().unwrap().0.as_secs(), seconds, "{text}");
        }
        for text in
            ["", "6", "h", "-1h", "0m", "1.5h", "99999999999999999999h", "9999999w", "6 parsecs"]
        {
            assert!(text.parse::<Period>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_mistyped_zone_is_told_its_right_name() {
        let wrong = "Asia/Shangai".parse::<Zone>().unwrap_err();

        assert_eq!(wrong.hint.as_deref(), Some("did you mean \"Asia/Shanghai\"?"));
    }

    #[test]
    fn zones_are_known_on_a_machine_without_zone_files() {
        assert!(jiff::tz::TimeZoneDatabase::bundled().get("Asia/Shanghai").is_ok());
    }

    #[test]
    fn ids_too_short_to_tell_or_of_other_letters_are_refused() {
        assert!("0123abcd".parse::<SnapshotPrefix>().is_ok());
        for text in ["", "0123abc", "0123ABCD", "0123abcg", &"0".repeat(65)] {
            assert!(text.parse::<SnapshotPrefix>().is_err(), "{text:?}");
        }
    }
}
