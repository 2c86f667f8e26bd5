//! The board: what the daemon serves and what waits in its queue, for everybody on this host.
//!
//! One row, which only the daemon's lease may write. What a daemon that is gone left on it says
//! nothing any more.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::lease::Lease;
use super::{Error, Holder, State, failed};

/// The lease of the one daemon that a state has.
pub const DAEMON: &str = "daemon";

/// What a daemon says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Board {
    /// The policies whose slots it answers, as `customer/policy`.
    pub serves: BTreeSet<String>,
    /// What waits for its turn, for its time or for another try.
    pub waiting: Vec<Waiting>,
    /// Policies whose retention was not applied after their last complete backup.
    #[serde(default)]
    pub unapplied: Vec<Unapplied>,
    /// Why a reloaded configuration was not taken; the one before is in force.
    pub refused: Option<String>,
    /// It ends once what runs is done.
    pub draining: bool,
}

/// A run that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// `customer/policy`.
    pub policy: String,
    /// None: a backup.
    pub drill: Option<String>,
    pub slot: Timestamp,
    /// Not before this moment.
    pub at: Timestamp,
    /// How often it was tried.
    pub attempts: u32,
    /// Why the last try came to nothing.
    pub error: Option<String>,
}

/// Retention that was to be applied and was not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unapplied {
    /// `customer/policy`.
    pub policy: String,
    /// The first time since it was applied.
    pub since: Timestamp,
    /// Why it was not the last time.
    pub error: String,
}

impl State {
    /// What the daemon says of itself, and which process it is; none where none lives.
    pub async fn board(&self) -> Result<Option<(Holder, Board)>, Error> {
        let row: Option<(String, String)> = sqlx::query_as("SELECT holder, text FROM board")
            .fetch_optional(&self.pool)
            .await
            .map_err(failed("read the daemon's board"))?;
        let Some((holder, text)) = row else { return Ok(None) };
        let holder = Holder::read(&holder)?;
        if holder.is_gone() {
            return Ok(None);
        }
        let nonsense = |_| Error::Nonsense { what: "the daemon's board".into() };
        Ok(Some((holder, serde_json::from_str(&text).map_err(nonsense)?)))
    }

    /// The policies that a living daemon answers for, as `customer/policy`.
    pub async fn served(&self) -> Result<BTreeSet<String>, Error> {
        Ok(self.board().await?.map_or_else(BTreeSet::new, |(_, board)| board.serves))
    }
}

impl Lease {
    /// Writes the daemon's board. Fails with [`Error::LeaseLost`] where the lease is another's.
    pub async fn post(&self, board: &Board) -> Result<(), Error> {
        self.state.still_there()?;
        let text = serde_json::to_string(board).expect("texts and numbers always become JSON");
        let written = sqlx::query(
            "INSERT OR REPLACE INTO board (id, holder, text)
             SELECT 1, ?, ? FROM lease WHERE key = ? AND fence = ?",
        )
        .bind(Holder::me().written())
        .bind(text)
        .bind(&self.key)
        .bind(self.fence)
        .execute(&self.state.pool)
        .await
        .map_err(failed("write the daemon's board"))?;
        match written.rows_affected() {
            0 => Err(Error::LeaseLost { key: self.key.clone() }),
            _ => Ok(()),
        }
    }

    /// Takes the board down: nobody answers for anything any more.
    pub async fn take_down(&self) -> Result<(), Error> {
        self.post(&Board::default()).await
    }
}
