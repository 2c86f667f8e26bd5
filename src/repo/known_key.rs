//! The key file that opened a repository the last time: whoever remembers it need not list them.

use bytes::Bytes;

use super::layout::Folder;
use crate::ground::digest::Digest;
use crate::store::{self, Store};

/// A key file by its name, which is the digest of its bytes, and their number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownKey {
    pub id: Digest,
    pub bytes: u64,
}

impl KnownKey {
    /// Its bytes; none where it is not there as it was. No more is read than it had.
    pub(super) async fn fetch(self, store: &dyn Store) -> store::Result<Option<Bytes>> {
        match store.get(&Folder::Keys.object(&self.id), Some(0..self.bytes)).await {
            Ok(bytes) => Ok((Digest::of(&bytes) == self.id).then_some(bytes)),
            Err(store::Error::Missing { .. } | store::Error::Short { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
