//! The last drills and the last verification, as the ledger tells them.

use jiff::Timestamp;
use serde::Serialize;

use crate::ground::digest::Digest;
use crate::ground::ids::Name;
use crate::ledger::record::{Body, DrillFinished, Record, Word};
use crate::policy::Policy;

#[derive(Debug, Clone, Serialize)]
pub(super) struct LastDrill {
    /// None: all rungs, without a declared drill.
    drill: Option<Name>,
    record: u64,
    time: Timestamp,
    verdict: Word,
    /// Whether a person named its recovery point.
    pub(super) named: bool,
    /// Whether it brought sources up on a newer major version.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    upgrade: bool,
    snapshot: Option<Digest>,
    recovery_seconds: Option<f64>,
    /// The newest older point that a search after it found to come back.
    comes_back: Option<ComesBack>,
}

#[derive(Debug, Clone, Serialize)]
struct ComesBack {
    snapshot: Digest,
    /// Of the drill that says so.
    record: u64,
    /// What restoring it would lose.
    data_age_seconds: Option<f64>,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct LastVerification {
    record: u64,
    time: Timestamp,
    /// Whether every pack was read.
    read_data: bool,
    errors: u64,
}

impl LastVerification {
    /// `no damage at 2026-11-26 01:00:00Z (record 7, everything read)`.
    pub(super) fn text(&self) -> String {
        let found = match self.errors {
            0 => "no damage".to_owned(),
            1 => "1 DAMAGE".to_owned(),
            errors => format!("{errors} DAMAGES"),
        };
        let read = if self.read_data { "everything read" } else { "not all data read" };
        let time = self.time.strftime("%Y-%m-%d %H:%M:%SZ");
        format!("{found} at {time} (record {}, {read})", self.record)
    }
}

impl ComesBack {
    fn of(record: u64, drill: &DrillFinished) -> Option<Self> {
        let data_age_seconds = drill.data_age_ms.map(|ms| ms as f64 / 1000.0);
        Some(Self { snapshot: drill.snapshot?, record, data_age_seconds })
    }
}

impl LastDrill {
    fn of(record: &Record, drill: &DrillFinished, comes_back: Option<ComesBack>) -> Self {
        Self {
            drill: drill.drill.clone(),
            record: record.seq,
            time: record.event.time,
            verdict: drill.verdict,
            named: drill.named,
            upgrade: drill.upgrade,
            snapshot: drill.about(),
            recovery_seconds: drill.recovery_ms.map(|ms| ms as f64 / 1000.0),
            comes_back,
        }
    }

    /// Whether it says of the latest point, on its own engine, whether it comes back.
    pub(super) fn is_of_the_latest(&self) -> bool {
        !self.named && !self.upgrade
    }

    /// `weekly: FAIL at 2026-11-26 01:00:00Z (record 7)`.
    pub(super) fn text(&self) -> String {
        let name = self.drill.as_ref().map_or(String::new(), |name| format!("{name}: "));
        let word = match self.verdict {
            Word::Pass => "pass",
            Word::Fail => "FAIL",
            Word::Inconclusive => "INCONCLUSIVE",
        };
        let time = self.time.strftime("%Y-%m-%d %H:%M:%SZ");
        let instead = self.comes_back.as_ref().map_or(String::new(), |found| {
            format!("; snapshot {} comes back (record {})", found.snapshot.short(), found.record)
        });
        let of = match self.snapshot.filter(|_| self.named) {
            Some(snapshot) => format!(" of snapshot {}, named by hand,", snapshot.short()),
            None => String::new(),
        };
        let upgrade = if self.upgrade { " of an upgrade rehearsal" } else { "" };
        format!("{name}{word}{of}{upgrade} at {time} (record {}){instead}", self.record)
    }
}

/// The newest drill of each series, newest first, each with what a search after it found. Drills of points
/// that a person named are told apart: they say nothing of the latest.
pub(super) fn last_drills(records: &[Record], policy: &Policy) -> Vec<LastDrill> {
    let (mut last, mut searched): (Vec<LastDrill>, _) = (Vec::new(), Vec::new());
    for record in records.iter().rev() {
        let Body::DrillFinished(drill) = &record.event.body else { continue };
        if drill.policy != policy.name || drill.draw.is_some() {
            continue;
        }
        if drill.searched_for.is_some() {
            searched.push((record.seq, drill));
        } else if last.iter().all(|newer| {
            (&newer.drill, newer.named, newer.upgrade) != (&drill.drill, drill.named, drill.upgrade)
        }) {
            let instead = searched.iter().find(|(_, older)| older.stands_in_for(drill.run));
            let instead = instead.and_then(|(seq, older)| ComesBack::of(*seq, older));
            last.push(LastDrill::of(record, drill, instead));
        }
    }
    last
}

pub(super) fn verified(record: &Record) -> Option<LastVerification> {
    match record.event.body {
        Body::Verify { read_data, errors, .. } => Some(LastVerification {
            record: record.seq,
            time: record.event.time,
            read_data,
            errors,
        }),
        _ => None,
    }
}
