//! One table out of the archive of its database, as SQL of its own.
//!
//! In: an archive of `pg_dump -Fc`. Out: its schema, the types and functions that it needs, the table's
//! definition, its rows as `COPY` gives them, then its constraints, indexes, triggers and policies, the
//! sequences that it owns, in the archive's own order; and how many rows there are. Owners, grants and foreign
//! keys stay behind: the roles and the other tables need not be there.

use std::io::{self, Read, Write};

use super::archive::{Archive, Damaged, Entries, Entry};
use super::names::readable;

/// Bytes that are read at once.
const PIECE: usize = 256 << 10;

/// What says how the rest is to be read.
const HEAD: [&[u8]; 3] = [b"ENCODING", b"STDSTRINGS", b"SEARCHPATH"];

/// What belongs to a table where it depends on it.
const PARTS: [&[u8]; 13] = [
    b"TABLE DATA",
    b"DEFAULT",
    b"CHECK CONSTRAINT",
    b"CONSTRAINT",
    b"INDEX",
    b"TRIGGER",
    b"RULE",
    b"POLICY",
    b"ROW SECURITY",
    b"STATISTICS",
    b"COMMENT",
    b"SEQUENCE",
    b"SEQUENCE OWNED BY",
];

/// What a table and its parts are made of, where the table depends on it.
const NEEDED: [&[u8]; 3] = [b"TYPE", b"DOMAIN", b"FUNCTION"];

const CREATE_SCHEMA: &[u8] = b"CREATE SCHEMA ";

