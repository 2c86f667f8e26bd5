//! Stores that go away and come back, and state that is lost.

use std::fs;

use crate::ledger::every_slot_once;
use crate::seaweed::{ADMIN, seaweed};
use crate::site::{
    Daemon, clock, log, of_kind, records, scheduled, settle, status, until, until_served,
};

pub const CASES: &[(&str, fn())] = &[
    ("a_slot_waits_for_its_store_and_is_run_when_it_is_back", a_slot_waits_for_its_store),
    ("a_hook_that_a_crash_owed_is_run_as_soon_as_a_daemon_starts", a_hook_that_a_crash_owed),
    ("what_lasts_is_told_and_not_tried_again", what_lasts_is_told_and_not_tried_again),
    ("a_bucket_that_refuses_is_told_and_not_asked_again", a_bucket_that_refuses),
    ("with_its_state_deleted_a_daemon_runs_nothing_twice", with_its_state_deleted),
    ("a_state_that_cannot_be_read_is_rebuilt_from_the_bucket", a_state_is_rebuilt),
];

fn a_slot_waits_for_its_store() {
    let bench = scheduled("0 * * * *", false);
    bench.backup();
    let clock = clock(&bench, "2018-01-01T00:50:00Z", 240);
    let daemon = Daemon::simulated(&bench, &clock);
    until("the past to be settled", || !of_kind(&bench, "heartbeat").is_empty());
    fs::rename(bench.path("store"), bench.path("away")).unwrap();

    let mut waiting = serde_json::Value::Null;
    until("two tries", || {
        waiting = status(&bench)["waiting"][0].clone();
        waiting["attempts"].as_u64() >= Some(2)
    });

    assert!(waiting["error"].as_str().unwrap().contains("store"), "{waiting}");
    fs::rename(bench.path("away"), bench.path("store")).unwrap();
    until("the run", || of_kind(&bench, "backup-finished").len() == 2);
    daemon.drain();
    let finished = of_kind(&bench, "backup-finished");
    assert_eq!(finished[1]["slot"], waiting["slot"], "the slot that waited was run");
    settle(&bench, &clock);
    every_slot_once(&bench);
}

fn a_hook_that_a_crash_owed() {
    let bench = scheduled("0 3 1 1 *", true);
    let after = format!("[hooks]\nafter = [\"touch\", \"{}\"]", bench.path("resumed").display());
    bench.edit("policies/shop.toml", "[hooks]", &after);
    let mut backup = bench.command(&["backup", "shop"]).spawn().unwrap();
    until("the hook before", || bench.path("started").exists());
    backup.kill().unwrap();
    backup.wait().unwrap();
    fs::write(bench.path("go"), "").unwrap();
    assert!(!bench.path("resumed").exists());

    let daemon = Daemon::real(&bench);

    until("the hook after", || bench.path("resumed").exists());
    daemon.drain();
    assert!(of_kind(&bench, "backup-finished").is_empty(), "no backup was needed for that");
}

fn what_lasts_is_told_and_not_tried_again() {
    let bench = scheduled("* * * * *", false);
    bench.backup();
    let clock = clock(&bench, "2018-01-01T00:00:30Z", 10);
    bench.write("keys/repository-password", "another\n".into());
    let daemon = Daemon::simulated(&bench, &clock);

    until("the error", || log(&bench).contains("came to nothing"));

    daemon.drain();
    let log = log(&bench);
    assert!(log.contains("the password opens none"), "{log}");
    assert!(!log.contains("came to nothing; will be tried again"), "{log}");
}

fn a_bucket_that_refuses() {
    let bench = scheduled("* * * * *", false);
    let bucket = seaweed().bucket("refusing");
    bench.move_to_bucket(&seaweed().endpoint(), &bucket, ADMIN.access, ADMIN.secret);
    bench.backup();
    let clock = clock(&bench, "2018-01-01T00:00:30Z", 10);
    bench.write("keys/s3-secret", "another".into());
    let daemon = Daemon::simulated(&bench, &clock);

    until("the error", || log(&bench).contains("came to nothing"));

    daemon.drain();
    let log = log(&bench);
    assert!(log.contains("does not accept the keys"), "{log}");
    assert!(!log.contains("came to nothing; will be tried again"), "{log}");
}

fn with_its_state_deleted() {
    let bench = scheduled("0 * * * *", false);
    let clock = clock(&bench, "2018-01-01T00:30:00Z", 720);
    let daemon = Daemon::simulated(&bench, &clock);
    until("slots", || of_kind(&bench, "backup-finished").len() >= 2);
    daemon.kill();
    for ending in ["", "-wal", "-shm"] {
        // Where it ended well there is no log beside it.
        let _ = fs::remove_file(bench.path(&format!("state/state.db{ending}")));
    }

    let daemon = Daemon::simulated(&bench, &clock);

    let before = of_kind(&bench, "backup-finished").len();
    until("more slots", || of_kind(&bench, "backup-finished").len() >= before + 2);
    daemon.drain();
    settle(&bench, &clock);
    every_slot_once(&bench);
    bench.run(&["ledger", "verify", "acme"]).exits(0);
}

fn a_state_is_rebuilt() {
    let bench = scheduled("0 3 * * *", false);
    bench.backup();
    let (code, _) = bench.drill();
    assert_eq!(code, 0);
    let records = records(&bench).len();
    let file = bench.path("state/state.db");
    for ending in ["-wal", "-shm"] {
        let _ = fs::remove_file(bench.path(&format!("state/state.db{ending}")));
    }
    fs::write(&file, "no database at all ".repeat(1000)).unwrap();
    assert_eq!(bench.run(&["backup", "shop"]).code, 1);

    let rebuilt = bench.run(&["state", "rebuild", "--json"]).exits(0).json();

    assert!(rebuilt["moved"].as_str().unwrap().contains("unreadable"), "{rebuilt:#}");
    let customer = &rebuilt["customers"][0];
    assert_eq!(customer["records"], records, "{rebuilt:#}");
    assert_eq!(customer["remembered"], records, "the checkpoint is known again: {rebuilt:#}");
    bench.backup();
    let (code, _) = bench.drill();
    assert_eq!(code, 0);
    let daemon = Daemon::real(&bench);
    until_served(&bench);
    let refused = bench.run(&["state", "rebuild"]).exits(1);
    assert!(refused.stderr.contains("a daemon uses this state"), "{}", refused.stderr);
    daemon.drain();
}
