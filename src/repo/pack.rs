//! Packs: many sealed blobs kept as one stored object.
//!
//! In: sealed blobs. Out: the bytes of objects under `data/`, and the blobs of such bytes.
//! Layout: docs/format.md, "Packs"; restic's doc/design.rst, "Pack Format".
//! Knows nothing of stores and indexes.

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use zstd::bulk::Decompressor;

use super::expand::{ExpandError, expand_exactly, most_json};
use super::{BlobId, BlobKind, PackId};
use crate::ground::digest::{Digest, Hasher};
use crate::seal::{MasterKey, OVERHEAD, Unauthentic};

/// The most plain bytes that a blob may hold: 512 MiB, far above any chunk of any known writer.
pub const BLOB_LIMIT: u64 = 512 << 20;

/// The longest sealed header that is read: restic's own bound, some 400,000 blobs.
const HEADER_LIMIT: u64 = 16 << 20;

/// The length of the sealed header, at the pack's end: four bytes, little endian.
const LENGTH_FIELD: u64 = 4;

/// Bytes of a header's entry: type, sealed length and id; a compressed blob's plain length more.
const PLAIN_ENTRY: usize = 1 + 4 + 32;
const COMPRESSED_ENTRY: usize = PLAIN_ENTRY + 4;

/// Where in a pack a blob lies, and what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackedBlob {
    pub id: BlobId,
    #[serde(rename = "type")]
    pub kind: BlobKind,
    /// Bytes from the pack's begin.
    pub offset: u32,
    /// Sealed bytes.
    pub length: u32,
    /// Plain bytes of a compressed blob; `None` where the blob is stored as it is.
    #[serde(
        rename = "uncompressed_length",
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "zero_is_none"
    )]
    pub plain_length: Option<u32>,
}

/// restic omits a zero and reads it as "not compressed".
fn zero_is_none<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<u32>, D::Error> {
    Ok(Option::deserialize(deserializer)?.filter(|length| *length != 0))
}

impl PackedBlob {
    /// Where the blob's sealed bytes end in the pack.
    pub fn end(&self) -> u64 {
        u64::from(self.offset) + u64::from(self.length)
    }

    /// Plain bytes, as far as index or header tell.
    pub fn plain_bytes(&self) -> u64 {
        let unsealed = u64::from(self.length).saturating_sub(OVERHEAD as u64);
        self.plain_length.map_or(unsealed, u64::from)
    }

    fn entry_length(&self) -> usize {
        if self.plain_length.is_some() { COMPRESSED_ENTRY } else { PLAIN_ENTRY }
    }
}

/// The size that a pack of these blobs has: what an index says about an object under `data/`.
pub fn expected_size(blobs: &[PackedBlob]) -> u64 {
    let bodies: u64 = blobs.iter().map(|blob| u64::from(blob.length)).sum();
    let entries: usize = blobs.iter().map(PackedBlob::entry_length).sum();
    bodies + (entries + OVERHEAD) as u64 + LENGTH_FIELD
}

/// A finished pack, ready to be stored under its id.
#[derive(Debug, Clone)]
pub struct Packed {
    pub id: PackId,
    pub bytes: Bytes,
    pub blobs: Vec<PackedBlob>,
}

/// A pack that is being filled.
#[derive(Debug)]
pub struct PackBuilder {
    key: MasterKey,
    bytes: BytesMut,
    blobs: Vec<PackedBlob>,
    /// Of the first `hashed` bytes.
    hasher: Hasher,
    hashed: usize,
}

/// So many bytes are hashed at a time while a pack is filled.
const AHEAD: usize = 64 << 10;

impl PackBuilder {
    /// An empty pack whose header will be sealed with `key`.
    pub fn new(key: MasterKey) -> Self {
        Self::within(key, BytesMut::new())
    }

    /// The same in `room`, the memory of a pack that is stored: the system gives no new pages.
    pub fn within(key: MasterKey, mut room: BytesMut) -> Self {
        room.clear();
        Self { key, bytes: room, blobs: Vec::new(), hasher: Hasher::new(), hashed: 0 }
    }

    /// Appends a blob: its sealed bytes, and the length of its plain ones.
    ///
    /// Callers close a pack at some dozen MiB; one beyond 4 GiB is a mistake and panics.
    pub fn add(
        &mut self,
        id: BlobId,
        kind: BlobKind,
        sealed: &[u8],
        plain_length: u32,
        compressed: bool,
    ) {
        let within = "a pack is closed long before 4 GiB";
        let offset = u32::try_from(self.bytes.len()).expect(within);
        let length = u32::try_from(sealed.len()).expect(within);
        let plain_length = compressed.then_some(plain_length);
        self.bytes.extend_from_slice(sealed);
        self.blobs.push(PackedBlob { id, kind, offset, length, plain_length });
    }

