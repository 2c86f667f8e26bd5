//! Waiting for a server no longer than may be, and not beyond an interrupt.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How often a waiting session looks whether the run was interrupted.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Why the wait ended without an answer.
pub(super) enum Waited {
    TooLong,
    Interrupted,
}

/// Waits for `future`, no longer than `limit` and until the run is interrupted.
pub(super) async fn within<T>(
    limit: Duration,
    interrupted: &AtomicBool,
    future: impl Future<Output = T>,
) -> Result<T, Waited> {
    let stop = async {
        while !interrupted.load(Ordering::Relaxed) {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    tokio::select! {
        biased;
        done = future => Ok(done),
        () = tokio::time::sleep(limit) => Err(Waited::TooLong),
        () = stop => Err(Waited::Interrupted),
    }
}
