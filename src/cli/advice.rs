//! What to do about the errors that acts end with: hints by the kind of error.

use std::io;

use super::hint::{self, Hinting};
use crate::ground::secret;
use crate::repo::OpenError;
use crate::repo::lock::LockError;
use crate::retain::{Refusal, forget, prune};
use crate::source::postgres::{DumpError, session};
use crate::source::{RunningError, mysql, redis};
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

/// What to do where snapshots are not removed.
fn of_forget(error: &forget::Error) -> Option<&'static str> {
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

/// What to do where a database server does not do what it was asked.
fn of_postgres(error: &session::Error) -> Option<&'static str> {
    match error {
        session::Error::Connect { .. } => {
            Some("is the server up? look at `host`, `port` and `tls` of the source in the policy")
        }
        session::Error::NotAdmitted { .. } => Some(
            "look at `user`, `password` and `databases` of the source; `lifeboat grants` prints \
             what its log-in must be allowed",
        ),
        session::Error::Refused { code, .. } if code == "55P03" => Some(
            "another session holds a lock on a table that is to be read: run it again when that \
             is done, or give `lock_timeout` of the source more time",
        ),
        session::Error::Refused { code, .. } if code.starts_with("57P") => {
            Some("the server was stopped, or ended the session: run it again once it is up")
        }
        session::Error::Lost { .. } => {
            Some("was the server stopped? its log says why; run it again once it is up")
        }
        session::Error::TimedOut { .. } => Some(
            "the server is busy or away; `statement_deadline` of the source says how long one \
             question may take",
        ),
        _ => None,
    }
}

/// What to do where a Redis server does not do what it was asked.
fn of_redis(error: &redis::SessionError) -> Option<&'static str> {
    use redis::SessionError as Error;
    match error {
        Error::Connect { .. } => {
            Some("is the server up? look at `host`, `port` and `tls` of the source in the policy")
        }
        Error::NotAdmitted { .. } => Some("look at `user` and `password` of the source"),
        Error::Refused { said } if said.starts_with("NOAUTH") || said.starts_with("NOPERM") => {
            Some(
                "look at `user` and `password` of the source; `lifeboat grants` prints what its user \
             must be allowed",
            )
        }
        Error::Silent { .. } => Some(
            "the server is busy or away; `silence` of the source says how long it may say nothing",
        ),
        Error::Lost(_) | Error::Closed => {
            Some("was the server stopped? its log says why; run it again once it is up")
        }
        _ => None,
    }
}

/// What to do where a dump is none.
fn of_dump(error: &DumpError) -> Option<&'static str> {
    match error {
        DumpError::Ended(RunningError::Failed { .. }) => Some(
            "mend what pg_dump complains of, then run it again: a server that was stopped, or a \
             lock that another session holds on a table (`lock_timeout` of the source)",
        ),
        DumpError::Damaged(_) | DumpError::Unlike => Some(
            "run it again; if it stays so, do not trust this pg_dump: [[engine]] in the site file \
             names another one",
        ),
        _ => None,
    }
}

/// What to do where a server of MariaDB or MySQL does not do what it was asked.
fn of_mysql(error: &mysql::session::Error) -> Option<&'static str> {
    use mysql::session::{Error, number};
    match error {
        Error::Connect { .. } => {
            Some("is the server up? look at `host`, `port` and `tls` of the source in the policy")
        }
        Error::NotAdmitted { number, .. } if number::LOCKED.contains(number) => {
            Some("the account is locked: run the ALTER USER that `lifeboat grants --sql` ends with")
        }
        Error::NotAdmitted { .. } => Some(
            "the account is not there, is still locked, or its password is another: look at `user` and \
             `password` of the source; `lifeboat grants --sql` prints what makes and unlocks it",
        ),
        Error::Unencrypted { .. } => Some(
            "the account is not there or its password is another (`lifeboat grants --sql` prints what \
             makes it), or the server forgot the password since it was last used \
             (caching_sha2_password): say tls = \"require\" in the source, or give the server \
             certificates, so that it may be asked",
        ),
        Error::Refused { number: number::LOCK_WAIT_TIMEOUT, .. } => Some(
            "another session holds a lock (a backup, FLUSH TABLES WITH READ LOCK, a long ALTER \
             TABLE; on MySQL also a long query): run it again when that is done, or give `lock_timeout` \
             of the source more time",
        ),
        Error::Lost { .. } => {
            Some("was the server stopped? its log says why; run it again once it is up")
        }
        Error::TimedOut { .. } => Some(
            "the server is busy or away; `statement_deadline` of the source says how long one \
             question may take",
        ),
        _ => None,
    }
}

/// What to do where its dump is none.
fn of_mysql_dump(error: &mysql::DumpError) -> Option<&'static str> {
    match error {
        mysql::DumpError::Ended(RunningError::Failed { .. })
        | mysql::DumpError::Complained { .. } => {
            Some("mend what the dumping program complains of, then run it again")
        }
        mysql::DumpError::Cut | mysql::DumpError::Unlike | mysql::DumpError::Order { .. } => Some(
            "run it again; if it stays so, do not trust this dumping program: [[engine]] in the \
             site file names another one",
        ),
        _ => None,
    }
}

/// What to do where a prune stops.
fn of_prune(error: &repo::prune::Error) -> Option<&'static str> {
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
fn of_repair(error: &repo::repair::Error) -> Option<&'static str> {
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
fn of_damage(error: &repo::Error) -> Option<&'static str> {
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
fn is_of_a_full_disk(error: &(dyn std::error::Error + 'static)) -> bool {
    let links = std::iter::successors(Some(error), |error| error.source());
    let kinds = links.filter_map(|link| link.downcast_ref::<io::Error>()).map(io::Error::kind);
    kinds
        .into_iter()
        .any(|kind| matches!(kind, io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_a_server_from_being_captured_comes_with_what_to_do() {
        let refused = |code: &str| session::Error::Refused {
            database: "shop".into(),
            code: code.into(),
            message: "no".into(),
        };
        let failed = DumpError::Ended(RunningError::Failed {
            program: "pg_dump",
            status: "exit 1".into(),
            complaints: String::new(),
        });

        assert!(of(&refused("55P03")).unwrap().contains("`lock_timeout`"));
        assert!(of(&refused("57P01")).unwrap().contains("was stopped"));
        assert!(of(&failed).unwrap().contains("server that was stopped"));
        assert!(of(&DumpError::Unlike).unwrap().contains("do not trust this pg_dump"));
        assert_eq!(of(&refused("42501")), None);
    }

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
