//! The tables of a database and how their rows become text.
//!
//! In: a session. Out: [`Table`]s with the SQL that makes one text of one row. The text is
//! unambiguous: numbers and times hold no comma, everything else is preceded by its length or is a
//! digest of fixed length. Generated columns are left out: a dump carries how they are made.

use super::Product;
use super::names::{identifier, literal, readable};
use super::session::{Error, Session};

/// A table with rows of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table {
    pub database: String,
    pub name: String,
    pub hold: Hold,
    /// When it was last written, by the server's clock; only some engines know.
    pub written: Option<String>,
    /// Whether it has none of its own: they are other tables', or another server's, and not dumped.
    pub is_elsewhere: bool,
    /// Whether rows that were are kept, and dumped.
    pub is_versioned: bool,
    /// SQL for the text of a row.
    text: Vec<String>,
    /// Columns of type FLOAT.
    pub floats: Vec<String>,
}

/// Whether a transaction sees its rows as of one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hold {
    Transactional,
    /// It doesn't, and the engine tells when the table was last written.
    Written,
    /// Neither: rows are in memory, on another server, or of an engine that was not tried.
    Never,
}

/// Engines whose rows the dumping programs leave out.
const ELSEWHERE: [&str; 2] = ["MRG_MYISAM", "FEDERATED"];

/// Types whose values have no comma in their text.
const PLAIN: [&str; 14] = [
    "tinyint",
    "smallint",
    "mediumint",
    "int",
    "bigint",
    "decimal",
    "float",
    "double",
    "year",
    "date",
    "time",
    "datetime",
    "timestamp",
    "bool",
];

/// Types whose values may be larger than what an expression may make (`max_allowed_packet`).
const LARGE: [&str; 19] = [
    "tinyblob",
    "blob",
    "mediumblob",
    "longblob",
    "tinytext",
    "text",
    "mediumtext",
    "longtext",
    "json",
    "geometry",
    "point",
    "linestring",
    "polygon",
    "multipoint",
    "multilinestring",
    "multipolygon",
    "geometrycollection",
    "geomcollection",
    "vector",
];

/// Types whose length is that of their bytes.
const BYTES: [&str; 4] = ["char", "varchar", "binary", "varbinary"];

impl Table {
    /// The table as SQL names it.
    pub fn sql(&self) -> String {
        format!("{}.{}", identifier(&self.database), identifier(&self.name))
    }

    /// How it is named among the parts of a fingerprint.
    pub fn part_name(&self) -> String {
        part_name(&self.database, &self.name)
    }

    /// SQL for the rows that a dump carries.
    pub fn from(&self) -> String {
        let all = if self.is_versioned { " FOR SYSTEM_TIME ALL" } else { "" };
        format!("{}{all}", self.sql())
    }

    /// From now on all digits of FLOAT are in the text: a copy of pages keeps them, a dump does not.
    pub fn keep_floats(&mut self) {
        for column in &self.floats {
            let (rounded, name) = (plain(column), identifier(column));
            let kept = self.text.iter_mut().filter(|text| **text == rounded);
            kept.for_each(|text| *text = format!("IFNULL(CAST({name} AS DOUBLE),'n')"));
        }
    }

    /// SQL for the text of a row.
    pub fn text(&self) -> String {
        // A table may have no column that a dump carries.
        format!("CONCAT_WS(',','',{})", [&self.text[..], &["''".to_owned()]].concat().join(","))
    }
}

/// How a table is named among the parts of a fingerprint.
pub(super) fn part_name(database: &str, table: &str) -> String {
    format!("{}: table {}", readable(database), readable(table))
}

/// The tables of `database`, views and sequences not.
pub(super) fn of_database(session: &mut Session, database: &str) -> Result<Vec<Table>, Error> {
    let found = session.rows(&format!(
        "SELECT TABLE_NAME, TABLE_TYPE, COALESCE(ENGINE, ''), UPDATE_TIME
         FROM information_schema.TABLES
         WHERE TABLE_SCHEMA = {} AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED') ORDER BY 1",
        literal(database)
    ))?;
    let mut tables = Vec::new();
    for row in found {
        let Ok([Some(name), Some(kind), Some(engine), written]) = <[_; 4]>::try_from(row) else {
            return Err(session.unexpected("a table without a name"));
        };
        tables.push(Table {
            database: database.to_owned(),
            name,
            hold: match engine.as_str() {
                "InnoDB" => Hold::Transactional,
                // Aria keeps pages in memory, so that its files do not tell when it was written.
                "MyISAM" | "CSV" | "ARCHIVE" => Hold::Written,
                _ => Hold::Never,
            },
            written,
            is_elsewhere: ELSEWHERE.iter().any(|known| engine.eq_ignore_ascii_case(known)),
            is_versioned: kind == "SYSTEM VERSIONED",
            text: Vec::new(),
            floats: Vec::new(),
        });
    }
    columns(session, database, &mut tables)?;
    Ok(tables)
}

fn columns(session: &mut Session, database: &str, tables: &mut [Table]) -> Result<(), Error> {
    let found = session.rows(&format!(
        "SELECT TABLE_NAME, COLUMN_NAME, DATA_TYPE, COALESCE(GENERATION_EXPRESSION, '')
         FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = {} ORDER BY 1, ORDINAL_POSITION",
        literal(database)
    ))?;
    let product = session.product();
    let mut with_own_period = Vec::new();
    for row in found {
        let Ok([Some(table), Some(column), Some(kind), Some(generated)]) = <[_; 4]>::try_from(row)
        else {
            return Err(session.unexpected("a column without a name"));
        };
        let Some(table) = tables.iter_mut().find(|one| one.name == table) else { continue };
        let is_period = ["ROW START", "ROW END"].contains(&generated.as_str());
        if is_period {
            with_own_period.push(table.name.clone());
        }
        if generated.is_empty() || is_period {
            table.text.push(text(product, &column, &kind));
        }
        if kind == "float" && generated.is_empty() {
            table.floats.push(column);
        }
    }
    for table in tables.iter_mut().filter(|table| table.is_versioned) {
        if !with_own_period.contains(&table.name) {
            table.text.extend(["ROW_START", "ROW_END"].map(str::to_owned));
        }
    }
    Ok(())
}

/// SQL for the text of a value that has no comma in it.
fn plain(column: &str) -> String {
    format!("IFNULL({},'n')", identifier(column))
}

/// SQL for the text of a value.
fn text(product: Product, column: &str, kind: &str) -> String {
    let name = identifier(column);
    if PLAIN.contains(&kind) {
        plain(column)
    } else if LARGE.contains(&kind) {
        format!("IFNULL({},'n')", product.digest(&name))
    } else if BYTES.contains(&kind) {
        format!("IFNULL(CONCAT(LENGTH({name}),':',CAST({name} AS BINARY)),'n')")
    } else {
        let bytes = format!("CAST({name} AS BINARY)");
        format!("IFNULL(CONCAT(LENGTH({bytes}),':',{bytes}),'n')")
    }
}
