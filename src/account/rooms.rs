//! What this process has for itself, whoever the customer is.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::{Error, journal};
use crate::ground::clock::Clock;
use crate::ground::ids::Name;
use crate::ground::progress::Progress;
use crate::ledger::outbox::Outbox;
use crate::ledger::record::Actor;
use crate::source;
use crate::state::State;

/// How soon waiting work learns that somebody asked for an end.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What this process has for itself, whoever the customer is. Clones share it.
#[derive(Clone)]
pub struct Rooms {
    pub state: State,
    pub clock: Arc<dyn Clock>,
    pub progress: Arc<dyn Progress>,
    pub interrupted: Arc<AtomicBool>,
    pub actor: Actor,
    pub host: source::Host,
    /// The folder of outboxes; durable.
    pub outbox: PathBuf,
}

impl Rooms {
    /// Fails once somebody asked for an end.
    pub fn check_interrupted(&self) -> Result<(), Interrupted> {
        if self.interrupted.load(Ordering::Relaxed) { Err(Interrupted) } else { Ok(()) }
    }

    /// How many entries wait on this host for `customer`'s ledger to take them.
    pub async fn waiting(&self, customer: &Name) -> Result<usize, Error> {
        let (folder, customer) = (self.outbox.clone(), customer.clone());
        // Waits for another process that delivers or holds.
        let looked = tokio::task::spawn_blocking(move || Outbox::open(&folder)?.waiting(&customer));
        Ok(looked.await.map_err(Error::Thread)?.map_err(journal::Error::from)?)
    }

    /// What `work` answers; once somebody asks for an end it is dropped where it waits.
    pub async fn unless_interrupted<T>(
        &self,
        work: impl Future<Output = T>,
    ) -> Result<T, Interrupted> {
        let asked = async {
            while !self.interrupted.load(Ordering::Relaxed) {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        tokio::select! {
            done = work => Ok(done),
            () = asked => Err(Interrupted),
        }
    }
}

/// Somebody asked for an end.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted;
