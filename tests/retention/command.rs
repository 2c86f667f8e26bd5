//! `lifeboat forget` on a site.

use serde_json::Value;

use crate::bench::{Bench, must, new_restic};

fn site(retention: &str) -> Bench {
    let bench = Bench::new();
    let kept = format!("[retention]\n{retention}\n\n[objectives]");
    bench.edit("policies/shop.toml", "[objectives]", &kept);
    bench
}

fn backups(bench: &Bench, count: usize) -> Vec<String> {
    let id = |_| bench.backup()["snapshot"].as_str().unwrap().to_owned();
    (0..count).map(id).collect()
}

fn listed(bench: &Bench) -> Vec<String> {
    let listed = bench.run(&["snapshots", "shop", "--json"]).exits(0);
    assert!(!listed.stderr.contains("not here any more"), "{}", listed.stderr);
    let id = |one: &Value| one["id"].as_str().unwrap().to_owned();
    listed.json().as_array().unwrap().iter().map(id).collect()
}

fn records(bench: &Bench, kind: &str) -> Vec<Value> {
    let log = bench.run(&["ledger", "log", "shop", "--json"]).exits(0).json();
    let records = log["records"].as_array().or(log.as_array()).unwrap().clone();
    records.into_iter().filter(|record| record["kind"] == kind).collect()
}

#[test]
fn forget_says_why_removes_what_the_plan_says_and_leaves_a_record() {
    let bench = site("last = 2");
    let ids = backups(&bench, 4);

    let dry = bench.run(&["forget", "shop", "--dry-run"]).exits(0).stdout;
    assert!(dry.contains("no rule keeps it") && dry.contains("2 would be removed"), "{dry}");
    assert_eq!(listed(&bench), ids, "a dry run removes nothing");

    let done = bench.run(&["forget", "shop", "--json"]).exits(0).json();
    assert_eq!(done["removed"], serde_json::json!(ids[..2]));
    assert_eq!(done["snapshots"][3]["reasons"], serde_json::json!(["last"]));
    assert_eq!(listed(&bench), ids[2..]);

    let started = records(&bench, "forget-started");
    assert_eq!(started.len(), 1);
    assert_eq!(started[0]["snapshots"], serde_json::json!(ids[..2]));
    assert!(started[0]["why"].as_str().unwrap().contains("last 2"), "{started:?}");
    assert_eq!(records(&bench, "forget-finished")[0]["left"], 2);
    bench.run(&["ledger", "verify", "shop"]).exits(0);
    let verified = bench.run(&["verify", "shop", "--read-data", "--json"]).exits(0).json();
    assert_eq!(verified["hints"], serde_json::json!([]), "what was forgotten is not missed");
    must(bench.restic(&new_restic()).args(["check", "--read-data"]));
    let (code, drilled) = bench.drill();
    assert_eq!(code, 0, "{drilled:#}");
    assert_eq!(
        bench.run(&["forget", "shop", "--json"]).exits(0).json()["removed"],
        serde_json::json!([])
    );
}

#[test]
fn the_newest_snapshot_that_a_drill_proved_outlives_its_rules() {
    let bench = site("last = 1");
    let proven = backups(&bench, 2).pop().unwrap();
    assert_eq!(bench.drill().0, 0);
    let newer = backups(&bench, 2);

    let done = bench.run(&["forget", "shop", "--json"]).exits(0).json();

    assert_eq!(listed(&bench), [proven.clone(), newer[1].clone()], "{done:#}");
    assert!(done.to_string().contains("newest proven by a drill"), "{done:#}");
}

