//! `lifeboat report`: what the ledger says, as a page for people.

use std::path::PathBuf;

use crate::policy::PolicyName;

/// Write a report
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: ReportCommand,
}

#[derive(Debug, clap::Subcommand)]
enum ReportCommand {
    Drill(DrillArgs),
}

/// Write the report of one drill: a self-contained HTML page for screen and paper
#[derive(Debug, clap::Args)]
struct DrillArgs {
    /// Policy whose drill to report: POLICY or CUSTOMER/POLICY
    policy: PolicyName,
    /// Number of the drill's record on the ledger [default: the newest finished drill]
    #[arg(long, value_name = "SEQ", value_parser = clap::value_parser!(u64).range(1..))]
    record: Option<u64>,
    /// Language [default: the customer's]
    #[arg(long, value_enum)]
    lang: Option<Lang>,
    /// File to write; one that exists is replaced [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Lang {
    /// 中文
    Zh,
    /// English
    En,
}

impl From<Lang> for crate::report::Lang {
    fn from(lang: Lang) -> Self {
        match lang {
            Lang::Zh => Self::Zh,
            Lang::En => Self::En,
        }
    }
}
