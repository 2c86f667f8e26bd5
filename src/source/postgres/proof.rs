//! The dump held against the server: what proves that nothing is missing from it.
//!
//! In: a pinned database, its fingerprint, what was counted of the dump. Out: where the sequences
//! stand, or an error that names what the dump lacks.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{Error, Fingerprint, Part};
use super::archive::Contents;
use super::dump;
use super::fingerprint;
use super::live::engine_error;
use super::pinned::Pinned;
use super::schema;
use super::sequences::{Sequence, SequenceValue};

/// The server deparses views and functions as they are now, whatever the snapshot: whoever changed
/// one while it was dumped leaves a dump of no single moment.
pub(super) fn unchanged(database: &str, pinned: &mut Pinned) -> Result<(), Error> {
    let before = &pinned.schema;
    let after = schema::of_database(&mut pinned.session)
        .map_err(|error| engine_error(format!("database {database}"), error))?;
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let changed: Vec<&str> = names
        .into_iter()
        .filter(|name| before.get(*name) != after.get(*name))
        .map(String::as_str)
        .take(5)
        .collect();
    if changed.is_empty() {
        return Ok(());
    }
    let what = format!("changed while it was dumped; run again: {}", changed.join(", "));
    Err(Error::Engine { object: format!("database {database}"), what, source: None })
}

/// Holds the dump against the server: fails unless it has all rows of all tables, all sequences
/// and all large objects. Returns where the dump says that the sequences stand.
pub(super) fn whole(
    database: &str,
    pinned: &Pinned,
    sequences: &[Sequence],
    (low, high): (&BTreeMap<String, SequenceValue>, &BTreeMap<String, SequenceValue>),
    found: &Fingerprint,
    contents: &Contents,
) -> Result<BTreeMap<String, Part>, Error> {
    let wrong = |what: String| Error::Engine {
        object: format!("the dump of database {database}"),
        what,
        source: Some(Box::new(dump::Error::Unlike)),
    };
    for table in &pinned.tables {
        let label = format!("table {}.{}", table.schema, table.name);
        let rows = found.parts.get(&fingerprint::part_name(database, table)).map(|part| part.rows);
        match (contents.tables.get(&table.key), rows) {
            (None, _) => return Err(wrong(format!("it lacks the rows of {label}"))),
            (Some(dumped), Some(rows)) if *dumped == rows => {}
            (Some(dumped), rows) => {
                let rows = rows.unwrap_or_default();
                return Err(wrong(format!("it has {dumped} rows of {label}, the server {rows}")));
            }
        }
    }
    if contents.tables.len() != pinned.tables.len() {
        return Err(wrong("it has rows of tables that the snapshot does not know".to_owned()));
    }
    let mut standing = BTreeMap::new();
    for sequence in sequences {
        let label = format!("sequence {}.{}", sequence.schema, sequence.name);
        let Some(value) = contents.sequences.get(&sequence.key) else {
            return Err(wrong(format!("it lacks {label}")));
        };
        let seen = low.get(&sequence.key).zip(high.get(&sequence.key));
        if !seen.is_some_and(|(low, high)| value.is_between(low, high)) {
            return Err(wrong(format!(
                "it has another value of {label} than the server; run again"
            )));
        }
        standing.insert(sequence.part_name(database), value.part());
    }
    if contents.sequences.len() != sequences.len() {
        return Err(wrong("it has sequences that the snapshot does not know".to_owned()));
    }
    let objects = found.parts.get(&fingerprint::large_objects_name(database));
    let objects = objects.map_or(0, |part| part.rows);
    if contents.large_objects != objects {
        let dumped = contents.large_objects;
        return Err(wrong(format!("it has {dumped} large objects, the server {objects}")));
    }
    Ok(standing)
}
