//! LZF, unpacked a little at a time: references reach 8 KiB back, and no more is kept.

use super::Damaged;
use super::input::{Input, Pieces};

/// How far back a reference may reach.
const WINDOW: usize = 8192;

/// Unpacked bytes that are kept before old ones are let go.
const KEPT: usize = 8 * WINDOW;

/// A packed string on its way.
pub(super) struct Packed {
    /// Packed bytes not yet taken.
    from: u64,
    /// Unpacked bytes not yet made.
    to: u64,
    made: Vec<u8>,
    /// Up to where they were given out.
    given: usize,
}

impl Packed {
    pub fn new(from: u64, to: u64) -> Self {
        Self { from, to, made: Vec::new(), given: 0 }
    }

    /// Unpacked bytes not yet given out.
    pub fn left(&self) -> u64 {
        self.to + (self.made.len() - self.given) as u64
    }

    /// Whether no packed byte is left over.
    pub fn is_empty(&self) -> bool {
        self.from == 0
    }

    /// The next unpacked bytes; there must be some left.
    pub fn piece(&mut self, most: u64, input: &mut Input<'_>) -> Result<&[u8], Damaged> {
        if self.given == self.made.len() {
            if self.made.len() >= KEPT {
                self.made.drain(..self.made.len() - WINDOW);
                self.given = self.made.len();
            }
            while self.to > 0 && self.made.len() - self.given < WINDOW {
                self.step(input)?;
            }
        }
        let there = self.made.len() - self.given;
        let begin = self.given;
        self.given += usize::try_from(most).map_or(there, |most| most.min(there));
        Ok(&self.made[begin..self.given])
    }

    /// Unpacks one run of bytes, or one reference.
    fn step(&mut self, input: &mut Input<'_>) -> Result<(), Damaged> {
        let control = usize::from(self.take(input)?);
        if control < 32 {
            let mut left = control as u64 + 1;
            self.count(left, input)?;
            self.from = self.from.checked_sub(left).ok_or_else(|| bad(input))?;
            while left > 0 {
                let piece = input.piece(left)?;
                left -= piece.len() as u64;
                self.made.extend_from_slice(piece);
            }
            return Ok(());
        }
        let mut length = control >> 5;
        if length == 7 {
            length += usize::from(self.take(input)?);
        }
        let back = ((control & 31) << 8 | usize::from(self.take(input)?)) + 1;
        self.count(length as u64 + 2, input)?;
        let begin = self.made.len().checked_sub(back).ok_or_else(|| bad(input))?;
        for at in begin..begin + length + 2 {
            // It may overlap what it makes.
            self.made.push(self.made[at]);
        }
        Ok(())
    }

    fn take(&mut self, input: &mut Input<'_>) -> Result<u8, Damaged> {
        self.from = self.from.checked_sub(1).ok_or_else(|| bad(input))?;
        input.byte()
    }

    fn count(&mut self, made: u64, input: &Input<'_>) -> Result<(), Damaged> {
        self.to = self.to.checked_sub(made).ok_or_else(|| bad(input))?;
        Ok(())
    }
}

fn bad(input: &Input<'_>) -> Damaged {
    input.malformed("a packed string does not unpack to its length")
}
