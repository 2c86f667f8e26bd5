//! An archive's header and table of contents.

use std::collections::BTreeMap;

use super::Damaged;

/// What stands before the data.
pub(super) struct Head {
    /// Bytes of an integer, its sign apart.
    pub int_bytes: usize,
    pub entries: Entries,
}

/// The table of contents by the entries' numbers.
pub(in super::super) type Entries = BTreeMap<u64, Entry>;

/// One object of the table of contents, with what is needed of it. Names are bytes: they are in
/// the database's own encoding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Entry {
    pub has_data: bool,
    /// E.g. `TABLE DATA`, `SEQUENCE SET`.
    pub kind: Vec<u8>,
    pub schema: Vec<u8>,
    pub name: Vec<u8>,
    pub definition: Vec<u8>,
    /// What its rows begin with.
    pub copy: Vec<u8>,
    /// The numbers of what it depends on.
    pub depends: Vec<u64>,
    /// Its place in the table of contents, in whose order everything can be made.
    pub place: u64,
}

impl Entry {
    /// The entry as messages name it.
    pub fn label(&self) -> String {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        format!("{} {}.{}", text(&self.kind).to_lowercase(), text(&self.schema), text(&self.name))
    }
}

/// The code of the custom format (`archCustom`).
const CUSTOM: u8 = 1;

/// More entries than any database has objects; a larger number is damage.
const MOST_ENTRIES: u64 = 50_000_000;

/// Reads the head and how long it is; none where `bytes` end before it does.
pub(super) fn read(bytes: &[u8]) -> Result<Option<(Head, usize)>, Damaged> {
    let mut from = Cursor { bytes, at: 0, int_bytes: 0 };
    match head(&mut from) {
        Ok(head) => Ok(Some((head, from.at))),
        Err(Stop::Short) => Ok(None),
        Err(Stop::Damaged(damaged)) => Err(damaged),
    }
}

enum Stop {
    Short,
    Damaged(Damaged),
}

fn head(from: &mut Cursor<'_>) -> Result<Head, Stop> {
    if from.take(5)? != b"PGDMP" {
        return Err(Stop::Damaged(Damaged::NotAnArchive));
    }
    let &[major, minor, _, int_bytes, offset_bytes, format] = from.take(6)? else {
        return Err(Stop::Short);
    };
    if major != 1 || !(14..=16).contains(&minor) {
        return Err(Stop::Damaged(Damaged::Version { major, minor }));
    }
    if format != CUSTOM || !(1..=8).contains(&int_bytes) || offset_bytes > 8 {
        return Err(Stop::Damaged(Damaged::NotAnArchive));
    }
    from.int_bytes = usize::from(int_bytes);
    // 1.14 says how strong, 1.15 and later by which algorithm; 0 is none of either.
    let compression = if minor >= 15 { i64::from(from.byte()?) } else { from.int()? };
    if compression != 0 {
        return Err(Stop::Damaged(Damaged::Compressed));
    }
    // The moment: seconds to years, and whether it is summer time.
    for _ in 0..7 {
        from.int()?;
    }
    // The database, the server's version, pg_dump's version.
    for _ in 0..3 {
        from.text()?;
    }
    let count = u64::try_from(from.int()?).ok().filter(|count| *count <= MOST_ENTRIES);
    let count = count.ok_or(Stop::Damaged(Damaged::BadContents))?;
    let mut entries = Entries::new();
    for place in 0..count {
        let (id, entry) = entry(from, minor, usize::from(offset_bytes), place)?;
        if entries.insert(id, entry).is_some() {
            return Err(Stop::Damaged(Damaged::BadContents));
        }
    }
    Ok(Head { int_bytes: from.int_bytes, entries })
}

fn entry(
    from: &mut Cursor<'_>,
    minor: u8,
    offset_bytes: usize,
    place: u64,
) -> Result<(u64, Entry), Stop> {
    let id = u64::try_from(from.int()?).map_err(|_| Stop::Damaged(Damaged::BadContents))?;
    let has_data = from.int()? != 0;
    let _catalog = from.text()?;
    let _oid = from.text()?;
    let name = from.text()?;
    let kind = from.text()?;
    let _section = from.int()?;
    let definition = from.text()?;
    let _drop_statement = from.text()?;
    let copy = from.text()?;
    let schema = from.text()?;
    let _tablespace = from.text()?;
    let _access_method = from.text()?;
    if minor >= 16 {
        let _relation_kind = from.int()?;
    }
    let _owner = from.text()?;
    let _with_oids = from.text()?;
    let mut depends = Vec::new();
    while let Some(number) = from.text()? {
        let number = std::str::from_utf8(number).ok().and_then(|number| number.parse().ok());
        depends.push(number.ok_or(Stop::Damaged(Damaged::BadContents))?);
    }
    // Where its data are, which a stream cannot say.
    from.take(1 + offset_bytes)?;
    let owned = |text: Option<&[u8]>| text.unwrap_or_default().to_vec();
    let (kind, schema) = (owned(kind), owned(schema));
    let (name, definition, copy) = (owned(name), owned(definition), owned(copy));
    Ok((id, Entry { has_data, kind, schema, name, definition, copy, depends, place }))
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    int_bytes: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Stop> {
        let end = self.at.checked_add(count).ok_or(Stop::Short)?;
        let taken = self.bytes.get(self.at..end).ok_or(Stop::Short)?;
        self.at = end;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Stop> {
        self.take(1)?.first().copied().ok_or(Stop::Short)
    }

    fn int(&mut self) -> Result<i64, Stop> {
        let negative = self.byte()? != 0;
        let magnitude = magnitude(self.take(self.int_bytes)?);
        let number = i64::try_from(magnitude).map_err(|_| Stop::Damaged(Damaged::BadContents))?;
        Ok(if negative { -number } else { number })
    }

    fn text(&mut self) -> Result<Option<&'a [u8]>, Stop> {
        match usize::try_from(self.int()?) {
            Ok(length) => self.take(length).map(Some),
            // A text that is not there has the length -1.
            Err(_) => Ok(None),
        }
    }
}

/// An integer's bytes, least significant first.
pub(super) fn magnitude(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}
