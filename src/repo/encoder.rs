//! One blob on its way into a pack: compressed where that pays, checked, sealed.
//!
//! In: plain bytes. Out: sealed bytes and whether they are compressed. One encoder a thread: its
//! contexts and buffers are used again for every blob. Knows nothing of packs.

use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::compress_bound;

use super::writer::WriteError;
use crate::seal::{BEFORE, MasterKey, OVERHEAD};

/// zstd's own default: 3 to 4 times as fast as level 9 for some 5 % more bytes.
const LEVEL: i32 = 3;

/// From this size on a sample says whether compressing is worth its time.
const SAMPLED_FROM: usize = 64 << 10;
const SAMPLE: usize = 4 << 10;

/// Buffers beyond this size, left by a rare large blob, are given back.
const KEPT: usize = 8 << 20;

/// Contexts and buffers of one thread.
pub(super) struct Encoder {
    thorough: Compressor<'static>,
    quick: Compressor<'static>,
    decompressor: Decompressor<'static>,
    /// Room for a sealed blob: compressed, copied and sealed in place.
    room: Vec<u8>,
    check: Vec<u8>,
}

/// A sealed blob.
pub(super) struct Encoded<'a> {
    pub sealed: &'a [u8],
    pub compressed: bool,
}

impl Encoder {
    /// An encoder; fails only where there is no memory for zstd's contexts.
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self {
            thorough: Compressor::new(LEVEL)?,
            quick: Compressor::new(1)?,
            decompressor: Decompressor::new()?,
            room: Vec::new(),
            check: Vec::new(),
        })
    }

    /// Compresses (if `may_compress` and it pays) and seals `plain`; CPU only.
    ///
    /// What was compressed is decompressed again and compared before it is sealed: restic met
    /// machines whose memory or compiler spoilt blobs between hash and pack (restic#4523), and
    /// such a blob would be found only when it is needed. Costs a fifth of what compressing does.
    pub(super) fn encode(
        &mut self,
        key: &MasterKey,
        plain: &[u8],
        may_compress: bool,
    ) -> Result<Encoded<'_>, WriteError> {
        self.shrink();
        let compressed = if may_compress { self.compress(plain) } else { None };
        let length = match compressed {
            Some(length) => {
                self.compare(plain, length)?;
                length
            }
            None => {
                self.make_room(plain.len());
                self.room[BEFORE..BEFORE + plain.len()].copy_from_slice(plain);
                plain.len()
            }
        };
        let sealed = &mut self.room[..length + OVERHEAD];
        key.seal_in_place(sealed);
        Ok(Encoded { sealed, compressed: compressed.is_some() })
    }

    /// The length of `plain` compressed into the room, if that is shorter.
    fn compress(&mut self, plain: &[u8]) -> Option<usize> {
        if plain.len() >= SAMPLED_FROM && !self.sample_shrinks(plain) {
            return None;
        }
        self.make_room(compress_bound(plain.len()));
        // A compressor that refuses is no reason to lose the blob: it is stored as it is.
        let length = self.thorough.compress_to_buffer(plain, &mut self.room[BEFORE..]).ok()?;
        (length < plain.len()).then_some(length)
    }

    /// Whether three samples shrink by 3 % or more; media, archives and sealed files do not.
    fn sample_shrinks(&mut self, plain: &[u8]) -> bool {
        let last = plain.len() - SAMPLE;
        self.check.clear();
        for begin in [0, last / 2, last] {
            self.check.extend_from_slice(&plain[begin..begin + SAMPLE]);
        }
        self.make_room(compress_bound(self.check.len()));
        self.quick
            .compress_to_buffer(&self.check[..], &mut self.room[..])
            .is_ok_and(|length| length * 100 <= self.check.len() * 97)
    }

    /// Fails unless the first `length` bytes of the room's body expand to `plain`.
    fn compare(&mut self, plain: &[u8], length: usize) -> Result<(), WriteError> {
        self.check.clear();
        self.check.reserve(plain.len());
        let compressed = &self.room[BEFORE..BEFORE + length];
        let outcome = self.decompressor.decompress_to_buffer(compressed, &mut self.check);
        if outcome.is_err() || self.check != plain {
            return Err(WriteError::SpoiltInMemory);
        }
        Ok(())
    }

    /// Room for a body of so many bytes, and what sealing adds to it.
    fn make_room(&mut self, body: usize) {
        if self.room.len() < body + OVERHEAD {
            self.room.resize(body + OVERHEAD, 0);
        }
    }

    fn shrink(&mut self) {
        for buffer in [&mut self.room, &mut self.check] {
            if buffer.capacity() > KEPT {
                *buffer = Vec::new();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(plain: &[u8], may_compress: bool) -> (Vec<u8>, bool) {
        let key = MasterKey::generate();
        let mut encoder = Encoder::new().unwrap();
        let Encoded { sealed, compressed } = encoder.encode(&key, plain, may_compress).unwrap();
        (key.open(sealed).unwrap(), compressed)
    }

    #[test]
    fn text_is_compressed_and_noise_is_stored_as_it_is() {
        let text = b"INSERT INTO orders VALUES (1, 'pen');\n".repeat(10_000);
        let mut noise = vec![0; 200_000];
        rand::TryRng::try_fill_bytes(&mut rand::rngs::SysRng, &mut noise).unwrap();

        let (body, compressed) = encode(&text, true);
        assert!(compressed && body.len() < text.len() / 20);
        assert!(zstd::bulk::decompress(&body, text.len()).unwrap() == text);
        for plain in [&noise[..], &noise[..100], b"x", b""] {
            let (body, compressed) = encode(plain, true);
            assert!(!compressed && body == plain, "{} bytes", plain.len());
        }
    }

    #[test]
    fn nothing_is_compressed_where_the_format_does_not_allow_it() {
        let text = vec![b'a'; 100_000];

        let (body, compressed) = encode(&text, false);

        assert!(!compressed && body == text);
    }

    #[test]
    fn what_does_not_decode_to_its_plain_bytes_is_refused() {
        let mut encoder = Encoder::new().unwrap();
        let text = vec![b'a'; 100_000];
        let length = encoder.compress(&text).unwrap();
        encoder.room[BEFORE + length / 2] ^= 1;

        let compared = encoder.compare(&text, length);

        assert!(matches!(compared, Err(WriteError::SpoiltInMemory)), "{compared:?}");
    }
}
