//! The repository's lock, taken and given back with what our own state knows of dead ones.

use std::io;
use std::time::Duration;

use super::{Account, Error, Rooms};
use crate::ground::causes::chain;
use crate::repo::Lock;
use crate::repo::id::LockId;
use crate::repo::lock::{Claim, LockError};

/// How long a conflicting lock is waited for.
const WAIT: Duration = Duration::from_secs(10);

/// A shared lock that our state knows of, so that the next run removes it if this one dies.
#[derive(Debug)]
pub struct Locked {
    lock: Lock,
    place: String,
    state: crate::state::State,
}

impl Locked {
    /// Locks the repository against pruning; readers and writers share it.
    pub async fn shared(account: &Account, rooms: &Rooms) -> Result<Self, Error> {
        let place = account.repository.store().place();
        let recorded = rooms.state.dead_locks(&place).await?;
        let dead: Vec<LockId> = recorded.iter().filter_map(|id| id.parse().ok()).collect();
        let claim = Claim { dead, wait: WAIT };
        let lock = Lock::shared(&account.repository, &rooms.clock, &claim).await?;
        rooms.state.remember_lock(&place, &lock.id().to_string()).await?;
        for id in recorded {
            rooms.state.forget_lock(&place, &id).await?;
        }
        Ok(Self { lock, place, state: rooms.state.clone() })
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

    /// To be called right before publishing: fails where the lock may have been taken for stale.
    pub async fn assure(&self) -> Result<(), Error> {
        self.lock.still_good()?;
        // A refresh changed its id; a crash from here on must still find it.
        Ok(self.state.remember_lock(&self.place, &self.lock.id().to_string()).await?)
    }

    /// Gives it back.
    pub async fn release(self) -> Result<(), Error> {
        let id = self.lock.id().to_string();
        self.lock.release().await?;
        Ok(self.state.forget_lock(&self.place, &id).await?)
    }
}

/// Whether the store lets nothing be written, whatever may be read.
fn is_unwritable(error: &LockError) -> bool {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(link) = next {
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
