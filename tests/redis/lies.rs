//! What was changed between capture and recovery is found, and named.

use std::fs;

use lifeboat::check::Outcome;

use super::at_hand::{Bench, broke, everything};
use super::servers::redis::Server;

/// A bench on a server with everything, whose restored file `lie` has changed through a server.
fn told(lie: &str) -> String {
    let server = Server::start();
    everything(&server);
    let bench = Bench::of(&server);
    let liar = Server::on(&bench.file(), &[]);
    liar.run(lie);
    bench.replace(&fs::read(liar.save()).unwrap());
    let outcome = bench.outcome();
    assert!(!matches!(outcome, Outcome::Held { .. }), "{lie} was not found");
    broke(outcome)
}

#[test]
fn every_lie_of_one_key_is_found_where_it_was_told() {
    for (lie, place) in [
        ("DEL text:7", "db0: string: has 306 keys instead of 307"),
        ("SET text:7 value-8", "db0: string: has other content in as many keys"),
        ("SETBIT text:7 7 1", "db0: string: has other content"),
        ("APPEND empty x", "db0: string: has other content"),
        ("SELECT 3\nSET new 1", "db3: string: has 2 keys instead of 1"),
        ("RENAME text:7 text:x", "db0: string: has other content"),
        ("PERSIST soon:9", "db0: string with expiry: has 299 keys instead of 300"),
        ("PEXPIRE soon:9 5000000", "db0: string with expiry: has other content"),
        ("PERSIST hashsoon", "db0: hash with expiry: is missing"),
        ("LSET longlist 5 element-6", "db0: list: has other content"),
        ("LMOVE longlist longlist LEFT RIGHT", "db0: list: has other content"),
        ("SREM bigset member-3", "db0: set: has other content"),
        ("SADD ints 4", "db0: set: has other content"),
        ("HSET bighash field-3 22", "db0: hash: has other content"),
        ("HDEL smallhash f", "db0: hash: has other content"),
        ("ZINCRBY bigz 0.0001 member-3", "db0: sorted set: has other content"),
        ("ZADD smallz 3 f", "db0: sorted set: has other content"),
        ("XDEL stream 7-1", "db0: stream: has other content"),
        ("XACK stream readers 12-1", "db0: stream: has other content"),
        ("XGROUP DESTROY stream readers", "db0: stream: has other content"),
        ("XGROUP SETID stream readers 0", "db0: stream: has other content"),
        ("MOVE text:7 3", "db3: string: has 2 keys instead of 1"),
        ("FUNCTION FLUSH", "library shop: is missing from the schema"),
        ("FLUSHALL\nSET x 1", "db0: set: is missing"),
    ] {
        let told = told(lie);
        assert!(told.contains(place), "{lie}: {told}");
    }
}

#[test]
fn a_flipped_byte_is_found_even_where_the_checksum_was_taken_away() {
    let server = Server::start();
    server.run("SET canary untouched-value\nSET other 1");
    let bench = Bench::of(&server);
    let whole = fs::read(bench.file()).unwrap();
    let at = whole.windows(9).position(|part| part == b"untouched").unwrap();

    let mut flipped = whole.clone();
    flipped[at] ^= 1;
    bench.replace(&flipped);
    let told = broke(bench.outcome());
    assert!(told.contains("CRC"), "{told}");

    // Redis takes eight zeros for a checksum that was not wanted.
    let end = flipped.len() - 8;
    flipped[end..].fill(0);
    bench.replace(&flipped);
    let told = broke(bench.outcome());
    assert!(told.contains("db0: string: has other content in as many keys (2)"), "{told}");
    assert!(!told.contains("canary"), "{told}");
}

#[test]
fn a_data_set_cut_short_never_holds() {
    let server = Server::start();
    everything(&server);
    let bench = Bench::of(&server);
    let whole = fs::read(bench.file()).unwrap();

    for keep in [0, 5, 9, 40, whole.len() / 2, whole.len() - 9, whole.len() - 1] {
        bench.replace(&whole[..keep]);
        let outcome = bench.outcome();
        assert!(matches!(outcome, Outcome::Broke(_)), "cut to {keep}: {outcome:?}");
    }
}
