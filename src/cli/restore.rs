//! `lifeboat restore`: bring data back into a folder.

use std::path::PathBuf;

use crate::policy::PolicyName;
use crate::ground::ids::Name;

/// Restore a snapshot, or a part of it, into a folder
///
/// Every blob is verified. Nothing is ever written outside the folder.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Policy whose data to restore: POLICY or CUSTOMER/POLICY
    policy: PolicyName,
    /// Folder to restore into; must be empty or not exist
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Snapshot: an id, the beginning of one, or `latest`
    #[arg(long, value_name = "ID", default_value = "latest")]
    snapshot: String,
    /// Only this source; may be given several times [default: all]
    #[arg(long, value_name = "NAME")]
    source: Vec<Name>,
    /// Only what matches this pattern (.gitignore's syntax); may be given several times [default:
    /// everything]
    #[arg(long, value_name = "PATTERN")]
    include: Vec<String>,
    /// Restore although the folder is not empty; files in the way are replaced
    #[arg(long)]
    overwrite: bool,
}
