//! `lifeboat daemon`: run what is scheduled.

use std::sync::Arc;

use super::hint::Hinting as _;
use super::{App, Exit, Global};
use crate::daemon::{self, Ended, House, Logged};
use crate::ground::clock::{Clock, Steady, SystemClock, Timepiece};
use crate::policy::{self, Caller};

/// Run the backups and drills of all policies on their schedules
///
/// Stays in the foreground and logs to standard error. SIGTERM and SIGINT end it: nothing new is
/// begun and what runs may go on for as long as `[daemon] drain` says; a second one interrupts what
/// runs, a third one leaves at once. SIGHUP reads the configuration again; one that is not valid is
/// refused and the one before stays in force. Ends with 0 once all runs came to their end, with 130
/// if some were interrupted.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

/// Nobody watches a daemon: no bars, and a log that says what is done.
pub(super) fn adapt(global: &mut Global) {
    global.no_progress = true;
    if !global.quiet {
        global.verbose = global.verbose.max(1);
    }
}

pub(super) async fn run(_: Args, app: &App) -> anyhow::Result<Exit> {
    // Caught first: what comes while the site is read is a wish, too.
    let wishes = daemon::of_signals()?;
    let file = app.site_file()?;
    let setup = app.setup().await?;
    let clock = Arc::new(Steady::new(SystemClock));
    let mut rooms = app.rooms(&setup).await?;
    rooms.clock = clock.clone() as Arc<dyn Clock>;
    rooms.progress = Arc::new(Logged);
    rooms.actor.name = "daemon".to_owned();
    let house = House {
        rooms: Arc::new(rooms),
        clock: clock as Arc<dyn Timepiece>,
        load: Arc::new(move || policy::load(&file, &Caller::current())),
    };
    let ended = match daemon::run(setup, house, wishes).await {
        Err(error @ daemon::Error::Running { .. }) => {
            Err(error).hint("end that one, or give this one a [state] of its own")
        }
        other => other.map_err(Into::into),
    };
    match ended? {
        Ended::Drained => Ok(Exit::Done),
        Ended::Interrupted | Ended::Stuck => Ok(Exit::Interrupted),
    }
}
