//! What a crash must not make us forget: locks we wrote, checkpoints we saw, hooks we owe.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{Error, Holder, Result, State};
use crate::ground::digest::Digest;

/// How far a ledger had come when it was last seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// Records.
    pub size: u64,
    /// The RFC 6962 root over them.
    pub root: Digest,
}

/// Hooks that must still run because others ran before them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owed {
    /// For [`State::settle`].
    pub id: i64,
    /// Whose hooks they are.
    pub policy: String,
    /// The programs, each with its arguments.
    pub argvs: Vec<Vec<String>>,
}

impl State {
    /// Remembers that `holder` wrote the lock `id` into the repository at `place`.
    pub async fn remember_lock(&self, place: &str, id: &str, holder: &Holder) -> Result<()> {
        sqlx::query("INSERT OR REPLACE INTO repository_lock (place, id, holder) VALUES (?, ?, ?)")
            .bind(place)
            .bind(id)
            .bind(holder.written())
            .execute(&self.pool)
            .await
            .map_err(Error::query("remember a lock"))?;
        Ok(())
    }

    /// Forgets a lock that is gone from the repository.
    pub async fn forget_lock(&self, place: &str, id: &str) -> Result<()> {
        sqlx::query("DELETE FROM repository_lock WHERE place = ? AND id = ?")
            .bind(place)
            .bind(id)
            .execute(&self.pool)
            .await
            .map_err(Error::query("forget a lock"))?;
        Ok(())
    }

    /// The remembered locks of the repository at `place` whose process is gone.
    pub async fn dead_locks(&self, place: &str) -> Result<Vec<String>> {
        let rows =
            sqlx::query("SELECT holder, id FROM repository_lock WHERE place = ? ORDER BY id")
                .bind(place)
                .fetch_all(&self.pool)
                .await
                .map_err(Error::query("find dead locks"))?;
        let dead = rows.iter().filter_map(|row| of_the_gone(row, |row| row.try_get(1)).transpose());
        dead.collect()
    }

    /// Remembers a checkpoint of the ledger at `place`. One that is no larger than what is
    /// remembered changes nothing: memory never goes back.
    pub async fn remember_checkpoint(&self, place: &str, seen: Checkpoint) -> Result<()> {
        sqlx::query(
            "INSERT INTO checkpoint (place, size, root) VALUES (?, ?, ?) ON CONFLICT (place) DO \
             UPDATE SET size = excluded.size, root = excluded.root WHERE excluded.size > size",
        )
        .bind(place)
        .bind(i64::try_from(seen.size).unwrap_or(i64::MAX))
        .bind(seen.root.to_string())
        .execute(&self.pool)
        .await
        .map_err(Error::query("remember a checkpoint"))?;
        Ok(())
    }

    /// The largest checkpoint seen of the ledger at `place`.
    pub async fn newest_checkpoint(&self, place: &str) -> Result<Option<Checkpoint>> {
        let failed = Error::query("recall a checkpoint");
        let row = sqlx::query("SELECT size, root FROM checkpoint WHERE place = ?")
            .bind(place)
            .fetch_optional(&self.pool)
            .await
            .map_err(&failed)?;
        let Some(row) = row else { return Ok(None) };
        let size: i64 = row.try_get(0).map_err(&failed)?;
        let root: String = row.try_get(1).map_err(&failed)?;
        let root = root.parse().map_err(|error| failed(sqlx::Error::Decode(Box::new(error))))?;
        Ok(Some(Checkpoint { size: size.unsigned_abs(), root }))
    }

    /// Remembers, before the `before` hooks of `policy` run, that `argvs` must run after them;
    /// answers the number by which [`State::settle`] knows it.
    pub async fn owe(&self, policy: &str, argvs: &[Vec<String>], holder: &Holder) -> Result<i64> {
        let argvs = serde_json::to_string(argvs).expect("lists of text always become JSON");
        let added = sqlx::query("INSERT INTO owed_hook (policy, argvs, holder) VALUES (?, ?, ?)")
            .bind(policy)
            .bind(argvs)
            .bind(holder.written())
            .execute(&self.pool)
            .await
            .map_err(Error::query("remember a hook"))?;
        Ok(added.last_insert_rowid())
    }

