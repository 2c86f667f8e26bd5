//! The progress of runs that nobody watches: in the log, beside the run that it is of.

use crate::ground::progress::Progress;

/// Writes what acts have to say to the log.
#[derive(Debug, Clone, Copy, Default)]
pub struct Logged;

impl Progress for Logged {
    fn phase(&self, name: &str, _: Option<u64>) {
        tracing::debug!(step = name);
    }

    fn advance(&self, _: u64, _: u64) {}

    fn note(&self, line: &str) {
        tracing::warn!("{line}");
    }
}
