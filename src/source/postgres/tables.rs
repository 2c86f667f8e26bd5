//! The tables of a database whose rows a dump carries.
//!
//! In: a session, inside the snapshot. Out: [`Table`]s: ordinary tables and the leaves of
//! partitioned ones. Not among them: what an extension made (it makes it again), but for the
//! tables that the extension marked as configuration; materialised views, of which a dump holds
//! only the query; foreign tables; unlogged tables, whose rows a crash would lose anyway.

use super::extensions::{CARRIED, MAKER};
use super::names::identifier;
use super::session::{Error, Session};

/// A table with rows of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table {
    pub schema: String,
    pub name: String,
    /// The stored columns as SQL, by name and not in their order: a child of another table has
    /// its columns in another order after a restore.
    pub columns: String,
    /// The extension's own `WHERE …` where only some rows are configuration.
    pub condition: Option<String>,
    /// Its name in hexadecimal of the database's own encoding, as dumps know it.
    pub key: String,
}

impl Table {
    /// The table as SQL names it.
    pub fn sql(&self) -> String {
        format!("{}.{}", identifier(&self.schema), identifier(&self.name))
    }
}

/// The condition on `pg_namespace n` that a schema is the users' and not the server's.
pub(super) const USERS_SCHEMA: &str =
    "n.nspname !~ '^pg_(toast|temp|catalog)' AND n.nspname <> 'information_schema'";

/// SQL for a relation's key: schema and name in hexadecimal, joined by a full stop.
pub(super) const KEY: &str = "encode(convert_to(n.nspname, getdatabaseencoding()), 'hex') || '.' \
                              || encode(convert_to(c.relname, getdatabaseencoding()), 'hex')";

/// All tables with rows of their own, unlogged ones not.
pub(super) fn stored(session: &mut Session) -> Result<Vec<Table>, Error> {
    let rows = session.rows(&format!(
        "SELECT n.nspname, c.relname, coalesce((
           SELECT string_agg(format('r.%I', a.attname), ', ' ORDER BY a.attname COLLATE \"C\")
           FROM pg_attribute a
           WHERE a.attrelid = c.oid AND a.attnum > 0
             AND NOT a.attisdropped AND a.attgenerated <> 'v'), ''),
           x.extcondition[array_position(x.extconfig, c.oid)], {KEY}
         FROM pg_class c
         JOIN pg_namespace n ON n.oid = c.relnamespace
         {MAKER}
         WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND {USERS_SCHEMA}
           AND {CARRIED}
         ORDER BY 1, 2"
    ))?;
    rows.into_iter()
        .map(|row| match <[Option<String>; 5]>::try_from(row) {
            Ok([Some(schema), Some(name), Some(columns), condition, Some(key)]) => Ok(Table {
                schema,
                name,
                columns,
                condition: condition.filter(|condition| !condition.is_empty()),
                key,
            }),
            _ => Err(session.unexpected("a table without a name")),
        })
        .collect()
}
