//! Trying again what the client does not: bodies that break off, answers that make no sense,
//! conflicts of conditional writes.

use std::time::Duration;

use super::{S3, Trouble};

/// How often something is tried.
const TRIES: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(200);

impl S3 {
    /// Runs `act` until it succeeds or fails for good, with random pauses that double.
    pub(super) async fn again<T, F>(&self, act: impl Fn() -> F) -> Result<T, Trouble>
    where
        F: Future<Output = Result<T, Trouble>>,
    {
        let mut pause = FIRST_PAUSE;
        for attempt in 2..=TRIES {
            match act().await {
                Err(trouble) if trouble.passes() => {
                    tracing::info!(
                        trouble = &trouble as &dyn std::error::Error,
                        "to be tried again"
                    );
                    tokio::time::sleep(pause.mul_f64(rand::random())).await;
                    pause *= 2;
                    self.waiting.tell(attempt);
                }
                settled => return settled,
            }
        }
        act().await
    }
}
