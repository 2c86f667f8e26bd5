//! Slots that were handed to a run: what is remembered of them while the ledger is out of reach.

use jiff::Timestamp;

use super::{Error, State, failed};

/// How long a slot is remembered: by then the ledger has told of it.
const KEPT_MS: i64 = 90 * 24 * 3600 * 1000;

impl State {
    /// Remembers that a run answers `slot` of `series`; false where one did already.
    pub async fn begin_slot(&self, series: &str, slot: Timestamp) -> Result<bool, Error> {
        let slot = slot.as_millisecond();
        let fail = || failed("remember a slot");
        let begun = sqlx::query("INSERT OR IGNORE INTO begun_slot VALUES (?, ?)")
            .bind(series)
            .bind(slot)
            .execute(&self.pool)
            .await
            .map_err(fail())?;
        sqlx::query("DELETE FROM begun_slot WHERE series = ? AND slot_ms < ?")
            .bind(series)
            .bind(slot.saturating_sub(KEPT_MS))
            .execute(&self.pool)
            .await
            .map_err(fail())?;
        Ok(begun.rows_affected() == 1)
    }

    /// Whether a run answered `slot` of `series`, as far as is remembered here.
    pub async fn has_begun(&self, series: &str, slot: Timestamp) -> Result<bool, Error> {
        let found: i64 =
            sqlx::query_scalar("SELECT count(*) FROM begun_slot WHERE series = ? AND slot_ms = ?")
                .bind(series)
                .bind(slot.as_millisecond())
                .fetch_one(&self.pool)
                .await
                .map_err(failed("look up a slot"))?;
        Ok(found > 0)
    }
}
