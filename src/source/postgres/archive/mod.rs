//! The archive that `pg_dump -Fc` writes, read as it passes by.
//!
//! In: the bytes of an archive, in pieces. Out: [`Contents`], what it holds, or how it is
//! [`Damaged`]. That a dump ended with status 0 proves little; here every entry of its table of
//! contents that announces data must have them, to their end mark, and every row is counted.
//!
//! The format is `src/bin/pg_dump/pg_backup_custom.c` and `pg_backup_archiver.c` of PostgreSQL;
//! versions 1.14 (pg_dump 12 to 15), 1.15 (16) and 1.16 (17 and 18), uncompressed.

mod contents;
mod data;
mod head;

pub(super) use contents::Contents;
use data::Data;
pub(super) use head::{Entries, Entry};

/// What an archive is that is not whole, or none.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Damaged {
    #[error("it is no archive of pg_dump")]
    NotAnArchive,
    #[error("its format {major}.{minor} is none that is read: 1.14 to 1.16")]
    Version { major: u8, minor: u8 },
    #[error("its data are compressed: they cannot be counted")]
    Compressed,
    #[error("it ends before its table of contents does")]
    NoContents,
    #[error("its table of contents cannot be read")]
    BadContents,
    #[error("it ends amid the data of {entry}")]
    Cut { entry: String },
    #[error("it holds data of an entry {id} that its table of contents does not announce")]
    Unannounced { id: u64 },
    #[error("it holds the data of {entry} twice")]
    Twice { entry: String },
    #[error("it lacks the data of {entry}")]
    Missing { entry: String },
    #[error("the rows of {entry} do not end as pg_dump ends them")]
    BadEnd { entry: String },
    #[error("it holds a block that is no data")]
    BadBlock,
}

/// A longer table of contents is damage, or malice: a million objects have a third of it.
const MOST_HEAD_BYTES: usize = 1 << 30;

/// Who sees data pass: the table of contents, the number of an entry, a piece of its data.
pub(super) type Seen<'a> = dyn FnMut(&Entries, u64, &[u8]) + 'a;

/// Reads one archive.
pub(super) struct Archive {
    stage: Stage,
    bytes: u64,
}

enum Stage {
    /// Header and table of contents, gathered until they are whole; tried again whenever there
    /// are twice as many bytes, for a large one comes in many pieces.
    Head {
        gathered: Vec<u8>,
        try_at: usize,
    },
    Data {
        entries: Entries,
        data: Data,
    },
}

impl Default for Archive {
    fn default() -> Self {
        Self { stage: Stage::Head { gathered: Vec::new(), try_at: 4096 }, bytes: 0 }
    }
}

impl Archive {
    /// Takes the next bytes.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<(), Damaged> {
        self.feed_with(bytes, &mut |_, _, _| {})
    }

    /// Takes the next bytes; `seen` gets every piece of an entry's data with the entry's number.
    pub(super) fn feed_with(&mut self, bytes: &[u8], seen: &mut Seen<'_>) -> Result<(), Damaged> {
        self.bytes += bytes.len() as u64;
        match &mut self.stage {
            Stage::Data { entries, data } => data.feed(bytes, entries, seen),
            Stage::Head { gathered, try_at } => {
                gathered.extend_from_slice(bytes);
                if gathered.len() < *try_at {
                    return Ok(());
                }
                if gathered.len() > MOST_HEAD_BYTES {
                    return Err(Damaged::BadContents);
                }
                *try_at = gathered.len() * 2;
                self.begin_data(seen).map(drop)
            }
        }
    }

    /// No more bytes come: tells what the archive holds, all of it.
    pub(super) fn finish(mut self) -> Result<Contents, Damaged> {
        self.begin_last(&mut |_, _, _| {})?;
        match self.stage {
            Stage::Head { .. } => Err(Damaged::NoContents),
            Stage::Data { entries, data } => contents::of(&entries, &data.finish()?, self.bytes),
        }
    }

    /// No more bytes come, and all data were whole: what the table of contents says.
    pub(super) fn finish_with_entries(mut self, seen: &mut Seen<'_>) -> Result<Entries, Damaged> {
        self.begin_last(seen)?;
        match self.stage {
            Stage::Head { .. } => Err(Damaged::NoContents),
            Stage::Data { entries, data } => {
                contents::of(&entries, &data.finish()?, self.bytes)?;
                Ok(entries)
            }
        }
    }

    /// A short archive may be there whole before its head was tried.
    fn begin_last(&mut self, seen: &mut Seen<'_>) -> Result<(), Damaged> {
        if matches!(self.stage, Stage::Head { .. }) && !self.begin_data(seen)? {
            return Err(Damaged::NoContents);
        }
        Ok(())
    }

    /// Whether the head is whole; then what follows it was taken as data.
    fn begin_data(&mut self, seen: &mut Seen<'_>) -> Result<bool, Damaged> {
        let Stage::Head { gathered, .. } = &mut self.stage else { return Ok(true) };
        let Some((head, read)) = head::read(gathered)? else { return Ok(false) };
        let rest = gathered.split_off(read);
        let mut data = Data::new(head.int_bytes);
        let outcome = data.feed(&rest, &head.entries, seen);
        self.stage = Stage::Data { entries: head.entries, data };
        outcome.map(|()| true)
    }
}

#[cfg(test)]
mod tests;
