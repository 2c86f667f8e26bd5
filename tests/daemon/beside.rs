//! A daemon and what runs beside it: a second daemon, acts by hand, a run that took its lease.

use jiff::{Timestamp, ToSpan, Unit};
use rustix::process::Signal;

use crate::bench::Bench;
use crate::ledger::every_slot_once;
use crate::site::{
    Daemon, clock, log, of_kind, scheduled, settle, status, until, until_served, until_time,
};

pub const CASES: &[(&str, fn())] = &[
    ("a_second_daemon_is_refused_and_told_by_whom", a_second_daemon_is_refused),
    ("a_policy_that_runs_is_locked_for_acts_by_hand", a_policy_that_runs_is_locked),
    ("an_act_by_hand_takes_no_slot_from_a_daemon", an_act_by_hand_takes_no_slot),
    ("a_run_that_lost_its_lease_commits_nothing", a_run_that_lost_its_lease_commits_nothing),
    ("a_reload_that_is_invalid_changes_nothing_and_is_told", a_reload_that_is_invalid),
    ("a_reload_brings_new_schedules", a_reload_brings_new_schedules),
];

fn a_second_daemon_is_refused() {
    let bench = scheduled("0 3 * * *", false);
    let daemon = Daemon::real(&bench);
    until_served(&bench);

    let second = bench.run(&["daemon"]).exits(1);

    assert!(second.stderr.contains(&format!("process {}", daemon.pid())), "{}", second.stderr);
    assert!(second.stderr.contains("since 20"), "{}", second.stderr);
    assert_eq!(status(&bench)["daemon"]["pid"], daemon.pid(), "the first serves on");
    daemon.drain();
}

fn a_policy_that_runs_is_locked() {
    let bench = scheduled("* * * * * *", true);
    let daemon = Daemon::real(&bench);
    until("a run", || bench.path("started").exists());

    bench.run(&["backup", "shop"]).exits(11);
    let running = &status(&bench)["running"];

    assert_eq!(running[0]["act"], "backup", "{running}");
    std::fs::write(bench.path("go"), "").unwrap();
    daemon.drain();
}

fn an_act_by_hand_takes_no_slot() {
    let bench = scheduled("0 * * * *", false);
    // The daemon is hours behind: by hand there are slots that have not come to it yet.
    let begins = (Timestamp::now() - 10.hours()).round(Unit::Hour).unwrap() - 10.minutes();
    let clock = clock(&bench, &begins.to_string(), 240);
    let daemon = Daemon::simulated(&bench, &clock);
    until("a slot", || !of_kind(&bench, "backup-finished").is_empty());

    bench.backup();

    assert!(of_kind(&bench, "backup-due").len() > 5, "they are on record as due");
    assert!(of_kind(&bench, "backup-missed").is_empty(), "and are the daemon's to answer");
    let slots =
        || of_kind(&bench, "backup-finished").iter().filter(|one| !one["slot"].is_null()).count();
    until("the next slot", || slots() >= 2);
    daemon.drain();
    // Nobody serves any more: now they are missed.
    bench.backup();
    assert!(!of_kind(&bench, "backup-missed").is_empty());
    every_slot_once(&bench);
}

fn a_run_that_lost_its_lease_commits_nothing() {
    let bench = scheduled("* * * * * *", true);
    let daemon = Daemon::real(&bench);
    until("a run", || bench.path("started").exists());
    let state = rusqlite::Connection::open(bench.path("state/state.db")).unwrap();
    state.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
    let taken = "UPDATE lease SET fence = fence + 1 WHERE key = 'backup acme/shop'";
    assert_eq!(state.execute(taken, []).unwrap(), 1);

    daemon.signal(Signal::TERM);
    std::fs::write(bench.path("go"), "").unwrap();

    assert_eq!(daemon.ends(), 0, "{}", log(&bench));
    assert!(log(&bench).contains("was lost"), "{}", log(&bench));
    let snapshots = bench.run(&["snapshots", "shop", "--json"]).exits(0).json();
    assert_eq!(snapshots.as_array().unwrap().len(), 0, "{snapshots}");
    for kind in ["backup-finished", "backup-aborted"] {
        assert!(of_kind(&bench, kind).is_empty(), "whoever took the lease says how it ended");
    }
}

fn a_reload_that_is_invalid() {
    let bench = scheduled("0 3 * * *", false);
    let daemon = Daemon::real(&bench);
    until_served(&bench);
    let broken = |from: &str, to: &str| bench.edit("policies/shop.toml", from, to);
    broken("0 3 * * *", "0 25 * * *");

    daemon.signal(Signal::HUP);

    until("the refusal", || log(&bench).contains("is refused"));
    broken("0 25 * * *", "0 3 * * *");
    let refused = status(&bench)["daemon"]["refused"].as_str().unwrap().to_owned();
    assert!(refused.contains("shop.toml:5:10: `25` does not fit the hour field"), "{refused}");
    daemon.signal(Signal::HUP);
    until("the good one", || status(&bench)["daemon"]["refused"].is_null());
    daemon.drain();
}

fn a_reload_brings_new_schedules() {
    let bench: Bench = scheduled("0 3 1 1 *", false);
    let clock = clock(&bench, "2018-01-01T04:30:00Z", 720);
    bench.backup();
    let daemon = Daemon::simulated(&bench, &clock);
    until("the past to be settled", || !of_kind(&bench, "heartbeat").is_empty());
    bench.edit("policies/shop.toml", "0 3 1 1 *", "0 * * * *");

    daemon.signal(Signal::HUP);

    until("a slot", || of_kind(&bench, "backup-finished").len() > 1);
    until_time(&clock, "2018-01-01T06:30:00Z");
    daemon.drain();
    settle(&bench, &clock);
    every_slot_once(&bench);
}
