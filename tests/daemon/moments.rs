//! Time that passes while nobody looks, and clocks that are set.

use std::collections::BTreeSet;

use jiff::{Timestamp, ToSpan};

use crate::ledger::every_slot_once;
use crate::site::{Daemon, clock, log, of_kind, records, scheduled, settle, until, until_time};

pub const CASES: &[(&str, fn())] = &[
    ("after_a_downtime_the_newest_slot_is_run_and_the_older_are_missed", after_a_downtime),
    ("a_clock_set_a_year_ahead_and_back_is_never_seen", a_clock_set_a_year_ahead_and_back),
    ("a_clock_that_was_set_for_good_loses_and_doubles_nothing", a_clock_that_was_set_for_good),
];

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn after_a_downtime() {
    let bench = scheduled("0 * * * *", false);
    let clock = clock(&bench, "2018-01-01T00:50:00Z", 720);
    let daemon = Daemon::simulated(&bench, &clock);
    until("a slot", || !of_kind(&bench, "backup-finished").is_empty());
    daemon.drain();
    until_time(&clock, "2018-01-01T07:10:00Z");

    let daemon = Daemon::simulated(&bench, &clock);

    until("the catch-up", || of_kind(&bench, "backup-finished").len() >= 2);
    daemon.drain();
    settle(&bench, &clock);
    let slots = every_slot_once(&bench);
    let finished: Vec<_> = slots.finished.iter().map(|(_, time)| *time).collect();
    let missed: Vec<_> = slots.missed.iter().map(|(_, time)| *time).collect();
    assert!(finished[1] >= at("2018-01-01T07:00:00Z"), "the newest: {finished:?}");
    let older = missed.iter().filter(|slot| **slot < finished[1]).count();
    assert!(older >= 4, "{missed:?}");
    assert!(log(&bench).contains("was not run when it was due"));
}

fn a_clock_set_a_year_ahead_and_back() {
    let bench = scheduled("0 * * * *", false);
    let clock = clock(&bench, "2018-01-01T00:50:00Z", 60);
    let daemon = Daemon::simulated(&bench, &clock);
    until("the past to be settled", || log(&bench).contains("serves"));

    // Less than ten minutes of its time, with a slot in between.
    until_time(&clock, "2018-01-01T00:56:00Z");
    clock.set_by(365 * 24 * 3600);
    until("a look at the clock", || log(&bench).contains("the clock was set"));
    until_time(&clock, "2018-01-01T01:02:00Z");
    clock.set_by(0);

    until("that it is back", || log(&bench).contains("set back to where it had been"));
    until("the slot", || !of_kind(&bench, "backup-finished").is_empty());
    daemon.drain();
    settle(&bench, &clock);
    let slots = every_slot_once(&bench);
    // What comes after the daemon's end is another matter.
    let first = at("2018-01-01T01:00:00Z");
    assert!(slots.missed.iter().all(|(_, slot)| *slot > first), "{slots:?}");
    let years = records(&bench).iter().map(|record| at(record["time"].as_str().unwrap())).max();
    assert!(years.unwrap() < at("2018-01-02T00:00:00Z"), "{years:?}");
}

fn a_clock_that_was_set_for_good() {
    let bench = scheduled("0 * * * *", false);
    let clock = clock(&bench, "2018-01-01T00:50:00Z", 720);
    let daemon = Daemon::simulated(&bench, &clock);
    let finished = || of_kind(&bench, "backup-finished").len();
    until("a slot", || finished() >= 1);

    clock.set_by(10 * 24 * 3600);
    until("that it is believed", || log(&bench).contains("new time is taken over"));
    let before = finished();
    until("slots of the new time", || finished() >= before + 2);
    clock.set_by(0);
    until("that it is believed", || log(&bench).matches("new time is taken over").count() == 2);
    let before = finished();
    until("slots of the old time", || finished() >= before + 2);
    daemon.drain();
    settle(&bench, &clock);

    let slots = every_slot_once(&bench);
    // What was run while the clock was ahead stays run; what was called missed is run without a
    // slot when its time comes after all.
    let ahead: BTreeSet<_> = slots.missed.iter().map(|(_, time)| *time).collect();
    assert!(ahead.len() >= 200, "{}", ahead.len());
    let unslotted = of_kind(&bench, "backup-finished");
    let unslotted = unslotted.iter().filter(|record| record["slot"].is_null()).count();
    assert!(unslotted >= 2, "{unslotted}");
    assert!(log(&bench).contains("is on record as missed; run without a slot"));
    let day = at("2018-01-01T00:00:00Z") + 12.hours();
    assert!(slots.finished.iter().any(|(_, time)| *time < day));
}
