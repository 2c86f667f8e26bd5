//! Values that answers are compared with, and which values are right.

use std::cmp::Ordering;
use std::fmt;

/// A number or a text.
#[derive(Debug, Clone, PartialEq)]
pub enum Scalar {
    Integer(i64),
    Real(f64),
    Text(String),
}

/// How the value found stands to the value expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    AtMost,
    Greater,
    AtLeast,
}

/// Which values are right.
#[derive(Debug, Clone, PartialEq)]
pub enum Wanted {
    Compared(Comparison, Scalar),
    /// Both ends included; they are of one type, and the first is not the greater.
    Between(Scalar, Scalar),
}

/// The longer signs first, so that `>=` is not read as `>`.
const SIGNS: [(&str, Comparison); 6] = [
    ("!=", Comparison::NotEqual),
    ("<=", Comparison::AtMost),
    (">=", Comparison::AtLeast),
    ("=", Comparison::Equal),
    ("<", Comparison::Less),
    (">", Comparison::Greater),
];

impl Comparison {
    /// Whether `found` stands so to `expected`; `None` where a number meets a text.
    pub fn holds(self, found: &Scalar, expected: &Scalar) -> Option<bool> {
        let order = found.order(expected)?;
        Some(match self {
            Self::Equal => order.is_eq(),
            Self::NotEqual => order.is_ne(),
            Self::Less => order.is_lt(),
            Self::AtMost => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::AtLeast => order.is_ge(),
        })
    }
}

impl Wanted {
    /// Whether `found` is right; `None` where a number meets a text.
    pub fn holds(&self, found: &Scalar) -> Option<bool> {
        match self {
            Self::Compared(how, expected) => how.holds(found, expected),
            Self::Between(least, most) => Some(
                Comparison::AtLeast.holds(found, least)?
                    && Comparison::AtMost.holds(found, most)?,
            ),
        }
    }

    /// Whether they are numbers of things: whole, and none below zero.
    pub(super) fn is_of_counts(&self) -> bool {
        let is_count = |value: &Scalar| matches!(value, Scalar::Integer(0..));
        match self {
            Self::Compared(_, value) => is_count(value),
            Self::Between(least, most) => is_count(least) && is_count(most),
        }
    }

    /// Whether values beside one of them are numbers.
    pub fn is_of_numbers(&self) -> bool {
        let (Self::Compared(_, value) | Self::Between(value, _)) = self;
        !matches!(value, Scalar::Text(_))
    }

    /// Reads one at the beginning of `text`: it and what follows, or what is wrong.
    pub(super) fn read(text: &str) -> Result<(Self, &str), &'static str> {
        if let Some(rest) = text.strip_prefix("between ") {
            let (least, rest) = Scalar::read(rest.trim_start()).ok_or(NO_VALUE)?;
            let rest = rest.strip_prefix("and ").ok_or("`between` without `and`")?;
            let (most, rest) = Scalar::read(rest.trim_start()).ok_or(NO_VALUE)?;
            return match least.order(&most) {
                Some(Ordering::Less | Ordering::Equal) => Ok((Self::Between(least, most), rest)),
                Some(Ordering::Greater) => Err("nothing lies between these two"),
                None => Err("a number and a text are never compared"),
            };
        }
        let (rest, how) = SIGNS
            .iter()
            .find_map(|(sign, how)| text.strip_prefix(sign).map(|rest| (rest.trim_start(), *how)))
            .ok_or("not an expectation")?;
        let (value, rest) = Scalar::read(rest).ok_or(NO_VALUE)?;
        Ok((Self::Compared(how, value), rest))
    }
}

const NO_VALUE: &str = "neither a number nor a quoted text";

impl Scalar {
    /// Numbers by value, exactly even beyond 2⁵³; texts byte by byte; nothing else, nor NaN.
    fn order(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Integer(a), Self::Integer(b)) => Some(a.cmp(b)),
            (Self::Real(a), Self::Real(b)) => a.partial_cmp(b),
            (Self::Integer(a), Self::Real(b)) => integer_to_real(*a, *b),
            (Self::Real(a), Self::Integer(b)) => integer_to_real(*b, *a).map(Ordering::reverse),
            (Self::Text(a), Self::Text(b)) => Some(a.as_bytes().cmp(b.as_bytes())),
            _ => None,
        }
    }

    /// A number as [`fmt::Display`] writes it.
    pub fn number(text: &str) -> Option<Self> {
        // Rust also reads "inf" and "nan", which no query should be compared with.
        if !text.ends_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        let real = || text.parse::<f64>().ok().filter(|real| real.is_finite());
        text.parse().map(Self::Integer).ok().or_else(|| real().map(Self::Real))
    }

    /// Reads one at the beginning of `text`; what follows comes without leading space.
    fn read(text: &str) -> Option<(Self, &str)> {
        for quote in ['"', '\''] {
            if let Some(rest) = text.strip_prefix(quote) {
                let (inner, rest) = rest.split_once(quote)?;
                return Some((Self::Text(inner.to_owned()), rest.trim_start()));
            }
        }
        let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        Some((Self::number(word)?, rest.trim_start()))
    }
}

fn integer_to_real(integer: i64, real: f64) -> Option<Ordering> {
    if real.is_nan() {
        return None;
    }
    // The cast saturates, so infinities and numbers beyond i128 keep their side.
    let whole = i128::from(integer).cmp(&(real.trunc() as i128));
    Some(whole.then_with(|| 0.0.partial_cmp(&real.fract()).unwrap_or(Ordering::Equal)))
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(value) => value.fmt(f),
            Self::Real(value) => write!(f, "{value:?}"),
            Self::Text(value) if value.contains('"') => write!(f, "'{value}'"),
            Self::Text(value) => write!(f, "\"{value}\""),
        }
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Compared(how, value) => {
                let sign = SIGNS.iter().find(|(_, sign)| sign == how);
                write!(f, "{} {value}", sign.map_or("", |(text, _)| text))
            }
            Self::Between(least, most) => write!(f, "between {least} and {most}"),
        }
    }
}
