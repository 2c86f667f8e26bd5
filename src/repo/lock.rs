//! Locks: who uses a repository, so that nobody removes what another still needs.
//!
//! In: an open repository. Out: an object under `locks/`, kept fresh while its [`Lock`] lives.
//! restic honours ours and we honour restic's. Source: restic's doc/design.rst, "Locks". Async.

mod held;
mod object;
mod owner;
mod unlock;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use self::held::{Held, keep};
use self::object::{is_used, load, remove, settle, write};
pub use self::unlock::{Kept, Unlocked, unlock};
use super::{Error, LockId, Repository};
use crate::ground::clock::Clock;

/// How long those who wait at all wait for a slice of a prune, which is over before.
const SLICE: Duration = Duration::from_secs(90);
/// The user that our locks name.
const OURS: &str = "lifeboat";

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
        let held = Arc::new(Held::new(repository, clock, exclusive, claim, id));
        let (stop, stopped) = oneshot::channel();
        let keeper = tokio::spawn(keep(held.clone(), stopped));
        Ok(Self { held, stop, keeper })
    }

    /// The lock's object; another one after each refresh.
    pub fn id(&self) -> LockId {
        self.held.id()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::clock::SetClock;
    use crate::repo::layout::Folder;
    use crate::repo::repository::tests::empty;

    pub(super) struct Bench {
        pub repository: Arc<Repository>,
        pub hands: Arc<SetClock>,
        pub clock: Arc<dyn Clock>,
    }

    impl Bench {
        pub async fn new() -> Self {
            let hands = Arc::new(SetClock::at(Timestamp::from_second(1_000_000).unwrap()));
            Self { repository: Arc::new(empty().await), clock: hands.clone(), hands }
        }

        pub async fn shared(&self) -> Result<Lock, LockError> {
            Lock::shared(&self.repository, &self.clock, &Claim::default()).await
        }

        pub async fn exclusive(&self, dead: Vec<LockId>) -> Result<Lock, LockError> {
            let claim = Claim { dead, ..Claim::default() };
            Lock::exclusive(&self.repository, &self.clock, &claim).await
        }

        pub async fn unlock(&self, dead: &[LockId], all: bool) -> Result<Unlocked, LockError> {
            unlock(&self.repository, &*self.clock, dead, all).await
        }

        pub async fn listed(&self) -> Vec<LockId> {
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
}
