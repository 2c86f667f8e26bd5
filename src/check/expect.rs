//! An owner's expectation, applied to the answer of the owner's query.

use super::Outcome;
use super::then::{Then, lag};
use crate::policy::expect::{Expectation, Expression, Scalar, Wanted};
use crate::source::{Cell, Place, Rows};

/// What became of an expectation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    pub outcome: Outcome,
    /// What was found: a number, a moment, how many rows. Never a text of the data.
    pub found: Option<String>,
    /// What it was compared with, where that comes from the capture.
    pub at_capture: Option<String>,
}

impl From<Outcome> for Judged {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, found: None, at_capture: None }
    }
}

/// Whether `answer` is as expected; `check` names the assertion in what broke, `then` is what the
/// capture says of it.
///
/// A comparison wants one row with one value; NULL never holds, nor does a number where a text is
/// expected. A row of NULLs alone, as `max(…)` of an empty table gives it, is neither an empty
/// answer nor one that is not. Texts that were found stay out of the outcome, for it stands in records
/// that outlive the data; numbers and moments are what a check is read for.
pub fn expect(check: &str, expectation: &Expectation, answer: &Rows, then: &Then<'_>) -> Judged {
    let broke = |what: String| Outcome::broke(format!("check {check:?}"), what);
    let count = answer.rows.len() as u64;
    let rows = |outcome| Judged { outcome, found: Some(format!("{count} rows")), at_capture: None };
    match expectation {
        // The answer itself is what was looked at, so an empty one is still one thing.
        Expectation::Empty if count == 0 => rows(Outcome::of(1, [])),
        Expectation::Empty => rows(broke(format!("expected no row, found {count}"))),
        Expectation::NotEmpty => rows(not_empty(answer, broke)),
        Expectation::Rows(wanted) => {
            let is_so = wanted.holds(&Scalar::Integer(count.min(i64::MAX as u64) as i64));
            rows(match is_so {
                Some(true) => Outcome::of(count, []),
                _ => broke(format!("expected {wanted} rows, found {count}")),
            })
        }
        Expectation::Matches(expression) => rows(matches(expression, answer, broke)),
        Expectation::Value(wanted) => match single(answer, expectation) {
            Ok(value) => of_value(wanted, &value, broke),
            Err(what) => broke(what).into(),
        },
        Expectation::NearCapture(share) => match single(answer, expectation) {
            Ok(value) => then.number(*share, &value, broke),
            Err(what) => broke(what).into(),
        },
        Expectation::FreshAtCapture(within) => match single(answer, expectation) {
            Ok(value) => lag(*within, &value, then, broke),
            Err(what) => broke(what).into(),
        },
    }
}

fn not_empty(answer: &Rows, broke: impl Fn(String) -> Outcome) -> Outcome {
    let says_something = |row: &&Vec<Cell>| row.iter().any(|cell| *cell != Cell::Null);
    match (answer.rows.iter().filter(says_something).count() as u64, answer.rows.len()) {
        (0, 0) => broke("expected at least one row, found none".to_owned()),
        (0, rows) => broke(format!("expected a value, found {rows} rows of NULL")),
        (found, _) => Outcome::of(found, []),
    }
}

/// Every row's single value must be a text that matches.
fn matches(expression: &Expression, answer: &Rows, broke: impl Fn(String) -> Outcome) -> Outcome {
    let mut places = Vec::new();
    for (number, row) in answer.rows.iter().enumerate() {
        let what = match &row[..] {
            [Cell::Text(text)] if expression.matches(text) => continue,
            [Cell::Text(_)] => "does not match",
            [Cell::Null] => "is NULL",
            [_] => "is no text",
            row => return broke(format!("expected one value a row, found {}", row.len())),
        };
        places.push(Place { object: format!("row {}", number + 1), what: what.to_owned() });
    }
    Outcome::of(answer.rows.len() as u64, places)
}

fn of_value(wanted: &Wanted, value: &Scalar, broke: impl Fn(String) -> Outcome) -> Judged {
    let outcome = match wanted.holds(value) {
        Some(true) => Outcome::of(1, []),
        Some(false) => broke(format!("the value found is not {wanted}")),
        None => broke(format!("expected {wanted}, found a value of another type")),
    };
    let is_number = !matches!(value, Scalar::Text(_)) && wanted.is_of_numbers();
    Judged { outcome, found: is_number.then(|| value.to_string()), at_capture: None }
}

