//! The owner's check queries: read-only, one answer, whose size is looked at row by row.

use std::time::Duration;

use super::super::Session;
use super::super::names::identifier;
use super::super::session::{self, Bytes, Column, number};
use super::{Error, complaint, data, environment, of_session};
use crate::sandbox;
use crate::source::{Cell, Rows, Trouble};

/// What the server says of a column, a routine or a database that is not there.
const GONE: [u16; 4] = [number::NO_SUCH_TABLE, 1049, 1054, 1305];

/// What the server says of a statement that took too long.
const TOO_LONG: [u16; 2] = [1969, 3024];

/// Answers one statement that only reads, within `limit`.
pub(super) fn ask(
    session: &mut Session,
    database: &str,
    sql: &str,
    limit: Duration,
) -> Result<Rows, Trouble> {
    session.set_limit(limit).map_err(of_session)?;
    let asked = session
        .run(&format!("USE {}", identifier(database)))
        .and_then(|()| session.run("START TRANSACTION READ ONLY"))
        .and_then(|()| session.table(sql, Rows::MOST, Rows::MOST_BYTES));
    match asked {
        Ok(Ok((columns, rows))) => Ok(answer_of(columns, rows)),
        Ok(Err(session::TooLarge)) => Err(environment(Error::Query(Rows::TOO_LARGE))),
        Err(error) => Err(of_query(error, limit)),
    }
}

/// An answer as the server sent it, by its types.
pub(in super::super) fn answer_of(columns: Vec<Column>, rows: Vec<Vec<Bytes>>) -> Rows {
    let cells = rows.into_iter().map(|row| {
        row.into_iter().zip(&columns).map(|(value, column)| cell(value, column)).collect()
    });
    let rows = cells.collect();
    Rows { columns: columns.into_iter().map(|column| column.name).collect(), rows }
}

/// Something that is gone is the data's fault; a slip in the query is not.
fn of_query(error: session::Error, limit: Duration) -> Trouble {
    let session::Error::Refused { number, message, .. } = error else {
        return match error {
            session::Error::TimedOut { .. } => environment(sandbox::Error::TimedOut { limit }),
            error => environment(error),
        };
    };
    if TOO_LONG.contains(&number) {
        return environment(sandbox::Error::TimedOut { limit });
    }
    let what = complaint::without_values(number, &message);
    let error = Error::Refused { number, what };
    if GONE.contains(&number) { data(error) } else { environment(error) }
}

/// A value by its type. DECIMAL comes as a number where that loses nothing worth a check.
fn cell(value: Bytes, column: &Column) -> Cell {
    let Some(bytes) = value else { return Cell::Null };
    let kind = column.kind.trim_end_matches(" UNSIGNED");
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => return Cell::Blob(error.into_bytes()),
    };
    let whole = || text.parse().map(Cell::Integer).ok();
    let real = || text.parse().map(Cell::Real).ok();
    let number = match kind {
        "BOOLEAN" | "TINYINT" | "SMALLINT" | "MEDIUMINT" | "INT" | "BIGINT" | "YEAR" => whole(),
        "DECIMAL" => whole().or_else(real),
        "FLOAT" | "DOUBLE" => real(),
        "BIT" | "BINARY" | "VARBINARY" | "BLOB" | "TINYBLOB" | "MEDIUMBLOB" | "LONGBLOB"
        | "GEOMETRY" => return Cell::Blob(text.into_bytes()),
        _ => None,
    };
    number.unwrap_or(Cell::Text(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_types() {
        let of = |kind: &str, text: &str| {
            let column = Column { name: String::new(), kind: kind.to_owned() };
            cell(Some(text.as_bytes().to_vec()), &column)
        };

        assert_eq!(of("BIGINT UNSIGNED", "5"), Cell::Integer(5));
        assert_eq!(
            of("BIGINT UNSIGNED", "18446744073709551615"),
            Cell::Text("18446744073709551615".into())
        );
        assert_eq!(of("DECIMAL", "12"), Cell::Integer(12));
        assert_eq!(of("DECIMAL", "12.50"), Cell::Real(12.5));
        assert_eq!(of("DOUBLE", "-0.5"), Cell::Real(-0.5));
        assert_eq!(of("BOOLEAN", "1"), Cell::Integer(1));
        assert_eq!(of("VARBINARY", "a"), Cell::Blob(b"a".to_vec()));
        assert_eq!(of("VARCHAR", "5"), Cell::Text("5".into()));
        assert_eq!(of("DATETIME", "2026-01-01 00:00:00"), Cell::Text("2026-01-01 00:00:00".into()));
    }
}
