//! Deliberate faults: what a control does to the scratch copy. Only in the confined child.
//!
//! In: the restored file and a fault. Out: where it was put. The engine itself makes the change,
//! so that the file stays sound and only the comparison of content can find it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::types::Value;
use rusqlite::{Connection, ErrorCode, OpenFlags, params_from_iter};

use super::super::{Fault, Place};
use super::protocol::Failure;
use super::restored::distrust;
use super::tables::{self, Table};

/// Rows and columns tried before a table is given up.
const ROWS_TRIED: u32 = 20;

/// Puts `fault` into the table with most rows that takes it; `None` where nothing does.
pub(super) fn injure(path: &Path, fault: Fault) -> Result<Option<Place>, Failure> {
    let change: fn(&Connection, &Table) -> rusqlite::Result<Option<String>> = match fault {
        Fault::RowChanged => change_value,
        Fault::RowRemoved => remove_row,
        Fault::ByteFlipped | Fault::BlobHidden => return Ok(None),
    };
    // A database that was only for reading keeps that right when it is restored.
    fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(|error| Failure {
        data: false,
        what: format!("cannot prepare the file: {error}"),
    })?;
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    distrust(&connection)?;
    // Exclusive: a log needs no shared memory then. Leaving the log's mode behind keeps the one
    // file complete, as it is read without anything beside it.
    connection.execute_batch(
        "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = DELETE;
         PRAGMA synchronous = OFF; PRAGMA ignore_check_constraints = ON",
    )?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, false)?;
    for table in by_size(&connection)? {
        if let Some(what) = change(&connection, &table)? {
            return Ok(Some(Place { object: table.object(), what }));
        }
    }
    Ok(None)
}

/// The user's own tables, largest first, empty ones left out.
fn by_size(connection: &Connection) -> rusqlite::Result<Vec<Table>> {
    let mut sized = Vec::new();
    for table in tables::stored(connection)?.into_iter().filter(|table| !table.internal) {
        let sql = format!("SELECT count(*) FROM {}", table.sql());
        let rows: i64 = connection.query_row(&sql, [], |row| row.get(0))?;
        if rows > 0 {
            sized.push((rows, table));
        }
    }
    sized.sort_by(|(a, _), (b, _)| b.cmp(a));
    Ok(sized.into_iter().map(|(_, table)| table).collect())
}

/// What tells one row of `table` from the others, as SQL expressions.
fn key(table: &Table) -> Vec<String> {
    match table.row_number {
        Some(alias) => vec![alias.to_owned()],
        None => {
            let keys = table.columns.iter().filter(|column| column.is_key);
            keys.map(|column| tables::quote(&column.name)).collect()
        }
    }
}

fn is_row(key: &[String]) -> String {
    let terms: Vec<_> =
        key.iter().enumerate().map(|(n, name)| format!("{name} IS ?{}", n + 1)).collect();
    terms.join(" AND ")
}

/// The rows of `sql`; ones with text that is not UTF-8, which cannot be bound again, are left out.
fn values(connection: &Connection, sql: &str, columns: usize) -> rusqlite::Result<Vec<Vec<Value>>> {
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.extend(
            (0..columns).map(|column| row.get(column)).collect::<rusqlite::Result<Vec<_>>>(),
        );
    }
    Ok(found)
}

fn remove_row(connection: &Connection, table: &Table) -> rusqlite::Result<Option<String>> {
    let key = key(table);
    if key.is_empty() {
        return Ok(None);
    }
    let sql = format!("SELECT {} FROM {} LIMIT 1", key.join(", "), table.sql());
    let Some(row) = values(connection, &sql, key.len())?.pop() else { return Ok(None) };
    let sql = format!("DELETE FROM {} WHERE {}", table.sql(), is_row(&key));
    let removed = connection.execute(&sql, params_from_iter(row))?;
    Ok((removed == 1).then(|| "one row was removed".to_owned()))
}

fn change_value(connection: &Connection, table: &Table) -> rusqlite::Result<Option<String>> {
    let key = key(table);
    let mut columns: Vec<_> = table.columns.iter().filter(|column| !column.is_generated).collect();
    // A key is changed only where there is nothing else.
    columns.sort_by_key(|column| column.is_key);
    if key.is_empty() {
        return Ok(None);
    }
    for column in columns {
        let name = tables::quote(&column.name);
        let sql = format!(
            "SELECT {name}, {} FROM {} WHERE {name} IS NOT NULL LIMIT {ROWS_TRIED}",
            key.join(", "),
            table.sql()
        );
        let rows = values(connection, &sql, key.len() + 1)?;
        for mut row in rows {
            let before = row.remove(0);
            let after = other_value(&before);
            if set(connection, table, &name, &key, row, &after)? {
                return Ok(Some(format!("one value of column {} was changed", column.name)));
            }
        }
    }
    Ok(None)
}

/// Sets one value, and keeps it only if the row now holds just what was meant.
fn set(
    connection: &Connection,
    table: &Table,
    column: &str,
    key: &[String],
    mut row: Vec<Value>,
    after: &Value,
) -> rusqlite::Result<bool> {
    let sql = format!(
        "UPDATE {} SET {column} = ?{} WHERE {} RETURNING {column}",
        table.sql(),
        key.len() + 1,
        is_row(key)
    );
    row.push(after.clone());
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let stored =
        connection.prepare(&sql)?.query_row(params_from_iter(row), |row| row.get::<_, Value>(0));
    let kept = match stored {
        // A column's affinity may have made something else of it.
        Ok(stored) => stored == *after && connection.changes() == 1,
        Err(rusqlite::Error::QueryReturnedNoRows) => false,
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => false,
        Err(error) => return Err(error),
    };
    connection.execute_batch(if kept { "COMMIT" } else { "ROLLBACK" })?;
    Ok(kept)
}

/// Another value of the same type.
fn other_value(value: &Value) -> Value {
    match value {
        Value::Null => Value::Null,
        Value::Integer(number) => Value::Integer(number ^ 1),
        Value::Real(number) if number.is_finite() && *number != 0.0 => Value::Real(number * 1.5),
        Value::Real(_) => Value::Real(1.25),
        Value::Text(text) => {
            let mut other: String = text.chars().skip(1).collect();
            other.insert(0, if text.starts_with('x') { 'y' } else { 'x' });
            Value::Text(other)
        }
        Value::Blob(bytes) => {
            let mut other = bytes.clone();
            match other.first_mut() {
                Some(first) => *first ^= 1,
                None => other.push(0),
            }
            Value::Blob(other)
        }
    }
}
