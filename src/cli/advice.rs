//! What to do about the errors that acts end with: hints by the kind of error.

mod engines;
mod repository;

use std::io;

use engines::{of_copy, of_dump, of_mysql, of_mysql_dump, of_postgres, of_redis};
use repository::{of_damage, of_forget, of_prune, of_repair};

use super::hint::{self, Hinting};
use crate::ground::secret;
use crate::repo::OpenError;
use crate::repo::lock::LockError;
use crate::retain::{forget, prune};
use crate::source::postgres::session;
use crate::source::redis;
use crate::store::s3::Trouble;
use crate::{account, backup, drill, ledger, repair, repo, restore, source, state, store};

/// `error` with a hint, where it has none yet and one is known.
pub(super) fn advised(error: anyhow::Error) -> anyhow::Error {
    if hint::of(&error).is_some() {
        return error;
    }
    match error.chain().find_map(advice) {
        Some(text) => Err::<(), _>(error).hint(text).expect_err("an error stays one"),
        None => error,
    }
}

/// What to do about `error`, where that is known.
pub(super) fn of(error: &(dyn std::error::Error + 'static)) -> Option<&'static str> {
    std::iter::successors(Some(error), |error| error.source()).find_map(advice)
}

fn advice(link: &(dyn std::error::Error + 'static)) -> Option<&'static str> {
    if let Some(error) = link.downcast_ref::<OpenError>() {
        return match error {
            OpenError::Missing { .. } => Some(
                "the first `lifeboat backup` creates it; if there was one, look whether the \
                 store's disk is mounted, and its url in the site file still right",
            ),
            OpenError::WrongPassword => {
                Some("look at the customer's repository_password in the site file")
            }
            OpenError::Config(_) | OpenError::ConfigMalformed(_) => Some(
                "`config` is written once and never changes: put it back from a copy of the bucket, or \
                 from an older version of the object; what is stored is not touched by that",
            ),
            OpenError::Key { .. } | OpenError::NoKeys { .. } => Some(
                "files in `keys/` are written once and never change: put them back from a copy of the \
                 bucket, or from an older version of the object; without one that is whole nothing can \
                 be read",
            ),
            OpenError::UnsupportedVersion { .. } => Some("a newer lifeboat may know it"),
            // What the store complains of, or nothing, tells what to do.
            OpenError::Exists { .. } => Some("another host began it just now: run it again"),
            OpenError::Replaced { .. } | OpenError::Store(_) => None,
        };
    }
    if let Some(error) = account_error(link) {
        return match error {
            account::Error::RepositoryLost { .. } => Some(
                "nothing new is begun over a lost repository: bring the store back (is its disk \
                 mounted?), or, if all of it shall be given up, move its ledger and this host's \
                 state file away as well",
            ),
            account::Error::Running { .. } => Some("wait for that run, or end it"),
            account::Error::Store { source: store::Error::Io { source, .. }, .. }
                if source.is::<io::Error>() =>
            {
                Some("the store's folder must exist and be ours to write; is its disk mounted?")
            }
            account::Error::NoLedger { .. } => Some(
                "take a folder, or an S3 service that honours `If-None-Match: *`; `lifeboat \
                 doctor` tries it",
            ),
            account::Error::Checkpoint(
                ledger::Error::Inconsistent { .. } | ledger::Error::Broken { .. },
            ) => Some("`lifeboat ledger verify` tells what is wrong; nothing is signed until then"),
            _ => None,
        };
    }
    if let Some(backup::Error::Deadline { .. }) = link.downcast_ref() {
        return Some(
            "give it more time or higher rates in the policy's [limits]; what was indexed serves \
             the next run",
        );
    }
    if let Some(text) = link.downcast_ref().and_then(of_forget) {
        return Some(text);
    }
    if let Some(text) = link.downcast_ref().and_then(of_prune) {
        return Some(text);
    }
    if let Some(text) = link.downcast_ref().and_then(of_repair) {
        return Some(text);
    }
    if let Some(text) = link.downcast_ref().and_then(of_damage) {
        return Some(text);
    }
    if link.is::<backup::Error>() || link.is::<drill::Error>() {
        return None;
    }
    if let Some(source::Error::Io { source, .. }) = link.downcast_ref()
        && source.kind() == io::ErrorKind::NotFound
    {
        return Some("a source of the policy names it: is its disk mounted, its path still right?");
    }
    if let Some(error) = link.downcast_ref::<session::Error>() {
        return of_postgres(error);
    }
    if let Some(error) = link.downcast_ref() {
        return of_dump(error);
    }
    if let Some(error) = link.downcast_ref::<redis::SessionError>() {
        return of_redis(error);
    }
    if let Some(redis::TransferError::Early { .. }) = link.downcast_ref() {
        return Some(
            "its log says why: was it stopped, or did its child die for want of memory? run it \
             again",
        );
    }
    if let Some(error) = link.downcast_ref() {
        return of_mysql(error);
    }
    if let Some(error) = link.downcast_ref() {
        return of_mysql_dump(error);
    }
    if let Some(error) = link.downcast_ref() {
        return of_copy(error);
    }
    if let Some(LockError::Locked { .. }) = link.downcast_ref() {
        return Some(
            "wait for that run, or end it there; a lock is renewed every \
             5 minutes: where that process is gone from this host, `lifeboat unlock` removes what it \
             left (`--all`: whatever any host left), and after 30 minutes the next run does so by itself",
        );
    }
    if let Some(LockError::Repository(
        repo::Error::Damaged { .. } | repo::Error::Malformed { .. },
    )) = link.downcast_ref()
    {
        return Some(
            "a lock that cannot be read may be somebody's: `lifeboat unlock` removes it once it \
             is 30 minutes old, `lifeboat unlock --all` removes it and all others now",
        );
    }
    if link.is::<secret::Error>() {
        return Some("the site file says where secrets are kept");
    }
    if link.downcast_ref().is_some_and(state::Error::is_full) {
        return Some("its disk is full: [state] in the site file says where it is");
    }
    if let Some(state::Error::Unusable { .. }) = link.downcast_ref() {
        return Some("move the state file away: what is in the bucket stays the truth");
    }
    if let Some(trouble) = link.downcast_ref::<Trouble>() {
        return of_s3(trouble);
    }
    if let Some(error) = link.downcast_ref::<io::Error>() {
        return match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Some("free some space and run it again; what was stored before is untouched")
            }
            io::ErrorKind::ReadOnlyFilesystem => Some("mount it so that it can be written to"),
            io::ErrorKind::PermissionDenied => {
                Some("look at who owns it and what it allows, or run as somebody who may")
            }
            _ => None,
        };
    }
    match link.downcast_ref()? {
        restore::Error::Occupied { .. } => Some("name an empty folder, or say --overwrite"),
        restore::Error::NoRoom { .. } => Some("free some space, or restore to another disk"),
        restore::Error::Nothing { .. } => Some("a restore without it shows what there is"),
        _ => None,
    }
}

/// What to do where an S3 service does not do what it was asked.
fn of_s3(trouble: &Trouble) -> Option<&'static str> {
    Some(match trouble {
        Trouble::Certificates { .. } => "the store's `ca` in the site file must name a PEM file",
        Trouble::Unreachable { .. } => {
            "look at the store's `endpoint` in the site file, and at the way to it from here"
        }
        Trouble::Untrusted { .. } => {
            "where the service's certificate is a private one, the store's `ca` in the site file \
             names who vouches for it"
        }
        Trouble::NoBucket => {
            "lifeboat makes no buckets: make it, or mend the store's `url` in the site file"
        }
        Trouble::Keys { .. } => "look at the store's access_key and secret_key in the site file",
        Trouble::Denied { .. } => "`lifeboat grants` prints what the keys must be allowed to do",
        Trouble::Clock => "set this machine's clock: S3 allows a quarter of an hour",
        Trouble::Elsewhere { .. } => "look at the store's `region` and `endpoint` in the site file",
        Trouble::Timeout { .. } | Trouble::Cut { .. } | Trouble::Answer { .. } => {
            "run it again; what was stored before is untouched"
        }
        Trouble::Refused { status: 429 | 500.., .. } => {
            "the service is busy or broken: run it again; what was stored before is untouched"
        }
        _ => return None,
    })
}

/// The account's error, also where an act passes it on as its own.
pub(super) fn account_error<'a>(
    link: &'a (dyn std::error::Error + 'static),
) -> Option<&'a account::Error> {
    if let Some(backup::Error::Account(error)) = link.downcast_ref() {
        return Some(error);
    }
    if let Some(drill::Error::Account(error)) = link.downcast_ref() {
        return Some(error);
    }
    if let Some(forget::Error::Account(error)) = link.downcast_ref() {
        return Some(error);
    }
    if let Some(prune::Error::Account(error)) = link.downcast_ref() {
        return Some(error);
    }
    if let Some(repair::Error::Account(error)) = link.downcast_ref() {
        return Some(error);
    }
    link.downcast_ref()
}
