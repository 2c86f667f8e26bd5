//! The daemon: runs what is scheduled, and keeps the ledger's account of it.
//!
//! In: a configuration, signals. Out: acts, each slot at most once. The ledger is the truth about
//! slots: a customer's past is settled by it before anything new is begun, and an act asks it again
//! when it begins. The state only says what runs and waits on this host. One loop turns
//! (`scheduler.rs`); whatever takes time runs beside it and reports back, so that a turn is short
//! and the service manager's watchdog sees at once when there is none.

mod aftermath;
mod calendar;
mod ending;
mod forecast;
mod keeping;
mod logged;
mod queue;
mod reload;
mod runs;
mod scheduler;
mod series;
mod settle;
mod standing;
mod systemd;
mod trouble;
mod wishes;
mod work;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;

pub use ending::Ended;
pub use forecast::{Foreseen, foresee};
pub use logged::Logged;
pub use series::Series;
pub use wishes::{Wish, of_signals};

use crate::account::Rooms;
use crate::ground::clock::Timepiece;
use crate::ground::ids::RunId;
use crate::policy::{Diagnostics, Setup};
use crate::state::{self, DAEMON, Lease};
use scheduler::Scheduler;

/// How long the daemon's own lease lives without being renewed.
const LEASE: Duration = Duration::from_secs(10 * 60);

/// Why there is no daemon, or none any more.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("a daemon uses this state already: {by}")]
    Running { by: String },
    #[error("cannot use the daemon's own database")]
    State(#[from] state::Error),
}

/// Reads the configuration again; blocking.
pub type Load = dyn Fn() -> Result<Setup, Diagnostics> + Send + Sync;

/// What a daemon lives in.
#[derive(Clone)]
pub struct House {
    /// Its clock is `clock`, its actor the daemon.
    pub rooms: Arc<Rooms>,
    pub clock: Arc<dyn Timepiece>,
    pub load: Arc<Load>,
}

/// Serves `setup`, and what a reload makes of it, until an end is wished for.
///
/// Fails at once where another daemon has the state, and later where it took it over.
pub async fn run(
    setup: Setup,
    house: House,
    mut wishes: UnboundedReceiver<Wish>,
) -> Result<Ended, Error> {
    let run = RunId::draw();
    let lease = take(&house, run).await?;
    tracing::info!(%run, policies = setup.policies.len(), "the daemon serves");
    let (send, mut news) = tokio::sync::mpsc::unbounded_channel();
    let tidying = tokio::spawn(aftermath::tidy(setup.clone(), house.rooms.clone()));
    let mut scheduler = Scheduler::new(setup, house, lease, send);
    scheduler.turn().await;
    systemd::ready();
    let ended = loop {
        tokio::select! {
            () = tokio::time::sleep(scheduler.pause()) => {}
            Some(wish) = wishes.recv() => scheduler.heed(wish),
            Some(news) = news.recv() => scheduler.hear(news),
        }
        if let Some(ended) = scheduler.turn().await {
            break ended;
        }
    };
    // What it has not come to is done by the policy's next run.
    tidying.abort();
    scheduler.leave().await?;
    Ok(ended)
}

async fn take(house: &House, run: RunId) -> Result<Lease, Error> {
    match house.rooms.state.lease(DAEMON, run, LEASE).await? {
        Ok(lease) => Ok(lease),
        Err(held) => Err(Error::Running { by: held.to_string() }),
    }
}
