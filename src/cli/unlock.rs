//! `lifeboat unlock`: remove locks that nobody holds any more.

use serde::Serialize;

use super::app::Opened;
use super::{App, Exit};
use crate::policy::PolicyName;
use crate::repo::lock;

/// Remove stale locks from the repository behind a policy
///
/// Stale are those whose process is gone from this host, and those that the store's clock says are 30
/// minutes old, also where they cannot be read.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Policy whose repository to unlock: POLICY or CUSTOMER/POLICY
    policy: PolicyName,
    /// Remove every lock, also what cannot be read, and those of runs that are still going on: they
    /// stop before they publish
    #[arg(long)]
    all: bool,
}

/// The answer of `unlock --json`.
#[derive(Debug, Serialize)]
struct Answer {
    removed: usize,
}

pub(super) async fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let Opened { account, rooms, .. } = app.open(&args.policy).await?;
    let removed = lock::unlock(&account.repository, &*rooms.clock, args.all).await?;
    app.out.answer(&Answer { removed }, &format!("{removed} locks removed"))?;
    Ok(Exit::Done)
}
