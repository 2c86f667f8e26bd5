//! Leases: at most one run of an act at a time, and no way back for one that lost its lease.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{Error, Holder, State, failed};
use crate::ground::ids::RunId;

/// Milliseconds since 1970 by the database's clock.
const NOW: &str = "SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER)";

/// Somebody else holds the lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    pub run: String,
    pub by: Holder,
    pub until: Timestamp,
}

impl Held {
    /// When its run began: run ids carry the time at which they were drawn.
    pub fn since(&self) -> Option<Timestamp> {
        let run: RunId = self.run.parse().ok()?;
        let (seconds, nanoseconds) = run.0.get_timestamp()?.to_unix();
        Timestamp::new(i64::try_from(seconds).ok()?, i32::try_from(nanoseconds).ok()?).ok()
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { run, by, until } = self;
        write!(f, "{by} (run {run}")?;
        if let Some(since) = self.since() {
            write!(f, ", since {}", since.strftime("%Y-%m-%d %H:%M:%SZ"))?;
        }
        write!(f, "), until {until} at the latest")
    }
}

/// The right to run one act. Not released when dropped: it ends with its time, or at once when
/// this process is gone.
#[derive(Debug)]
pub struct Lease {
    pub(super) state: State,
    pub(super) key: String,
    /// The number that tells this holder from every one before.
    pub(super) fence: i64,
    ttl: Duration,
}

impl State {
    /// Takes the lease on `key` for `run`, unless somebody holds it whose time is not over and, on
    /// this host, whose process lives.
    pub async fn lease(
        &self,
        key: &str,
        run: RunId,
        ttl: Duration,
    ) -> Result<Result<Lease, Held>, Error> {
        let fail = || failed("take a lease");
        let mut work = self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(fail())?;
        let now: i64 = sqlx::query_scalar(NOW).fetch_one(&mut *work).await.map_err(fail())?;
        let holder = sqlx::query("SELECT run, holder, until_ms FROM lease WHERE key = ?")
            .bind(key)
            .fetch_optional(&mut *work)
            .await
            .map_err(fail())?;
        if let Some(holder) = holder {
            let held = read(&holder)?;
            if held.until.as_millisecond() > now && !held.by.is_gone() {
                return Ok(Err(held));
            }
        }
        let fence: i64 = sqlx::query_scalar(
            "INSERT INTO lease (key, fence, run, holder, until_ms) VALUES (?1, 1, ?2, ?3, ?4)
             ON CONFLICT (key) DO UPDATE
               SET fence = fence + 1, run = ?2, holder = ?3, until_ms = ?4
             RETURNING fence",
        )
        .bind(key)
        .bind(run.to_string())
        .bind(Holder::me().written())
        .bind(now.saturating_add(millis(ttl)))
        .fetch_one(&mut *work)
        .await
        .map_err(fail())?;
        work.commit().await.map_err(fail())?;
        Ok(Ok(Lease { state: self.clone(), key: key.to_owned(), fence, ttl }))
    }

    /// The leases that living processes hold, by their keys.
    pub async fn held_leases(&self) -> Result<Vec<(String, Held)>, Error> {
        let fail = || failed("list leases");
        let query = "SELECT key, run, holder, until_ms FROM lease WHERE until_ms > 0 ORDER BY key";
        let rows = sqlx::query(query).fetch_all(&self.pool).await.map_err(fail())?;
        let mut held = Vec::new();
        for row in &rows {
            held.push((row.try_get("key").map_err(fail())?, read(row)?));
        }
        held.retain(|(_, held)| !held.by.is_gone());
        Ok(held)
    }

    /// The runs that this host's living processes hold leases for.
    pub async fn living_runs(&self) -> Result<Vec<RunId>, Error> {
        let run = |(_, held): (String, Held)| {
            let nonsense = |_| Error::Nonsense { what: format!("run {}", held.run) };
            held.run.parse().map_err(nonsense)
        };
        self.held_leases().await?.into_iter().map(run).collect()
    }
}

impl Lease {
    /// Holds it for its whole time again. Fails with [`Error::LeaseLost`] where somebody else
    /// took it over meanwhile, and with [`Error::Gone`] where the state itself did not last: then
    /// nothing may be published any more.
    pub async fn renew(&self) -> Result<(), Error> {
        let now: i64 = sqlx::query_scalar(NOW)
            .fetch_one(&self.state.pool)
            .await
            .map_err(failed("renew a lease"))?;
        self.set_until(now.saturating_add(millis(self.ttl))).await
    }

    /// Gives it back. One that was lost is not given back.
    pub async fn release(&self) -> Result<(), Error> {
        self.set_until(0).await
    }

    async fn set_until(&self, until_ms: i64) -> Result<(), Error> {
        self.state.still_there()?;
        let changed = sqlx::query("UPDATE lease SET until_ms = ? WHERE key = ? AND fence = ?")
            .bind(until_ms)
            .bind(&self.key)
            .bind(self.fence)
            .execute(&self.state.pool)
            .await
            .map_err(failed("renew a lease"))?;
        match changed.rows_affected() {
            0 => Err(Error::LeaseLost { key: self.key.clone() }),
            _ => Ok(()),
        }
    }
}

fn read(row: &SqliteRow) -> Result<Held, Error> {
    let fail = || failed("read a lease");
    let until_ms: i64 = row.try_get("until_ms").map_err(fail())?;
    let nonsense = |_| Error::Nonsense { what: format!("the time {until_ms}") };
    Ok(Held {
        run: row.try_get("run").map_err(fail())?,
        by: Holder::read(row.try_get("holder").map_err(fail())?)?,
        until: Timestamp::from_millisecond(until_ms).map_err(nonsense)?,
    })
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
