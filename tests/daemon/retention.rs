//! The daemon applies `[retention]`, after complete backups only.

use serde_json::Value;

use crate::bench::Bench;
use crate::site::{Daemon, log, of_kind, scheduled, status, until};

pub const CASES: &[(&str, fn())] = &[
    ("retention_is_applied_after_a_complete_backup", applied_after_a_complete_backup),
    ("an_incomplete_backup_starts_no_retention", nothing_goes_after_an_incomplete_one),
    ("retention_that_is_not_applied_stands_in_status_until_it_is", unapplied_stands_in_status),
];

fn kept_by_last(count: u32, schedule: &str) -> Bench {
    let bench = scheduled(schedule, false);
    let kept = format!("[retention]\nlast = {count}\n\n[objectives]");
    bench.edit("policies/shop.toml", "[objectives]", &kept);
    bench
}

fn applied_after_a_complete_backup() {
    let bench = kept_by_last(2, "*/2 * * * * *");
    let daemon = Daemon::real(&bench);

    until("a third removal", || of_kind(&bench, "forget-finished").len() >= 3);
    daemon.drain();

    let published = of_kind(&bench, "backup-finished").len();
    let removed: usize = of_kind(&bench, "forget-started").iter().map(named).sum();
    let there = bench.files("store/acme/repo/snapshots").len();
    assert_eq!(published, removed + there, "every removal is on the ledger");
    assert_eq!(there, 2);
    assert_eq!(of_kind(&bench, "forget-started")[0]["actor"]["name"], "daemon");
    bench.run(&["ledger", "verify", "shop"]).exits(0);
}

fn nothing_goes_after_an_incomplete_one() {
    let bench = kept_by_last(1, "*/2 * * * * *");
    // A file that nobody, root included, can read from its beginning.
    let odd = "[[source]]\nname = \"odd\"\nkind = \"files\"\npaths = [\"/proc/self/mem\"]\n\n[objectives]";
    bench.edit("policies/shop.toml", "[objectives]", odd);
    let daemon = Daemon::real(&bench);

    until("three backups", || of_kind(&bench, "backup-finished").len() >= 3);
    daemon.drain();

    let finished = of_kind(&bench, "backup-finished");
    assert!(finished.iter().all(|record| record["complete"] == false), "{finished:#?}");
    assert_eq!(of_kind(&bench, "forget-started"), Vec::<Value>::new(), "{}", log(&bench));
    assert_eq!(bench.files("store/acme/repo/snapshots").len(), finished.len());
}

fn unapplied_stands_in_status() {
    let bench = kept_by_last(1, "*/2 * * * * *");
    let lost = bench.backup()["snapshot"].as_str().unwrap().to_owned();
    std::fs::remove_file(bench.repository().join("snapshots").join(&lost)).unwrap();
    let daemon = Daemon::real(&bench);
    let unapplied = || status(&bench)["unapplied_retention"].clone();

    until("retention that is not applied", || !unapplied().is_null());

    let told = unapplied();
    assert!(told["error"].as_str().unwrap().contains(&lost), "{told:#}");
    let text = bench.run(&["status", "shop"]).exits(1).stdout;
    assert!(text.contains("retention is NOT APPLIED since"), "{text}");
    // The daemon's own retention may have the lease or the lock just now.
    until("the loss to be accepted", || bench.run(&["forget", "shop", "--accept-lost"]).code == 0);
    until("retention that is applied", || unapplied().is_null());
    daemon.drain();
}

fn named(record: &Value) -> usize {
    record["snapshots"].as_array().unwrap().len()
}
