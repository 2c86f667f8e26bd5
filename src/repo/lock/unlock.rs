//! Locks that nobody holds any more are removed.

use jiff::Timestamp;

use super::object::{LockFile, Others, load, others, remove, remove_all, write};
use super::{Claim, LockError};
use crate::ground::clock::Clock;
use crate::repo::{Error, LockId, Repository};

/// What became of a repository's locks.
#[derive(Debug)]
pub struct Unlocked {
    pub removed: usize,
    /// Locks that somebody may still hold.
    pub kept: Vec<Kept>,
}

/// A lock that stays, as its file tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    pub id: LockId,
    pub who: String,
    pub host: String,
    pub pid: i64,
    pub since: Timestamp,
}

/// Removes locks that nobody holds: the `dead` ones, those of processes that are known to be gone, and
/// those that the store's clock says are 30 minutes old. `all`: those that somebody holds as well.
pub async fn unlock(
    repository: &Repository,
    clock: &dyn Clock,
    dead: &[LockId],
    all: bool,
) -> Result<Unlocked, LockError> {
    let written = write(repository, clock, false, &Claim::default()).await;
    let id = written.map_err(LockError::Repository)?;
    let result = clear(repository, id, dead, all).await;
    remove(repository, id).await.map_err(LockError::Repository)?;
    result
}

async fn clear(
    repository: &Repository,
    own: LockId,
    dead: &[LockId],
    all: bool,
) -> Result<Unlocked, LockError> {
    let Others { kept: others, mut stale } = others(repository, own, dead).await?;
    let (mut kept, mut unreadable): (_, Option<Error>) = (Vec::new(), None);
    for other in others {
        match load(repository, other).await {
            _ if all => stale.push(other),
            Ok(None) => {}
            Ok(Some(file)) if file.owner.as_ref().is_some_and(|owner| owner.is_gone()) => {
                stale.push(other);
            }
            Ok(Some(file)) => {
                let LockFile { time: since, hostname: host, username: who, pid, .. } = file;
                kept.push(Kept { id: other, who, host, pid, since });
            }
            Err(error) => drop(unreadable.get_or_insert(error)),
        }
    }
    let removed = remove_all(repository, &stale).await?;
    unreadable.map_or(Ok(Unlocked { removed, kept }), |error| Err(LockError::Repository(error)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::clock::SystemClock;
    use crate::ground::process::host_name;
    use crate::repo::layout::Folder;
    use crate::repo::lock::owner::Owner;
    use crate::repo::repository::tests::empty;

    /// A lock's file, as somebody of this host's name left it.
    async fn left(repository: &Repository, more: serde_json::Value) -> LockId {
        let mut file = serde_json::json!({
            "time": SystemClock.now(), "exclusive": true, "hostname": host_name(),
            "username": "somebody", "pid": i32::MAX,
        });
        file.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let (id, sealed) = repository.seal(file.to_string().as_bytes());
        repository.put_file(Folder::Locks, id, sealed).await.unwrap();
        LockId(id)
    }

    #[tokio::test]
    async fn a_lock_of_a_container_with_this_hosts_name_or_of_restic_stays_and_is_told() {
        let repository = empty().await;
        let owner = Owner::me();
        let mut owner = serde_json::to_value(owner).unwrap();
        owner["pid"] = i32::MAX.into();
        let gone = left(&repository, serde_json::json!({ "lifeboat": owner })).await;
        owner["namespace"] = "pid:[1]".into();
        let contained = left(&repository, serde_json::json!({ "lifeboat": owner })).await;
        let restics = left(&repository, serde_json::json!({})).await;
        let known = left(&repository, serde_json::json!({ "uid": 1 })).await;

        let unlocked = unlock(&repository, &SystemClock, &[known], false).await.unwrap();

        assert_eq!(unlocked.removed, 2, "the dead one and that of a process that is gone here");
        let mut kept: Vec<_> = unlocked.kept.iter().map(|one| one.id).collect();
        kept.sort();
        let mut expected = [contained, restics];
        expected.sort();
        assert_eq!(kept, expected);
        assert!(!kept.contains(&gone));
        assert_eq!(
            (&*unlocked.kept[0].who, unlocked.kept[0].pid),
            ("somebody", i64::from(i32::MAX))
        );
        let all = unlock(&repository, &SystemClock, &[], true).await.unwrap();
        assert_eq!((all.removed, all.kept), (2, vec![]));
    }
}
