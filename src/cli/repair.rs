//! `lifeboat repair`: put right what is damaged, as far as what is stored allows.

mod index;
mod snapshots;

use super::{App, Exit};

/// Repair the repository behind a policy
///
/// Nothing that can be read is deleted. `lifeboat verify` tells what is damaged.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: RepairCommand,
}

#[derive(Debug, clap::Subcommand)]
enum RepairCommand {
    Index(index::Args),
    Snapshots(snapshots::Args),
}

pub(super) async fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    match args.command {
        RepairCommand::Index(args) => index::run(args, app).await,
        RepairCommand::Snapshots(args) => snapshots::run(args, app).await,
    }
}
