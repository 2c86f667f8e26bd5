//! Capture beside a writer, and every lie that a restored database can tell.

use std::fs::OpenOptions;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rusqlite::Connection;

use super::super::{Capture, Cell, Context, Entry, Error, Fault, Fingerprint, Sink, Skipped};
use super::child::serve;
use super::protocol::{self, Failure, Reply, Request};
use super::{capture, live};
use crate::ground::clock::SystemClock;
use crate::ground::progress::Silent;

const SHOP: &str = "
    CREATE TABLE customers(id INTEGER PRIMARY KEY, name TEXT NOT NULL);
    CREATE TABLE orders(id INTEGER PRIMARY KEY, customer INTEGER REFERENCES customers(id),
                        status TEXT CHECK(status IN ('new', 'paid')), amount);
    CREATE INDEX orders_by_customer ON orders(customer);
    CREATE VIEW paid AS SELECT * FROM orders WHERE status = 'paid';
    CREATE TRIGGER no_undo BEFORE DELETE ON orders BEGIN SELECT raise(ABORT, 'kept'); END;
    INSERT INTO customers VALUES(1, 'Ada'), (2, 'Bo');
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
    INSERT INTO orders SELECT i, 1 + i % 2, 'paid', i * 3 FROM n;";

/// Keeps what is put, reading it at once.
#[derive(Default)]
struct Kept(Mutex<Vec<(Vec<u8>, Vec<u8>, u32)>>);

impl Sink for Kept {
    fn put(&self, entry: Entry) -> Result<(), Error> {
        let mut stream = entry.content.unwrap().open().unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        assert_eq!(stream.finish().unwrap(), None);
        self.0.lock().unwrap().push((entry.path, bytes, entry.meta.mode));
        Ok(())
    }

    fn settle(&self) -> Result<Vec<Skipped>, Error> {
        Ok(Vec::new())
    }
}

struct Bench {
    folder: tempfile::TempDir,
    context: Context,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let staging = folder.path().join("staging");
        std::fs::create_dir(&staging).unwrap();
        let context = Context {
            clock: Arc::new(SystemClock),
            progress: Arc::new(Silent),
            staging,
            interrupted: Arc::default(),
        };
        Self { folder, context }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn database(&self, sql: &str) -> PathBuf {
        let path = self.path("shop.db");
        Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        path
    }

    fn capture(&self, path: &Path) -> Result<(Capture, Vec<u8>), Error> {
        let kept = Kept::default();
        let captured = capture::capture(&"shop".parse().unwrap(), path, &self.context, &kept);
        let left = std::fs::read_dir(&self.context.staging).unwrap().count();
        assert_eq!(left, 0, "a staged copy was left behind");
        let (name, bytes, _) = match captured {
            Ok(_) => kept.0.into_inner().unwrap().pop().unwrap(),
            Err(error) => return Err(error),
        };
        assert_eq!(name, path.file_name().unwrap().as_encoded_bytes());
        Ok((captured.unwrap(), bytes))
    }

    /// Captures the shop and restores it, as it came out of the repository.
    fn restored(&self, sql: &str) -> (Fingerprint, PathBuf) {
        let (captured, bytes) = self.capture(&self.database(sql)).unwrap();
        let path = self.path("restored.db");
        std::fs::write(&path, bytes).unwrap();
        (captured.fingerprint, path)
    }
}

/// Asks a child over `path`; the answer to `Open` is left out unless it failed.
fn ask(path: &Path, requests: &[Request]) -> Vec<Reply> {
    let open = Request::Open { path: path.to_str().unwrap().to_owned() };
    let mut input = Vec::new();
    for request in std::iter::once(&open).chain(requests) {
        input.extend(serde_json::to_vec(request).unwrap());
        input.push(b'\n');
    }
    let mut output = Vec::new();
    serve(&mut &input[..], &mut output).unwrap();
    let mut replies: Vec<Reply> = output
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    if replies[0] == Reply::Opened {
        replies.remove(0);
    }
    replies
}

fn fingerprint_of(path: &Path) -> Fingerprint {
    match ask(path, &[Request::Fingerprint]).remove(0) {
        Reply::Fingerprint(found) => found,
        other => panic!("{other:?}"),
    }
}

fn query(path: &Path, sql: &str) -> Reply {
    ask(path, &[Request::Query { sql: sql.into(), limit_ms: 10_000 }]).remove(0)
}

fn problems(path: &Path) -> Vec<super::super::Place> {
    match ask(path, &[Request::SelfCheck]).remove(0) {
        Reply::Checked { compared, problems } => {
            assert!(compared > 0);
            problems
        }
        other => panic!("{other:?}"),
    }
}

fn tamper(path: &Path, sql: &str) {
    let connection = Connection::open(path).unwrap();
    connection.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    connection.execute_batch(sql).unwrap();
}

