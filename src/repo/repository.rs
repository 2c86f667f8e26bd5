//! A repository that is open: a store, the master key, the configuration.
//!
//! In: a store rooted at the repository. Out: the files of its folders, sealed and opened; its
//! parts make and open it, and know what indexes and snapshots say. Async; what takes time on the
//! CPU runs on tokio's blocking threads.

mod founding;
mod indexes;
mod opening;
mod snapshots;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt, stream};

pub use self::opening::{KnownKey, OpenError};
pub use self::snapshots::in_order;
use super::Config;
use super::file::{self, FileError};
use super::layout::Folder;
use crate::ground::digest::Digest;
use crate::seal::MasterKey;
use crate::store::{self, Put};

/// How many small objects are fetched at once.
const FETCHES: usize = 16;

/// An open repository; tasks share it behind an `Arc`.
#[derive(Debug)]
pub struct Repository {
    store: store::Shared,
    key: MasterKey,
    config: Config,
}

/// Why a repository did not give or take a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("the repository's store failed")]
    Store(#[source] store::Error),
    #[error("{object} is damaged")]
    Damaged { object: store::ObjectName, source: FileError },
    #[error("{object} is not the JSON expected")]
    Malformed { object: store::ObjectName, source: serde_json::Error },
    #[error("no snapshot's id begins with {prefix:?}")]
    NoSnapshot { prefix: String },
    #[error("{count} snapshots' ids begin with {prefix:?}")]
    Ambiguous { prefix: String, count: usize },
}

impl Error {
    /// Whether the store was out of reach, so that nothing is known of the repository itself.
    pub fn is_environment(&self) -> bool {
        matches!(self, Self::Store(store::Error::Io { .. }))
    }

    /// Whether the store failed as a whole: others cannot be read either.
    pub fn is_out_of_reach(&self) -> bool {
        matches!(self, Self::Store(error @ store::Error::Io { .. }) if !error.is_of_one_object())
    }
}

impl Repository {
    /// The same repository, reached through another store.
    pub fn through(&self, store: store::Shared) -> Self {
        Self { store, key: self.key.clone(), config: self.config }
    }

    /// The key that seals everything here.
    pub fn key(&self) -> &MasterKey {
        &self.key
    }

    /// The store, rooted at the repository.
    pub fn store(&self) -> &store::Shared {
        &self.store
    }

    /// What the object `config` says.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Whether blobs may be compressed: from version 2 on.
    pub fn compresses(&self) -> bool {
        self.config.version >= 2
    }

    /// Seals and stores one file under its own hash.
    pub(super) async fn save(&self, folder: Folder, json: &[u8]) -> Result<Digest, Error> {
        let (id, sealed) = self.seal(json);
        self.put_file(folder, id, sealed).await?;
        Ok(id)
    }

    /// Seals one file, which will be called by its own hash.
    pub(super) fn seal(&self, json: &[u8]) -> (Digest, Bytes) {
        if self.compresses() {
            file::encode(&self.key, json)
        } else {
            file::encode_uncompressed(&self.key, json)
        }
    }

    /// Stores what [`Self::seal`] gave.
    pub(super) async fn put_file(
        &self,
        folder: Folder,
        id: Digest,
        sealed: Bytes,
    ) -> Result<(), Error> {
        self.store.put(&folder.object(&id), sealed, Put::Create).await.map_err(Error::Store)
    }

    /// Fetches, opens and decodes one file.
    pub(super) async fn load<T: Send + 'static>(
        &self,
        folder: Folder,
        id: &Digest,
        decode: fn(&[u8]) -> Result<T, serde_json::Error>,
    ) -> Result<T, Error> {
        let object = folder.object(id);
        let stored = self.store.get(&object, None).await.map_err(Error::Store)?;
        let (key, id) = (self.key.clone(), *id);
        blocking(move || match file::decode(&key, &id, &stored) {
            Ok(json) => decode(&json).map_err(|source| Error::Malformed { object, source }),
            Err(source) => Err(Error::Damaged { object, source }),
        })
        .await
    }

    async fn load_all<T: Send + 'static>(
        &self,
        folder: Folder,
        decode: fn(&[u8]) -> Result<T, serde_json::Error>,
    ) -> Result<Vec<(Digest, Result<T, Error>)>, Error> {
        self.each(folder, decode).await?.try_collect().await
    }

    /// Every file of a folder, the unreadable ones with their error, a few on their way at one time.
    async fn each<T: Send + 'static>(
        &self,
        folder: Folder,
        decode: fn(&[u8]) -> Result<T, serde_json::Error>,
    ) -> Result<impl Stream<Item = Result<(Digest, Result<T, Error>), Error>>, Error> {
        let listed = folder.list(&*self.store).await.map_err(Error::Store)?;
        let fetches = listed.into_iter().map(move |(id, object)| async move {
            if object.size > file::STORED_LIMIT {
                let (size, limit) = (object.size, file::STORED_LIMIT);
                let source = FileError::TooLarge { size, limit };
                return Ok((id, Err(Error::Damaged { object: object.name, source })));
            }
            match self.load(folder, &id, decode).await {
                Err(error) if error.is_out_of_reach() => Err(error),
                result => Ok((id, result)),
            }
        });
        Ok(stream::iter(fetches).buffered(FETCHES))
    }
}

/// Runs CPU work beside the async threads.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(died) => std::panic::resume_unwind(died.into_panic()),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use secrecy::SecretString;

    use super::*;
    use crate::ground::clock::SystemClock;
    use crate::seal::Cost;
    use crate::store::Memory;

    pub(crate) const CHEAP: Cost = Cost { log_n: 4, r: 8, p: 1 };

    pub(super) fn password(text: &str) -> SecretString {
        text.to_owned().into()
    }

    pub(crate) async fn empty() -> Repository {
        create_in(Arc::new(Memory::new())).await
    }

    pub(crate) async fn create_in(store: store::Shared) -> Repository {
        Repository::create(store, &password("right"), CHEAP, &SystemClock).await.unwrap()
    }
}
