//! Totals: what anybody can ask two servers in plain SQL, to see whether they hold the same.

use std::time::Duration;

use super::{Cell, Recovered, Rows, Trouble};

/// More columns of one table than these are not added up: a statement is to be read by people.
const MOST_COLUMNS: usize = 6;

/// A question whose answer is numbers and moments, never a text of the data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Total {
    /// What it is about, as the fingerprint names its parts where it has it.
    pub object: String,
    /// Where the source has several.
    pub database: Option<String>,
    /// In the engine's own language.
    pub statement: String,
    /// The first number of the answer, as captured; none where rows were not counted then.
    pub at_capture: Option<u64>,
}

impl Total {
    /// What it comes to on `recovered`, values joined by commas.
    pub fn ask(&self, recovered: &mut dyn Recovered, limit: Duration) -> Result<String, Trouble> {
        let rows = recovered.query(self.database.as_deref(), &self.statement, limit)?;
        Ok(answer(&rows))
    }

    /// Whether the first number of `answer` is not the captured one.
    pub fn contradicts_capture(&self, answer: &str) -> bool {
        let counted = answer.split(", ").next().unwrap_or_default();
        self.at_capture.is_some_and(|rows| counted != rows.to_string())
    }
}

/// `SELECT COUNT(*), …` with what `of_column` adds up of each column, as far as it adds up any.
pub(super) fn select<'a>(
    columns: impl IntoIterator<Item = &'a (String, String)>,
    of_column: impl Fn(&str, &str) -> Option<String>,
    from: &str,
) -> String {
    let added_up = columns.into_iter().filter_map(|(name, kind)| of_column(name, kind));
    let figures: Vec<String> =
        std::iter::once("COUNT(*)".to_owned()).chain(added_up.take(MOST_COLUMNS)).collect();
    format!("SELECT {} FROM {from}", figures.join(", "))
}

fn answer(rows: &Rows) -> String {
    let told = |cell: &Cell| match cell {
        Cell::Null => "NULL".to_owned(),
        Cell::Integer(number) => number.to_string(),
        Cell::Real(number) => number.to_string(),
        Cell::Text(text) => text.clone(),
        Cell::Blob(bytes) => format!("({} bytes)", bytes.len()),
    };
    let rows = rows.rows.iter().map(|row| row.iter().map(told).collect::<Vec<_>>().join(", "));
    rows.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_counts_adds_up_a_few_columns_and_is_read_by_people() {
        let columns: Vec<_> = (0..9).map(|at| (format!("c{at}"), "int".to_owned())).collect();
        let sum = |name: &str, _: &str| (name != "c0").then(|| format!("SUM({name})"));

        assert_eq!(
            select(&columns[..3], sum, "orders"),
            "SELECT COUNT(*), SUM(c1), SUM(c2) FROM orders"
        );
        assert_eq!(select(&columns, sum, "t").matches("SUM").count(), MOST_COLUMNS);
        assert_eq!(select(&columns[..1], sum, "t"), "SELECT COUNT(*) FROM t");
    }

    #[test]
    fn an_answer_is_held_against_the_rows_that_were_captured() {
        let cells = vec![Cell::Integer(3), Cell::Text("10.50".into()), Cell::Null];
        let answer = answer(&Rows { columns: vec![], rows: vec![cells] });
        assert_eq!(answer, "3, 10.50, NULL");
        let total = |at_capture| Total {
            object: "table orders".into(),
            database: None,
            statement: String::new(),
            at_capture,
        };
        assert!(!total(Some(3)).contradicts_capture(&answer));
        assert!(total(Some(4)).contradicts_capture(&answer));
        assert!(total(Some(3)).contradicts_capture("30, 10.50"));
        assert!(total(Some(0)).contradicts_capture(""), "no answer is none");
        assert!(!total(None).contradicts_capture(&answer));
    }
}
