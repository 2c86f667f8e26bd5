//! `lifeboat backup`: capture a policy's sources into one snapshot.

use std::fmt::Write as _;

use serde::Serialize;

use super::hint::Trouble;
use super::output::visible;
use super::{App, Exit, advice};
use crate::backup;
use crate::ground::ids::RunId;
use crate::ground::size::ByteSize;
use crate::policy::PolicyName;
use crate::repo::SnapshotId;
use crate::source::Skipped;

/// Back up all sources of a policy into one snapshot
///
/// Ends with 3 where some items could not be read; they are listed and the snapshot is tagged
/// `incomplete`. Ends with 1 where the ledger is not as it was written: the snapshot is stored and
/// its record made all the same, but the past beside it is not what this host signed.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Policy to run: POLICY or CUSTOMER/POLICY
    policy: PolicyName,
}

/// The answer of `backup --json`.
#[derive(Debug, Serialize)]
struct Answer {
    snapshot: SnapshotId,
    policy: String,
    run: RunId,
    entries: u64,
    bytes: u64,
    added_bytes: u64,
    stored_bytes: u64,
    seconds: f64,
    skipped: Vec<Skipped>,
    /// Why the ledger is not as it was written, if it is not.
    alarm: Option<Trouble>,
}

pub(super) async fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let setup = app.setup_for(&args.policy).await?;
    let policy = setup.policy(&args.policy)?;
    let rooms = app.rooms(&setup).await?;
    let published = backup::run(&setup, policy, None, &rooms).await?;
    let alarm = published.alarm.map(|alarm| {
        let context = "the snapshot is stored, but the ledger is not as it was written";
        advice::advised(anyhow::Error::new(alarm).context(context))
    });
    let answer = Answer {
        snapshot: published.snapshot,
        policy: policy.full_name(),
        run: published.run,
        entries: published.entries,
        bytes: published.bytes,
        added_bytes: published.added.added_bytes,
        stored_bytes: published.added.stored_bytes,
        seconds: published.seconds,
        skipped: published.skipped,
        alarm: alarm.as_ref().map(Trouble::of),
    };
    app.out.answer(&answer, &text(&answer))?;
    if let Some(alarm) = &alarm {
        app.out.error(alarm);
        return Ok(Exit::Failed);
    }
    Ok(if answer.skipped.is_empty() { Exit::Done } else { Exit::Incomplete })
}

fn text(answer: &Answer) -> String {
    let Answer { snapshot, policy, entries, bytes, added_bytes, stored_bytes, seconds, .. } =
        answer;
    let mut text = format!(
        "snapshot {} of {policy}: {entries} entries, {} in {seconds:.1} s\n\
         {} were new (names and metadata included), {} stored\n",
        snapshot.0.short(),
        ByteSize(*bytes),
        ByteSize(*added_bytes),
        ByteSize(*stored_bytes),
    );
    if !answer.skipped.is_empty() {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "\nthe snapshot is incomplete; {} items:", answer.skipped.len());
        for Skipped { path, reason } in &answer.skipped {
            let _ = writeln!(text, "  {}: {}", visible(path), visible(reason));
        }
    }
    text
}
