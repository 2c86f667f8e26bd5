//! What the bucket holds of a policy: the part of `status` that any host can tell.

use std::fmt::Write as _;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::super::output::visible;
use crate::account::journal::Rival;
use crate::account::{self, Account, Rooms, Testimony};
use crate::ground::causes::chain;
use crate::ground::digest::Digest;
use crate::ledger::record::{BackupFinished, Body, Record, Word};
use crate::policy::Policy;
use crate::repo::{self, Snapshot, SnapshotId};
use crate::source::manifest;

/// What stands in an answer's place where there is none.
pub(super) const UNKNOWN: &str = "unknown";

/// How a policy stands, as its bucket has it.
#[derive(Debug, Default, Serialize)]
pub(super) struct Stored {
    /// The newest complete snapshot that is in the repository and on the ledger.
    last_backup: Option<LastBackup>,
    /// The newest snapshot, where it is incomplete: it does not count as a backup.
    incomplete: Option<Digest>,
    /// The newest snapshot, where the ledger does not name it: neither does this.
    unrecorded: Option<Digest>,
    /// Snapshots of this policy, or of nobody knows which, that cannot be read: they do not count.
    unreadable: Vec<Unreadable>,
    data_age_seconds: Option<i64>,
    within_rpo: Option<bool>,
    last_drill: Option<LastDrill>,
    /// Another host that answers this host's slots.
    rival: Option<String>,
    /// Why the ledger's word is worth nothing, if anything speaks against it.
    alarm: Option<String>,
}

#[derive(Debug, Serialize)]
struct Unreadable {
    snapshot: Digest,
    error: String,
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

impl Stored {
    pub(super) async fn read(
        account: &Account,
        policy: &Policy,
        rooms: &Rooms,
    ) -> anyhow::Result<Self> {
        let testimony = account.testimony(rooms).await?;
        let known = account::published(&testimony.records);
        let files = account.repository.snapshot_files_with(&known).await?;
        let now = rooms.clock.now();
        let rival = Rival::of(&testimony.records, &policy.name, &rooms.actor.host, now);
        let (damaged, files): (Vec<_>, Vec<_>) = files.into_iter().partition(is_damaged);
        let unreadable = unreadable(damaged, policy, &testimony);
        let stored = Self::of(policy, &testimony, &repo::in_order(files)?, now);
        Ok(Self { rival: rival.map(|rival| rival.to_string()), unreadable, ..stored })
    }

    /// Whether the ledger is not as it was written, or a snapshot is not.
    pub(super) fn is_alarming(&self) -> bool {
        self.alarm.is_some() || !self.unreadable.is_empty()
    }

    /// `snapshots` are all of the repository's, oldest first.
    fn of(
        policy: &Policy,
        testimony: &Testimony,
        snapshots: &[(SnapshotId, Snapshot)],
        now: Timestamp,
    ) -> Self {
        let tag = manifest::policy_tag(&policy.name);
        let mut newest_first =
            snapshots.iter().rev().filter(|(_, it)| it.tags.contains(&tag) && it.time <= now);
        let mut stored = Self {
            last_drill: testimony.records.iter().rev().find_map(|it| last_drill(it, policy)),
            alarm: testimony.doubt.clone(),
            ..Self::default()
        };
        let counting = newest_first.find_map(|(id, snapshot)| {
            let recorded = testimony.of(*id).filter(|finished| finished.policy == policy.name);
            let is_whole = !snapshot.tags.iter().any(|tag| tag == manifest::INCOMPLETE);
            if recorded.is_none() {
                stored.unrecorded = stored.unrecorded.or(Some(id.0));
            } else if !is_whole {
                stored.incomplete = stored.incomplete.or(Some(id.0));
            }
            recorded.filter(|_| is_whole)
        });
        if let Some(finished) = counting {
            stored.count(finished, policy, now);
        }
        stored
    }

