//! The repository: restic's format, version 2, read and written by our own code.
//!
//! In: a store (rooted at the repository), a password, blobs. Out: packs, indexes, trees,
//! snapshots; and the same way back. Layout: docs/format.md. Knows nothing of policies or state.

pub mod expand;
pub mod file;
pub mod id;
pub mod index;
pub mod node;
pub mod pack;
pub mod snapshot;

pub use id::{BlobId, BlobKind, IndexId, PackId, SnapshotId};
pub use index::{Index, IndexFile, IndexPack, Location};
pub use node::{Node, NodeKind, Tree};
pub use pack::{PackBuilder, Packed, PackedBlob};
pub use snapshot::Snapshot;
