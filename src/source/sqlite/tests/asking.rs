//! Queries and injuries in the child.

use super::super::super::{Cell, Fault};
use super::super::protocol::{self, Failure};
use super::*;

#[test]
fn queries_answer_with_every_type_bit_for_bit() {
    let bench = Bench::new();
    let (_, restored) = bench.restored(SHOP);

    let reply = query(
        &restored,
        "SELECT NULL, 9223372036854775807, 0.1 + 0.2, 9e999, 'é', x'00ff', CAST(x'ff' AS TEXT) AS t",
    );

    let Reply::Rows { columns, rows } = reply else { panic!("{reply:?}") };
    let answer = protocol::rows(columns, rows).unwrap();
    assert_eq!(answer.columns[6], "t");
    assert_eq!(
        answer.rows,
        [vec![
            Cell::Null,
            Cell::Integer(i64::MAX),
            Cell::Real(0.1 + 0.2),
            Cell::Real(f64::INFINITY),
            Cell::Text("é".into()),
            Cell::Blob(vec![0, 255]),
            Cell::Blob(vec![255]),
        ]]
    );
}

#[test]
fn a_query_that_does_more_than_read_is_refused_and_blames_no_data() {
    let bench = Bench::new();
    let (captured, restored) = bench.restored(SHOP);
    let refused = [
        "DELETE FROM orders",
        "SELECT 1; DELETE FROM orders",
        "ATTACH 'x.db' AS x",
        "PRAGMA user_version = 4",
        "PRAGMA writable_schema = ON",
        "BEGIN",
        "VACUUM INTO 'copy.db'",
        "SELECT load_extension('x')",
        "SELEKT 1",
        "",
    ];
    for sql in refused {
        let reply = query(&restored, sql);
        assert!(matches!(&reply, Reply::Failed(Failure { data: false, .. })), "{sql}: {reply:?}");
    }
    assert_eq!(fingerprint_of(&restored), captured);
}

#[test]
fn a_table_or_column_that_is_gone_is_the_datas_fault() {
    let bench = Bench::new();
    let (_, restored) = bench.restored(SHOP);
    for sql in
        ["SELECT * FROM invoices", "SELECT total FROM orders", "SELECT \"total\" FROM orders"]
    {
        let reply = query(&restored, sql);
        assert!(matches!(&reply, Reply::Failed(Failure { data: true, .. })), "{sql}: {reply:?}");
    }
}

#[test]
fn an_endless_query_and_one_with_too_large_an_answer_are_stopped_and_the_next_one_works() {
    let bench = Bench::new();
    let (_, restored) = bench.restored(SHOP);
    let endless =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";
    let large = "SELECT zeroblob(20000000) UNION ALL SELECT zeroblob(20000000)";

    let replies = ask(
        &restored,
        &[
            Request::Query { sql: endless.into(), limit_ms: 50 },
            Request::Query { sql: large.into(), limit_ms: 10_000 },
            Request::Query { sql: "SELECT count(*) FROM paid".into(), limit_ms: 10_000 },
        ],
    );

    let Reply::Failed(Failure { data: false, what }) = &replies[0] else { panic!("{replies:?}") };
    assert_eq!(what, "the query took too long");
    assert!(matches!(&replies[1], Reply::Failed(Failure { data: false, .. })));
    assert_eq!(
        replies[2],
        Reply::Rows {
            columns: vec!["count(*)".into()],
            rows: vec![vec![protocol::Value::Integer(500)]]
        }
    );
}

#[test]
fn faults_land_in_the_largest_table_and_only_the_fingerprint_sees_them() {
    let shops = [
        SHOP.to_owned(),
        format!("PRAGMA journal_mode = wal; {SHOP}"),
        "CREATE TABLE orders(a TEXT COLLATE NOCASE UNIQUE, b INTEGER NOT NULL, PRIMARY KEY(a)) WITHOUT ROWID;
         INSERT INTO orders VALUES('a', 1), ('b', 2)".to_owned(),
        "CREATE TABLE orders(id INTEGER PRIMARY KEY); INSERT INTO orders VALUES(1), (2), (3)".to_owned(),
        "CREATE TABLE orders(v INTEGER UNIQUE) STRICT; INSERT INTO orders VALUES(0), (1), (2), (3), (4)".to_owned(),
        "CREATE TABLE orders(v, w AS (v || 'x') STORED); INSERT INTO orders VALUES(x'')".to_owned(),
    ];
    for sql in shops {
        for fault in [Fault::RowChanged, Fault::RowRemoved] {
            let bench = Bench::new();
            let (captured, restored) = bench.restored(&sql);

            let replies = ask(
                &restored,
                &[Request::Injure { fault }, Request::SelfCheck, Request::Fingerprint],
            );

            let Reply::Injured(Some(place)) = &replies[0] else { panic!("{sql}: {replies:?}") };
            assert_eq!(place.object, "table orders");
            let Reply::Fingerprint(found) = &replies[2] else { panic!("{replies:?}") };
            assert_ne!(found.parts["orders"], captured.parts["orders"], "{sql} {fault:?}");
            let fewer = u64::from(fault == Fault::RowRemoved);
            assert_eq!(found.parts["orders"].rows + fewer, captured.parts["orders"].rows);
            for (name, part) in captured.parts.iter().filter(|(name, _)| *name != "orders") {
                assert_eq!(found.parts[name], *part, "{name} was injured too");
            }
        }
    }
}

#[test]
fn where_no_row_is_no_fault_is_put() {
    let bench = Bench::new();
    let (captured, restored) = bench.restored("CREATE TABLE t(x); CREATE TABLE u(y)");
    let faults = [Fault::RowChanged, Fault::RowRemoved, Fault::ByteFlipped, Fault::BlobHidden];

    for fault in faults {
        assert_eq!(ask(&restored, &[Request::Injure { fault }]), [Reply::Injured(None)]);
    }
    assert_eq!(fingerprint_of(&restored), captured);
}

#[test]
fn a_child_without_a_database_or_with_garbage_to_read_answers_and_goes_on() {
    let mut output = Vec::new();

    serve(&mut &b"\"self-check\"\nrubbish\n\"fingerprint\"\n"[..], &mut output).unwrap();

    let replies = String::from_utf8(output).unwrap();
    assert_eq!(replies.lines().count(), 3, "{replies}");
    assert!(replies.lines().all(|line| line.contains("\"failed\"")), "{replies}");
}
