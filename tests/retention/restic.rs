//! The same keep rules keep the same snapshots as in restic 0.19.1, on 500 random histories.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use lifeboat::ground::clock::SystemClock;
use lifeboat::ground::digest::Digest;
use lifeboat::ledger::record::{Event, Record};
use lifeboat::policy::Retention;
use lifeboat::policy::span::CalendarSpan;
use lifeboat::repo::{Repository, Snapshot, SnapshotId, file};
use lifeboat::retain::plan::{History, plan};
use lifeboat::seal::{Cost, MasterKey};
use lifeboat::store::Local;
use serde_json::{Value, json};

use crate::bench::{must, new_restic};
use crate::many::{actor, finished};

/// Sets of rules, each in a repository of its own; in each so many histories, told apart by host.
const SETS: u64 = 25;
const HISTORIES: u64 = 20;

/// Zones whose clocks change at other hours, by half an hour, or not at all.
const ZONES: [&str; 6] = [
    "Europe/Berlin",
    "America/New_York",
    "Asia/Shanghai",
    "Australia/Lord_Howe",
    "America/Santiago",
    "UTC",
];

/// Reproducible chance.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn span(&mut self) -> Option<CalendarSpan> {
        if self.below(3) > 0 {
            return None;
        }
        let mut part = |most| self.below(2) as u16 * self.below(most) as u16;
        let (years, months, days) = (part(3), part(14), part(40));
        Some(CalendarSpan { years, months, days, hours: part(60) + 1 })
    }

    fn count(&mut self, most: u64) -> u32 {
        (self.below(2) * self.below(most)) as u32
    }

    fn retention(&mut self) -> Retention {
        let zone = ZONES[self.below(ZONES.len() as u64) as usize].parse().unwrap();
        Retention {
            last: self.count(8),
            hourly: self.count(30),
            daily: self.count(15),
            weekly: self.count(10),
            monthly: self.count(12),
            yearly: 1 + self.count(4),
            within: self.span(),
            within_hourly: self.span(),
            within_daily: self.span(),
            within_weekly: self.span(),
            within_monthly: self.span(),
            within_yearly: self.span(),
            tags: if self.below(2) == 0 { vec!["release".into()] } else { Vec::new() },
            pins: Vec::new(),
            zone,
        }
    }

    /// Distinct moments, by steps of seconds up to months; many of them around changes of clocks.
    fn moments(&mut self, zone: &TimeZone) -> BTreeSet<Timestamp> {
        let mut moments = BTreeSet::new();
        let mut moment = Timestamp::now() - SignedDuration::from_hours(1);
        if self.below(2) == 0 {
            let change = zone.preceding(moment).nth(self.below(4) as usize);
            let back = SignedDuration::from_mins(self.below(240) as i64 - 120);
            moment = change.map_or(moment, |change| change.timestamp() - back);
        }
        let usual = 60_u64.pow(1 + self.below(3) as u32);
        for _ in 0..=self.below(45) {
            moments.insert(moment);
            let step = match self.below(12) {
                0 => self.below(90 * 86_400),
                1..3 => self.below(3 * 86_400),
                3..6 => 3600,
                6..8 => 86_400,
                _ => self.below(3 * usual),
            };
            moment -= SignedDuration::from_secs(1 + step as i64);
        }
        moments
    }
}

/// Puts a snapshot into the repository's folder, its time written with the zone's offset: restic's
/// calendar is the one of the offset that it reads.
fn put(folder: &Path, key: &MasterKey, snapshot: &Value) -> (SnapshotId, Snapshot) {
    let json = serde_json::to_vec(snapshot).unwrap();
    let (id, sealed) = file::encode(key, &json);
    std::fs::write(folder.join(format!("snapshots/{id}")), sealed).unwrap();
    (SnapshotId(id), Snapshot::decode(&json).unwrap())
}

/// The record that says that a snapshot was published.
fn recorded((id, snapshot): &(SnapshotId, Snapshot)) -> Record {
    let event = Event { time: snapshot.time, actor: actor(), body: finished(id.0, snapshot.time) };
    Record { seq: 1, prev: Digest::ZERO, event }
}

