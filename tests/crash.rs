//! `kill -9` in every phase of every act that writes: what was there stays, a plain rerun succeeds,
//! stock restic finds the repository clean, and nothing is left behind.

mod bench;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Duration;

use bench::{Bench, inventory, must, new_restic};

/// Runs the binary until it logs `phase` (or ends), then kills it; answers whether the phase was hit.
fn kill_in_phase(bench: &Bench, arguments: &[&str], phase: &str, after: Duration) -> bool {
    let mut child = bench
        .command(arguments)
        .env("LIFEBOAT_LOG", "lifeboat=debug")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let log = BufReader::new(child.stderr.take().unwrap());
    let wanted = format!("phase={phase}");
    let mut hit = false;
    for line in log.lines().map_while(Result::ok) {
        let plain = strip_colours(&line);
        if plain.contains(&wanted) || plain.contains(&format!("phase=\"{phase}\"")) {
            hit = true;
            std::thread::sleep(after);
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    hit
}

fn strip_colours(line: &str) -> String {
    let mut plain = String::new();
    let mut rest = line.chars();
    while let Some(letter) = rest.next() {
        if letter == '\u{1b}' {
            rest.by_ref().find(|letter| *letter == 'm');
        } else {
            plain.push(letter);
        }
    }
    plain
}

/// The phases that an act logs when nothing disturbs it.
fn phases(bench: &Bench, arguments: &[&str]) -> BTreeSet<String> {
    let output = bench.command(arguments).env("LIFEBOAT_LOG", "lifeboat=debug").output().unwrap();
    let log = strip_colours(&String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{log}");
    log.split("phase=")
        .skip(1)
        .filter_map(|rest| rest.split_whitespace().next())
        .map(|phase| phase.trim_matches('"').to_owned())
        .collect()
}

/// Kills `arguments` in each of its phases, at once and a little later; `between` looks after each.
fn kill_everywhere(bench: &Bench, arguments: &[&str], expected: &[&str], between: impl Fn(&str)) {
    let phases = phases(bench, arguments);
    for phase in expected {
        assert!(phases.contains(*phase), "{phase} is not among {phases:?}");
    }
    let mut hit = BTreeSet::new();
    for after in [Duration::ZERO, Duration::from_millis(3), Duration::from_millis(15)] {
        for phase in &phases {
            bench.sql("INSERT INTO orders (cents, note) VALUES (1, hex(randomblob(20000)))");
            if kill_in_phase(bench, arguments, phase, after) {
                hit.insert(phase.clone());
            }
            between(phase);
        }
    }
    assert_eq!(hit, phases, "not every phase was hit");
}

#[test]
fn a_backup_killed_in_any_phase_loses_nothing_that_was_there() {
    let bench = Bench::new();
    let first = bench.backup()["snapshot"].as_str().unwrap().to_owned();
    let restore = |to: &str| {
        let arguments = ["restore", "shop", "--snapshot", &first, "--to", to, "--json"];
        bench.run(&arguments).exits(0);
        let found = inventory(&bench.path(to));
        std::fs::remove_dir_all(bench.path(to)).unwrap();
        found
    };
    let before = restore("before");

    kill_everywhere(&bench, &["backup", "shop"], &["capture", "publish", "record"], |phase| {
        assert_eq!(restore("after"), before, "after a kill in {phase}");
        must(bench.restic(&new_restic()).arg("unlock"));
        must(bench.restic(&new_restic()).args(["check", "--read-data"]));
    });

    bench.backup();
    let (code, document) = bench.drill();
    assert_eq!(code, 0, "{document:#}");
    bench.run(&["ledger", "verify", "shop"]).exits(0);
    let log = bench.run(&["ledger", "log", "shop", "--json"]).exits(0).stdout;
    assert!(log.contains("backup-aborted"), "killed runs are on the ledger as aborted: {log}");
}

#[test]
fn a_drill_killed_in_any_phase_leaves_no_process_and_no_folder() {
    let bench = Bench::new();
    bench.backup();

    kill_everywhere(
        &bench,
        &["drill", "shop"],
        &["fetch", "start", "checks", "controls", "teardown", "record"],
        |_| {},
    );

    let (code, document) = bench.drill();
    assert_eq!(code, 0, "{document:#}");
    assert_eq!(bench.leftovers(), Vec::<std::path::PathBuf>::new());
    assert_eq!(scratch_processes(&bench), Vec::<String>::new());
    bench.run(&["ledger", "verify", "shop"]).exits(0);
    let log = bench.run(&["ledger", "log", "shop", "--json"]).exits(0).stdout;
    assert!(log.contains("drill-aborted"), "killed drills are on the ledger as aborted: {log}");
}

#[test]
fn a_restore_killed_half_way_is_repeated_whole() {
    let bench = Bench::new();
    bench.backup();
    bench.run(&["restore", "shop", "--to", "whole"]).exits(0);

    for phase in ["fetch", "record"] {
        assert!(
            kill_in_phase(&bench, &["restore", "shop", "--to", "cut"], phase, Duration::ZERO),
            "{phase} was not hit"
        );
        if bench.path("cut").exists() {
            std::fs::remove_dir_all(bench.path("cut")).unwrap();
        }
        bench.run(&["restore", "shop", "--to", "cut"]).exits(0);
        assert_eq!(inventory(&bench.path("cut")), inventory(&bench.path("whole")), "{phase}");
        std::fs::remove_dir_all(bench.path("cut")).unwrap();
    }
    bench.run(&["ledger", "verify", "shop"]).exits(0);
}

/// A bench that keeps one snapshot, with something for `forget` and `prune` to do: packs of which
/// nothing, and packs of which little is needed.
fn litter(bench: &Bench, round: usize) {
    let file = bench.path("data/files/large.bin");
    std::fs::write(&file, &bench::noise(1_500_000)[round..]).unwrap();
    std::fs::write(bench.path("data/files/stays.bin"), &bench::noise(300_000)[round * 9..])
        .unwrap();
    bench.backup();
    std::fs::write(&file, &bench::noise(60_000)[round..]).unwrap();
    bench.sql("INSERT INTO orders (cents, note) VALUES (1, hex(randomblob(20000)))");
    bench.backup();
}

/// Kills an act in each of its phases, each time after `before`; afterwards what the newest
/// snapshot holds is there, no lock is in anybody's way, restic finds nothing wrong, and a plain rerun
/// succeeds.
fn remover_killed_everywhere(arguments: &[&str], expected: &[&str], before: impl Fn(&Bench)) {
    let bench = Bench::new();
    bench.edit("policies/shop.toml", "[objectives]", "[retention]\nlast = 1\n\n[objectives]");
    let newest = || {
        bench.run(&["restore", "shop", "--to", "newest"]).exits(0);
        let found = inventory(&bench.path("newest"));
        std::fs::remove_dir_all(bench.path("newest")).unwrap();
        found
    };
    litter(&bench, 0);
    before(&bench);
    let phases = phases(&bench, arguments);
    for phase in expected {
        assert!(phases.contains(*phase), "{phase} is not among {phases:?}");
    }
    let mut hit = BTreeSet::new();
    for (round, phase) in phases.iter().chain(&phases).enumerate() {
        litter(&bench, round + 1);
        before(&bench);
        let whole = newest();
        let after = Duration::from_millis(if round < phases.len() { 0 } else { 2 });
        if kill_in_phase(&bench, arguments, phase, after) {
            hit.insert(phase.clone());
        }
        assert_eq!(newest(), whole, "after a kill in {phase}");
        let locks = bench.files("store/acme/repo/locks");
        assert!(
            locks.is_empty(),
            "a dead run's lock is not known for dead after a kill in {phase}"
        );
        must(bench.restic(&new_restic()).args(["check", "--read-data"]));
        bench.run(arguments).exits(0);
        assert_eq!(newest(), whole, "after the rerun of one killed in {phase}");
    }
    assert_eq!(hit, phases, "not every phase was hit");
    must(bench.restic(&new_restic()).args(["check", "--read-data"]));
    let left = bench.run(&["prune", "shop", "--json"]).exits(0).json();
    let again = bench.run(&["prune", "shop", "--json"]).exits(0).json();
    assert_eq!(again["packs"], serde_json::json!([]), "{left:#}");
    bench.run(&["ledger", "verify", "shop"]).exits(0);
    assert_eq!(bench.drill().0, 0);
    every_deletion_is_recorded(&bench);
}

/// Whatever was published is there or was given up on the ledger.
fn every_deletion_is_recorded(bench: &Bench) {
    let log = bench.run(&["ledger", "log", "shop", "--last", "0", "--json"]).exits(0).json();
    let records = log.as_array().unwrap();
    let of = |kind: &str| records.iter().filter(move |one| one["kind"] == kind).collect::<Vec<_>>();
    let given_up: Vec<_> = of("forget-started")
        .into_iter()
        .flat_map(|one| one["snapshots"].as_array().unwrap())
        .collect();
    let there = bench.files("store/acme/repo/snapshots");
    for published in of("backup-finished") {
        let id = &published["snapshot"];
        let is_there = there.iter().any(|file| file.ends_with(id.as_str().unwrap()));
        assert!(is_there || given_up.contains(&id), "{id} went without a record");
    }
}

#[test]
fn a_forget_killed_in_any_phase_removes_nothing_unrecorded() {
    remover_killed_everywhere(&["forget", "shop"], &["plan", "record", "remove", "finish"], |_| {});
}

#[test]
fn a_prune_killed_in_any_phase_leaves_a_whole_repository_and_the_next_one_goes_on() {
    let phases =
        ["survey", "repack", "lock", "look", "index", "record", "unindex", "delete", "done"];
    remover_killed_everywhere(&["prune", "shop"], &phases, |bench| {
        bench.run(&["forget", "shop"]).exits(0);
    });
}

/// Processes whose environment names a scratch environment below the bench.
fn scratch_processes(bench: &Bench) -> Vec<String> {
    let folder = bench.path("scratch").display().to_string();
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(Result::ok)
        .filter(|process| {
            let read = |name| std::fs::read(process.path().join(name)).unwrap_or_default();
            let environment = String::from_utf8_lossy(&read("environ")).into_owned();
            let arguments = String::from_utf8_lossy(&read("cmdline")).into_owned();
            environment.contains(&folder) || arguments.contains(&folder)
        })
        .map(|process| process.file_name().to_string_lossy().into_owned())
        .collect()
}
