//! Totals of every table: rows, sums of numbers, first and last moments, lengths of texts.

use std::collections::BTreeMap;

use super::super::names::{identifier, literal};
use super::super::session::{Error, Session};
use super::super::tables;
use crate::source::{Fingerprint, Total, total};

/// One question a table of `database` whose rows are its own.
pub(super) fn of_database(
    session: &mut Session,
    database: &str,
    captured: &Fingerprint,
) -> Result<Vec<Total>, Error> {
    let columns = columns(session, database)?;
    let none = Vec::new();
    let tables = tables::of_database(session, database)?;
    let own = tables.iter().filter(|table| !table.is_elsewhere).map(|table| {
        let object = table.part_name();
        let columns = columns.get(&table.name).unwrap_or(&none);
        Total {
            at_capture: captured.parts.get(&object).map(|part| part.rows),
            object,
            database: Some(database.to_owned()),
            statement: total::select(columns, figures, &table.from()),
        }
    });
    Ok(own.collect())
}

/// By table, each column with its type, in the table's order.
fn columns(
    session: &mut Session,
    database: &str,
) -> Result<BTreeMap<String, Vec<(String, String)>>, Error> {
    let rows = session.rows(&format!(
        "SELECT TABLE_NAME, COLUMN_NAME, DATA_TYPE FROM information_schema.COLUMNS
         WHERE TABLE_SCHEMA = {} ORDER BY 1, ORDINAL_POSITION",
        literal(database)
    ))?;
    let mut columns: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for row in rows {
        let Ok([Some(table), Some(column), Some(kind)]) = <[_; 3]>::try_from(row) else {
            return Err(session.unexpected("a column without a name"));
        };
        columns.entry(table).or_default().push((column, kind));
    }
    Ok(columns)
}

/// What is added up of a column. As text, for a sum has more digits than a number of this program's.
fn figures(column: &str, kind: &str) -> Option<String> {
    let name = identifier(column);
    match kind {
        "tinyint" | "smallint" | "mediumint" | "int" | "bigint" | "decimal" => {
            Some(format!("CAST(SUM({name}) AS CHAR)"))
        }
        "date" | "datetime" | "timestamp" => Some(format!("MIN({name}), MAX({name})")),
        "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" => {
            Some(format!("CAST(SUM(LENGTH({name})) AS CHAR)"))
        }
        _ => None,
    }
}