#[test]
fn a_listing_that_lacks_what_the_ledger_knows_stops_forget_until_a_person_accepts_it() {
    let bench = site("last = 1");
    let ids = backups(&bench, 3);
    must(bench.restic(&new_restic()).args(["forget", &ids[0]]));

    for flags in [&["--json"][..], &["--json", "--dry-run"]] {
        let ran = bench.run(&[&["forget", "shop"], flags].concat()).exits(1);
        assert!(
            ran.stderr.contains(&ids[0]) && ran.stderr.contains("accept-lost"),
            "{}",
            ran.stderr
        );
    }
    assert_eq!(records(&bench, "forget-started").len(), 0);

    let dry = bench.run(&["forget", "shop", "--accept-lost", "--dry-run"]).exits(0).stdout;
    assert!(dry.contains(&format!("GONE: {}, would be accepted", ids[0])), "{dry}");
    let done = bench.run(&["forget", "shop", "--accept-lost", "--json"]).exits(0).json();
    assert_eq!(done["accepted_lost"], serde_json::json!([ids[0]]), "{done:#}");
    assert_eq!(listed(&bench), [ids[2].clone()]);
    let named: Vec<_> = records(&bench, "forget-started");
    assert_eq!(named.len(), 2, "{named:?}");
    bench.run(&["forget", "shop"]).exits(0);
}

#[test]
fn a_damaged_snapshot_a_damaged_ledger_and_a_policy_without_rules_remove_nothing() {
    let bench = Bench::new();
    backups(&bench, 2);
    let ran = bench.run(&["forget", "shop"]).exits(2);
    assert!(ran.stderr.contains("no [retention]"), "{}", ran.stderr);

    bench.edit("policies/shop.toml", "[objectives]", "[retention]\nlast = 1\n\n[objectives]");
    let snapshot = bench.files("store/acme/repo/snapshots").remove(0);
    let whole = std::fs::read(&snapshot).unwrap();
    std::fs::write(&snapshot, &whole[..whole.len() - 1]).unwrap();
    let ran = bench.run(&["forget", "shop"]).exits(1);
    assert!(ran.stderr.contains("is damaged"), "{}", ran.stderr);
    std::fs::write(&snapshot, &whole).unwrap();

    let segment = bench.files("store/acme/ledger/segments").remove(1);
    let kept = std::fs::read(&segment).unwrap();
    std::fs::remove_file(&segment).unwrap();
    bench.run(&["forget", "shop"]).exits(1);
    assert_eq!(bench.files("store/acme/repo/snapshots").len(), 2);
    std::fs::write(&segment, kept).unwrap();
    bench.run(&["forget", "shop"]).exits(0);
    assert_eq!(bench.files("store/acme/repo/snapshots").len(), 1);
}

#[test]
fn a_snapshot_that_cannot_be_read_stays_and_is_named_and_the_others_are_planned_without_it() {
    let bench = site("last = 2");
    let ids = backups(&bench, 4);
    let damaged = bench.repository().join("snapshots").join(&ids[2]);
    let whole = std::fs::read(&damaged).unwrap();
    std::fs::write(&damaged, &whole[1..]).unwrap();

    let ran = bench.run(&["forget", "shop", "--json"]).exits(1);

    let done = ran.json();
    assert_eq!(done["removed"], serde_json::json!(ids[..1]), "it took a place: {done:#}");
    assert_eq!(done["unreadable"][0]["id"], ids[2], "{done:#}");
    assert!(ran.stderr.contains(&ids[2]), "{}", ran.stderr);
    assert!(damaged.exists());
    std::fs::write(&damaged, whole).unwrap();
    let done = bench.run(&["forget", "shop", "--json"]).exits(0).json();
    assert_eq!(done["removed"], serde_json::json!([ids[1]]), "{done:#}");
}

#[test]
fn nothing_is_removed_for_a_newest_snapshot_that_cannot_be_opened() {
    let bench = site("last = 1");
    let packs = || bench.files("store/acme/repo/data");
    let mut ids = backups(&bench, 1);
    let before = packs();
    ids.extend(backups(&bench, 1));
    let new: Vec<_> = packs().into_iter().filter(|pack| !before.contains(pack)).collect();
    let whole: Vec<_> = new.iter().map(|pack| std::fs::read(pack).unwrap()).collect();
    for (pack, bytes) in new.iter().zip(&whole) {
        std::fs::write(pack, vec![0; bytes.len()]).unwrap();
    }

    let ran = bench.run(&["forget", "shop"]).exits(1);

    assert!(ran.stderr.contains(&format!("snapshot {}", ids[1])), "{}", ran.stderr);
    assert!(ran.stderr.contains("lifeboat verify"), "{}", ran.stderr);
    assert_eq!(listed(&bench), ids);
    assert_eq!(records(&bench, "forget-started").len(), 0);
    for (pack, bytes) in new.iter().zip(whole) {
        std::fs::write(pack, bytes).unwrap();
    }
    bench.run(&["forget", "shop"]).exits(0);
}

