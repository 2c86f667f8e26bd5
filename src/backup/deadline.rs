//! A run's time: when it is over, the run ends as if somebody had asked for its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;

use super::Error;
use crate::account::Rooms;
use crate::source;

/// The time of one run, if it is limited; dropped, nobody looks at the clock any more.
pub(super) struct Deadline {
    limit: Duration,
    passed: Arc<AtomicBool>,
    watch: JoinHandle<()>,
}

impl Deadline {
    /// Begins to count. Also answers the rooms for the run: asked to end when all acts are, and when
    /// its time is over.
    pub(super) fn begin(limit: Option<Duration>, rooms: &Rooms) -> (Option<Self>, Rooms) {
        let Some(limit) = limit else { return (None, rooms.clone()) };
        let own = Rooms { interrupted: Arc::default(), ..rooms.clone() };
        let passed = Arc::new(AtomicBool::new(false));
        let (outer, ends, over) = (rooms.clone(), own.interrupted.clone(), passed.clone());
        let watch = tokio::spawn(async move {
            let has_passed = outer.unless_interrupted(tokio::time::sleep(limit)).await.is_ok();
            over.store(has_passed, Ordering::Relaxed);
            ends.store(true, Ordering::Release);
        });
        (Some(Self { limit, passed, watch }), own)
    }

    /// What a run that failed died of: what came after its time was over came of that.
    pub(super) fn explain(&self, error: Error) -> Error {
        match error {
            error if !self.passed.load(Ordering::Relaxed) => error,
            Error::Interrupted(_) | Error::Capture { source: source::Error::Interrupted, .. } => {
                Error::Deadline { limit: self.limit, source: None }
            }
            error => Error::Deadline { limit: self.limit, source: Some(Box::new(error)) },
        }
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        self.watch.abort();
    }
}
