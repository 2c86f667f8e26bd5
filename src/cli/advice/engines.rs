//! What to do where a database server, or the program that dumps it, does not do what it was asked.

use crate::source::postgres::{DumpError, session};
use crate::source::{RunningError, mysql, redis};

/// What to do where a database server does not do what it was asked.
pub(super) fn of_postgres(error: &session::Error) -> Option<&'static str> {
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
pub(super) fn of_redis(error: &redis::SessionError) -> Option<&'static str> {
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
pub(super) fn of_dump(error: &DumpError) -> Option<&'static str> {
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
pub(super) fn of_mysql(error: &mysql::session::Error) -> Option<&'static str> {
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
pub(super) fn of_mysql_dump(error: &mysql::DumpError) -> Option<&'static str> {
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

/// What to do where a copy of its files is none.
pub(super) fn of_copy(error: &mysql::CopyError) -> Option<&'static str> {
    use mysql::CopyError as Error;
    match error {
        Error::Ended(RunningError::Failed { .. }) => {
            Some("mend what mariadb-backup complains of, then run it again")
        }
        Error::Ended(RunningError::Interrupted { .. }) => Some(
            "another session holds a lock (a backup, a long ALTER TABLE): run it again when that is done, \
             or give `lock_timeout` of the source more time",
        ),
        Error::Stream(_)
        | Error::Incomplete
        | Error::Order { .. }
        | Error::Torn { .. }
        | Error::Lacks { .. } => Some(
            "run it again; if it stays so, do not trust this mariadb-backup: [[engine]] in the site file \
             names another one",
        ),
        Error::Elsewhere { .. } => {
            Some("move the table into the data folder, or leave `method` of the source out")
        }
        Error::Aside { .. } => Some("is the disk of the state's folder full?"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::of;
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
}
