//! The repository: restic's format, version 2, read and written by our own code.
//!
//! In: a store (rooted at the repository), a password, blobs. Out: packs, indexes, trees,
//! snapshots; and the same way back. Layout: docs/format.md. Knows nothing of policies or state.

pub mod id;
pub mod node;
pub mod snapshot;

pub use id::{BlobId, BlobKind, IndexId, PackId, SnapshotId};
pub use node::{Node, NodeKind, Tree};
pub use snapshot::Snapshot;