fn flags(kept: &Retention) -> Vec<String> {
    let counts = [
        ("last", kept.last),
        ("hourly", kept.hourly),
        ("daily", kept.daily),
        ("weekly", kept.weekly),
        ("monthly", kept.monthly),
        ("yearly", kept.yearly),
    ];
    let spans = [
        ("within", kept.within),
        ("within-hourly", kept.within_hourly),
        ("within-daily", kept.within_daily),
        ("within-weekly", kept.within_weekly),
        ("within-monthly", kept.within_monthly),
        ("within-yearly", kept.within_yearly),
    ];
    let written = |CalendarSpan { years, months, days, hours }: CalendarSpan| {
        format!("{years}y{months}m{days}d{hours}h")
    };
    let counts = counts.iter().filter(|(_, count)| *count > 0);
    let counts = counts.map(|(rule, count)| format!("--keep-{rule}={count}"));
    let spans = spans.iter().filter_map(|(rule, span)| Some((rule, (*span)?)));
    let spans = spans.map(|(rule, span)| format!("--keep-{rule}={}", written(span)));
    let tags = kept.tags.iter().map(|tag| format!("--keep-tag={tag}"));
    counts.chain(spans).chain(tags).collect()
}

/// What restic keeps, by host.
fn by_restic(folder: &Path, kept: &Retention) -> Vec<(String, BTreeSet<SnapshotId>)> {
    let mut forget = Command::new(new_restic());
    forget
        .arg("--repo")
        .arg(folder)
        .args(["--no-cache", "--no-lock", "forget", "--dry-run", "--json", "--group-by", "host"])
        .args(flags(kept))
        .env("RESTIC_PASSWORD", "right")
        .env("HOME", folder)
        .env("TZ", kept.zone.to_string());
    let groups: Vec<Value> = serde_json::from_str(&must(&mut forget)).unwrap();
    let kept = |group: &Value| {
        let keep = group["keep"].as_array().unwrap().iter();
        keep.map(|one| one["id"].as_str().unwrap().parse().unwrap()).collect()
    };
    groups.iter().map(|group| (group["host"].as_str().unwrap().to_owned(), kept(group))).collect()
}

#[tokio::test]
async fn restic_and_we_keep_the_same_of_500_random_histories() {
    let seed = Timestamp::now().as_nanosecond() as u64 | 1;
    println!("seed {seed}");
    let mut dice = Dice(seed);
    let (mut compared, mut removed) = (0, 0);
    for _ in 0..SETS {
        let kept = dice.retention();
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Local::open(folder.path()).unwrap());
        let (cost, password) = (Cost { log_n: 4, r: 8, p: 1 }, "right".to_owned().into());
        let repository = Repository::create(store, &password, cost, &SystemClock).await.unwrap();
        std::fs::create_dir_all(folder.path().join("snapshots")).unwrap();
        let mut histories = Vec::new();
        for host in 0..HISTORIES {
            let moments = dice.moments(kept.zone.time_zone());
            let mut history = Vec::new();
            for moment in moments {
                let release = if dice.below(20) == 0 { "release" } else { "nightly" };
                let time = moment.to_zoned(kept.zone.time_zone().clone());
                let snapshot = json!({
                    "time": moment.display_with_offset(time.offset()).to_string(),
                    "tree": "0".repeat(64),
                    "paths": ["/srv"],
                    "hostname": format!("host{host}"),
                    "tags": ["lifeboat", "policy:shop", release],
                });
                history.push(put(folder.path(), repository.key(), &snapshot));
            }
            histories.push((format!("host{host}"), history));
        }
        let theirs = by_restic(folder.path(), &kept);
        assert_eq!(theirs.len(), histories.len());
        for (host, history) in histories {
            let snapshots = history.len();
            let records: Vec<_> = history.iter().map(recorded).collect();
            let look = History { snapshots: &history, unreadable: &[], records: &records };
            let plan = plan(&"shop".parse().unwrap(), &kept, look, Timestamp::now());
            let plan = plan.unwrap();
            let stays = plan.decisions.iter().filter(|decision| !decision.goes());
            let ours: BTreeSet<_> = stays.map(|decision| decision.id).collect();
            let (_, theirs) = theirs.iter().find(|(name, _)| *name == host).unwrap();
            assert_eq!(&ours, theirs, "seed {seed}, {kept}: {plan:#?}");
            compared += 1;
            removed += snapshots - ours.len();
        }
    }
    assert_eq!(compared, 500);
    assert!(removed > 500, "only {removed} snapshots would go: the rules were not tried");
}
