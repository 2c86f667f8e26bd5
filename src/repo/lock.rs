//! Locks: who uses a repository, so that nobody removes what another still needs.
//!
//! In: an open repository. Out: an object under `locks/`, kept fresh while its [`Lock`] lives.
//! restic honours ours and we honour restic's. Source: restic's doc/design.rst, "Locks". Async.

mod owner;
mod unlock;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use self::owner::Owner;
pub use self::unlock::{Kept, Unlocked, unlock};
use super::layout::Folder;
use super::{Error, LockId, Repository};
use crate::ground::clock::Clock;
use crate::ground::digest::Digest;
use crate::ground::process::host_name;
use crate::store;

/// How often a lock is written anew; restic's interval.
const REFRESH: Duration = Duration::from_secs(5 * 60);
/// How soon a refresh that failed is tried again.
const RETRY_REFRESH: Duration = Duration::from_secs(30);
/// A lock that was not refreshed for so long may be taken for dead by others before long.
const GOOD_FOR: Duration = Duration::from_secs(20 * 60);
/// How long those who wait at all wait for a slice of a prune, which is over before.
const SLICE: Duration = Duration::from_secs(90);
/// The user that our locks name.
const OURS: &str = "lifeboat";
/// A lock whose object is so much older than one just written has no living owner.
const STALE_AFTER: SignedDuration = SignedDuration::from_mins(30);

/// Why there is no lock, or none any more.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    #[error(
        "{who} on {host} (process {pid}) has locked the repository, the last time at {}",
        since.strftime("%Y-%m-%d %H:%M:%SZ")
    )]
    Locked { who: String, host: String, pid: i64, since: Timestamp, exclusive: bool },
    #[error("the lock just written is missing from the store's listing")]
    NotListed,
    #[error("the lock was not refreshed for {} minutes", age.as_secs() / 60)]
    Unrefreshed { age: Duration },
    #[error("somebody removed this run's lock")]
    Removed,
    #[error("cannot lock the repository")]
    Repository(#[source] Error),
}

/// A lock's file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct LockFile {
    time: Timestamp,
    #[serde(default)]
    exclusive: bool,
    #[serde(default)]
    hostname: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    pid: i64,
    #[serde(default)]
    uid: u32,
    #[serde(default)]
    gid: u32,
    /// Ours alone have it; other programs skip it.
    #[serde(default, rename = "lifeboat", skip_serializing_if = "Option::is_none")]
    owner: Option<Owner>,
}

/// What becomes of an object that will be, or was, a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Coming,
    Removed,
}

/// Learns of every object that a lock writes and removes. It is waited for: an object is known
/// before it is there, so whoever dies leaves none that nobody knows.
pub type Witness = Arc<dyn Fn(Fate, LockId) -> BoxFuture<'static, ()> + Send + Sync>;

/// How a lock is asked for.
#[derive(Clone, Default)]
pub struct Claim {
    /// Locks of ours whose process is known to be gone: they are removed first.
    pub dead: Vec<LockId>,
    /// How long to wait for others to finish; zero: not at all.
    pub wait: Duration,
    /// Who shall know, should this process die, which locks it left.
    pub witness: Option<Witness>,
}

impl Claim {
    /// How long what stands in the way is waited for.
    fn patience(&self, error: &LockError) -> Duration {
        match error {
            LockError::Locked { who, exclusive: true, .. }
                if who == OURS && !self.wait.is_zero() =>
            {
                self.wait.max(SLICE)
            }
            LockError::Locked { .. } => self.wait,
            _ => Duration::ZERO,
        }
    }

    async fn tell(&self, fate: Fate, id: LockId) {
        if let Some(witness) = &self.witness {
            witness(fate, id).await;
        }
    }
}

/// A lock on a repository. A task refreshes it; dropped without [`Lock::release`] the task removes
/// it too, but nobody waits for that.
#[derive(Debug)]
pub struct Lock {
    held: Arc<Held>,
    stop: oneshot::Sender<()>,
    keeper: JoinHandle<Result<(), Error>>,
}

struct Held {
    repository: Arc<Repository>,
    clock: Arc<dyn Clock>,
    exclusive: bool,
    claim: Claim,
    state: Mutex<State>,
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Held").field("exclusive", &self.exclusive).finish_non_exhaustive()
    }
}

