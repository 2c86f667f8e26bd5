//! zstd's way back, with limits set before memory is taken.
//!
//! In: compressed bytes from a store. Out: plain bytes, never more than allowed.

use std::io::{self, Read};

use zstd::bulk::Decompressor;

use super::pack::BLOB_LIMIT;

/// Why compressed bytes gave no plain ones.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExpandError {
    #[error(
        "{compressed} compressed bytes claim {plain} plain ones; that cannot be or is too much"
    )]
    Unbelievable { compressed: usize, plain: u64 },
    #[error("the plain bytes are {found}, not the {expected} announced")]
    Length { expected: u32, found: usize },
    #[error("the plain bytes are more than the {limit} allowed")]
    TooMuch { limit: u64 },
    #[error("the compressed bytes are damaged")]
    Damaged(#[source] io::Error),
}

/// A zstd block of four bytes (header and a repeated byte) makes at most 128 KiB: RFC 8878, 3.1.1.2.
const MOST_PLAIN_PER_BYTE: u64 = 32 * 1024;

/// JSON of ids, names and numbers compresses to a tenth, not to a thousandth: ids are random. What
/// expands further was made to fill memory.
const MOST_JSON_PER_BYTE: u64 = 256;

/// So much JSON is believed of any compressed bytes.
const JSON_FREE: u64 = 4 << 20;

/// The most JSON that `compressed` bytes of an index file, a snapshot or a tree are believed to hold.
pub fn most_json(compressed: usize) -> u64 {
    (compressed as u64).saturating_mul(MOST_JSON_PER_BYTE).saturating_add(JSON_FREE)
}

/// Expands `compressed` to exactly `plain_length` bytes in `plain`; blocking, CPU only.
///
/// A length that these bytes cannot make is refused before anything is allocated.
pub fn expand_exactly(
    decompressor: &mut Decompressor<'_>,
    compressed: &[u8],
    plain_length: u32,
    plain: &mut Vec<u8>,
) -> Result<(), ExpandError> {
    let length = u64::from(plain_length);
    if length > BLOB_LIMIT || length > compressed.len() as u64 * MOST_PLAIN_PER_BYTE {
        return Err(ExpandError::Unbelievable { compressed: compressed.len(), plain: length });
    }
    plain.clear();
    plain.reserve_exact(plain_length as usize);
    decompressor.decompress_to_buffer(compressed, plain).map_err(ExpandError::Damaged)?;
    if plain.len() != plain_length as usize {
        return Err(ExpandError::Length { expected: plain_length, found: plain.len() });
    }
    Ok(())
}

/// Expands `compressed`, whose plain length nobody announced, to at most `limit` bytes; memory
/// grows with what really comes out. Blocking, CPU only.
pub fn expand(compressed: &[u8], limit: u64) -> Result<Vec<u8>, ExpandError> {
    // 128 MiB: what zstd itself allows by default, as a bound that does not depend on it.
    const WINDOW_LOG: u32 = 27;
    let mut plain = Vec::new();
    let mut decoder = zstd::Decoder::with_buffer(compressed).map_err(ExpandError::Damaged)?;
    decoder.window_log_max(WINDOW_LOG).map_err(ExpandError::Damaged)?;
    decoder.take(limit + 1).read_to_end(&mut plain).map_err(ExpandError::Damaged)?;
    if plain.len() as u64 > limit {
        return Err(ExpandError::TooMuch { limit });
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand_exactly(compressed: &[u8], plain_length: u32) -> Result<Vec<u8>, ExpandError> {
        let (mut decompressor, mut plain) = (Decompressor::new().unwrap(), Vec::new());
        super::expand_exactly(&mut decompressor, compressed, plain_length, &mut plain)?;
        Ok(plain)
    }

    #[test]
    fn a_bomb_is_refused_by_its_announced_and_by_its_real_length() {
        let bomb = zstd::encode_all(io::repeat(0).take(32 << 20), 3).unwrap();

        let error = expand(&bomb, 1 << 20).unwrap_err();
        assert!(matches!(error, ExpandError::TooMuch { .. }), "{error:?}");
        for (bytes, announced) in [(&bomb[..], u32::MAX), (&bomb[..20], 32 << 20)] {
            let error = expand_exactly(bytes, announced).unwrap_err();
            assert!(matches!(error, ExpandError::Unbelievable { .. }), "{error:?}");
        }
        assert!(expand_exactly(&bomb, 1 << 20).is_err(), "more came than was announced");
        assert!(expand_exactly(&bomb, 33 << 20).is_err(), "less came than was announced");
    }

    #[test]
    fn what_was_compressed_comes_back() {
        let plain = b"orders ".repeat(1000);
        let compressed = zstd::bulk::compress(&plain, 3).unwrap();

        assert_eq!(expand_exactly(&compressed, plain.len() as u32).unwrap(), plain);
        assert_eq!(expand(&compressed, plain.len() as u64).unwrap(), plain);
        assert_eq!(expand(&zstd::bulk::compress(b"", 3).unwrap(), 0).unwrap(), b"");
    }
}
