//! Numbered objects: those that lie in a folder of the ledger under the number of their first record.
//!
//! In: a folder. Out: what the store lists there, and the sealed bytes, of which those that this host keeps
//! are not fetched.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::kept::Kept;
use super::{Error, Ledger, object};
use crate::seal::{MasterKey, OVERHEAD};
use crate::store::{self, ObjectName};

/// Objects fetched at once.
const PARALLEL: usize = 16;

/// A folder of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Folder {
    pub name: &'static str,
    /// What one of them is called in a sentence.
    pub one: &'static str,
    /// Bytes of plain text that one may have.
    pub largest: u64,
}

/// What lies in a folder.
pub(super) struct Listed {
    /// The first record and the sealed bytes of each object, in order.
    pub firsts: Vec<(u64, u64)>,
    pub strays: Vec<ObjectName>,
}

/// Sealed bytes by their first record, or what is wrong with the object.
pub(super) type Sealed = BTreeMap<u64, Result<Bytes, String>>;

/// Plain text by its first record, or what is wrong with the object.
pub(super) type Opened = (u64, Result<Vec<u8>, String>);

impl Folder {
    /// The name of the object that begins with record `first`.
    pub fn object(self, first: u64) -> ObjectName {
        object(&format!("{}/{first:020}", self.name))
    }

    /// The plain text of one, or what is wrong with it.
    pub fn open(self, key: &MasterKey, sealed: &[u8]) -> Result<Vec<u8>, String> {
        key.open(sealed).map_err(|error| format!("its {}: {error}", self.one))
    }

    /// All of them opened, in order. Blocking, CPU only.
    pub fn open_all(self, key: &MasterKey, sealed: Sealed) -> Vec<Opened> {
        let open = |sealed: Result<Bytes, String>| self.open(key, &sealed?);
        sealed.into_iter().map(|(first, sealed)| (first, open(sealed))).collect()
    }
}

impl Ledger {
    /// What the store lists in `folder`.
    pub(super) async fn listed(&self, folder: Folder) -> Result<Listed, Error> {
        let listed: Vec<_> = self.store.list(Some(&object(folder.name))).try_collect().await?;
        let (mut firsts, mut strays) = (Vec::new(), Vec::new());
        for listed in listed {
            let digits = listed.name.as_str().rsplit('/').next().unwrap_or_default();
            match digits.parse().ok().filter(|first| folder.object(*first) == listed.name) {
                Some(first) => firsts.push((first, listed.size)),
                None => strays.push(listed.name),
            }
        }
        firsts.sort_unstable();
        strays.sort_unstable();
        Ok(Listed { firsts, strays })
    }

    /// The objects of `folder` that are `wanted`, by first record and sealed size. Those that are `kept` at
    /// that size are not fetched; the others are answered a second time, to be kept.
    pub(super) async fn sealed(
        &self,
        folder: Folder,
        wanted: Vec<(u64, u64)>,
        kept: Option<Kept>,
    ) -> Result<(Sealed, Vec<(u64, Bytes)>), Error> {
        let mut missing = wanted.clone();
        let known = match kept {
            Some(kept) => self.on_thread((kept, wanted), |_, (kept, all)| kept.get(&all)).await?,
            None => BTreeMap::new(),
        };
        missing.retain(|(first, _)| !known.contains_key(first));
        let mut sealed: Sealed = stream::iter(missing)
            .map(|(first, size)| async move { Ok((first, self.fetch(folder, first, size).await?)) })
            .buffered(PARALLEL)
            .try_collect()
            .await
            .map_err(|error: store::Error| Error::Store(error))?;
        let whole = sealed.iter().filter_map(|(first, one)| Some((*first, one.clone().ok()?)));
        let fetched = whole.collect();
        sealed.extend(known.into_iter().map(|(first, one)| (first, Ok(one))));
        Ok((sealed, fetched))
    }

    /// An object's sealed bytes, or what is wrong with it.
    async fn fetch(
        &self,
        folder: Folder,
        first: u64,
        size: u64,
    ) -> store::Result<Result<Bytes, String>> {
        let one = folder.one;
        if size > folder.largest + OVERHEAD as u64 {
            return Ok(Err(format!("its {one} has {size} bytes, too many to be one")));
        }
        match self.store.get(&folder.object(first), None).await {
            Ok(sealed) => Ok(Ok(sealed)),
            Err(error @ store::Error::Io { .. }) => Err(error),
            Err(error) => Ok(Err(format!("its {one}: {error}"))),
        }
    }

    /// Runs CPU work beside the async threads.
    pub(super) async fn on_thread<A: Send + 'static, T: Send + 'static>(
        &self,
        argument: A,
        work: fn(MasterKey, A) -> T,
    ) -> Result<T, Error> {
        let key = self.key.clone();
        let done = tokio::task::spawn_blocking(move || work(key, argument)).await;
        Ok(done.map_err(|died| store::Error::io("read", "the ledger", died))?)
    }
}
