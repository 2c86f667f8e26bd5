//! What a whole archive holds: rows a table, values of sequences, large objects.

use std::collections::BTreeMap;

use super::super::sequences::SequenceValue;
use super::Damaged;
use super::data::Seen;
use super::head::Entries;

/// What an archive holds. Tables and sequences are named by schema and name, in hexadecimal of the
/// database's own encoding, joined by a full stop.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in super::super) struct Contents {
    /// Rows by table.
    pub tables: BTreeMap<String, u64>,
    pub sequences: BTreeMap<String, SequenceValue>,
    pub large_objects: u64,
    /// Of the whole archive.
    pub bytes: u64,
}

/// Puts together what the table of contents announces and what was seen.
pub(super) fn of(
    entries: &Entries,
    seen: &BTreeMap<u64, Seen>,
    bytes: u64,
) -> Result<Contents, Damaged> {
    let mut contents = Contents { bytes, ..Contents::default() };
    for (id, entry) in entries {
        let key = format!("{}.{}", hex::encode(&entry.schema), hex::encode(&entry.name));
        let data = match (seen.get(id), entry.has_data) {
            (None, true) => return Err(Damaged::Missing { entry: entry.label() }),
            (data, _) => data,
        };
        match (entry.kind.as_slice(), data) {
            (b"TABLE DATA", Some(data)) => {
                let rows = data.rows().ok_or_else(|| Damaged::BadEnd { entry: entry.label() })?;
                contents.tables.insert(key, rows);
            }
            (b"BLOBS", Some(data)) => contents.large_objects += data.large_objects,
            (b"SEQUENCE SET", _) => {
                let value = set_value(&entry.definition).ok_or(Damaged::BadContents)?;
                contents.sequences.insert(key, value);
            }
            _ => {}
        }
    }
    Ok(contents)
}

/// Reads `SELECT pg_catalog.setval('…', 42, true);`.
fn set_value(definition: &[u8]) -> Option<SequenceValue> {
    let statement = String::from_utf8_lossy(definition);
    let arguments = statement.trim_end().strip_suffix(");")?;
    let (arguments, is_called) = arguments.rsplit_once(", ")?;
    let (_, last) = arguments.rsplit_once(", ")?;
    Some(SequenceValue { last: last.parse().ok()?, is_called: is_called.parse().ok()? })
}
