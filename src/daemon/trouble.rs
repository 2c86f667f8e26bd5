//! Whether a run that came to nothing is worth another try.
//!
//! In: the error an act ended with. Out: how many tries, and how long to wait. Pure.

use std::error::Error;
use std::time::Duration;

use crate::policy::DaemonSettings;
use crate::repo::lock::LockError;
use crate::store::Outlook;
use crate::{account, backup, drill, ground, ledger, repo, sandbox, source, state, store};

/// Tries of a run whose slot is answered already: each of them stands on the ledger.
const RERUNS: u32 = 5;
/// Tries of what the source itself refused.
const ASKED_AGAIN: u32 = 3;

/// What stood in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It may pass: a store out of reach, a lock that somebody holds, a full disk.
    Passing,
    /// The source or its hooks said no.
    Source,
    /// The configuration or a key must be mended first, or the data is damaged.
    Lasting,
    /// Somebody asked for an end.
    Interrupted,
}

impl Trouble {
    /// By the first cause that tells.
    pub(super) fn of(error: &(dyn Error + 'static)) -> Self {
        let mut next = Some(error);
        while let Some(link) = next {
            if let Some(trouble) = told(link) {
                return trouble;
            }
            next = link.source();
        }
        Self::Source
    }

    /// How often a run is tried in all; `is_on_record` where its slot has its answer.
    pub(super) fn tries(self, is_on_record: bool) -> u32 {
        match self {
            Self::Passing if is_on_record => RERUNS,
            // Until the next slot takes its place.
            Self::Passing => u32::MAX,
            Self::Source => ASKED_AGAIN,
            Self::Lasting | Self::Interrupted => 1,
        }
    }
}

/// How long to wait after so many tries.
pub(super) fn pause(settings: &DaemonSettings, attempts: u32) -> Duration {
    let doublings = attempts.saturating_sub(1).min(20);
    settings.retry_first.saturating_mul(1 << doublings).min(settings.retry_longest)
}

fn told(link: &(dyn Error + 'static)) -> Option<Trouble> {
    if let Some(error) = link.downcast_ref::<backup::Error>() {
        return match error {
            backup::Error::Account(error) => told_by_account(error),
            backup::Error::Interrupted(_) => Some(Trouble::Interrupted),
            // Below it stands what the deadline interrupted.
            backup::Error::Deadline { .. } => Some(Trouble::Source),
            _ => None,
        };
    }
    if let Some(error) = link.downcast_ref::<drill::Error>() {
        return match error {
            drill::Error::Account(error) => told_by_account(error),
            drill::Error::Interrupted(_) => Some(Trouble::Interrupted),
            drill::Error::Overtaken => Some(Trouble::Passing),
            drill::Error::Unsigned => Some(Trouble::Lasting),
            drill::Error::Scratch(_) | drill::Error::Thread(_) => None,
        };
    }
    if let Some(error) = link.downcast_ref::<account::Error>() {
        return told_by_account(error);
    }
    if let Some(error) = link.downcast_ref::<repo::OpenError>() {
        return told_by_opening(error);
    }
    if let Some(error) = link.downcast_ref::<store::Error>() {
        return told_by_store(error);
    }
    if link.is::<account::Interrupted>()
        || matches!(link.downcast_ref(), Some(source::Error::Interrupted))
        || matches!(link.downcast_ref(), Some(ground::process::Error::Stopped { .. }))
    {
        return Some(Trouble::Interrupted);
    }
    if let Some(error) = link.downcast_ref::<LockError>() {
        return told_by_lock(error);
    }
    if link.is::<ledger::outbox::Error>() || link.is::<state::Error>() {
        return Some(Trouble::Passing);
    }
    if link.is::<ground::secret::Error>() {
        return Some(Trouble::Lasting);
    }
    if matches!(link.downcast_ref(), Some(source::Error::Sink { .. })) {
        return None;
    }
    let refused = link.is::<source::Error>() || link.is::<ground::process::Error>();
    let by_host = link.is::<sandbox::Error>();
    (refused || by_host).then_some(Trouble::Source)
}

fn told_by_account(error: &account::Error) -> Option<Trouble> {
    match error {
        account::Error::Running { .. } | account::Error::State(_) => Some(Trouble::Passing),
        account::Error::RepositoryLost { .. } | account::Error::Signer(_) => Some(Trouble::Lasting),
        account::Error::Store { source, .. } => told_by_store(source),
        account::Error::Repository { source, .. } | account::Error::Create { source, .. } => {
            told_by_opening(source)
        }
        account::Error::Lock(error) => told_by_lock(error),
        // Its causes tell.
        _ => None,
    }
}

fn told_by_opening(error: &repo::OpenError) -> Option<Trouble> {
    match error {
        repo::OpenError::Store(source) => told_by_store(source),
        _ => Some(Trouble::Lasting),
    }
}

fn told_by_lock(error: &LockError) -> Option<Trouble> {
    match error {
        // Its causes tell.
        LockError::Repository(_) => None,
        _ => Some(Trouble::Passing),
    }
}

fn told_by_store(error: &store::Error) -> Option<Trouble> {
    Some(match error.outlook() {
        Outlook::Passing => Trouble::Passing,
        Outlook::Lasting => Trouble::Lasting,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unreachable() -> store::Error {
        store::Error::io("get", "config", "connection refused")
    }

    fn refused() -> store::Error {
        store::Error::io("read", "config", store::s3::Trouble::NoBucket)
    }

    fn account(error: account::Error) -> Trouble {
        Trouble::of(&backup::Error::Account(error))
    }

    #[test]
    fn what_passes_is_told_from_what_lasts() {
        let place = || "file:///srv".to_owned();
        let repository = |source| account::Error::Repository { place: place(), source };
        let cases = [
            (account::Error::Store { place: place(), source: unreachable() }, Trouble::Passing),
            (repository(repo::OpenError::Store(unreachable())), Trouble::Passing),
            (repository(repo::OpenError::WrongPassword), Trouble::Lasting),
            (repository(repo::OpenError::Missing { place: place() }), Trouble::Lasting),
            (account::Error::RepositoryLost { place: place(), trace: "records" }, Trouble::Lasting),
            (account::Error::Read(repo::Error::Store(unreachable())), Trouble::Passing),
            (account::Error::Read(repo::Error::Store(refused())), Trouble::Lasting),
            (account::Error::Store { place: place(), source: refused() }, Trouble::Lasting),
            (repository(repo::OpenError::Store(refused())), Trouble::Lasting),
            (account::Error::Lock(LockError::NotListed), Trouble::Passing),
            (
                account::Error::Lock(LockError::Repository(repo::Error::Store(unreachable()))),
                Trouble::Passing,
            ),
            (
                account::Error::Lock(LockError::Repository(repo::Error::Store(refused()))),
                Trouble::Lasting,
            ),
            (account::Error::Checkpoint(ledger::Error::Store(refused())), Trouble::Lasting),
            (
                account::Error::Running { act: "backup", policy: place(), by: place() },
                Trouble::Passing,
            ),
        ];
        for (error, expected) in cases {
            let shown = error.to_string();
            assert_eq!(account(error), expected, "{shown}");
        }
    }

    #[test]
    fn a_store_that_failed_under_a_capture_is_no_fault_of_the_source() {
        let sink = source::Error::Sink { entry: "a".into(), source: Box::new(unreachable()) };
        let source_name = "files".parse().unwrap();
        let error = backup::Error::Capture { source_name, source: sink };
        assert_eq!(Trouble::of(&error), Trouble::Passing);

        let engine = source::Error::Engine { object: "db".into(), what: "no".into(), source: None };
        let error = backup::Error::Capture { source_name: "db".parse().unwrap(), source: engine };
        assert_eq!(Trouble::of(&error), Trouble::Source);
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let settings = DaemonSettings::default();
        let seconds: Vec<_> = (1..9).map(|tries| pause(&settings, tries).as_secs()).collect();

        assert_eq!(seconds, [30, 60, 120, 240, 480, 960, 1800, 1800]);
        assert_eq!(pause(&settings, u32::MAX), settings.retry_longest);
    }

    #[test]
    fn what_is_on_record_is_not_tried_for_ever_and_what_lasts_not_twice() {
        assert_eq!(Trouble::Passing.tries(false), u32::MAX);
        assert!(Trouble::Passing.tries(true) < 10);
        assert_eq!(Trouble::Lasting.tries(false), 1);
        assert_eq!(Trouble::Interrupted.tries(true), 1);
    }
}
