//! What a policy lets production be asked for, kept by the built binary.

mod bench;

use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use bench::{Bench, Ran};

/// A bench whose policy has these limits. Its sources hold 3 MB.
fn limited(limits: &str) -> Bench {
    let bench = Bench::new();
    bench.edit("policies/shop.toml", "[objectives]", &format!("[limits]\n{limits}\n[objectives]"));
    bench
}

fn spawn(bench: &Bench, arguments: &[&str]) -> Child {
    bench.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn terminate(child: &Child) {
    let pid = rustix::process::Pid::from_child(child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
}

/// Waits until `is_so`, for at most half a minute.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(30), "never {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_run_that_takes_longer_than_its_deadline_is_aborted_and_publishes_nothing() {
    let bench = limited("read_rate = \"64KiB/s\"\ndeadline = \"2s\"");
    let mark = bench.path("resumed");
    bench.edit(
        "policies/shop.toml",
        "[objectives]",
        &format!("[hooks]\nafter = [\"touch\", {:?}]\n\n[objectives]", mark.display()),
    );
    let begun = Instant::now();

    let ran = bench.run(&["backup", "shop"]).exits(1);

    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    assert!(ran.stderr.contains("longer than its deadline of 2s"), "{}", ran.stderr);
    assert!(ran.stderr.contains("[limits]"), "a hint: {}", ran.stderr);
    assert!(mark.exists(), "the hook after the backup did not run");
    let snapshots = bench.run(&["snapshots", "shop", "--json"]).exits(0).json();
    assert_eq!(snapshots.as_array().map(Vec::len), Some(0), "{snapshots}");
    let log = bench.run(&["ledger", "log", "shop", "--json"]).exits(0).stdout;
    assert!(log.contains("backup-aborted") && log.contains("deadline"), "{log}");

    bench.edit("policies/shop.toml", "read_rate = \"64KiB/s\"\ndeadline = \"2s\"", "");
    bench.backup();
    assert_eq!(bench.drill().0, 0);
    bench.run(&["ledger", "verify", "shop"]).exits(0);
}

#[test]
fn sources_are_read_and_packs_are_sent_no_faster_than_the_policy_says() {
    for rate in ["read_rate", "upload_rate"] {
        let bench = limited(&format!("{rate} = \"1MiB/s\""));

        let backup = bench.backup();

        // 3 MB; of an upload all but the last object are waited for.
        let seconds = backup["seconds"].as_f64().unwrap();
        assert!(seconds >= 2.5, "{rate}: {backup}");
        assert_eq!(bench.drill().0, 0, "{rate}");
    }
}

#[test]
fn what_waits_for_its_turn_to_go_ends_at_once_when_it_is_asked_to() {
    for rate in ["read_rate = \"1KiB/s\"", "upload_rate = \"1KiB/s\""] {
        let bench = limited(rate);
        let child = spawn(&bench, &["backup", "shop", "-v"]);
        let begun = if rate.starts_with("read") { "locks" } else { "data" };
        until(begun, || !bench.files(&format!("store/acme/repo/{begun}")).is_empty());
        let asked = Instant::now();

        terminate(&child);
        let ran = Ran::from(child.wait_with_output().unwrap()).exits(130);

        assert!(asked.elapsed() < Duration::from_secs(20), "{rate}: {}", ran.stderr);
        assert!(bench.files("store/acme/repo/snapshots").is_empty(), "{rate}");
        assert!(bench.files("store/acme/repo/locks").is_empty(), "{rate}");
    }
}

#[test]
fn what_reads_production_yields_to_others_and_nothing_else_does() {
    let bench = limited("read_rate = \"64KiB/s\"\nnice = 7");
    let child = spawn(&bench, &["backup", "shop"]);
    let tasks = format!("/proc/{}/task", child.id());
    let niceness = |task: &Path| {
        let stat = std::fs::read_to_string(task.join("stat")).unwrap_or_default();
        let (name, fields) = stat.rsplit_once(')')?;
        let nice: i32 = fields.split_whitespace().nth(16)?.parse().ok()?;
        Some((name.split_once('(')?.1.to_owned(), nice))
    };
    let threads = || -> Vec<(String, i32)> {
        let tasks = std::fs::read_dir(&tasks).unwrap();
        tasks.filter_map(|task| niceness(&task.unwrap().path())).collect()
    };

    // The walk, and a reader for each core.
    until("enough threads yield", || threads().iter().filter(|(_, nice)| *nice == 7).count() > 1);

    let main = niceness(Path::new(&format!("/proc/{}", child.id()))).unwrap();
    assert_eq!(main.1, 0, "{main:?}");
    let seen = threads();
    assert!(seen.iter().any(|(name, nice)| name == "capture" && *nice == 7), "{seen:?}");
    assert!(seen.iter().filter(|(name, _)| name.starts_with("tokio")).all(|(_, nice)| *nice == 0));
    terminate(&child);
    Ran::from(child.wait_with_output().unwrap()).exits(130);
}

#[test]
fn limits_are_carried_out_so_validate_has_nothing_to_say_of_them() {
    let bench =
        limited("read_rate = \"100MiB/s\"\nupload_rate = \"1GiB/s\"\ndeadline = \"2h\"\nnice = 19");

    let ran = bench.run(&["validate"]).exits(0);

    assert!(!ran.stderr.contains("limits") && !ran.stdout.contains("limits"), "{}", ran.stderr);
    bench.backup();
}
