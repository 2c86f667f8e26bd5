//! Deliberate faults: one row changed or removed, in a transaction that is rolled back once the
//! fingerprint was taken in it.

use super::super::fingerprint::part_name;
use super::super::session::Error as Said;
use super::super::tables::{self, Table};
use super::super::{Session, names};
use super::of_session;
use crate::source::{Fault, Place, Trouble};

/// The session whose transaction holds a fault.
pub(super) struct Injured {
    pub(super) session: Session,
}

/// A stored value that may be changed.
struct Column {
    /// As SQL names it.
    name: String,
    /// SQL for another value of its type.
    other: String,
}

/// Puts `fault` into the largest table of the session's database that takes it; the session is
/// none where nothing does.
pub(super) fn injure(
    mut session: Session,
    fault: Fault,
) -> Result<Option<(Place, Session)>, Trouble> {
    let change: fn(&mut Session, &Table) -> Result<Option<String>, Trouble> = match fault {
        Fault::RowChanged => change_value,
        Fault::RowRemoved => remove_row,
        Fault::ByteFlipped | Fault::BlobHidden => return Ok(None),
    };
    // Neither triggers nor foreign keys: only the comparison of content may find it.
    session.run("BEGIN; SET LOCAL session_replication_role = replica").map_err(of_session)?;
    for table in by_size(&mut session)? {
        if let Some(what) = change(&mut session, &table)? {
            let object = part_name(session.database(), &table);
            return Ok(Some((Place { object, what }, session)));
        }
    }
    Ok(None)
}

/// The tables of the fingerprint, largest first, empty ones left out.
fn by_size(session: &mut Session) -> Result<Vec<Table>, Trouble> {
    let mut sized = Vec::new();
    for table in tables::stored(session).map_err(of_session)? {
        // An extension's table may be compared in part only.
        if table.condition.is_some() {
            continue;
        }
        let name = names::literal(&table.sql());
        let bytes = session.value(&format!("SELECT pg_relation_size({name}::regclass)"));
        let bytes: u64 = bytes.map_err(of_session)?.parse().unwrap_or(0);
        if bytes > 0 {
            sized.push((bytes, table));
        }
    }
    sized.sort_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
    Ok(sized.into_iter().map(|(_, table)| table).collect())
}

fn remove_row(session: &mut Session, table: &Table) -> Result<Option<String>, Trouble> {
    let name = table.sql();
    let sql = format!(
        "DELETE FROM ONLY {name} WHERE ctid = (SELECT ctid FROM ONLY {name} LIMIT 1) RETURNING 1"
    );
    let removed = session.rows(&sql).map_err(of_session)?;
    Ok((removed.len() == 1).then(|| "one row was removed".to_owned()))
}

fn change_value(session: &mut Session, table: &Table) -> Result<Option<String>, Trouble> {
    let name = table.sql();
    for Column { name: column, other } in columns(session, table)? {
        session.run("SAVEPOINT before").map_err(of_session)?;
        // Infinity plus an hour and NaN less one are what they were.
        let sql = format!(
            "UPDATE ONLY {name} AS r SET {column} = {other} WHERE r.ctid = (
               SELECT r.ctid FROM ONLY {name} AS r WHERE r.{column} IS NOT NULL
                 AND ({other})::text IS DISTINCT FROM r.{column}::text LIMIT 1)
             RETURNING 1"
        );
        match session.rows(&sql) {
            Ok(rows) if rows.len() == 1 => {
                return Ok(Some(format!("one value of column {column} was changed")));
            }
            Ok(_) => {}
            // A constraint, or a type that takes no such value.
            Err(Said::Refused { .. }) => {
                session.run("ROLLBACK TO SAVEPOINT before").map_err(of_session)?;
            }
            Err(error) => return Err(of_session(error)),
        }
    }
    Ok(None)
}

/// The columns whose values can be changed into others; those of no key first.
fn columns(session: &mut Session, table: &Table) -> Result<Vec<Column>, Trouble> {
    let rows = session.rows(&format!(
        "SELECT format('%I', a.attname), t.typcategory, format_type(a.atttypid, a.atttypmod),
           a.atttypid = 'bytea'::regtype
         FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
         WHERE a.attrelid = {}::regclass AND a.attnum > 0 AND NOT a.attisdropped
           AND a.attgenerated = '' AND a.attidentity <> 'a'
         ORDER BY EXISTS (SELECT FROM pg_index i WHERE i.indrelid = a.attrelid
           AND i.indisunique AND a.attnum = ANY (i.indkey)), a.attnum",
        names::literal(&table.sql())
    ));
    let columns = rows.map_err(of_session)?.into_iter().filter_map(|row| {
        let [Some(name), Some(category), Some(kind), Some(is_bytes)] =
            <[Option<String>; 4]>::try_from(row).ok()?
        else {
            return None;
        };
        let old = format!("r.{name}");
        let text = format!("{old}::text");
        let other = match category.as_str() {
            "N" => {
                format!("(CASE WHEN {old}::numeric = 0 THEN 1 ELSE {old}::numeric - 1 END)::{kind}")
            }
            "S" => format!(
                "((CASE WHEN left({text}, 1) = 'x' THEN 'y' ELSE 'x' END) \
                 || substr({text}, 2))::{kind}"
            ),
            "B" => format!("NOT {old}"),
            "D" => format!("({old} + interval '1 hour 1 day')::{kind}"),
            _ if is_bytes == "t" => format!("'\\x00'::bytea || {old}"),
            _ => return None,
        };
        Some(Column { name, other })
    });
    Ok(columns.collect())
}
