//! Of MariaDB and MySQL.

use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::bench::Bench;
use crate::servers::mariadb::{Product, Server};
use crate::{captured, is_refused, until};

/// A primary with a shop, and a replica that has it, too.
fn pair(product: Product) -> (Server, Server) {
    let (primary, port) = Server::start_primary(product);
    primary.sql(
        "CREATE DATABASE shop; CREATE TABLE shop.orders (id INT AUTO_INCREMENT PRIMARY KEY, note TEXT);
         INSERT INTO shop.orders (note) VALUES ('a'), ('b'), ('c')",
    );
    let replica = Server::start_replica(product, port);
    has_followed(&replica, 3);
    (primary, replica)
}

/// Waits until a replica has so many orders.
#[track_caller]
fn has_followed(replica: &Server, orders: u64) {
    let there = "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_NAME = 'orders'";
    until("replication", || {
        replica.sql(there).trim() == "1" && replica.count("shop.orders") >= orders
    });
}

/// A site whose policy captures the first of both that qualifies.
fn site(product: Product, servers: [&Server; 2], keys: &str) -> Bench {
    let bench = Bench::new();
    let kind = match product {
        Product::Mariadb => "mariadb",
        Product::Mysql => {
            let root = product.root();
            let engine = format!(
                "[[engine]]\nkind = \"mysql\"\nversion = \"9.7\"\npath = \"{}\"\n\n[signing]",
                root.display()
            );
            bench.edit("lifeboat.toml", "[signing]", &engine);
            "mysql"
        }
    };
    let [first, second] = servers.map(|server| server.socket().display().to_string());
    bench.protect(&format!(
        "[[source]]\nname = \"orders\"\nkind = \"{kind}\"\nhosts = [\"{first}\", \"{second}\"]\n\
         user = \"backup\"\ndatabases = [\"shop\"]\n{keys}\n"
    ));
    bench.check(
        "[[check]]\nname = \"there are orders\"\nsource = \"orders\"\n\
         query = \"SELECT count(*) FROM orders\"\nexpect = \">= 3\"\n",
    );
    bench
}

/// Grants what `lifeboat grants` prints on the primary; the account needs no password.
fn grant(bench: &Bench, primary: &Server) {
    let printed = bench.run(&["grants", "shop", "--sql"]).exits(0).stdout;
    let by_socket = [" IDENTIFIED VIA unix_socket", " IDENTIFIED WITH auth_socket"];
    primary.sql(&by_socket.iter().fold(printed, |sql, by| sql.replace(by, "")));
}

fn is_known(replica: &Server) -> bool {
    replica.sql("SELECT COUNT(*) FROM mysql.user WHERE User = 'backup'").trim() == "1"
}

fn follows(replica: &Server) -> bool {
    let status = replica.sql("SHOW REPLICA STATUS");
    status.split('\t').filter(|value| *value == "Yes").count() >= 2
}

fn a_replica_is_taken_and_named(product: Product) {
    let (primary, replica) = pair(product);
    let bench = site(product, [&replica, &primary], "max_lag = \"30s\"");
    grant(&bench, &primary);
    until("the account", || is_known(&replica));
    let doctor = bench.run(&["doctor"]).exits(0).stdout;
    let of_replica = replica.socket().display().to_string();
    assert!(doctor.contains(&format!("{of_replica} is taken, a replica")), "{doctor}");
    let writes = primary.client("root").stdin(Stdio::piped()).spawn().map(|mut client| {
        let mut script = client.stdin.take().unwrap();
        std::thread::spawn(move || {
            while std::io::Write::write_all(
                &mut script,
                b"INSERT INTO shop.orders (note) VALUES ('x'); DO SLEEP(0.01);\n",
            )
            .is_ok()
            {}
        });
        client
    });
    let mut writes = writes.unwrap();

    let made = bench.backup();
    let capture = captured(&bench);
    writes.kill().unwrap();
    writes.wait().unwrap();

    assert!(made["snapshot"].is_string(), "{made}");
    let served = &capture["served"];
    assert_eq!(
        (&served["host"], &served["role"]),
        (&of_replica.as_str().into(), &"replica".into())
    );
    assert!(served["lag_ms"].as_u64().unwrap() < 30_000, "{served}");
    assert!(served["passed_over"].is_null(), "{served}");
    if product == Product::Mariadb {
        let applied = capture["server"]["moment"]["replicated"].as_str().unwrap();
        assert!(applied.starts_with("0-1-"), "{applied}");
    }
    assert!(follows(&replica), "{}", replica.sql("SHOW REPLICA STATUS"));
    let told = bench.run(&["drill", "shop"]).exits(0).stdout;
    assert!(told.contains("captured from") && told.contains("(replica, at most"), "{told}");
    has_followed(&replica, primary.count("shop.orders"));
}

#[test]
fn a_replica_of_mariadb_is_captured_under_writes_and_named_in_manifest_and_drill() {
    a_replica_is_taken_and_named(Product::Mariadb);
}

