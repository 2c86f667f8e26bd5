//! MySQL from a policy to a verdict, through the built binary.

mod bench;
#[path = "mysql/forbidding.rs"]
mod forbidding;
mod servers;

use std::fs;
use std::path::Path;

use bench::Bench;
use forbidding::Forbidding;
use serde_json::Value;
use servers::mariadb::{Product, Server};

const SECRET: &str = "canary-login-password";

/// A site whose policy protects a database of the server behind `socket`, with checks and controls.
fn shop(server: &Server, socket: &Path) -> Bench {
    let bench = Bench::new();
    server.sql(&format!(
        "CREATE DATABASE shop; USE shop; CREATE TABLE orders (id INT PRIMARY KEY, note TEXT);
         INSERT INTO orders VALUES (1, 'canary-row 1'), (2, 'canary-row 2'), (3, 'canary-row 3');
         CREATE VIEW seen AS SELECT id FROM orders;
         CREATE USER backup@localhost IDENTIFIED BY '{SECRET}'"
    ));
    bench.write("keys/login", format!("{SECRET}\n"));
    let root = Product::Mysql.root();
    let engine = format!(
        "[[engine]]\nkind = \"mysql\"\nversion = \"9.7\"\npath = \"{}\"\n\n[signing]",
        root.display()
    );
    bench.edit("lifeboat.toml", "[signing]", &engine);
    bench.protect(&format!(
        r#"[[source]]
name = "orders"
kind = "mysql"
host = "{}"
user = "backup"
password = {{ file = "keys/login" }}
databases = ["shop"]
"#,
        socket.display()
    ));
    bench.check(
        r#"[[check]]
name = "there are orders"
source = "orders"
query = "SELECT count(*) FROM orders"
expect = "= 3"
"#,
    );
    bench
}

#[test]
fn from_doctor_and_grants_to_a_drill_that_passes_and_no_secret_shows() {
    let server = Server::start(Product::Mysql);
    let bench = shop(&server, &server.socket());
    let refused = bench.run(&["backup", "shop"]).exits(1);
    assert!(refused.stderr.contains("it lacks RELOAD"), "{}", refused.stderr);
    let grants = bench.run(&["grants", "shop", "--sql"]).exits(0).stdout;
    server.sql("DROP USER backup@localhost");
    let absent = bench.run(&["backup", "shop"]).exits(1).stderr;
    assert!(absent.contains("the account is not there"), "{absent}");
    server.sql(&grants);
    let barred = bench.run(&["backup", "shop"]).exits(1).stderr;
    assert!(barred.contains("is still locked"), "{barred}");
    server.sql(&format!("ALTER USER backup@localhost IDENTIFIED BY '{SECRET}'"));
    let locked = bench.run(&["backup", "shop"]).exits(1).stderr;
    assert!(locked.contains("the account is locked: run the ALTER USER"), "{locked}");
    let unlock = grants.lines().last().unwrap().strip_prefix("-- ").unwrap();
    server.sql(&unlock.replace("THE PASSWORD", SECRET));
    let doctor = bench.run(&["doctor"]).exits(0);
    assert!(doctor.stdout.contains("MySQL 9.7"), "{}", doctor.stdout);
    bench.backup();
    let to = bench.path("back").display().to_string();
    let restored = bench.run(&["restore", "shop", "--to", &to]).exits(0);
    assert!(restored.stdout.contains("is a MySQL server"), "{}", restored.stdout);
    server.sql("DROP DATABASE shop");
    for name in ["databases/shop.sql", "grants.sql"] {
        let path = bench.path("back/orders").join(name);
        let script = fs::read_to_string(&path);
        server.sql(&script.unwrap_or_else(|error| panic!("{}: {error}", path.display())));
    }
    assert_eq!(server.count("shop.seen"), 3);
    // The drill asks the bucket alone.
    drop(server);

    let told = bench.passes_and_shows_none_of(&[SECRET, "canary-row"]);

    assert!(told.contains("bubblewrap") && told.contains("MySQL 9.7"), "{told}");
}

#[test]
fn a_server_that_forbids_the_lock_is_captured_and_its_drill_never_passes() {
    let server = Server::start(Product::Mysql);
    let managed = Forbidding::before(&server.socket());
    let bench = shop(&server, &managed.socket());
    // With a password the login would be under TLS, through which nobody sees a statement.
    server.sql("ALTER USER backup@localhost IDENTIFIED BY ''");
    bench.edit("policies/shop.toml", "password = { file = \"keys/login\" }\n", "");
    let grants = bench.run(&["grants", "shop", "--sql"]).exits(0).stdout;
    server.sql(&grants.replace("ACCOUNT LOCK", ""));
    bench.backup();
    assert!(managed.has_forbidden(), "nobody asked for the lock");
    drop(server);

    let (code, report) = bench.drill();

    assert_eq!((code, &report["verdict"]), (5, &Value::from("inconclusive")), "{report:#}");
    assert_eq!(report["parts"]["restorable"], "yes", "{report:#}");
    let told = report.to_string();
    assert!(told.contains("the server forbids the lock that holds commits back"), "{report:#}");

    let key = "equality = { not_required = \"our provider forbids the lock\" }\n";
    bench.edit("policies/shop.toml", "databases =", &format!("{key}databases ="));
    let ran = bench.run(&["drill", "shop"]).exits(0);
    for told in ["not applicable", "not required", "our provider forbids the lock"] {
        assert!(ran.stdout.contains(told), "{told}: {}", ran.stdout);
    }
    for language in ["en", "zh"] {
        let page = bench.path(&format!("{language}.html")).display().to_string();
        bench.run(&["report", "drill", "shop", "--lang", language, "--out", &page]).exits(0);
        let page = fs::read_to_string(&page).unwrap();
        assert!(page.contains("our provider forbids the lock"), "{language}");
    }
}

#[test]
fn what_a_policy_does_without_is_compared_all_the_same_where_the_server_allows_it() {
    let server = Server::start(Product::Mysql);
    let bench = shop(&server, &server.socket());
    let key = "equality = { not_required = \"we were in a hurry\" }\n";
    bench.edit("policies/shop.toml", "databases =", &format!("{key}databases ="));
    let grants = bench.run(&["grants", "shop", "--sql"]).exits(0).stdout;
    server.sql(&grants.replace("ACCOUNT LOCK", ""));
    bench.backup();

    let (code, report) = bench.drill();

    assert_eq!((code, &report["parts"]["intact"]), (0, &Value::from("yes")), "{report:#}");
    assert!(!report.to_string().contains("in a hurry"), "{report:#}");
}

#[test]
fn a_server_without_tls_that_asks_for_the_password_itself_is_told_from_one_that_is_down() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let listens = format!("--port={port}");
    let settings =
        ["--tls-version=", "--skip-networking=OFF", "--bind-address=127.0.0.1", &listens];
    let server = Server::start_with(Product::Mysql, &settings);
    let bench = shop(&server, Path::new("127.0.0.1"));
    let user = "user = \"backup\"\n";
    bench.edit("policies/shop.toml", user, &format!("{user}port = {port}\n"));
    // Nobody has logged in with the password yet, so that the server does not remember it.
    server.sql(&format!("CREATE USER backup@'127.0.0.1' IDENTIFIED BY '{SECRET}'"));

    let refused = bench.run(&["backup", "shop"]).exits(1).stderr;

    assert!(refused.contains("asks for the password itself"), "{refused}");
    assert!(refused.contains("the account is not there"), "{refused}");
    assert!(!refused.contains("is the server up"), "{refused}");
}
