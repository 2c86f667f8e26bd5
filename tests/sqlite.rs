//! A database from capture to judgement: this program is the parent and, started again in the
//! role, the confined child that alone opens the restored file.
//!
//! Run as root, the whole file runs once more as an ordinary user.

mod ordinary;

use std::fs::{self, Permissions};
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use lifeboat::check::{self, NotRun, Outcome, Why};
use lifeboat::ground::clock::SystemClock;
use lifeboat::ground::progress::Silent;
use lifeboat::policy::sources::SqliteSettings;
use lifeboat::sandbox::{self, Scratch};
use lifeboat::source::sqlite::{Sqlite, child};
use lifeboat::source::{
    Capture, Cell, Context, Entry, Error, Fault, Kind, Recovered, Sink, Skipped, Source, Trouble,
};
use ordinary::all_of_it_holds_for_an_ordinary_user;

fn main() -> ExitCode {
    if let Some(code) = sandbox::role_requested(&[(child::ROLE, child::serve)]) {
        return code;
    }
    let cases: [(&str, fn()); 6] = [
        ("what_came_back_equals_what_was_captured", what_came_back_equals_what_was_captured),
        ("faults_are_found_where_they_were_put", faults_are_found_where_they_were_put),
        (
            "a_flipped_bit_is_found_though_the_engine_is_content",
            a_flipped_bit_is_found_though_the_engine_is_content,
        ),
        (
            "a_file_cut_short_breaks_and_is_not_inconclusive",
            a_file_cut_short_breaks_and_is_not_inconclusive,
        ),
        ("what_is_not_one_file_is_never_opened", what_is_not_one_file_is_never_opened),
        ("all_of_it_holds_for_an_ordinary_user", all_of_it_holds_for_an_ordinary_user),
    ];
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    for (name, case) in cases {
        if filter.as_ref().is_none_or(|part| name.contains(part.as_str())) {
            case();
            println!("test {name} ... ok");
        }
    }
    ExitCode::SUCCESS
}

/// Writes what is put to where a restore would.
struct Restore(PathBuf);

