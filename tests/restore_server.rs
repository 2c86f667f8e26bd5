//! Databases out of a snapshot into a server with which people work.

mod bench;
mod servers;

use std::fs;

use bench::{Bench, Ran};
use servers::{mariadb, postgres};

/// A bench whose policy has one more source, and whose site has the server `standby`.
fn protecting(source: &str, standby: &str) -> Bench {
    let bench = Bench::new();
    let policy = fs::read_to_string(bench.path("policies/shop.toml")).unwrap();
    bench.write("policies/shop.toml", format!("{policy}\n[[source]]\nname = \"sales\"\n{source}"));
    let engine = format!(
        "[[engine]]\nkind = \"mysql\"\nversion = \"9.7\"\npath = \"{}\"\n",
        mariadb::Product::Mysql.root().display()
    );
    let server = format!("[[server]]\nname = \"standby\"\ncustomer = \"acme\"\n{standby}");
    bench.edit("lifeboat.toml", "[signing]", &format!("{engine}\n{server}\n[signing]"));
    bench.backup();
    bench
}

fn restore(bench: &Bench, more: &[&str]) -> Ran {
    let arguments = ["restore", "shop", "--to-server", "standby", "--reason", "ticket 4711"];
    bench.run(&[&arguments[..], more].concat())
}

/// Puts `script`, in which CLIENT is the real one, in the place of the server's own client.
fn loading_by(bench: &Bench, product: mariadb::Product, script: &str) -> tempfile::TempDir {
    let programs = tempfile::tempdir().unwrap();
    let (client, version) = match product {
        mariadb::Product::Mysql => ("mysql", "9.7"),
        mariadb::Product::Mariadb => ("mariadb", "10.11"),
    };
    let real = product.root().join("bin").join(client).display().to_string();
    let script = format!("#!/bin/sh\n{}\n", script.replace("CLIENT", &real));
    mariadb::programs_with(product, programs.path(), client, &script);
    let place = programs.path().display();
    let engine =
        format!("[[engine]]\nkind = \"{client}\"\nversion = \"{version}\"\npath = \"{place}\"\n");
    let site = fs::read_to_string(bench.path("lifeboat.toml")).unwrap();
    let (before, rest) = site.split_once("[[engine]]").unwrap();
    let (_, rest) = rest.split_once("[[server]]").unwrap();
    bench.write("lifeboat.toml", format!("{before}{engine}\n[[server]]{rest}"));
    programs
}

/// Where a server of MySQL's family is, and who logs in.
fn place_of(kind: &str, server: &mariadb::Server) -> String {
    format!("kind = \"{kind}\"\nhost = \"{}\"\nuser = \"root\"\n", server.socket().display())
}

