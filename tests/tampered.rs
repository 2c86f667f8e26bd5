//! Drills disturbed while they run: scratch changed under them, children killed, the store out of
//! reach. None of it is a pass, and no record is lost or written twice.

mod bench;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use bench::{Bench, Ran};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// A drill under way whose log is followed.
struct Running {
    child: Child,
    log: Receiver<String>,
    seen: Vec<String>,
}

impl Running {
    fn start(mut command: Command) -> Self {
        let mut child = command
            .env("LIFEBOAT_LOG", "lifeboat=debug")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (tell, log) = channel();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if tell.send(line).is_err() {
                    break;
                }
            }
        });
        Self { child, log, seen: Vec::new() }
    }

    /// Waits for the log's line on `phase`.
    fn reaches(&mut self, phase: &str) {
        while !self.is_in(phase) {
            let line = self.log.recv_timeout(Duration::from_secs(60));
            let line = line.unwrap_or_else(|_| panic!("no {phase}: {:#?}", self.seen));
            self.seen.push(line);
        }
    }

    fn is_in(&self, phase: &str) -> bool {
        let wanted = format!("\"{phase}\"");
        self.seen.iter().any(|line| line.contains("phase") && line.contains(&wanted))
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Stops the process; answers whether it had not come to `next` by then.
    fn halts_before(&mut self, next: &str) -> bool {
        self.signal(Signal::STOP);
        let stat = format!("/proc/{}/stat", self.child.id());
        while !fs::read_to_string(&stat).unwrap().contains(") T ") {
            std::thread::yield_now();
        }
        // What it wrote before it stopped is in the pipe, so it comes at once.
        while let Ok(line) = self.log.recv_timeout(Duration::from_millis(300)) {
            self.seen.push(line);
        }
        !self.is_in(next)
    }

    fn ends(mut self) -> Ran {
        let mut stdout = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
        let code = self.child.wait().unwrap().code().unwrap_or(-1);
        self.seen.extend(self.log.try_iter());
        Ran { code, stdout, stderr: self.seen.join("\n") }
    }
}

impl Drop for Running {
    /// A test that failed leaves no stopped process behind.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn drill(bench: &Bench) -> Running {
    Running::start(bench.command(&["drill", "shop", "--json"]))
}

/// Stops a drill after everything was restored and before anything was compared, lets `tamper`
/// work on the folder of what was restored, and answers how the drill ended.
fn tampered(bench: &Bench, tamper: &dyn Fn(&Path)) -> Value {
    // Where the machine was too slow to stop it in time, nothing was touched: once more.
    for _ in 0..20 {
        let mut running = drill(bench);
        running.reaches("start");
        let in_time = running.halts_before("checks");
        if in_time {
            let scratch = bench.leftovers().into_iter().find(|path| path.is_dir()).unwrap();
            tamper(&scratch.join("data"));
        }
        running.signal(Signal::CONT);
        let ran = running.ends();
        if in_time {
            assert_eq!(bench.leftovers(), Vec::<PathBuf>::new());
            return ran.exits(4).json();
        }
    }
    panic!("no drill could be stopped between its phases");
}

/// Changes something below the folder of what was restored.
type Tamper = fn(&Path);

fn find(folder: &Path, name: &str) -> PathBuf {
    bench::files_below(folder).into_iter().find(|path| path.ends_with(name)).unwrap()
}

/// Changes a byte and puts size and times back.
fn flip(path: &Path, at: u64) {
    let before = fs::metadata(path).unwrap();
    let file = fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
    let times = fs::FileTimes::new()
        .set_modified(before.modified().unwrap())
        .set_accessed(before.accessed().unwrap());
    file.set_times(times).unwrap();
    assert_eq!(before.mtime_nsec(), fs::metadata(path).unwrap().mtime_nsec());
}

