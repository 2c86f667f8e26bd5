//! The owner's queries, of the captured moment and of what was restored: read-only, one statement.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::types::ValueRef;

use super::super::{Answered, Cell, Context, Error, Rows};
use super::live::Pinned;
use super::protocol::Failure;

/// Puts what drills ask to the moment that is pinned.
pub(super) fn answers(pinned: &Pinned, context: &Context) -> Result<Vec<Answered>, Error> {
    let mut answers = Vec::new();
    for question in &context.questions {
        let interrupted = context.interrupted.clone();
        let stop = move || interrupted.load(Ordering::Relaxed);
        let said = query(&pinned.connection, &question.query, question.limit, stop);
        context.check_interrupted()?;
        answers.push(question.answered(said.map_err(|failure| failure.what), context));
    }
    Ok(answers)
}

/// Answers one statement that only reads, within `limit`, or until `stop`.
pub(super) fn query(
    connection: &Connection,
    sql: &str,
    limit: Duration,
    stop: impl Fn() -> bool + Send + 'static,
) -> Result<Rows, Failure> {
    let deadline = Instant::now() + limit;
    connection.progress_handler(1000, Some(move || stop() || Instant::now() >= deadline))?;
    connection.authorizer(Some(may_only_read))?;
    let answer = answer(connection, sql);
    connection.authorizer(None::<fn(AuthContext<'_>) -> Authorization>)?;
    connection.progress_handler(0, None::<fn() -> bool>)?;
    answer
}

fn answer(connection: &Connection, sql: &str) -> Result<Rows, Failure> {
    let mut statement = connection.prepare(sql).map_err(of_query)?;
    if !statement.readonly() || statement.column_count() == 0 {
        return Err(Failure { data: false, what: "the query is no SELECT".to_owned() });
    }
    let columns: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
    let mut answer = Vec::new();
    let mut bytes = 0;
    let mut rows = statement.query([]).map_err(of_query)?;
    while let Some(row) = rows.next().map_err(of_query)? {
        let mut cells = Vec::with_capacity(columns.len());
        for column in 0..columns.len() {
            let cell = cell(row.get_ref(column)?);
            bytes += weight(&cell);
            cells.push(cell);
        }
        answer.push(cells);
        if answer.len() > Rows::MOST || bytes > Rows::MOST_BYTES {
            return Err(Failure { data: false, what: Rows::TOO_LARGE.to_owned() });
        }
    }
    Ok(Rows { columns, rows: answer })
}

fn may_only_read(asked: AuthContext<'_>) -> Authorization {
    match asked.action {
        AuthAction::Select | AuthAction::Read { .. } | AuthAction::Recursive => {
            Authorization::Allow
        }
        AuthAction::Function { function_name } if function_name != "load_extension" => {
            Authorization::Allow
        }
        _ => Authorization::Deny,
    }
}

/// Text that is not UTF-8 comes as the blob of its bytes.
fn cell(value: ValueRef<'_>) -> Cell {
    match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(number) => Cell::Integer(number),
        ValueRef::Real(number) => Cell::Real(number),
        ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Cell::Text(text.to_owned()),
            Err(_) => Cell::Blob(bytes.to_vec()),
        },
        ValueRef::Blob(bytes) => Cell::Blob(bytes.to_vec()),
    }
}

fn weight(cell: &Cell) -> usize {
    16 + match cell {
        Cell::Text(text) => text.len(),
        Cell::Blob(bytes) => 2 * bytes.len(),
        _ => 0,
    }
}

/// A table or column that is gone is the data's fault; a slip in the query is not.
fn of_query(error: rusqlite::Error) -> Failure {
    let mut failure = Failure::from(error);
    failure.data |= ["no such table: ", "no such column: "]
        .iter()
        .any(|missing| failure.what.starts_with(missing));
    if failure.what == "interrupted" {
        failure.what = "the query took too long".to_owned();
    }
    if failure.what == "not authorized" {
        failure.what = "the query may only read the database".to_owned();
    }
    failure
}

#[cfg(test)]
mod tests {
    use super::super::super::{Answer, Question};
    use super::super::tests::Bench;
    use super::*;

    #[test]
    fn questions_are_answered_in_the_pinned_moment_and_may_only_read() {
        let mut bench = Bench::new();
        let path = bench.database(
            "PRAGMA journal_mode = wal; CREATE TABLE orders (id INTEGER); INSERT INTO orders VALUES (1), (2)",
        );
        let question = |query: &str| Question {
            database: None,
            query: query.to_owned(),
            limit: Duration::from_millis(300),
        };
        bench.context.questions = [
            "SELECT count(*) FROM orders",
            "DELETE FROM orders",
            "SELECT count(*) FROM gone",
            "SELECT id FROM orders",
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
            "SELECT count(*) FROM orders WHERE id > 1",
        ]
        .map(question)
        .into();
        let pinned = Pinned::open(&path, &bench.context).unwrap();
        Connection::open(&path).unwrap().execute("INSERT INTO orders VALUES (3)", []).unwrap();

        let answers = answers(&pinned, &bench.context).unwrap();

        let none = |why: &str| Answer::None(why.to_owned());
        let found: Vec<_> = answers.into_iter().map(|answered| answered.answer).collect();
        assert_eq!(
            found,
            [
                Answer::Number("2".into()),
                none("the query may only read the database"),
                none("no such table: gone"),
                none("the answer had 2 rows"),
                none("the query took too long"),
                Answer::Number("1".into()),
            ]
        );
    }
}
