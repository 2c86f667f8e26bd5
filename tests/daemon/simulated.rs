//! Two days of a daemon that is killed and restarted at random, over both kinds of clock change.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use rustix::process::Signal;

use crate::bench::{Bench, contents, files_below, must, new_restic};
use crate::clock::Scaled;
use crate::ledger::{Slots, every_slot_once};
use crate::site::{Daemon, clock, log, of_kind, until_time};

pub const CASES: &[(&str, fn())] = &[("two_days_with_kills_and_restarts", two_days)];

/// Noon before the night in which Mexico's clocks went forward and Sydney's back.
const BEGINS: &str = "2018-03-31T12:00:00Z";
const ENDS: &str = "2018-04-02T12:00:00Z";
/// Simulated seconds in a real one: an hour in two seconds.
const SCALE: u32 = 1800;

/// Policies beside the bench's own, each with its zone and its one source. PostgreSQL will be
/// another line.
const POLICIES: [(&str, &str, &str); 2] = [
    ("tree", "America/Mexico_City", "kind = \"files\"\npaths = [\"data/files\"]"),
    ("database", "Australia/Sydney", "kind = \"sqlite\"\npath = \"data/shop.db\""),
];

/// Six-hourly, at times of day: 2:30 is skipped in Mexico and comes twice in Sydney.
const DRILLS: &str = "30 2,8,14,20 * * *";

/// A site with hourly backups and six-hourly drills of three policies.
fn site() -> Bench {
    let bench = Bench::new();
    let schedule = |zone: &str| {
        format!("[schedule]\nbackup = \"0 * * * *\"\ntimezone = \"{zone}\"\njitter = \"5m\"\n")
    };
    bench.edit("policies/shop.toml", "[objectives]\nrpo = \"6h\"\nrto = \"45m\"", &schedule("UTC"));
    let name = "name = \"weekly\"";
    bench.edit("drills/weekly.toml", name, &format!("{name}\nschedule = \"{DRILLS}\""));
    for (policy, zone, source) in POLICIES {
        let head = format!("customer = \"acme\"\nname = \"{policy}\"\n");
        let source = format!("[[source]]\nname = \"data\"\n{source}\n");
        bench.write(&format!("policies/{policy}.toml"), head + &schedule(zone) + &source);
        let drill = format!("policy = \"acme/{policy}\"\n{name}\nschedule = \"{DRILLS}\"\n");
        bench.write(&format!("drills/{policy}.toml"), drill + "controls = true\n");
    }
    let daemon = "[daemon]\nparallel = 3\ndrain = \"30s\"\n\n[signing]";
    bench.edit("lifeboat.toml", "[signing]", daemon);
    bench
}

/// Numbers that are the same for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) % bound
    }
}

