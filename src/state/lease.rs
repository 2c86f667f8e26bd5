//! Leases: at most one run of an act at a time, and no way back for one that lost its lease.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{Error, State, failed};
use crate::ground::ids::RunId;
use crate::ground::process::{Identity, host_name};

/// Milliseconds since 1970 by the database's clock.
const NOW: &str = "SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER)";

/// Somebody else holds the lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    pub run: String,
    pub host: String,
    pub pid: u32,
    pub until: Timestamp,
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { run, host, pid, until } = self;
        write!(f, "process {pid} on {host} (run {run}), until {until} at the latest")
    }
}

/// The right to run one act. Not released when dropped: it ends with its time, or at once when
/// this process is gone.
#[derive(Debug)]
pub struct Lease {
    state: State,
    key: String,
    fence: i64,
    ttl: Duration,
}

struct Holder {
    held: Held,
    identity: Identity,
    until_ms: i64,
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
        let holder = sqlx::query(
            "SELECT run, host, pid, started_ticks, until_ms FROM lease WHERE key = ?",
        )
        .bind(key)
        .fetch_optional(&mut *work)
        .await
        .map_err(fail())?;
        if let Some(holder) = holder {
            let holder = read(&holder)?;
            if holder.until_ms > now && !holder.is_dead() {
                return Ok(Err(holder.held));
            }
        }
        let me = Identity::me();
        let fence: i64 = sqlx::query_scalar(
            "INSERT INTO lease (key, fence, run, host, pid, started_ticks, until_ms)
             VALUES (?1, 1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (key) DO UPDATE SET fence = fence + 1, run = ?2, host = ?3, pid = ?4,
               started_ticks = ?5, until_ms = ?6
             RETURNING fence",
        )
        .bind(key)
        .bind(run.to_string())
        .bind(host_name())
        .bind(i64::from(me.pid))
        .bind(me.started_ticks as i64)
        .bind(now.saturating_add(millis(ttl)))
        .fetch_one(&mut *work)
        .await
        .map_err(fail())?;
        work.commit().await.map_err(fail())?;
        Ok(Ok(Lease { state: self.clone(), key: key.to_owned(), fence, ttl }))
    }

    /// The runs that this host's living processes hold leases for.
    pub async fn living_runs(&self) -> Result<Vec<RunId>, Error> {
        let rows = sqlx::query(
            "SELECT run, host, pid, started_ticks, until_ms FROM lease WHERE until_ms > 0",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(failed("list leases"))?;
        let mut living = Vec::new();
        for row in &rows {
            let row = read(row)?;
            if !row.is_dead() {
                let nonsense = |_| Error::Nonsense { what: format!("run {}", row.held.run) };
                living.push(row.held.run.parse().map_err(nonsense)?);
            }
        }
        Ok(living)
    }
}

impl Lease {
    /// Holds it for its whole time again. Fails with [`Error::LeaseLost`] where somebody else
    /// took it over meanwhile: then nothing may be published any more.
    pub async fn renew(&mut self) -> Result<(), Error> {
        let now: i64 = sqlx::query_scalar(NOW)
            .fetch_one(&self.state.pool)
            .await
            .map_err(failed("renew a lease"))?;
        self.set_until(now.saturating_add(millis(self.ttl))).await
    }

    /// Gives it back. One that was lost is not given back.
    pub async fn release(self) -> Result<(), Error> {
        self.set_until(0).await
    }

    /// The number that tells this holder from every one before.
    pub fn fence(&self) -> i64 {
        self.fence
    }

    async fn set_until(&self, until_ms: i64) -> Result<(), Error> {
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

impl Holder {
    /// Whether its process, which ran on this host, is gone.
    fn is_dead(&self) -> bool {
        self.held.host == host_name() && !self.identity.is_alive()
    }
}

fn read(row: &SqliteRow) -> Result<Holder, Error> {
    let fail = || failed("read a lease");
    let until_ms: i64 = row.try_get("until_ms").map_err(fail())?;
    let pid: i64 = row.try_get("pid").map_err(fail())?;
    let started: i64 = row.try_get("started_ticks").map_err(fail())?;
    let identity = Identity {
        pid: u32::try_from(pid).map_err(|_| Error::Nonsense { what: format!("process {pid}") })?,
        started_ticks: started as u64,
    };
    let until = Timestamp::from_millisecond(until_ms)
        .map_err(|_| Error::Nonsense { what: format!("time {until_ms}") })?;
    Ok(Holder {
        held: Held {
            run: row.try_get("run").map_err(fail())?,
            host: row.try_get("host").map_err(fail())?,
            pid: identity.pid,
            until,
        },
        identity,
        until_ms,
    })
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
