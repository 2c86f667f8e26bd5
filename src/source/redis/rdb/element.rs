//! A string that was read: its digest, and how it begins.

use super::Damaged;
use super::input::Pieces;
use crate::ground::digest::{Digest, Hasher};

/// How much of an element is kept: numbers and names are shorter.
const BEGIN: usize = 128;

/// A string that was read.
pub(super) struct Element {
    pub digest: Digest,
    begin: [u8; BEGIN],
    length: u64,
}

impl Element {
    /// Takes `length` bytes.
    pub fn read(source: &mut dyn Pieces, length: u64) -> Result<Self, Damaged> {
        let mut element = Self { digest: Digest::ZERO, begin: [0; BEGIN], length: 0 };
        if length == 0 {
            element.digest = Digest::of(b"");
            return Ok(element);
        }
        let mut hasher = Hasher::default();
        while element.length < length {
            let piece = source.piece(length - element.length)?;
            element.keep(piece);
            if piece.len() as u64 == length {
                // Most are whole: nothing has to be gathered.
                element.digest = Digest::of(piece);
                return Ok(element);
            }
            hasher.update(piece);
        }
        element.digest = hasher.finish();
        Ok(element)
    }

    /// A number is the string of its digits, however it is written.
    pub fn of_number(number: i64) -> Self {
        let digits = number.to_string();
        let mut element =
            Self { digest: Digest::of(digits.as_bytes()), begin: [0; BEGIN], length: 0 };
        element.keep(digits.as_bytes());
        element
    }

    fn keep(&mut self, piece: &[u8]) {
        let held = self.begin().len();
        let kept = piece.len().min(BEGIN - held);
        self.begin[held..held + kept].copy_from_slice(&piece[..kept]);
        self.length += piece.len() as u64;
    }

    /// Its first bytes, all of a short one.
    pub fn begin(&self) -> &[u8] {
        &self.begin[..usize::try_from(self.length).map_or(BEGIN, |length| length.min(BEGIN))]
    }

    /// All of a short one.
    pub fn whole(&self) -> Option<&[u8]> {
        (self.length <= BEGIN as u64).then(|| self.begin())
    }

    fn text(&self) -> Option<&str> {
        std::str::from_utf8(self.whole()?).ok()
    }

    /// The number that it is.
    pub fn integer(&self) -> Option<i64> {
        self.text()?.parse().ok()
    }

    /// The score that it is.
    pub fn score(&self) -> Option<f64> {
        self.text()?.parse().ok()
    }
}
