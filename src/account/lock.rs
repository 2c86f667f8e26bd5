//! The repository's lock, taken and given back with what our own state knows of dead ones.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::{Account, Error, Rooms};
use crate::ground::causes::chain;
use crate::repo::Lock;
use crate::repo::id::LockId;
use crate::repo::lock::{Claim, Fate, LockError, Witness};
use crate::state::State;
use crate::store::s3::Trouble;

/// How long a conflicting lock is waited for.
const WAIT: Duration = Duration::from_secs(10);

/// A lock that our state knows of, so that the next run removes it if this one dies.
#[derive(Debug)]
pub struct Locked {
    lock: Lock,
}

impl Locked {
    /// Locks the repository against pruning; readers and writers share it.
    pub async fn shared(account: &Account, rooms: &Rooms) -> Result<Self, Error> {
        let (claim, recorded) = ask(account, rooms).await?;
        let lock = Lock::shared(&account.repository, &rooms.clock, &claim).await?;
        forget_all(&recorded, account, rooms).await?;
        Ok(Self { lock })
    }

    /// Locks it for removing: nobody else uses it meanwhile. Others are waited for up to `wait`.
    pub async fn exclusive(
        account: &Account,
        rooms: &Rooms,
        wait: Duration,
    ) -> Result<Self, Error> {
        let (claim, recorded) = ask(account, rooms).await?;
        let claim = Claim { wait, ..claim };
        let lock = Lock::exclusive(&account.repository, &rooms.clock, &claim).await?;
        forget_all(&recorded, account, rooms).await?;
        Ok(Self { lock })
    }

    /// How this process asks for a lock that it takes itself; others are waited for up to `wait`.
    pub async fn claim(account: &Account, rooms: &Rooms, wait: Duration) -> Result<Claim, Error> {
        Ok(Claim { wait, ..ask(account, rooms).await?.0 })
    }

    /// Locks it for reading alone. Where nothing can be written to the store (it is full, or
    /// read-only) there is no lock, and it is read all the same: a disaster does not wait.
    pub async fn to_read(account: &Account, rooms: &Rooms) -> Result<Option<Self>, Error> {
        match Self::shared(account, rooms).await {
            Ok(lock) => Ok(Some(lock)),
            Err(Error::Lock(error)) if is_unwritable(&error) => {
                rooms.progress.note(&format!(
                    "read without a lock, so nobody may prune meanwhile: {}",
                    chain(&error)
                ));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Does `work` under a lock of [`Locked::to_read`], which is given back however that ends.
    pub async fn while_reading<T, E: From<Error>>(
        account: &Account,
        rooms: &Rooms,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let lock = Self::to_read(account, rooms).await?;
        let done = work.await;
        let released = match lock {
            Some(lock) => lock.release().await,
            None => Ok(()),
        };
        let done = done?;
        released?;
        Ok(done)
    }

    /// To be called right before publishing, and before removing: fails where the lock may have been
    /// taken for stale, or was removed.
    pub async fn assure(&self) -> Result<(), Error> {
        Ok(self.lock.confirm().await?)
    }

    /// Gives it back.
    pub async fn release(self) -> Result<(), Error> {
        Ok(self.lock.release().await?)
    }
}

/// How this process asks for a lock, and the dead locks that go with it.
async fn ask(account: &Account, rooms: &Rooms) -> Result<(Claim, Vec<String>), Error> {
    let place = account.repository.store().place();
    let recorded = rooms.state.dead_locks(&place).await?;
    let dead: Vec<LockId> = recorded.iter().filter_map(|id| id.parse().ok()).collect();
    let witness = Some(remembering(&place, &rooms.state));
    Ok((Claim { dead, wait: WAIT, witness }, recorded))
}

async fn forget_all(locks: &[String], account: &Account, rooms: &Rooms) -> Result<(), Error> {
    let place = account.repository.store().place();
    for id in locks {
        rooms.state.forget_lock(&place, id).await?;
    }
    Ok(())
}

/// Keeps `state` up to date about the locks of this process at `place`: each refresh makes another
/// one. A state that cannot be written is no reason to lose the lock; a leftover is stale in 30
/// minutes.
fn remembering(place: &str, state: &State) -> Witness {
    let (place, state) = (place.to_owned(), state.clone());
    Arc::new(move |fate, id| {
        let (place, state, id) = (place.clone(), state.clone(), id.to_string());
        Box::pin(async move {
            let noted = match fate {
                Fate::Coming => state.remember_lock(&place, &id).await,
                Fate::Removed => state.forget_lock(&place, &id).await,
            };
            if let Err(error) = noted {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "cannot write down what became of a lock");
            }
        })
    })
}

/// Whether the store lets nothing be written, whatever may be read.
fn is_unwritable(error: &LockError) -> bool {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(link) = next {
        if let Some(Trouble::Denied { .. }) = link.downcast_ref() {
            return true;
        }
        if let Some(error) = link.downcast_ref::<io::Error>() {
            return matches!(
                error.kind(),
                io::ErrorKind::StorageFull
                    | io::ErrorKind::QuotaExceeded
                    | io::ErrorKind::ReadOnlyFilesystem
                    | io::ErrorKind::PermissionDenied
            );
        }
        next = link.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::digest::Digest;

    #[tokio::test]
    async fn a_run_that_dies_after_a_refresh_leaves_a_lock_that_the_state_knows() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("state.db");
        let state = State::open(&file).await.unwrap();
        let known = || -> Vec<String> {
            let database = rusqlite::Connection::open(&file).unwrap();
            let mut all = database.prepare("SELECT id FROM repository_lock").unwrap();
            let ids = all.query_map([], |row| row.get(0)).unwrap();
            ids.map(Result::unwrap).collect()
        };
        let witness = remembering("here", &state);
        let [first, second] = [b"first", b"again"].map(|text| LockId(Digest::of(text)));

        witness(Fate::Coming, first).await;
        witness(Fate::Coming, second).await;
        witness(Fate::Removed, first).await;

        assert_eq!(known(), [second.to_string()]);
        witness(Fate::Removed, second).await;
        assert_eq!(known(), Vec::<String>::new());
    }
}
