//! What those who remove stored data learn from the ledger, and tell it first.

use super::{Account, Error, Rooms, announced, published};
use crate::ground::ids::RunId;
use crate::ledger;
use crate::ledger::details::{self, FORMAT};
use crate::repo::prune::{Deletion, Known};

impl Account {
    /// What the ledger, held against what this host signed, knows of snapshots now.
    pub async fn known(&self, rooms: &Rooms) -> Result<Known, Error> {
        let records = self.sound_records(rooms).await?;
        Ok(Known { published: published(&records), given_up: announced(&records) })
    }
}

/// The details of a record that says what is about to be deleted.
pub fn details(run: RunId, what: &Deletion) -> Result<String, ledger::Error> {
    details::to_text(&details::Prune {
        format: FORMAT,
        lifeboat: env!("CARGO_PKG_VERSION").to_owned(),
        run,
        index_files: what.index_files.iter().map(|id| id.0).collect(),
        packs: what.packs.iter().map(|id| id.0).collect(),
    })
}
