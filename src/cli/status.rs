//! `lifeboat status`: how things stand, read from the bucket.

use crate::policy::PolicyName;

/// Show per policy: last success, data age, last drill, next runs
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Policies to show [default: all]
    #[arg(value_name = "POLICY")]
    policies: Vec<PolicyName>,
}