/// Why a table does not come out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("the dump cannot be read, or the table not be written")]
    Io(#[from] io::Error),
    #[error("the dump is damaged")]
    Damaged(#[from] Damaged),
}

/// Writes the table that `table` names, `schema.name` as the parts of a fingerprint say it; answers
/// how many rows it has, none where the archive does not define it.
pub(in super::super) fn write(
    dump: &mut impl Read,
    table: &str,
    out: &mut dyn Write,
) -> Result<Option<u64>, Error> {
    let (mut archive, mut wanted) = (Archive::default(), None);
    let (mut rows, mut written) = (0, Ok(()));
    let mut seen = |entries: &Entries, id: u64, bytes: &[u8]| {
        let wanted = wanted.get_or_insert_with(|| Wanted::of(entries, table));
        if written.is_ok() && wanted.data == Some(id) {
            written = wanted.begin(entries, out).and_then(|()| {
                rows += bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
                out.write_all(bytes)
            });
        }
    };
    let mut piece = vec![0; PIECE];
    loop {
        let count = dump.read(&mut piece)?;
        if count == 0 {
            break;
        }
        archive.feed_with(&piece[..count], &mut seen)?;
    }
    let entries = archive.finish_with_entries(&mut seen)?;
    written?;
    let mut wanted = wanted.unwrap_or_else(|| Wanted::of(&entries, table));
    if wanted.picked.is_empty() {
        return Ok(None);
    }
    wanted.begin(&entries, out)?;
    wanted.end(&entries, out)?;
    // What follows the last row: its end mark and two empty lines.
    Ok(Some(if wanted.data.is_some() { rows.saturating_sub(3) } else { rows }))
}

/// What of an archive is picked, in its order.
struct Wanted {
    /// Between two lines with it `psql` takes no command of its own: a name in the dump may hold one
    /// (CVE-2025-8714).
    key: String,
    picked: Vec<u64>,
    /// The entry of the rows; none for a table that has none of its own.
    data: Option<u64>,
    is_begun: bool,
}

impl Wanted {
    fn of(entries: &Entries, table: &str) -> Self {
        let mut wanted = Self {
            key: uuid::Uuid::new_v4().simple().to_string(),
            picked: Vec::new(),
            data: None,
            is_begun: false,
        };
        let is_it = |entry: &&Entry| entry.kind == b"TABLE" && name_of(entry) == table;
        let Some((&id, found)) = entries.iter().find(|(_, entry)| is_it(entry)) else {
            return wanted;
        };
        let depends = |entry: &Entry, on: u64| entry.depends.contains(&on);
        let is_part = |entry: &Entry| PARTS.contains(&&entry.kind[..]);
        let mut owned: Vec<u64> = Vec::new();
        for entry in entries.values().filter(|entry| depends(entry, id)) {
            if entry.kind == b"SEQUENCE OWNED BY" {
                let is_sequence =
                    |one: &&u64| entries.get(one).is_some_and(|one| one.kind == b"SEQUENCE");
                owned.extend(entry.depends.iter().filter(is_sequence));
            }
        }
        let identities = entries.iter().filter(|(_, entry)| entry.kind == b"SEQUENCE");
        owned.extend(identities.filter(|(_, entry)| depends(entry, id)).map(|(id, _)| *id));
        let picks = |one: u64, entry: &Entry| {
            one == id
                || entry.kind == b"SCHEMA" && entry.name == found.schema
                || HEAD.contains(&&entry.kind[..])
                || owned.contains(&one)
                || depends(entry, id) && is_part(entry)
                || entry.kind == b"SEQUENCE SET" && owned.iter().any(|it| depends(entry, *it))
        };
        let mut picked: Vec<u64> = entries
            .iter()
            .filter(|(one, entry)| picks(**one, entry))
            .map(|(one, _)| *one)
            .collect();
        let is_needed =
            |one: &u64| entries.get(one).is_some_and(|entry| NEEDED.contains(&&entry.kind[..]));
        let mut done = 0;
        while let Some(entry) = picked.get(done).and_then(|one| entries.get(one)) {
            for needed in entry.depends.iter().filter(|one| is_needed(one)) {
                if !picked.contains(needed) {
                    picked.push(*needed);
                }
            }
            done += 1;
        }
        picked.sort_by_key(|one| entries.get(one).map(|entry| entry.place));
        let holds_rows = |one: &&u64| {
            entries.get(one).is_some_and(|entry| entry.kind == b"TABLE DATA" && entry.has_data)
        };
        wanted.data = picked.iter().find(holds_rows).copied();
        wanted.picked = picked;
        wanted
    }

    /// Writes, once, all that stands before the rows, and what they begin with.
    fn begin(&mut self, entries: &Entries, out: &mut dyn Write) -> io::Result<()> {
        if std::mem::replace(&mut self.is_begun, true) {
            return Ok(());
        }
        writeln!(out, "\\restrict {}", self.key)?;
        writeln!(
            out,
            "-- Foreign keys are left out: the tables that they point to need not be here."
        )?;
        let before = self.picked.iter().take_while(|id| Some(**id) != self.data);
        for entry in before.filter_map(|id| entries.get(id)) {
            // The database that it is loaded into may have the schema.
            match entry.definition.strip_prefix(CREATE_SCHEMA) {
                Some(named) => {
                    out.write_all(CREATE_SCHEMA)?;
                    out.write_all(b"IF NOT EXISTS ")?;
                    out.write_all(named)?;
                }
                None => out.write_all(&entry.definition)?,
            }
        }
        match self.data.and_then(|id| entries.get(&id)) {
            Some(entry) => out.write_all(&entry.copy),
            None => Ok(()),
        }
    }

    /// Writes what stands after the rows.
    fn end(&self, entries: &Entries, out: &mut dyn Write) -> io::Result<()> {
        let after = self.picked.iter().skip_while(|id| Some(**id) != self.data).skip(1);
        for entry in after.filter_map(|id| entries.get(id)) {
            out.write_all(&entry.definition)?;
        }
        writeln!(out, "\\unrestrict {}", self.key)
    }
}

/// `schema.name`, as the parts of a fingerprint say it.
fn name_of(entry: &Entry) -> String {
    let [schema, name] = [&entry.schema, &entry.name].map(|name| String::from_utf8_lossy(name));
    format!("{}.{}", readable(&schema), readable(&name))
}