#[test]
fn a_snapshot_of_somebody_elses_strange_time_or_content_stops_nobody_but_a_prune() {
    let bench = site("last = 1");
    let ids = backups(&bench, 2);
    let foreign = ["backup", "--time", "9999-12-31 23:59:59"];
    must(bench.restic(&new_restic()).args(foreign).arg(bench.path("data/files")));
    for command in [&["snapshots"][..], &["status"], &["forget", "shop"], &["prune", "shop"]] {
        bench.run(command).exits(0);
    }
    assert_eq!(listed(&bench), ids[1..]);

    let there = bench.files("store/acme/repo/snapshots");
    let foreign = there.iter().find(|file| !file.ends_with(&ids[1])).unwrap();
    std::fs::write(foreign, "nothing of ours").unwrap();
    let id = foreign.file_name().unwrap().to_str().unwrap();
    backups(&bench, 1);

    let text = bench.run(&["snapshots"]).exits(1);
    assert!(text.stderr.contains(id) && text.stdout.contains(&ids[1][..8]), "{}", text.stderr);
    let status = bench.run(&["status", "--json"]).exits(1).json();
    assert_eq!(status[0]["unreadable"][0]["snapshot"], id, "{status:#}");
    let done = bench.run(&["forget", "shop", "--json"]).exits(1).json();
    assert_eq!(done["removed"], serde_json::json!([ids[1]]), "{done:#}");
    let pruned = bench.run(&["prune", "shop"]).exits(1);
    assert!(pruned.stderr.contains("nobody knows what it needs"), "{}", pruned.stderr);
    assert!(pruned.stderr.contains(&format!("snapshots/{id}")), "{}", pruned.stderr);
    assert!(pruned.stderr.contains("bring it back from a copy"), "{}", pruned.stderr);
    std::fs::remove_file(foreign).unwrap();
    bench.run(&["prune", "shop"]).exits(0);
}

#[test]
fn what_a_host_may_not_remove_is_not_taken_for_gone() {
    let bench = site("last = 1");
    backups(&bench, 3);
    let nobody = bench.as_nobody_except("store/acme/repo/snapshots");
    // Nobody's to write, everybody's to read.
    let snapshots = bench.path("store/acme/repo/snapshots");
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&snapshots, open).unwrap();

    let ran = nobody(&["forget", "shop"]).exits(1);

    assert!(ran.stderr.contains("cannot remove snapshot"), "{}", ran.stderr);
    let log = nobody(&["ledger", "log", "shop", "--last", "0", "--json"]).exits(0).json();
    let records = log["records"].as_array().or(log.as_array()).unwrap();
    let ended = records.iter().find(|record| record["kind"] == "forget-finished").unwrap();
    assert_eq!(ended["snapshots"], serde_json::json!([]), "{ended:#}");
}

#[test]
fn what_is_lost_can_be_accepted_without_rules_too() {
    let bench = Bench::new();
    let ids = backups(&bench, 3);
    must(bench.restic(&new_restic()).args(["forget", &ids[0]]));

    bench.run(&["forget", "shop", "--accept-lost"]).exits(0);

    assert_eq!(listed(&bench), ids[1..]);
}