    /// Bytes so far, without the header.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.blobs.is_empty()
    }

    /// The blobs so far.
    pub fn blobs(&self) -> &[PackedBlob] {
        &self.blobs
    }

    /// Hashes a part of what was added; false where there is not enough for one. What is hashed by then need
    /// not be hashed once all is there, when everybody waits for it.
    pub fn hash_ahead(&mut self) -> bool {
        let Some(part) = self.bytes.get(self.hashed..self.hashed + AHEAD) else { return false };
        self.hasher.update(part);
        self.hashed += AHEAD;
        true
    }

    /// Appends the header and names the pack.
    pub fn finish(self) -> Packed {
        let Self { key, mut bytes, blobs, mut hasher, hashed } = self;
        let mut header = Vec::with_capacity(blobs.len() * COMPRESSED_ENTRY);
        for blob in &blobs {
            let of_kind = match blob.kind {
                BlobKind::Data => 0,
                BlobKind::Tree => 1,
            };
            match blob.plain_length {
                None => {
                    header.push(of_kind);
                    header.extend_from_slice(&blob.length.to_le_bytes());
                }
                Some(plain_length) => {
                    header.push(2 + of_kind);
                    header.extend_from_slice(&blob.length.to_le_bytes());
                    header.extend_from_slice(&plain_length.to_le_bytes());
                }
            }
            header.extend_from_slice(&blob.id.0.0);
        }
        bytes.extend_from_slice(&key.seal(&header));
        let length = u32::try_from(header.len() + OVERHEAD).expect("a header is some MiB at most");
        bytes.extend_from_slice(&length.to_le_bytes());
        hasher.update(&bytes[hashed..]);
        Packed { id: PackId(hasher.finish()), bytes: bytes.freeze(), blobs }
    }
}

/// Why a pack's header could not be read. The pack is named by whoever fetched it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    #[error("{size} bytes are too few for a pack")]
    NoRoom { size: u64 },
    #[error("its header claims {length} bytes in a pack of {size}")]
    BadLength { length: u32, size: u64 },
    /// Not damage: fetch the last `needed` bytes and ask again.
    #[error("its header needs the last {needed} bytes, only {given} were read")]
    TailTooShort { needed: u64, given: usize },
    #[error("its header does not open")]
    Sealed(#[source] Unauthentic),
    #[error("its header holds a blob of the unknown type {0}")]
    UnknownType(u8),
    #[error("its header ends within an entry")]
    CutShort,
    #[error("its header describes a pack of {described} bytes, but it has {size}")]
    SizesDisagree { described: u64, size: u64 },
}

/// Reads the blobs of a pack of `size` bytes from its header; blocking, CPU only.
///
/// `tail` is any last part of the pack (or all of it) that includes the header; a few KiB do for
/// most, and [`HeaderError::TailTooShort`] tells how much the others need. Every length is checked
/// against `size` before it is used.
pub fn read_header(
    key: &MasterKey,
    size: u64,
    tail: &[u8],
) -> Result<Vec<PackedBlob>, HeaderError> {
    if size < OVERHEAD as u64 + LENGTH_FIELD {
        return Err(HeaderError::NoRoom { size });
    }
    let Some((rest, field)) = tail.split_last_chunk::<{ LENGTH_FIELD as usize }>() else {
        return Err(HeaderError::TailTooShort { needed: LENGTH_FIELD, given: tail.len() });
    };
    let length = u32::from_le_bytes(*field);
    let fits = OVERHEAD as u64..=HEADER_LIMIT.min(size - LENGTH_FIELD);
    if !fits.contains(&u64::from(length)) {
        return Err(HeaderError::BadLength { length, size });
    }
    let Some(begin) = rest.len().checked_sub(length as usize) else {
        let needed = u64::from(length) + LENGTH_FIELD;
        return Err(HeaderError::TailTooShort { needed, given: tail.len() });
    };
    let header = key.open(&rest[begin..]).map_err(HeaderError::Sealed)?;
    let blobs = read_entries(&header, size)?;
    let described = expected_size(&blobs);
    if described != size {
        return Err(HeaderError::SizesDisagree { described, size });
    }
    Ok(blobs)
}

