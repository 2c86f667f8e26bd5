//! What to do where snapshots are not removed, or the repository is damaged or full.

use std::io;

use crate::repo;
use crate::retain::{Refusal, forget};

/// What to do where snapshots are not removed.
pub(super) fn of_forget(error: &forget::Error) -> Option<&'static str> {
    match error {
        forget::Error::KeepsAll { .. } => {
            Some("say in the policy what to keep, e.g. [retention] with daily = 7")
        }
        forget::Error::Refused(Refusal::TooMany { .. }) => {
            Some("look at the plan; if it is meant so, say --allow-many")
        }
        forget::Error::Refused(Refusal::Future { .. }) => Some(
            "this host's clock is behind, or the clock of whoever made it was ahead: nothing is \
             removed until that is mended or its time has come; where it is not worth waiting for, \
             remove it from `snapshots/` in the store and record that with --accept-lost",
        ),
        forget::Error::Refused(Refusal::PinMissing { .. }) => {
            Some("mend `pins` in the policy's [retention]: `lifeboat snapshots` shows the ids")
        }
        forget::Error::Unlisted { .. } => {
            Some("nothing is removed while the store's listings are wrong: look at the store")
        }
        forget::Error::Remove { .. } => Some(
            "what is gone is on the ledger, and the next run goes on; `lifeboat grants --for prune` \
             prints what the keys of a host that forgets must be allowed",
        ),
        forget::Error::NewestUnread { .. } | forget::Error::NewestBroken { .. } => Some(
            "nothing is removed while what would stay cannot be read: `lifeboat verify` tells what \
             is damaged; then back up anew",
        ),
        forget::Error::Lost(_) => {
            Some("if somebody removed them on purpose, --accept-lost records that; else look why")
        }
        _ => None,
    }
}

/// What to do where a prune stops.
pub(super) fn of_prune(error: &repo::prune::Error) -> Option<&'static str> {
    use repo::prune::Error;
    if is_of_a_full_disk(error) {
        return Some(
            "before it deletes a prune stores a lock, a record and a smaller index: make a few MiB of \
             room on the store's disk (enlarge it, move something else away) and run it again; what \
             nobody needs goes first and makes the room for the rest",
        );
    }
    match error {
        Error::NoSnapshots => Some(
            "an empty listing proves nothing: look at the store; where all snapshots are gone for \
             good back up anew, and the next prune removes what that snapshot does not need",
        ),
        Error::Unlisted { .. } => Some(
            "nothing is removed while the store's listings are wrong; where somebody removed a \
             snapshot on purpose, `lifeboat forget --accept-lost` records that",
        ),
        Error::Rival { .. } => {
            Some("run it again when that one is done: one host should prune a repository")
        }
        Error::Snapshot(error) if error.is_environment() => Some(
            "nothing is removed that it may need: see to it that the store lets this user read it, and \
             prune again",
        ),
        Error::Snapshot(_) => Some(
            "nothing is removed that it may need: bring it back from a copy of the store; where it is \
             lost for good remove it from `snapshots/` there, record that with `lifeboat forget \
             --accept-lost` if the ledger names it, and prune again",
        ),
        Error::Tree(_) | Error::Lost { .. } | Error::Save(_) => Some(
            "nothing is removed from a damaged repository: `lifeboat verify` names what is lost",
        ),
        _ => None,
    }
}

/// What to do where a repair stops.
pub(super) fn of_repair(error: &repo::repair::Error) -> Option<&'static str> {
    use repo::repair::Error;
    match error {
        Error::IndexFirst { .. } | Error::Unnamed { .. } => {
            Some("`lifeboat repair index` names anew what packs hold; then run it again")
        }
        Error::Whole { .. } => Some(
            "`lifeboat repair index` mends what the index says of it; if that is right already, this \
             machine's memory or the way to the store changes what is read",
        ),
        Error::Disturbed { .. } => {
            Some("another program, which takes no locks, wrote meanwhile: run it again without it")
        }
        _ => None,
    }
}

/// What to do where something of the repository cannot be read.
pub(super) fn of_damage(error: &repo::Error) -> Option<&'static str> {
    let (repo::Error::Damaged { object, .. } | repo::Error::Malformed { object, .. }) = error
    else {
        return None;
    };
    match object.as_str().split('/').next() {
        Some("index") => Some(
            "`lifeboat repair index` names anew what packs hold; it deletes nothing that can be read",
        ),
        Some("snapshots") => Some(
            "`lifeboat verify` tells what else is damaged; a version of the store's own, or a copy, \
             may still have it",
        ),
        _ => None,
    }
}

/// Whether the disk of a store in a folder has no room left.
pub(super) fn is_of_a_full_disk(error: &(dyn std::error::Error + 'static)) -> bool {
    let links = std::iter::successors(Some(error), |error| error.source());
    let kinds = links.filter_map(|link| link.downcast_ref::<io::Error>()).map(io::Error::kind);
    kinds
        .into_iter()
        .any(|kind| matches!(kind, io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
}

#[cfg(test)]
mod tests {
    use super::super::of;
    use super::*;
    use crate::repo::lock::LockError;

    #[test]
    fn an_index_file_that_cannot_be_read_comes_with_its_repair_and_a_lock_does_not() {
        let hint = |object: &str| {
            let source = serde_json::from_str::<u8>("junk").unwrap_err();
            of(&repo::Error::Malformed { object: object.parse().unwrap(), source })
        };

        assert!(hint("index/00").unwrap().contains("`lifeboat repair index`"));
        assert!(hint("snapshots/00").unwrap().contains("`lifeboat verify`"));
        assert_eq!(hint("locks/00"), None);
    }

    #[test]
    fn a_lock_that_cannot_be_read_comes_with_how_to_remove_it() {
        let object = "locks/00".parse().unwrap();
        let source = serde_json::from_str::<u8>("junk").unwrap_err();

        let hint = of(&LockError::Repository(repo::Error::Malformed { object, source })).unwrap();

        assert!(hint.contains("`lifeboat unlock --all`"), "{hint}");
    }
}
