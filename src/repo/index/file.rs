//! Index files: which packs hold which blobs, as stored under `index/`.

use serde::{Deserialize, Serialize};

use crate::repo::go::null_is_empty;
use crate::repo::pack::PackedBlob;
use crate::repo::{IndexId, PackId};

/// An index file is written for so many blobs: some 7 MB before compression, as restic's are.
pub const FILE_BLOBS: usize = 50_000;

/// One index file's content. Source: restic's doc/design.rst, "Indexing"; rustic's
/// developer documentation for `packs_to_delete`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct IndexFile {
    /// Index files that this one replaces; they count no more.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub supersedes: Vec<IndexId>,
    #[serde(default, deserialize_with = "null_is_empty")]
    pub packs: Vec<IndexPack>,
    /// Packs that rustic is about to remove: still readable, but nothing new may rely on them.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub packs_to_delete: Vec<DoomedPack>,
}

/// A pack that rustic is about to remove; what it wrote of it is kept as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DoomedPack {
    #[serde(flatten)]
    pub pack: IndexPack,
    /// When it was marked: rustic removes it a day later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<serde_json::Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

/// A pack and its blobs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexPack {
    pub id: PackId,
    #[serde(deserialize_with = "null_is_empty")]
    pub blobs: Vec<PackedBlob>,
}

impl IndexFile {
    /// The file's JSON, as restic writes it; to be sealed by [`crate::repo::file`].
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("ids and numbers are always JSON")
    }

    /// Reads an index file's JSON; what it does not know it skips.
    pub fn decode(json: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(json)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ground::digest::Digest;
    use crate::repo::{BlobId, BlobKind};

    fn digest() -> impl Strategy<Value = Digest> {
        any::<[u8; 32]>().prop_map(Digest)
    }

    prop_compose! {
        fn packed_blob()(
            id in digest(),
            tree in any::<bool>(),
            offset in any::<u32>(),
            length in any::<u32>(),
            plain_length in prop::option::of(1_u32..),
        ) -> PackedBlob {
            let kind = if tree { BlobKind::Tree } else { BlobKind::Data };
            PackedBlob { id: BlobId(id), kind, offset, length, plain_length }
        }
    }

    fn packs() -> impl Strategy<Value = Vec<IndexPack>> {
        let pack = (digest(), prop::collection::vec(packed_blob(), 0..5))
            .prop_map(|(id, blobs)| IndexPack { id: PackId(id), blobs });
        prop::collection::vec(pack, 0..4)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn an_index_file_is_read_back_as_written(
            supersedes in prop::collection::vec(digest().prop_map(IndexId), 0..3),
            packs in packs(),
            doomed in packs(),
        ) {
            let packs_to_delete = doomed
                .into_iter()
                .map(|pack| DoomedPack { pack, time: Some("a moment".into()), size: Some(9) })
                .collect();
            let file = IndexFile { supersedes, packs, packs_to_delete };

            prop_assert_eq!(IndexFile::decode(&file.encode()).unwrap(), file);
        }

        #[test]
        fn bytes_that_are_no_index_are_refused_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(IndexFile::decode(&bytes).is_err());
        }
    }

    #[test]
    fn nulls_unknown_fields_and_rustics_additions_are_understood() {
        let id = Digest::of(b"x");
        let json = format!(
            r#"{{"supersedes":null,"packs":null,"later":1,"packs_to_delete":[{{"id":"{id}",
            "time":"2024-01-01T00:00:00Z","size":9,"blobs":[{{"id":"{id}","type":"tree","offset":0,
            "length":40,"uncompressed_length":0}}]}}]}}"#
        );

        let file = IndexFile::decode(json.as_bytes()).unwrap();

        assert!(file.packs.is_empty());
        let doomed = &file.packs_to_delete[0];
        assert_eq!(doomed.pack.blobs[0].plain_length, None);
        assert_eq!(
            (doomed.time.as_ref().unwrap(), doomed.size),
            (&"2024-01-01T00:00:00Z".into(), Some(9))
        );
    }
}
