//! What the bucket holds of a policy: the part of `status` that any host can tell.

use std::fmt::Write as _;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::super::output::visible;
use super::aborted::Aborted;
use super::last::{LastDrill, LastVerification, last_drills, verified};
use super::sampled::{LastCampaign, last_campaigns};
use crate::account::journal::Rival;
use crate::account::{self, Account, Rooms, Testimony};
use crate::ground::causes::chain;
use crate::ground::digest::Digest;
use crate::ledger::record::{BackupFinished, found_damaged};
use crate::policy::Policy;
use crate::repo::{Snapshot, SnapshotId};
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
    /// Snapshots of this policy that are there and cannot be restored whole, as a verification or a
    /// drill found, newest first.
    damaged: Vec<Digest>,
    /// The newest verification of the customer's repository.
    last_verification: Option<LastVerification>,
    data_age_seconds: Option<i64>,
    within_rpo: Option<bool>,
    /// The runs that came to nothing since the last one that ended with a snapshot.
    aborted: Option<Aborted>,
    /// The newest drill of all.
    last_drill: Option<LastDrill>,
    /// The newest of each declared drill, and of those without one; newest first.
    drills: Vec<LastDrill>,
    /// The newest sampling campaign of each drill that draws, newest first.
    campaigns: Vec<LastCampaign>,
    /// Snapshots that the ledger says were published and that are not there: somebody removed them.
    gone: Vec<Digest>,
    /// Snapshots with a time that is still to come: they do not count.
    still_to_come: Vec<Digest>,
    /// Another host that answers this host's slots.
    rival: Option<String>,
    /// Why the ledger's word is worth nothing, if anything speaks against it.
    alarm: Option<String>,
}

#[derive(Debug, Clone, Serialize)]
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

/// What a customer's bucket holds, read once for all of its policies.
#[derive(Default)]
pub(super) struct Bucket {
    testimony: Testimony,
    /// Oldest first.
    snapshots: Vec<(SnapshotId, Snapshot)>,
    /// Those that are there and cannot be read.
    damaged: Vec<Unreadable>,
    /// Those that must be there and are not.
    gone: Vec<SnapshotId>,
}

impl Bucket {
    pub(super) async fn read(account: &Account, rooms: &Rooms) -> anyhow::Result<Self> {
        let testimony = account.sealed_testimony(rooms).await?;
        let known = account::published(&testimony.records);
        let files = account.repository.snapshot_files_with(&known).await?;
        let gone = account.missed(known, &files).await?;
        let (mut snapshots, mut damaged) = (Vec::new(), Vec::new());
        for (id, file) in files {
            match file {
                Ok(snapshot) => snapshots.push((id, snapshot)),
                Err(error) if error.is_out_of_reach() => return Err(error.into()),
                Err(error) => damaged.push(Unreadable { snapshot: id.0, error: chain(&error) }),
            }
        }
        snapshots.sort_by_key(|(id, snapshot)| (snapshot.time, *id));
        Ok(Self { testimony, snapshots, damaged, gone })
    }
}

impl Stored {
    /// How `policy` stands by what its customer's `bucket` holds.
    pub(super) fn of(bucket: &Bucket, policy: &Policy, rooms: &Rooms) -> Self {
        let Bucket { testimony, snapshots, damaged, gone } = bucket;
        let now = rooms.clock.now();
        let rival = Rival::of(&testimony.records, &policy.name, &rooms.actor.host, now);
        let of = |id: &Digest| testimony.of(SnapshotId(*id)).map(|finished| &finished.policy);
        let is_of_another = |id| of(id).is_some_and(|of| *of != policy.name);
        let unreadable = damaged.iter().filter(|one| !is_of_another(&one.snapshot));
        let gone = gone.iter().map(|id| id.0).filter(|id| of(id) == Some(&policy.name));
        Self {
            rival: rival.map(|rival| rival.to_string()),
            unreadable: unreadable.cloned().collect(),
            gone: gone.collect(),
            ..Self::by(policy, testimony, snapshots, now)
        }
    }

    /// Whether the ledger or a snapshot is not as it was written, or a snapshot is gone.
    pub(super) fn is_alarming(&self) -> bool {
        self.alarm.is_some() || !self.unreadable.is_empty() || !self.gone.is_empty()
    }

    /// `snapshots` are all of the repository's, oldest first.
    fn by(
        policy: &Policy,
        testimony: &Testimony,
        snapshots: &[(SnapshotId, Snapshot)],
        now: Timestamp,
    ) -> Self {
        let tag = manifest::policy_tag(&policy.name);
        let newest_first = snapshots.iter().rev().filter(|(_, it)| it.tags.contains(&tag));
        let (to_come, past): (Vec<_>, Vec<_>) = newest_first.partition(|(_, it)| it.time > now);
        let drills = last_drills(&testimony.records, policy);
        let found = found_damaged(&testimony.records);
        let damaged = past.iter().map(|(id, _)| id.0).filter(|id| found.contains_key(id));
        let mut stored = Self {
            damaged: damaged.collect(),
            last_verification: testimony.records.iter().rev().find_map(verified),
            last_drill: drills
                .iter()
                .find(|drill| drill.is_of_the_latest())
                .or(drills.first())
                .cloned(),
            drills,
            campaigns: last_campaigns(&testimony.records, policy),
            aborted: Aborted::since_success(&testimony.records, policy),
            still_to_come: to_come.into_iter().map(|(id, _)| id.0).collect(),
            alarm: testimony.doubt.clone(),
            ..Self::default()
        };
        let counting = past.into_iter().find_map(|(id, snapshot)| {
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
        if let Some(aborted) = &self.aborted {
            let _ = writeln!(text, "  note    {}", aborted.text());
        }
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
        if let Some(last) = &self.last_verification {
            let _ = writeln!(text, "  verify  {}", last.text());
        }
        if let Some(newest) = self.damaged.first() {
            let _ = writeln!(
                text,
                "  TROUBLE {} snapshots cannot be restored whole, {} first: `lifeboat verify` names \
                 what they lack",
                self.damaged.len(),
                newest.short()
            );
        }
        if let Some(first) = self.still_to_come.first() {
            let _ = writeln!(
                text,
                "  note    {} with a time STILL TO COME, {} first, do not count: a clock was wrong",
                self.still_to_come.len(),
                first.short()
            );
        }
        if self.drills.is_empty() && self.campaigns.is_empty() {
            let _ = writeln!(text, "  drill   none yet: nothing shows that it would come back");
        }
        for last in &self.drills {
            let _ = writeln!(text, "  drill   {}", last.text());
        }
        for last in &self.campaigns {
            let _ = writeln!(text, "  sample  {}", visible(&last.text()));
        }
        if let Some(rival) = &self.rival {
            let _ = writeln!(text, "  note    {}", visible(rival));
        }
        if let Some(newest) = self.gone.last() {
            let _ = writeln!(
                text,
                "  ALARM   {} on the ledger are NOT IN THE REPOSITORY any more, {} last: somebody \
                 removed them",
                self.gone.len(),
                newest.short()
            );
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
