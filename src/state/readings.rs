//! Packs that were read on this host, so that a part at a time becomes everything. Lost with the
//! state: then reading begins anew.

use std::collections::HashMap;

use jiff::Timestamp;
use sqlx::Row;

use super::{Error, State, failed};
use crate::ground::digest::Digest;

impl State {
    /// The packs of the repository at `place` that were read, and when: none of one that was damaged.
    pub async fn packs_read(
        &self,
        place: &str,
    ) -> Result<HashMap<Digest, Option<Timestamp>>, Error> {
        let fail = || failed("look up which packs were read");
        let rows = sqlx::query("SELECT pack, read_ms FROM pack_read WHERE place = ?")
            .bind(place)
            .fetch_all(&self.pool)
            .await
            .map_err(fail())?;
        let nonsense = || Error::Nonsense { what: format!("a reading of a pack of {place}") };
        let mut packs = HashMap::with_capacity(rows.len());
        for row in rows {
            let pack: Vec<u8> = row.try_get("pack").map_err(fail())?;
            let read_ms: Option<i64> = row.try_get("read_ms").map_err(fail())?;
            let time = read_ms.map(Timestamp::from_millisecond).transpose();
            let pack = <[u8; 32]>::try_from(pack).map_err(|_| nonsense())?;
            packs.insert(Digest(pack), time.map_err(|_| nonsense())?);
        }
        Ok(packs)
    }

    /// Remembers that these packs of the repository at `place` were read at `time`, and whether each
    /// was whole.
    pub async fn remember_packs_read(
        &self,
        place: &str,
        packs: &[(Digest, bool)],
        time: Timestamp,
    ) -> Result<(), Error> {
        let fail = || failed("remember which packs were read");
        let mut work = self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(fail())?;
        for (pack, is_whole) in packs {
            sqlx::query("INSERT OR REPLACE INTO pack_read VALUES (?, ?, ?)")
                .bind(place)
                .bind(&pack.0[..])
                .bind(is_whole.then_some(time.as_millisecond()))
                .execute(&mut *work)
                .await
                .map_err(fail())?;
        }
        work.commit().await.map_err(fail())
    }

    /// Forgets packs of the repository at `place` that are gone.
    pub async fn forget_packs_read(&self, place: &str, packs: &[Digest]) -> Result<(), Error> {
        let fail = || failed("forget packs that are gone");
        let mut work = self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(fail())?;
        for pack in packs {
            sqlx::query("DELETE FROM pack_read WHERE place = ? AND pack = ?")
                .bind(place)
                .bind(&pack.0[..])
                .execute(&mut *work)
                .await
                .map_err(fail())?;
        }
        work.commit().await.map_err(fail())
    }
}
