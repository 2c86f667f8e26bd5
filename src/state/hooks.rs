//! Hooks that are owed: `before` ran, so `after` must, whatever happens in between.

use super::{Error, State, failed};

impl State {
    /// Remembers that the program `argv` is owed for `key`.
    pub async fn owe_hook(&self, key: &str, argv: &[String]) -> Result<(), Error> {
        let text = serde_json::to_string(argv).expect("a list of texts is always JSON");
        sqlx::query("INSERT OR REPLACE INTO owed_hook (key, argv) VALUES (?, ?)")
            .bind(key)
            .bind(text)
            .execute(&self.pool)
            .await
            .map_err(failed("remember a hook"))?;
        Ok(())
    }

    /// What is owed for `key`.
    pub async fn owed_hook(&self, key: &str) -> Result<Option<Vec<String>>, Error> {
        let text: Option<String> = sqlx::query_scalar("SELECT argv FROM owed_hook WHERE key = ?")
            .bind(key)
            .fetch_optional(&self.pool)
            .await
            .map_err(failed("look up a hook"))?;
        let nonsense = |_| Error::Nonsense { what: format!("the hook owed for {key}") };
        text.map(|text| serde_json::from_str(&text).map_err(nonsense)).transpose()
    }

    /// Forgets what was owed for `key`: it ran.
    pub async fn settle_hook(&self, key: &str) -> Result<(), Error> {
        sqlx::query("DELETE FROM owed_hook WHERE key = ?")
            .bind(key)
            .execute(&self.pool)
            .await
            .map_err(failed("forget a hook"))?;
        Ok(())
    }
}
