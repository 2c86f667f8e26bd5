//! A lock's object below `locks/`: written, listed beside others, read, removed.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::owner::Owner;
use super::{Claim, Fate, LockError, OURS};
use crate::ground::clock::Clock;
use crate::ground::digest::Digest;
use crate::ground::process::host_name;
use crate::repo::layout::Folder;
use crate::repo::{Error, LockId, Repository};
use crate::store;

/// A lock whose object is so much older than one just written has no living owner.
const STALE_AFTER: SignedDuration = SignedDuration::from_mins(30);

/// A lock's file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LockFile {
    pub time: Timestamp,
    #[serde(default)]
    exclusive: bool,
    #[serde(default)]
    pub hostname: String,
    #[serde(default)]
    pub username: String,
    #[serde(default)]
    pub pid: i64,
    #[serde(default)]
    uid: u32,
    #[serde(default)]
    gid: u32,
    /// Ours alone have it; other programs skip it.
    #[serde(default, rename = "lifeboat", skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
}

pub(super) struct Others {
    pub kept: Vec<LockId>,
    pub stale: Vec<LockId>,
}

/// Whether there is any lock.
pub(super) async fn is_used(repository: &Repository) -> Result<bool, LockError> {
    let listed = Folder::Locks.list(&**repository.store()).await;
    Ok(!listed.map_err(|error| LockError::Repository(Error::Store(error)))?.is_empty())
}

/// Clears away what is dead and finds out whether the lock `own` may stay.
pub(super) async fn settle(
    repository: &Repository,
    own: LockId,
    dead: &[LockId],
    exclusive: bool,
) -> Result<(), LockError> {
    let Others { kept, stale } = others(repository, own, dead).await?;
    remove_all(repository, &stale).await?;
    for other in kept {
        let Some(file) = load(repository, other).await.map_err(LockError::Repository)? else {
            continue;
        };
        if exclusive || file.exclusive {
            let LockFile { time, exclusive, hostname, username, pid, .. } = file;
            return Err(LockError::Locked {
                who: username,
                host: hostname,
                pid,
                since: time,
                exclusive,
            });
        }
    }
    Ok(())
}

/// The locks beside `own`; stale are the `dead` ones and those that the store's clock says were
/// written long before `own`. Clocks of hosts are not asked: they may be wrong.
pub(super) async fn others(
    repository: &Repository,
    own: LockId,
    dead: &[LockId],
) -> Result<Others, LockError> {
    let listed = Folder::Locks
        .list(&**repository.store())
        .await
        .map_err(|error| LockError::Repository(Error::Store(error)))?;
    let written =
        |(id, object): &(Digest, store::Object)| (*id == own.0).then_some(object.modified);
    let now = listed.iter().find_map(written).ok_or(LockError::NotListed)?;
    let (stale, kept) = listed
        .into_iter()
        .filter(|(id, _)| *id != own.0)
        .map(|(id, object)| (LockId(id), now.duration_since(object.modified)))
        .partition::<Vec<_>, _>(|(id, age)| *age >= STALE_AFTER || dead.contains(id));
    let ids = |locks: Vec<(LockId, _)>| locks.into_iter().map(|(id, _)| id).collect();
    Ok(Others { kept: ids(kept), stale: ids(stale) })
}

pub(super) async fn write(
    repository: &Repository,
    clock: &dyn Clock,
    exclusive: bool,
    claim: &Claim,
) -> Result<LockId, Error> {
    let file = LockFile {
        time: clock.now(),
        exclusive,
        hostname: host_name(),
        username: OURS.into(),
        pid: i64::from(std::process::id()),
        uid: rustix::process::getuid().as_raw(),
        gid: rustix::process::getgid().as_raw(),
        owner: Some(Owner::me()),
    };
    let json = serde_json::to_vec(&file).expect("texts, numbers and times are always JSON");
    let (id, sealed) = repository.seal(&json);
    claim.tell(Fate::Coming, LockId(id)).await;
    match repository.put_file(Folder::Locks, id, sealed).await {
        Ok(()) => Ok(LockId(id)),
        Err(error) => {
            // It may be there all the same; where it cannot be removed either, it stays known.
            if remove(repository, LockId(id)).await.is_ok() {
                claim.tell(Fate::Removed, LockId(id)).await;
            }
            Err(error)
        }
    }
}

