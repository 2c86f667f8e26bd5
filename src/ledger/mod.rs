//! The ledger: an append-only, sealed, signed record of what was due and what happened.
//!
//! In: events, a store rooted at `<customer>/ledger/`, the repository's master key, a signing key.
//! Out: chained records, signed checkpoints, and what does not hold together. Format:
//! docs/format.md, "Ledger". Knows nothing of policies and of our own state: the bucket is
//! readable with the keys alone.

pub mod canonical;
mod chain;
mod checkpoint;
pub mod details;
mod kept;
mod merkle;
mod numbered;
pub mod outbox;
mod owed;
mod reading;
pub mod record;
mod seals;
mod seen;
mod segment;
pub mod sign;
mod verify;
mod volume;

#[cfg(test)]
pub(crate) mod testing;

use std::path::Path;

use bytes::Bytes;

pub use chain::{Fault, Line};
pub use checkpoint::{Checkpoint, NotACheckpoint, Remembered};
pub use reading::Reading;
pub use segment::is_empty;
pub use verify::{Verified, Verify};

use crate::ground::digest::Digest;
use crate::seal::{MasterKey, Unauthentic};
use crate::store::{self, ObjectName, Put};

/// Why the ledger could not be read, written or signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("the store does not give or take a part of the ledger")]
    Store(#[from] store::Error),
    #[error("cannot open {object} of the ledger")]
    Sealed { object: ObjectName, source: Unauthentic },
    /// The first of the faults that were found.
    #[error("record {seq} of the ledger: {what}")]
    Broken { seq: u64, what: String },
    #[error("the event cannot be written as a record")]
    NotARecord(#[from] canonical::Error),
    #[error("the events make a segment of {bytes} bytes, more than the {limit} allowed")]
    TooLarge { bytes: u64, limit: u64 },
    #[error("other writers were faster {attempts} times in a row")]
    Contended { attempts: usize },
    #[error("details {digest} are not what their name says")]
    DetailsAltered { digest: Digest },
    #[error("details cannot be written or read as JSON")]
    DetailsJson(#[source] serde_json::Error),
    #[error("there is nothing on the ledger to sign")]
    Empty,
    /// An alarm: what was once signed, or remembered, is not what the segments hold.
    #[error("the checkpoint of {size} records does not agree with the ledger: {what}")]
    Inconsistent { size: u64, what: String },
    #[error(transparent)]
    Sign(#[from] sign::Error),
}

impl Error {
    /// Whether the store was out of reach, so that the same act may succeed later.
    pub fn is_out_of_reach(&self) -> bool {
        matches!(self, Self::Store(store::Error::Io { .. }) | Self::Contended { .. })
    }
}

/// The ledger of one customer. Calls may run at once from many tasks and many hosts.
#[derive(Debug)]
pub struct Ledger {
    store: store::Shared,
    key: MasterKey,
    /// What we read and appended so far; only saves reading, the store decides who was first.
    seen: tokio::sync::Mutex<seen::Seen>,
    /// Only saves reading, too.
    kept: Option<kept::Kept>,
    /// How far volumes are read in the place of segments: whoever holds the key could make one that tells
    /// another story of what nobody has vouched for yet.
    vouched: Option<Remembered>,
}

/// What became of an object that was to be created.
#[derive(Debug)]
enum Created {
    /// It is there with our bytes.
    Ours,
    /// Somebody else's bytes are there.
    Theirs(Bytes),
}

impl Ledger {
    /// The ledger in `store` (rooted at `<customer>/ledger/`), sealed with `key`. Reads nothing.
    pub fn open(store: store::Shared, key: MasterKey) -> Self {
        Self { store, key, seen: tokio::sync::Mutex::default(), kept: None, vouched: None }
    }

    /// The same, found to be empty a moment ago: what was written since is looked for by name.
    pub fn begin(store: store::Shared, key: MasterKey) -> Self {
        let seen = tokio::sync::Mutex::new(seen::Seen::nothing());
        Self { seen, ..Self::open(store, key) }
    }

    /// Keeps what [`Self::read_quickly`] reads in `folder`, as sealed as it is in the store.
    pub fn keeping_in(self, folder: &Path) -> Self {
        Self { kept: Some(kept::Kept::below(folder)), ..self }
    }

    /// Lets volumes stand for the segments of what this host has signed.
    pub fn vouched_for(self, signed: Remembered) -> Self {
        Self { vouched: Some(signed), ..self }
    }

    /// Where this ledger lies, for messages and as a key for what is remembered of it.
    pub fn place(&self) -> String {
        self.store.place()
    }

    /// Creates an object; a lost reply is settled by reading back.
    async fn create(&self, name: &ObjectName, body: Bytes) -> Result<Created, Error> {
        let refused = match self.store.put(name, body.clone(), Put::Create).await {
            Ok(()) => return Ok(Created::Ours),
            Err(refused @ (store::Error::Exists { .. } | store::Error::Io { .. })) => refused,
            Err(error) => return Err(error.into()),
        };
        match self.store.get(name, None).await {
            Ok(found) if found == body => Ok(Created::Ours),
            Ok(found) => Ok(Created::Theirs(found)),
            Err(_) => Err(refused.into()),
        }
    }

    fn unseal(&self, object: &ObjectName, sealed: &[u8]) -> Result<Vec<u8>, Error> {
        self.key.open(sealed).map_err(|source| Error::Sealed { object: object.clone(), source })
    }
}

/// A name inside the ledger's store.
fn object(name: &str) -> ObjectName {
    name.parse().expect("the ledger's own names are object names")
}
