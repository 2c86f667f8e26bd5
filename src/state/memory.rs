//! What this host remembers of buckets: locks it wrote, the newest checkpoint it signed, and the key
//! file that opened a repository.

use sqlx::Row;

use super::{Error, Holder, State, failed};
use crate::ground::digest::Digest;

impl State {
    /// Remembers that this process wrote the lock `id` in the repository at `place`.
    pub async fn remember_lock(&self, place: &str, id: &str) -> Result<(), Error> {
        sqlx::query("INSERT OR REPLACE INTO repository_lock VALUES (?, ?, ?)")
            .bind(place)
            .bind(id)
            .bind(Holder::me().written())
            .execute(&self.pool)
            .await
            .map_err(failed("remember a lock"))?;
        Ok(())
    }

    /// Forgets a lock that is removed.
    pub async fn forget_lock(&self, place: &str, id: &str) -> Result<(), Error> {
        sqlx::query("DELETE FROM repository_lock WHERE place = ? AND id = ?")
            .bind(place)
            .bind(id)
            .execute(&self.pool)
            .await
            .map_err(failed("forget a lock"))?;
        Ok(())
    }

    /// Locks at `place` that processes of this host wrote which are gone.
    pub async fn dead_locks(&self, place: &str) -> Result<Vec<String>, Error> {
        let fail = || failed("look up locks");
        let rows = sqlx::query("SELECT id, holder FROM repository_lock WHERE place = ?")
            .bind(place)
            .fetch_all(&self.pool)
            .await
            .map_err(fail())?;
        let mut dead = Vec::new();
        for row in rows {
            if Holder::read(row.try_get("holder").map_err(fail())?)?.is_gone() {
                dead.push(row.try_get("id").map_err(fail())?);
            }
        }
        Ok(dead)
    }

    /// Remembers the newest checkpoint of the ledger at `place`; an older one changes nothing.
    pub async fn remember_checkpoint(
        &self,
        place: &str,
        size: u64,
        root: Digest,
    ) -> Result<(), Error> {
        sqlx::query(
            "INSERT INTO checkpoint VALUES (?1, ?2, ?3) ON CONFLICT (place) DO UPDATE
             SET size = ?2, root = ?3 WHERE excluded.size >= size",
        )
        .bind(place)
        .bind(i64::try_from(size).unwrap_or(i64::MAX))
        .bind(root.to_string())
        .execute(&self.pool)
        .await
        .map_err(failed("remember a checkpoint"))?;
        Ok(())
    }

    /// Remembers the key file, of so many bytes, that opened the repository at `place`.
    pub async fn remember_opening_key(
        &self,
        place: &str,
        id: Digest,
        bytes: u64,
    ) -> Result<(), Error> {
        sqlx::query("INSERT OR REPLACE INTO opening_key VALUES (?, ?, ?)")
            .bind(place)
            .bind(id.to_string())
            .bind(i64::try_from(bytes).unwrap_or(i64::MAX))
            .execute(&self.pool)
            .await
            .map_err(failed("remember a key file"))?;
        Ok(())
    }

    /// The key file that was remembered last for `place`, and its bytes.
    pub async fn opening_key(&self, place: &str) -> Result<Option<(Digest, u64)>, Error> {
        let fail = || failed("look up a key file");
        let row = sqlx::query("SELECT id, bytes FROM opening_key WHERE place = ?")
            .bind(place)
            .fetch_optional(&self.pool)
            .await
            .map_err(fail())?;
        let Some(row) = row else { return Ok(None) };
        let id: String = row.try_get("id").map_err(fail())?;
        let bytes: i64 = row.try_get("bytes").map_err(fail())?;
        match (id.parse(), u64::try_from(bytes)) {
            (Ok(id), Ok(bytes)) => Ok(Some((id, bytes))),
            _ => Err(Error::Nonsense { what: format!("a key file of {place}") }),
        }
    }

    /// Forgets what was remembered of runs and can be learnt again. Hooks that are owed stay, and so
    /// do leases, whose numbers must never begin anew, and checkpoints: no bucket can tell that it
    /// was rolled back.
    pub async fn forget_memories(&self) -> Result<(), Error> {
        sqlx::raw_sql("DELETE FROM board; DELETE FROM begun_slot; DELETE FROM opening_key;")
            .execute(&self.pool)
            .await
            .map_err(failed("forget what can be learnt again"))?;
        Ok(())
    }

    /// Size and root of the newest checkpoint that was remembered for `place`.
    pub async fn newest_checkpoint(&self, place: &str) -> Result<Option<(u64, Digest)>, Error> {
        let fail = || failed("look up a checkpoint");
        let row = sqlx::query("SELECT size, root FROM checkpoint WHERE place = ?")
            .bind(place)
            .fetch_optional(&self.pool)
            .await
            .map_err(fail())?;
        let Some(row) = row else { return Ok(None) };
        let size: i64 = row.try_get("size").map_err(fail())?;
        let root: String = row.try_get("root").map_err(fail())?;
        match (u64::try_from(size), root.parse()) {
            (Ok(size), Ok(root)) => Ok(Some((size, root))),
            _ => Err(Error::Nonsense { what: format!("a checkpoint of {place}") }),
        }
    }
}