impl Sink for Restore {
    fn put(&self, entry: Entry) -> Result<(), Error> {
        let mut bytes = Vec::new();
        entry.content.unwrap().open().unwrap().read_to_end(&mut bytes).unwrap();
        let path = self.0.join(String::from_utf8(entry.path).unwrap());
        fs::write(&path, bytes).unwrap();
        // The owner's rights alone, as a restored file has them.
        fs::set_permissions(path, Permissions::from_mode(0o400)).unwrap();
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

struct Bench {
    _folder: tempfile::TempDir,
    scratch: Scratch,
    source: Sqlite,
    capture: Capture,
    data: PathBuf,
}

impl Bench {
    fn new(sql: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let live = folder.path().join("shop.db");
        rusqlite::Connection::open(&live).unwrap().execute_batch(sql).unwrap();
        let source = Sqlite::new("shop".parse().unwrap(), SqliteSettings { path: live });
        let scratch = Scratch::create(&folder.path().join("scratch"), None).unwrap();
        let data = scratch.dir().join("restored");
        fs::create_dir(&data).unwrap();
        fs::set_permissions(&data, Permissions::from_mode(0o700)).unwrap();
        let context = Context {
            clock: Arc::new(SystemClock),
            progress: Arc::new(Silent),
            staging: folder.path().to_owned(),
            interrupted: Arc::default(),
            questions: Vec::new(),
        };
        let capture = source.capture(&context, &Restore(data.clone())).unwrap();
        Self { _folder: folder, scratch, source, capture, data }
    }

    fn recover(&self) -> Result<Box<dyn Recovered>, Trouble> {
        self.source.recover(&self.capture, &self.data, &self.scratch)
    }

    fn equality(&self, recovered: &mut dyn Recovered) -> Outcome {
        match recovered.fingerprint() {
            Ok(found) => check::compare(Kind::Sqlite, &self.capture.fingerprint, &found),
            Err(trouble) => {
                Outcome::of_trouble(&check::Id::Equality("shop".parse().unwrap()), &trouble)
            }
        }
    }

    /// Replaces the restored file's content.
    fn damage(&self, change: impl FnOnce(&mut Vec<u8>)) {
        let path = self.data.join("shop.db");
        let mut bytes = fs::read(&path).unwrap();
        change(&mut bytes);
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, bytes).unwrap();
    }
}

const SHOP: &str = "
    PRAGMA journal_mode = wal;
    CREATE TABLE customers(id INTEGER PRIMARY KEY, name TEXT);
    CREATE TABLE orders(id INTEGER PRIMARY KEY, status TEXT, amount);
    INSERT INTO customers VALUES(1, 'Ada'), (2, 'Bo');
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
    INSERT INTO orders SELECT i, 'paid', i * 3 FROM n;";

fn what_came_back_equals_what_was_captured() {
    let bench = Bench::new(SHOP);
    let mut recovered = bench.recover().unwrap();

    let checked = recovered.self_check().unwrap();
    assert!(checked.compared.is_some() && checked.problems.is_empty(), "{checked:?}");
    let Outcome::Held { compared } = bench.equality(&mut *recovered) else { panic!() };
    assert_eq!(compared.get(), 2002);
    let answer = recovered
        .query(None, "SELECT count(*), 0.1 FROM orders", std::time::Duration::from_secs(60))
        .unwrap();
    assert_eq!(answer.rows, [vec![Cell::Integer(2000), Cell::Real(0.1)]]);
    let expectation = "= 'paid'".parse().unwrap();
    let answer = recovered
        .query(None, "SELECT DISTINCT status FROM orders", std::time::Duration::from_secs(60))
        .unwrap();
    let zone = lifeboat::policy::leaf::Zone::UTC;
    let then = check::Then { moment: bench.capture.consistent_time, answered: None, zone: &zone };
    let judged = check::expect("all paid", &expectation, &answer, &then);
    assert!(matches!(judged.outcome, Outcome::Held { .. }));
    assert!(matches!(
        recovered.query(None, "SELECT * FROM gone", std::time::Duration::from_secs(60)),
        Err(Trouble::Data(_))
    ));
    assert!(matches!(
        recovered.query(None, "DELETE FROM orders", std::time::Duration::from_secs(60)),
        Err(Trouble::Environment(_))
    ));
    assert!(recovered.confinement().is_some_and(|said| said.contains("uid")));
    recovered.stop().unwrap();
    bench.scratch.remove().unwrap();
}

fn faults_are_found_where_they_were_put() {
    for fault in [Fault::RowChanged, Fault::RowRemoved] {
        let bench = Bench::new(SHOP);
        let mut recovered = bench.recover().unwrap();

        let injured = recovered.injure(fault).unwrap().unwrap();

        assert_eq!(injured.object, "table orders");
        assert!(recovered.self_check().unwrap().problems.is_empty());
        assert!(bench.equality(&mut *recovered).found(&injured), "{fault:?}");
    }
}

fn a_flipped_bit_is_found_though_the_engine_is_content() {
    let bench = Bench::new(SHOP);
    bench.damage(|bytes| {
        let at = bytes.windows(3).position(|text| text == b"Ada").unwrap();
        bytes[at] ^= 1;
    });
    let mut recovered = bench.recover().unwrap();

    assert!(recovered.self_check().unwrap().problems.is_empty());
    let Outcome::Broke(broken) = bench.equality(&mut *recovered) else { panic!() };
    assert_eq!(broken.to_string(), "table customers: has other content in as many rows (2)");
}

fn a_file_cut_short_breaks_and_is_not_inconclusive() {
    let length = Bench::new(SHOP).capture.bytes as usize;
    for keep in [length - 4096, 100, 0] {
        let bench = Bench::new(SHOP);
        bench.damage(|bytes| bytes.truncate(keep));

        let outcome = match bench.recover() {
            Ok(mut recovered) => bench.equality(&mut *recovered),
            Err(trouble) => {
                Outcome::of_trouble(&check::Id::Start("shop".parse().unwrap()), &trouble)
            }
        };

        assert!(matches!(outcome, Outcome::Broke(_)), "cut to {keep}: {outcome:?}");
    }
}

fn what_is_not_one_file_is_never_opened() {
    let bench = Bench::new(SHOP);
    let file = bench.data.join("shop.db");
    fs::write(bench.data.join("other"), "").unwrap();
    assert!(matches!(bench.recover(), Err(Trouble::Data(_))));
    fs::remove_file(bench.data.join("other")).unwrap();
    fs::remove_file(&file).unwrap();
    assert!(matches!(bench.recover(), Err(Trouble::Data(_))));
    symlink("/etc/passwd", &file).unwrap();
    assert!(matches!(bench.recover(), Err(Trouble::Data(_))));
    fs::remove_file(&file).unwrap();
    fs::remove_dir(&bench.data).unwrap();
    assert!(matches!(bench.recover(), Err(Trouble::Data(_))));

    let empty = Bench::new("CREATE TABLE t(x)");
    let mut recovered = empty.recover().unwrap();
    let outcome = empty.equality(&mut *recovered);
    assert!(matches!(outcome, Outcome::NotRun(NotRun { why: Why::NothingToCompare, .. })));
}
