//! Totals of every table: rows, sums of numbers, first and last moments, lengths of texts.

use std::collections::BTreeMap;

use super::super::names::identifier;
use super::super::session::{Error, Session};
use super::super::{fingerprint, tables};
use crate::source::{Fingerprint, Total, total};

/// One question a table of the session's database that a dump carries.
pub(super) fn of_database(
    session: &mut Session,
    captured: &Fingerprint,
) -> Result<Vec<Total>, Error> {
    let columns = columns(session)?;
    let none = Vec::new();
    let database = session.database().to_owned();
    let tables = tables::stored(session)?;
    let totals = tables.iter().map(|table| {
        let object = fingerprint::part_name(&database, table);
        let columns = columns.get(&(table.schema.clone(), table.name.clone())).unwrap_or(&none);
        let condition = table.condition.as_deref().unwrap_or_default();
        let from = format!("ONLY {} {condition}", table.sql());
        Total {
            at_capture: captured.parts.get(&object).map(|part| part.rows),
            object,
            database: Some(database.clone()),
            statement: total::select(columns, figures, from.trim_end()),
        }
    });
    Ok(totals.collect())
}

type Columns = BTreeMap<(String, String), Vec<(String, String)>>;

/// By table, each column with its type, in the table's order.
fn columns(session: &mut Session) -> Result<Columns, Error> {
    let rows = session.rows(&format!(
        "SELECT n.nspname, c.relname, a.attname, pg_catalog.format_type(a.atttypid, NULL)
         FROM pg_attribute a
         JOIN pg_class c ON c.oid = a.attrelid
         JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped AND {}
         ORDER BY 1, 2, a.attnum",
        tables::USERS_SCHEMA
    ))?;
    let mut columns = Columns::new();
    for row in rows {
        let Ok([Some(schema), Some(table), Some(column), Some(kind)]) = <[_; 4]>::try_from(row)
        else {
            return Err(session.unexpected("a column without a name"));
        };
        columns.entry((schema, table)).or_default().push((column, kind));
    }
    Ok(columns)
}

/// What is added up of a column. As text, for a sum has more digits than a number of this program's.
fn figures(column: &str, kind: &str) -> Option<String> {
    let name = identifier(column);
    match kind {
        "smallint" | "integer" | "bigint" | "numeric" => Some(format!("SUM({name})::text")),
        "date" | "timestamp without time zone" | "timestamp with time zone" => {
            Some(format!("MIN({name})::text, MAX({name})::text"))
        }
        "text" | "character" | "character varying" | "bytea" => {
            Some(format!("SUM(OCTET_LENGTH({name}))::text"))
        }
        _ => None,
    }
}