struct State {
    /// What we wrote and did not remove yet; the last one is the lock.
    ids: Vec<LockId>,
    /// By both clocks: the wall's goes on while the machine sleeps, the other never goes back.
    refreshed: (Timestamp, Instant),
    removed: bool,
}

impl Lock {
    /// A lock beside which others may have shared ones: for reading, and for adding.
    pub async fn shared(
        repository: &Arc<Repository>,
        clock: &Arc<dyn Clock>,
        claim: &Claim,
    ) -> Result<Self, LockError> {
        Self::acquire(repository, clock, claim, false).await
    }

    /// A lock beside which there is no other: for removing.
    pub async fn exclusive(
        repository: &Arc<Repository>,
        clock: &Arc<dyn Clock>,
        claim: &Claim,
    ) -> Result<Self, LockError> {
        Self::acquire(repository, clock, claim, true).await
    }

    async fn acquire(
        repository: &Arc<Repository>,
        clock: &Arc<dyn Clock>,
        claim: &Claim,
        exclusive: bool,
    ) -> Result<Self, LockError> {
        let begun = Instant::now();
        let mut pause = Duration::from_millis(200);
        let mut before = None;
        loop {
            let outcome = match before.take() {
                // Only looked: one that is written at every try would be in others' way.
                Some(error) if exclusive && is_used(repository).await? => Err(error),
                _ => Self::attempt(repository, clock, claim, exclusive).await,
            };
            match outcome {
                Err(error) if begun.elapsed() < claim.patience(&error) => {
                    // Two that saw each other shall not meet again: a pause of random length.
                    tokio::time::sleep(pause.mul_f64(0.5 + rand::random::<f64>())).await;
                    pause = (pause * 2).min(Duration::from_secs(5));
                    before = Some(error);
                }
                result => return result,
            }
        }
    }

    async fn attempt(
        repository: &Arc<Repository>,
        clock: &Arc<dyn Clock>,
        claim: &Claim,
        exclusive: bool,
    ) -> Result<Self, LockError> {
        let written = write(repository, &**clock, exclusive, claim).await;
        let id = written.map_err(LockError::Repository)?;
        if let Err(error) = settle(repository, id, &claim.dead, exclusive).await {
            // The reason not to hold the lock is the one to tell; a leftover is stale in 30 minutes.
            if remove(repository, id).await.is_ok() {
                claim.tell(Fate::Removed, id).await;
            }
            return Err(error);
        }
        let held = Arc::new(Held {
            repository: repository.clone(),
            clock: clock.clone(),
            exclusive,
            claim: claim.clone(),
            state: Mutex::new(State {
                ids: vec![id],
                refreshed: (clock.now(), Instant::now()),
                removed: false,
            }),
        });
        let (stop, stopped) = oneshot::channel();
        let keeper = tokio::spawn(keep(held.clone(), stopped));
        Ok(Self { held, stop, keeper })
    }

    /// The lock's object; another one after each refresh.
    pub fn id(&self) -> LockId {
        *self.held.state().ids.last().expect("a lock that was taken has an id")
    }

    /// Whether others still honour this lock. A run asks before it publishes, and stops on an error.
    pub fn still_good(&self) -> Result<(), LockError> {
        self.held.still_good()
    }

    /// As [`Self::still_good`], and looks whether the lock is still there: somebody may have removed
    /// it since it was refreshed. Asked right before what must not happen without it.
    pub async fn confirm(&self) -> Result<(), LockError> {
        loop {
            self.still_good()?;
            let id = self.id();
            match load(&self.held.repository, id).await {
                Ok(Some(_)) => return self.still_good(),
                // Refreshed meanwhile: another object is the lock now.
                Ok(None) if self.id() != id => {}
                Ok(None) => return Err(LockError::Removed),
                Err(error) => return Err(LockError::Repository(error)),
            }
        }
    }

    /// Removes the lock.
    pub async fn release(self) -> Result<(), LockError> {
        drop(self.stop);
        match self.keeper.await {
            Ok(result) => result.map_err(LockError::Repository),
            Err(died) => std::panic::resume_unwind(died.into_panic()),
        }
    }
}