    fn count(&mut self, finished: &BackupFinished, policy: &Policy, now: Timestamp) {
        let BackupFinished { snapshot, consistent_time, bytes, .. } = *finished;
        let age = now.duration_since(consistent_time);
        self.last_backup = Some(LastBackup { snapshot, consistent_time, bytes });
        self.data_age_seconds = Some(age.as_secs());
        self.within_rpo =
            policy.objectives.rpo.map(|rpo| age <= SignedDuration::try_from(rpo).unwrap_or(age));
    }

    /// Lines for people, each with its line end.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = match &self.last_backup {
            None => writeln!(text, "  backup  none yet that is complete"),
            Some(last) => writeln!(
                text,
                "  backup  snapshot {} of {}{}",
                last.snapshot.short(),
                last.consistent_time.strftime("%Y-%m-%d %H:%M:%SZ"),
                self.age()
            ),
        };
        if let Some(incomplete) = &self.incomplete {
            let short = incomplete.short();
            let _ =
                writeln!(text, "  note    a newer one, {short}, is INCOMPLETE and does not count");
        }
        if let Some(unrecorded) = &self.unrecorded {
            let _ = writeln!(
                text,
                "  note    a newer one, {}, is NOT ON THE LEDGER and does not count: a backup whose \
                 record is not there (yet), or somebody else who has the repository's password",
                unrecorded.short()
            );
        }
        for Unreadable { snapshot, error } in &self.unreadable {
            let (short, error) = (snapshot.short(), visible(error));
            let _ = writeln!(text, "  TROUBLE snapshot {short} cannot be read: {error}");
        }
        if !self.unreadable.is_empty() {
            text.push_str(
                "  hint    `lifeboat verify` tells what else is damaged; then back up anew\n",
            );
        }
        let _ = match &self.last_drill {
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
        if let Some(rival) = &self.rival {
            let _ = writeln!(text, "  note    {}", visible(rival));
        }
        if let Some(alarm) = &self.alarm {
            let _ = writeln!(text, "  ALARM   {}", visible(alarm));
        }
        text
    }

    /// How old the data is, and whether that is too old.
    fn age(&self) -> String {
        let Some(seconds) = self.data_age_seconds else { return String::new() };
        let age = SignedDuration::from_secs(seconds);
        match self.within_rpo {
            Some(false) => format!(", {age:#} old: OLDER THAN THE RPO ALLOWS"),
            _ => format!(", {age:#} old"),
        }
    }
}

type File = (SnapshotId, Result<Snapshot, repo::Error>);

/// Whether it is there and is no snapshot; of a store out of reach nothing is known.
fn is_damaged((_, file): &File) -> bool {
    file.as_ref().is_err_and(|error| !error.is_environment())
}

/// Those of the policy, and those that the ledger does not know.
fn unreadable(damaged: Vec<File>, policy: &Policy, testimony: &Testimony) -> Vec<Unreadable> {
    let is_of_another =
        |id| testimony.of(id).is_some_and(|finished| finished.policy != policy.name);
    let damaged = damaged.into_iter().filter(|(id, _)| !is_of_another(*id));
    damaged
        .filter_map(|(id, file)| Some(Unreadable { snapshot: id.0, error: chain(&file.err()?) }))
        .collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_that_is_too_old_and_snapshots_that_do_not_count_are_told() {
        let stored = Stored {
            last_backup: Some(LastBackup {
                snapshot: Digest::ZERO,
                consistent_time: Timestamp::UNIX_EPOCH,
                bytes: 1,
            }),
            incomplete: Some(Digest([7; 32])),
            unrecorded: Some(Digest([9; 32])),
            data_age_seconds: Some(7260),
            within_rpo: Some(false),
            alarm: Some("record 5: \x1b[2J".into()),
            ..Stored::default()
        };

        let text = stored.text();

        assert!(text.contains("2h 1m old: OLDER THAN THE RPO ALLOWS"), "{text}");
        assert!(text.contains("07070707, is INCOMPLETE"), "{text}");
        assert!(text.contains("09090909, is NOT ON THE LEDGER"), "{text}");
        assert!(text.contains("ALARM   record 5: \\u{1b}[2J"), "{text}");
    }
}
