//! `lifeboat snapshots`: what there is to restore.

use crate::policy::PolicyName;

/// List snapshots, newest last
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only this policy's [default: every snapshot of every repository, restic's own too]
    policy: Option<PolicyName>,
}
