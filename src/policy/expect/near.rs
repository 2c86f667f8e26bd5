//! How far an answer may lie from the one that the captured moment gave.

use std::fmt;
use std::str::FromStr;

use super::Scalar;

/// A share in hundredths of a per cent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Percent(u32);

impl Percent {
    /// Whether `found` lies no further than this share of `then` from it; none unless both are numbers.
    pub fn holds(self, found: &Scalar, then: &Scalar) -> Option<bool> {
        match (found, then) {
            // Exact, whatever their size.
            (Scalar::Integer(found), Scalar::Integer(then)) => {
                let (found, then) = (i128::from(*found), i128::from(*then));
                Some((found - then).abs() * 10_000 <= then.abs() * i128::from(self.0))
            }
            _ => {
                let (found, then) = (real(found)?, real(then)?);
                let is_near = (found - then).abs() * 10_000.0 <= then.abs() * f64::from(self.0);
                Some(is_near && found.is_finite() && then.is_finite())
            }
        }
    }
}

fn real(scalar: &Scalar) -> Option<f64> {
    match scalar {
        Scalar::Integer(number) => Some(*number as f64),
        Scalar::Real(number) => Some(*number),
        Scalar::Text(_) => None,
    }
}

impl FromStr for Percent {
    type Err = ();

    /// `5` or `0.25`: at most 100, with at most two decimals.
    fn from_str(text: &str) -> Result<Self, ()> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
        if !is_number(whole) || !is_number(decimals) || decimals.len() > 2 {
            return Err(());
        }
        let whole: u32 = whole.parse().map_err(drop)?;
        let decimals: u32 = format!("{decimals:0<2}").parse().map_err(drop)?;
        let hundredths = whole.checked_mul(100).map(|whole| whole + decimals);
        hundredths.filter(|hundredths| *hundredths <= 10_000).map(Self).ok_or(())
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0 / 100, self.0 % 100) {
            (whole, 0) => write!(f, "{whole}"),
            (whole, decimals) if decimals % 10 == 0 => write!(f, "{whole}.{}", decimals / 10),
            (whole, decimals) => write!(f, "{whole}.{decimals:02}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_of_the_captured_number_and_exact_at_its_edge() {
        let holds = |percent: &str, found, then| {
            let share = percent.parse::<Percent>().unwrap();
            share.holds(&Scalar::Integer(found), &Scalar::Integer(then))
        };

        for (percent, found, then, is_near) in [
            ("5", 105, 100, true),
            ("5", 106, 100, false),
            ("5", 95, 100, true),
            ("5", 94, 100, false),
            ("0", 100, 100, true),
            ("0", 101, 100, false),
            ("0.01", i64::MAX - 1, i64::MAX, true),
            ("0", i64::MAX - 1, i64::MAX, false),
            ("100", i64::MIN, i64::MAX, false),
            ("10", -105, -100, true),
        ] {
            assert_eq!(holds(percent, found, then), Some(is_near), "{percent} {found} {then}");
        }
        let share = "5".parse::<Percent>().unwrap();
        assert_eq!(share.holds(&Scalar::Real(105.0), &Scalar::Integer(100)), Some(true));
        assert_eq!(share.holds(&Scalar::Real(f64::NAN), &Scalar::Integer(1)), Some(false));
        assert_eq!(
            share.holds(&Scalar::Real(f64::INFINITY), &Scalar::Real(f64::INFINITY)),
            Some(false)
        );
        assert_eq!(share.holds(&Scalar::Text("5".into()), &Scalar::Integer(5)), None);
    }

    #[test]
    fn shares_are_shown_as_they_are_written_and_nonsense_is_refused() {
        for text in ["5", "0", "0.5", "0.05", "12.25", "100"] {
            assert_eq!(text.parse::<Percent>().unwrap().to_string(), text);
        }
        for text in ["", "-5", "5%", "100.01", "101", "1.234", ".5", "5.", "1e1"] {
            assert!(text.parse::<Percent>().is_err(), "{text:?}");
        }
    }
}
