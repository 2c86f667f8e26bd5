//! The repository: restic's format, version 2, read and written by our own code.
//!
//! In: a store (rooted at the repository), a password, blobs. Out: packs, indexes, trees,
//! snapshots; and the same way back. Layout: docs/format.md. Knows nothing of policies or state.

mod chunker;
pub mod config;
mod encoder;
pub mod expand;
mod fetch;
pub mod file;
mod fold;
mod go;
pub mod id;
pub mod index;
pub mod layout;
pub mod lock;
mod near;
pub mod node;
pub mod pack;
mod pieces;
mod pour;
pub mod prune;
mod publish;
pub mod reader;
pub mod repair;
pub mod repository;
mod share;
pub mod snapshot;
#[cfg(test)]
mod tests;
mod tree;
pub mod verify;
pub mod walk;
pub mod writer;

pub use chunker::Shape;
pub use config::Config;
pub use id::{BlobId, BlobKind, IndexId, LockId, PackId, SnapshotId};
pub use index::{DoomedPack, Index, IndexFile, IndexPack, Location};
pub use lock::Lock;
pub use node::{Node, NodeKind, Tree};
pub use pack::{PackBuilder, Packed, PackedBlob};
pub use pour::{Receiver, Unreadable};
pub use publish::Gate;
pub use reader::{Fetched, ReadError, Reader};
pub use repository::{Error, KnownKey, OpenError, Repository, in_order};
pub use share::{Alone, Hands, Piece};
pub use snapshot::{Snapshot, Summary};
pub use tree::TreeError;
pub use verify::{
    Affected, Coverage, Damage, Depth, Gap, Share, Use, Verified, VerifyError, verify, verify_with,
};
pub use walk::{Entry, Walk, WalkError};
pub use writer::{Added, Content, StoreError, WriteError, Writer};

/// The index that a repository's readers and its one writer share.
pub type SharedIndex = std::sync::Arc<std::sync::RwLock<Index>>;
