//! The bytes of a data set, counted and summed as they are taken.

use std::io::{ErrorKind, Read};

use super::{Damaged, checksum};

/// Bytes that are asked for at once.
const BUFFER: usize = 64 << 10;

/// Something that gives bytes in pieces.
pub(super) trait Pieces {
    /// The next bytes: at least one, at most `most`, which must not be zero. [`Damaged::Cut`] or
    /// [`Damaged::Malformed`] where there is none.
    fn piece(&mut self, most: u64) -> Result<&[u8], Damaged>;

    /// [`Damaged::Malformed`], here.
    fn malformed(&self, what: &'static str) -> Damaged;

    fn byte(&mut self) -> Result<u8, Damaged> {
        Ok(self.piece(1)?[0])
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Damaged>
    where
        Self: Sized,
    {
        let (mut array, mut filled) = ([0; N], 0);
        while filled < N {
            let piece = self.piece((N - filled) as u64)?;
            array[filled..filled + piece.len()].copy_from_slice(piece);
            filled += piece.len();
        }
        Ok(array)
    }
}

/// The bytes of a data set.
pub(super) struct Input<'r> {
    source: &'r mut dyn Read,
    buffer: Vec<u8>,
    /// Where the bytes not yet taken begin.
    taken: usize,
    /// Up to where the buffer is in the checksum.
    summed: usize,
    checksum: u64,
    /// Bytes that were taken before the buffer's.
    before: u64,
}

/// How a length's byte begins.
enum Length {
    Plain(u64),
    /// One of the special encodings of strings.
    Special(u8),
}

/// A string, as its first bytes tell it.
pub(super) enum Form {
    Plain { length: u64 },
    Integer(i64),
    Packed { from: u64, to: u64 },
}

impl<'r> Input<'r> {
    pub fn new(source: &'r mut dyn Read) -> Self {
        Self { source, buffer: Vec::new(), taken: 0, summed: 0, checksum: 0, before: 0 }
    }

    /// Bytes taken so far.
    pub fn at(&self) -> u64 {
        self.before + self.taken as u64
    }

    /// A number in one, two, five or nine bytes.
    pub fn length(&mut self) -> Result<u64, Damaged> {
        match self.any_length()? {
            Length::Plain(length) => Ok(length),
            Length::Special(_) => Err(self.malformed("a number is none")),
        }
    }

    /// Passes over so many numbers.
    pub fn pass_over(&mut self, numbers: usize) -> Result<(), Damaged> {
        (0..numbers).try_for_each(|_| self.length().map(drop))
    }

    /// How a string is written.
    pub fn form(&mut self) -> Result<Form, Damaged> {
        Ok(match self.any_length()? {
            Length::Plain(length) => Form::Plain { length },
            Length::Special(0) => Form::Integer(i8::from_le_bytes(self.array()?).into()),
            Length::Special(1) => Form::Integer(i16::from_le_bytes(self.array()?).into()),
            Length::Special(2) => Form::Integer(i32::from_le_bytes(self.array()?).into()),
            Length::Special(3) => Form::Packed { from: self.length()?, to: self.length()? },
            Length::Special(_) => {
                return Err(self.malformed("a string is encoded in an unknown way"));
            }
        })
    }

    fn any_length(&mut self) -> Result<Length, Damaged> {
        let first = self.byte()?;
        let low = first & 0x3f;
        Ok(match first >> 6 {
            0 => Length::Plain(low.into()),
            1 => Length::Plain(u64::from(low) << 8 | u64::from(self.byte()?)),
            2 if low == 0 => Length::Plain(u32::from_be_bytes(self.array()?).into()),
            2 if low == 1 => Length::Plain(u64::from_be_bytes(self.array()?)),
            2 => return Err(self.malformed("a number is encoded in an unknown way")),
            _ => Length::Special(low),
        })
    }

    /// Takes the checksum and the end. Whether there was a checksum: a server may write zeros.
    pub fn end(&mut self) -> Result<bool, Damaged> {
        self.sum();
        let computed = self.checksum;
        let written = u64::from_le_bytes(self.array()?);
        if written != 0 && written != computed {
            return Err(Damaged::Checksum);
        }
        match self.piece(1) {
            Ok(_) => Err(Damaged::Trailing),
            Err(Damaged::Cut { .. }) => Ok(written != 0),
            Err(other) => Err(other),
        }
    }

    fn sum(&mut self) {
        self.checksum = checksum::add(self.checksum, &self.buffer[self.summed..self.taken]);
        self.summed = self.taken;
    }

    fn fill(&mut self) -> Result<(), Damaged> {
        self.sum();
        self.before += self.taken as u64;
        (self.taken, self.summed) = (0, 0);
        self.buffer.resize(BUFFER, 0);
        let read = loop {
            match self.source.read(&mut self.buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.buffer.truncate(*read.as_ref().unwrap_or(&0));
        if read? == 0 { Err(Damaged::Cut { at: self.before }) } else { Ok(()) }
    }
}

impl Pieces for Input<'_> {
    fn piece(&mut self, most: u64) -> Result<&[u8], Damaged> {
        if self.taken == self.buffer.len() {
            self.fill()?;
        }
        let begin = self.taken;
        let there = self.buffer.len() - begin;
        self.taken = begin + usize::try_from(most).map_or(there, |most| most.min(there));
        Ok(&self.buffer[begin..self.taken])
    }

    fn malformed(&self, what: &'static str) -> Damaged {
        Damaged::Malformed { what, at: self.at() }
    }
}
