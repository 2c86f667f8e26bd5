//! A site that suffers faults, and what is asked of it after each (design, 13): do earlier snapshots
//! restore byte for byte? Does every listed one? Was there an error that names the thing? Does a
//! plain rerun succeed? Did nothing pass that should not? Is nothing left? That the fault fired is
//! for whoever made it to prove.

use std::collections::{BTreeMap, HashSet};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::bench::{Bench, Ran, contents, must, new_restic, noise};

/// How long an act may take under strace.
const PATIENCE_SECONDS: &str = "60";

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Act {
    Backup,
    Forget,
    Prune,
    Drill,
    Verify,
    /// A backup that makes the repository and the ledger.
    First,
    /// Of which one file is gone and another damaged.
    RepairIndex,
    /// Of which some lost a file.
    RepairSnapshots,
}

impl Act {
    pub fn words(self) -> &'static [&'static str] {
        match self {
            Self::Backup | Self::First => &["backup", "shop", "--json"],
            Self::Forget => &["forget", "shop", "--json"],
            Self::Prune => &["prune", "shop", "--json"],
            Self::Drill => &["drill", "shop", "--json"],
            Self::Verify => &["verify", "shop", "--read-data", "--json"],
            Self::RepairIndex => &["repair", "index", "shop", "--json"],
            Self::RepairSnapshots => &["repair", "snapshots", "shop", "--read-data", "--json"],
        }
    }

    /// Its exit status where nothing disturbs it.
    pub fn ends_with(self) -> i32 {
        if self == Self::RepairSnapshots { 3 } else { 0 }
    }

    /// Whether every listed snapshot restores before it begins.
    pub fn finds_it_whole(self) -> bool {
        !matches!(self, Self::First | Self::RepairIndex | Self::RepairSnapshots)
    }
}

pub struct Site {
    pub bench: Bench,
    /// What each snapshot gave back when it was new.
    known: BTreeMap<String, String>,
    /// The same for the snapshots that were kept aside.
    kept: BTreeMap<String, String>,
    changes: usize,
}

impl Site {
    /// A site that keeps one snapshot, with `prepare` done to it before the first backup.
    pub fn new(prepare: impl FnOnce(&Bench)) -> Self {
        let bench = Bench::new();
        bench.edit("policies/shop.toml", "[objectives]", "[retention]\nlast = 1\n\n[objectives]");
        std::fs::write(bench.path("data/files/large.bin"), noise(500_000)).unwrap();
        prepare(&bench);
        bench.backup();
        let known = BTreeMap::new();
        let mut site = Self { bench, kept: known.clone(), known, changes: 0 };
        site.stands("at first");
        site
    }

    pub fn run(&self, act: Act) -> Ran {
        self.bench.run(act.words())
    }

    /// Runs it under strace; answers how it ended, and the calls that strace was asked to show.
    pub fn traced(&self, act: Act, expressions: &[&str]) -> (Ran, String) {
        let strace = self.strace(act, expressions);
        // One that hangs is killed with all that it started. A thread that cannot wake another one, which no
        // disk does, waits for ever.
        let mut limited = Command::new("timeout");
        limited.args(["--signal=KILL", PATIENCE_SECONDS]);
        limited.arg(strace.get_program()).args(strace.get_args());
        limited.current_dir(self.bench.path("")).env("NO_COLOR", "1").stdin(Stdio::null());
        let ran = Ran::from(limited.output().unwrap());
        (ran, std::fs::read_to_string(self.bench.path("trace")).unwrap())
    }

    /// As [`Self::traced`], and kills it once `nth` calls on files of the site are shown.
    pub fn killed_after(&self, act: Act, expressions: &[&str], nth: u64) -> (Ran, String) {
        let trace = self.bench.path("trace");
        let _ = std::fs::remove_file(&trace);
        must(Command::new("mkfifo").arg(&trace));
        let mut strace = self.strace(act, expressions);
        let strace = strace.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (mut shown, mut left) = (String::new(), nth);
        for line in BufReader::new(std::fs::File::open(&trace).unwrap()).lines() {
            let line = line.unwrap();
            // What comes after it is still shown, and is no more what the act died of.
            if left > 0 && self.is_of(&line) {
                shown = format!("{shown}{line}\n");
                left -= 1;
                if left == 0 {
                    kill_first_child(&strace);
                }
            }
        }
        std::fs::remove_file(&trace).unwrap();
        (Ran::from(strace.wait_with_output().unwrap()), shown)
    }

