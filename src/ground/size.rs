//! Amounts of data, and rates, as users write and read them.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A number of bytes; written `64MiB`, `1.5GB` or `512`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ByteSize(pub u64);

/// So many of something, for messages: `1 file`, `2 files`. For words whose plural ends in s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count(pub u64, pub &'static str);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(number, one) = *self;
        write!(f, "{number} {one}{}", if number == 1 { "" } else { "s" })
    }
}

/// Text that is not a size.
#[derive(Debug, thiserror::Error)]
#[error("{found:?} is not a size: expected a number and B, KB, KiB, MB, MiB, GB, GiB, TB or TiB")]
pub struct NotASize {
    found: String,
}

const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

impl FromStr for ByteSize {
    type Err = NotASize;

    fn from_str(text: &str) -> Result<Self, NotASize> {
        let error = || NotASize { found: text.chars().take(80).collect() };
        let (number, unit) = UNITS
            .iter()
            .find_map(|(suffix, unit)| text.strip_suffix(suffix).map(|number| (number, *unit)))
            .unwrap_or((text, 1));
        let number = number.trim_end();
        if number.is_empty() || !number.bytes().all(|c| c.is_ascii_digit() || c == b'.') {
            return Err(error());
        }
        if let Ok(whole) = number.parse::<u64>() {
            return whole.checked_mul(unit).map(Self).ok_or_else(error);
        }
        let bytes = number.parse::<f64>().map_err(|_| error())? * unit as f64;
        if bytes.is_finite() && bytes < u64::MAX as f64 {
            Ok(Self(bytes.round() as u64))
        } else {
            Err(error())
        }
    }
}

impl fmt::Display for ByteSize {
    /// Three significant digits with a binary unit: `12.3 MiB`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (suffix, unit) =
            UNITS[..4].iter().find(|(_, unit)| self.0 >= *unit).copied().unwrap_or(("B", 1));
        if unit == 1 {
            return f.pad(&format!("{} B", self.0));
        }
        let value = self.0 as f64 / unit as f64;
        let digits = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
        f.pad(&format!("{value:.digits$} {suffix}"))
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u64::deserialize(deserializer).map(Self)
    }
}

/// Bytes per second, never none; written `100MiB/s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteRate(pub NonZeroU64);

/// Text that is not a rate.
#[derive(Debug, thiserror::Error)]
#[error("{found:?} is not a rate: expected a size and /s, e.g. 100MiB/s")]
pub struct NotARate {
    found: String,
}

impl ByteRate {
    /// How long `bytes` take.
    pub fn time_for(self, bytes: u64) -> Duration {
        let rate = self.0.get();
        let nanos = u128::from(bytes % rate) * 1_000_000_000 / u128::from(rate);
        Duration::new(bytes / rate, nanos as u32)
    }

    /// How many bytes go in `time`.
    pub fn bytes_in(self, time: Duration) -> u64 {
        let bytes = u128::from(self.0.get()).saturating_mul(time.as_nanos()) / 1_000_000_000;
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }
}

impl FromStr for ByteRate {
    type Err = NotARate;

    fn from_str(text: &str) -> Result<Self, NotARate> {
        text.strip_suffix("/s")
            .and_then(|size| size.trim_end().parse::<ByteSize>().ok())
            .and_then(|size| NonZeroU64::new(size.0))
            .map(Self)
            .ok_or_else(|| NotARate { found: text.chars().take(80).collect() })
    }
}

impl fmt::Display for ByteRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/s", ByteSize(self.0.get())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_sizes_a_second_and_never_nothing() {
        let rate = |text: &str| text.parse::<ByteRate>();

        assert_eq!(rate("100MiB/s").unwrap().0.get(), 100 << 20);
        assert_eq!(rate("1.5 KB/s").unwrap().to_string(), "1.46 KiB/s");
        for text in ["100MiB", "0MiB/s", "/s", "50Mbit/s", "1MiB/min", "-1KiB/s"] {
            assert!(rate(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn bytes_and_the_time_they_take_belong_together() {
        let rate = "3MB/s".parse::<ByteRate>().unwrap();

        assert_eq!(rate.time_for(1_500_000), Duration::from_millis(500));
        assert_eq!(rate.bytes_in(Duration::from_millis(500)), 1_500_000);
        let slowest = "1B/s".parse::<ByteRate>().unwrap();
        assert_eq!(slowest.time_for(u64::MAX).as_secs(), u64::MAX);
        let fastest = ByteRate(NonZeroU64::MAX);
        assert_eq!(fastest.bytes_in(Duration::MAX), u64::MAX);
    }

    #[test]
    fn sizes_are_read_with_binary_and_decimal_units() {
        let cases = [("64MiB", 64 << 20), ("1.5KB", 1500), ("7", 7), ("2 GiB", 2 << 30)];
        for (text, bytes) in cases {
            assert_eq!(text.parse::<ByteSize>().unwrap().0, bytes, "{text}");
        }
    }

    #[test]
    fn sizes_that_are_none_or_overflow_are_refused() {
        for text in ["", "MiB", "-1B", "1e9", "99999999999TiB", "1.2.3MB", "5 parsecs"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn what_is_counted_is_one_or_several() {
        let shown = [0, 1, 2].map(|number| Count(number, "older snapshot").to_string());
        assert_eq!(shown, ["0 older snapshots", "1 older snapshot", "2 older snapshots"]);
    }

    #[test]
    fn sizes_are_shown_with_three_digits() {
        let shown: Vec<_> =
            [0, 999, 1024, 12_900_000, 1 << 40].map(|n| ByteSize(n).to_string()).to_vec();
        assert_eq!(shown, ["0 B", "999 B", "1.00 KiB", "12.3 MiB", "1.00 TiB"]);
    }
}
