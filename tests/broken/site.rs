//! A site that suffers faults, and what is asked of it after each (design, 13): do earlier snapshots
//! restore byte for byte? Does every listed one? Was there an error that names the thing? Does a
//! plain rerun succeed? Did nothing pass that should not? Is nothing left? That the fault fired is
//! for whoever made it to prove.

use std::collections::{BTreeMap, HashSet};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::bench::{Bench, Ran, contents, must, new_restic, noise};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Act {
    Backup,
    Forget,
    Prune,
    Drill,
    Verify,
}

impl Act {
    pub fn words(self) -> &'static [&'static str] {
        match self {
            Self::Backup => &["backup", "shop", "--json"],
            Self::Forget => &["forget", "shop", "--json"],
            Self::Prune => &["prune", "shop", "--json"],
            Self::Drill => &["drill", "shop", "--json"],
            Self::Verify => &["verify", "shop", "--read-data", "--json"],
        }
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
        let (trace, inner) = (self.bench.path("trace"), self.bench.command(act.words()));
        let mut strace = Command::new("strace");
        strace.args(["-f", "-y", "-qq", "-e", "signal=none", "-o"]).arg(&trace);
        for expression in expressions {
            strace.args(["-e", expression]);
        }
        strace.arg(inner.get_program()).args(inner.get_args());
        strace.current_dir(self.bench.path("")).env("NO_COLOR", "1");
        let ran = Ran::from(strace.output().unwrap());
        (ran, std::fs::read_to_string(trace).unwrap())
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
    }

    /// Earlier snapshots are there as they were, unless the ledger gave them up; every listed one
    /// restores, a new one to what its source holds; the ledger is sound.
    pub fn stands(&mut self, what: &str) {
        let listed = self.bench.run(&["snapshots", "shop", "--json"]).exits(0).json();
        let listed: Vec<_> =
            listed.as_array().unwrap().iter().map(|one| text(&one["id"])).collect();
        let given_up = self.given_up();
        self.known.retain(|id, _| {
            let stays = listed.contains(id);
            assert!(stays || given_up.contains(id), "{what}: {id} went without a record");
            stays
        });
        let below = self.bench.path("data/files");
        for id in listed {
            let words = ["restore", "shop", "--snapshot", &id, "--to", "back"];
            self.bench.run(&words).exits(0);
            let back = contents(&self.bench.path("back"));
            let files = self.bench.path(&format!("back/uploads{}", below.display()));
            match self.known.get(&id) {
                Some(before) => assert_eq!(back, *before, "{what}: {id} gives other bytes back"),
                None => assert_eq!(contents(&files), contents(&below), "{what}: {id} is new"),
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
            Act::Backup => {
                let id = text(&answer["snapshot"]);
                let listed = self.bench.run(&["snapshots", "shop"]).exits(0).stdout;
                assert!(listed.contains(&id[..8]), "{what}: {id} is not in {listed}");
            }
            Act::Forget | Act::Prune => {}
            Act::Drill => assert_eq!(answer["verdict"], "pass", "{what}: {answer:#}"),
            Act::Verify => assert_eq!(answer["errors"], json!([]), "{what}"),
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

    /// A plain rerun succeeds, and then nothing is left of either.
    pub fn goes_on(&self, act: Act, what: &str) {
        let again = self.run(act);
        assert_eq!(again.code, 0, "{what}: rerun: {}{}", again.stdout, again.stderr);
        self.is_true(act, &again, what);
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
