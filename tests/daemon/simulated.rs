//! Two days of a daemon that is killed and restarted at random, over both kinds of clock change, for
//! one customer in a folder and one in a bucket.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use rustix::process::Signal;
use serde_json::Value;

use crate::bench::{Bench, contents, files_below, must, new_restic};
use crate::clock::Scaled;
use crate::ledger::{Slots, each_once};
use crate::seaweed::{ADMIN, seaweed};
use crate::servers::postgres::Server;
use crate::site::{Daemon, clock, log, records_of, until, until_time};

pub const CASES: &[(&str, fn())] = &[("two_days_with_kills_and_restarts", two_days)];

/// Noon before the night in which Mexico's clocks went forward and Sydney's back.
const BEGINS: &str = "2018-03-31T12:00:00Z";
/// By then the policies are on the ledgers, however long that took.
const DECLARED: &str = "2018-03-31T12:20:00Z";
const ENDS: &str = "2018-04-02T12:00:00Z";
/// Simulated seconds in a real one: an hour in three seconds.
const SCALE: u32 = 1200;

/// The policies, each with its customer, its zone and its one source; `{socket}` stands for the
/// folder of PostgreSQL's socket.
const POLICIES: [(&str, &str, &str, &str); 3] = [
    ("acme", "tree", "America/Mexico_City", "kind = \"files\"\npaths = [\"data/files\"]"),
    (
        "acme",
        "rows",
        "Europe/Berlin",
        "kind = \"postgres\"\nhost = \"{socket}\"\nuser = \"postgres\"",
    ),
    ("bazaar", "database", "Australia/Sydney", "kind = \"sqlite\"\npath = \"data/shop.db\""),
];

/// The customer in the folder, and the one in the bucket.
const CUSTOMERS: [&str; 2] = ["acme", "bazaar"];
const BUCKET: &str = "two-days";

/// Six-hourly, at times of day: 2:30 is skipped in Mexico and comes twice in Sydney.
const DRILLS: &str = "30 2,8,14,20 * * *";

fn schedule(zone: &str) -> String {
    format!("[schedule]\nbackup = \"0 * * * *\"\ntimezone = \"{zone}\"\njitter = \"5m\"\n")
}

/// A site with hourly backups and six-hourly drills of three policies.
fn site(server: &Server) -> Bench {
    let bench = Bench::new();
    for file in ["policies/shop.toml", "drills/weekly.toml"] {
        std::fs::remove_file(bench.path(file)).unwrap();
    }
    for (customer, policy, zone, source) in POLICIES {
        let head = format!("customer = \"{customer}\"\nname = \"{policy}\"\n");
        let source = source.replace("{socket}", &server.socket().display().to_string());
        let source = format!("[[source]]\nname = \"data\"\n{source}\n");
        bench.write(&format!("policies/{policy}.toml"), head + &schedule(zone) + &source);
        let drill = format!("policy = \"{customer}/{policy}\"\nname = \"weekly\"\n");
        let drill = drill + &format!("schedule = \"{DRILLS}\"\ncontrols = true\n");
        bench.write(&format!("drills/{policy}.toml"), drill);
    }
    seaweed().bucket(BUCKET);
    let more = format!(
        r#"[daemon]
parallel = 3
drain = "30s"

[[store]]
name = "bucket"
url = "s3://{BUCKET}/lifeboat"
endpoint = "{}"
access_key = {{ file = "keys/s3-id" }}
secret_key = {{ file = "keys/s3-secret" }}

[[customer]]
id = "bazaar"
store = "bucket"
repository_password = {{ file = "keys/repository-password" }}

[signing]"#,
        seaweed().endpoint()
    );
    bench.edit("lifeboat.toml", "[signing]", &more);
    bench.write("keys/s3-id", ADMIN.access.into());
    bench.write("keys/s3-secret", ADMIN.secret.into());
    bench
}

/// Every record of every ledger.
fn all_records(bench: &Bench) -> Vec<Value> {
    CUSTOMERS.iter().flat_map(|customer| records_of(bench, customer)).collect()
}