/// Refreshes a lock until its owner is done, then removes it.
async fn keep(held: Arc<Held>, mut stopped: oneshot::Receiver<()>) -> Result<(), Error> {
    let mut pause = REFRESH;
    while tokio::time::timeout(pause, &mut stopped).await.is_err() {
        pause = match held.refresh().await {
            Ok(()) => REFRESH,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "cannot refresh a lock");
                RETRY_REFRESH
            }
        };
    }
    let ids = std::mem::take(&mut held.state().ids);
    let mut result = Ok(());
    for id in ids {
        match held.repository.store().clear(&Folder::Locks.object(&id.0)).await {
            Ok(()) => held.claim.tell(Fate::Removed, id).await,
            Err(error) => result = result.and(Err(Error::Store(error))),
        }
    }
    result
}

impl Held {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the lock anew, then removes the old one: there is no moment without one.
    async fn refresh(&self) -> Result<(), Error> {
        let begun = (self.clock.now(), Instant::now());
        let id = write(&self.repository, &*self.clock, self.exclusive, &self.claim).await?;
        let old = {
            let mut state = self.state();
            state.refreshed = begun;
            let old = state.ids.clone();
            state.ids.push(id);
            old
        };
        for old in old {
            let was_there = remove(&self.repository, old).await?;
            self.claim.tell(Fate::Removed, old).await;
            let mut state = self.state();
            state.ids.retain(|id| *id != old);
            state.removed |= !was_there;
        }
        Ok(())
    }

    fn still_good(&self) -> Result<(), LockError> {
        let state = self.state();
        if state.removed {
            return Err(LockError::Removed);
        }
        let (wall, monotonic) = state.refreshed;
        let by_wall = self.clock.now().duration_since(wall).unsigned_abs();
        let age = by_wall.max(monotonic.elapsed());
        if age >= GOOD_FOR { Err(LockError::Unrefreshed { age }) } else { Ok(()) }
    }
}

struct Others {
    kept: Vec<LockId>,
    stale: Vec<LockId>,
}

/// Whether there is any lock.
async fn is_used(repository: &Repository) -> Result<bool, LockError> {
    let listed = Folder::Locks.list(&**repository.store()).await;
    Ok(!listed.map_err(|error| LockError::Repository(Error::Store(error)))?.is_empty())
}