#[test]
fn what_is_changed_in_scratch_before_it_is_compared_is_found_and_named() {
    let bench = Bench::new();
    bench.backup();
    let lies: [(&str, Tamper); 5] = [
        ("large.bin", |data| flip(&find(data, "large.bin"), 1_500_000)),
        ("p3.jpg", |data| fs::remove_file(find(data, "p3.jpg")).unwrap()),
        ("more.jpg", |data| {
            let beside = find(data, "p3.jpg");
            fs::write(beside.with_file_name("more.jpg"), "more").unwrap();
        }),
        ("link", |data| {
            let link = find(data, "link");
            fs::remove_file(&link).unwrap();
            std::os::unix::fs::symlink("p2.jpg", &link).unwrap();
        }),
        ("shop.db", |data| {
            let database = find(data, "orders/shop.db");
            let bytes = fs::read(&database).unwrap();
            // Pages keep stale copies of rows where they were split.
            let found = bytes.windows(9).enumerate().filter(|(_, text)| *text == b"order 123");
            for (at, _) in found {
                flip(&database, at as u64 + 8);
            }
        }),
    ];
    for (place, lie) in lies {
        let document = tampered(&bench, &lie);

        assert_eq!(document["parts"]["restorable"], "no", "{place}: {document:#}");
        assert!(document.to_string().contains(place), "{place} is not named: {document:#}");
        let record = document["record"].to_string();
        let shown = bench.run(&["ledger", "show", "acme", &record, "--json"]).exits(0).json();
        let sources = shown["details"]["sources"].as_array().unwrap();
        let differs = if place == "shop.db" { "orders" } else { "uploads" };
        for source in sources {
            let parts = source["parts"].as_array().unwrap();
            let all_equal = parts.iter().all(|part| part["equal"] == true);
            assert_eq!(all_equal, source["source"] != differs, "{place}: {source:#}");
        }
        if place == "shop.db" {
            assert_eq!(document["parts"]["intact"], "no", "{document:#}");
            assert!(document.to_string().contains("table orders"), "{document:#}");
        }
    }
}

/// A drill whose first check runs until its deadline.
fn endless(bench: &Bench, deadline: &str) {
    bench.edit(
        "drills/weekly.toml",
        "SELECT count(*) FROM orders",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
    );
    let with_deadline = format!("expect = \"> 0\"\ndeadline = \"{deadline}\"");
    bench.edit("drills/weekly.toml", "expect = \"> 0\"", &with_deadline);
}

