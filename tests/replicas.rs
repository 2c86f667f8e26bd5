//! Replicas first: which of several servers is captured, and that nothing else is taken in its place.

mod bench;
mod servers;

#[path = "replicas/mariadb.rs"]
mod mariadb;
#[path = "replicas/postgres.rs"]
mod postgres;
#[path = "replicas/redis.rs"]
mod redis;

use std::time::{Duration, Instant};

use bench::{Bench, must, new_restic};
use serde_json::Value;

/// How long servers may take to agree.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `so` holds.
#[track_caller]
fn until(what: &str, mut so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < PATIENCE, "{what} did not come about");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// What the newest snapshot says of its only source.
fn captured(bench: &Bench) -> Value {
    let text = must(bench.restic(&new_restic()).args(["dump", "latest", "/lifeboat.json"]));
    serde_json::from_str::<Value>(&text).unwrap()["sources"][0].clone()
}

/// Asserts that no backup is made, and that what is said of it holds all of `words`.
#[track_caller]
fn is_refused(bench: &Bench, words: &[&str]) {
    let snapshots = || bench.run(&["snapshots", "--json"]).stdout;
    let before = snapshots();
    let refused = bench.run(&["backup", "shop"]).exits(1);
    for word in words {
        assert!(refused.stderr.contains(word), "{word}: {}", refused.stderr);
    }
    assert_eq!(snapshots(), before, "something was published");
}
