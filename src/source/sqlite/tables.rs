//! The tables of a database that hold rows of their own, and how to name their rows.
//!
//! In: an open connection. Out: [`Table`]s. Views and virtual tables hold nothing; what a virtual
//! table keeps lies in shadow tables, which count like any other.

use std::collections::HashMap;

use rusqlite::Connection;

/// A table with rows in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table {
    pub name: String,
    /// What names a row's number in SQL; none for `WITHOUT ROWID` and where columns shadow it.
    pub row_number: Option<&'static str>,
    /// Columns that are stored, in the table's order: virtual generated ones follow from them.
    pub columns: Vec<Column>,
    /// Kept by SQLite itself or by a virtual table's module.
    pub internal: bool,
}

/// A stored column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    pub name: String,
    /// Part of the primary key.
    pub is_key: bool,
    /// Computed from others, so never written.
    pub is_generated: bool,
}

impl Table {
    /// The table as SQL names it.
    pub fn sql(&self) -> String {
        format!("main.{}", quote(&self.name))
    }

    /// The table as reports name it.
    pub fn object(&self) -> String {
        format!("table {}", self.name)
    }
}

/// A name quoted for SQL, whatever is in it.
pub(super) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// All tables with rows in the file, `sqlite_sequence` and its like among them.
pub(super) fn stored(connection: &Connection) -> rusqlite::Result<Vec<Table>> {
    let kinds = kinds(connection)?;
    let mut names = connection
        .prepare("SELECT name FROM main.sqlite_schema WHERE type = 'table' AND rootpage > 0")?;
    let mut info =
        connection.prepare("SELECT name, pk, hidden FROM pragma_table_xinfo(?1, 'main')")?;
    let names =
        names.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
    names
        .into_iter()
        .map(|name| {
            let (without_row_number, is_shadow) = kinds.get(&name).copied().unwrap_or_default();
            let mut columns = Vec::new();
            let mut shadowed = Vec::new();
            let mut rows = info.query([&name])?;
            while let Some(row) = rows.next()? {
                let column: String = row.get(0)?;
                shadowed.push(column.to_ascii_lowercase());
                let hidden: i64 = row.get(2)?;
                if hidden == HIDDEN_NOT || hidden == HIDDEN_STORED {
                    columns.push(Column {
                        name: column,
                        is_key: row.get::<_, i64>(1)? > 0,
                        is_generated: hidden == HIDDEN_STORED,
                    });
                }
            }
            let row_number = ["_rowid_", "rowid", "oid"]
                .into_iter()
                .find(|alias| !without_row_number && !shadowed.iter().any(|name| name == alias));
            let internal = is_shadow || name.starts_with("sqlite_");
            Ok(Table { name, row_number, columns, internal })
        })
        .collect()
}

/// `hidden` of `PRAGMA table_xinfo`: an ordinary column, and a generated one that is stored
/// (2 are virtual ones, 1 a virtual table's hidden ones).
const HIDDEN_NOT: i64 = 0;
const HIDDEN_STORED: i64 = 3;

/// By table: whether it has no row numbers, and whether it is a virtual table's shadow.
fn kinds(connection: &Connection) -> rusqlite::Result<HashMap<String, (bool, bool)>> {
    connection
        .prepare("SELECT name, wr, type = 'shadow' FROM pragma_table_list WHERE schema = 'main'")?
        .query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))?
        .collect()
}
