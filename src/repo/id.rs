//! The names of stored things: each is the SHA-256 of what it names.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ground::digest::{Digest, NotADigest};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Digest);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = NotADigest;

            fn from_str(text: &str) -> Result<Self, NotADigest> {
                text.parse().map(Self)
            }
        }
    };
}

id!(
    /// A blob: the SHA-256 of its plain bytes. A tree's id is the id of its blob.
    BlobId
);
id!(
    /// A pack: the SHA-256 of the stored object.
    PackId
);
id!(
    /// An index file: the SHA-256 of the stored object.
    IndexId
);
id!(
    /// A snapshot: the SHA-256 of the stored object.
    SnapshotId
);

id!(
    /// A lock: the SHA-256 of the stored object.
    LockId
);

/// What a blob holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BlobKind {
    /// A piece of a file's content.
    Data,
    /// A directory's entries.
    Tree,
}
