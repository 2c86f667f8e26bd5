//! What never was a data set of a server: nothing passes, nothing is believed, nothing stays.

use std::fs;
use std::os::unix::fs::symlink;

use lifeboat::check::{NotRun, Outcome, Why};
use lifeboat::source::Trouble;

use super::at_hand::Bench;
use super::servers::redis::Server;

/// A data set of these bytes between its beginning and its end, without a checksum.
fn holding(bytes: &[u8]) -> Vec<u8> {
    [b"REDIS0010", bytes, &[255], &[0; 8]].concat()
}

#[test]
fn hostile_data_sets_never_pass_and_leave_nothing_behind() {
    let server = Server::start();
    server.run("SET a 1");
    let bench = Bench::of(&server);
    let text = |text: &[u8]| [&[text.len() as u8], text].concat();
    let library = b"#!lua name=evil\nwhile true do end";
    let escape = b"#!lua name=evil\nos.execute('touch /tmp/lifeboat-canary')";
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("no bytes", Vec::new()),
        ("another format", b"PGDMP and so on, for a while".to_vec()),
        ("a key that has 4 EiB", holding(&[0, 0x81, 0x40, 0, 0, 0, 0, 0, 0, 0])),
        ("a value that has 2 GiB", holding(&[0, 1, b'a', 0x80, 0x80, 0, 0, 0])),
        (
            "a packed value that unpacks to 4 GiB",
            holding(&[0, 1, b'a', 0xc3, 2, 0x80, 255, 255, 255, 255, 0, b'x']),
        ),
        ("a set of 2^60 members", holding(&[2, 1, b'a', 0x81, 16, 0, 0, 0, 0, 0, 0, 0])),
        ("a listpack that lies", holding(&[16, 1, b'a', 7, 7, 0, 0, 0, 2, 0, 0xff])),
        (
            "a key twice",
            holding(&[&[0, 1, b'a'][..], &text(b"1"), &[0, 1, b'a'], &text(b"2")].concat()),
        ),
        ("an unknown type", holding(&[99, 1, b'a', 1, b'b'])),
        ("data of a module", holding(&[7, 1, b'a', 0x81, 1, 2, 3, 4, 5, 6, 7, 8, 2, 9, 0])),
        ("a version to come", b"REDIS0099\xff\0\0\0\0\0\0\0\0".to_vec()),
        ("a database too many", holding(&[254, 0x80, 0x7f, 255, 255, 255, 0, 1, b'a', 1, b'1'])),
        (
            "code that never ends",
            holding(&[&[245][..], &text(library), &[0, 1, b'a'], &text(b"1")].concat()),
        ),
        (
            "code that looks for a way out",
            holding(&[&[245][..], &[64, escape.len() as u8], escape].concat()),
        ),
        ("another data set", holding(&[&[0, 1, b'a'][..], &text(b"2")].concat())),
        (
            "more than was there",
            holding(&[&[0, 1, b'a'][..], &text(b"1"), &[0, 1, b'b'], &text(b"1")].concat()),
        ),
    ];
    for (name, bytes) in cases {
        bench.replace(&bytes);
        let outcome = bench.outcome();
        assert!(!matches!(outcome, Outcome::Held { .. }), "{name}: {outcome:?}");
    }
    assert!(!fs::exists("/tmp/lifeboat-canary").unwrap());
    bench.scratch.remove().unwrap();
}

#[test]
fn what_is_no_file_is_never_opened() {
    let server = Server::start();
    server.run("SET a 1");
    let bench = Bench::of(&server);

    fs::remove_file(bench.file()).unwrap();
    assert!(matches!(bench.recover(), Err(Trouble::Data(_))));
    symlink("/etc/passwd", bench.file()).unwrap();
    assert!(matches!(bench.recover(), Err(Trouble::Data(_))));
    fs::remove_file(bench.file()).unwrap();
    fs::create_dir(bench.file()).unwrap();
    assert!(matches!(bench.recover(), Err(Trouble::Data(_))));
}

#[test]
fn an_empty_server_is_nothing_to_compare() {
    let bench = Bench::of(&Server::start());

    let mut recovered = bench.recover().unwrap();
    let outcome = bench.equality(&mut *recovered);
    recovered.stop().unwrap();

    assert!(matches!(outcome, Outcome::NotRun(NotRun { why: Why::NothingToCompare, .. })));
    let outcome = bench.outcome();
    assert!(!matches!(outcome, Outcome::Held { .. }), "{outcome:?}");
}
