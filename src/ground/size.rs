//! Amounts of data as users write and read them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A number of bytes; written `64MiB`, `1.5GB` or `512`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ByteSize(pub u64);

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

#[cfg(test)]
mod tests {
    use super::*;

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
    fn sizes_are_shown_with_three_digits() {
        let shown: Vec<_> =
            [0, 999, 1024, 12_900_000, 1 << 40].map(|n| ByteSize(n).to_string()).to_vec();
        assert_eq!(shown, ["0 B", "999 B", "1.00 KiB", "12.3 MiB", "1.00 TiB"]);
    }
}
