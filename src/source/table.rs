//! One table of a capture, as SQL of its own: which one is meant, and proof that all of it came out.
//!
//! In: a capture, the folder that its files came out to. Out: SQL, and as many rows as the fingerprint
//! says the table had in the captured moment; anything else is trouble.

use std::fs::File;
use std::io::{self, BufReader, Write};
use std::path::Path;

use super::{Capture, Kind, Trouble, mysql, postgres, sqlite};
use crate::ground::ids::Name;
use crate::sandbox::{Launcher, Scratch};

/// A table of a capture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// How the fingerprint names it.
    pub part: String,
    /// How many rows it had.
    pub rows: u64,
    /// Its database as the server names it; none where the source is one database.
    database: Option<String>,
    /// Its name without that.
    name: String,
}

/// Why no table is meant, or several may be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoTable {
    #[error("no single table is taken out of {source_name}, which is of kind {kind}")]
    Kind { source_name: Name, kind: Kind },
    #[error(
        "{source_name} was captured as its server's files, out of which no single table comes: restore it \
         with --to DIR, start a server of its own on what comes out, and dump the table there"
    )]
    Files { source_name: Name },
    #[error("the snapshot holds no table {named} of {source_name}; it holds: {known}")]
    Unknown { named: String, source_name: Name, known: String },
    #[error(
        "{named} of {source_name} has no rows of its own: of a partitioned table take its partitions one by \
         one; the snapshot holds: {known}"
    )]
    NoRows { named: String, source_name: Name, known: String },
    #[error("several tables are called {named}: {known}")]
    Several { named: String, known: String },
}

/// Why a table that came out is not the one that was captured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotWhole {
    #[error("the dump does not hold {part}")]
    Absent { part: String },
    #[error("{part} came out with {found} rows instead of {rows}")]
    Rows { part: String, found: u64, rows: u64 },
    #[error("{what}")]
    Io { what: String, source: io::Error },
}

/// Names that are told where none fits.
const MOST_TOLD: usize = 30;

impl Table {
    /// The table of `capture` that a person means: `orders`, `shop.orders` or `shop.public.orders`.
    pub fn find(capture: &Capture, named: &str) -> Result<Self, NoTable> {
        let source_name = capture.source.clone();
        if !matches!(capture.kind, Kind::Sqlite | Kind::Postgres | Kind::Mariadb | Kind::Mysql) {
            return Err(NoTable::Kind { source_name, kind: capture.kind });
        }
        if capture.server.as_ref().is_some_and(|server| server.copy.is_some()) {
            return Err(NoTable::Files { source_name });
        }
        let all: Vec<Self> = capture
            .fingerprint
            .parts
            .iter()
            .filter_map(|(part, content)| Self::of(capture, part, content.rows))
            .collect();
        let told = |tables: &[Self]| {
            let names: Vec<String> = tables.iter().take(MOST_TOLD).map(Self::full_name).collect();
            let more = if tables.len() > MOST_TOLD { ", …" } else { "" };
            if names.is_empty() { "none".to_owned() } else { names.join(", ") + more }
        };
        let fits = |table: &&Self| table.names().iter().any(|name| name == named);
        let mut found: Vec<Self> = all.iter().filter(fits).cloned().collect();
        match (found.pop(), &found[..]) {
            (Some(only), []) => Ok(only),
            (Some(last), _) => {
                found.push(last);
                Err(NoTable::Several { named: named.to_owned(), known: told(&found) })
            }
            (None, _) => {
                let (known, named) = (told(&all), named.to_owned());
                let mut defined = capture.fingerprint.schema.keys();
                if defined.any(|object| Self::of(capture, object, 0).is_some_and(|it| fits(&&it))) {
                    return Err(NoTable::NoRows { named, source_name, known });
                }
                Err(NoTable::Unknown { named, source_name, known })
            }
        }
    }

    fn of(capture: &Capture, part: &str, rows: u64) -> Option<Self> {
        let whole = |database, name: &str| Self {
            part: part.to_owned(),
            rows,
            database,
            name: name.to_owned(),
        };
        if capture.kind == Kind::Sqlite {
            return Some(whole(None, part));
        }
        let (database, name) = part.split_once(": table ")?;
        let databases: Vec<(String, &str)> = match (&capture.cluster, &capture.server) {
            (Some(cluster), _) => {
                let names = cluster.databases.iter().map(|one| &*one.name);
                names.map(|name| (postgres::names::readable(name), name)).collect()
            }
            (None, Some(server)) => {
                let names = server.databases.iter().map(|one| &*one.name);
                names.map(|name| (mysql::names::readable(name), name)).collect()
            }
            (None, None) => Vec::new(),
        };
        let (_, database) = databases.into_iter().find(|(readable, _)| readable == database)?;
        Some(whole(Some(database.to_owned()), name))
    }

    /// The table as a person may write it.
    fn names(&self) -> Vec<String> {
        let mut names = vec![self.name.clone()];
        names.extend(self.name.strip_prefix("public.").map(str::to_owned));
        let database = self.database.iter();
        let full: Vec<_> = database
            .flat_map(|one| names.iter().map(move |name| format!("{one}.{name}")))
            .collect();
        names.extend(full);
        names
    }

