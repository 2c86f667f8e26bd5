//! `lifeboat status`: how things stand, read from the bucket; and what this host is about to do.

mod present;

use std::fmt::Write as _;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::output::visible;
use super::{App, Exit};
use crate::account::{self, Account, Rooms};
use crate::ground::digest::Digest;
use crate::ledger::record::{Body, Record, Word};
use crate::policy::{Policy, PolicyName, Setup};
use crate::repo::{self, SnapshotId};
use crate::source::manifest;
use present::{Here, Present};

/// Show per policy: last success, data age, last drill, next runs
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Policies to show [default: all]
    #[arg(value_name = "POLICY")]
    policies: Vec<PolicyName>,
}

/// How one policy stands.
#[derive(Debug, Serialize)]
struct Standing {
    policy: String,
    /// The newest complete snapshot that is in the repository.
    last_backup: Option<LastBackup>,
    /// The newest snapshot, where it is incomplete: it does not count as a backup.
    incomplete: Option<Digest>,
    data_age_seconds: Option<i64>,
    within_rpo: Option<bool>,
    last_drill: Option<LastDrill>,
    next_backup: Option<Timestamp>,
    next_drill: Option<Timestamp>,
    #[serde(flatten)]
    present: Present,
}

#[derive(Debug, Serialize)]
struct LastBackup {
    snapshot: Digest,
    consistent_time: Timestamp,
    bytes: u64,
}

#[derive(Debug, Serialize)]
struct LastDrill {
    record: u64,
    time: Timestamp,
    verdict: Word,
    snapshot: Option<Digest>,
    recovery_seconds: Option<f64>,
}

pub(super) async fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let setup = app.setup().await?;
    let policies = setup.policies_or_all(&args.policies)?;
    let rooms = app.rooms(&setup).await?;
    let here = Here::read(&rooms.state).await?;
    let (mut standings, mut trouble) = (Vec::new(), None);
    for policy in policies {
        let present = here.of(&setup, policy, rooms.clock.now());
        let mut standing = Standing::new(policy, present);
        // What runs and waits is told all the same: it may be what is wrong.
        let read = read(&mut standing, &setup, policy, &rooms).await;
        trouble = trouble.or(read.err());
        standings.push(standing);
    }
    app.out.answer(&standings, &text(&standings))?;
    trouble.map_or(Ok(Exit::Done), Err)
}

impl Standing {
    /// A policy of which the bucket is not asked yet.
    fn new(policy: &Policy, present: Present) -> Self {
        Self {
            policy: policy.full_name(),
            last_backup: None,
            incomplete: None,
            data_age_seconds: None,
            within_rpo: None,
            last_drill: None,
            next_backup: present.next_slot(false),
            next_drill: present.next_slot(true),
            present,
        }
    }
}

/// Adds what the bucket says.
async fn read(
    standing: &mut Standing,
    setup: &Setup,
    policy: &Policy,
    rooms: &Rooms,
) -> anyhow::Result<()> {
    let now = rooms.clock.now();
    let account = match Account::open(setup, setup.customer_of(policy), rooms).await {
        Err(account::Error::Repository { source: repo::OpenError::Missing { .. }, .. }) => {
            return Ok(());
        }
        opened => opened?,
    };
    let tag = manifest::policy_tag(&policy.name);
    let records = account.records().await?;
    let files = account.repository.snapshot_files_with(&account::published(&records)).await?;
    let snapshots = repo::in_order(files)?;
    let is_whole = |snapshot: &repo::Snapshot| {
        !snapshot.tags.iter().any(|tag| tag == manifest::INCOMPLETE) && snapshot.time <= now
    };
    let mut of_policy = snapshots.iter().rev().filter(|(_, it)| it.tags.contains(&tag)).peekable();
    let partial = |(_, snapshot): &&&(SnapshotId, repo::Snapshot)| !is_whole(snapshot);
    standing.incomplete = of_policy.peek().filter(partial).map(|(id, _)| id.0);
    let newest = of_policy.find(|(_, snapshot)| is_whole(snapshot));
    if let Some((id, snapshot)) = newest {
        let recorded = records.iter().rev().find_map(|record| match &record.event.body {
            Body::BackupFinished(finished) if finished.snapshot == id.0 => Some(finished),
            _ => None,
        });
        let consistent_time = recorded.map_or(snapshot.time, |finished| finished.consistent_time);
        let age = now.duration_since(consistent_time);
        standing.data_age_seconds = Some(age.as_secs());
        standing.within_rpo =
            policy.objectives.rpo.map(|rpo| age <= SignedDuration::try_from(rpo).unwrap_or(age));
        let bytes = recorded.map_or(0, |finished| finished.bytes);
        standing.last_backup = Some(LastBackup { snapshot: id.0, consistent_time, bytes });
    }
    standing.last_drill = records.iter().rev().find_map(|record| last_drill(record, policy));
    Ok(())
}