    /// Forgets what is no longer owed.
    pub async fn settle(&self, id: i64) -> Result<()> {
        sqlx::query("DELETE FROM owed_hook WHERE id = ?")
            .bind(id)
            .execute(&self.pool)
            .await
            .map_err(Error::query("settle a hook"))?;
        Ok(())
    }

    /// What processes that are gone still owe, oldest first.
    pub async fn owed(&self) -> Result<Vec<Owed>> {
        let rows = sqlx::query("SELECT holder, argvs, id, policy FROM owed_hook ORDER BY id")
            .fetch_all(&self.pool)
            .await
            .map_err(Error::query("find owed hooks"))?;
        let columns = |row: &SqliteRow| Ok((row.try_get(1)?, row.try_get(2)?, row.try_get(3)?));
        let owed = rows.iter().filter_map(|row| {
            let found = of_the_gone(row, columns).transpose()?;
            Some(found.and_then(|(argvs, id, policy): (String, i64, String)| {
                let argvs = serde_json::from_str(&argvs)
                    .map_err(|source| Error::Unreadable { what: "a hook", source })?;
                Ok(Owed { id, policy, argvs })
            }))
        });
        owed.collect()
    }
}

/// What `columns` reads of a row whose holder, its first column, is gone.
fn of_the_gone<T>(
    row: &SqliteRow,
    columns: impl Fn(&SqliteRow) -> sqlx::Result<T>,
) -> Result<Option<T>> {
    let failed = Error::query("read a row");
    let holder: String = row.try_get(0).map_err(&failed)?;
    if !Holder::read(&holder)?.is_gone() {
        return Ok(None);
    }
    columns(row).map(Some).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::process::Identity;

    async fn open(folder: &tempfile::TempDir) -> State {
        State::open(&format!("sqlite://{}/state.db", folder.path().display())).await.unwrap()
    }

    fn dead() -> Holder {
        let me = Identity::me();
        Holder::here(Identity { started_ticks: me.started_ticks + 1, ..me })
    }

    #[tokio::test]
    async fn locks_of_the_dead_are_found_at_their_place_only() {
        let folder = tempfile::tempdir().unwrap();
        let state = open(&folder).await;
        state.remember_lock("here", "aa", &dead()).await.unwrap();
        state.remember_lock("here", "bb", &Holder::me()).await.unwrap();
        state.remember_lock("there", "cc", &dead()).await.unwrap();

        assert_eq!(state.dead_locks("here").await.unwrap(), ["aa"]);
        state.forget_lock("here", "aa").await.unwrap();
        assert!(state.dead_locks("here").await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_remembered_checkpoint_never_goes_back() {
        let folder = tempfile::tempdir().unwrap();
        let state = open(&folder).await;
        assert_eq!(state.newest_checkpoint("acme").await.unwrap(), None);
        let large = Checkpoint { size: 9, root: Digest::of(b"nine") };
        let forked = Checkpoint { size: 9, root: Digest::of(b"another nine") };
        let small = Checkpoint { size: 3, root: Digest::of(b"three") };

        for seen in [large, forked, small] {
            state.remember_checkpoint("acme", seen).await.unwrap();
        }

        assert_eq!(state.newest_checkpoint("acme").await.unwrap(), Some(large));
    }

    #[tokio::test]
    async fn a_hook_is_owed_from_the_moment_its_run_is_dead_until_it_is_settled() {
        let folder = tempfile::tempdir().unwrap();
        let state = open(&folder).await;
        let resume = vec![vec!["/usr/local/bin/resume-shop".to_owned(), "now; rm".to_owned()]];
        state.owe("acme/shop", &resume, &Holder::me()).await.unwrap();
        let id = state.owe("acme/shop", &resume, &dead()).await.unwrap();
        state.clone().close().await;
        let state = open(&folder).await;

        let owed = state.owed().await.unwrap();

        assert_eq!(owed, [Owed { id, policy: "acme/shop".into(), argvs: resume }]);
        state.settle(id).await.unwrap();
        assert!(state.owed().await.unwrap().is_empty());
    }
}