fn of_kind(bench: &Bench, kind: &str) -> Vec<Value> {
    all_records(bench).into_iter().filter(|record| record["kind"] == kind).collect()
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
    let server = Server::start(15);
    server.psql("postgres", "CREATE TABLE sale (id serial PRIMARY KEY, cents int, note text)");
    let (bench, mut dice) = (site(&server), Dice(seed));
    declare(&bench);
    let clock = clock(&bench, DECLARED, SCALE);
    let (mut kills, mut ends) = (0, 0);
    while clock.unset() < at(ENDS) {
        let daemon = Daemon::simulated(&bench, &clock);
        let sales =
            "INSERT INTO sale (cents, note) SELECT n, md5(n::text) FROM generate_series(1, 999) n";
        server.psql("postgres", sales);
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

    let mut slots = Slots::default();
    for customer in CUSTOMERS {
        slots.extend(each_once(&records_of(&bench, customer)));
        bench.run(&["ledger", "verify", customer]).exits(0);
    }
    println!(
        "{} slots finished, {} aborted, {} missed",
        slots.finished.len(),
        slots.aborted.len(),
        slots.missed.len()
    );
    every_series_has_its_slots(&slots);
    nothing_failed_or_is_left(&bench, kills);
    every_snapshot_restores(&bench);
}

/// Puts the policies on the ledgers: from then on their slots are due.
fn declare(bench: &Bench) {
    let daemon = Daemon::simulated(bench, &clock(bench, BEGINS, 1));
    until("the policies", || of_kind(bench, "policy-version").len() == POLICIES.len());
    daemon.drain();
}

/// The shop's life, for a few hours.
fn live(bench: &Bench, clock: &Scaled, dice: &mut Dice) {
    let dusk = clock.unset() + SignedDuration::from_secs(900 + dice.below(6 * 3600) as i64);
    let mut number = 0;
    while clock.unset() < dusk {
        number += 1;
        bench.sql("INSERT INTO orders (cents, note) VALUES (1, hex(randomblob(2000)))");
        let name = format!("data/files/new-{}-{number}", dusk.as_second());
        bench.write(&name, format!("{number} ").repeat(500));
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// A last daemon that runs until everything that is due has its answer, and ends well.
fn at_rest(bench: &Bench, clock: &Scaled) {
    let daemon = Daemon::simulated(bench, clock);
    let begun = Instant::now();
    let series: BTreeSet<String> = POLICIES
        .iter()
        .flat_map(|(_, policy, ..)| [(*policy).to_owned(), format!("{policy}/weekly")])
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
    // What passed while it ended is still to be told: by a daemon that has nothing to run.
    for (_, policy, zone, _) in POLICIES {
        bench.edit(&format!("policies/{policy}.toml"), &schedule(zone), "");
        let schedule = format!("schedule = \"{DRILLS}\"\n");
        bench.edit(&format!("drills/{policy}.toml"), &schedule, "");
    }
    let versions = || of_kind(bench, "policy-version").len();
    let before = versions();
    let daemon = Daemon::simulated(bench, clock);
    until("the new versions", || versions() >= before + POLICIES.len());
    daemon.drain();
}

/// Against lists that were made by hand.
fn every_series_has_its_slots(slots: &Slots) {
    let (begins, ends) = (at(BEGINS), at(ENDS));
    let hours: BTreeSet<_> =
        (1..=48).map(|hour| begins + SignedDuration::from_hours(hour)).collect();
    for (_, policy, ..) in POLICIES {
        let due: BTreeSet<_> = slots.of(policy).into_iter().filter(|slot| *slot <= ends).collect();
        assert_eq!(due, hours, "{policy}");
    }
    let drills = [
        ("rows/weekly", ["31T12:30", "31T18:30", "01T00:30", "01T06:30", "01T12:30", "01T18:30"]),
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
    // How much comes to its end between the kills depends on the machine.
    for (_, policy, ..) in POLICIES {
        assert!(finished(policy) >= 1, "{policy} never came to its end: {slots:?}");
    }
    assert!(slots.finished.len() >= 30, "{slots:?}");
}

fn drill_slot(text: &str) -> Timestamp {
    let month = if text.starts_with("31") { "03" } else { "04" };
    at(&format!("2018-{month}-{text}:00Z"))
}

fn nothing_failed_or_is_left(bench: &Bench, kills: usize) {
    let drills = of_kind(bench, "drill-finished");
    let words: Vec<_> = drills.iter().map(|drill| drill["verdict"].as_str().unwrap()).collect();
    // Only where there was nothing yet that could come back.
    let failed = drills.iter().filter(|drill| drill["verdict"] == "fail");
    let failed: Vec<_> = failed.filter(|drill| !drill["snapshot"].is_null()).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(words.iter().filter(|word| **word == "pass").count() * 2 > words.len(), "{words:?}");
    assert_eq!(bench.leftovers(), Vec::<std::path::PathBuf>::new());
    // A kill between the writing of a lock and its remembering leaves one that is stale in half an
    // hour; all others are gone.
    let locks = bench.files("store/acme/repo/locks");
    assert!(locks.len() <= kills, "{locks:?}");
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
    let repository = format!("s3:{}/{BUCKET}/lifeboat/bazaar/repo", seaweed().endpoint());
    must(
        bench
            .restic(&new_restic())
            .args(["-r", &repository, "check", "--read-data"])
            .env("AWS_ACCESS_KEY_ID", ADMIN.access)
            .env("AWS_SECRET_ACCESS_KEY", ADMIN.secret),
    );
    let snapshots = bench.run(&["snapshots", "--json"]).exits(0).json();
    let snapshots = snapshots.as_array().unwrap();
    assert!(snapshots.len() >= 10, "{}", snapshots.len());
    let restore = |number: usize, snapshot: &Value| {
        let (id, policy) = (snapshot["id"].as_str().unwrap(), snapshot["policy"].as_str().unwrap());
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
