//! Deliberate faults: one row changed or removed, in a transaction that is rolled back once the
//! fingerprint was taken in it.

use super::super::Session;
use super::super::names::{identifier, literal};
use super::super::session::Error as Said;
use super::super::tables::{self, Hold, Table};
use super::of_session;
use crate::source::{Fault, Place, Trouble};

/// The session whose transaction holds a fault.
pub(super) struct Injured {
    pub(super) session: Session,
    pub(super) database: String,
}

/// A stored value that may be changed.
struct Column {
    /// As SQL names it.
    name: String,
    /// SQL for another value of its type.
    other: String,
}

/// Puts `fault` into the largest table of `database` that takes it; the session is none where
/// nothing does.
pub(super) fn injure(
    mut session: Session,
    database: &str,
    fault: Fault,
) -> Result<Option<(Place, Session)>, Trouble> {
    let change: fn(&mut Session, &Table) -> Result<Option<String>, Trouble> = match fault {
        Fault::RowChanged => change_value,
        Fault::RowRemoved => remove_row,
        Fault::ByteFlipped | Fault::BlobHidden => return Ok(None),
    };
    // Foreign keys must not find it: only the comparison of content may.
    session.run("SET SESSION foreign_key_checks = 0").map_err(of_session)?;
    session.run("START TRANSACTION").map_err(of_session)?;
    for table in by_size(&mut session, database)? {
        if let Some(what) = change(&mut session, &table)? {
            return Ok(Some((Place { object: table.part_name(), what }, session)));
        }
    }
    Ok(None)
}

/// Tables that a transaction can be undone in, those first that the engine takes for the largest;
/// those that keep what was are left out.
fn by_size(session: &mut Session, database: &str) -> Result<Vec<Table>, Trouble> {
    let order = session.column(&format!(
        "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = {}
         ORDER BY DATA_LENGTH DESC, TABLE_NAME",
        literal(database)
    ));
    let order = order.map_err(of_session)?;
    let mut found = tables::of_database(session, database).map_err(of_session)?;
    found.retain(|table| table.hold == Hold::Transactional && !table.is_versioned);
    found.sort_by_key(|table| order.iter().position(|name| *name == table.name));
    Ok(found)
}

fn remove_row(session: &mut Session, table: &Table) -> Result<Option<String>, Trouble> {
    let removed = changes_one(session, &format!("DELETE FROM {} LIMIT 1", table.sql()))?;
    Ok(removed.then(|| "one row was removed".to_owned()))
}

fn change_value(session: &mut Session, table: &Table) -> Result<Option<String>, Trouble> {
    let name = table.sql();
    for Column { name: column, other } in columns(session, table)? {
        let sql = format!(
            "UPDATE {name} SET {column} = {other}
             WHERE {column} IS NOT NULL AND NOT ({other} <=> {column}) LIMIT 1"
        );
        if changes_one(session, &sql)? {
            return Ok(Some(format!("one value of column {column} was changed")));
        }
    }
    Ok(None)
}

/// Whether a statement changed one row. What it may not change, by a constraint or a trigger, stays.
fn changes_one(session: &mut Session, sql: &str) -> Result<bool, Trouble> {
    session.run("SAVEPOINT before_fault").map_err(of_session)?;
    match session.run(sql) {
        Ok(()) => {
            let count = session.value("SELECT ROW_COUNT()").map_err(of_session)?;
            Ok(count == "1")
        }
        Err(Said::Refused { .. }) => {
            session.run("ROLLBACK TO SAVEPOINT before_fault").map_err(of_session)?;
            Ok(false)
        }
        Err(error) => Err(of_session(error)),
    }
}

/// The columns whose values can be changed into others; those of no key first.
fn columns(session: &mut Session, table: &Table) -> Result<Vec<Column>, Trouble> {
    let rows = session.rows(&format!(
        "SELECT COLUMN_NAME, DATA_TYPE FROM information_schema.COLUMNS
         WHERE TABLE_SCHEMA = {} AND TABLE_NAME = {} AND COALESCE(GENERATION_EXPRESSION, '') = ''
         ORDER BY COLUMN_KEY <> '', ORDINAL_POSITION",
        literal(&table.database),
        literal(&table.name)
    ));
    let columns = rows.map_err(of_session)?.into_iter().filter_map(|row| {
        let [Some(name), Some(kind)] = <[Option<String>; 2]>::try_from(row).ok()? else {
            return None;
        };
        let name = identifier(&name);
        let other = match kind.as_str() {
            "tinyint" | "smallint" | "mediumint" | "int" | "bigint" | "decimal" | "float"
            | "double" => format!("IF({name} = 0, 1, {name} - 1)"),
            "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" => {
                format!("CONCAT(IF(LEFT({name}, 1) = 'x', 'y', 'x'), SUBSTRING({name}, 2))")
            }
            "date" | "datetime" | "timestamp" => format!("{name} + INTERVAL 25 HOUR"),
            "tinyblob" | "blob" | "mediumblob" | "longblob" | "varbinary" => {
                format!("CONCAT(IF(LEFT({name}, 1) = 'x', 'y', 'x'), SUBSTRING({name}, 2))")
            }
            _ => return None,
        };
        Some(Column { name, other })
    });
    Ok(columns.collect())
}
