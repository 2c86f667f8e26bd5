//! Databases made by an enemy behind an honest manifest: a drill tells them from what was captured,
//! ends in time, and outlives whatever the file does to the child that opens it.

mod bench;
mod enemy;

use std::fs;

use enemy::Enemy;
use rusqlite::Connection;
use rusqlite::config::DbConfig;

/// Drills the honest snapshot with this database in the other's place.
#[track_caller]
fn is_told(enemy: &Enemy, what: &str, bytes: &[u8]) {
    let snapshot = enemy.with_database(bytes);
    let document = enemy.drill(&snapshot);
    println!("{what}: {}", document["parts"]);
    assert_ne!(document["parts"]["intact"], "yes", "{what}: {document:#}");
    assert!(document.to_string().contains("orders"), "{what}: {document:#}");
}

fn honest(enemy: &Enemy) -> Vec<u8> {
    fs::read(enemy.bench.path("data/shop.db")).unwrap()
}

/// The honest database after this SQL, run by one who may write the schema itself.
fn after(enemy: &Enemy, sql: &str) -> Vec<u8> {
    let path = enemy.bench.path("evil.db");
    fs::write(&path, honest(enemy)).unwrap();
    let database = Connection::open(&path).unwrap();
    database.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, false).unwrap();
    database.execute_batch(&format!("PRAGMA writable_schema = ON; {sql}")).unwrap();
    drop(database);
    fs::read(&path).unwrap()
}

#[test]
fn what_is_no_database_is_told() {
    let enemy = Enemy::new();
    let honest = honest(&enemy);
    let header = &honest[..100];
    for (what, bytes) in [
        ("text", b"hello ".repeat(5000)),
        ("nothing", Vec::new()),
        ("the magic alone", b"SQLite format 3\0".to_vec()),
        ("a header alone", header.to_vec()),
        ("a header and zeros", [header, &[0; 8092]].concat()),
        ("a header and noise", [header, &bench::noise(50_000)].concat()),
        ("half a page", honest[..2048].to_vec()),
        ("a page less", honest[..honest.len() - 4096].to_vec()),
    ] {
        is_told(&enemy, what, &bytes);
    }
}

#[test]
fn damaged_headers_and_pages_are_told() {
    let enemy = Enemy::new();
    let honest = honest(&enemy);
    let with = |at: usize, bytes: &[u8]| {
        let mut evil = honest.clone();
        evil[at..at + bytes.len()].copy_from_slice(bytes);
        evil
    };
    for (what, at, bytes) in [
        ("page size 0", 16, &[0, 0][..]),
        ("page size 3", 16, &[0, 3]),
        ("page size 64 KiB", 16, &[0, 1]),
        ("page size 512", 16, &[2, 0]),
        ("a reader of the future", 19, &[99]),
        ("reserved bytes", 20, &[255]),
        ("schema format 9", 44, &[0, 0, 0, 9]),
        ("text encoding UTF-16", 56, &[0, 0, 0, 2]),
    ] {
        is_told(&enemy, what, &with(at, bytes));
    }
    for page in 0..honest.len() / 4096 {
        is_told(&enemy, &format!("page {page} zero"), &with(page * 4096, &[0; 4096]));
    }
    // The root of the orders points at itself: whoever follows comes back for ever.
    let root = Connection::open(enemy.bench.path("data/shop.db"))
        .unwrap()
        .query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'orders'", [], |row| {
            row.get::<_, u32>(0)
        })
        .unwrap();
    let mut circle = vec![5, 0, 0, 0, 0, 0, 0, 0];
    circle.extend(root.to_be_bytes());
    is_told(&enemy, "a circle", &with((root as usize - 1) * 4096, &circle));
}

#[test]
fn a_schema_that_runs_code_is_told_and_never_hangs() {
    let enemy = Enemy::new();
    enemy.bench.edit(
        "drills/weekly.toml",
        "expect = \"> 0\"",
        "expect = \"> 0\"\ndeadline = \"3s\"",
    );
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i AS id, i AS cents, '' AS note FROM n";
    for (what, sql) in [
        ("orders is an endless view", format!("DROP TABLE orders; CREATE VIEW orders AS {endless};")),
        ("a view of itself", "DROP TABLE orders; CREATE VIEW orders AS SELECT * FROM other; CREATE VIEW other AS SELECT * FROM orders;".into()),
        ("a view that loads code", "DROP TABLE orders; CREATE VIEW orders AS SELECT load_extension('/tmp/evil') AS id;".into()),
        ("a trigger", "CREATE TRIGGER t AFTER INSERT ON orders BEGIN SELECT load_extension('/tmp/evil'); END; INSERT INTO products VALUES (999, 'p1.jpg');".into()),
        ("a generated column", "ALTER TABLE orders ADD COLUMN big AS (zeroblob(1000000000)); UPDATE orders SET cents = 1;".into()),
        ("a schema of garbage", "UPDATE sqlite_schema SET sql = 'CREATE TABLE orders(' WHERE name = 'orders';".into()),
        ("a schema of another table", "UPDATE sqlite_schema SET sql = 'CREATE TABLE orders(note, id, cents)' WHERE name = 'orders';".into()),
        ("a long schema", format!("CREATE TABLE long ({});", (0..1900).map(|n| format!("c{n} TEXT CHECK (c{n} <> '')")).collect::<Vec<_>>().join(", "))),
        ("a root beyond the end", "UPDATE sqlite_schema SET rootpage = 2147483647 WHERE name = 'orders';".into()),
        ("two tables on one root", "UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'products') WHERE name = 'orders';".into()),
        ("a virtual table of an unknown module", "CREATE TABLE gone (x); UPDATE sqlite_schema SET rootpage = 0, sql = 'CREATE VIRTUAL TABLE gone USING evil(x)' WHERE name = 'gone';".into()),
        ("a check that fails", "UPDATE sqlite_schema SET sql = 'CREATE TABLE orders (id INTEGER PRIMARY KEY, cents INTEGER CHECK (randomblob(100000000) IS NULL), note TEXT)' WHERE name = 'orders';".into()),
    ] {
        is_told(&enemy, what, &after(&enemy, &sql));
    }
    assert!(!std::path::Path::new("/tmp/evil").exists());
}