/// What is true of both products of MySQL's family.
fn comes_back(product: mariadb::Product, kind: &str) {
    let (live, standby) = (mariadb::Server::start(product), mariadb::Server::start(product));
    live.sql(
        "CREATE DATABASE shop COLLATE utf8mb4_bin; USE shop;
         CREATE TABLE orders (id INT PRIMARY KEY AUTO_INCREMENT, note TEXT, picture BLOB);
         INSERT INTO orders (note, picture) VALUES ('it''s; \\\\', 0x00FF27), (NULL, ''), ('ö', NULL);
         CREATE TABLE paid (id INT PRIMARY KEY); INSERT INTO paid VALUES (1);
         CREATE TRIGGER grow BEFORE INSERT ON orders FOR EACH ROW SET NEW.note = 'new';
         CREATE FUNCTION doubled(a INT) RETURNS INT DETERMINISTIC RETURN a * 2;
         CREATE VIEW seen AS SELECT id FROM orders",
    );
    let databases = "databases = [\"shop\"]\n";
    let bench =
        protecting(&format!("{}{databases}", place_of(kind, &live)), &place_of(kind, &standby));
    standby.sql("CREATE DATABASE other; CREATE TABLE other.kept (a INT)");
    standby.sql("CREATE DATABASE shop COLLATE latin1_bin");
    let unlike = restore(&bench, &[]).exits(1).stderr;
    assert!(unlike.contains("or is made in another way"), "{unlike}");
    standby.sql("ALTER DATABASE shop COLLATE utf8mb4_bin");

    let answer = restore(&bench, &["--json"]).exits(0).json();

    // With the counter of orders.
    assert_eq!((&answer["compared"], &answer["differs"]), (&5.into(), &Vec::<()>::new().into()));
    assert_eq!(standby.count("shop.seen") + standby.count("other.kept"), 3);
    let log = bench.run(&["ledger", "log"]).exits(0).stdout;
    assert!(log.contains("sales: standby: shop, ") && log.contains("ticket 4711"), "{log}");
    assert!(log.contains("equal to the captured moment: 5 rows or counters"), "{log}");

    // What holds something is spared.
    standby.sql("INSERT INTO shop.paid VALUES (7)");
    let spared = restore(&bench, &[]).exits(1).stderr;
    assert!(spared.contains("\"shop\" holds something already"), "{spared}");
    assert!(spared.contains("--replace shop"), "{spared}");
    let another = restore(&bench, &["--replace", "other"]).exits(1).stderr;
    assert!(another.contains("\"other\" is no database of sales"), "{another}");
    assert_eq!(standby.count("shop.paid"), 2);
    let replaced = restore(&bench, &["--replace", "shop", "--json"]).exits(0).json();
    assert_eq!(replaced["replaced"], serde_json::json!(["shop"]), "{replaced:#}");
    assert_eq!((standby.count("shop.paid"), standby.count("other.kept")), (1, 0));
    let log = bench.run(&["ledger", "log"]).exits(0).stdout;
    assert!(log.contains("shop (replaced)"), "{log}");

    // A server that takes the rows and changes them is found out.
    standby.sql("DROP DATABASE shop");
    let lying = "sed 's/INSERT INTO `paid` VALUES/INSERT INTO `paid` VALUES (8),/' | CLIENT \"$@\"";
    let _programs = loading_by(&bench, product, lying);
    let differs = restore(&bench, &[]).exits(1).stdout;
    assert!(differs.contains("DIFFERS: shop: table paid: has 2 rows instead of 1"), "{differs}");
    let log = bench.run(&["ledger", "log"]).exits(0).stdout;
    assert!(log.contains("restore-compared") && log.contains("DIFFERS in 1 place"), "{log}");
    bench.run(&["ledger", "verify", "acme"]).exits(0);
    assert_eq!(bench.leftovers(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn databases_of_mariadb_come_back_equal_into_a_server_and_what_is_there_is_spared() {
    comes_back(mariadb::Product::Mariadb, "mariadb");
}

#[test]
fn databases_of_mysql_come_back_equal_into_a_server_and_what_is_there_is_spared() {
    comes_back(mariadb::Product::Mysql, "mysql");
}

#[test]
fn databases_of_postgresql_come_back_equal_into_a_server_and_what_is_there_is_spared() {
    let (live, standby) = (postgres::Server::start(15), postgres::Server::start(15));
    live.psql("postgres", "CREATE ROLE owner; CREATE DATABASE shop OWNER owner");
    live.psql(
        "shop",
        "CREATE TABLE orders (id serial PRIMARY KEY, note text);
         INSERT INTO orders (note) SELECT 'note ' || n FROM generate_series(1, 500) n;
         CREATE VIEW seen AS SELECT id FROM orders; ALTER TABLE orders OWNER TO owner",
    );
    let of = |server: &postgres::Server| {
        let socket = server.socket();
        format!("kind = \"postgres\"\nhost = \"{}\"\nuser = \"postgres\"\n", socket.display())
    };
    let bench = protecting(&format!("{}databases = [\"shop\"]\n", of(&live)), &of(&standby));

    let lacking = restore(&bench, &[]).exits(1).stderr;
    assert!(lacking.contains("role owner") && lacking.contains("globals.sql"), "{lacking}");
    standby.psql("postgres", "CREATE ROLE owner; CREATE DATABASE shop");
    let answer = restore(&bench, &["--json"]).exits(0).json();
    // With the sequence.
    assert_eq!((&answer["compared"], &answer["differs"]), (&501.into(), &Vec::<()>::new().into()));
    assert!(standby.psql("shop", "SELECT count(*) FROM seen").contains("500"));

    standby.psql("shop", "CREATE TABLE mine (a int)");
    let spared = restore(&bench, &[]).exits(1).stderr;
    assert!(spared.contains("\"shop\" holds something already"), "{spared}");
    assert!(standby.psql("shop", "SELECT count(*) FROM mine").contains('0'));
    restore(&bench, &["--replace", "shop"]).exits(0);
    assert_eq!(standby.psql("shop", "SELECT to_regclass('mine')").trim(), "");
    assert_eq!(bench.leftovers(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_server_that_cannot_take_the_data_and_options_that_do_not_belong_together_are_refused() {
    let live = mariadb::Server::start(mariadb::Product::Mariadb);
    live.sql("CREATE DATABASE shop; CREATE TABLE shop.orders (id INT)");
    let source = format!(
        "kind = \"mariadb\"\nhost = \"{}\"\nuser = \"root\"\ndatabases = [\"shop\"]\n",
        live.socket().display()
    );
    let bench = protecting(&source, "kind = \"mysql\"\nhost = \"/nowhere\"\nuser = \"root\"\n");

    let kind = restore(&bench, &[]).exits(1).stderr;
    assert!(kind.contains("no such source of kind mysql, which standby is"), "{kind}");
    let unknown = ["restore", "shop", "--to-server", "stanby", "--reason", "x"];
    let unknown = bench.run(&unknown).exits(2).stderr;
    assert!(unknown.contains("declares no server stanby"), "{unknown}");
    assert!(unknown.contains("it declares: standby"), "{unknown}");
    for wrong in [
        &["--to-server", "standby"][..],
        &["--to-server", "standby", "--reason", "x", "--to", "y"],
        &["--to-server", "standby", "--reason", "x", "--include", "y"],
        &["--to", "y", "--replace", "shop"],
    ] {
        bench.run(&[&["restore", "shop"], wrong].concat()).exits(2);
    }
    let log = bench.run(&["ledger", "log"]).exits(0).stdout;
    assert!(!log.contains("restore"), "nothing was restored: {log}");
}

#[test]
fn a_restore_that_is_killed_ends_its_client_and_a_rerun_that_replaces_comes_back_equal() {
    let product = mariadb::Product::Mariadb;
    let (live, standby) = (mariadb::Server::start(product), mariadb::Server::start(product));
    live.sql(
        "CREATE DATABASE shop; USE shop; CREATE TABLE orders (id INT PRIMARY KEY);
         INSERT INTO orders VALUES (1), (2); CREATE TABLE paid (id INT PRIMARY KEY);
         INSERT INTO paid VALUES (7)",
    );
    let source = format!("{}databases = [\"shop\"]\n", place_of("mariadb", &live));
    let bench = protecting(&source, &place_of("mariadb", &standby));
    let told = bench.path("client");
    let slow = format!(
        "sed '/Table structure for table `paid`/,$d' | CLIENT \"$@\"; echo $$ > {0}.new; mv {0}.new {0}; \
         exec sleep 600",
        told.display()
    );
    let programs = loading_by(&bench, product, &slow);
    let command = ["restore", "shop", "--to-server", "standby", "--reason", "ticket 4711"];
    let mut restoring = bench.command(&command).spawn().unwrap();
    let begun = std::time::Instant::now();
    let waits = || assert!(begun.elapsed().as_secs() < 60, "nothing happens");
    while !told.exists() {
        waits();
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let client = fs::read_to_string(&told).unwrap();

    restoring.kill().unwrap();
    restoring.wait().unwrap();

    // Nobody is its parent any more but who takes all orphans; what is gone may be one that nobody buried.
    let state = std::path::Path::new("/proc").join(client.trim()).join("stat");
    while fs::read_to_string(&state).is_ok_and(|stat| !stat.contains(") Z ")) {
        waits();
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(standby.count("shop.orders"), 2, "what was loaded is there");
    let log = bench.run(&["ledger", "log"]).exits(0).stdout;
    assert!(log.contains("ticket 4711") && !log.contains("restore-compared"), "{log}");
    drop(programs);
    let programs = loading_by(&bench, product, "exec CLIENT \"$@\"");
    let spared = restore(&bench, &[]).exits(1).stderr;
    assert!(spared.contains("--replace shop"), "{spared}");

    let again = restore(&bench, &["--replace", "shop", "--json"]).exits(0).json();

    assert_eq!((&again["compared"], standby.count("shop.paid")), (&3.into(), 1), "{again:#}");
    assert_eq!(bench.leftovers(), Vec::<std::path::PathBuf>::new(), "the killed one's, too");
    drop(programs);
}

#[test]
fn an_event_whose_only_time_has_passed_is_told_to_be_missing_and_why() {
    let product = mariadb::Product::Mariadb;
    let (live, standby) = (mariadb::Server::start(product), mariadb::Server::start(product));
    live.sql(
        "CREATE DATABASE shop; USE shop; CREATE TABLE orders (id INT PRIMARY KEY);
         INSERT INTO orders VALUES (1);
         CREATE EVENT soon ON SCHEDULE AT '2037-01-01 00:00:00' DO DELETE FROM orders;
         SET timestamp = 1000000000;
         CREATE EVENT once ON SCHEDULE AT '2001-09-10 00:00:00' DO DELETE FROM orders",
    );
    let source = format!("{}databases = [\"shop\"]\n", place_of("mariadb", &live));
    let bench = protecting(&source, &place_of("mariadb", &standby));

    let told = restore(&bench, &[]).exits(1).stdout;

    assert!(told.contains("DIFFERS: shop: event once: is missing from the schema"), "{told}");
    assert!(!told.contains("event soon"), "{told}");
    assert!(
        told.contains("whose time has come since the capture is dropped, or disabled"),
        "{told}"
    );
    assert_eq!(standby.count("shop.orders"), 1, "it did not run");
    // A drill of the same compares it all: there no time passes.
    let (code, drill) = bench.drill();
    assert_eq!((code, &drill["verdict"]), (0, &"pass".into()), "{drill:#}");
}
