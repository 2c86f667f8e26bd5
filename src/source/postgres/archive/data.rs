//! The data blocks of an archive: rows counted, ends seen.

use std::collections::BTreeMap;

use super::Damaged;
use super::head::{Entries, magnitude};

/// A block of one entry's rows; of large objects.
const ROWS: u8 = 1;
const LARGE_OBJECTS: u8 = 3;

/// What `pg_dump` writes after a table's last row.
const END: &[u8] = b"\\.\n\n\n";

/// What was seen of one entry's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Seen {
    /// Lines of text; a row is one, for COPY writes line ends within values as `\n`.
    pub lines: u64,
    pub large_objects: u64,
    /// The last bytes.
    tail: [u8; 5],
}

/// Reads blocks, which may be cut anywhere between two calls.
pub(super) struct Data {
    int_bytes: usize,
    next: Next,
    /// The beginning of an integer whose end is still to come.
    partial: Vec<u8>,
    /// The entry whose data come, and whether they are large objects.
    entry: Option<(u64, u8)>,
    seen: BTreeMap<u64, Seen>,
    now: Seen,
    label: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Kind,
    Id,
    /// The number of a large object; 0 ends the block.
    LargeObject,
    /// The length of a piece; 0 ends the rows, or the large object.
    Length,
    Piece(u64),
}

impl Data {
    pub fn new(int_bytes: usize) -> Self {
        Self {
            int_bytes,
            next: Next::Kind,
            partial: Vec::new(),
            entry: None,
            seen: BTreeMap::new(),
            now: Seen::default(),
            label: String::new(),
        }
    }

    /// Looks at the next bytes; `seen` gets every piece of data that is not of large objects.
    pub fn feed(
        &mut self,
        mut bytes: &[u8],
        entries: &Entries,
        seen: &mut super::Seen<'_>,
    ) -> Result<(), Damaged> {
        while !bytes.is_empty() {
            if let Next::Piece(left) = self.next {
                let here = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
                let (piece, rest) = bytes.split_at(here);
                self.now.take(piece);
                if let Some((id, ROWS)) = self.entry {
                    seen(entries, id, piece);
                }
                bytes = rest;
                let left = left - here as u64;
                self.next = if left == 0 { Next::Length } else { Next::Piece(left) };
                continue;
            }
            let wanted = if self.next == Next::Kind { 1 } else { 1 + self.int_bytes };
            let here = (wanted - self.partial.len()).min(bytes.len());
            let (begun, rest) = bytes.split_at(here);
            self.partial.extend_from_slice(begun);
            bytes = rest;
            if self.partial.len() == wanted {
                let token = std::mem::take(&mut self.partial);
                self.step(&token, entries)?;
            }
        }
        Ok(())
    }

    /// What was seen of each entry; fails amid a block.
    pub fn finish(self) -> Result<BTreeMap<u64, Seen>, Damaged> {
        if self.next == Next::Kind && self.partial.is_empty() {
            Ok(self.seen)
        } else {
            Err(Damaged::Cut { entry: self.label })
        }
    }

    fn step(&mut self, token: &[u8], entries: &Entries) -> Result<(), Damaged> {
        let number = || magnitude(&token[1..]);
        // An integer's sign comes first, and nothing here is negative.
        if token.len() > 1 && token[0] != 0 {
            return Err(Damaged::BadBlock);
        }
        self.next = match (self.next, self.entry) {
            (Next::Kind, _) => {
                let kind = token[0];
                if kind != ROWS && kind != LARGE_OBJECTS {
                    return Err(Damaged::BadBlock);
                }
                self.entry = Some((0, kind));
                Next::Id
            }
            (Next::Id, Some((_, kind))) => {
                let id = number();
                let announced = entries.get(&id).filter(|entry| entry.has_data);
                let entry = announced.ok_or(Damaged::Unannounced { id })?;
                self.label = entry.label();
                if self.seen.contains_key(&id) {
                    return Err(Damaged::Twice { entry: entry.label() });
                }
                self.entry = Some((id, kind));
                self.now = Seen::default();
                if kind == ROWS { Next::Length } else { Next::LargeObject }
            }
            (Next::LargeObject, _) if number() != 0 => {
                self.now.large_objects += 1;
                Next::Length
            }
            (Next::Length, _) if number() != 0 => Next::Piece(number()),
            (Next::Length, Some((_, LARGE_OBJECTS))) => Next::LargeObject,
            (Next::Length | Next::LargeObject, Some((id, _))) => {
                self.seen.insert(id, self.now);
                Next::Kind
            }
            // Pieces are no tokens, and every block has its entry.
            (Next::Piece(_) | Next::Id | Next::Length | Next::LargeObject, _) => {
                return Err(Damaged::BadBlock);
            }
        };
        Ok(())
    }
}

impl Seen {
    fn take(&mut self, piece: &[u8]) {
        self.lines += piece.iter().map(|byte| u64::from(*byte == b'\n')).sum::<u64>();
        let kept = self.tail.len();
        if piece.len() >= kept {
            self.tail.copy_from_slice(&piece[piece.len() - kept..]);
        } else {
            self.tail.rotate_left(piece.len());
            self.tail[kept - piece.len()..].copy_from_slice(piece);
        }
    }

    /// The rows of a table, if they end as they must.
    pub fn rows(&self) -> Option<u64> {
        let end_lines = END.iter().filter(|byte| **byte == b'\n').count() as u64;
        let ended = self.tail == END && self.lines >= end_lines;
        ended.then(|| self.lines - end_lines)
    }
}
