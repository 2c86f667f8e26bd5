//! Records for a terminal: one line each, with what came of it.

use std::fmt::Write as _;

use super::super::output::visible;
use crate::ground::size::{ByteSize, Count};
use crate::ledger::record::{
    BackupFinished, Body, CampaignFinished, CampaignStarted, DrillFinished, PartRead, Record,
};

/// `records`, the newest of `all`.
pub(super) fn text(records: &[Record], all: usize) -> String {
    if records.is_empty() {
        return "no records yet".to_owned();
    }
    let mut text = String::new();
    if records.len() < all {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "the newest {} of {all} records; --last 0 lists all", records.len());
    }
    for record in records {
        let _ = writeln!(text, "{}", visible(&line(record)));
    }
    text
}

fn line(record: &Record) -> String {
    let event = &record.event;
    let body = serde_json::to_value(&event.body).expect("a record has only text for keys");
    let kind = body["kind"].as_str().unwrap_or_default();
    let time = event.time.strftime("%Y-%m-%d %H:%M:%SZ");
    let mut line = format!("{:>6}  {time}  {kind:<16}", record.seq);
    let mut add = |key: &str, shown: fn(&str) -> String| {
        if let Some(text) = body[key].as_str() {
            line.push_str("  ");
            line.push_str(&shown(text));
        }
    };
    add("policy", str::to_owned);
    add("drill", |name| format!("drill {name}"));
    add("slot", |slot| format!("slot {slot}"));
    add("verdict", |word| format!("verdict {word}"));
    add("snapshot", |id| format!("snapshot {}", id.get(..8).unwrap_or(id)));
    add("reason", |reason| format!("reason {reason}"));
    if let Some(outcome) = outcome(&event.body) {
        line.push_str("  ");
        line.push_str(&outcome);
    }
    if let Some(run) = body["run"].as_str() {
        line.push_str("  run ");
        line.push_str(run);
    }
    line
}

/// What came of it, where that is more than its words and names.
fn outcome(body: &Body) -> Option<String> {
    Some(match body {
        Body::BackupFinished(BackupFinished { complete: true, .. }) => "complete".to_owned(),
        Body::BackupFinished(BackupFinished { skipped, .. }) => {
            format!("INCOMPLETE, {skipped} skipped")
        }
        Body::DrillFinished(DrillFinished {
            checks_held,
            checks_declared,
            searched_for,
            draw,
            upgrade,
            ..
        }) => {
            let upgrade = if *upgrade { ", an upgrade rehearsal" } else { "" };
            let search = searched_for.map_or("", |_| ", searching back after a fail");
            let draw =
                draw.map_or_else(String::new, |draw| format!(", drawn by {}", draw.campaign));
            format!("{checks_held} of {checks_declared} checks held{search}{draw}{upgrade}")
        }
        Body::CampaignStarted(CampaignStarted { population, drawn, .. }) => {
            format!("{} of {population} recovery points drawn", drawn.len())
        }
        Body::CampaignFinished(campaign) => {
            let CampaignFinished { drawn, population, passed, at_least, .. } = campaign;
            let stated = match at_least {
                Some(at_least) => format!("at least {at_least} of {population} restorable"),
                None => "not completed, nothing is stated".to_owned(),
            };
            format!("{passed} of {drawn} passed: {stated}")
        }
        Body::Restore { files, bytes, reason, table, server, .. } => {
            let part = table.as_ref().or(server.as_ref());
            let what = part.map_or_else(|| Count(*files, "file").to_string(), Clone::clone);
            let why = reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
            format!("{what}, {}{why}", ByteSize(*bytes))
        }
        Body::RestoreCompared { equal, differs, unknown, .. } => match (equal, unknown) {
            (Some(rows), _) => {
                format!("equal to the captured moment: {} or counters", Count(*rows, "row"))
            }
            (None, Some(why)) => format!("NOT COMPARED: {why}"),
            (None, None) => format!("DIFFERS in {}", Count(*differs, "place")),
        },
        Body::Verify { read_data, errors, part, .. } => {
            verified(*read_data, *errors, part.as_ref())
        }
        Body::ForgetStarted { snapshots, why, .. } => {
            format!("{} to go: {why}", Count(snapshots.len() as u64, "snapshot"))
        }
        Body::ForgetFinished { snapshots, left, .. } => {
            format!("{} removed, {left} left", Count(snapshots.len() as u64, "snapshot"))
        }
        Body::PruneStarted { packs, index_files, bytes, .. } => {
            let bytes = ByteSize(*bytes);
            let (packs, files) = (Count(*packs, "pack"), Count(*index_files, "index file"));
            format!("{packs} of {bytes} and {files} to go")
        }
        Body::PruneFinished { removed_packs, repacked_packs, freed_bytes, .. } => {
            let freed = ByteSize(*freed_bytes);
            let removed = Count(*removed_packs, "pack");
            format!("{removed} removed, {repacked_packs} packed anew, {freed} freed")
        }
        Body::IndexRepaired { index_files, forgotten_packs, .. } => {
            let (files, packs) =
                (Count(*index_files, "index file"), Count(*forgotten_packs, "pack"));
            format!("{files} to go, {packs} in none any more")
        }
        Body::SnapshotRepaired { original, files, folders, .. } => {
            let (files, folders) = (Count(*files, "file"), Count(*folders, "folder"));
            format!("left of {}: {files} and {folders} LOST", original.short())
        }
        Body::Heartbeat { policies, .. } => format!("{} policies", policies.len()),
        _ => return None,
    })
}

