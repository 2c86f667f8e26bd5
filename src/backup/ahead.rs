//! A first capture runs ahead of its repository.
//!
//! While the key is derived, on one core, and while key, configuration, the run's beginning and its lock
//! become durable, each before the next, sources can be read: there is nothing yet that could be known
//! already. What is ready waits in the writer's memory, which is bounded, until the lock is held.

use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tracing::Instrument as _;

use super::capture::{self, Captured};
use super::{Error, hooks, outward};
use crate::account::{Account, Rooms};
use crate::policy::{Policy, Setup};
use crate::repo::{Gate, Reader, SharedIndex};

/// A capture under way, of which nothing is stored yet.
pub(super) struct Ahead {
    gate: Gate,
    capture: JoinHandle<Result<Captured, Error>>,
}

impl Ahead {
    /// Begins to capture for an account of which nothing is stored; not where hooks stand around the
    /// capture, for those run once the run is on the ledger.
    pub(super) async fn begin(
        setup: &Setup,
        policy: &Policy,
        account: &Account,
        rooms: &Rooms,
    ) -> Result<Option<Self>, Error> {
        if !hooks::are_none(policy, rooms).await? {
            return Ok(None);
        }
        let index = SharedIndex::default();
        let reader = Reader::new(account.repository.clone(), index.clone());
        let outward = outward(account, policy, rooms);
        let writer = outward.writer(index, Handle::current(), rooms.clock.clone());
        let gate = writer.hold_back();
        let (setup, policy, rooms) = (setup.clone(), policy.clone(), rooms.clone());
        let capture = async move {
            tracing::info!(phase = "capture");
            capture::all(&setup, &policy, None, &reader, writer, &rooms).await
        };
        Ok(Some(Self { gate, capture: tokio::spawn(capture.in_current_span()) }))
    }

    /// What was captured; from now on it may be stored.
    pub(super) async fn captured(self) -> Result<Captured, Error> {
        self.gate.open();
        self.capture.await.map_err(Error::Thread)?
    }

    async fn give_up(self) {
        drop(self.gate);
        // Nobody learns of it: why there is no use for it is what is told.
        let _ = self.capture.await;
    }
}

/// What `entry` answers, without which there is no use for what runs ahead: where it fails, that ends.
pub(super) async fn unless_in_vain<T>(
    ahead: &mut Option<Ahead>,
    entry: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let entered = entry.await;
    if entered.is_err()
        && let Some(ahead) = ahead.take()
    {
        ahead.give_up().await;
    }
    entered
}