/// Clears away what is dead and finds out whether the lock `own` may stay.
async fn settle(
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
async fn others(
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

async fn write(
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
async fn load(repository: &Repository, id: LockId) -> Result<Option<LockFile>, Error> {
    match repository.load(Folder::Locks, &id.0, |json| serde_json::from_slice(json)).await {
        Ok(file) => Ok(Some(file)),
        Err(Error::Store(store::Error::Missing { .. })) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Removes a lock; false if it was not there.
async fn remove(repository: &Repository, id: LockId) -> Result<bool, Error> {
    match repository.store().delete(&Folder::Locks.object(&id.0)).await {
        Ok(()) => Ok(true),
        Err(store::Error::Missing { .. }) => Ok(false),
        Err(error) => Err(Error::Store(error)),
    }
}

async fn remove_all(repository: &Repository, ids: &[LockId]) -> Result<usize, LockError> {
    let mut removed = 0;
    for id in ids {
        removed += usize::from(remove(repository, *id).await.map_err(LockError::Repository)?);
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use bytes::Bytes;
    use futures_util::StreamExt;
    use futures_util::stream::BoxStream;

    use super::*;
    use crate::ground::clock::SetClock;
    use crate::repo::repository::tests::{create_in, empty};
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

    struct Bench {
        repository: Arc<Repository>,
        hands: Arc<SetClock>,
        clock: Arc<dyn Clock>,
    }

    impl Bench {
        async fn new() -> Self {
            let hands = Arc::new(SetClock::at(Timestamp::from_second(1_000_000).unwrap()));
            Self { repository: Arc::new(empty().await), clock: hands.clone(), hands }
        }

        async fn shared(&self) -> Result<Lock, LockError> {
            Lock::shared(&self.repository, &self.clock, &Claim::default()).await
        }

        async fn exclusive(&self, dead: Vec<LockId>) -> Result<Lock, LockError> {
            let claim = Claim { dead, ..Claim::default() };
            Lock::exclusive(&self.repository, &self.clock, &claim).await
        }

        async fn unlock(&self, dead: &[LockId], all: bool) -> Result<Unlocked, LockError> {
            unlock(&self.repository, &*self.clock, dead, all).await
        }

        async fn listed(&self) -> Vec<LockId> {
            let listed = Folder::Locks.list(&**self.repository.store()).await.unwrap();
            listed.into_iter().map(|(id, _)| LockId(id)).collect()
        }
    }

    #[tokio::test]
    async fn readers_share_and_removers_stand_alone() {
        let bench = Bench::new().await;
        let one = bench.shared().await.unwrap();
        let two = bench.shared().await.unwrap();

        let error = bench.exclusive(vec![]).await.unwrap_err();
        let LockError::Locked { pid, exclusive, .. } = error else { panic!("{error:?}") };
        assert_eq!((pid, exclusive), (i64::from(std::process::id()), false));
        one.release().await.unwrap();
        two.release().await.unwrap();
        assert!(bench.listed().await.is_empty(), "a refused lock was left behind");

        let alone = bench.exclusive(vec![]).await.unwrap();
        assert!(matches!(bench.shared().await, Err(LockError::Locked { exclusive: true, .. })));
        assert_eq!(bench.listed().await, [alone.id()]);
    }

    #[tokio::test]
    async fn who_waits_gets_the_lock_when_the_other_is_done() {
        let bench = Bench::new().await;
        let other = bench.shared().await.unwrap();
        let claim = Claim { wait: Duration::from_secs(60), ..Claim::default() };

        let (alone, released) =
            tokio::join!(Lock::exclusive(&bench.repository, &bench.clock, &claim), other.release());

        released.unwrap();
        assert_eq!(bench.listed().await, [alone.unwrap().id()]);
    }

    #[tokio::test]
    async fn a_refresh_leaves_one_lock_and_sets_its_age_back() {
        let bench = Bench::new().await;
        let lock = bench.shared().await.unwrap();
        let first = lock.id();
        bench.hands.set(bench.clock.now() + SignedDuration::from_mins(19));
        lock.still_good().unwrap();
        bench.hands.set(bench.clock.now() + SignedDuration::from_mins(1));
        assert!(matches!(lock.still_good(), Err(LockError::Unrefreshed { .. })));

        lock.held.refresh().await.unwrap();

        lock.still_good().unwrap();
        assert_ne!(lock.id(), first);
        assert_eq!(bench.listed().await, [lock.id()]);
    }

    #[tokio::test]
    async fn every_object_of_a_lock_is_known_before_it_is_there_and_until_it_is_gone() {
        let bench = Bench::new().await;
        let told = Arc::new(Mutex::new(Vec::new()));
        let (repository, into) = (bench.repository.clone(), told.clone());
        let witness: Witness = Arc::new(move |fate, id| {
            let (repository, into) = (repository.clone(), into.clone());
            Box::pin(async move {
                let there = Folder::Locks.list(&**repository.store()).await.unwrap().len();
                into.lock().unwrap().push((fate, id, there));
            })
        });
        let claim = Claim { witness: Some(witness), ..Claim::default() };
        let lock = Lock::shared(&bench.repository, &bench.clock, &claim).await.unwrap();
        let first = lock.id();

        bench.hands.set(bench.clock.now() + SignedDuration::from_mins(5));
        lock.held.refresh().await.unwrap();
        let second = lock.id();
        lock.release().await.unwrap();

        assert_eq!(
            *told.lock().unwrap(),
            [
                (Fate::Coming, first, 0),
                (Fate::Coming, second, 1),
                (Fate::Removed, first, 1),
                (Fate::Removed, second, 0),
            ]
        );
    }

    #[tokio::test]
    async fn a_lock_that_somebody_removed_is_good_no_more() {
        let bench = Bench::new().await;
        let lock = bench.shared().await.unwrap();
        let Unlocked { removed, .. } = bench.unlock(&[], true).await.unwrap();
        assert_eq!(removed, 1);

        lock.held.refresh().await.unwrap();

        assert!(matches!(lock.still_good(), Err(LockError::Removed)));
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
    async fn a_lock_dropped_without_release_is_removed_by_its_task() {
        let bench = Bench::new().await;
        let Lock { stop, keeper, .. } = bench.shared().await.unwrap();

        drop(stop);

        keeper.await.unwrap().unwrap();
        assert!(bench.listed().await.is_empty());
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
