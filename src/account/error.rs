//! Why a customer's belongings could not be opened, and what else an act meets before it begins.

use super::journal;
use crate::ground::secret;
use crate::ledger::{self, sign};
use crate::{repo, sandbox, state};

/// Why a customer's belongings could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("cannot use the store at {place}")]
    Store { place: String, source: crate::store::Error },
    #[error("cannot read the keys to {place}")]
    StoreKeys { place: String, source: secret::Error },
    #[error("cannot read the repository's password")]
    Password(#[source] secret::Error),
    #[error("cannot read the signing key")]
    SigningKey(#[source] secret::Error),
    #[error("the signing key is of no use")]
    Signer(#[from] sign::Error),
    #[error("cannot open the repository at {place}")]
    Repository { place: String, source: repo::OpenError },
    #[error("cannot read the repository")]
    Read(#[from] repo::Error),
    #[error("there is no repository at {place}, but there was one: {trace}")]
    RepositoryLost { place: String, trace: &'static str },
    /// Of two that append at once one would be lost.
    #[error("the store at {place} creates what is there already: it cannot hold a ledger")]
    NoLedger { place: String },
    #[error("cannot create the repository at {place}")]
    Create { place: String, source: repo::OpenError },
    #[error("{act} of {policy} is running already, by {by}")]
    Running { act: &'static str, policy: String, by: String },
    #[error("cannot use the daemon's own database")]
    State(#[from] state::Error),
    #[error("cannot lock the repository")]
    Lock(#[from] repo::lock::LockError),
    #[error("cannot write down what happened")]
    Journal(#[from] journal::Error),
    #[error("the ledger cannot be read or signed")]
    Checkpoint(#[source] ledger::Error),
    #[error("cannot clear away what an earlier run left in scratch")]
    Sweep(#[source] sandbox::Error),
    #[error("a thread ended early")]
    Thread(#[source] tokio::task::JoinError),
}
