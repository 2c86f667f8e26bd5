//! The owner's check queries: read-only, one statement, an answer whose size is looked at piece by
//! piece: memory holds no more than the bound and one piece of it.

use std::time::Duration;

use super::super::Session;
use super::super::session::{self, Column};
use super::values::without_values;
use super::{Error, data, environment, of_session};
use crate::sandbox;
use crate::source::{Cell, Rows, Trouble};

/// An answer with more is refused, never cut.
const MOST_ROWS: usize = 1_000_000;
const MOST_BYTES: usize = 64 << 20;

/// Rows that are fetched at once: few, for they are in memory before their bytes are counted.
const PIECE: usize = 100;

/// What the server may take beyond a query's limit before it is taken for dead.
const GRACE: Duration = Duration::from_secs(30);

/// Answers one statement that only reads, within `limit`.
pub(super) fn ask(session: &mut Session, sql: &str, limit: Duration) -> Result<Rows, Trouble> {
    session.set_limit(limit.saturating_add(GRACE)).map_err(of_session)?;
    read(session, sql, limit).map_err(|error| of_query(error, limit))?
}

/// The inner error is of an answer that is too large.
fn read(
    session: &mut Session,
    sql: &str,
    limit: Duration,
) -> Result<Result<Rows, Trouble>, session::Error> {
    // The owner writes names as the application does; a subquery can be nothing but one query.
    let sql = sql.trim_end_matches(|c: char| c.is_whitespace() || c == ';');
    let milliseconds = limit.as_millis().min(i32::MAX as u128);
    session.run("RESET search_path")?;
    session.run("BEGIN READ ONLY")?;
    session.run(&format!("SET LOCAL statement_timeout = {milliseconds}"))?;
    session.run(&format!("DECLARE answer CURSOR FOR SELECT * FROM ({sql}\n) AS answer"))?;
    let (mut answer, mut bytes) = (Rows::default(), 0);
    loop {
        let (columns, rows) = session.table(&format!("FETCH {PIECE} FROM answer"))?;
        let is_last = rows.len() < PIECE;
        for row in rows {
            let cells: Vec<Cell> =
                row.into_iter().zip(&columns).map(|(value, column)| cell(value, column)).collect();
            bytes += cells.iter().map(weight).sum::<usize>();
            answer.rows.push(cells);
        }
        if answer.columns.is_empty() {
            answer.columns = columns.into_iter().map(|column| column.name).collect();
        }
        if answer.rows.len() > MOST_ROWS || bytes > MOST_BYTES {
            let what = "the answer is larger than 1,000,000 rows or 64 MiB";
            return Ok(Err(environment(Error::Query(what))));
        }
        if is_last {
            return Ok(Ok(answer));
        }
    }
}

/// Something that is gone is the data's fault; a slip in the query is not.
fn of_query(error: session::Error, limit: Duration) -> Trouble {
    let session::Error::Refused { code, message, .. } = error else {
        return match error {
            session::Error::TimedOut { .. } => environment(sandbox::Error::TimedOut { limit }),
            error => environment(error),
        };
    };
    if code == "57014" {
        return environment(sandbox::Error::TimedOut { limit });
    }
    // Undefined tables, columns, functions and schemas; pages and indexes that are not sound.
    let is_gone = ["42P01", "42703", "42883", "3F000"].contains(&code.as_str());
    let error = Error::Refused { what: without_values(&message), code };
    match &error {
        Error::Refused { code, .. } if is_gone || code.starts_with("XX") => data(error),
        _ => environment(error),
    }
}

/// A value by its type. `numeric` comes as a number where that loses nothing worth a check.
fn cell(value: Option<String>, column: &Column) -> Cell {
    let Some(text) = value else { return Cell::Null };
    let whole = || text.parse().map(Cell::Integer).ok();
    let real = || text.parse().map(Cell::Real).ok();
    let number = match column.kind.as_str() {
        "INT2" | "INT4" | "INT8" | "OID" => whole(),
        "NUMERIC" => whole().or_else(real),
        "FLOAT4" | "FLOAT8" => real(),
        "BOOL" => return Cell::Text(if text == "t" { "true" } else { "false" }.to_owned()),
        "BYTEA" => {
            text.strip_prefix("\\x").and_then(|digits| hex::decode(digits).ok()).map(Cell::Blob)
        }
        _ => None,
    };
    number.unwrap_or(Cell::Text(text))
}

fn weight(cell: &Cell) -> usize {
    16 + match cell {
        Cell::Text(text) => text.len(),
        Cell::Blob(bytes) => bytes.len(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_types() {
        let of = |kind: &str, text: &str| {
            cell(Some(text.to_owned()), &Column { name: String::new(), kind: kind.to_owned() })
        };

        assert_eq!(of("INT8", "-5"), Cell::Integer(-5));
        assert_eq!(of("NUMERIC", "12"), Cell::Integer(12));
        assert_eq!(of("NUMERIC", "12.50"), Cell::Real(12.5));
        assert!(matches!(of("FLOAT8", "NaN"), Cell::Real(number) if number.is_nan()));
        assert_eq!(of("BOOL", "t"), Cell::Text("true".into()));
        assert_eq!(of("BYTEA", "\\x00ff"), Cell::Blob(vec![0, 255]));
        assert_eq!(of("TEXT", "5"), Cell::Text("5".into()));
    }
}
