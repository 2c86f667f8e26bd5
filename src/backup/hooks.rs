//! Hooks: the owner's programs around a capture. Argument lists, never a shell.
//!
//! `after` is owed from the moment `before` is about to run: state remembers it, so that it runs
//! also after a failure, a time-out, and at the next start after a crash.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::account::Rooms;
use crate::ground::causes::chain;
use crate::ground::process;
use crate::policy::Policy;
use crate::state;

/// Why a hook did not do its work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("the hook before the backup failed; nothing was captured")]
    Before(#[source] process::Error),
    #[error("the hook after the backup failed: what it should resume may still be held")]
    After(#[source] process::Error),
    #[error("the hook that an earlier run still owed failed; nothing was captured")]
    Owed(#[source] Box<Error>),
    #[error("cannot remember that the hook after the backup is owed")]
    State(#[from] state::Error),
    #[error("the thread that runs hooks ended early")]
    Thread(#[source] tokio::task::JoinError),
}

/// Runs what a crashed run owes, whatever becomes of this one. Where that fails it stays owed, and
/// [`before`] tries again.
pub(super) async fn settle(policy: &Policy, rooms: &Rooms) {
    if let Err(error) = owed(policy, rooms).await {
        rooms.progress.note(&chain(&error));
    }
}

async fn owed(policy: &Policy, rooms: &Rooms) -> Result<(), Error> {
    let key = policy.full_name();
    if let Some(owed) = rooms.state.owed_hook(&key).await? {
        rooms.progress.note("running the hook that an earlier run still owed");
        after_argv(&key, owed, policy.hooks.deadline, rooms).await?;
    }
    Ok(())
}

/// Whether nothing is to run around a capture.
pub(super) async fn are_none(policy: &Policy, rooms: &Rooms) -> Result<bool, Error> {
    let declared = policy.hooks.before.is_some() || policy.hooks.after.is_some();
    Ok(!declared && rooms.state.owed_hook(&policy.full_name()).await?.is_none())
}

/// Settles what a crashed run still owes, then runs `before`.
pub(super) async fn before(policy: &Policy, rooms: &Rooms) -> Result<(), Error> {
    owed(policy, rooms).await.map_err(|error| Error::Owed(Box::new(error)))?;
    if let Some(argv) = &policy.hooks.after {
        rooms.state.owe_hook(&policy.full_name(), argv).await?;
    }
    match &policy.hooks.before {
        Some(argv) => {
            let (argv, deadline) = (argv.clone(), policy.hooks.deadline);
            let interrupted = rooms.interrupted.clone();
            blocking(move || {
                let stop = || interrupted.load(Ordering::Relaxed);
                process::output_unless(&stop, &argv, deadline)
            })
            .await?
            .map_err(Error::Before)
        }
        None => Ok(()),
    }
}

/// Runs `after` and forgets that it was owed; where it fails it stays owed.
pub(super) async fn after(policy: &Policy, rooms: &Rooms) -> Result<(), Error> {
    match &policy.hooks.after {
        Some(argv) => {
            let key = policy.full_name();
            after_argv(&key, argv.clone(), policy.hooks.deadline, rooms).await
        }
        None => Ok(()),
    }
}

async fn after_argv(
    key: &str,
    argv: Vec<String>,
    deadline: Duration,
    rooms: &Rooms,
) -> Result<(), Error> {
    // Not even an interrupt keeps it from its end: it lets go of what `before` holds.
    blocking(move || process::output(&argv, deadline)).await?.map_err(Error::After)?;
    Ok(rooms.state.settle_hook(key).await?)
}

async fn blocking(
    run: impl FnOnce() -> Result<Vec<u8>, process::Error> + Send + 'static,
) -> Result<Result<(), process::Error>, Error> {
    tokio::task::spawn_blocking(move || run().map(drop)).await.map_err(Error::Thread)
}
