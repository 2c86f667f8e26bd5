//! The owner's queries, of the captured moment and of what was restored: read-only, one statement, an
//! answer whose size is looked at piece by piece: memory holds no more than the bound and one piece.

use std::time::Duration;

use super::recover::values::without_values;
use super::session::{self, Column, Session};
use crate::source::{Answered, Cell, Context, Question, Rows};

/// Rows that are fetched at once: few, for they are in memory before their bytes are counted.
const PIECE: usize = 100;

/// What the server may take beyond a query's limit before it is taken for dead.
pub(super) const GRACE: Duration = Duration::from_secs(30);

/// An answer that is too large.
pub(super) struct TooLarge;

/// Puts `questions` to the moment that the session's transaction sees; nothing of them is left in it.
pub(super) fn answers<'a>(
    session: &mut Session,
    questions: impl Iterator<Item = &'a Question>,
    patience: Duration,
    context: &Context,
) -> Result<Vec<Answered>, session::Error> {
    let mut answers = Vec::new();
    for question in questions {
        session.run("SAVEPOINT question")?;
        session.set_limit(question.limit.saturating_add(GRACE))?;
        let said = match read(session, &question.query, question.limit) {
            Ok(Ok(rows)) => Ok(rows),
            Ok(Err(TooLarge)) => Err(Rows::TOO_LARGE.to_owned()),
            Err(session::Error::Refused { code, message, .. }) => {
                Err(format!("{} (SQLSTATE {code})", without_values(&message)))
            }
            Err(error) => return Err(error),
        };
        session.run("ROLLBACK TO SAVEPOINT question")?;
        session.set_limit(patience)?;
        answers.push(question.answered(said, context));
    }
    Ok(answers)
}

/// Answers one statement that only reads, within `limit`, in the transaction that is open. What it
/// sets is undone with it.
pub(super) fn read(
    session: &mut Session,
    sql: &str,
    limit: Duration,
) -> Result<Result<Rows, TooLarge>, session::Error> {
    // The owner writes names as the application does; a subquery can be nothing but one query.
    let sql = sql.trim_end_matches(|c: char| c.is_whitespace() || c == ';');
    let milliseconds = limit.as_millis().min(i32::MAX as u128);
    session.run("SET LOCAL search_path TO DEFAULT")?;
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
        if answer.rows.len() > Rows::MOST || bytes > Rows::MOST_BYTES {
            return Ok(Err(TooLarge));
        }
        if is_last {
            return Ok(Ok(answer));
        }
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