/// A lock's file, unless it was removed since it was listed.
pub(super) async fn load(repository: &Repository, id: LockId) -> Result<Option<LockFile>, Error> {
    match repository.load(Folder::Locks, &id.0, |json| serde_json::from_slice(json)).await {
        Ok(file) => Ok(Some(file)),
        Err(Error::Store(store::Error::Missing { .. })) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Removes a lock; false if it was not there.
pub(super) async fn remove(repository: &Repository, id: LockId) -> Result<bool, Error> {
    match repository.store().delete(&Folder::Locks.object(&id.0)).await {
        Ok(()) => Ok(true),
        Err(store::Error::Missing { .. }) => Ok(false),
        Err(error) => Err(Error::Store(error)),
    }
}

pub(super) async fn remove_all(
    repository: &Repository,
    ids: &[LockId],
) -> Result<usize, LockError> {
    let mut removed = 0;
    for id in ids {
        removed += usize::from(remove(repository, *id).await.map_err(LockError::Repository)?);
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use std::ops::Range;
    use std::sync::{Arc, Mutex};

    use bytes::Bytes;
    use futures_util::StreamExt;
    use futures_util::stream::BoxStream;

    use super::*;
    use crate::repo::lock::tests::Bench;
    use crate::repo::repository::tests::create_in;
    use crate::store::{Memory, Object, ObjectName, Put, Store};

    /// A store in which one object was written half an hour earlier than it says.
    #[derive(Debug, Default)]
    struct Aging {
        memory: Memory,
        aged: Mutex<Option<ObjectName>>,
    }

    #[async_trait::async_trait]
    impl Store for Aging {
        async fn put(&self, name: &ObjectName, body: Bytes, how: Put) -> store::Result<()> {
            self.memory.put(name, body, how).await
        }

        async fn get(&self, name: &ObjectName, range: Option<Range<u64>>) -> store::Result<Bytes> {
            self.memory.get(name, range).await
        }

        fn list(&self, prefix: Option<&ObjectName>) -> BoxStream<'_, store::Result<Object>> {
            let aged = self.aged.lock().unwrap().clone();
            let age = move |mut object: Object| {
                if Some(&object.name) == aged.as_ref() {
                    object.modified -= STALE_AFTER;
                }
                object
            };
            self.memory.list(prefix).map(move |object| object.map(&age)).boxed()
        }

        async fn delete(&self, name: &ObjectName) -> store::Result<()> {
            self.memory.delete(name).await
        }

        fn place(&self) -> String {
            self.memory.place()
        }
    }

    #[tokio::test]
    async fn locks_known_to_be_dead_are_removed_and_living_ones_never() {
        let bench = Bench::new().await;
        let lock = bench.shared().await.unwrap();
        assert_eq!(bench.unlock(&[], false).await.unwrap().removed, 0);

        let alone = bench.exclusive(vec![lock.id()]).await.unwrap();

        assert_eq!(bench.listed().await, [alone.id()]);
    }

    #[tokio::test]
    async fn a_lock_half_an_hour_old_by_the_stores_clock_is_removed() {
        let store = Arc::new(Aging::default());
        let bench =
            Bench { repository: Arc::new(create_in(store.clone()).await), ..Bench::new().await };
        let forgotten = bench.shared().await.unwrap();
        bench.hands.set(bench.clock.now() + SignedDuration::from_hours(9));
        assert!(bench.exclusive(vec![]).await.is_err(), "a host's clock made a lock stale");

        *store.aged.lock().unwrap() = Some(Folder::Locks.object(&forgotten.id().0));

        let alone = bench.exclusive(vec![]).await.unwrap();
        assert_eq!(bench.listed().await, [alone.id()]);
    }

    #[tokio::test]
    async fn a_lock_that_cannot_be_read_stops_everybody() {
        let bench = Bench::new().await;
        let name = Folder::Locks.object(&Digest::ZERO);
        let junk = bytes::Bytes::from_static(b"junk");
        bench.repository.store().put(&name, junk, store::Put::Create).await.unwrap();

        let error = bench.shared().await.unwrap_err();

        assert!(matches!(error, LockError::Repository(Error::Damaged { .. })), "{error:?}");
        let refused = bench.unlock(&[], false).await.unwrap_err();
        assert!(matches!(refused, LockError::Repository(Error::Damaged { .. })), "{refused:?}");
        assert_eq!(bench.listed().await, [LockId(Digest::ZERO)]);
        assert_eq!(bench.unlock(&[], true).await.unwrap().removed, 1);
    }
}
