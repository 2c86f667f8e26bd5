//! The lease on an act, held for as long as the act runs.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::{Error, Rooms};
use crate::ground::causes::chain;
use crate::ground::ids::RunId;
use crate::state::{self, Lease};

/// How long a lease lives without being renewed.
const LIFE: Duration = Duration::from_secs(10 * 60);
/// How often it is renewed: a few renewals may fail before it is lost.
const EVERY: Duration = Duration::from_secs(2 * 60);

/// The right to run one act of one policy. A task renews it, so that an act that takes hours is not
/// begun a second time; dropped, or with its process, the renewing ends.
#[derive(Debug)]
pub struct Leased {
    lease: Arc<Lease>,
    keeper: JoinHandle<()>,
}

impl Leased {
    /// Takes the lease on one kind of act of one policy: no two of them run at once.
    pub async fn take(
        act: &'static str,
        policy: &str,
        run: RunId,
        rooms: &Rooms,
    ) -> Result<Self, Error> {
        match rooms.state.lease(&format!("{act} {policy}"), run, LIFE).await? {
            Ok(lease) => Ok(Self::keep(lease, EVERY)),
            Err(held) => {
                Err(Error::Running { act, policy: policy.to_owned(), by: held.to_string() })
            }
        }
    }

    fn keep(lease: Lease, every: Duration) -> Self {
        let lease = Arc::new(lease);
        let kept = lease.clone();
        let keeper = tokio::spawn(async move {
            loop {
                tokio::time::sleep(every).await;
                match kept.renew().await {
                    Ok(()) => {}
                    // The act learns of it before it publishes.
                    Err(state::Error::LeaseLost { .. } | state::Error::Gone { .. }) => return,
                    Err(error) => {
                        let error = &error as &dyn std::error::Error;
                        tracing::warn!(error, "cannot renew a lease");
                    }
                }
            }
        });
        Self { lease, keeper }
    }

    /// To be called right before publishing: fails where somebody else took it over.
    pub async fn renew(&self) -> Result<(), Error> {
        Ok(self.lease.renew().await?)
    }

    /// Gives it back after the act; that it was lost since is only worth a note.
    pub async fn give_back(self, rooms: &Rooms) {
        self.keeper.abort();
        if let Err(error) = self.lease.release().await {
            rooms.progress.note(&chain(&error));
        }
    }
}

impl Drop for Leased {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::State;

    #[tokio::test]
    async fn a_lease_is_renewed_for_as_long_as_its_act_runs() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(&folder.path().join("state.db")).await.unwrap();
        let lease = state.lease("backup acme/shop", RunId::draw(), LIFE).await.unwrap().unwrap();
        let until = async || {
            let held = state.lease("backup acme/shop", RunId::draw(), LIFE).await.unwrap();
            held.unwrap_err().until
        };
        let first = until().await;

        let leased = Leased::keep(lease, Duration::from_millis(1));

        let renewed = async { while until().await <= first {} };
        tokio::time::timeout(Duration::from_secs(20), renewed).await.expect("it is renewed");
        drop(leased);
        assert!(state.lease("backup acme/shop", RunId::draw(), LIFE).await.unwrap().is_err());
    }
}
