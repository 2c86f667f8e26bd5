//! Listpacks and sets of integers: small values in one string.

use super::Damaged;
use super::element::Element;
use super::input::Pieces as _;
use super::text::Text;

/// A listpack that is being read, element by element.
pub(super) struct Listpack<'a, 'r> {
    text: Text<'a, 'r>,
    /// As it says itself; none where it has too many to say.
    declared: Option<u16>,
    read: u64,
    is_over: bool,
}

impl<'a, 'r> Listpack<'a, 'r> {
    pub fn open(mut text: Text<'a, 'r>) -> Result<Self, Damaged> {
        let _bytes: [u8; 4] = text.array()?;
        let declared = u16::from_le_bytes(text.array()?);
        let declared = (declared != u16::MAX).then_some(declared);
        Ok(Self { text, declared, read: 0, is_over: false })
    }

    /// The next element; none after the last.
    pub fn next(&mut self) -> Result<Option<Element>, Damaged> {
        if self.is_over {
            return Ok(None);
        }
        let text = &mut self.text;
        let first = text.byte()?;
        let (element, bytes) = match first {
            0xff => {
                self.is_over = true;
                return Ok(None);
            }
            0..=0x7f => (Element::of_number(first.into()), 1),
            0x80..=0xbf => {
                let length = u64::from(first & 0x3f);
                (Element::read(text, length)?, 1 + length)
            }
            0xc0..=0xdf => {
                let bits = i64::from(first & 0x1f) << 8 | i64::from(text.byte()?);
                // Thirteen bits, signed.
                (Element::of_number(if bits >= 1 << 12 { bits - (1 << 13) } else { bits }), 2)
            }
            0xe0..=0xef => {
                let length = u64::from(first & 0x0f) << 8 | u64::from(text.byte()?);
                (Element::read(text, length)?, 2 + length)
            }
            0xf0 => {
                let length = u64::from(u32::from_le_bytes(text.array()?));
                (Element::read(text, length)?, 5 + length)
            }
            0xf1 => (Element::of_number(i16::from_le_bytes(text.array()?).into()), 3),
            0xf2 => {
                let [low, middle, high] = text.array()?;
                let shifted = i32::from_le_bytes([0, low, middle, high]);
                (Element::of_number(i64::from(shifted >> 8)), 4)
            }
            0xf3 => (Element::of_number(i32::from_le_bytes(text.array()?).into()), 5),
            0xf4 => (Element::of_number(i64::from_le_bytes(text.array()?)), 9),
            _ => return Err(text.malformed("a listpack's element is encoded in an unknown way")),
        };
        self.way_back(bytes)?;
        self.read += 1;
        Ok(Some(element))
    }

    /// The next element, which must be there.
    pub fn must(&mut self) -> Result<Element, Damaged> {
        self.next()?.ok_or_else(|| self.malformed("a listpack ends early"))
    }

    /// The next element, which must be a number.
    pub fn integer(&mut self) -> Result<i64, Damaged> {
        let element = self.must()?;
        element.integer().ok_or_else(|| self.malformed("a listpack lacks a number"))
    }

    pub fn malformed(&self, what: &'static str) -> Damaged {
        self.text.malformed(what)
    }

    /// Fails where it does not hold what it says, or something follows it.
    pub fn end(mut self) -> Result<(), Damaged> {
        if self.next()?.is_some() {
            return Err(self.malformed("a listpack has elements that belong to nothing"));
        }
        if self.declared.is_some_and(|declared| u64::from(declared) != self.read) {
            return Err(self.malformed("a listpack does not hold as many elements as it says"));
        }
        self.text.end()
    }

    /// What lets it be read from its end: the bytes of the element before, seven bits each.
    fn way_back(&mut self, bytes: u64) -> Result<(), Damaged> {
        let mut left = bytes;
        loop {
            self.text.byte()?;
            left >>= 7;
            if left == 0 {
                return Ok(());
            }
        }
    }
}

/// Gives each member of a set of integers to `take`.
pub(super) fn integers(
    mut text: Text<'_, '_>,
    take: &mut dyn FnMut(Element),
) -> Result<(), Damaged> {
    let width = u32::from_le_bytes(text.array()?);
    let count = u32::from_le_bytes(text.array()?);
    for _ in 0..count {
        take(Element::of_number(match width {
            2 => i16::from_le_bytes(text.array()?).into(),
            4 => i32::from_le_bytes(text.array()?).into(),
            8 => i64::from_le_bytes(text.array()?),
            _ => return Err(text.malformed("a set of integers has none")),
        }));
    }
    text.end()
}
