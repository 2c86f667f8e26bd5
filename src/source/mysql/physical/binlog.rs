//! The binary log between two positions, as files that are replayed by themselves.
//!
//! In: the server's own log files. Out: a [`Piece`] of each, with the log's head, which says how its
//! events are to be read, and the events between the positions. Events are followed from one to the
//! next, so that a piece begins and ends where one does. Source: MariaDB's documentation, "Replication
//! Protocol, Events": a head of 19 bytes, in which the type is the fifth, the length of all follows
//! the server's number, and the position of the next event that.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Take};
use std::path::{Path, PathBuf};

use super::super::super::{Open, Stream};

/// What every log begins with.
const MAGIC: &[u8; 4] = b"\xfebin";

/// The length of an event's head.
const HEAD: u64 = 19;

/// Events that belong to the head of a log: how it is written, and which transactions came before.
const FORMAT: u8 = 15;
const GTID_LIST: u8 = 163;

/// From here on events are encrypted.
const ENCRYPTED: u8 = 164;

/// Why a log does not hold what it must.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("cannot read {}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} is no binary log", path.display())]
    NoLog { path: PathBuf },
    #[error("{} is encrypted: set encrypt_binlog=OFF on the server", path.display())]
    Encrypted { path: PathBuf },
    #[error("no event of {} ends at {wanted}: the events that were followed end at {found}", path.display())]
    Torn { path: PathBuf, wanted: u64, found: u64 },
    #[error("the server does not list {wanted} among its binary logs: was it purged just now?")]
    Gone { wanted: String },
}

/// A place in the binary log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Position {
    pub file: String,
    pub offset: u64,
}

impl Position {
    /// Reads `bin.000001:4711`.
    pub fn read(text: &str) -> Option<Self> {
        let (file, offset) = text.rsplit_once(':')?;
        Self::of(file, offset)
    }

    /// Reads what a copy says of its end: name, position and GTID in a line, between tabs.
    pub fn read_info(text: &str) -> Option<Self> {
        let mut words = text.lines().next()?.split('\t');
        Self::of(words.next()?, words.next()?)
    }

    fn of(file: &str, offset: &str) -> Option<Self> {
        let offset = offset.trim().parse().ok()?;
        let is_name = !file.is_empty() && !file.contains('/');
        is_name.then(|| Self { file: file.to_owned(), offset })
    }
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file, self.offset)
    }
}

/// A log's head and some of its events, open: it may be purged meanwhile.
#[derive(Debug)]
pub(super) struct Piece {
    pub name: String,
    file: File,
    head: u64,
    from: u64,
    to: u64,
}

/// The pieces between two positions, in order; `listed` are the logs in `folder` as the server names
/// them, oldest first.
pub(super) fn pieces(
    folder: &Path,
    listed: &[String],
    from: &Position,
    to: &Position,
) -> Result<Vec<Piece>, Error> {
    let place = |wanted: &String| {
        let place = listed.iter().position(|name| name == wanted);
        place.ok_or_else(|| Error::Gone { wanted: wanted.clone() })
    };
    let (first, last) = (place(&from.file)?, place(&to.file)?);
    if first > last || first == last && from.offset > to.offset {
        let path = folder.join(&to.file);
        return Err(Error::Torn { path, wanted: from.offset, found: to.offset });
    }
    let pieces = listed[first..=last].iter().map(|name| {
        let begin = (*name == from.file).then_some(from.offset);
        let end = (*name == to.file).then_some(to.offset);
        Piece::cut(folder, name, begin, end)
    });
    pieces.collect()
}

impl Piece {
    /// Events from `from` on, or all; up to `to`, or to the log's end.
    fn cut(folder: &Path, name: &str, from: Option<u64>, to: Option<u64>) -> Result<Self, Error> {
        let path = folder.join(name);
        let failed = |source| Error::Io { path: path.clone(), source };
        let file = File::open(&path).map_err(failed)?;
        let end = match to {
            Some(to) => to,
            None => file.metadata().map_err(failed)?.len(),
        };
        let mut events = Events::of(&file, &path)?;
        let mut head = events.at;
        while let Some(kind) = events.next(end)? {
            match kind {
                FORMAT | GTID_LIST => head = events.at,
                ENCRYPTED => return Err(Error::Encrypted { path: path.clone() }),
                _ => break,
            }
        }
        let from = from.unwrap_or(head).max(head);
        events.go(from)?;
        while events.next(end)?.is_some() {}
        let found = events.at;
        if found != end {
            return Err(Error::Torn { path, wanted: end, found });
        }
        Ok(Self { name: name.to_owned(), file, head, from, to: end })
    }

    /// How long it is.
    pub fn bytes(&self) -> u64 {
        self.head + (self.to - self.from)
    }
}

/// Events, followed by what each says of its length.
struct Events<'a> {
    input: BufReader<&'a File>,
    path: &'a Path,
    at: u64,
}

impl<'a> Events<'a> {
    fn of(file: &'a File, path: &'a Path) -> Result<Self, Error> {
        let mut events = Self { input: BufReader::new(file), path, at: MAGIC.len() as u64 };
        let mut magic = [0; MAGIC.len()];
        let read = events.input.read_exact(&mut magic);
        if read.is_err() || magic != *MAGIC {
            return Err(Error::NoLog { path: path.to_owned() });
        }
        Ok(events)
    }

    /// Passes over the next event and tells its type; none where no whole one is left before `end`.
    fn next(&mut self, end: u64) -> Result<Option<u8>, Error> {
        if self.at.saturating_add(HEAD) > end {
            return Ok(None);
        }
        let mut head = [0; HEAD as usize];
        self.input.read_exact(&mut head).map_err(|source| self.failed(source))?;
        let number =
            |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let (kind, length) = (head[4], u64::from(number(9)));
        let next = self.at.saturating_add(length);
        if length < HEAD || next > end {
            return Err(Error::Torn { path: self.path.to_owned(), wanted: end, found: self.at });
        }
        self.go(next)?;
        Ok(Some(kind))
    }

    fn go(&mut self, to: u64) -> Result<(), Error> {
        self.input.seek(SeekFrom::Start(to)).map_err(|source| self.failed(source))?;
        self.at = to;
        Ok(())
    }

    fn failed(&self, source: io::Error) -> Error {
        Error::Io { path: self.path.to_owned(), source }
    }
}

impl Open for Piece {
    fn open(self: Box<Self>) -> io::Result<Box<dyn Stream>> {
        let mut file = self.file;
        file.seek(SeekFrom::Start(0))?;
        let Self { head, from, to, .. } = *self;
        Ok(Box::new(Reading {
            part: file.take(head),
            then: Some((from, to - from)),
            left: head + to - from,
        }))
    }
}

struct Reading {
    part: Take<File>,
    /// Where the events begin, and how long they are.
    then: Option<(u64, u64)>,
    /// Bytes still to come.
    left: u64,
}

impl Read for Reading {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.part.limit() == 0
            && let Some((from, length)) = self.then.take()
        {
            self.part.get_mut().seek(SeekFrom::Start(from))?;
            self.part.set_limit(length);
        }
        let count = self.part.read(buffer)?;
        self.left -= count as u64;
        Ok(count)
    }
}

impl Stream for Reading {
    fn finish(self: Box<Self>) -> io::Result<Option<String>> {
        match self.left {
            0 => Ok(None),
            left => Err(io::Error::other(format!("the binary log ends {left} bytes too early"))),
        }
    }
}

#[cfg(test)]
mod tests;
