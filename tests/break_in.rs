//! What a host does to those who run on it: it interrupts, forbids, fills up and loses things.

mod bench;

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bench::{Bench, Ran, must};

fn ledger(bench: &Bench) -> String {
    bench.run(&["ledger", "log", "acme"]).exits(0).stdout
}

fn locks(bench: &Bench) -> usize {
    bench.files("store/acme/repo/locks").len()
}

/// Starts the binary and sends SIGTERM once it logs `phase`; answers how it ended and how long that took.
fn terminated_in(bench: &Bench, arguments: &[&str], phase: &str) -> (Ran, Duration) {
    let mut child = bench
        .command(arguments)
        .env("LIFEBOAT_LOG", "lifeboat=debug")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    assert!(log.any(|line| line.contains("phase") && line.contains(phase)), "{phase} never began");
    let asked = Instant::now();
    must(Command::new("kill").arg(child.id().to_string()));
    log.for_each(drop);
    (child.wait_with_output().unwrap().into(), asked.elapsed())
}

#[test]
fn a_backup_that_is_interrupted_in_a_file_that_takes_hours_ends_at_once() {
    let bench = Bench::new();
    let hours = fs::File::create(bench.path("data/files/hours")).unwrap();
    hours.set_len(1 << 42).unwrap();

    let (ran, took) = terminated_in(&bench, &["backup", "shop"], "capture");

    ran.exits(130);
    assert!(took < Duration::from_secs(20), "{took:?}");
    assert_eq!((locks(&bench), bench.leftovers()), (0, vec![]));
    fs::remove_file(bench.path("data/files/hours")).unwrap();
    bench.backup();
    assert!(ledger(&bench).contains("backup-aborted"), "{}", ledger(&bench));
}

#[test]
fn a_drill_that_is_interrupted_while_it_fetches_is_aborted_on_record() {
    let bench = Bench::new();
    fs::write(bench.path("data/files/more.bin"), bench::noise(40_000_000)).unwrap();
    bench.backup();

    let (ran, _) = terminated_in(&bench, &["drill", "shop"], "fetch");

    ran.exits(130);
    assert_eq!((locks(&bench), bench.leftovers()), (0, vec![]));
    assert!(ledger(&bench).contains("drill-aborted"), "{}", ledger(&bench));
}

#[test]
fn what_was_only_read_in_between_adds_nothing() {
    let bench = Bench::new();
    for number in 0..400 {
        bench.write(&format!("data/files/deep/{number}"), format!("file {number}"));
    }
    bench.backup();
    bench::contents(&bench.path("data/files"));

    let second = bench.backup();

    let added = second["added_bytes"].as_u64().unwrap();
    assert!(added < 12_000, "{added} bytes were added, though nothing changed");
}

#[test]
fn a_store_that_cannot_be_written_to_is_restored_from_and_verified_all_the_same() {
    let bench = Bench::new();
    bench.backup();
    let locks = "store/acme/repo/locks";
    let run = bench.as_nobody_except(locks);
    fs::set_permissions(bench.path(locks), Permissions::from_mode(0o555)).unwrap();

    let to = bench.path("back");
    let restored = run(&["restore", "shop", "--to", to.to_str().unwrap()]);
    let verified = run(&["verify", "shop", "--read-data"]);
    let backup = run(&["backup", "shop"]);

    let restored = restored.exits(0);
    assert!(restored.stderr.contains("without a lock"), "{}", restored.stderr);
    assert!(to.join("orders/shop.db").exists());
    verified.exits(0);
    backup.exits(1);
}

#[test]
fn a_drill_without_a_scratch_folder_is_inconclusive_and_on_record() {
    let bench = Bench::new();
    bench.backup();
    fs::remove_dir(bench.path("scratch")).unwrap();
    bench.write("scratch", "in the way".to_owned());

    let (code, document) = bench.drill();

    assert_eq!((code, document["verdict"].as_str()), (5, Some("inconclusive")), "{document}");
    assert!(ledger(&bench).contains("drill-finished"), "{}", ledger(&bench));
}

#[test]
fn a_hook_that_a_dead_run_owed_runs_although_the_store_is_gone() {
    let bench = Bench::new();
    let marks = bench.path("marks").display().to_string();
    bench.edit(
        "policies/shop.toml",
        "[objectives]",
        &format!(
            "[hooks]\nbefore = [\"/bin/sh\", \"-c\", \"echo before >> {marks}; kill -9 $PPID\"]\n\
             after = [\"/bin/sh\", \"-c\", \"echo after >> {marks}\"]\n\n[objectives]"
        ),
    );
    let marked = || fs::read_to_string(&marks).unwrap();
    bench.run(&["backup", "shop"]).exits(137);
    assert_eq!(marked(), "before\n");
    fs::rename(bench.path("store"), bench.path("unmounted")).unwrap();

    bench.run(&["backup", "shop"]).exits(1);

    assert_eq!(marked(), "before\nafter\n");
    assert!(!Path::new(&bench.path("store")).exists(), "a store was made where none is");
}

#[test]
fn a_hook_is_interrupted_but_what_it_holds_is_let_go() {
    let bench = Bench::new();
    let after = bench.path("after");
    bench.edit(
        "policies/shop.toml",
        "[objectives]",
        &format!(
            "[hooks]\nbefore = [\"/bin/sleep\", \"300\"]\nafter = [\"/bin/touch\", {after:?}]\n\n\
             [objectives]"
        ),
    );

    let (ran, took) = terminated_in(&bench, &["backup", "shop"], "capture");

    ran.exits(130);
    assert!(took < Duration::from_secs(20), "{took:?}");
    assert!(after.exists(), "what `before` holds is held still");
}

#[test]
fn a_hook_that_leaves_a_daemon_behind_is_not_waited_for() {
    let bench = Bench::new();
    let pid = bench.path("pid");
    let script = format!("setsid sh -c 'echo $$ > {}; exec sleep 60' &", pid.display());
    bench.edit(
        "policies/shop.toml",
        "[objectives]",
        &format!("[hooks]\nafter = [\"/bin/sh\", \"-c\", {script:?}]\n\n[objectives]"),
    );
    let begun = Instant::now();

    bench.backup();

    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    if let Ok(pid) = fs::read_to_string(&pid) {
        must(Command::new("kill").arg(pid.trim()));
    }
}

#[test]
fn an_unreadable_folder_that_the_policy_may_skip_does_not_spoil_the_drill() {
    let bench = Bench::new();
    bench.edit(
        "policies/shop.toml",
        "paths = [\"data/files\"]",
        "paths = [\"data/files\"]\nmay_skip = [\"private/\"]",
    );
    fs::create_dir(bench.path("data/files/private")).unwrap();
    fs::set_permissions(bench.path("data/files/private"), Permissions::from_mode(0o700)).unwrap();
    let run = bench.as_nobody_except("data/files/private");

    run(&["backup", "shop"]).exits(3);
    run(&["drill", "shop"]).exits(0);
    let status = run(&["status"]).exits(0).stdout;
    assert!(status.contains("INCOMPLETE and does not count"), "{status}");
    bench.edit("policies/shop.toml", "private/", "other/");
    must(Command::new("chown").arg("65534").arg(bench.path("policies/shop.toml")));
    run(&["drill", "shop"]).exits(5);
}
