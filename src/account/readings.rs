//! What this host's state remembers of packs that were read.

use std::collections::HashMap;

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Account, Error, Rooms};
use crate::repo::PackId;
use crate::repo::prune::Refused;
use crate::repo::verify::Memory;

/// The readings of one customer's packs, as this host's state has them.
pub struct Readings<'a> {
    place: String,
    rooms: &'a Rooms,
}

impl<'a> Readings<'a> {
    pub fn of(account: &Account, rooms: &'a Rooms) -> Self {
        Self { place: account.repository.store().place(), rooms }
    }
}

impl Account {
    /// The packs that were damaged when this host read them the last time.
    pub async fn packs_found_damaged(&self, rooms: &Rooms) -> Result<Vec<PackId>, Error> {
        let readings = rooms.state.packs_read(&self.repository.store().place()).await?;
        let damaged = readings.into_iter().filter(|(_, time)| time.is_none());
        Ok(damaged.map(|(pack, _)| PackId(pack)).collect())
    }
}

#[async_trait]
impl Memory for Readings<'_> {
    async fn readings(&self) -> Result<HashMap<PackId, Option<Timestamp>>, Refused> {
        let packs = self.rooms.state.packs_read(&self.place).await?;
        Ok(packs.into_iter().map(|(pack, time)| (PackId(pack), time)).collect())
    }

    async fn remember(&self, read: &[(PackId, bool)]) -> Result<(), Refused> {
        let packs: Vec<_> = read.iter().map(|(pack, is_whole)| (pack.0, *is_whole)).collect();
        let now = self.rooms.clock.now();
        Ok(self.rooms.state.remember_packs_read(&self.place, &packs, now).await?)
    }

    async fn forget(&self, gone: &[PackId]) -> Result<(), Refused> {
        let packs: Vec<_> = gone.iter().map(|pack| pack.0).collect();
        Ok(self.rooms.state.forget_packs_read(&self.place, &packs).await?)
    }
}
