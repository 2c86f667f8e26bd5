//! What a forget writes down: what is to go before it goes, and what came of it.

use super::{Error, Run};
use crate::account;
use crate::ground::digest::Digest;
use crate::ledger::record::Body;
use crate::repo::SnapshotId;

/// Snapshots that one record names.
const NAMED: usize = 500;

impl Run<'_> {
    /// Names what is to go, and what is gone already.
    pub(super) async fn write_before(
        &self,
        going: &[SnapshotId],
        lost: &[SnapshotId],
    ) -> Result<(), Error> {
        let given_up = |snapshots: &[SnapshotId], why: &str| Body::ForgetStarted {
            policy: self.policy.name.clone(),
            run: self.id,
            snapshots: snapshots.iter().map(|id| id.0).collect::<Vec<Digest>>(),
            why: why.to_owned(),
        };
        let rules = self.kept.to_string();
        let bodies = going.chunks(NAMED).map(|going| given_up(going, &rules));
        let accepted = "they were gone already, which a person accepted";
        let bodies = bodies.chain(lost.chunks(NAMED).map(|lost| given_up(lost, accepted)));
        let bodies: Vec<_> = bodies.collect();
        if !bodies.is_empty() {
            let written = self.account.journal.record_before(bodies, Vec::new()).await;
            written.map_err(account::Error::from)?;
        }
        Ok(())
    }

    /// Names what is gone. With nothing to name too: what was announced and stayed has no excuse to
    /// be missing from then on.
    pub(super) async fn write_after(&self, gone: &[SnapshotId], left: usize) -> Result<(), Error> {
        let finished = |gone: &[SnapshotId]| Body::ForgetFinished {
            policy: self.policy.name.clone(),
            run: self.id,
            snapshots: gone.iter().map(|id| id.0).collect(),
            left: left as u64,
        };
        let mut bodies: Vec<_> = gone.chunks(NAMED).map(finished).collect();
        if bodies.is_empty() {
            bodies.push(finished(&[]));
        }
        let recorded = self.account.journal.record(bodies).await;
        account::tell(&recorded.map_err(account::Error::from)?, &*self.rooms.progress);
        Ok(())
    }
}
