//! Backups that came to nothing since the last that did not.

use jiff::Timestamp;
use serde::Serialize;

use super::super::output::visible;
use crate::ledger::record::{Body, Record};
use crate::policy::Policy;

/// As the ledger has them; its newest tells why.
#[derive(Debug, Serialize)]
pub(super) struct Aborted {
    number: u64,
    last: Timestamp,
    reason: String,
}

impl Aborted {
    /// None where the newest backup of `policy` that ended made a snapshot.
    pub(super) fn since_success(records: &[Record], policy: &Policy) -> Option<Self> {
        let mut since: Option<Self> = None;
        for record in records.iter().rev() {
            match &record.event.body {
                Body::BackupFinished(finished) if finished.policy == policy.name => break,
                Body::BackupAborted { policy: of, reason, .. } if *of == policy.name => {
                    let (last, reason) = (record.event.time, reason.clone());
                    since.get_or_insert(Self { number: 0, last, reason }).number += 1;
                }
                _ => {}
            }
        }
        since
    }

    /// `4 aborted since, last 2026-11-26 01:40:00Z: cannot capture …`.
    pub(super) fn text(&self) -> String {
        let last = self.last.strftime("%Y-%m-%d %H:%M:%SZ");
        format!("{} aborted since, last {last}: {}", self.number, visible(&self.reason))
    }
}
