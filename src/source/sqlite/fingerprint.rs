//! The fingerprint of a database: every row of every table, and every object of the schema.
//!
//! In: a connection, best inside a read transaction. Out: a [`Fingerprint`]. Two databases have
//! the same one exactly if they hold the same values, bit for bit and type for type: integer 1,
//! real 1.0, text '1' and a blob of the byte `1` are four different values, and text is its stored
//! bytes, valid or not. Collations, affinities and time zones play no part.

use rusqlite::Connection;
use rusqlite::types::ValueRef;

use super::super::sum::Sum;
use super::super::{Fingerprint, Kind, Part};
use super::tables::{self, Table};
use crate::ground::digest::{Digest, Hasher};

/// Reads the whole database; blocking, as fast as one core hashes.
pub fn fingerprint(connection: &Connection) -> rusqlite::Result<Fingerprint> {
    let encoding: String = connection.pragma_query_value(None, "encoding", |row| row.get(0))?;
    let mut found = Fingerprint::empty(Kind::Sqlite);
    found.schema = schema(connection)?;
    for table in tables::stored(connection)? {
        let part = rows(connection, &table, &encoding)?;
        found.parts.insert(table.name, part);
    }
    Ok(found)
}

fn rows(connection: &Connection, table: &Table, encoding: &str) -> rusqlite::Result<Part> {
    let mut wanted: Vec<String> = table.row_number.map(str::to_owned).into_iter().collect();
    for column in &table.columns {
        let name = tables::quote(&column.name);
        if encoding == "UTF-8" {
            wanted.push(name);
        } else {
            // SQLite hands out UTF-16 text as UTF-8, which lone surrogates do not survive.
            wanted.push(format!("typeof({name}) = 'text'"));
            wanted.push(format!("iif(typeof({name}) = 'text', CAST({name} AS BLOB), {name})"));
        }
    }
    if wanted.is_empty() {
        wanted.push("NULL".to_owned());
    }
    // Without NOT INDEXED a covering index would be read in place of the table.
    let sql = format!("SELECT {} FROM {} NOT INDEXED", wanted.join(", "), table.sql());
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query([])?;
    let mut sum = Sum::default();
    let mut row_hash = RowHash::default();
    while let Some(row) = rows.next()? {
        for column in 0..wanted.len() {
            row_hash.take(row.get_ref(column)?);
        }
        sum.add(&row_hash.finish());
    }
    Ok(sum.part())
}

fn schema(connection: &Connection) -> rusqlite::Result<std::collections::BTreeMap<String, Digest>> {
    let mut found = std::collections::BTreeMap::new();
    let mut row_hash = RowHash::default();
    let mut statement =
        connection.prepare("SELECT type, name, tbl_name, sql FROM main.sqlite_schema")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let object = format!("{} {}", row.get::<_, String>(0)?, row.get::<_, String>(1)?);
        row_hash.take(row.get_ref(2)?);
        row_hash.take(row.get_ref(3)?);
        found.insert(object, row_hash.finish());
    }
    for pragma in ["user_version", "application_id", "encoding"] {
        connection.pragma_query(None, pragma, |row| {
            row_hash.take(row.get_ref(0)?);
            Ok(())
        })?;
        found.insert(format!("pragma {pragma}"), row_hash.finish());
    }
    Ok(found)
}

/// Values longer than this are hashed where they lie instead of being gathered first.
const GATHER_BYTES: usize = 32 * 1024;

/// Hashes one row after the other: a type byte a value, then 8 bytes of number, or 8 bytes of
/// length and the content, so that no two rows have the same encoding.
#[derive(Default)]
struct RowHash {
    gathered: Vec<u8>,
    begun: Option<Hasher>,
}

impl RowHash {
    fn take(&mut self, value: ValueRef<'_>) {
        match value {
            ValueRef::Null => self.gathered.push(0),
            ValueRef::Integer(number) => self.number(1, number.to_le_bytes()),
            ValueRef::Real(number) => self.number(2, number.to_bits().to_le_bytes()),
            ValueRef::Text(bytes) => self.content(3, bytes),
            ValueRef::Blob(bytes) => self.content(4, bytes),
        }
    }

    fn number(&mut self, kind: u8, bytes: [u8; 8]) {
        self.gathered.push(kind);
        self.gathered.extend_from_slice(&bytes);
    }

    fn content(&mut self, kind: u8, bytes: &[u8]) {
        self.number(kind, (bytes.len() as u64).to_le_bytes());
        if bytes.len() <= GATHER_BYTES {
            self.gathered.extend_from_slice(bytes);
        } else {
            let hasher = self.begun.get_or_insert_default();
            hasher.update(&self.gathered);
            hasher.update(bytes);
            self.gathered.clear();
        }
    }

    fn finish(&mut self) -> Digest {
        let digest = match self.begun.take() {
            None => Digest::of(&self.gathered),
            Some(mut hasher) => {
                hasher.update(&self.gathered);
                hasher.finish()
            }
        };
        self.gathered.clear();
        digest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database(sql: &str) -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(sql).unwrap();
        connection
    }

    fn of(sql: &str) -> Fingerprint {
        fingerprint(&database(sql)).unwrap()
    }