fn verified(read_data: bool, errors: u64, part: Option<&PartRead>) -> String {
    let read = match part {
        Some(PartRead { read_packs, packs, .. }) => format!("{read_packs} of {packs} packs read"),
        None if read_data => "all packs read".to_owned(),
        None => "no pack read".to_owned(),
    };
    match errors {
        0 => format!("no damage found, {read}"),
        errors => format!("{errors} DAMAGES, {read}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::digest::Digest;
    use crate::ground::ids::RunId;
    use crate::ledger::record::{Actor, Event};

    fn record(seq: u64, body: Body) -> Record {
        let actor = Actor { name: "alice".into(), host: "here".into() };
        let event = Event { time: jiff::Timestamp::UNIX_EPOCH, actor, body };
        Record { seq, prev: Digest::ZERO, event }
    }

    fn verify(errors: u64) -> Body {
        let (policy, run) = ("shop".parse().unwrap(), RunId::draw());
        Body::Verify { policy, run, read_data: true, errors, damaged: Vec::new(), part: None }
    }

    #[test]
    fn what_came_of_a_run_stands_on_its_line() {
        let (policy, run) = ("shop".parse().unwrap(), RunId::draw());
        let incomplete = Body::BackupFinished(BackupFinished {
            policy,
            run,
            slot: None,
            snapshot: Digest([7; 32]),
            consistent_time: jiff::Timestamp::UNIX_EPOCH,
            complete: false,
            entries: 9,
            bytes: 9,
            added_bytes: 9,
            stored_bytes: 9,
            skipped: 2,
            duration_ms: 9,
            details: Digest::ZERO,
        });

        let text = text(&[record(1, verify(0)), record(2, verify(3)), record(3, incomplete)], 3);

        let lines: Vec<_> = text.lines().collect();
        assert!(lines[0].contains("shop  no damage found, all packs read  run "), "{text}");
        assert!(lines[1].contains("3 DAMAGES"), "{text}");
        assert!(lines[2].contains("snapshot 07070707  INCOMPLETE, 2 skipped"), "{text}");
    }

    #[test]
    fn a_list_that_is_cut_says_so() {
        let records = [record(8, verify(0)), record(9, verify(0))];

        assert!(text(&records, 9).starts_with("the newest 2 of 9 records; --last 0"));
        assert!(!text(&records, 2).contains("newest"));
    }
}
