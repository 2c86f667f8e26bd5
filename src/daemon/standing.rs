//! How a daemon stands towards everybody else: its lease, its board, its word to the service manager.

use std::time::{Duration, Instant};

use super::ending::Stage;
use super::scheduler::Scheduler;
use crate::ground::causes::chain;
use crate::state::{self, Board, Lease};

/// How often the daemon's own lease is renewed.
const RENEW: Duration = Duration::from_secs(2 * 60);

/// The right to be the daemon of a state, and what was last said there.
pub(super) struct Standing {
    lease: Lease,
    renewed: Instant,
    posted: Option<Board>,
    /// Set where the state is another's, or gone.
    lost: Option<state::Error>,
}

impl Standing {
    pub(super) fn new(lease: Lease) -> Self {
        Self { lease, renewed: Instant::now(), posted: None, lost: None }
    }

    /// Gives the right back. Fails where it was lost.
    pub(super) async fn give_up(self) -> Result<(), state::Error> {
        if let Some(lost) = self.lost {
            return Err(lost);
        }
        self.lease.take_down().await?;
        self.lease.release().await
    }

    async fn renew(&mut self) -> Result<(), state::Error> {
        if self.renewed.elapsed() >= RENEW {
            self.lease.renew().await?;
            self.renewed = Instant::now();
        }
        Ok(())
    }

    async fn post(&mut self, board: Board) -> Result<(), state::Error> {
        if self.posted.as_ref() != Some(&board) {
            self.lease.post(&board).await?;
            self.posted = Some(board);
        }
        Ok(())
    }
}

impl Scheduler {
    /// Holds on to the lease and says on the board how things stand, where that changed. Where the
    /// state is this daemon's no longer, it ends.
    pub(super) async fn stand(&mut self) {
        if self.standing.lost.is_some() {
            return;
        }
        let board = Board {
            serves: self.setup.policies.iter().map(|policy| policy.full_name()).collect(),
            waiting: self.queue.waiting(),
            unapplied: self.unapplied.values().cloned().collect(),
            refused: self.refused.clone(),
            draining: !matches!(self.stage, Stage::Serving),
        };
        let stands = match self.standing.renew().await {
            Ok(()) => self.standing.post(board).await,
            lost => lost,
        };
        let Err(error) = stands else { return };
        tracing::error!("{}", chain(&error));
        if matches!(error, state::Error::LeaseLost { .. } | state::Error::Gone { .. }) {
            self.stage = self.interrupt("the state is no longer this daemon's");
            self.standing.lost = Some(error);
        }
    }

    /// One line for the service manager.
    pub(super) fn status(&self) -> String {
        let (running, waiting) = (self.queue.running().count(), self.queue.waiting().len());
        let next = self.calendar.next().map_or(String::new(), |next| {
            format!(", next slot {}", next.strftime("%Y-%m-%d %H:%M:%SZ"))
        });
        let refused =
            if self.refused.is_some() { "; the new configuration is refused" } else { "" };
        format!("{running} running, {waiting} waiting{next}{refused}")
    }
}
