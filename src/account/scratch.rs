//! Scratch environments as the site declares them.

use super::{Error, Rooms};
use crate::policy::{Scratch, Setup};
use crate::sandbox;

/// A scratch environment as the site declares it, which ends once somebody asks for an end; blocking.
pub fn scratch(settings: &Scratch, rooms: &Rooms) -> Result<sandbox::Scratch, sandbox::Error> {
    let mut scratch = sandbox::Scratch::create(&settings.dir, settings.user.as_deref())?;
    scratch.end_when(rooms.interrupted.clone());
    if settings.without_sandbox {
        scratch.waive_sandbox()?;
    }
    Ok(scratch)
}

/// Removes what dead runs left in scratch, and says so.
pub async fn sweep(setup: &Setup, rooms: &Rooms) -> Result<(), Error> {
    let root = setup.site.scratch.dir.clone();
    let swept = tokio::task::spawn_blocking(move || sandbox::sweep(&root)).await;
    for left in swept.map_err(Error::Thread)?.map_err(Error::Sweep)? {
        let outcome = left.leftover.as_ref().map_or("removed".to_owned(), ToString::to_string);
        rooms.progress.note(&format!(
            "swept a scratch environment that nobody holds any more: {} processes, {outcome}",
            left.killed
        ));
    }
    Ok(())
}
