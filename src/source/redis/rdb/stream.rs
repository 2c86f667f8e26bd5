//! Streams: their entries, and how far each group has come.

use super::Damaged;
use super::input::{Input, Pieces as _};
use super::listpack::Listpack;
use super::record::Record;
use super::text::Text;
use crate::ground::digest::Digest;

/// How much a stream tells of its consumers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    /// Of Redis 7.0.
    V2,
    /// Of Redis 7.2: when a consumer was last active, too.
    V3,
}

/// The fields that a node's entries share are kept while it is read; nobody has more.
const MOST_FIELDS: i64 = 1 << 16;

/// The entry was deleted and only its place is left.
const DELETED: i64 = 1;
/// Its fields are those of the node.
const SAME_FIELDS: i64 = 2;

pub(super) fn read(input: &mut Input<'_>, version: Version) -> Result<Digest, Damaged> {
    let mut record = Record::default();
    for _ in 0..input.length()? {
        node(input, &mut record)?;
    }
    // Its length, and the ids of its last entry, its first, and the last one deleted; entries ever
    // added.
    for _ in 0..8 {
        record.number(input.length()?);
    }
    for _ in 0..input.length()? {
        group(input, version, &mut record)?;
    }
    Ok(record.finish())
}

/// Entries whose ids begin near each other, in one listpack.
fn node(input: &mut Input<'_>, record: &mut Record) -> Result<(), Damaged> {
    let mut id = Text::open(input)?;
    let (milliseconds, number) = (u64::from_be_bytes(id.array()?), u64::from_be_bytes(id.array()?));
    id.end()?;
    let mut elements = Listpack::open(Text::open(input)?)?;
    let (valid, deleted) = (elements.integer()?, elements.integer()?);
    let entries = valid.checked_add(deleted).filter(|_| valid >= 0 && deleted >= 0);
    let entries = entries.ok_or_else(|| elements.malformed("a stream's node has no number"))?;
    let shared = elements.integer()?;
    if !(0..=MOST_FIELDS).contains(&shared) {
        return Err(elements.malformed("a stream's node has too many fields"));
    }
    let mut fields = Vec::new();
    for _ in 0..shared {
        fields.push(elements.must()?.digest);
    }
    elements.must()?;
    for _ in 0..entries {
        let flags = elements.integer()?;
        let id = (
            milliseconds.wrapping_add_signed(elements.integer()?),
            number.wrapping_add_signed(elements.integer()?),
        );
        let entry = entry(&mut elements, flags & SAME_FIELDS != 0, &fields)?;
        if flags & DELETED == 0 {
            record.number(id.0);
            record.number(id.1);
            record.digest(&entry);
        }
        // Of how many elements the entry is, to read it from its end.
        elements.must()?;
    }
    elements.end()
}

/// An entry's fields and values, in their order.
fn entry(
    elements: &mut Listpack<'_, '_>,
    has_same_fields: bool,
    fields: &[Digest],
) -> Result<Digest, Damaged> {
    let mut record = Record::default();
    if has_same_fields {
        for field in fields {
            record.digest(field);
            record.digest(&elements.must()?.digest);
        }
    } else {
        for _ in 0..elements.integer()? {
            record.digest(&elements.must()?.digest);
            record.digest(&elements.must()?.digest);
        }
    }
    Ok(record.finish())
}

/// A group of consumers: how far it has read, and what is still to be acknowledged.
fn group(input: &mut Input<'_>, version: Version, record: &mut Record) -> Result<(), Damaged> {
    record.digest(&Text::open(input)?.element()?.digest);
    // The id that was delivered last, and the number of entries read.
    for _ in 0..3 {
        record.number(input.length()?);
    }
    let pending = input.length()?;
    record.number(pending);
    for _ in 0..pending {
        // Its id, when it was delivered, and how often.
        for _ in 0..3 {
            record.number(u64::from_le_bytes(input.array()?));
        }
        record.number(input.length()?);
    }
    let consumers = input.length()?;
    record.number(consumers);
    for _ in 0..consumers {
        consumer(input, version, record)?;
    }
    Ok(())
}

fn consumer(input: &mut Input<'_>, version: Version, record: &mut Record) -> Result<(), Damaged> {
    record.digest(&Text::open(input)?.element()?.digest);
    let seen = u64::from_le_bytes(input.array()?);
    record.number(seen);
    // As newer servers take it where an older one did not say.
    record.number(match version {
        Version::V2 => seen,
        Version::V3 => u64::from_le_bytes(input.array()?),
    });
    let pending = input.length()?;
    record.number(pending);
    for _ in 0..pending {
        for _ in 0..2 {
            record.number(u64::from_le_bytes(input.array()?));
        }
    }
    Ok(())
}
