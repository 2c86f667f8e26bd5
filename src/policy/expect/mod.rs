//! What a check expects of its query's answer: `> 0`, `matches "^ok"`, `within 5 % of capture`; and
//! of restored files: `pictures`.
//!
//! Pure: the check room decides which value of the answer is compared.

mod files;
mod near;
mod scalar;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use regex_lite::Regex;

use super::leaf::{Period, Wrong, written_as_text};

pub use files::ExpectedFiles;
pub use near::Percent;
pub use scalar::{Comparison, Scalar, Wanted};

/// What must be true of an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Expectation {
    /// The query gives no row.
    Empty,
    /// The query gives at least one row with a value that is not NULL.
    NotEmpty,
    /// The answer's single value is one of these.
    Value(Wanted),
    /// The answer has as many rows.
    Rows(Wanted),
    /// Every row's single value is a text that the expression matches.
    Matches(Expression),
    /// The answer's single number lies near the one that the captured moment gave.
    NearCapture(Percent),
    /// The answer's single value is a moment that lies no further from the captured one.
    FreshAtCapture(Duration),
}

/// A regular expression that can be read.
#[derive(Debug, Clone)]
pub struct Expression(Regex);

impl Expression {
    /// Whether some part of `text` matches.
    pub fn matches(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

const HINT: &str = "write =, !=, <, <=, > or >= and a number or a quoted text, e.g. \"> 0\"; \
                    \"between 1 and 9\", either with \"rows\" after it; \"empty\" or \"not empty\"; \
                    \"matches '^A[0-9]+$'\"; \"within 5 % of capture\" or \"within 2h of capture\"";

impl FromStr for Expectation {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        let text = text.trim();
        match text.split_ascii_whitespace().collect::<Vec<_>>()[..] {
            ["empty"] => return Ok(Self::Empty),
            ["not", "empty"] => return Ok(Self::NotEmpty),
            ["within", ref middle @ .., "of", "capture"] => return within(&middle.join(" ")),
            _ => {}
        }
        if let Some(rest) = text.strip_prefix("matches ") {
            return expression(rest.trim());
        }
        match Wanted::read(text).map_err(|what| Wrong::new(what, HINT))? {
            (wanted, "") => Ok(Self::Value(wanted)),
            (wanted, "rows" | "row") => rows(wanted),
            _ => Err(Wrong::new("more than one expectation", HINT)),
        }
    }
}

fn within(distance: &str) -> Result<Expectation, Wrong> {
    match distance.strip_suffix('%') {
        Some(share) => share.trim().parse().map(Expectation::NearCapture).map_err(|()| {
            Wrong::new("not a share", "write 0 to 100 and %, e.g. \"within 5 % of capture\"")
        }),
        None => distance.parse().map(|Period(time)| Expectation::FreshAtCapture(time)),
    }
}

fn expression(quoted: &str) -> Result<Expectation, Wrong> {
    const HINT: &str = "write it in quotes: expect = \"matches '^A[0-9]+$'\"";
    let inner = ['"', '\''].iter().find_map(|quote| {
        quoted.strip_prefix(*quote)?.strip_suffix(*quote).filter(|inner| !inner.contains(*quote))
    });
    let inner = inner.ok_or_else(|| Wrong::new("not a quoted expression", HINT))?;
    match Regex::new(inner) {
        Ok(expression) => Ok(Expectation::Matches(Expression(expression))),
        Err(error) => Err(Wrong::new(format!("not a regular expression: {error}"), HINT)),
    }
}

/// A number of rows: whole, and not what an answer without any has.
fn rows(wanted: Wanted) -> Result<Expectation, Wrong> {
    match wanted {
        Wanted::Compared(Comparison::Equal, Scalar::Integer(0)) => {
            Err(Wrong::new("an answer without rows", "write expect = \"empty\""))
        }
        wanted if wanted.is_of_counts() => Ok(Expectation::Rows(wanted)),
        _ => Err(Wrong::new("not a number of rows", "write e.g. \">= 100 rows\"")),
    }
}

impl fmt::Display for Expectation {
    /// As users write it; parses back to the same.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("empty"),
            Self::NotEmpty => f.write_str("not empty"),
            Self::Value(wanted) => wanted.fmt(f),
            Self::Rows(wanted) => write!(f, "{wanted} rows"),
            Self::Matches(Expression(expression)) if expression.as_str().contains('"') => {
                write!(f, "matches '{expression}'")
            }
            Self::Matches(Expression(expression)) => write!(f, "matches \"{expression}\""),
            Self::NearCapture(share) => write!(f, "within {share} % of capture"),
            Self::FreshAtCapture(time) => write!(f, "within {} of capture", Period(*time)),
        }
    }
}

