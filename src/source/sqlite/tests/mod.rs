//! Capture beside a writer, and every lie that a restored database can tell.

mod asking;
mod capturing;
mod lies;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rusqlite::Connection;

use super::super::{Capture, Context, Entry, Error, Fingerprint, Place, Sink, Skipped};
use super::capture;
use super::child::serve;
use super::protocol::{Reply, Request};
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
struct Kept(Mutex<Vec<(Vec<u8>, Vec<u8>)>>);

impl Sink for Kept {
    fn put(&self, entry: Entry) -> Result<(), Error> {
        let mut stream = entry.content.unwrap().open().unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        assert_eq!(stream.finish().unwrap(), None);
        self.0.lock().unwrap().push((entry.path, bytes));
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

pub(super) struct Bench {
    folder: tempfile::TempDir,
    pub(super) context: Context,
}

impl Bench {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let staging = folder.path().join("staging");
        std::fs::create_dir(&staging).unwrap();
        let context = Context {
            clock: Arc::new(SystemClock),
            progress: Arc::new(Silent),
            staging,
            interrupted: Arc::default(),
            questions: Vec::new(),
        };
        Self { folder, context }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn database(&self, sql: &str) -> PathBuf {
        let path = self.path("shop.db");
        Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        path
    }

    fn capture(&self, path: &Path) -> Result<(Capture, Vec<u8>), Error> {
        let kept = Kept::default();
        let captured = capture::capture(&"shop".parse().unwrap(), path, &self.context, &kept);
        let left = std::fs::read_dir(&self.context.staging).unwrap().count();
        assert_eq!(left, 0, "a staged copy was left behind");
        let (name, bytes) = match captured {
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

fn problems(path: &Path) -> Vec<Place> {
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