#[test]
fn a_replica_of_mysql_is_captured_under_writes_and_named_in_manifest_and_drill() {
    a_replica_is_taken_and_named(Product::Mysql);
}

#[test]
fn a_replica_that_does_not_follow_is_passed_over_and_its_primary_taken_only_where_that_is_allowed()
{
    let (primary, replica) = pair(Product::Mariadb);
    let bench = site(Product::Mariadb, [&replica, &primary], "");
    grant(&bench, &primary);
    until("the account", || is_known(&replica));
    for (stopped, why) in [
        ("SQL_THREAD", "its SQL thread does not run (No)"),
        ("IO_THREAD", "its IO thread does not run (No)"),
    ] {
        replica.sql(&format!("STOP SLAVE {stopped}"));
        is_refused(&bench, &[why, "it is no replica", "primary = \"allowed\""]);
        let doctor = bench.run(&["doctor"]).exits(1).stdout;
        assert!(doctor.contains(why), "{doctor}");
        replica.sql(&format!("START SLAVE {stopped}"));
        until("following", || follows(&replica));
    }
    // What it did not apply fails it for good.
    replica.sql("SET sql_log_bin = 0; INSERT INTO shop.orders VALUES (4, 'its own')");
    primary.sql("INSERT INTO shop.orders VALUES (4, 'd')");
    until("a failure", || !follows(&replica));
    is_refused(&bench, &["its SQL thread failed (error 1062"]);
    let said = bench.run(&["backup", "shop"]).exits(1).stderr;
    assert!(!said.contains("INSERT"), "values of rows show: {said}");

    bench.edit("policies/shop.toml", "databases =", "primary = \"allowed\"\ndatabases =");
    bench.backup();

    let served = captured(&bench)["served"].clone();
    assert_eq!(served["host"], primary.socket().display().to_string());
    assert_eq!((&served["role"], &served["lag_ms"]), (&"primary".into(), &0.into()));
    let passed_over = &served["passed_over"][0];
    assert_eq!(passed_over["host"], replica.socket().display().to_string());
    assert!(passed_over["why"].as_str().unwrap().contains("error 1062"), "{served}");
    let (code, drilled) = bench.drill();
    assert_eq!(code, 0, "{drilled:#}");
}

#[test]
fn what_a_delayed_replica_lags_refuses_it_or_counts_towards_the_age_of_the_data() {
    let (primary, replica) = pair(Product::Mariadb);
    let bench = site(Product::Mariadb, [&replica, &primary], "max_lag = \"10s\"");
    grant(&bench, &primary);
    until("the account", || is_known(&replica));
    replica.sql("STOP SLAVE; CHANGE MASTER TO MASTER_DELAY = 30000; START SLAVE");
    until("following", || follows(&replica));
    // Nothing is held back yet, so it is as its primary is.
    bench.backup();
    assert!(captured(&bench)["served"]["lag_ms"].as_u64().unwrap() < 10_000);

    primary.sql("INSERT INTO shop.orders (note) VALUES ('held back')");
    until("the delay", || {
        replica.sql("SHOW REPLICA STATUS").contains("Waiting until MASTER_DELAY")
    });
    is_refused(&bench, &["behind its primary, and max_lag is 10 s", "it is no replica"]);

    bench.edit("policies/shop.toml", "max_lag = \"10s\"", "max_lag = \"9h\"");
    bench.backup();
    let capture = captured(&bench);
    assert!(capture["served"]["lag_ms"].as_u64().unwrap() >= 30_000_000, "{}", capture["served"]);
    let (code, drilled) = bench.drill();
    // Six hours is the objective; the snapshot itself is some seconds old.
    assert_eq!((code, &drilled["parts"]["within_rpo"]), (4, &"no".into()), "{drilled:#}");
    assert!(drilled["data_age_seconds"].as_f64().unwrap() >= 30_000.0, "{drilled:#}");
    assert_eq!(drilled["parts"]["intact"], "yes", "{drilled:#}");
}

#[test]
fn a_replica_goes_on_following_whenever_its_capture_is_killed() {
    let (primary, replica) = pair(Product::Mariadb);
    let bench = site(Product::Mariadb, [&replica, &primary], "");
    grant(&bench, &primary);
    until("the account", || is_known(&replica));
    let (mut killed_in, mut ended, mut delay) = (0, 0, Duration::from_millis(40));
    while ended < 2 && delay < Duration::from_secs(10) {
        let mut run = bench.command(&["backup", "shop"]);
        let mut run = run.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let begun = Instant::now();
        while begun.elapsed() < delay && run.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(5));
        }
        match run.try_wait().unwrap() {
            None => killed_in += 1,
            Some(_) => ended += 1,
        }
        let _ = run.kill();
        run.wait().unwrap();
        primary.sql("INSERT INTO shop.orders (note) VALUES ('after')");
        has_followed(&replica, primary.count("shop.orders"));
        assert!(follows(&replica), "{}", replica.sql("SHOW REPLICA STATUS"));
        delay += Duration::from_millis(30);
    }
    assert!(killed_in > 5, "only {killed_in} runs were killed before their end");
}