/// The confined process below `parent` that has worked for at least a second.
fn busy_child(parent: u32) -> u32 {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(60) {
        for entry in fs::read_dir("/proc").unwrap().filter_map(Result::ok) {
            let read = |name: &str| fs::read(entry.path().join(name)).unwrap_or_default();
            let environment = read("environ");
            let stat = String::from_utf8_lossy(&read("stat")).into_owned();
            let Some((_, rest)) = stat.rsplit_once(") ") else { continue };
            let fields: Vec<_> = rest.split(' ').collect();
            let ticks = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
            let scratch = environment.windows(17).any(|text| text == b"LIFEBOAT_SCRATCH=");
            if scratch && fields[1] == parent.to_string() && ticks >= 100 {
                return entry.file_name().to_str().unwrap().parse().unwrap();
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("no confined process is at work");
}

#[test]
fn a_confined_child_killed_in_the_middle_of_a_query_leaves_everything_it_owed_open() {
    let bench = Bench::new();
    bench.backup();
    endless(&bench, "5m");
    let mut running = drill(&bench);
    running.reaches("checks");
    let child = busy_child(running.child.id());
    kill_process(Pid::from_raw(child as i32).unwrap(), Signal::KILL).unwrap();

    let document = running.ends().exits(5).json();

    assert_eq!(document["verdict"], "inconclusive", "{document:#}");
    let checks = document["checks"].as_array().unwrap();
    for name in ["check \\\"there are orders", "check \\\"every picture"] {
        let name = &name[8..];
        let check = checks.iter().find(|check| check["name"].as_str().unwrap().contains(name));
        assert_eq!(check.unwrap()["outcome"], "not-run", "{document:#}");
    }
    assert_eq!(bench.leftovers(), Vec::<PathBuf>::new());
}

#[test]
fn a_control_that_finds_nothing_to_injure_leaves_the_drill_inconclusive() {
    let bench = Bench::new();
    bench.edit("drills/weekly.toml", "files_in = \"uploads\"", "expect = \"not empty\"");
    for file in bench.files("data/files") {
        fs::remove_file(file).unwrap();
    }
    bench.write("data/files/empty", String::new());
    bench.backup();

    let document = bench.run(&["drill", "shop", "--json"]).exits(5).json();

    assert_eq!(document["parts"]["intact"], "unknown", "{document:#}");
    assert!(document.to_string().contains("a flipped byte in uploads did not run"), "{document:#}");
}

#[test]
fn objectives_that_were_missed_fail_the_drill_and_say_by_how_much() {
    let bench = Bench::new();
    bench.edit("policies/shop.toml", "rto = \"45m\"", "rto = \"1ms\"");
    bench.backup();

    let (code, slow) = bench.drill();
    bench.edit("policies/shop.toml", "rto = \"1ms\"", "rto = \"45m\"");
    bench.edit("policies/shop.toml", "rpo = \"6h\"", "rpo = \"1ms\"");
    let (other, old) = bench.drill();

    assert_eq!((code, &slow["parts"]["within_rto"]), (4, &"no".into()), "{slow:#}");
    assert!(slow.to_string().contains("at most 0.001 s"), "{slow:#}");
    assert_eq!(slow["parts"]["intact"], "yes", "{slow:#}");
    assert_eq!((other, &old["parts"]["within_rpo"]), (4, &"no".into()), "{old:#}");
}

#[test]
fn another_policys_snapshot_is_not_taken_for_this_ones() {
    let bench = Bench::new();
    let twin = fs::read_to_string(bench.path("policies/shop.toml")).unwrap();
    bench.write("policies/twin.toml", twin.replace("\"shop\"", "\"twin\""));
    bench.backup();
    let other = bench.run(&["backup", "twin", "--json"]).exits(0).json();
    let other = other["snapshot"].as_str().unwrap();

    let ran = bench.run(&["drill", "shop", "--snapshot", other, "--json"]).exits(5);

    let document = ran.json();
    assert!(document.to_string().contains("policy twin"), "{document:#}");
    let (code, document) = bench.drill();
    assert_eq!(code, 0, "{document:#}");
    assert_ne!(document["snapshot"], other, "{document:#}");
}

#[test]
fn a_source_declared_otherwise_since_the_backup_is_not_judged_by_what_was_captured() {
    let bench = Bench::new();
    bench.backup();
    fs::create_dir(bench.path("data/new")).unwrap();
    bench.write("data/new/file", "new".into());
    let paths = "paths = [\"data/files\", \"data/new\"]";
    bench.edit("policies/shop.toml", "paths = [\"data/files\"]", paths);
    // `files_in` wants a single path.
    bench.edit("drills/weekly.toml", "files_in = \"uploads\"", "expect = \"not empty\"");

    let document = bench.run(&["drill", "shop", "--json"]).exits(5).json();

    assert!(document.to_string().contains("declared otherwise"), "{document:#}");
}

#[test]
fn a_database_that_lies_elsewhere_since_the_backup_is_not_judged_by_the_old_one() {
    let bench = Bench::new();
    bench.backup();
    fs::copy(bench.path("data/shop.db"), bench.path("data/new.db")).unwrap();
    bench.edit("policies/shop.toml", "\"data/shop.db\"", "\"data/new.db\"");

    let document = bench.run(&["drill", "shop", "--json"]).exits(5).json();

    assert!(document.to_string().contains("declared otherwise: back up anew"), "{document:#}");
    bench.backup();
    let (code, document) = bench.drill();
    assert_eq!(code, 0, "{document:#}");
}

#[test]
fn an_edited_ledger_vouches_for_nothing() {
    let bench = Bench::new();
    bench.backup();
    bench.run(&["drill", "shop"]).exits(0);
    let second = &bench.files("store/acme/ledger/segments")[1];
    fs::set_permissions(second, fs::Permissions::from_mode(0o600)).unwrap();
    flip(second, 40);

    let document = bench.run(&["drill", "shop", "--json"]).exits(5).json();

    assert!(document.to_string().contains("ledger is not as it was written"), "{document:#}");
}

#[test]
fn a_ledger_whose_tail_was_cut_together_with_the_newest_snapshot_vouches_for_nothing() {
    let bench = Bench::new();
    bench.backup();
    let kept = bench.files("store/acme/ledger");
    bench.sql("INSERT INTO orders VALUES (1000, 1, 'newer')");
    let newest = bench.backup()["snapshot"].as_str().unwrap().to_owned();
    bench.run(&["drill", "shop"]).exits(0);
    for file in bench.files("store/acme/ledger").iter().filter(|file| !kept.contains(file)) {
        fs::remove_file(file).unwrap();
    }
    fs::remove_file(bench.repository().join("snapshots").join(newest)).unwrap();

    let document = bench.run(&["drill", "shop", "--json"]).exits(5).json();

    assert!(document.to_string().contains("ledger is not as it was written"), "{document:#}");
}

#[test]
fn a_store_that_goes_out_of_reach_during_a_drill_makes_it_inconclusive_and_loses_no_record() {
    let bench = Bench::new();
    bench.backup();
    let nobody = bench.as_nobody_except("store");
    fs::set_permissions(bench.path("store"), fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::chown(bench.path("store"), Some(65534), Some(65534)).unwrap();
    let store = bench.path("store/acme");
    let reachable = |mode| fs::set_permissions(&store, fs::Permissions::from_mode(mode)).unwrap();
    let drilled = || {
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"])
            .arg(bench.path("lifeboat"))
            .args(["drill", "shop", "--json", "--config"])
            .arg(bench.path("lifeboat.toml"))
            .env_clear()
            .env("HOME", bench.path("."))
            .env("NO_COLOR", "1")
            .env("PATH", "/usr/bin:/bin")
            .stdin(Stdio::null());
        command
    };
    let mut inconclusive = 0;
    for phase in ["begin", "fetch", "start", "controls", "teardown", "record"] {
        let mut running = Running::start(drilled());
        running.reaches(phase);
        reachable(0o000);
        let ran = running.ends();
        assert!([0, 5].contains(&ran.code), "{phase}: {}\n{}", ran.code, ran.stderr);
        let document = ran.json();
        // Whatever was fetched before may still be judged; what is on no ledger is in the outbox.
        let waits = document["record"].is_null();
        assert!(waits || ran.code == 0, "{phase}: {document:#}");
        inconclusive += u32::from(ran.code == 5);
        reachable(0o700);
    }
    assert!(inconclusive >= 1, "the store was never missed");

    nobody(&["drill", "shop"]).exits(0);

    let log = nobody(&["ledger", "log", "shop", "--last", "0", "--json"]).exits(0).json();
    let of = |kind: &str| -> Vec<String> {
        let records = log.as_array().unwrap().iter();
        records
            .filter(|record| record["event"]["body"]["kind"] == kind || record["kind"] == kind)
            .map(|record| {
                let body = if record["run"].is_null() { &record["event"]["body"] } else { record };
                body["run"].as_str().unwrap().to_owned()
            })
            .collect()
    };
    let (started, finished) = (of("drill-started"), of("drill-finished"));
    assert_eq!(started.len(), 7, "{log:#}");
    assert_eq!(started, finished, "each once and in order: {log:#}");
    nobody(&["ledger", "verify", "shop"]).exits(0);
    assert_eq!(bench.files("state/outbox").iter().filter(|f| f.extension().is_some()).count(), 0);
}

#[test]
fn two_policies_drilled_at_once_share_one_ledger_without_a_gap() {
    let bench = Bench::new();
    let twin = fs::read_to_string(bench.path("policies/shop.toml")).unwrap();
    bench.write("policies/twin.toml", twin.replace("\"shop\"", "\"twin\""));
    bench.backup();
    bench.run(&["backup", "twin"]).exits(0);
    for _ in 0..3 {
        let all: Vec<_> = ["shop", "twin"]
            .map(|policy| Running::start(bench.command(&["drill", policy, "--json"])))
            .into();
        for running in all {
            running.ends().exits(0);
        }
    }

    let verified = bench.run(&["ledger", "verify", "acme", "--json"]).exits(0).json();

    assert_eq!(verified["ok"], true, "{verified:#}");
    // A first policy version, a start and an end of each backup; a start and an end of each drill.
    assert_eq!(verified["records"], 6 + 12, "{verified:#}");
}

#[test]
fn slots_of_a_policy_that_nobody_settled_are_missing_up_to_the_newest_checkpoint() {
    let bench = Bench::new();
    let twin = fs::read_to_string(bench.path("policies/shop.toml")).unwrap();
    let every_second = "[schedule]\nbackup = \"* * * * * *\"\n\n[objectives]";
    let twin = twin.replace("\"shop\"", "\"twin\"").replace("[objectives]", every_second);
    bench.write("policies/twin.toml", twin);
    bench.run(&["backup", "twin"]).exits(0);
    bench.backup();
    std::thread::sleep(Duration::from_millis(2100));
    bench.run(&["drill", "shop"]).exits(0);

    let verified = bench.run(&["ledger", "verify", "acme", "--json"]).exits(1).json();

    let missing = verified["missing"].as_array().unwrap();
    assert!(missing.len() >= 2, "{verified:#}");
    assert!(missing.iter().all(|slot| slot["policy"] == "twin"), "{verified:#}");
    bench.run(&["backup", "twin"]).exits(0);
    bench.run(&["ledger", "verify", "acme"]).exits(0);
}