fn read_entries(mut header: &[u8], size: u64) -> Result<Vec<PackedBlob>, HeaderError> {
    let mut blobs = Vec::with_capacity(header.len() / PLAIN_ENTRY);
    let mut offset = 0_u32;
    while let Some((&entry_type, rest)) = header.split_first() {
        header = rest;
        let kind = match entry_type {
            0 | 2 => BlobKind::Data,
            1 | 3 => BlobKind::Tree,
            unknown => return Err(HeaderError::UnknownType(unknown)),
        };
        let length = u32::from_le_bytes(take(&mut header)?);
        let plain_length = match entry_type {
            0 | 1 => None,
            _ => Some(u32::from_le_bytes(take(&mut header)?)),
        };
        let id = BlobId(Digest(take(&mut header)?));
        blobs.push(PackedBlob { id, kind, offset, length, plain_length });
        offset = offset.checked_add(length).ok_or(HeaderError::SizesDisagree {
            described: u64::from(offset) + u64::from(length),
            size,
        })?;
    }
    Ok(blobs)
}

fn take<const N: usize>(from: &mut &[u8]) -> Result<[u8; N], HeaderError> {
    let (bytes, rest) = from.split_first_chunk().ok_or(HeaderError::CutShort)?;
    *from = rest;
    Ok(*bytes)
}

/// Why a blob did not come out of its sealed bytes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BlobError {
    #[error("blob {blob} shall have {expected} sealed bytes, there are {found}")]
    Length { blob: BlobId, expected: u32, found: usize },
    #[error("blob {blob} does not open")]
    Sealed { blob: BlobId, source: Unauthentic },
    #[error("blob {blob} does not expand")]
    Expand { blob: BlobId, source: ExpandError },
    #[error("the content of blob {blob} hashes to {found}")]
    Digest { blob: BlobId, found: Digest },
}

/// Opens blobs one after the other with the same context and buffers; one a thread.
#[derive(Default)]
pub struct Opener {
    decompressor: Option<Decompressor<'static>>,
    opened: Vec<u8>,
    plain: Vec<u8>,
}

/// Buffers beyond this size, left by a rare large blob, are given back.
const KEPT: usize = 8 << 20;

impl Opener {
    /// Opens, expands and checks one blob; `sealed` is its part of the pack. Blocking, CPU only.
    ///
    /// What is returned hashes to the blob's id.
    pub fn open(
        &mut self,
        key: &MasterKey,
        blob: &PackedBlob,
        sealed: &[u8],
    ) -> Result<&[u8], BlobError> {
        let PackedBlob { id, kind, length, plain_length, .. } = *blob;
        if sealed.len() != length as usize {
            return Err(BlobError::Length { blob: id, expected: length, found: sealed.len() });
        }
        self.give_back();
        key.open_into(sealed, &mut self.opened)
            .map_err(|source| BlobError::Sealed { blob: id, source })?;
        let plain = match plain_length {
            None => &self.opened,
            Some(plain_length) => {
                self.expand(kind, plain_length)
                    .map_err(|source| BlobError::Expand { blob: id, source })?;
                &self.plain
            }
        };
        let found = Digest::of(plain);
        if found != id.0 {
            return Err(BlobError::Digest { blob: id, found });
        }
        Ok(plain)
    }

    /// Gives back the memory that a large blob took; what was opened last is gone.
    pub fn give_back(&mut self) {
        for buffer in [&mut self.opened, &mut self.plain] {
            if buffer.capacity() > KEPT {
                *buffer = Vec::new();
            }
        }
    }

    fn expand(&mut self, kind: BlobKind, plain_length: u32) -> Result<(), ExpandError> {
        let (compressed, plain) = (self.opened.len(), u64::from(plain_length));
        if kind == BlobKind::Tree && plain > most_json(compressed) {
            return Err(ExpandError::Unbelievable { compressed, plain });
        }
        let decompressor = match &mut self.decompressor {
            Some(decompressor) => decompressor,
            none => none.insert(Decompressor::new().map_err(ExpandError::Damaged)?),
        };
        expand_exactly(decompressor, &self.opened, plain_length, &mut self.plain)
    }
}

