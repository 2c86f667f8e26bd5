//! Questions that a policy's drills put to the captured moment itself, to compare answers with later.
//!
//! In: queries of checks. Out: the number that each gave, for the manifest. A question that the
//! engine does not answer never ends a capture: the check that asks it cannot pass without.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Cell, Context, Rows};
use crate::policy::expect::Scalar;

/// A query for one number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Where the source has several.
    pub database: Option<String>,
    pub query: String,
    /// The longest it may take.
    pub limit: Duration,
}

/// A question and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    pub database: Option<String>,
    pub query: String,
    pub answer: Answer,
}

/// What came of a question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// As [`Scalar`] writes numbers: JSON's would not come back as they were.
    Number(String),
    /// Why there is none, without values.
    None(String),
}

impl Question {
    /// It with what the engine said: rows, or why it gave none.
    pub(super) fn answered(&self, rows: Result<Rows, String>, context: &Context) -> Answered {
        let answer = match rows.and_then(|rows| number(&rows)) {
            Ok(number) => Answer::Number(number.to_string()),
            Err(why) => {
                let told = "a check compares with the captured moment, which gave no number";
                context.progress.note(&format!("{told}: {why}: {}", self.query));
                Answer::None(why)
            }
        };
        Answered { database: self.database.clone(), query: self.query.clone(), answer }
    }
}

/// The only value of an answer, which must be a number.
fn number(answer: &Rows) -> Result<Scalar, String> {
    match &answer.rows[..] {
        [row] => match &row[..] {
            [Cell::Integer(number)] => Ok(Scalar::Integer(*number)),
            [Cell::Real(number)] if number.is_finite() => Ok(Scalar::Real(*number)),
            [Cell::Null] => Err("the answer was NULL".to_owned()),
            [_] => Err("the answer was no number".to_owned()),
            row => Err(format!("the answer had {} values", row.len())),
        },
        rows => Err(format!("the answer had {} rows", rows.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_finite_number_is_an_answer_and_it_comes_back_as_it_was() {
        let of = |rows: Vec<Vec<Cell>>| number(&Rows { columns: vec![], rows });

        for cell in [Cell::Integer(i64::MIN), Cell::Real(0.1 + 0.2), Cell::Real(1e300)] {
            let found = of(vec![vec![cell]]).unwrap();
            assert_eq!(Scalar::number(&found.to_string()), Some(found));
        }
        for rows in [
            vec![],
            vec![vec![]],
            vec![vec![Cell::Null]],
            vec![vec![Cell::Text("5".into())]],
            vec![vec![Cell::Real(f64::NAN)]],
            vec![vec![Cell::Integer(1)], vec![Cell::Integer(1)]],
            vec![vec![Cell::Integer(1), Cell::Integer(1)]],
        ] {
            assert!(of(rows.clone()).is_err(), "{rows:?}");
        }
    }
}
