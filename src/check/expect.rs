//! An owner's expectation, applied to the answer of the owner's query.

use crate::policy::expect::{Expectation, Scalar};
use crate::source::{Cell, Rows};

use super::Outcome;

/// Whether `answer` is as expected; `check` names the assertion in what broke.
///
/// A comparison wants one row with one value; NULL never holds, nor does a number where a text is
/// expected. A row of NULLs alone, as `max(…)` of an empty table gives it, is neither an empty
/// answer nor one that is not. Found values stay out of the outcome: it stands in records that
/// outlive the data.
pub fn expect(check: &str, expectation: &Expectation, answer: &Rows) -> Outcome {
    let broke = |what: String| Outcome::broke(format!("check {check:?}"), what);
    let rows = answer.rows.len() as u64;
    match expectation {
        // The answer itself is what was looked at, so an empty one is still one thing.
        Expectation::Empty if rows == 0 => Outcome::of(1, []),
        Expectation::Empty => broke(format!("expected no row, found {rows}")),
        Expectation::NotEmpty => {
            let says_something = |row: &&Vec<Cell>| row.iter().any(|cell| *cell != Cell::Null);
            match (answer.rows.iter().filter(says_something).count() as u64, rows) {
                (0, 0) => broke("expected at least one row, found none".to_owned()),
                (0, rows) => broke(format!("expected a value, found {rows} rows of NULL")),
                (found, _) => Outcome::of(found, []),
            }
        }
        Expectation::Value(comparison, expected) => {
            let [row] = &answer.rows[..] else {
                return broke(format!("expected one row to compare, found {rows}"));
            };
            let [cell] = &row[..] else {
                return broke(format!("expected one value to compare, found {}", row.len()));
            };
            let found = match cell {
                Cell::Null => return broke(format!("expected {expectation}, found NULL")),
                Cell::Blob(_) => return broke(format!("expected {expectation}, found a blob")),
                Cell::Integer(number) => Scalar::Integer(*number),
                Cell::Real(number) => Scalar::Real(*number),
                Cell::Text(text) => Scalar::Text(text.clone()),
            };
            match comparison.holds(&found, expected) {
                Some(true) => Outcome::of(1, []),
                Some(false) => broke(format!("the value found is not {expectation}")),
                None => broke(format!("expected {expectation}, found a value of another type")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(expectation: &str, rows: Vec<Vec<Cell>>) -> Outcome {
        let answer = Rows { columns: vec!["v".into()], rows };
        expect("paid orders", &expectation.parse().unwrap(), &answer)
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
    fn found_values_do_not_stand_in_the_outcome() {
        let outcome = ends("= 'public'", vec![vec![Cell::Text("canary".into())]]);

        let Outcome::Broke(broken) = outcome else { panic!("{outcome:?}") };
        assert!(!broken.to_string().contains("canary"), "{broken}");
        assert!(broken.to_string().contains("paid orders"), "{broken}");
    }
}
