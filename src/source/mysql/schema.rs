//! The definitions of a database, as the server writes them.
//!
//! In: a session. Out: by object, e.g. `shop: index orders.by_day`, the digest of its definition. A
//! table's definition is cut into its lines, so that a missing index is told as such; whatever is no
//! line of an index or a constraint stays with the table.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::names::{identifier, literal, readable, unquoted};
use super::session::{Error, Session};
use super::{Product, charset};
use crate::ground::digest::Digest;

/// What there is of definitions, and what counts on beside transactions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Schema {
    pub objects: BTreeMap<String, Digest>,
    /// By part's name, what AUTO_INCREMENT or a sequence gives next.
    pub counters: BTreeMap<String, String>,
}

/// Reads the definitions of `database`.
pub(super) fn of_database(session: &mut Session, database: &str) -> Result<Schema, Error> {
    let mut found = Schema::default();
    let wanted = literal(database);
    let row = session.row(&format!(
        "SELECT {} FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = {wanted}",
        session.product().database_columns()
    ))?;
    put(&mut found, format!("{}: database", readable(database)), &joined(&row));
    let tables = session.rows(&format!(
        "SELECT TABLE_NAME, TABLE_TYPE FROM information_schema.TABLES
         WHERE TABLE_SCHEMA = {wanted} ORDER BY 1"
    ))?;
    for row in tables {
        let [Some(name), Some(kind)] = row.as_slice() else {
            return Err(session.unexpected("a table without a name"));
        };
        match kind.as_str() {
            "VIEW" => shown(session, database, "VIEW", name, &[1, 2, 3], "", &mut found)?,
            "SEQUENCE" => sequence(session, database, name, &mut found)?,
            _ => table(session, database, name, &mut found)?,
        }
    }
    code(session, database, &mut found)?;
    if session.product() == Product::Mysql {
        libraries(session, database, &mut found)?;
    }
    Ok(found)
}

/// Triggers, routines and events.
fn code(session: &mut Session, database: &str, found: &mut Schema) -> Result<(), Error> {
    let wanted = literal(database);
    // The order of two triggers of one table is a matter of when they were made.
    let triggers = session.rows(&format!(
        "SELECT TRIGGER_NAME, CONCAT(EVENT_OBJECT_TABLE, ' ', ACTION_ORDER)
         FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = {wanted} ORDER BY 1"
    ))?;
    for row in triggers {
        let [Some(name), Some(order)] = row.as_slice() else {
            return Err(session.unexpected("a trigger without a name"));
        };
        shown(session, database, "TRIGGER", name, &[1, 2, 3, 4, 5], order, found)?;
    }
    let routines = session.rows(&format!(
        "SELECT ROUTINE_NAME, ROUTINE_TYPE FROM information_schema.ROUTINES
         WHERE ROUTINE_SCHEMA = {wanted} ORDER BY 1, 2"
    ))?;
    for row in routines {
        let [Some(name), Some(kind)] = row.as_slice() else {
            return Err(session.unexpected("a routine without a name"));
        };
        shown(session, database, kind, name, &[1, 2, 3, 4, 5], "", found)?;
    }
    let events = session.column(&format!(
        "SELECT EVENT_NAME FROM information_schema.EVENTS
         WHERE EVENT_SCHEMA = {wanted} ORDER BY 1"
    ))?;
    for name in events {
        shown(session, database, "EVENT", &name, &[1, 2, 3, 4, 5, 6], "", found)?;
    }
    Ok(())
}

/// MySQL's libraries: code that routines import.
fn libraries(session: &mut Session, database: &str, found: &mut Schema) -> Result<(), Error> {
    let rows = session.rows(&format!(
        "SELECT LIBRARY_NAME, LANGUAGE, LIBRARY_DEFINITION, LIBRARY_COMMENT
         FROM information_schema.LIBRARIES WHERE LIBRARY_SCHEMA = {} ORDER BY 1",
        literal(database)
    ))?;
    for mut row in rows {
        let [Some(name), _, Some(text), _] = row.as_mut_slice() else {
            return Err(session.unexpected("the definition of a library is hidden"));
        };
        text.truncate(text.trim_end().len());
        let object = format!("{}: library {}", readable(database), readable(name));
        put(found, object, &joined(&row));
    }
    Ok(())
}

/// Takes in what `SHOW CREATE` tells of an object: the columns `which` of it, and `more`.
fn shown(
    session: &mut Session,
    database: &str,
    kind: &str,
    name: &str,
    which: &[usize],
    more: &str,
    found: &mut Schema,
) -> Result<(), Error> {
    let row = session.row(&format!("SHOW CREATE {kind} {}", full(database, name)))?;
    let object = format!("{}: {} {}", readable(database), kind.to_lowercase(), readable(name));
    let mut told = vec![Some(more.to_owned())];
    for column in which {
        match row.get(*column) {
            // What a dump writes before and after a definition may leave a space at its end.
            Some(Some(text)) => told.push(Some(text.trim_end().to_owned())),
            _ => return Err(session.unexpected(format!("the definition of {object} is hidden"))),
        }
    }
    put(found, object, &joined(&told));
    Ok(())
}

