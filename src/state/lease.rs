//! Leases: at most one run of a policy at a time, and a run that lost its lease finds out.
//!
//! Every grant carries a higher fencing number than all before it; a holder that slept past its
//! end can neither renew nor release what another holds by now.

use std::time::Duration;

use jiff::Timestamp;
use sqlx::Row;

use super::{Error, Holder, Result, State};

/// The right to run a policy, until it ends or is given back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Whose it is.
    pub policy: String,
    /// Higher than that of every earlier lease of this policy.
    pub fence: i64,
}

impl State {
    /// Takes the lease of `policy` for `ttl` from `now`.
    ///
    /// [`Error::Held`] while another holds it: until its end has passed, or its holder is known
    /// to be gone. The same process holds it only once, too.
    pub async fn lease(
        &self,
        policy: &str,
        holder: &Holder,
        ttl: Duration,
        now: Timestamp,
    ) -> Result<Lease> {
        let action = "take a lease";
        let failed = Error::query(action);
        let mut writing = self.write(action).await?;
        let row = sqlx::query("SELECT fence, holder, until_ms FROM lease WHERE policy = ?")
            .bind(policy)
            .fetch_optional(&mut *writing)
            .await
            .map_err(&failed)?;
        let mut fence = 1;
        if let Some(row) = row {
            fence += row.try_get::<i64, _>(0).map_err(&failed)?;
            let until_ms: i64 = row.try_get(2).map_err(&failed)?;
            if let Some(by) = row.try_get::<Option<String>, _>(1).map_err(&failed)?
                && until_ms > now.as_millisecond()
            {
                let by = Holder::read(&by)?;
                if !by.is_gone() {
                    let by = Box::new(by);
                    let until = Timestamp::from_millisecond(until_ms).unwrap_or(Timestamp::MAX);
                    return Err(Error::Held { policy: policy.to_owned(), by, until });
                }
            }
        }
        sqlx::query(
            "INSERT OR REPLACE INTO lease (policy, fence, holder, until_ms) VALUES (?, ?, ?, ?)",
        )
        .bind(policy)
        .bind(fence)
        .bind(holder.written())
        .bind(end(now, ttl))
        .execute(&mut *writing)
        .await
        .map_err(&failed)?;
        writing.commit().await.map_err(&failed)?;
        Ok(Lease { policy: policy.to_owned(), fence })
    }

    /// Extends a lease to `ttl` from `now`; [`Error::Lost`] when another holds it by now.
    pub async fn renew(&self, lease: &Lease, ttl: Duration, now: Timestamp) -> Result<()> {
        let renewed = sqlx::query(
            "UPDATE lease SET until_ms = ? WHERE policy = ? AND fence = ? AND holder IS NOT NULL",
        )
        .bind(end(now, ttl))
        .bind(&lease.policy)
        .bind(lease.fence)
        .execute(&self.pool)
        .await
        .map_err(Error::query("renew a lease"))?;
        if renewed.rows_affected() == 1 {
            Ok(())
        } else {
            Err(Error::Lost { policy: lease.policy.clone() })
        }
    }

    /// Gives a lease back. One that another holds by now is left alone.
    pub async fn release(&self, lease: Lease) -> Result<()> {
        sqlx::query("UPDATE lease SET holder = NULL WHERE policy = ? AND fence = ?")
            .bind(&lease.policy)
            .bind(lease.fence)
            .execute(&self.pool)
            .await
            .map_err(Error::query("release a lease"))?;
        Ok(())
    }
}

fn end(now: Timestamp, ttl: Duration) -> i64 {
    now.as_millisecond().saturating_add(i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::process::Identity;

    const TTL: Duration = Duration::from_secs(60);

    async fn open(folder: &tempfile::TempDir) -> State {
        State::open(&format!("sqlite://{}/state.db", folder.path().display())).await.unwrap()
    }

    fn elsewhere(host: &str) -> Holder {
        let mut holder = Holder::me();
        holder.host = host.into();
        holder
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn of_many_that_race_for_a_lease_one_gets_it() {
        let folder = tempfile::tempdir().unwrap();
        let now = Timestamp::now();
        let mut racers = Vec::new();
        for _ in 0..8 {
            let state = open(&folder).await;
            racers.push(tokio::spawn(async move {
                state.lease("acme/shop", &Holder::me(), TTL, now).await
            }));
        }
        let mut won = 0;
        for racer in racers {
            match racer.await.unwrap() {
                Ok(_) => won += 1,
                Err(error) => assert!(matches!(error, Error::Held { .. }), "{error:?}"),
            }
        }

        assert_eq!(won, 1);
    }

    #[tokio::test]
    async fn an_ended_lease_is_taken_over_and_its_holder_finds_out() {
        let folder = tempfile::tempdir().unwrap();
        let state = open(&folder).await;
        let now = Timestamp::now();
        let first = state.lease("acme/shop", &elsewhere("a"), TTL, now).await.unwrap();
        state.renew(&first, TTL, now).await.unwrap();
        let held = state.lease("acme/shop", &elsewhere("b"), TTL, now).await.unwrap_err();
        assert!(held.to_string().contains("on a until"), "{held}");

        let later = now + 2 * TTL;
        let second = state.lease("acme/shop", &elsewhere("b"), TTL, later).await.unwrap();

        assert!(second.fence > first.fence);
        let lost = state.renew(&first, TTL, later).await.unwrap_err();
        assert!(matches!(lost, Error::Lost { .. }), "{lost:?}");
        state.release(first).await.unwrap();
        state.renew(&second, TTL, later).await.unwrap();
    }

    #[tokio::test]
    async fn a_dead_holder_of_this_host_is_replaced_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let state = open(&folder).await;
        let now = Timestamp::now();
        let me = Identity::me();
        let dead = Holder::here(Identity { started_ticks: me.started_ticks + 1, ..me });
        let first = state.lease("acme/shop", &dead, TTL, now).await.unwrap();

        let second = state.lease("acme/shop", &Holder::me(), TTL, now).await.unwrap();

        assert_eq!(second.fence, first.fence + 1);
    }

    #[tokio::test]
    async fn a_released_lease_is_free_and_cannot_be_renewed() {
        let folder = tempfile::tempdir().unwrap();
        let state = open(&folder).await;
        let now = Timestamp::now();
        let first = state.lease("acme/shop", &Holder::me(), TTL, now).await.unwrap();
        assert!(state.lease("acme/shop", &Holder::me(), TTL, now).await.is_err());

        state.release(first.clone()).await.unwrap();

        assert!(matches!(state.renew(&first, TTL, now).await, Err(Error::Lost { .. })));
        let second = state.lease("acme/shop", &Holder::me(), TTL, now).await.unwrap();
        assert!(second.fence > first.fence);
    }
}