/// [`Opener::open`] for a single blob.
pub fn open_blob(key: &MasterKey, blob: &PackedBlob, sealed: &[u8]) -> Result<Vec<u8>, BlobError> {
    let mut opener = Opener::default();
    opener.open(key, blob, sealed)?;
    Ok(if blob.plain_length.is_some() { opener.plain } else { opener.opened })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A pack of `contents`: every second one compressed, every third a tree.
    fn pack(key: &MasterKey, contents: &[Vec<u8>]) -> Packed {
        let mut builder = PackBuilder::new(key.clone());
        for (number, plain) in contents.iter().enumerate() {
            let id = BlobId(Digest::of(plain));
            let kind = if number % 3 == 0 { BlobKind::Tree } else { BlobKind::Data };
            let compressed = number % 2 == 0;
            let stored =
                if compressed { zstd::bulk::compress(plain, 3).unwrap() } else { plain.clone() };
            builder.add(id, kind, &key.seal(&stored), plain.len() as u32, compressed);
        }
        builder.finish()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_was_packed_is_read_back_whole(
            contents in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 0..20),
        ) {
            let key = MasterKey::generate();
            let packed = pack(&key, &contents);
            let size = packed.bytes.len() as u64;

            let blobs = read_header(&key, size, &packed.bytes).unwrap();

            prop_assert_eq!(&blobs, &packed.blobs);
            prop_assert_eq!(expected_size(&blobs), size);
            for (blob, content) in blobs.iter().zip(&contents) {
                let sealed = &packed.bytes[blob.offset as usize..blob.end() as usize];
                prop_assert_eq!(&open_blob(&key, blob, sealed).unwrap(), content);
            }
        }

        #[test]
        fn hostile_packs_are_refused_without_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..400),
            header in prop::collection::vec(any::<u8>(), 0..200),
            size in any::<u64>(),
        ) {
            let key = MasterKey::generate();
            let _ = read_header(&key, size, &bytes);
            let mut sealed = key.seal(&header);
            let length = sealed.len() as u32;
            sealed.extend_from_slice(&length.to_le_bytes());
            if let Ok(blobs) = read_header(&key, sealed.len() as u64, &sealed) {
                prop_assert!(blobs.iter().all(|blob| blob.length == 0));
            }
        }
    }

    #[test]
    fn a_pack_that_was_hashed_as_it_grew_has_the_name_of_its_bytes() {
        let key = MasterKey::generate();
        let mut builder = PackBuilder::new(key.clone());
        let mut parts = 0;
        for number in 0..5_u8 {
            let sealed = key.seal(&vec![number; 50_000]);
            builder.add(BlobId(Digest::of(&[number])), BlobKind::Data, &sealed, 50_000, false);
            while builder.hash_ahead() {
                parts += 1;
            }
        }

        let packed = builder.finish();

        assert_eq!(packed.id, PackId(Digest::of(&packed.bytes)));
        assert_eq!(parts, 250_160 / AHEAD);
    }

    #[test]
    fn a_short_tail_tells_how_much_is_needed() {
        let key = MasterKey::generate();
        let packed = pack(&key, &[b"one".to_vec(), b"two".to_vec()]);
        let size = packed.bytes.len() as u64;

        let error = read_header(&key, size, &packed.bytes[packed.bytes.len() - 10..]).unwrap_err();

        let HeaderError::TailTooShort { needed, .. } = error else { panic!("{error:?}") };
        let tail = &packed.bytes[packed.bytes.len() - needed as usize..];
        assert_eq!(read_header(&key, size, tail).unwrap(), packed.blobs);
    }

    #[test]
    fn a_pack_cut_short_or_lengthened_is_refused() {
        let key = MasterKey::generate();
        let packed = pack(&key, &[b"one".to_vec(), b"two".to_vec()]);
        let size = packed.bytes.len() as u64;

        for wrong in [size - 1, size + 1, 0, 35, u64::MAX] {
            assert!(read_header(&key, wrong, &packed.bytes).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_header_that_claims_gigabytes_is_refused() {
        let key = MasterKey::generate();
        let mut bytes = vec![0; 100];
        bytes[96..].copy_from_slice(&u32::MAX.to_le_bytes());

        let error = read_header(&key, 8 << 30, &bytes).unwrap_err();

        assert!(matches!(error, HeaderError::BadLength { .. }), "{error:?}");
    }

    #[test]
    fn a_blob_under_a_false_name_or_length_is_refused() {
        let key = MasterKey::generate();
        let sealed = key.seal(b"content");
        let mut blob = PackedBlob {
            id: BlobId(Digest::of(b"other")),
            kind: BlobKind::Data,
            offset: 0,
            length: sealed.len() as u32,
            plain_length: None,
        };

        let error = open_blob(&key, &blob, &sealed).unwrap_err();
        assert!(matches!(error, BlobError::Digest { .. }), "{error:?}");
        let error = open_blob(&key, &blob, &sealed[1..]).unwrap_err();
        assert!(matches!(error, BlobError::Length { .. }), "{error:?}");
        blob.plain_length = Some(u32::MAX);
        let error = open_blob(&key, &blob, &sealed).unwrap_err();
        assert!(matches!(error, BlobError::Expand { .. }), "{error:?}");
    }
}
