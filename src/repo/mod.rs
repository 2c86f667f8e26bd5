//! The repository: restic's format, version 2, read and written by our own code.
//!
//! In: a store (rooted at the repository), a password, blobs. Out: packs, indexes, trees,
//! snapshots; and the same way back. Layout: docs/format.md. Knows nothing of policies or state.

mod chunker;
pub mod config;
pub mod expand;
mod fetch;
pub mod file;
mod go;
pub mod id;
pub mod index;
pub mod layout;
pub mod node;
pub mod pack;
pub mod repository;
pub mod snapshot;
mod tree;

pub use config::Config;
pub use id::{BlobId, BlobKind, IndexId, PackId, SnapshotId};
pub use index::{Index, IndexFile, IndexPack, Location};
pub use node::{Node, NodeKind, Tree};
pub use pack::{PackBuilder, Packed, PackedBlob};
pub use repository::{Error, OpenError, Repository};
pub use snapshot::{Snapshot, Summary};
pub use tree::TreeError;
