//! What a restored database can pretend, and what tells on it.

use std::fs::OpenOptions;
use std::io::{Seek, SeekFrom, Write};

use super::super::protocol::Failure;
use super::*;

#[test]
fn a_database_without_tables_is_captured() {
    let bench = Bench::new();
    let (captured, restored) = bench.restored("PRAGMA user_version = 3");

    assert!(captured.parts.is_empty());
    assert_eq!(fingerprint_of(&restored), captured);
}

#[test]
fn a_copy_whose_header_asks_for_a_log_is_read_with_nothing_beside_it() {
    let bench = Bench::new();
    let (captured, restored) = bench.restored(&format!("PRAGMA journal_mode = wal; {SHOP}"));

    assert_eq!(fingerprint_of(&restored), captured);
    assert_eq!(problems(&restored), []);
    assert!(!bench.path("restored.db-wal").exists() && !bench.path("restored.db-shm").exists());
}

#[test]
fn a_restored_database_opens_whatever_its_file_is_called() {
    let bench = Bench::new();
    let (captured, restored) = bench.restored(SHOP);
    let odd = bench.path("100% 'odd'?mode=rw#ö.db");
    std::fs::rename(restored, &odd).unwrap();

    assert_eq!(fingerprint_of(&odd), captured);
}

#[test]
fn every_change_of_content_or_schema_shows_in_the_fingerprint() {
    let lies = [
        ("UPDATE orders SET amount = amount + 1 WHERE id = 77", "orders"),
        ("UPDATE orders SET amount = 231.0 WHERE id = 77", "orders"),
        ("DROP TRIGGER no_undo; DELETE FROM orders WHERE id = 500", "orders"),
        ("INSERT INTO customers VALUES(3, 'Cy')", "customers"),
        ("DROP TABLE customers", "table customers"),
        ("CREATE TABLE more(x)", "table more"),
        ("DROP INDEX orders_by_customer", "index orders_by_customer"),
        ("DROP VIEW paid", "view paid"),
        ("DROP TRIGGER no_undo", "trigger no_undo"),
        ("DROP VIEW paid; CREATE VIEW paid AS SELECT * FROM orders", "view paid"),
        ("PRAGMA user_version = 9", "pragma user_version"),
    ];
    for (sql, place) in lies {
        let bench = Bench::new();
        let (captured, restored) = bench.restored(SHOP);
        tamper(&restored, sql);

        let found = fingerprint_of(&restored);

        let part = captured.parts.get(place) != found.parts.get(place);
        let object = captured.schema.get(place) != found.schema.get(place);
        assert!(part || object, "{sql} was not seen at {place}");
    }
}

#[test]
fn a_flipped_bit_in_text_shows_though_the_engine_finds_nothing() {
    let bench = Bench::new();
    let (captured, restored) = bench.restored(SHOP);
    let mut bytes = std::fs::read(&restored).unwrap();
    let at = bytes.windows(3).position(|text| text == b"Ada").unwrap();
    bytes[at + 1] ^= 1;
    std::fs::write(&restored, bytes).unwrap();

    assert_eq!(problems(&restored), []);
    let found = fingerprint_of(&restored);
    assert_ne!(found.parts["customers"].hash, captured.parts["customers"].hash);
    assert_eq!(found.parts["orders"], captured.parts["orders"]);
}

#[test]
fn a_file_cut_short_or_of_noise_is_the_datas_fault() {
    let bench = Bench::new();
    let (_, restored) = bench.restored(SHOP);
    let size = restored.metadata().unwrap().len();
    for length in [size - 1, size - 4096, size / 2, 100, 1] {
        let cut = bench.path("cut.db");
        std::fs::copy(&restored, &cut).unwrap();
        OpenOptions::new().write(true).open(&cut).unwrap().set_len(length).unwrap();

        let replies = ask(&cut, &[Request::SelfCheck]);

        let found = matches!(&replies[0], Reply::Failed(Failure { data: true, .. }))
            || matches!(&replies[0], Reply::Checked { problems, .. } if !problems.is_empty());
        assert!(found, "cut to {length}: {replies:?}");
    }
}

#[test]
fn a_flipped_byte_in_a_page_is_found_and_its_table_named() {
    let bench = Bench::new();
    let (captured, restored) = bench.restored(SHOP);
    let root: u64 = Connection::open(&restored)
        .unwrap()
        .query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'orders'", [], |row| {
            row.get::<_, i64>(0)
        })
        .unwrap() as u64;
    let mut file = OpenOptions::new().write(true).open(&restored).unwrap();
    file.seek(SeekFrom::Start((root - 1) * 4096 + 3)).unwrap();
    file.write_all(&[0xff]).unwrap();

    let replies = ask(&restored, &[Request::SelfCheck, Request::Fingerprint]);

    let Reply::Checked { problems, .. } = &replies[0] else { panic!("{replies:?}") };
    assert!(problems.iter().any(|place| place.object == "table orders"), "{problems:?}");
    let differs = match &replies[1] {
        Reply::Fingerprint(found) => found.parts.get("orders") != captured.parts.get("orders"),
        Reply::Failed(failure) => failure.data,
        other => panic!("{other:?}"),
    };
    assert!(differs);
}

#[test]
fn an_index_that_lost_an_entry_and_an_orphan_are_named() {
    let bench = Bench::new();
    let (_, restored) = bench.restored(SHOP);
    tamper(&restored, "DELETE FROM customers WHERE id = 2");
    let found = problems(&restored);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].object, "table orders");
    assert!(found[0].what.starts_with("250 references"), "{found:?}");

    tamper(
        &restored,
        "PRAGMA writable_schema = ON;
         UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'customers')
         WHERE name = 'orders_by_customer'",
    );
    let replies = ask(&restored, &[Request::SelfCheck]);
    let named = match &replies[0] {
        Reply::Checked { problems, .. } => !problems.is_empty(),
        Reply::Failed(failure) => failure.data,
        other => panic!("{other:?}"),
    };
    assert!(named, "{replies:?}");
}
