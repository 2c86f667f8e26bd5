//! Values of modules: only the module can read them; here they are passed over and hashed as they are.

use super::Damaged;
use super::input::{Input, Pieces as _};
use super::record::Record;
use super::text::Text;
use crate::ground::digest::Digest;

/// The letters of modules' names.
const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The name in a type's number: nine letters of six bits, and ten bits of version.
pub(super) fn name(number: u64) -> String {
    (1..=9).rev().map(|n| char::from(LETTERS[(number >> (4 + 6 * n) & 0x3f) as usize])).collect()
}

/// Passes over what a module wrote.
pub(super) fn value(input: &mut Input<'_>) -> Result<Digest, Damaged> {
    let mut record = Record::default();
    loop {
        let mark = input.length()?;
        record.number(mark);
        match mark {
            0 => return Ok(record.finish()),
            1 | 2 => record.number(input.length()?),
            3 => record.number(u32::from_le_bytes(input.array()?).into()),
            4 => record.number(u64::from_le_bytes(input.array()?)),
            5 => record.digest(&Text::open(input)?.element()?.digest),
            _ => return Err(input.malformed("a module's value has an unknown mark")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_redis_writes_them() {
        let number = b"ReJSON-RL".iter().fold(0, |number: u64, letter| {
            number << 6 | LETTERS.iter().position(|known| known == letter).unwrap() as u64
        });

        assert_eq!(name(number << 10 | 3), "ReJSON-RL");
    }
}
