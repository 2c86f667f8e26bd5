//! The codec of all files that are not packs: indexes, snapshots, locks, the configuration.
//!
//! In: JSON. Out: compressed and sealed bytes under their own SHA-256; and the same way back.
//! Source: restic's doc/design.rst, "Unpacked Data Format". Blocking, CPU only.

use bytes::Bytes;

use super::expand::{ExpandError, expand, most_json};
use crate::ground::digest::Digest;
use crate::seal::{MasterKey, Unauthentic};

/// What stands before compressed JSON; without compression the JSON itself begins with `{` or `[`.
const COMPRESSED: u8 = 2;

/// The most JSON that a file may hold: 512 MiB, an index of some four million blobs.
const PLAIN_LIMIT: u64 = 512 << 20;

/// The largest file that is fetched at all: whatever lies under such a name in the bucket.
pub(super) const STORED_LIMIT: u64 = 256 << 20;

/// Why a stored file did not give its JSON. The file is named by whoever fetched it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    #[error("its bytes hash to {found}, not to its name")]
    Digest { found: Digest },
    #[error("it does not open")]
    Sealed(#[source] Unauthentic),
    #[error("it is empty")]
    Empty,
    #[error("it begins with {0:#04x}, which is no known encoding")]
    UnknownEncoding(u8),
    #[error("it does not expand")]
    Expand(#[source] ExpandError),
    #[error("it has {size} bytes; at most {limit} are read")]
    TooLarge { size: u64, limit: u64 },
}

/// Compresses and seals `json`; returns the name under which to store it. Repository version 2.
pub fn encode(key: &MasterKey, json: &[u8]) -> (Digest, Bytes) {
    let mut plain = vec![COMPRESSED];
    let compressed = zstd::bulk::compress(json, zstd::DEFAULT_COMPRESSION_LEVEL)
        .expect("zstd takes any bytes as long as there is memory");
    plain.extend_from_slice(&compressed);
    named(key.seal(&plain))
}

/// Seals `json` as it is: the configuration, and everything in a repository of version 1.
pub fn encode_uncompressed(key: &MasterKey, json: &[u8]) -> (Digest, Bytes) {
    named(key.seal(json))
}

fn named(sealed: Vec<u8>) -> (Digest, Bytes) {
    (Digest::of(&sealed), sealed.into())
}

/// Opens a file stored under `name` and gives its JSON; the bytes must hash to the name.
pub fn decode(key: &MasterKey, name: &Digest, stored: &[u8]) -> Result<Vec<u8>, FileError> {
    let found = Digest::of(stored);
    if found != *name {
        return Err(FileError::Digest { found });
    }
    decode_unnamed(key, stored)
}

/// Opens a file that is not named by its content: the configuration.
pub fn decode_unnamed(key: &MasterKey, stored: &[u8]) -> Result<Vec<u8>, FileError> {
    let plain = key.open(stored).map_err(FileError::Sealed)?;
    match plain.split_first() {
        None => Err(FileError::Empty),
        Some((b'{' | b'[', _)) => Ok(plain),
        Some((&COMPRESSED, rest)) => {
            expand(rest, PLAIN_LIMIT.min(most_json(rest.len()))).map_err(FileError::Expand)
        }
        Some((other, _)) => Err(FileError::UnknownEncoding(*other)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn json_comes_back_from_both_encodings() {
        let key = MasterKey::generate();
        let json = br#"{"packs":[]}"#;
        for (name, stored) in [encode(&key, json), encode_uncompressed(&key, json)] {
            assert_eq!(decode(&key, &name, &stored).unwrap(), json);
        }
    }

    #[test]
    fn a_file_under_another_name_or_with_a_flipped_bit_is_refused() {
        let key = MasterKey::generate();
        let (name, stored) = encode(&key, b"{}");

        for at in 0..stored.len() {
            let mut damaged = stored.to_vec();
            damaged[at] ^= 1;
            assert!(matches!(decode(&key, &name, &damaged), Err(FileError::Digest { .. })));
            let own_name = Digest::of(&damaged);
            assert!(matches!(decode(&key, &own_name, &damaged), Err(FileError::Sealed(_))));
        }
    }

    #[test]
    fn a_bomb_is_refused_long_before_the_limit_and_an_honest_index_is_not() {
        let key = MasterKey::generate();
        let bomb = vec![b' '; 64 << 20];
        let (name, stored) = encode(&key, &bomb);
        assert!(matches!(decode(&key, &name, &stored), Err(FileError::Expand(_))));

        let entry =
            |n: u32| format!(r#"{{"id":"{}","type":"data"}}"#, Digest::of(&n.to_le_bytes()));
        let json = format!("[{}]", (0..100_000).map(entry).collect::<Vec<_>>().join(","));
        let (name, stored) = encode(&key, json.as_bytes());
        assert_eq!(decode(&key, &name, &stored).unwrap(), json.as_bytes());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn hostile_bytes_inside_the_seal_never_panic(plain in prop::collection::vec(any::<u8>(), 0..100)) {
            let key = MasterKey::generate();
            let mut tagged = vec![COMPRESSED];
            tagged.extend_from_slice(&plain);
            for bytes in [plain, tagged] {
                let (name, stored) = encode_uncompressed(&key, &bytes);
                let _ = decode(&key, &name, &stored);
            }
        }
    }
}
