//! `lifeboat drill`: rehearse one recovery now.

use crate::policy::DrillName;

/// Restore a snapshot into a scratch environment and prove that it is what was captured
///
/// Ends with 0 (pass), 4 (fail) or 5 (inconclusive) once the result is on the ledger.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What to rehearse: POLICY or CUSTOMER/POLICY (its only drill, or all rungs), or
    /// CUSTOMER/POLICY/DRILL
    drill: DrillName,
    /// Snapshot to restore: an id or the beginning of one [default: as the drill picks]
    #[arg(long, value_name = "ID")]
    snapshot: Option<String>,
}
