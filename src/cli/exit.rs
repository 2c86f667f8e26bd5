//! Exit statuses: stable, documented, and the only place that knows which error means which.

use std::process::ExitCode;

use super::advice;
use super::app::NoSite;
use super::drill::NothingDrawn;
use super::man::NoSuchCommand;
use crate::ledger::record::Word;
use crate::retain::forget;
use crate::{account, drill, policy, repo, restore, source};

/// The exit statuses, as `lifeboat --help` ends with them.
pub(super) const HELP: &str = "\
Exit status:
    0  done (a drill: pass)
    1  failed
    2  usage or configuration invalid
    3  done, but some source items could not be read (they are listed)
    4  a drill failed
    5  a drill was inconclusive
   10  the repository is missing
   11  the repository is locked
   12  wrong password
  130  interrupted";

/// How a command ended. 10, 11 and 12 are restic's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
#[repr(u8)]
pub enum Exit {
    Done = 0,
    Failed = 1,
    Invalid = 2,
    Incomplete = 3,
    DrillFailed = 4,
    DrillInconclusive = 5,
    RepositoryMissing = 10,
    RepositoryLocked = 11,
    WrongPassword = 12,
    Interrupted = 130,
}

impl Exit {
    /// What `error` means for whoever called the program: its first cause that has a number of
    /// its own decides.
    pub(super) fn of(error: &anyhow::Error) -> Self {
        error.chain().find_map(Self::of_link).unwrap_or(Self::Failed)
    }

    fn of_link(link: &(dyn std::error::Error + 'static)) -> Option<Self> {
        let unusable = link.is::<NoSite>()
            || link.is::<NoSuchCommand>()
            || link.is::<policy::Diagnostics>()
            || link.is::<policy::NoSuch>()
            || link.is::<NothingDrawn>()
            || matches!(link.downcast_ref(), Some(drill::Error::Unsigned))
            || matches!(link.downcast_ref(), Some(forget::Error::KeepsAll { .. }));
        if unusable {
            return Some(Self::Invalid);
        }
        match advice::account_error(link) {
            Some(account::Error::RepositoryLost { .. }) => return Some(Self::RepositoryMissing),
            Some(account::Error::Running { .. }) => return Some(Self::RepositoryLocked),
            _ => {}
        }
        if let Some(error) = link.downcast_ref::<repo::OpenError>() {
            return match error {
                repo::OpenError::Missing { .. } => Some(Self::RepositoryMissing),
                repo::OpenError::WrongPassword => Some(Self::WrongPassword),
                _ => None,
            };
        }
        let interrupted = matches!(link.downcast_ref(), Some(source::Error::Interrupted))
            || matches!(link.downcast_ref(), Some(restore::Error::Interrupted))
            || link.is::<account::Interrupted>();
        let locked = matches!(link.downcast_ref(), Some(repo::lock::LockError::Locked { .. }));
        match (interrupted, locked) {
            (true, _) => Some(Self::Interrupted),
            (_, true) => Some(Self::RepositoryLocked),
            _ => None,
        }
    }
}

impl From<Word> for Exit {
    fn from(word: Word) -> Self {
        match word {
            Word::Pass => Self::Done,
            Word::Fail => Self::DrillFailed,
            Word::Inconclusive => Self::DrillInconclusive,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::super::hint::Hinting;
    use super::*;
    use crate::retain;

    #[test]
    fn a_cause_deep_in_the_chain_decides() {
        let error = Err::<(), _>(source::Error::Interrupted)
            .hint("run it again")
            .context("cannot back up acme/shop")
            .unwrap_err();

        assert_eq!(Exit::of(&error), Exit::Interrupted);
        assert_eq!(Exit::of(&anyhow::anyhow!("disk full")), Exit::Failed);
    }

    #[test]
    fn a_prune_that_another_keeps_waiting_ends_as_locked() {
        let locked = repo::lock::LockError::Locked {
            who: "restic".into(),
            host: "shop-1".into(),
            pid: 7,
            since: jiff::Timestamp::UNIX_EPOCH,
            exclusive: false,
        };
        let error = retain::prune::Error::from(repo::prune::Error::from(locked));

        assert_eq!(Exit::of(&error.into()), Exit::RepositoryLocked);
    }

    #[test]
    fn only_a_passed_drill_ends_with_zero() {
        let ends = [Word::Pass, Word::Fail, Word::Inconclusive].map(|word| Exit::from(word) as u8);

        assert_eq!(ends, [0, 4, 5]);
    }

    #[test]
    fn every_status_stands_in_the_help() {
        for exit in [0u8, 1, 2, 3, 4, 5, 10, 11, 12, 130] {
            let line = format!("{exit:>5}  ");
            assert!(HELP.lines().any(|help| help.starts_with(&line)), "{exit}");
        }
    }
}
