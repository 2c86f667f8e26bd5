//! `lifeboat unlock`: remove locks that nobody holds any more.

use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::app::Opened;
use super::{App, Exit};
use crate::account::Locked;
use crate::policy::PolicyName;
use crate::repo::lock::{self, Kept};

/// Remove stale locks from the repository behind a policy
///
/// Stale are those of lifeboat whose process is gone from this host, and those that the store's clock
/// says are 30 minutes old, also where they cannot be read. A host's name and a number of a process
/// prove nothing: containers and machines may share both. What stays is listed.
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
    /// Locks that somebody may still hold.
    kept: Vec<Held>,
}

#[derive(Debug, Serialize)]
struct Held {
    who: String,
    host: String,
    pid: i64,
    /// When it was written or renewed last, by the clock of whoever did.
    since: Timestamp,
}

pub(super) async fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let Opened { account, rooms, .. } = app.open(&args.policy).await?;
    let dead = Locked::claim(&account, &rooms, Duration::ZERO).await?.dead;
    let unlocked = lock::unlock(&account.repository, &*rooms.clock, &dead, args.all).await?;
    let held = |Kept { who, host, pid, since, .. }| Held { who, host, pid, since };
    let kept = unlocked.kept.into_iter().map(held).collect();
    let answer = Answer { removed: unlocked.removed, kept };
    app.out.answer(&answer, &text(&answer))?;
    Ok(Exit::Done)
}

fn text(answer: &Answer) -> String {
    let mut text = format!("{} locks removed", answer.removed);
    for Held { who, host, pid, since } in &answer.kept {
        let since = since.strftime("%Y-%m-%d %H:%M:%SZ");
        // Writing to a string cannot fail.
        let _ = write!(text, "\nstays: {who} on {host} (process {pid}), written at {since}");
    }
    if !answer.kept.is_empty() {
        text.push_str(
            "\nhint: whoever lives renews a lock every 5 minutes, and after 30 the next run removes it; \
             where you know that they are gone, --all removes them now",
        );
    }
    text
}
