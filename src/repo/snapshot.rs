//! Snapshots: what a run left behind, and where its tree begins.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::go::{null_is_empty, read_time};
use super::{BlobId, SnapshotId};

/// The tag by which restic, too, marks what a repair left of a snapshot.
pub const REPAIRED: &str = "repaired";

/// A snapshot, as in `snapshots/`. Source: restic's doc/design.rst, "Snapshots".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    #[serde(deserialize_with = "read_time")]
    pub time: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<SnapshotId>,
    /// The root tree.
    pub tree: BlobId,
    /// The snapshot that this one was made from: by a repair, or by restic's `tag` or `rewrite`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original: Option<SnapshotId>,
    #[serde(default, deserialize_with = "null_is_empty")]
    pub paths: Vec<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hostname: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub username: String,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub uid: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub gid: u32,
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub program_version: String,
    /// Counts and sizes, which restic shows from 0.17 on; older snapshots have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<Summary>,
    /// What other writers, or later ones, say besides: it stays where a snapshot is written anew.
    #[serde(flatten)]
    pub others: serde_json::Map<String, serde_json::Value>,
}

/// What a run did, in restic's words; sizes in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Summary {
    #[serde(deserialize_with = "read_time")]
    pub backup_start: Timestamp,
    #[serde(deserialize_with = "read_time")]
    pub backup_end: Timestamp,
    #[serde(default)]
    pub files_new: u64,
    #[serde(default)]
    pub files_changed: u64,
    #[serde(default)]
    pub files_unmodified: u64,
    #[serde(default)]
    pub dirs_new: u64,
    #[serde(default)]
    pub dirs_changed: u64,
    #[serde(default)]
    pub dirs_unmodified: u64,
    #[serde(default)]
    pub data_blobs: u64,
    #[serde(default)]
    pub tree_blobs: u64,
    /// New plain bytes.
    #[serde(default)]
    pub data_added: u64,
    /// New stored bytes.
    #[serde(default)]
    pub data_added_packed: u64,
    #[serde(default)]
    pub total_files_processed: u64,
    #[serde(default)]
    pub total_bytes_processed: u64,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Snapshot {
    /// The snapshot of which this is what a repair left.
    pub fn left_of(&self) -> Option<SnapshotId> {
        self.original.filter(|_| self.tags.iter().any(|tag| tag == REPAIRED))
    }

    /// The snapshot's JSON, to be sealed by [`super::file`].
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts, numbers and times are always JSON")
    }

    /// The root tree alone: who asks what a snapshot needs is not stopped by the rest of it.
    pub fn decode_tree(json: &[u8]) -> Result<BlobId, serde_json::Error> {
        #[derive(Deserialize)]
        struct Needs {
            tree: BlobId,
        }
        serde_json::from_slice(json).map(|needs: Needs| needs.tree)
    }

    /// Reads a snapshot's JSON; what it does not know it keeps.
    pub fn decode(json: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(json)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ground::digest::Digest;

    prop_compose! {
        fn snapshot()(
            seconds in 0_i64..10_000_000_000,
            nanoseconds in 0..1_000_000_000,
            parent in prop::option::of(any::<[u8; 32]>()),
            tree in any::<[u8; 32]>(),
            paths in prop::collection::vec(any::<String>(), 0..3),
            (hostname, username, program_version) in any::<(String, String, String)>(),
            (uid, gid, bytes) in any::<(u32, u32, u64)>(),
            tags in prop::collection::vec(any::<String>(), 0..3),
        ) -> Snapshot {
            let time = Timestamp::new(seconds, nanoseconds).unwrap();
            let summary = bytes.is_multiple_of(2).then_some(Summary {
                backup_start: time, backup_end: time, files_new: bytes, files_changed: 1,
                files_unmodified: 2, dirs_new: 3, dirs_changed: 4, dirs_unmodified: 5,
                data_blobs: 6, tree_blobs: 7, data_added: 8, data_added_packed: 9,
                total_files_processed: 10, total_bytes_processed: bytes,
            });
            Snapshot {
                time, parent: parent.map(|id| SnapshotId(Digest(id))), tree: BlobId(Digest(tree)),
                original: parent.filter(|_| bytes > u64::MAX / 2).map(|id| SnapshotId(Digest(id))),
                paths, hostname, username, uid, gid, tags, program_version, summary,
                others: Default::default(),
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_snapshot_is_read_back_as_written(snapshot in snapshot()) {
            prop_assert_eq!(Snapshot::decode(&snapshot.encode()).unwrap(), snapshot);
        }

        #[test]
        fn bytes_that_are_no_snapshot_are_refused_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(Snapshot::decode(&bytes).is_err());
        }
    }

    #[test]
    fn a_snapshot_of_restic_with_zone_and_unknown_fields_is_read() {
        let tree = Digest::of(b"tree");
        let json = format!(
            r#"{{"time":"2026-11-23T14:47:59.513126553+08:00","tree":"{tree}","paths":null,
            "hostname":"vm","excludes":["foo"],"delete":{{"After":[1,-2,0.5]}},"original":"{tree}",
            "tags":null}}"#
        );

        let snapshot = Snapshot::decode(json.as_bytes()).unwrap();
        let again: serde_json::Value = serde_json::from_slice(&snapshot.encode()).unwrap();

        assert_eq!(again["excludes"], serde_json::json!(["foo"]));
        assert_eq!(again["delete"], serde_json::json!({"After": [1, -2, 0.5]}));

        assert_eq!(snapshot.time.to_string(), "2026-11-23T06:47:59.513126553Z");
        assert!(snapshot.tags.is_empty() && snapshot.paths.is_empty());
        assert_eq!(snapshot.original, Some(SnapshotId(tree)));
    }

    #[test]
    fn a_snapshot_of_the_last_day_that_restic_knows_is_no_damaged_one() {
        let tree = Digest::of(b"tree");
        let json = format!(r#"{{"time":"9999-12-31T23:59:59.999Z","tree":"{tree}"}}"#);

        assert_eq!(Snapshot::decode(json.as_bytes()).unwrap().time, Timestamp::MAX);
    }

    #[test]
    fn what_a_snapshot_needs_is_read_though_the_rest_of_it_is_nonsense() {
        let tree = Digest::of(b"tree");
        let json = format!(r#"{{"time":"in a while","uid":-1,"tree":"{tree}"}}"#);

        assert!(Snapshot::decode(json.as_bytes()).is_err());
        assert_eq!(Snapshot::decode_tree(json.as_bytes()).unwrap(), BlobId(tree));
    }
}