    /// Whether a call that strace shows is on files of the site.
    pub fn is_of(&self, call: &str) -> bool {
        call.contains(self.bench.path("").display().to_string().trim_end_matches('/'))
    }

    fn strace(&self, act: Act, expressions: &[&str]) -> Command {
        let (trace, inner) = (self.bench.path("trace"), self.bench.command(act.words()));
        let mut strace = Command::new("strace");
        strace.args(["-f", "-y", "-qq", "-e", "signal=none", "-o"]).arg(&trace);
        for expression in expressions {
            strace.args(["-e", expression]);
        }
        strace.arg(inner.get_program()).args(inner.get_args());
        strace.current_dir(self.bench.path("")).env("NO_COLOR", "1").stdin(Stdio::null());
        strace
    }

    /// Gives the sources something new, of which some stays from one time to the next.
    fn change(&mut self) {
        self.changes += 1;
        let file = |name: &str, bytes: &[u8]| {
            std::fs::write(self.bench.path("data/files").join(name), bytes).unwrap();
        };
        file("large.bin", &noise(600_000)[self.changes * 7..]);
        if self.changes % 2 == 1 {
            file("stays.bin", &noise(300_000)[self.changes * 9..]);
        }
        self.bench.sql("INSERT INTO orders (cents, note) VALUES (1, hex(randomblob(9000)))");
    }

    /// Brings about that `act` has something to do.
    pub fn ready(&mut self, act: Act) {
        self.change();
        if act != Act::Backup {
            self.bench.backup();
        }
        if act == Act::Prune {
            self.change();
            self.bench.backup();
            self.run(Act::Forget).exits(0);
        }
        self.stands("before");
        match act {
            Act::First => {
                self.shell("rm -rf store/* store/.tmp state/*");
                self.known.clear();
            }
            Act::RepairIndex => {
                let index = self.bench.files("store/acme/repo/index");
                std::fs::remove_file(&index[0]).unwrap();
                flip_middle(&index[1]);
            }
            Act::RepairSnapshots => {
                let packs = self.bench.files("store/acme/repo/data");
                let size = |pack: &PathBuf| std::fs::metadata(pack).unwrap().len();
                flip_middle(&packs.into_iter().max_by_key(size).unwrap());
            }
            _ => {}
        }
    }

    /// Earlier snapshots are there as they were, unless the ledger gave them up; every listed one
    /// restores, a new one to what its source holds, one that a repair left to nothing that its original
    /// did not hold; the ledger is sound.
    pub fn stands(&mut self, what: &str) {
        let listed = self.bench.run(&["snapshots", "shop", "--json"]).exits(0).json();
        let original = |one: &Value| one["original"].as_str().map(str::to_owned);
        let listed: BTreeMap<_, _> = listed
            .as_array()
            .unwrap()
            .iter()
            .map(|one| (text(&one["id"]), original(one)))
            .collect();
        let given_up = self.given_up();
        self.known.retain(|id, _| {
            let stays = listed.contains_key(id);
            assert!(stays || given_up.contains(id), "{what}: {id} went without a record");
            stays
        });
        let below = self.bench.path("data/files");
        for (id, original) in listed {
            let words = ["restore", "shop", "--snapshot", &id, "--to", "back"];
            self.bench.run(&words).exits(0);
            let back = contents(&self.bench.path("back"));
            let files = self.bench.path(&format!("back/uploads{}", below.display()));
            match (self.known.get(&id), original) {
                (Some(before), _) => {
                    assert_eq!(back, *before, "{what}: {id} gives other bytes back")
                }
                (None, Some(original)) => {
                    let held = |line| self.known[&original].lines().any(|one| one == line);
                    assert!(back.lines().all(held), "{what}: {id} is not left of {original}");
                }
                (None, None) => {
                    assert_eq!(contents(&files), contents(&below), "{what}: {id} is new")
                }
            }
            std::fs::remove_dir_all(self.bench.path("back")).unwrap();
            self.known.insert(id, back);
        }
        self.bench.run(&["ledger", "verify", "shop"]).exits(0);
    }

    /// Snapshots that a record on the ledger says were to be removed.
    fn given_up(&self) -> HashSet<String> {
        let log = self.bench.run(&["ledger", "log", "shop", "--last", "0", "--json"]).exits(0);
        let log = log.json();
        let records = log.as_array().unwrap().iter();
        let forgotten = records.filter(|one| one["kind"] == "forget-started");
        forgotten.flat_map(|one| one["snapshots"].as_array().unwrap()).map(text).collect()
    }

