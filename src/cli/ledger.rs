//! `lifeboat ledger`: read the record of what was due and what happened, and verify it.

use std::path::PathBuf;

use crate::policy::PolicyName;

/// Read or verify the ledger
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: LedgerCommand,
}

#[derive(Debug, clap::Subcommand)]
enum LedgerCommand {
    Log(LogArgs),
    Show(ShowArgs),
    Verify(VerifyArgs),
}

/// List records, newest last
#[derive(Debug, clap::Args)]
struct LogArgs {
    /// Customer, or POLICY or CUSTOMER/POLICY for its records only
    #[arg(value_name = "POLICY|CUSTOMER")]
    of: PolicyName,
    /// At most this many of the newest; 0 lists all
    #[arg(long, value_name = "NUMBER", default_value_t = 50)]
    last: u64,
}

/// Show one record with its details
#[derive(Debug, clap::Args)]
struct ShowArgs {
    /// Customer, or POLICY or CUSTOMER/POLICY
    #[arg(value_name = "POLICY|CUSTOMER")]
    of: PolicyName,
    /// Number of the record
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    seq: u64,
}

/// Verify chain, root and signatures, and that nothing that was due is missing
///
/// Ends with 1 where anything is wrong; the first bad record is named.
#[derive(Debug, clap::Args)]
struct VerifyArgs {
    /// Customer, or POLICY or CUSTOMER/POLICY: the customer's whole ledger is verified
    #[arg(value_name = "POLICY|CUSTOMER")]
    of: PolicyName,
    /// A checkpoint that you kept from before: the ledger must still begin as it says
    #[arg(long, value_name = "FILE")]
    earlier: Option<PathBuf>,
    /// Accept signatures of these keys only (ssh-keygen's format) [default: the site's signing key]
    #[arg(long, value_name = "FILE")]
    allowed_signers: Option<PathBuf>,
}
