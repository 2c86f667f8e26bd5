//! MariaDB from a policy to a verdict, through the built binary.

mod bench;
mod servers;

use std::fs;

use bench::Bench;
use serde_json::Value;
use servers::mariadb::{Product, Server};

const SECRET: &str = "canary-login-password";

/// A site whose policy protects two databases of a server, with checks, controls and files.
fn shop(server: &Server) -> Bench {
    let bench = Bench::new();
    server.sql(&format!(
        "CREATE DATABASE shop; CREATE DATABASE stock; USE shop;
         CREATE TABLE orders (id INT PRIMARY KEY, note TEXT);
         INSERT INTO orders SELECT seq, CONCAT('canary-row ', seq) FROM seq_1_to_500;
         CREATE TABLE products (picture VARCHAR(80));
         INSERT INTO products SELECT CONCAT('p', seq, '.jpg') FROM seq_0_to_11;
         CREATE TABLE stock.shelf (a INT); INSERT INTO stock.shelf VALUES (1);
         CREATE USER backup@localhost IDENTIFIED BY '{SECRET}'"
    ));
    bench.write("keys/login", format!("{SECRET}\n"));
    let socket = server.socket();
    bench.protect(&format!(
        r#"[[source]]
name = "orders"
kind = "mariadb"
host = "{}"
user = "backup"
password = {{ file = "keys/login" }}
databases = ["shop", "stock"]

[[source]]
name = "uploads"
kind = "files"
paths = ["data/files"]
"#,
        socket.display()
    ));
    bench.check(
        r#"[[check]]
name = "there are orders"
source = "orders"
database = "shop"
query = "SELECT count(*) FROM orders"
expect = "= 500"

[[check]]
name = "every picture exists"
source = "orders"
database = "shop"
query = "SELECT picture FROM products"
files_in = "uploads"
"#,
    );
    bench
}

#[test]
fn from_doctor_and_grants_to_a_drill_that_passes_and_no_secret_shows() {
    let server = Server::start(Product::Mariadb);
    let bench = shop(&server);
    let refused = bench.run(&["backup", "shop"]).exits(1);
    assert!(refused.stderr.contains("it lacks RELOAD"), "{}", refused.stderr);
    let doctor = bench.run(&["doctor"]).exits(1).stdout;
    assert!(doctor.contains("lifeboat grants acme/shop"), "{doctor}");
    let grants = bench.run(&["grants", "shop", "--sql"]).exits(0).stdout;
    server.sql(&grants.replace("ACCOUNT LOCK", ""));
    let doctor = bench.run(&["doctor"]).exits(0);
    assert!(doctor.stdout.contains("MariaDB 10.11"), "{}", doctor.stdout);
    bench.backup();
    // The drill asks the bucket alone.
    drop(server);

    let told = bench.passes_and_shows_none_of(&[SECRET, "canary-row"]);

    assert!(told.contains("bubblewrap") && told.contains("MariaDB 10.11"), "{told}");
    bench.edit("drills/weekly.toml", "= 500", "= 501");
    let (code, report) = bench.drill();
    assert_eq!((code, &report["verdict"]), (4, &Value::from("fail")), "{report:#}");
}

#[test]
fn what_is_restored_goes_into_a_new_server_by_the_engines_own_client() {
    let server = Server::start(Product::Mariadb);
    let bench = shop(&server);
    server.sql("CREATE VIEW shop.seen AS SELECT a FROM stock.shelf");
    server.sql(&bench.run(&["grants", "shop", "--sql"]).stdout.replace("ACCOUNT LOCK", ""));
    bench.backup();
    server.sql("DROP DATABASE shop; DROP DATABASE stock");

    let to = bench.path("back").display().to_string();
    let restored = bench.run(&["restore", "shop", "--to", &to]).exits(0);

    assert!(restored.stdout.contains("is a MariaDB server"), "{}", restored.stdout);
    for name in ["databases/shop.sql", "databases/stock.sql", "views.sql", "grants.sql"] {
        let script = fs::read_to_string(bench.path("back/orders").join(name)).unwrap();
        server.sql(&script);
    }
    assert_eq!(server.count("shop.orders"), 500);
    assert_eq!(server.count("shop.seen"), 1);
}

#[test]
fn a_server_captured_as_its_files_is_drilled_and_restored_as_files_alone() {
    let server = Server::start_with(Product::Mariadb, &["--log-bin=bin", "--binlog-format=ROW"]);
    let bench = shop(&server);
    let policy = "databases = [\"shop\", \"stock\"]";
    bench.edit("policies/shop.toml", policy, "method = \"physical\"");
    let grants = bench.run(&["grants", "shop", "--sql"]).exits(0).stdout;
    server.sql(&grants.replace("ACCOUNT LOCK", ""));
    let told = bench.run(&["grants", "shop"]).exits(0).stdout;
    assert!(told.contains("lifeboat itself runs on the server's host"), "{told}");
    let doctor = bench.run(&["doctor"]).exits(0);
    assert!(doctor.stdout.contains("MariaDB 10.11"), "{}", doctor.stdout);
    let stored = || bench.backup()["stored_bytes"].as_u64().unwrap();
    let first = stored();
    let again = stored();
    assert!(again * 10 < first, "unchanged data added {again} of {first} bytes");
    let refused =
        bench.run(&["restore", "shop", "--table", "orders", "--to-sql", "x.sql"]).exits(1);
    assert!(refused.stderr.contains("no single table comes"), "{}", refused.stderr);
    drop(server);

    let told = bench.passes_and_shows_none_of(&[SECRET, "canary-row"]);

    assert!(told.contains("bubblewrap") && told.contains("MariaDB 10.11"), "{told}");
    let to = bench.path("back").display().to_string();
    let restored = bench.run(&["restore", "shop", "--to", &to]).exits(0);
    assert!(restored.stdout.contains("mariadb-backup --prepare"), "{}", restored.stdout);
    assert!(bench.path("back/orders/data/backup-my.cnf").is_file());
}
