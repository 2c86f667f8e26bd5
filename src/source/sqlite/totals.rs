//! Totals of every table: rows, sums and lengths of values.

use std::time::Duration;

use super::super::{Cell, Fingerprint, Recovered, Total, Trouble, total};
use super::tables::quote;

/// One question a table with rows in the file, put together from what the child says of its schema.
pub(super) fn of(
    database: &mut dyn Recovered,
    captured: &Fingerprint,
    limit: Duration,
) -> Result<Vec<Total>, Trouble> {
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND rootpage > 0 ORDER BY 1";
    let mut totals = Vec::new();
    for row in database.query(None, sql, limit)?.rows {
        let [Cell::Text(name)] = &row[..] else { continue };
        let from = quote(name);
        let none = database.query(None, &format!("SELECT * FROM {from} LIMIT 0"), limit)?;
        let columns: Vec<_> =
            none.columns.into_iter().map(|column| (column, String::new())).collect();
        let object = format!("table {name}");
        totals.push(Total {
            at_capture: captured.parts.get(&object).map(|part| part.rows),
            object,
            database: None,
            statement: total::select(&columns, figures, &from),
        });
    }
    Ok(totals)
}

/// A column's values may be of any type: texts count as 0 in a sum.
fn figures(column: &str, _: &str) -> Option<String> {
    let name = quote(column);
    Some(format!("TOTAL({name}), SUM(LENGTH({name}))"))
}
