//! One table as SQL of its own, written by the confined child into a file of its folder.
//!
//! A row is one line, so that whoever takes the file over can count them without trusting the child.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use rusqlite::Connection;
use rusqlite::types::ValueRef;

use super::protocol::Failure;
use super::tables::{self, Table, quote};

/// What stands alone on the line before the rows, and on the one after them.
pub(super) const ROWS: &str = "BEGIN; -- rows";
pub(super) const END: &str = "COMMIT; -- end of rows";

/// Writes the table `name` to the new file `to`; answers how many rows it has.
pub(super) fn write(connection: &Connection, name: &str, to: &Path) -> Result<u64, Failure> {
    let found = tables::stored(connection)?.into_iter().find(|table| table.name == name);
    let table = found.ok_or_else(|| Failure {
        data: true,
        what: format!("the restored database has no table {name}"),
    })?;
    let mut out = File::create_new(to).map(BufWriter::new).map_err(unwritten)?;
    let rows = rows(connection, &table, &mut out)?;
    out.flush().map_err(unwritten)?;
    Ok(rows)
}

fn unwritten(error: io::Error) -> Failure {
    Failure { data: false, what: format!("the table cannot be written: {error}") }
}

fn rows(connection: &Connection, table: &Table, out: &mut impl Write) -> Result<u64, Failure> {
    let [definition, others] = ["type = 'table'", "type <> 'table'"].map(|which| {
        let sql = format!(
            "SELECT sql FROM main.sqlite_schema WHERE tbl_name = ?1 AND sql NOT NULL AND {which}"
        );
        let mut statement = connection.prepare(&sql)?;
        statement.query_map([&table.name], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()
    });
    for sql in definition? {
        writeln!(out, "{sql};").map_err(unwritten)?;
    }
    let written: Vec<String> = table
        .columns
        .iter()
        .filter(|column| !column.is_generated)
        .map(|column| quote(&column.name))
        .collect();
    let columns = written.join(", ");
    writeln!(out, "{ROWS}").map_err(unwritten)?;
    let mut statement = connection.prepare(&format!("SELECT {columns} FROM {}", table.sql()))?;
    let mut answer = statement.query([])?;
    let mut count = 0;
    while let Some(row) = answer.next()? {
        let values = (0..written.len())
            .map(|column| row.get_ref(column).map(literal))
            .collect::<Result<Vec<_>, _>>()?;
        let (name, values) = (quote(&table.name), values.join(", "));
        writeln!(out, "INSERT INTO {name} ({columns}) VALUES ({values});").map_err(unwritten)?;
        count += 1;
    }
    writeln!(out, "{END}").map_err(unwritten)?;
    for sql in others? {
        writeln!(out, "{sql};").map_err(unwritten)?;
    }
    Ok(count)
}

/// A value in one line of SQL that gives the very same.
fn literal(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "NULL".to_owned(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) if number.is_infinite() => {
            if number > 0.0 { "9e999" } else { "-9e999" }.to_owned()
        }
        ValueRef::Real(number) => format!("{number:?}"),
        ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) if !text.contains(char::is_control) => {
                format!("'{}'", text.replace('\'', "''"))
            }
            _ => format!("CAST(x'{}' AS TEXT)", hex::encode(bytes)),
        },
        ValueRef::Blob(bytes) => format!("x'{}'", hex::encode(bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "CREATE TABLE \"or\"\"ders\" (id INTEGER PRIMARY KEY, a, b AS (id * 2) STORED);
        CREATE TABLE other (id);
        CREATE INDEX by_a ON \"or\"\"ders\" (a);
        CREATE TRIGGER t AFTER INSERT ON other BEGIN SELECT 1; END;
        INSERT INTO \"or\"\"ders\" (a) VALUES (NULL), (-5), (0.1 + 0.2), (9e999), (-9e999), ('it''s'),
          ('a' || char(10) || 'INSERT INTO x'), (CAST(x'ff' AS TEXT)), (x'00ff'), ('a' || char(0));";

    #[test]
    fn a_table_loaded_anew_has_the_very_same_values_index_and_no_stranger() {
        let folder = tempfile::tempdir().unwrap();
        let from = Connection::open_in_memory().unwrap();
        from.execute_batch(TABLE).unwrap();
        let file = folder.path().join("table.sql");

        let rows = write(&from, "or\"ders", &file).unwrap();

        assert_eq!(rows, 10);
        let sql = std::fs::read_to_string(&file).unwrap();
        let to = Connection::open_in_memory().unwrap();
        to.execute_batch(&sql).unwrap();
        let all = |connection: &Connection| -> Vec<String> {
            let sql =
                "SELECT CASE typeof(a) WHEN 'text' THEN hex(a) ELSE quote(a) END || typeof(a) || b
                       FROM \"or\"\"ders\" ORDER BY id";
            let mut statement = connection.prepare(sql).unwrap();
            statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
        };
        assert_eq!(all(&to), all(&from));
        let objects: i64 =
            to.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).unwrap();
        assert_eq!(objects, 2, "{sql}");
        assert!(write(&from, "gone", &folder.path().join("x")).unwrap_err().data);
    }
}
