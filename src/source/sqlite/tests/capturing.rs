//! Capture beside writers, living and dead.

use std::fs::{OpenOptions, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::super::super::files::owners::Owners;
use super::super::super::{EntryKind, Meta};
use super::super::live;
use super::*;

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
fn a_capture_leaves_nothing_beside_a_database_that_nobody_has_open() {
    for mode in ["wal", "delete"] {
        let bench = Bench::new();
        let path = bench.database(&format!("PRAGMA journal_mode = {mode}; {SHOP}"));
        let names = || {
            let mut names: Vec<_> = std::fs::read_dir(&bench.folder)
                .unwrap()
                .map(|entry| entry.unwrap().file_name())
                .collect();
            names.sort();
            names
        };
        let before = (names(), std::fs::read(&path).unwrap());

        bench.capture(&path).unwrap();

        assert_eq!((names(), std::fs::read(&path).unwrap()), before, "in mode {mode}");
    }
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

/// Keeps only the metadata of what is put.
#[derive(Default)]
struct Described(Mutex<Vec<Meta>>);

impl Sink for Described {
    fn put(&self, entry: Entry) -> Result<(), Error> {
        self.0.lock().unwrap().push(entry.meta);
        Ok(())
    }

    fn in_any_order(&self) {}

    fn start_over(&self) -> Result<(), Error> {
        unreachable!("a database is captured once")
    }

    fn settle(&self) -> Result<Vec<Skipped>, Error> {
        Ok(Vec::new())
    }
}

#[test]
fn the_entry_has_the_metadata_of_the_database_that_a_link_leads_to() {
    let bench = Bench::new();
    let path = bench.database(SHOP);
    let attribute = rustix::fs::XattrFlags::empty();
    rustix::fs::lsetxattr(&path, "user.origin", b"till", attribute).unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    std::fs::hard_link(&path, bench.path("other name.db")).unwrap();
    let link = bench.path("link.db");
    symlink(&path, &link).unwrap();

    let described = Described::default();
    let name = "shop".parse().unwrap();
    let captured = capture::capture(&name, &link, &bench.context, &described).unwrap();

    let found = path.metadata().unwrap();
    let meta = described.0.into_inner().unwrap().pop().unwrap();
    assert_eq!(captured.skipped, []);
    assert_eq!(meta.kind, EntryKind::File { size: found.len() });
    assert_eq!((meta.mode, meta.uid, meta.gid, meta.links), (0o640, found.uid(), found.gid(), 1));
    assert_eq!(meta.user, Owners::of_this_host().user(found.uid()));
    assert_eq!(meta.xattrs, [(b"user.origin".to_vec(), b"till".to_vec())]);
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
fn probing_tells_the_size_and_warns_of_writers_that_would_wait() {
    let bench = Bench::new();
    let path = bench.database(SHOP);

    let pinned = live::Pinned::open(&path, &bench.context).unwrap();

    assert_eq!(pinned.bytes(), path.metadata().unwrap().len());
    assert_eq!(pinned.journal_mode, "delete");
}
