//! Where sequences stand.
//!
//! They are outside of every transaction: two looks within one snapshot may differ. So a capture
//! takes from the dump what the dump says, once that lies between what was seen before and after.

use std::collections::BTreeMap;

use super::super::Part;
use super::extensions::{CARRIED, MAKER};
use super::names::{identifier, literal, readable};
use super::session::{Error, Session};
use super::tables::{self, USERS_SCHEMA};
use crate::ground::digest::Digest;

/// How many sequences one statement asks.
const AT_ONCE: usize = 200;

/// A sequence whose value a dump carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sequence {
    pub schema: String,
    pub name: String,
    /// Its name in hexadecimal of the database's own encoding, as dumps know it.
    pub key: String,
}

/// Where a sequence stands: `setval`'s second and third argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SequenceValue {
    pub last: i64,
    pub is_called: bool,
}

impl Sequence {
    /// How it is named among the parts of `database`.
    pub fn part_name(&self, database: &str) -> String {
        let (schema, name) = (readable(&self.schema), readable(&self.name));
        format!("{}: sequence {schema}.{name}", readable(database))
    }
}

impl SequenceValue {
    /// Whether a sequence that stood at `one` and at `other`, counting up or down, may have stood
    /// here meanwhile. One that starts anew at its end within a dump may not, and is dumped again.
    pub(super) fn is_between(&self, one: &Self, other: &Self) -> bool {
        let (low, high) = (one.last.min(other.last), one.last.max(other.last));
        (low..=high).contains(&self.last) && (one != other || self == one)
    }

    /// As a part of a fingerprint: a sequence is a relation of one row.
    pub(super) fn part(&self) -> Part {
        let text = format!("{} {}", self.last, self.is_called);
        Part { rows: 1, hash: Digest::of(text.as_bytes()) }
    }
}

/// All sequences whose values a dump carries: not those of unlogged tables and of extensions.
pub(super) fn stored(session: &mut Session) -> Result<Vec<Sequence>, Error> {
    let key = tables::KEY;
    let rows = session.rows(&format!(
        "SELECT n.nspname, c.relname, {key}
         FROM pg_class c
         JOIN pg_namespace n ON n.oid = c.relnamespace
         {MAKER}
         WHERE c.relkind = 'S' AND c.relpersistence = 'p' AND {USERS_SCHEMA}
           AND {CARRIED}
         ORDER BY 1, 2"
    ))?;
    rows.into_iter()
        .map(|row| match <[Option<String>; 3]>::try_from(row) {
            Ok([Some(schema), Some(name), Some(key)]) => Ok(Sequence { schema, name, key }),
            _ => Err(session.unexpected("a sequence without a name")),
        })
        .collect()
}

/// Where `sequences` stand now, by their keys.
pub(super) fn values(
    session: &mut Session,
    sequences: &[Sequence],
) -> Result<BTreeMap<String, SequenceValue>, Error> {
    let mut values = BTreeMap::new();
    for some in sequences.chunks(AT_ONCE) {
        let asked: Vec<String> = some
            .iter()
            .map(|one| {
                let (schema, name) = (identifier(&one.schema), identifier(&one.name));
                let key = literal(&one.key);
                format!("SELECT {key}, last_value, is_called FROM {schema}.{name}")
            })
            .collect();
        for row in session.rows(&asked.join(" UNION ALL "))? {
            let Ok([Some(key), Some(last), Some(is_called)]) = <[Option<String>; 3]>::try_from(row)
            else {
                return Err(session.unexpected("a sequence without a value"));
            };
            let last = last.parse().map_err(|_| session.unexpected("a value that is no number"))?;
            values.insert(key, SequenceValue { last, is_called: is_called == "t" });
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_no_sequence_can_have_had_meanwhile_is_told() {
        let at = |last, is_called| SequenceValue { last, is_called };

        assert!(at(7, true).is_between(&at(5, true), &at(9, true)));
        assert!(at(-7, true).is_between(&at(-5, true), &at(-9, true)));
        assert!(at(1, false).is_between(&at(1, false), &at(1, true)));
        assert!(!at(1, false).is_between(&at(5, true), &at(9, true)));
        assert!(!at(10, true).is_between(&at(5, true), &at(9, true)));
        assert!(!at(5, false).is_between(&at(5, true), &at(5, true)));
    }
}
