//! What a check expects of its query's answer: `> 0`, `= "ok"`, `empty`, `not empty`.
//!
//! Pure: the check room decides which value of the answer is compared.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use super::leaf::{Wrong, written_as_text};

/// What must be true of an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Expectation {
    /// The query gives no row.
    Empty,
    /// The query gives at least one row with a value that is not NULL.
    NotEmpty,
    /// The answer's single value compares so.
    Value(Comparison, Scalar),
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

/// A number or a text.
#[derive(Debug, Clone, PartialEq)]
pub enum Scalar {
    Integer(i64),
    Real(f64),
    Text(String),
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
}

fn integer_to_real(integer: i64, real: f64) -> Option<Ordering> {
    if real.is_nan() {
        return None;
    }
    // The cast saturates, so infinities and numbers beyond i128 keep their side.
    let whole = i128::from(integer).cmp(&(real.trunc() as i128));
    Some(whole.then_with(|| 0.0.partial_cmp(&real.fract()).unwrap_or(Ordering::Equal)))
}

impl FromStr for Expectation {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        let wrong = |what: &str| {
            Wrong::new(
                what,
                "write =, !=, <, <=, > or >= and a number or a quoted text, e.g. \"> 0\"; or \
                 \"empty\"; or \"not empty\"",
            )
        };
        let text = text.trim();
        match text.split_ascii_whitespace().collect::<Vec<_>>()[..] {
            ["empty"] => return Ok(Self::Empty),
            ["not", "empty"] => return Ok(Self::NotEmpty),
            _ => {}
        }
        let (rest, how) = SIGNS
            .iter()
            .find_map(|(sign, how)| text.strip_prefix(sign).map(|rest| (rest.trim(), *how)))
            .ok_or_else(|| wrong("not an expectation"))?;
        let quoted = ['"', '\''].iter().find_map(|quote| {
            let inner = rest.strip_prefix(*quote)?.strip_suffix(*quote)?;
            (!inner.contains(*quote)).then_some(inner)
        });
        if let Some(inner) = quoted {
            return Ok(Self::Value(how, Scalar::Text(inner.to_owned())));
        }
        // Rust also reads "inf" and "nan", which no query should be compared with.
        if !rest.ends_with(|c: char| c.is_ascii_digit()) {
            return Err(wrong("neither a number nor a quoted text"));
        }
        if let Ok(integer) = rest.parse() {
            return Ok(Self::Value(how, Scalar::Integer(integer)));
        }
        match rest.parse::<f64>() {
            Ok(real) if real.is_finite() => Ok(Self::Value(how, Scalar::Real(real))),
            _ => Err(wrong("neither a number nor a quoted text")),
        }
    }
}

impl fmt::Display for Expectation {
    /// As users write it; parses back to the same.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (how, value) = match self {
            Self::Empty => return f.write_str("empty"),
            Self::NotEmpty => return f.write_str("not empty"),
            Self::Value(how, value) => (how, value),
        };
        let sign =
            SIGNS.iter().find(|(_, sign)| sign == how).map(|(text, _)| *text).unwrap_or_default();
        match value {
            Scalar::Integer(value) => write!(f, "{sign} {value}"),
            Scalar::Real(value) => write!(f, "{sign} {value:?}"),
            Scalar::Text(value) if value.contains('"') => write!(f, "{sign} '{value}'"),
            Scalar::Text(value) => write!(f, "{sign} \"{value}\""),
        }
    }
}

written_as_text!(Expectation, "expectation", "What the answer must be: > 0, = \"ok\", empty");

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(expectation: &str, found: Scalar) -> Option<bool> {
        match expectation.parse().unwrap() {
            Expectation::Value(how, expected) => how.holds(&found, &expected),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn expectations_are_shown_as_they_are_written() {
        for text in ["> 0", ">= 5", "!= -3", "= \"ok\"", "= 'a\"b'", "< 1.5", "empty", "not empty"]
        {
            assert_eq!(text.parse::<Expectation>().unwrap().to_string(), text);
        }
        assert_eq!(">0".parse::<Expectation>().unwrap().to_string(), "> 0");
    }

    #[test]
    fn what_is_no_expectation_is_refused() {
        for text in
            ["", "0", "=> 1", "> nan", "= inf", "= ok", "= \"", "= \"a\" \"b\"", "> 0 0", "= 1e999"]
        {
            assert!(text.parse::<Expectation>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn numbers_compare_exactly_and_never_with_texts() {
        assert_eq!(holds("> 0", Scalar::Integer(0)), Some(false));
        assert_eq!(holds("> 0", Scalar::Real(0.5)), Some(true));
        assert_eq!(holds("<= 2.5", Scalar::Integer(2)), Some(true));
        assert_eq!(holds("= 9007199254740993", Scalar::Real(9_007_199_254_740_992.0)), Some(false));
        assert_eq!(holds("< 0", Scalar::Real(f64::NEG_INFINITY)), Some(true));
        assert_eq!(holds("> -1.5", Scalar::Integer(-1)), Some(true));
        assert_eq!(holds("= 5", Scalar::Text("5".into())), None);
        assert_eq!(holds(">= \"2026-10\"", Scalar::Text("2026-11".into())), Some(true));
        assert_eq!(holds("= 1", Scalar::Real(f64::NAN)), None);
    }
}