    /// With its database.
    pub fn full_name(&self) -> String {
        match &self.database {
            Some(database) => format!("{database}.{}", self.name),
            None => self.name.clone(),
        }
    }

    /// The file that holds it, below the source's folder; none where that is the only one.
    pub fn file(&self, capture: &Capture) -> Option<String> {
        let database = self.database.as_deref()?;
        Some(match capture.kind {
            Kind::Postgres => postgres::file_of(database),
            _ => mysql::file_of(database),
        })
    }

    /// Writes the table out of what was restored of `capture` to `data`; blocking.
    ///
    /// Fails with [`Trouble::Data`] unless all rows of the captured moment came out. What was written
    /// by then is of no use.
    pub fn write(
        &self,
        capture: &Capture,
        data: &Path,
        scratch: &Scratch,
        launcher: &Launcher,
        out: &mut dyn Write,
    ) -> Result<(), Trouble> {
        let found = match self.file(capture) {
            None => Some(sqlite::table(launcher, &capture.source, data, scratch, &self.name, out)?),
            Some(file) => self.out_of(capture.kind, &data.join(file), out)?,
        };
        let part = self.part.clone();
        match found {
            Some(found) if found == self.rows => Ok(()),
            Some(found) => {
                let rows = self.rows;
                Err(Trouble::Data(NotWhole::Rows { part, found, rows }.into()))
            }
            None => Err(Trouble::Data(NotWhole::Absent { part }.into())),
        }
    }

    /// Out of a dump.
    fn out_of(&self, kind: Kind, dump: &Path, out: &mut dyn Write) -> Result<Option<u64>, Trouble> {
        let io = |source| {
            let what = format!("cannot copy the table out of {}", dump.display());
            Trouble::Environment(NotWhole::Io { what, source }.into())
        };
        let mut file = BufReader::with_capacity(1 << 18, File::open(dump).map_err(io)?);
        match kind {
            Kind::Postgres => match postgres::table(&mut file, &self.name, out) {
                Ok(rows) => Ok(rows),
                Err(postgres::TableError::Io(error)) => Err(io(error)),
                Err(error) => Err(Trouble::Data(error.into())),
            },
            _ => {
                let database = self.database.as_deref().unwrap_or_default();
                mysql::table(&mut file, database, &self.part, out).map_err(io)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::digest::Digest;

    const DUMP: &str = "-- MariaDB dump\n-- Current Database: `shop`\nUSE `shop`;\n\
        -- Table structure for table `orders`\nCREATE TABLE `orders` (\n  `id` int\n);\n\
        -- Dumping data for table `orders`\nINSERT INTO `orders` VALUES\n(1),\n(2);\n";

    fn capture(kind: Kind, parts: &[(&str, u64)]) -> Capture {
        let hash = Digest::ZERO;
        let parts: serde_json::Map<String, serde_json::Value> = parts
            .iter()
            .map(|(name, rows)| {
                ((*name).to_owned(), serde_json::json!({ "rows": rows, "hash": hash }))
            })
            .collect();
        let moment = "2026-11-26T10:00:00Z";
        serde_json::from_value(serde_json::json!({
            "source": "orders", "kind": kind, "engine": "", "host": "", "started": moment,
            "consistent_time": moment, "finished": moment, "entries": 1, "bytes": 1, "skipped": [],
            "fingerprint": { "parts": parts, "schema": {} },
        }))
        .unwrap()
    }

    /// What becomes of `orders` out of a dump that holds two rows of it, where so many were captured.
    fn written(name: &str, rows: u64) -> Result<(), Trouble> {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        std::fs::create_dir_all(data.join("databases")).unwrap();
        std::fs::write(data.join("databases/shop.sql"), DUMP).unwrap();
        let scratch = Scratch::create(&folder.path().join("scratch"), None).unwrap();
        let table = Table {
            part: format!("shop: table {name}"),
            rows,
            database: Some("shop".to_owned()),
            name: name.to_owned(),
        };
        let launcher = Launcher::this_program();
        table.write(&capture(Kind::Mariadb, &[]), &data, &scratch, &launcher, &mut Vec::new())
    }

    #[test]
    fn a_table_with_more_or_fewer_rows_than_were_captured_is_none() {
        assert!(written("orders", 2).is_ok());
        for rows in [0, 1, 3] {
            let Err(Trouble::Data(error)) = written("orders", rows) else { panic!("{rows}") };
            let told = format!("came out with 2 rows instead of {rows}");
            assert!(error.to_string().contains(&told), "{error}");
        }
        let Err(Trouble::Data(error)) = written("gone", 0) else { panic!("none is not empty") };
        assert!(error.to_string().contains("does not hold shop: table gone"), "{error}");
    }

    #[test]
    fn a_name_leads_to_one_table_or_to_the_names_that_there_are() {
        let shop = capture(Kind::Sqlite, &[("orders", 3), ("order", 1)]);

        assert_eq!(Table::find(&shop, "orders").unwrap().rows, 3);
        let unknown = Table::find(&shop, "gone").unwrap_err().to_string();
        assert!(unknown.contains("it holds: order, orders"), "{unknown}");
        let files = Table::find(&capture(Kind::Files, &[]), "orders").unwrap_err();
        assert!(matches!(files, NoTable::Kind { .. }), "{files}");
    }
}
