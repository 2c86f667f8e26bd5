//! Ten thousand snapshots: listed and planned in seconds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use lifeboat::ground::digest::Digest;
use lifeboat::ground::ids::RunId;
use lifeboat::ledger::Ledger;
use lifeboat::ledger::record::{Actor, BackupFinished, Body, Event};
use lifeboat::repo::{Repository, file};
use lifeboat::store::Local;
use serde_json::json;

use crate::bench::{Bench, PASSWORD};

const MANY: usize = 10_000;
/// A release build takes a third of the 3 s that are promised; this one is not optimised, and others
/// are at work.
const BOUND: Duration = Duration::from_secs(30);

/// Publishes hourly snapshots of `shop` up to now, on the ledger too.
async fn publish(bench: &Bench) {
    let store = Arc::new(Local::open(&bench.repository()).unwrap());
    let repository = Repository::open(store, &PASSWORD.to_owned().into()).await.unwrap();
    let (now, mut events) = (Timestamp::now(), Vec::new());
    for hour in (1..=MANY as i64).rev() {
        let time = now - SignedDuration::from_hours(hour);
        let snapshot = json!({
            "time": time.to_string(),
            "tree": "0".repeat(64),
            "paths": ["/orders", "/uploads"],
            "hostname": "acme",
            "tags": ["lifeboat", "policy:shop", format!("run:{}", RunId::draw())],
        });
        let (id, sealed) = file::encode(repository.key(), &serde_json::to_vec(&snapshot).unwrap());
        std::fs::write(bench.repository().join(format!("snapshots/{id}")), sealed).unwrap();
        events.push(Event { time, actor: actor(), body: finished(id, time) });
    }
    let place = Arc::new(Local::open(&bench.path("store/acme/ledger")).unwrap());
    let ledger = Ledger::open(place, repository.key().clone());
    for events in events.chunks(1000) {
        ledger.append(events.to_vec()).await.unwrap();
    }
}

pub fn actor() -> Actor {
    Actor { name: "daemon".into(), host: "bench".into() }
}

pub fn finished(snapshot: Digest, time: Timestamp) -> Body {
    Body::BackupFinished(BackupFinished {
        policy: "shop".parse().unwrap(),
        run: RunId::draw(),
        slot: None,
        snapshot,
        consistent_time: time,
        complete: true,
        entries: 1,
        bytes: 1,
        added_bytes: 1,
        stored_bytes: 1,
        skipped: 0,
        duration_ms: 1,
        details: Digest::ZERO,
    })
}

#[test]
fn ten_thousand_snapshots_are_listed_and_planned_in_seconds() {
    let bench = Bench::new();
    let kept = "[retention]\nhourly = 48\ndaily = 30\nyearly = 3\n\n[objectives]";
    bench.edit("policies/shop.toml", "[objectives]", kept);
    bench.backup();
    tokio::runtime::Runtime::new().unwrap().block_on(publish(&bench));

    let listing = Instant::now();
    let listed = bench.run(&["snapshots", "shop", "--json"]).exits(0).json();
    let listing = listing.elapsed();
    let planning = Instant::now();
    let planned = bench.run(&["forget", "shop", "--dry-run", "--json"]).exits(0).json();
    let planning = planning.elapsed();

    println!("snapshots {listing:?}, forget --dry-run {planning:?}");
    assert_eq!(listed.as_array().unwrap().len(), MANY + 1);
    assert_eq!(planned["snapshots"].as_array().unwrap().len(), MANY + 1);
    assert!(planned["refused"].as_str().unwrap().contains("one run may remove 5000"), "{planned}");
    assert!(listing < BOUND && planning < BOUND, "{listing:?} and {planning:?}");
}