/// The single value of an answer, or what is wrong with it.
fn single(answer: &Rows, expectation: &Expectation) -> Result<Scalar, String> {
    let [row] = &answer.rows[..] else {
        return Err(format!("expected one row to compare, found {}", answer.rows.len()));
    };
    let [cell] = &row[..] else {
        return Err(format!("expected one value to compare, found {}", row.len()));
    };
    match cell {
        Cell::Null => Err(format!("expected {expectation}, found NULL")),
        Cell::Blob(_) => Err(format!("expected {expectation}, found a blob")),
        Cell::Integer(number) => Ok(Scalar::Integer(*number)),
        Cell::Real(number) => Ok(Scalar::Real(*number)),
        Cell::Text(text) => Ok(Scalar::Text(text.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(expectation: &str, rows: Vec<Vec<Cell>>) -> Outcome {
        let answer = Rows { columns: vec!["v".into()], rows };
        expect("paid orders", &expectation.parse().unwrap(), &answer, &Then::of_nothing()).outcome
    }

    #[test]
    fn comparisons_hold_for_one_value_of_the_right_type() {
        let held = [
            ("= 5", Cell::Integer(5)),
            ("> 0", Cell::Real(0.5)),
            ("!= 'new'", Cell::Text("paid".into())),
            ("<= 10", Cell::Integer(10)),
        ];
        for (expectation, cell) in held {
            assert!(
                matches!(ends(expectation, vec![vec![cell]]), Outcome::Held { .. }),
                "{expectation}"
            );
        }
    }

    #[test]
    fn null_other_types_and_other_shapes_never_hold() {
        let shapes = [
            vec![vec![Cell::Null]],
            vec![vec![Cell::Text("5".into())]],
            vec![vec![Cell::Blob(vec![5])]],
            vec![vec![Cell::Real(f64::NAN)]],
            vec![],
            vec![vec![]],
            vec![vec![Cell::Integer(5)], vec![Cell::Integer(5)]],
            vec![vec![Cell::Integer(5), Cell::Integer(5)]],
        ];
        for rows in shapes {
            for expectation in ["= 5", "!= 6", "> 0"] {
                let outcome = ends(expectation, rows.clone());
                assert!(
                    matches!(outcome, Outcome::Broke(_)),
                    "{expectation} {rows:?}: {outcome:?}"
                );
            }
        }
    }

    #[test]
    fn empty_and_not_empty_look_at_the_number_of_rows() {
        assert!(matches!(ends("empty", vec![]), Outcome::Held { .. }));
        assert!(matches!(ends("empty", vec![vec![Cell::Null]]), Outcome::Broke(_)));
        assert!(matches!(ends("not empty", vec![vec![Cell::Integer(0)]]), Outcome::Held { .. }));
        assert!(matches!(ends("not empty", vec![]), Outcome::Broke(_)));
    }

    #[test]
    fn a_row_of_nulls_is_what_an_empty_table_gives_and_not_an_answer() {
        let nulls = vec![vec![Cell::Null, Cell::Null]];
        let mixed = vec![vec![Cell::Null], vec![Cell::Null, Cell::Text(String::new())]];

        assert!(matches!(ends("not empty", nulls), Outcome::Broke(_)));
        let Outcome::Held { compared } = ends("not empty", mixed) else { panic!("one says so") };
        assert_eq!(compared.get(), 1, "the row of NULL alone does not count");
    }

    #[test]
    fn rows_are_counted_and_an_answer_without_any_is_never_enough() {
        let rows = |number| vec![vec![Cell::Integer(1)]; number];

        let Outcome::Held { compared } = ends(">= 3 rows", rows(3)) else { panic!() };
        assert_eq!(compared.get(), 3);
        assert!(matches!(ends(">= 3 rows", rows(2)), Outcome::Broke(_)));
        assert!(matches!(ends("between 1 and 2 rows", rows(3)), Outcome::Broke(_)));
        for expectation in ["<= 3 rows", ">= 0 rows", "!= 1 rows", "between 0 and 5 rows"] {
            let outcome = ends(expectation, rows(0));
            assert!(matches!(outcome, Outcome::NotRun(_)), "{expectation}: {outcome:?}");
        }
    }

    #[test]
    fn every_row_must_match_and_rows_that_do_not_are_named_without_their_values() {
        let row = |text: &str| vec![Cell::Text(text.into())];
        let numbers = "matches '^A[0-9]+$'";

        let Outcome::Held { compared } = ends(numbers, vec![row("A1"), row("A22")]) else {
            panic!()
        };
        assert_eq!(compared.get(), 2);
        let mixed = vec![row("A1"), row("canary"), vec![Cell::Null], vec![Cell::Integer(1)]];
        let Outcome::Broke(broken) = ends(numbers, mixed) else { panic!() };
        let objects: Vec<_> = broken.places().iter().map(|place| place.object.as_str()).collect();
        assert_eq!(objects, ["row 2", "row 3", "row 4"]);
        assert!(!format!("{broken:?}").contains("canary"), "{broken:?}");
        assert!(matches!(ends(numbers, vec![]), Outcome::NotRun(_)));
        assert!(matches!(ends(numbers, vec![vec![]]), Outcome::Broke(_)));
    }

    #[test]
    fn numbers_that_were_found_are_told_and_texts_never_are() {
        let told = |expectation: &str, cell| {
            let answer = Rows { columns: vec!["v".into()], rows: vec![vec![cell]] };
            expect("c", &expectation.parse().unwrap(), &answer, &Then::of_nothing()).found
        };

        assert_eq!(told("> 9", Cell::Integer(5)).as_deref(), Some("5"));
        assert_eq!(told("between 1 and 9", Cell::Real(5.5)).as_deref(), Some("5.5"));
        assert_eq!(told("= 'a'", Cell::Text("canary".into())), None);
        assert_eq!(told("= 'a'", Cell::Integer(5)), None);
        assert_eq!(told("matches 'a'", Cell::Text("a".into())).as_deref(), Some("1 rows"));
    }

    #[test]
    fn found_values_do_not_stand_in_the_outcome() {
        let outcome = ends("= 'public'", vec![vec![Cell::Text("canary".into())]]);

        let Outcome::Broke(broken) = outcome else { panic!("{outcome:?}") };
        assert!(!broken.to_string().contains("canary"), "{broken}");
        assert!(broken.to_string().contains("paid orders"), "{broken}");
    }
}
