//! `lifeboat doctor`: can each policy run here?

use crate::policy::PolicyName;

/// Check what policies need here: tools, log-ins, store access, space for scratch
///
/// Writes one small probe object to each store and removes it again.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Policies to check [default: all]
    #[arg(value_name = "POLICY")]
    policies: Vec<PolicyName>,
}