    /// What ended well did what it says.
    pub fn is_true(&self, act: Act, ran: &Ran, what: &str) {
        let answer = ran.json();
        match act {
            Act::Backup | Act::First => {
                let id = text(&answer["snapshot"]);
                let listed = self.bench.run(&["snapshots", "shop"]).exits(0).stdout;
                assert!(listed.contains(&id[..8]), "{what}: {id} is not in {listed}");
            }
            Act::Forget | Act::Prune => {}
            Act::Drill => assert_eq!(answer["verdict"], "pass", "{what}: {answer:#}"),
            Act::Verify => assert_eq!(answer["errors"], json!([]), "{what}"),
            Act::RepairIndex => assert_eq!(answer["errors"], json!([]), "{what}: {answer:#}"),
            Act::RepairSnapshots => {
                let all = answer["snapshots"].as_array().unwrap();
                assert!(!all.is_empty(), "{what}: {answer:#}");
                assert!(all.iter().all(|one| one["repaired"].is_string()), "{what}: {answer:#}");
            }
        }
    }

    /// A run that did not end well says which thing did not do what, and does not panic.
    pub fn is_told(ran: &Ran, what: &str) {
        let told = format!("{}{}", ran.stdout, ran.stderr);
        let things = ["acme/", "pack ", "snapshot", "index", "lock", "ledger", "state", "outbox"];
        let things = [&things[..], &["scratch", "store", "repository"]].concat();
        assert!(things.iter().any(|thing| told.contains(thing)), "{what}: {told}");
        assert!(!told.contains("panicked"), "{what}: {told}");
    }

    /// A plain rerun succeeds, and then nothing is left of either. What a repair could not bring back the
    /// source still has.
    pub fn goes_on(&self, act: Act, what: &str) {
        let again = self.run(act);
        let told = format!("{what}: rerun: {}{}", again.stdout, again.stderr);
        assert_eq!(again.code, act.ends_with(), "{told}");
        self.is_true(act, &again, what);
        if act == Act::RepairSnapshots {
            self.run(Act::Backup).exits(0);
        }
        self.is_tidy(what);
    }

    /// Neither a process nor anything in scratch is left.
    pub fn is_tidy(&self, what: &str) {
        assert!(self.bench.leftovers().is_empty(), "{what}: {:?}", self.bench.leftovers());
        let begun = Instant::now();
        while !self.processes().is_empty() {
            let left = begun.elapsed() < Duration::from_secs(5);
            assert!(left, "{what}: {:?} is left", self.processes());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What runs and names the site's folder.
    fn processes(&self) -> Vec<String> {
        let folder = self.bench.path("").display().to_string();
        let folder = folder.trim_end_matches('/');
        let running = std::fs::read_dir("/proc").unwrap().flatten();
        let lines = running.filter_map(|one| std::fs::read(one.path().join("cmdline")).ok());
        let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
        lines.filter(|line| line.contains(folder)).collect()
    }

    /// Stock restic finds every byte in place; locks of those who died are not its concern.
    pub fn is_clean(&self) {
        must(self.bench.restic(&new_restic()).args(["check", "--no-lock", "--read-data"]));
    }

    /// Puts what is stored aside, for [`Self::back_again`].
    pub fn keep(&mut self) {
        self.shell("rm -rf kept; mkdir kept; cp -a store state kept");
        self.kept = self.known.clone();
    }

    /// What is stored is again what it was when it was kept.
    pub fn back_again(&mut self) {
        self.shell(
            "rm -rf store/* store/.tmp state/*; cp -aT kept/store store; cp -aT kept/state state",
        );
        self.known = self.kept.clone();
    }

    fn shell(&self, script: &str) {
        must(Command::new("bash").args(["-ec", script]).current_dir(self.bench.path("")));
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn flip_middle(file: &Path) {
    let mut bytes = std::fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(file, bytes).unwrap();
}

/// Kills what `parent` runs, unless it has ended.
fn kill_first_child(parent: &Child) {
    let id = parent.id();
    let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
    let first = children.split_whitespace().next().and_then(|id| id.parse().ok());
    if let Some(first) = first.and_then(Pid::from_raw) {
        let _ = kill_process(first, Signal::KILL);
    }
}
