//! A host with a shop running: from nothing to the first pass, and no file is edited.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::bench::must;
use crate::servers::mariadb::{Product, Server as Mariadb};
use crate::servers::postgres::Server as Postgres;
use crate::servers::redis::Server as Redis;
use crate::{is_alone, lifeboat};

/// Minutes are promised.
const PROMISED: Duration = Duration::from_secs(180);

/// A shop: orders in MariaDB, customers in PostgreSQL, sessions in Redis, pictures in WordPress.
struct Shop {
    _orders: Mariadb,
    _customers: Postgres,
    _sessions: Redis,
}

impl Shop {
    /// As Debian sets servers up: they know who asks at their socket.
    fn open(folder: &Path) -> Self {
        let orders = Mariadb::start(Product::Mariadb);
        orders.sql(
            "CREATE DATABASE shop; USE shop;
             CREATE TABLE orders (id INT PRIMARY KEY, total DECIMAL(10,2), note TEXT);
             INSERT INTO orders SELECT seq, seq * 1.25, CONCAT('order ', seq) FROM seq_1_to_2000;
             ALTER USER root@localhost IDENTIFIED VIA unix_socket",
        );
        let customers = Postgres::start(15);
        customers.psql("postgres", "CREATE DATABASE crm");
        customers.psql(
            "crm",
            "CREATE TABLE customers AS SELECT n, 'customer ' || n AS name FROM generate_series(1, 500) n",
        );
        customers.allow("local all all peer\n");
        let sessions = Redis::start();
        sessions.run("SET session:1 cart\nHSET sessions 1 ada 2 grace");
        let site = folder.join("it's a shop");
        for (name, content) in [
            ("wp-includes/version.php", "<?php"),
            ("wp-config.php", "<?php // database"),
            ("wp-content/uploads/2026/11/lamp.png", "picture"),
        ] {
            let path = site.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        rusqlite::Connection::open(folder.join("app.db"))
            .unwrap()
            .execute_batch("CREATE TABLE notes (text); INSERT INTO notes VALUES ('first')")
            .unwrap();
        Self { _orders: orders, _customers: customers, _sessions: sessions }
    }
}

/// Runs a command as it was told, by a shell; answers what it printed.
fn typed(command: &str) -> String {
    let binary = Path::new(env!("CARGO_BIN_EXE_lifeboat")).parent().unwrap();
    let path = format!("{}:/usr/bin:/bin:/usr/sbin:/sbin", binary.display());
    must(Command::new("sh").args(["-c", command]).env("PATH", path).env("NO_COLOR", "1"))
}

#[test]
fn a_host_with_a_shop_passes_its_first_drill_within_minutes_and_no_file_is_edited() {
    if !is_alone(
        "discovered::a_host_with_a_shop_passes_its_first_drill_within_minutes_and_no_file_is_edited",
    ) {
        return;
    }
    let place = tempfile::Builder::new().prefix("lbshop").tempdir_in("/tmp").unwrap();
    let (data, site) = (place.path().join("data"), place.path().join("site"));
    fs::create_dir(&data).unwrap();
    let _shop = Shop::open(&data);
    let begun = Instant::now();
    let (site, data) = (site.to_str().unwrap(), data.to_str().unwrap());

    let answer =
        lifeboat(&["init", site, "--discover", "--look-in", data, "--json"]).exits(0).json();

    println!("discovered within {:.1} s: {answer:#}", begun.elapsed().as_secs_f64());
    let found = answer["found"].as_array().unwrap();
    let told = |source: &str| {
        let one = found.iter().find(|one| one["source"] == source);
        one.unwrap_or_else(|| panic!("no {source}: {answer:#}"))
    };
    assert!(told("mariadb-1")["what"].as_str().unwrap().starts_with("MariaDB 10.11."));
    assert!(told("redis-1")["what"].as_str().unwrap().starts_with("Redis 7."));
    assert_eq!(told("wordpress-1")["kind"], "files");
    assert!(told("database-1")["bytes"].as_u64().unwrap() > 0);
    let lacks = told("postgres-1")["lacks"].as_str().unwrap();
    assert!(lacks.contains("role \"root\" does not exist"), "{lacks}");
    assert!(told("mariadb-1")["lacks"].is_null() && told("redis-1")["lacks"].is_null());
    let next: Vec<&str> =
        answer["next"].as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect();
    let [grant, doctor, backup, drill, daemon] = next[..] else { panic!("{next:#?}") };
    assert!(grant.starts_with("runuser -u postgres -- psql ") && daemon.ends_with(" daemon"));
    for command in [grant, doctor, backup] {
        typed(command);
    }
    let verdict = typed(drill);
    let took = begun.elapsed();
    println!("from nothing to the first pass: {:.1} s", took.as_secs_f64());

    assert!(verdict.contains("PASS"), "{verdict}");
    assert!(took < PROMISED, "{took:?}");
}

#[test]
fn a_host_without_anything_to_protect_is_told_where_was_looked_and_nothing_is_written() {
    if !is_alone(
        "discovered::a_host_without_anything_to_protect_is_told_where_was_looked_and_nothing_is_written",
    ) {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let _empty = Redis::start();
    let site = place.path().join("site");

    let refused = lifeboat(&["init", site.to_str().unwrap(), "--discover"]).exits(1).stderr;

    assert!(refused.contains("nothing to protect was found"), "{refused}");
    assert!(refused.contains("a Redis server (process ") && refused.contains("it has no key"));
    assert!(!site.exists(), "an empty folder is left behind");
}
