//! Strings of a data set, plain, packed or as numbers, read in pieces.

use super::Damaged;
use super::element::Element;
use super::input::{Form, Input, Pieces};
use super::lzf::Packed;

/// A string that is being read.
pub(super) struct Text<'a, 'r> {
    input: &'a mut Input<'r>,
    rest: Rest,
}

enum Rest {
    Plain(u64),
    Number(i64),
    Packed(Packed),
}

impl<'a, 'r> Text<'a, 'r> {
    /// Begins to read the string that comes next.
    pub fn open(input: &'a mut Input<'r>) -> Result<Self, Damaged> {
        let rest = match input.form()? {
            Form::Plain { length } => Rest::Plain(length),
            Form::Integer(number) => Rest::Number(number),
            Form::Packed { from, to } => Rest::Packed(Packed::new(from, to)),
        };
        Ok(Self { input, rest })
    }

    /// Reads all of it as one element.
    pub fn element(mut self) -> Result<Element, Damaged> {
        let left = match &self.rest {
            Rest::Number(number) => return Ok(Element::of_number(*number)),
            Rest::Plain(left) => *left,
            Rest::Packed(packed) => packed.left(),
        };
        let element = Element::read(&mut self, left)?;
        self.end()?;
        Ok(element)
    }

    /// Fails where something of it is left.
    pub fn end(self) -> Result<(), Damaged> {
        let is_over = match &self.rest {
            Rest::Plain(left) => *left == 0,
            Rest::Number(_) => false,
            Rest::Packed(packed) => packed.left() == 0 && packed.is_empty(),
        };
        if is_over { Ok(()) } else { Err(self.malformed("a value is longer than what it holds")) }
    }
}

impl Pieces for Text<'_, '_> {
    fn piece(&mut self, most: u64) -> Result<&[u8], Damaged> {
        match &mut self.rest {
            Rest::Plain(left) if *left > 0 => {
                let piece = self.input.piece(most.min(*left))?;
                *left -= piece.len() as u64;
                Ok(piece)
            }
            Rest::Packed(packed) if packed.left() > 0 => packed.piece(most, self.input),
            _ => Err(self.input.malformed("a value ends early")),
        }
    }

    fn malformed(&self, what: &'static str) -> Damaged {
        self.input.malformed(what)
    }
}