fn two_days() {
    let given = std::env::var("LIFEBOAT_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| Timestamp::now().as_microsecond() as u64 | 1);
    println!("seed {seed} (LIFEBOAT_SEED={seed} repeats it)");
    let (bench, mut dice) = (site(), Dice(seed));
    let clock = clock(&bench, BEGINS, SCALE);
    let (mut kills, mut ends) = (0, 0);
    while clock.unset() < at(ENDS) {
        let daemon = Daemon::simulated(&bench, &clock);
        live(&bench, &clock, &mut dice);
        match dice.below(3) {
            0 => {
                daemon.signal(Signal::TERM);
                let code = daemon.ends();
                assert!([0, 130].contains(&code), "{code}: {}", log(&bench));
                ends += 1;
            }
            _ => {
                daemon.kill();
                kills += 1;
            }
        }
        // Mostly at once, sometimes after slots have passed.
        let downtime = [0, 0, 600, 3 * 3600][dice.below(4) as usize];
        let back = clock.unset() + SignedDuration::from_secs(downtime);
        until_time(&clock, &back.to_string());
    }
    println!("{kills} kills, {ends} ends");
    at_rest(&bench, &clock);

    let slots = every_slot_once(&bench);
    println!(
        "{} slots finished, {} aborted, {} missed",
        slots.finished.len(),
        slots.aborted.len(),
        slots.missed.len()
    );
    every_series_has_its_slots(&slots);
    bench.run(&["ledger", "verify", "acme"]).exits(0);
    nothing_failed_or_is_left(&bench);
    every_snapshot_restores(&bench);
}

/// The shop's life, for a few hours.
fn live(bench: &Bench, clock: &Scaled, dice: &mut Dice) {
    let until = clock.unset() + SignedDuration::from_secs(900 + dice.below(6 * 3600) as i64);
    let mut number = 0;
    while clock.unset() < until {
        number += 1;
        bench.sql("INSERT INTO orders (cents, note) VALUES (1, hex(randomblob(2000)))");
        let name = format!("data/files/new-{}-{number}", until.as_second());
        bench.write(&name, format!("{number} ").repeat(500));
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// A last daemon that runs until everything that is due has its answer, and ends well.
fn at_rest(bench: &Bench, clock: &Scaled) {
    let daemon = Daemon::simulated(bench, clock);
    let begun = Instant::now();
    let series: BTreeSet<String> = ["shop", "tree", "database"]
        .iter()
        .flat_map(|policy| [(*policy).to_owned(), format!("{policy}/weekly")])
        .collect();
    // Each series answers one more slot: before that it settles all that passed.
    loop {
        let answered: BTreeSet<_> = ["backup-started", "drill-started"]
            .iter()
            .flat_map(|kind| of_kind(bench, kind))
            .filter(|record| record["slot"].as_str().is_some_and(|slot| at(slot) >= at(ENDS)))
            .map(|record| match record["drill"].as_str() {
                Some(drill) => format!("{}/{drill}", record["policy"].as_str().unwrap()),
                None => record["policy"].as_str().unwrap().to_owned(),
            })
            .collect();
        if answered == series {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "{answered:?}: {}", log(bench));
        std::thread::sleep(Duration::from_millis(200));
    }
    daemon.drain();
    // What passed while it ended is nobody's any more: one run of each policy by hand says so. By
    // its clock that is years later, so the schedules end first.
    for policy in ["shop", "tree", "database"] {
        let file = format!("policies/{policy}.toml");
        bench.edit(&file, "backup = \"0 * * * *\"", "backup = \"0 0 1 1 *\"");
    }
    for drill in ["weekly", "tree", "database"] {
        let schedule = format!("schedule = \"{DRILLS}\"\n");
        bench.edit(&format!("drills/{drill}.toml"), &schedule, "");
    }
    Daemon::simulated(bench, clock).drain_once_settled(bench);
}

impl Daemon {
    /// Ends it well as soon as it has declared the policies that it found.
    fn drain_once_settled(self, bench: &Bench) {
        let versions = || of_kind(bench, "policy-version").len();
        let before = versions();
        crate::site::until("the new versions", || versions() >= before + 3);
        self.drain();
    }
}

/// Against lists that were made by hand.
fn every_series_has_its_slots(slots: &Slots) {
    let (begins, ends) = (at(BEGINS), at(ENDS));
    let hours: BTreeSet<_> =
        (1..=48).map(|hour| begins + SignedDuration::from_hours(hour)).collect();
    for policy in ["shop", "tree", "database"] {
        let due: BTreeSet<_> = slots.of(policy).into_iter().filter(|slot| *slot <= ends).collect();
        assert_eq!(due, hours, "{policy}");
    }
    let drills = [
        ("shop/weekly", ["31T14:30", "31T20:30", "01T02:30", "01T08:30", "01T14:30", "01T20:30"]),
        // UTC-6, from 8:00Z on the first on UTC-5: what was to run at 2:30 runs at 3:00.
        ("tree/weekly", ["31T14:30", "31T20:30", "01T02:30", "01T08:00", "01T13:30", "01T19:30"]),
        // UTC+11, from 16:00Z on the 31st on UTC+10: 2:30 came first at 15:30Z.
        (
            "database/weekly",
            ["31T15:30", "31T22:30", "01T04:30", "01T10:30", "01T16:30", "01T22:30"],
        ),
    ];
    for (series, expected) in drills {
        let expected: Vec<_> = expected.iter().map(|text| drill_slot(text)).collect();
        let due: Vec<_> = slots.of(series).into_iter().take(expected.len()).collect();
        assert_eq!(due, expected, "{series}");
    }
    let finished = |series: &str| slots.finished.iter().filter(|(of, _)| of == series).count();
    for series in ["shop", "tree", "database", "shop/weekly", "tree/weekly", "database/weekly"] {
        assert!(finished(series) >= 2, "{series} hardly ever ran: {slots:?}");
    }
}

fn drill_slot(text: &str) -> Timestamp {
    let month = if text.starts_with("31") { "03" } else { "04" };
    at(&format!("2018-{month}-{text}:00Z"))
}

fn nothing_failed_or_is_left(bench: &Bench) {
    let drills = of_kind(bench, "drill-finished");
    let words: Vec<_> = drills.iter().map(|drill| drill["verdict"].as_str().unwrap()).collect();
    assert!(!words.contains(&"fail"), "{words:?}");
    assert!(words.iter().filter(|word| **word == "pass").count() * 2 > words.len(), "{words:?}");
    assert_eq!(bench.leftovers(), Vec::<std::path::PathBuf>::new());
    assert_eq!(bench.files("store/acme/repo/locks"), Vec::<std::path::PathBuf>::new());
    let held = bench.files("state/outbox").into_iter();
    let held: Vec<_> = held.filter(|path| path.extension().is_some()).collect();
    assert!(held.is_empty(), "{held:?}");
    let state = rusqlite::Connection::open(bench.path("state/state.db")).unwrap();
    let count = |sql: &str| state.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count("SELECT count(*) FROM repository_lock"), 0);
    assert_eq!(count("SELECT count(*) FROM lease WHERE until_ms > 0 AND key = 'daemon'"), 0);
}

/// Every snapshot, by lifeboat; and all of them at once, by restic's own check of every byte.
fn every_snapshot_restores(bench: &Bench) {
    must(bench.restic(&new_restic()).args(["check", "--read-data"]));
    let snapshots = bench.run(&["snapshots", "--json"]).exits(0).json();
    let snapshots = snapshots.as_array().unwrap();
    assert!(snapshots.len() >= 30, "{}", snapshots.len());
    let restore = |number: usize, snapshot: &serde_json::Value| {
        let (id, policy) = (snapshot["id"].as_str().unwrap(), snapshot["policy"].as_str().unwrap());
        let policy = policy.rsplit('/').next().unwrap();
        let to = format!("back-{number}");
        bench.run(&["restore", policy, "--snapshot", id, "--to", &to]).exits(0);
        let back = bench.path(&to);
        assert!(!files_below(&back).is_empty() && !contents(&back).is_empty(), "{id}");
        std::fs::remove_dir_all(back).unwrap();
    };
    std::thread::scope(|scope| {
        for (number, some) in snapshots.chunks(snapshots.len().div_ceil(4)).enumerate() {
            scope.spawn(move || some.iter().for_each(|snapshot| restore(number, snapshot)));
        }
    });
    println!("{} snapshots restored", snapshots.len());
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}