/// What stands at `expect`: which of the two it is read as, what the check asks decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Expected(pub String);

impl FromStr for Expected {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        match (text.parse::<Expectation>(), text.parse::<ExpectedFiles>()) {
            (Err(_), Err(wrong)) if ["file", "sha256"].iter().any(|word| text.contains(word)) => {
                Err(wrong)
            }
            (Err(wrong), Err(_)) => Err(wrong),
            _ => Ok(Self(text.to_owned())),
        }
    }
}

written_as_text!(
    Expected,
    "expectation",
    "What the answer must be: > 0, = \"ok\", between 1 and 9, >= 100 rows, empty, within 5 % of capture; \
     of files: not empty, >= 100 files, pictures, sha256 …"
);

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(expectation: &str, found: Scalar) -> Option<bool> {
        match expectation.parse().unwrap() {
            Expectation::Value(wanted) => wanted.holds(&found),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn expectations_are_shown_as_they_are_written() {
        for text in [
            "> 0",
            ">= 5",
            "!= -3",
            "= \"ok\"",
            "= 'a\"b'",
            "< 1.5",
            "empty",
            "not empty",
            "between 1 and 9",
            "between -1.5 and 9",
            "between \"a and b\" and \"c\"",
            ">= 100 rows",
            "between 1 and 3 rows",
            "matches \"^A[0-9]{3}$\"",
            "matches '\"'",
            "within 5 % of capture",
            "within 0.25 % of capture",
            "within 2h of capture",
            "within 1d 1h 30m 5s 7ms of capture",
        ] {
            let read = text.parse::<Expectation>().unwrap();
            assert_eq!(read.to_string(), text);
            assert_eq!(read.to_string().parse::<Expectation>().unwrap(), read);
        }
        for (written, shown) in [
            (">0", "> 0"),
            (" >= 1  row ", ">= 1 rows"),
            ("within  5% of  capture", "within 5 % of capture"),
            ("within 120m of capture", "within 2h of capture"),
        ] {
            assert_eq!(written.parse::<Expectation>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_expectation_is_refused() {
        for text in [
            "",
            "0",
            "=> 1",
            "> nan",
            "= inf",
            "= ok",
            "= \"",
            "= \"a\" \"b\"",
            "> 0 0",
            "= 1e999",
            "between 1",
            "between 9 and 1",
            "between 1 and \"b\"",
            "between 1 and 2 and 3",
            "= 0 rows",
            ">= 1.5 rows",
            ">= -1 rows",
            "= \"a\" rows",
            "matches ^a",
            "matches '('",
            "within of capture",
            "within 5 of capture",
            "within 101 % of capture",
            "within 0h of capture",
            "within 2h of now",
        ] {
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
        assert_eq!(holds("between 1 and 3", Scalar::Integer(3)), Some(true));
        assert_eq!(holds("between 1 and 3", Scalar::Integer(1)), Some(true));
        assert_eq!(holds("between 1 and 3", Scalar::Real(3.5)), Some(false));
        assert_eq!(holds("between 1 and 3", Scalar::Integer(0)), Some(false));
        assert_eq!(holds("between 1 and 3", Scalar::Text("2".into())), None);
    }
}
