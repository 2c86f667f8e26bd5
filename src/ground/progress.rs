//! How an act tells a person how far it got. The library never prints.

/// Receives the progress of one act; called from any thread, often: it must be quick.
pub trait Progress: Send + Sync {
    /// A phase begins; what was counted so far belonged to the one before. `total_bytes` where known.
    fn phase(&self, name: &str, total_bytes: Option<u64>);
    /// So much more of the phase is done.
    fn advance(&self, items: u64, bytes: u64);
    /// Something a person should see now: one line without a line end.
    fn note(&self, line: &str);
}

/// Says nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn phase(&self, _: &str, _: Option<u64>) {}
    fn advance(&self, _: u64, _: u64) {}
    fn note(&self, _: &str) {}
}
