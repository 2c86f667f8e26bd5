//! Stores: named objects that are durable once written. A folder, a bucket, memory.
//!
//! In: a folder, or a bucket and its keys. Out: [`Store`]. Every implementation passes `store/contract.rs`.
//! Knows nothing of what the objects hold.

#[cfg(test)]
mod contract;
mod faulty;
mod local;
mod memory;
mod paced;
mod prefixed;
mod probe;
pub mod s3;

use std::fmt;
use std::io;
use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use jiff::Timestamp;
use rustix::io::Errno;

pub use faulty::{Act, Fault, Faulty, Harm};
pub use local::Local;
pub use memory::Memory;
pub use paced::Paced;
pub use prefixed::Prefixed;
pub use probe::{Creation, probe};
pub use s3::S3;

/// The name of an object: parts joined by `/`, none empty, `.` or `..`; no control bytes, and no
/// backslash, which some S3 services take for a slash.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName(String);

/// Text that cannot name an object.
#[derive(Debug, thiserror::Error)]
#[error("{found:?} cannot name an object")]
pub struct NotAnObjectName {
    found: String,
}

impl ObjectName {
    /// The name's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ObjectName {
    type Err = NotAnObjectName;

    fn from_str(text: &str) -> Result<Self, NotAnObjectName> {
        let part_is_bad =
            |part: &str| part.is_empty() || part == "." || part == ".." || part.len() > 255;
        let char_is_bad = |c: char| c.is_control() || c == '\\';
        if text.len() > 1000 || text.contains(char_is_bad) || text.split('/').any(part_is_bad) {
            return Err(NotAnObjectName { found: text.chars().take(80).collect() });
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// How [`Store::put`] treats an object that is already there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// Fails with [`Error::Exists`]; atomic: of any number of racers one wins.
    Create,
    /// Replaces it; readers see the old or the new bytes, never a mixture.
    Overwrite,
}

/// What a listing says of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    pub name: ObjectName,
    /// Bytes.
    pub size: u64,
    /// When it was last written, by the store's clock.
    pub modified: Timestamp,
}

/// Why a store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("object {name} is missing")]
    Missing { name: ObjectName },
    #[error("object {name} exists already")]
    Exists { name: ObjectName },
    #[error("object {name} has {size} bytes, too few for {}..{}", range.start, range.end)]
    Short { name: ObjectName, size: u64, range: Range<u64> },
    /// Out of reach, refused, or broken: nothing is known of the object.
    #[error("cannot {action} {name} in the store")]
    Io { action: &'static str, name: String, source: Box<dyn std::error::Error + Send + Sync> },
}

impl Error {
    /// An [`Error::Io`] around `source`.
    pub fn io(
        action: &'static str,
        name: impl fmt::Display,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Io { action, name: name.to_string(), source: source.into() }
    }

    /// Whether the store has the object and cannot give it, though it may well give others: a bad
    /// sector, permissions. Only folders tell.
    pub fn is_of_one_object(&self) -> bool {
        let Self::Io { source, .. } = self else { return false };
        let error = source.downcast_ref::<io::Error>().and_then(Errno::from_io_error);
        matches!(error, Some(Errno::IO | Errno::ACCESS | Errno::PERM | Errno::LOOP | Errno::ISDIR))
    }

    /// Told by the type of the cause.
    pub fn outlook(&self) -> Outlook {
        let Self::Io { source, .. } = self else { return Outlook::Lasting };
        if let Some(trouble) = source.downcast_ref::<s3::Trouble>() {
            return trouble.outlook();
        }
        match source.downcast_ref::<io::Error>().map(io::Error::kind) {
            Some(io::ErrorKind::PermissionDenied) => Outlook::Lasting,
            _ => Outlook::Passing,
        }
    }
}

/// Whether waiting may help where a store did not do what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outlook {
    /// Out of reach, busy, full: the same may well succeed later.
    Passing,
    /// Keys, rights, an address or a clock must be mended first, or an object.
    Lasting,
}

/// The result of a store's act.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A place for objects. All calls may run at once from many tasks.
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync {
    /// Writes an object. It is durable on return: it survives a loss of power.
    async fn put(&self, name: &ObjectName, body: Bytes, how: Put) -> Result<()>;

    /// Reads an object, or exactly the bytes of `range` of it ([`Error::Short`] if it has fewer).
    async fn get(&self, name: &ObjectName, range: Option<Range<u64>>) -> Result<Bytes>;

    /// Every object below the folder `prefix` (all for `None`), in no promised order.
    /// An empty or absent folder is an empty listing; a failed listing ends with an error.
    fn list(&self, prefix: Option<&ObjectName>) -> BoxStream<'_, Result<Object>>;

    /// Removes an object; one that is not there is [`Error::Missing`].
    async fn delete(&self, name: &ObjectName) -> Result<()>;

    /// Sees to it that there is no such object, whether there was one or not.
    async fn clear(&self, name: &ObjectName) -> Result<()> {
        match self.delete(name).await {
            Err(Error::Missing { .. }) => Ok(()),
            cleared => cleared,
        }
    }

    /// Whether a request takes as long as moving megabytes: then few large ones are the better ones.
    fn is_far(&self) -> bool {
        false
    }

    /// Where this is, for messages; no secrets.
    fn place(&self) -> String;
}

/// A store shared by tasks.
pub type Shared = Arc<dyn Store>;

#[cfg(test)]
mod tests {
    use super::ObjectName;

    #[test]
    fn names_that_stores_take_differently_are_refused() {
        for text in ["", "/a", "a/", "a//b", ".", "a/../b", "a\nb", "a\\b"] {
            assert!(text.parse::<ObjectName>().is_err(), "{text:?}");
        }
    }
}