fn sequence(
    session: &mut Session,
    database: &str,
    name: &str,
    found: &mut Schema,
) -> Result<(), Error> {
    shown(session, database, "SEQUENCE", name, &[1], "", found)?;
    let sql = format!("SELECT next_not_cached_value FROM {}", full(database, name));
    let next = session.value(&sql)?;
    found.counters.insert(sequence_name(database, name), next);
    Ok(())
}

fn table(
    session: &mut Session,
    database: &str,
    name: &str,
    found: &mut Schema,
) -> Result<(), Error> {
    let row = session.row(&format!("SHOW CREATE TABLE {}", full(database, name)))?;
    let Some(Some(text)) = row.get(1) else {
        return Err(session.unexpected("a table without a definition"));
    };
    let of = |kind: &str, name: &str| format!("{}: {kind} {name}", readable(database));
    let (mut rest, readable_name) = (String::new(), readable(name));
    for line in text.lines() {
        let bare = line.trim().trim_end_matches(',');
        match part_of(bare) {
            Some((kind, part)) => {
                put(found, of(kind, &format!("{readable_name}.{}", readable(&part))), bare);
            }
            None => {
                let (line, next) = without_counter(line);
                if let Some(next) = next {
                    found.counters.insert(auto_increment_name(database, name), next.to_owned());
                }
                let line = match session.product() {
                    Product::Mariadb => Cow::Borrowed(line.as_str()),
                    Product::Mysql => charset::without_implied(&line),
                };
                rest.push_str(line.trim_end_matches(','));
                rest.push('\n');
            }
        }
    }
    put(found, of("table", &readable_name), &rest);
    Ok(())
}

/// The index or constraint that a line of a table's definition declares.
fn part_of(line: &str) -> Option<(&'static str, String)> {
    if line.starts_with("PRIMARY KEY ") {
        return Some(("index", "PRIMARY".to_owned()));
    }
    let index = ["KEY ", "UNIQUE KEY ", "FULLTEXT KEY ", "SPATIAL KEY "];
    let named = index.iter().find_map(|word| line.strip_prefix(word)).map(|rest| ("index", rest));
    let named = named.or_else(|| line.strip_prefix("CONSTRAINT ").map(|rest| ("constraint", rest)));
    let (kind, rest) = named?;
    unquoted(rest).map(|(name, _)| (kind, name))
}

/// A table's last line without what AUTO_INCREMENT gives next, and that. It moves while rows are
/// written, outside of transactions.
pub(super) fn without_counter(line: &str) -> (String, Option<&str>) {
    let whole = || (line.to_owned(), None);
    let Some(at) = line.strip_prefix(") ENGINE=").and_then(|_| line.find(" AUTO_INCREMENT="))
    else {
        return whole();
    };
    let engine = &line[") ENGINE=".len()..at];
    let after = &line[at + " AUTO_INCREMENT=".len()..];
    let end = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
    // A comment may hold anything: the counter stands right after the engine's name.
    if engine.contains(' ') {
        return whole();
    }
    (format!("{}{}", &line[..at], &after[end..]), Some(&after[..end]))
}

/// How a counter is named among the parts of a fingerprint.
pub(super) fn auto_increment_name(database: &str, table: &str) -> String {
    format!("{}: auto_increment {}", readable(database), readable(table))
}

/// How a sequence's position is named among the parts of a fingerprint.
pub(super) fn sequence_name(database: &str, sequence: &str) -> String {
    format!("{}: sequence {}", readable(database), readable(sequence))
}

fn full(database: &str, name: &str) -> String {
    format!("{}.{}", identifier(database), identifier(name))
}

fn put(found: &mut Schema, object: String, definition: &str) {
    found.objects.insert(object, Digest::of(definition.as_bytes()));
}

/// Values as one text, whatever is in them.
fn joined(row: &[Option<String>]) -> String {
    let told = row.iter().map(|value| match value {
        Some(text) => format!("{}:{text}", text.len()),
        None => "-".to_owned(),
    });
    told.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_and_constraints_are_told_from_columns() {
        for (line, part) in [
            ("PRIMARY KEY (`id`)", Some(("index", "PRIMARY"))),
            ("UNIQUE KEY `by``day` (`day`) USING BTREE", Some(("index", "by`day"))),
            ("CONSTRAINT `fk` FOREIGN KEY (`a`) REFERENCES `b` (`a`)", Some(("constraint", "fk"))),
            ("`KEY ` int(11) NOT NULL", None),
            ("PERIOD FOR SYSTEM_TIME (`a`, `b`)", None),
        ] {
            let part = part.map(|(kind, name)| (kind, name.to_owned()));
            assert_eq!(part_of(line), part, "{line}");
        }
    }

    #[test]
    fn the_counter_is_taken_out_of_a_definition_and_a_comment_that_looks_like_it_stays() {
        let (line, next) =
            without_counter(") ENGINE=InnoDB AUTO_INCREMENT=7 DEFAULT CHARSET=latin1");
        assert_eq!((line.as_str(), next), (") ENGINE=InnoDB DEFAULT CHARSET=latin1", Some("7")));

        let comment = ") ENGINE=InnoDB DEFAULT CHARSET=latin1 COMMENT='x AUTO_INCREMENT=7 y'";
        assert_eq!(without_counter(comment), (comment.to_owned(), None));
    }
}