    #[test]
    fn equal_looking_values_of_other_types_differ() {
        let values =
            ["1", "1.0", "'1'", "x'31'", "NULL", "''", "x''", "'1 '", "0.0", "-0.0", "'0'"];
        let hashes: std::collections::BTreeSet<_> = values
            .iter()
            .map(|value| {
                of(&format!("CREATE TABLE t(v); INSERT INTO t VALUES({value})")).parts["t"].hash
            })
            .collect();

        assert_eq!(hashes.len(), values.len());
    }

    #[test]
    fn values_cannot_move_between_columns_or_rows_unseen() {
        let create = "CREATE TABLE t(a, b);";
        let both = of(&format!("{create} INSERT INTO t VALUES('ab', 'c')"));
        let moved = of(&format!("{create} INSERT INTO t VALUES('a', 'bc')"));
        let twice = of(&format!("{create} INSERT INTO t VALUES(1, 2), (3, 4)"));
        let crossed = of(&format!("{create} INSERT INTO t VALUES(1, 4), (3, 2)"));

        assert_ne!(both.parts["t"], moved.parts["t"]);
        assert_ne!(twice.parts["t"], crossed.parts["t"]);
    }

    #[test]
    fn the_order_of_rows_in_the_file_plays_no_part() {
        let create = "CREATE TABLE t(id INTEGER PRIMARY KEY, v);";
        let up = of(&format!("{create} INSERT INTO t VALUES(1,'a'),(2,'b'),(3,'c')"));
        let down = of(&format!("{create} INSERT INTO t VALUES(3,'c'),(2,'b'),(1,'a')"));

        assert_eq!(up, down);
    }

    #[test]
    fn every_kind_of_table_and_hostile_names_are_read() {
        let found = of(r#"
            CREATE TABLE "we""ird
name; DROP TABLE x"("a""b", "select", 'ünï', rowid, _rowid_, oid);
            INSERT INTO "we""ird
name; DROP TABLE x" VALUES(1, 2, 3, 4, 5, 6);
            CREATE TABLE pairs(a, b, PRIMARY KEY(a, b)) WITHOUT ROWID;
            INSERT INTO pairs VALUES(1, 2), (1, 3);
            CREATE TABLE counted(id INTEGER PRIMARY KEY AUTOINCREMENT, v AS (id * 2), w AS (id * 3) STORED);
            INSERT INTO counted DEFAULT VALUES;
            CREATE VIRTUAL TABLE words USING fts5(body);
            INSERT INTO words VALUES('lifeboat ahoy');
            CREATE VIEW seen AS SELECT * FROM pairs;
        "#);

        assert_eq!(found.parts["we\"ird\nname; DROP TABLE x"].rows, 1);
        assert_eq!(found.parts["pairs"].rows, 2);
        assert_eq!(found.parts["sqlite_sequence"].rows, 1);
        assert_eq!(found.parts["words_content"].rows, 1);
        assert!(!found.parts.contains_key("words") && !found.parts.contains_key("seen"));
        for object in ["table words", "view seen", "table pairs", "pragma user_version"] {
            assert!(found.schema.contains_key(object), "{object} in {:?}", found.schema.keys());
        }
    }

    #[test]
    fn the_table_is_read_even_where_an_index_covers_it() {
        let connection = database(
            "CREATE TABLE t(a, b); CREATE INDEX i ON t(a, b); INSERT INTO t VALUES(1, 2);
             CREATE TABLE w(a PRIMARY KEY, b) WITHOUT ROWID; INSERT INTO w VALUES(1, 2);",
        );
        let plan: String = connection
            .query_row(
                "EXPLAIN QUERY PLAN SELECT _rowid_, a, b FROM main.\"t\" NOT INDEXED",
                [],
                |row| row.get(3),
            )
            .unwrap();

        assert!(!plan.contains("INDEX"), "{plan}");
        assert_eq!(fingerprint(&connection).unwrap().parts["w"].rows, 1);
    }

    #[test]
    fn text_that_is_no_unicode_is_told_apart() {
        let utf8 = |bytes: &str| {
            of(&format!("CREATE TABLE t(v); INSERT INTO t VALUES(CAST(x'{bytes}' AS TEXT))"))
        };
        let utf16 = |bytes: &str| {
            of(&format!(
                "PRAGMA encoding = 'UTF-16le'; CREATE TABLE t(v); INSERT INTO t VALUES(CAST(x'{bytes}' AS TEXT))"
            ))
        };

        assert_ne!(utf8("ff41").parts, utf8("fe41").parts);
        assert_ne!(utf16("00d84100").parts, utf16("01d84100").parts);
    }

    #[test]
    fn long_values_hash_as_their_content_says() {
        let row = |n: usize, tail: &str| {
            of(&format!("CREATE TABLE t(a, b); INSERT INTO t VALUES(zeroblob({n}), '{tail}')"))
                .parts["t"]
        };

        assert_ne!(row(100_000, "x"), row(100_001, "x"));
        assert_ne!(row(100_000, "x"), row(100_000, "y"));
        assert_eq!(row(100_000, "x"), row(100_000, "x"));
    }
}
