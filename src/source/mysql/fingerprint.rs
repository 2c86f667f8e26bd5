//! The fingerprint of a database: every row of every table, every definition.
//!
//! In: a session, inside the snapshot that is dumped or on the restored copy. Out: parts named
//! `<database>: table <name>`, quoted where a name is not plain. Of each row the digest of its text
//! ([`tables`](super::tables)) is taken by the server and 60 bits of it are added up, so that the
//! order of rows plays no part and twins count twice. `CHECKSUM TABLE` would be faster; it runs
//! columns into each other, so that `('ab', 'c')` and `('a', 'bc')` look alike, and has 32 bits.

use std::collections::BTreeMap;
use std::collections::btree_map::{Entry, VacantEntry};

use super::super::{Fingerprint, Part};
use super::session::{Error, Session};
use super::tables::{self, Hold, Table};
use super::{Server, schema};
use crate::ground::digest::Digest;

/// What a row's text may need, at most: rows hold 64 KiB, large values apart.
const LEAST_PACKET_BYTES: u64 = 1 << 20;

/// Fails where the server would make NULL of a long row's text instead of hashing it.
pub(super) fn check_limits(session: &mut Session) -> Result<(), Error> {
    let bytes = session.value("SELECT @@max_allowed_packet")?;
    if bytes.parse::<u64>().map_or(true, |bytes| bytes < LEAST_PACKET_BYTES) {
        return Err(session.unexpected("its max_allowed_packet is below 1 MiB"));
    }
    Ok(())
}

/// What a server holds of a captured database, without what was not held still at its capture.
pub(super) fn of_database(
    session: &mut Session,
    captured: &Server,
    database: &str,
) -> Result<Fingerprint, Error> {
    let found = schema::of_database(session, database)?;
    let mut parts = BTreeMap::new();
    for mut table in tables::of_database(session, database)? {
        if captured.copy.is_some() {
            table.keep_floats();
        }
        let name = table.part_name();
        if table.hold != Hold::Never && !captured.unsteady.contains(&name) {
            parts.insert(name, rows(session, &table)?);
        }
    }
    // No log tells where counters stand: a server that starts on files begins after the last value.
    let has_counters = captured.moment.unheld.is_none() && captured.copy.is_none();
    for (name, value) in found.counters.iter().filter(|_| has_counters) {
        parts.insert(name.clone(), counter(value));
    }
    let schema = found.objects;
    Ok(Fingerprint { parts, schema, ..Fingerprint::empty(captured.product.kind()) })
}

/// Reads a whole table.
pub(super) fn rows(session: &mut Session, table: &Table) -> Result<Part, Error> {
    let row = session.row(&format!(
        "SELECT COUNT(*), \
         COALESCE(SUM(CAST(CONV(LEFT({}, 15), 16, 10) AS UNSIGNED)), 0) FROM {}",
        session.product().digest(&table.text()),
        table.from()
    ))?;
    let [Some(rows), Some(sum)] = row.as_slice() else {
        return Err(session.unexpected("a sum that is missing"));
    };
    let rows = rows.parse().map_err(|_| session.unexpected("a count that is no number"))?;
    Ok(Part { rows, hash: Digest::of(sum.as_bytes()) })
}

/// A counter as a part: what AUTO_INCREMENT or a sequence gives next.
pub(super) fn counter(value: &str) -> Part {
    Part { rows: 1, hash: Digest::of(value.as_bytes()) }
}

/// The place for a part that must be the only one of its name: of two, one would never be compared.
pub(super) fn once<T>(
    found: &mut BTreeMap<String, T>,
    name: String,
) -> Result<VacantEntry<'_, String, T>, &'static str> {
    match found.entry(name) {
        Entry::Vacant(place) => Ok(place),
        Entry::Occupied(_) => Err("two parts of one name"),
    }
}
