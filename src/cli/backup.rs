//! `lifeboat backup`: capture a policy's sources into one snapshot.

use crate::policy::PolicyName;

/// Back up all sources of a policy into one snapshot
///
/// Ends with 3 where some items could not be read; they are listed and the snapshot is tagged
/// `incomplete`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Policy to run: POLICY or CUSTOMER/POLICY
    policy: PolicyName,
}
