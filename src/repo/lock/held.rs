//! A lock that is held: written anew again and again until its owner is done, then removed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::oneshot;

use super::object::{remove, write};
use super::{Claim, Fate, LockError};
use crate::ground::clock::Clock;
use crate::repo::layout::Folder;
use crate::repo::{Error, LockId, Repository};

/// How often a lock is written anew; restic's interval.
const REFRESH: Duration = Duration::from_secs(5 * 60);
/// How soon a refresh that failed is tried again.
const RETRY_REFRESH: Duration = Duration::from_secs(30);
/// A lock that was not refreshed for so long may be taken for dead by others before long.
const GOOD_FOR: Duration = Duration::from_secs(20 * 60);

/// What a lock and the task that refreshes it share.
pub(super) struct Held {
    pub repository: Arc<Repository>,
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

/// Refreshes a lock until its owner is done, then removes it.
pub(super) async fn keep(held: Arc<Held>, mut stopped: oneshot::Receiver<()>) -> Result<(), Error> {
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
    /// A lock that was just written as the object `id`.
    pub fn new(
        repository: &Arc<Repository>,
        clock: &Arc<dyn Clock>,
        exclusive: bool,
        claim: &Claim,
        id: LockId,
    ) -> Self {
        Self {
            repository: repository.clone(),
            clock: clock.clone(),
            exclusive,
            claim: claim.clone(),
            state: Mutex::new(State {
                ids: vec![id],
                refreshed: (clock.now(), Instant::now()),
                removed: false,
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lock's object; another one after each refresh.
    pub fn id(&self) -> LockId {
        *self.state().ids.last().expect("a lock that was taken has an id")
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

    pub fn still_good(&self) -> Result<(), LockError> {
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

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::repo::lock::tests::Bench;
    use crate::repo::lock::{Lock, Unlocked, Witness};

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
    async fn a_lock_dropped_without_release_is_removed_by_its_task() {
        let bench = Bench::new().await;
        let Lock { stop, keeper, .. } = bench.shared().await.unwrap();

        drop(stop);

        keeper.await.unwrap().unwrap();
        assert!(bench.listed().await.is_empty());
    }
}
