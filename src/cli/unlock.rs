//! `lifeboat unlock`: remove locks that nobody holds any more.

use crate::policy::PolicyName;

/// Remove stale locks from the repository behind a policy
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Policy whose repository to unlock: POLICY or CUSTOMER/POLICY
    policy: PolicyName,
    /// Remove every lock, also of runs that are still going on: they stop before they publish
    #[arg(long)]
    all: bool,
}
