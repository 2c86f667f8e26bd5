//! What a ledger must say of its slots, whatever befell the daemon.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;

use crate::bench::Bench;
use crate::site::records;

/// A series and one of its slots.
pub type Slot = (String, Timestamp);

/// How each slot ended.
#[derive(Debug, Default)]
pub struct Slots {
    pub finished: BTreeSet<Slot>,
    pub aborted: BTreeSet<Slot>,
    pub missed: BTreeSet<Slot>,
}

impl Slots {
    /// Takes in what another ledger says.
    pub fn extend(&mut self, other: Self) {
        self.finished.extend(other.finished);
        self.aborted.extend(other.aborted);
        self.missed.extend(other.missed);
    }

    /// Every slot, however it ended.
    pub fn all(&self) -> BTreeSet<Slot> {
        self.finished.iter().chain(&self.aborted).chain(&self.missed).cloned().collect()
    }

    /// The slots of one series, e.g. `shop` or `shop/weekly`.
    pub fn of(&self, series: &str) -> BTreeSet<Timestamp> {
        self.all().into_iter().filter(|(of, _)| of == series).map(|(_, time)| time).collect()
    }
}

/// Asserts that every slot on acme's ledger is due once or more, and ends exactly once as finished,
/// aborted or missed; answers how.
#[track_caller]
pub fn every_slot_once(bench: &Bench) -> Slots {
    each_once(&records(bench))
}

/// The same of any ledger's records.
#[track_caller]
pub fn each_once(records: &[Value]) -> Slots {
    let mut due: BTreeSet<Slot> = BTreeSet::new();
    let mut ends: BTreeMap<Slot, Vec<&str>> = BTreeMap::new();
    let mut runs: BTreeMap<&str, (Option<Slot>, usize)> = BTreeMap::new();
    for record in records {
        let kind = record["kind"].as_str().unwrap();
        let slot = slot(record);
        if let Some(slot) = slot.clone() {
            match kind {
                "backup-due" | "drill-due" => drop(due.insert(slot)),
                "backup-started" | "drill-started" => {}
                _ => ends.entry(slot).or_default().push(kind),
            }
        }
        if let Some(run) = record["run"].as_str() {
            match kind.rsplit('-').next().unwrap() {
                "started" => drop(runs.insert(run, (slot, 0))),
                "finished" | "aborted" => runs.get_mut(run).expect("a start").1 += 1,
                _ => {}
            }
        }
    }
    let started: Vec<_> = runs.values().filter_map(|(slot, _)| slot.clone()).collect();
    let distinct: BTreeSet<_> = started.iter().cloned().collect();
    assert_eq!(started.len(), distinct.len(), "a slot was started twice");
    let twice: Vec<_> = runs.iter().filter(|(_, (_, ends))| *ends != 1).collect();
    assert!(twice.is_empty(), "runs that did not end once: {twice:?}");
    let unended: Vec<_> = due.iter().filter(|slot| !ends.contains_key(*slot)).collect();
    assert!(unended.is_empty(), "slots that did not end: {unended:?}");
    let mut slots = Slots::default();
    for (slot, ends) in ends {
        assert_eq!(ends.len(), 1, "{slot:?} ended as {ends:?}");
        let about = || records.iter().filter(|record| self::slot(record).as_ref() == Some(&slot));
        assert!(due.contains(&slot), "{slot:?} was never due: {:#?}", about().collect::<Vec<_>>());
        let kind = match ends[0].rsplit('-').next().unwrap() {
            "finished" => &mut slots.finished,
            "aborted" => &mut slots.aborted,
            "missed" => &mut slots.missed,
            other => panic!("{other}"),
        };
        kind.insert(slot);
    }
    slots
}

fn slot(record: &Value) -> Option<Slot> {
    let time = record["slot"].as_str()?.parse().unwrap();
    let policy = record["policy"].as_str().unwrap();
    let series = match record["drill"].as_str() {
        Some(drill) => format!("{policy}/{drill}"),
        None => policy.to_owned(),
    };
    Some((series, time))
}