#[test]
fn after_all_are_lost_and_accepted_a_prune_says_how_it_goes_on() {
    let bench = site("last = 1");
    let ids = backups(&bench, 2);
    for id in &ids {
        std::fs::remove_file(bench.repository().join("snapshots").join(id)).unwrap();
    }

    let done = bench.run(&["forget", "shop", "--accept-lost"]).exits(0).stdout;
    assert!(ids.iter().all(|id| done.contains(id)), "{done}");
    let ran = bench.run(&["prune", "shop"]).exits(1);

    assert!(ran.stderr.contains("no snapshot is listed"), "{}", ran.stderr);
    assert!(ran.stderr.contains("back up anew"), "{}", ran.stderr);
    backups(&bench, 1);
    bench.run(&["prune", "shop"]).exits(0);
    must(bench.restic(&new_restic()).args(["check", "--read-data"]));
}

#[test]
fn a_run_removes_no_more_than_ten_and_half_unless_it_is_told() {
    let bench = site("last = 1");
    let ids = backups(&bench, 12);

    let ran = bench.run(&["forget", "shop"]).exits(1);
    assert!(
        ran.stderr.contains("11 of 12") && ran.stderr.contains("--allow-many"),
        "{}",
        ran.stderr
    );
    let plan = ran.stdout.matches("no rule keeps it").count();
    assert!(plan == 11 && ran.stdout.contains("nothing was removed"), "{}", ran.stdout);
    let dry = bench.run(&["forget", "shop", "--dry-run", "--json"]).exits(0).json();
    assert!(dry["refused"].as_str().unwrap().contains("11 of 12"), "{dry}");
    assert_eq!(listed(&bench).len(), 12);

    bench.run(&["forget", "shop", "--allow-many"]).exits(0);
    assert_eq!(listed(&bench), [ids[11].clone()]);
}

#[test]
fn forget_waits_for_nobody_in_a_dry_run_and_ends_with_11_where_another_has_the_lock() {
    let bench = site("last = 1");
    backups(&bench, 2);
    let restic = new_restic();
    let mut holder = bench.restic(&restic);
    // A backup from a pipe that never ends holds restic's lock.
    holder.args(["backup", "--stdin", "--quiet"]).stdin(std::process::Stdio::piped());
    let mut holder = holder.spawn().unwrap();
    while bench.files("store/acme/repo/locks").is_empty() {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }

    bench.run(&["forget", "shop", "--dry-run"]).exits(0);
    let ran = bench.run(&["forget", "shop", "--json"]);
    holder.kill().unwrap();
    holder.wait().unwrap();

    assert_eq!(ran.code, 11, "{}", ran.stderr);
    assert_eq!(listed(&bench).len(), 2);
}

#[test]
fn what_only_carries_the_policys_tags_takes_no_place_from_backups() {
    let bench = site("last = 2");
    let ids = backups(&bench, 2);
    let forged = ["backup", "--host", "acme", "--tag", "lifeboat,policy:shop"];
    for _ in 0..2 {
        must(bench.restic(&new_restic()).args(forged).arg(bench.path("data/files")));
    }

    let done = bench.run(&["forget", "shop", "--json"]).exits(0).json();

    assert_eq!(done["removed"], serde_json::json!([]), "{done:#}");
    let there = listed(&bench);
    assert!(there.len() == 4 && ids.iter().all(|id| there.contains(id)), "{there:?}");
    let listed = bench.run(&["snapshots", "shop", "--json"]).exits(0).json();
    let named: Vec<_> = listed.as_array().unwrap().iter().map(|one| &one["on_ledger"]).collect();
    assert_eq!(named, [true, true, false, false]);
    let text = bench.run(&["snapshots", "shop"]).exits(0).stdout;
    assert_eq!(text.matches("NOT ON THE LEDGER").count(), 2, "{text}");
}

#[test]
fn without_its_ledger_nothing_is_forgotten() {
    let bench = site("last = 1");
    let ids = backups(&bench, 3);
    std::fs::remove_dir_all(bench.repository().parent().unwrap().join("ledger")).unwrap();

    let done = bench.run(&["forget", "shop", "--json"]);

    assert!(done.code != 0 || done.json()["removed"] == serde_json::json!([]), "{}", done.stdout);
    let there = bench.run(&["snapshots", "shop", "--json"]).stdout;
    assert!(ids.iter().all(|id| there.contains(id)), "{there}");
}