#[test]
fn the_copy_is_of_the_moment_the_fingerprint_was_taken_while_a_writer_writes() {
    for mode in ["wal", "delete"] {
        let bench = Bench::new();
        let path = bench.database(SHOP);
        Connection::open(&path).unwrap().pragma_update(None, "journal_mode", mode).unwrap();
        let written = Arc::new(AtomicU64::new(0));
        let done = Arc::new(AtomicBool::new(false));
        let writer = std::thread::spawn({
            let (path, written, done) = (path.clone(), Arc::clone(&written), Arc::clone(&done));
            move || {
                let connection = Connection::open(path).unwrap();
                connection.busy_timeout(Duration::from_secs(20)).unwrap();
                connection.pragma_update(None, "synchronous", "off").unwrap();
                let insert =
                    "INSERT INTO orders(customer, status, amount) VALUES(1, 'new', random())";
                while !done.load(Ordering::Relaxed) {
                    connection.execute(insert, []).unwrap();
                    connection
                        .execute("UPDATE orders SET amount = amount / 2 WHERE id % 50 = 7", [])
                        .unwrap();
                    written.fetch_add(1, Ordering::Relaxed);
                    std::thread::sleep(Duration::from_millis(2));
                }
            }
        });

        let mut captures = Vec::new();
        while captures.len() < 5 || (written.load(Ordering::Relaxed) < 10 && captures.len() < 500) {
            captures.push(bench.capture(&path));
        }
        done.store(true, Ordering::Relaxed);

        writer.join().unwrap();
        assert!(written.load(Ordering::Relaxed) >= 10, "the writer did not write in mode {mode}");
        for (captured, bytes) in captures.into_iter().map(Result::unwrap) {
            let restored = bench.path("restored.db");
            std::fs::write(&restored, &bytes).unwrap();
            assert_eq!(fingerprint_of(&restored), captured.fingerprint, "in mode {mode}");
            assert_eq!(captured.bytes, bytes.len() as u64);
            assert!(captured.started <= captured.consistent_time);
            assert!(captured.consistent_time <= captured.finished);
            assert_eq!(captured.engine, "SQLite 3.51.3");
        }
    }
}

#[test]
fn what_lies_only_in_the_log_is_captured_and_the_log_is_left_alone() {
    let bench = Bench::new();
    let path = bench.database(SHOP);
    let application = Connection::open(&path).unwrap();
    application.execute_batch("PRAGMA journal_mode = wal; PRAGMA wal_autocheckpoint = 0").unwrap();
    application.execute_batch("INSERT INTO customers VALUES(3, 'Cy')").unwrap();
    let log = || std::fs::read(bench.path("shop.db-wal")).unwrap();
    let before = log();

    let (captured, _) = bench.capture(&path).unwrap();

    assert_eq!(captured.fingerprint.parts["customers"].rows, 3);
    assert_eq!(log(), before);
}

#[test]
fn a_half_transaction_of_a_dead_writer_is_not_captured() {
    let bench = Bench::new();
    let path = bench.database(SHOP);
    let whole = bench.capture(&path).unwrap().0.fingerprint;
    let writer = Connection::open(&path).unwrap();
    writer.execute_batch("PRAGMA cache_size = 1; PRAGMA cache_spill = 1; BEGIN; UPDATE orders SET amount = 0, status = 'new'").unwrap();
    let torn = bench.path("torn.db");
    std::fs::copy(&path, &torn).unwrap();
    std::fs::copy(bench.path("shop.db-journal"), bench.path("torn.db-journal")).unwrap();

    let captured = bench.capture(&torn).unwrap().0;

    assert_eq!(captured.fingerprint, whole);
}

#[test]
fn what_is_no_sound_database_is_an_error_that_names_it() {
    let bench = Bench::new();
    let noise = bench.path("noise.db");
    std::fs::write(&noise, [0x5a; 8192]).unwrap();
    let missing = bench.path("missing.db");
    let damaged = bench.database(SHOP);
    let size = damaged.metadata().unwrap().len();
    OpenOptions::new().write(true).open(&damaged).unwrap().set_len(size / 2).unwrap();

    for (path, said) in [(&noise, "encrypted"), (&missing, "No such file"), (&damaged, "damaged")] {
        let error = bench.capture(path).unwrap_err();
        let chain = format!("{error}: {:?}", std::error::Error::source(&error));
        assert!(chain.contains(said) || chain.contains("NotFound"), "{chain}");
        assert!(chain.contains(path.file_name().unwrap().to_str().unwrap()), "{chain}");
    }
    assert!(!missing.exists());
}

#[test]
fn an_interrupted_capture_ends_as_interrupted() {
    let bench = Bench::new();
    let path = bench.database(SHOP);
    bench.context.interrupted.store(true, Ordering::Relaxed);

    let error = bench.capture(&path).unwrap_err();

    assert!(matches!(error, Error::Interrupted), "{error:?}");
}

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

#[test]
fn probing_tells_the_size_and_warns_of_writers_that_would_wait() {
    let bench = Bench::new();
    let path = bench.database(SHOP);

    let pinned = live::Pinned::open(&path, &bench.context).unwrap();

    assert_eq!(pinned.bytes(), path.metadata().unwrap().len());
    assert_eq!(pinned.journal_mode, "delete");
}