fn last_drill(record: &Record, policy: &Policy) -> Option<LastDrill> {
    match &record.event.body {
        Body::DrillFinished(finished) if finished.policy == policy.name => Some(LastDrill {
            record: record.seq,
            time: record.event.time,
            verdict: finished.verdict,
            snapshot: finished.snapshot,
            recovery_seconds: finished.recovery_ms.map(|ms| ms as f64 / 1000.0),
        }),
        _ => None,
    }
}

/// How old the data is, and whether that is too old.
fn age(standing: &Standing) -> String {
    let Some(seconds) = standing.data_age_seconds else { return String::new() };
    let age = SignedDuration::from_secs(seconds);
    match standing.within_rpo {
        Some(false) => format!(", {age:#} old: OLDER THAN THE RPO ALLOWS"),
        _ => format!(", {age:#} old"),
    }
}

fn text(standings: &[Standing]) -> String {
    let mut text = String::new();
    for standing in standings {
        let Standing { policy, last_backup, last_drill, present, .. } = standing;
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{policy}");
        let _ = match last_backup {
            None => writeln!(text, "  backup  none yet that is complete"),
            Some(last) => writeln!(
                text,
                "  backup  snapshot {} of {}{}",
                last.snapshot.short(),
                last.consistent_time.strftime("%Y-%m-%d %H:%M:%SZ"),
                age(standing)
            ),
        };
        if let Some(incomplete) = &standing.incomplete {
            let _ = writeln!(
                text,
                "  note    the newest snapshot, {}, is INCOMPLETE and does not count",
                incomplete.short()
            );
        }
        let _ = match last_drill {
            None => writeln!(text, "  drill   none yet: nothing shows that it would come back"),
            Some(last) => writeln!(
                text,
                "  drill   {} at {} (record {})",
                match last.verdict {
                    Word::Pass => "pass",
                    Word::Fail => "FAIL",
                    Word::Inconclusive => "INCONCLUSIVE",
                },
                last.time.strftime("%Y-%m-%d %H:%M:%SZ"),
                last.record
            ),
        };
        text.push_str(&visible(&present.text()));
    }
    if standings.is_empty() {
        text.push_str("no policies yet");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_that_was_never_drilled_is_not_shown_as_fine() {
        let standing = Standing {
            policy: "acme/shop".into(),
            last_backup: None,
            incomplete: None,
            data_age_seconds: None,
            within_rpo: None,
            last_drill: None,
            next_backup: None,
            next_drill: None,
            present: Present::default(),
        };

        let text = text(&[standing]);

        assert!(text.contains("nothing shows that it would come back"), "{text}");
    }

    #[test]
    fn data_that_is_too_old_and_a_snapshot_that_does_not_count_are_told() {
        let time = Timestamp::UNIX_EPOCH;
        let standing = Standing {
            policy: "acme/shop".into(),
            last_backup: Some(LastBackup {
                snapshot: Digest::ZERO,
                consistent_time: time,
                bytes: 1,
            }),
            incomplete: Some(Digest([7; 32])),
            data_age_seconds: Some(7260),
            within_rpo: Some(false),
            last_drill: None,
            next_backup: None,
            next_drill: None,
            present: Present::default(),
        };

        let text = text(&[standing]);

        assert!(text.contains("2h 1m old: OLDER THAN THE RPO ALLOWS"), "{text}");
        assert!(text.contains("07070707, is INCOMPLETE"), "{text}");
    }
}
