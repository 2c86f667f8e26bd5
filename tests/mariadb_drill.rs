//! MariaDB from a policy to a verdict, through the built binary.

mod bench;
mod servers;

use std::fs;

use bench::{Bench, files_below};
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
    bench.write(
        "policies/shop.toml",
        format!(
            r#"customer = "acme"
name = "shop"

[objectives]
rpo = "6h"
rto = "45m"

[[source]]
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
        ),
    );
    bench.write(
        "drills/weekly.toml",
        r#"policy = "acme/shop"
name = "weekly"
controls = true

[[check]]
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
"#
        .to_owned(),
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

    let ran = bench.run(&["drill", "shop", "--json"]);

    let report = ran.json();
    assert_eq!(
        (ran.code, &report["verdict"]),
        (0, &Value::from("pass")),
        "{report:#} {}",
        ran.stderr
    );
    for part in ["restorable", "intact", "within_rto", "within_rpo", "cleaned_up"] {
        assert_eq!(report["parts"][part], "yes", "{part}: {report:#}");
    }
    let told = bench.run(&["report", "drill", "shop"]);
    let told = format!("{report}{}{}{}", ran.stderr, told.stdout, told.stderr);
    assert!(told.contains("bubblewrap") && told.contains("MariaDB 10.11"), "{told}");
    for secret in [SECRET, "canary-row", "canary-repository-password"] {
        assert!(!told.contains(secret), "{secret} shows");
    }
    assert!(bench.leftovers().is_empty());
    for file in files_below(&bench.path("state")) {
        let held = fs::read(&file).unwrap();
        let shows = held.windows(SECRET.len()).any(|part| part == SECRET.as_bytes());
        assert!(!shows, "{} holds the password", file.display());
    }
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
