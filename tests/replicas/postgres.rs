//! Of PostgreSQL.

use std::time::Duration;

use crate::bench::Bench;
use crate::servers::postgres::Server;
use crate::{captured, is_refused, until};

/// A primary with a shop, and a standby that has it, too.
fn pair() -> (Server, Server) {
    let primary = Server::start(15);
    primary.psql("postgres", "CREATE DATABASE shop");
    primary.psql(
        "shop",
        "CREATE TABLE orders (id int PRIMARY KEY, note text);
         INSERT INTO orders VALUES (1, 'a'), (2, 'b'), (3, 'c')",
    );
    let standby = primary.standby();
    (primary, standby)
}

/// A site whose policy captures the first of both that qualifies.
fn site([first, second]: [&Server; 2], keys: &str) -> Bench {
    let bench = Bench::new();
    let [first, second] = [first, second].map(|server| server.socket().display().to_string());
    bench.protect(&format!(
        "[[source]]\nname = \"orders\"\nkind = \"postgres\"\nhosts = [\"{first}\", \"{second}\"]\n\
         user = \"backup\"\ndatabases = [\"shop\"]\n{keys}\n"
    ));
    bench.check(
        "[[check]]\nname = \"there are orders\"\nsource = \"orders\"\n\
         query = \"SELECT count(*) FROM orders\"\nexpect = \">= 3\"\n",
    );
    bench
}

/// Grants what `lifeboat grants` prints on the primary, and waits until the standby knows.
fn grant(bench: &Bench, [standby, primary]: [&Server; 2]) {
    let printed = bench.run(&["grants", "shop", "--sql"]).exits(0).stdout;
    primary.psql("postgres", &printed);
    arrives(standby, primary);
}

/// Waits until the standby has all that its primary has now.
fn arrives(standby: &Server, primary: &Server) {
    let now = primary.psql("postgres", "SELECT pg_current_wal_flush_lsn()").trim().to_owned();
    let has = format!("SELECT pg_last_wal_replay_lsn() >= '{now}'");
    until("replay", || standby.psql("postgres", &has).trim() == "t");
}

#[test]
fn a_standby_is_captured_and_named_however_long_nobody_wrote_its_primary() {
    let (primary, standby) = pair();
    let bench = site([&standby, &primary], "max_lag = \"2s\"");
    is_refused(&bench, &["role \"backup\" does not exist"]);
    grant(&bench, [&standby, &primary]);
    // By then the last commit is older than max_lag.
    let idle = "SELECT clock_timestamp() - pg_last_xact_replay_timestamp() > interval '2.5 s'";
    until("idleness", || standby.psql("postgres", idle).trim() == "t");

    let doctor = bench.run(&["doctor"]).exits(0).stdout;
    bench.backup();

    let of_standby = standby.socket().display().to_string();
    assert!(doctor.contains(&format!("{of_standby} is taken, a replica")), "{doctor}");
    let served = captured(&bench)["served"].clone();
    assert_eq!((&served["host"], &served["role"]), (&of_standby.into(), &"replica".into()));
    assert!(served["lag_ms"].as_u64().unwrap() < 2000, "{served}");
    let told = bench.run(&["drill", "shop"]).exits(0).stdout;
    assert!(told.contains("captured from") && told.contains("(replica, at most"), "{told}");
}

#[test]
fn a_standby_that_is_behind_or_receives_nothing_is_passed_over_and_its_primary_never_taken_unasked()
{
    let (primary, standby) = pair();
    let bench = site([&standby, &primary], "max_lag = \"1s\"");
    grant(&bench, [&standby, &primary]);
    standby.psql("postgres", "SELECT pg_wal_replay_pause()");
    let paused = "SELECT pg_get_wal_replay_pause_state() = 'paused'";
    until("the pause", || standby.psql("postgres", paused).trim() == "t");
    primary.psql("shop", "INSERT INTO orders VALUES (4, 'd')");
    std::thread::sleep(Duration::from_millis(1500));
    is_refused(&bench, &["behind its primary, and max_lag is 1 s", "it is no replica"]);

    // Once it goes on it is taken; once nothing arrives any more all of it is replayed, and it is not.
    standby.psql("postgres", "SELECT pg_wal_replay_resume()");
    arrives(&standby, &primary);
    bench.backup();
    standby.psql("postgres", "ALTER SYSTEM SET primary_conninfo = ''");
    standby.psql("postgres", "SELECT pg_reload_conf()");
    let receivers = "SELECT count(*) FROM pg_stat_wal_receiver";
    until("the receiver's end", || standby.psql("postgres", receivers).trim() == "0");
    std::thread::sleep(Duration::from_millis(1500));
    is_refused(&bench, &["behind its primary", "it is no replica"]);

    bench.edit("policies/shop.toml", "databases =", "primary = \"allowed\"\ndatabases =");
    bench.backup();
    let served = captured(&bench)["served"].clone();
    assert_eq!(served["host"], primary.socket().display().to_string());
    assert_eq!(served["role"], "primary");
    assert!(served["passed_over"][0]["why"].as_str().unwrap().contains("behind"), "{served}");
    let (code, drilled) = bench.drill();
    assert_eq!(code, 0, "{drilled:#}");
}

#[test]
fn a_standby_that_a_login_may_not_judge_and_one_that_is_gone_do_not_qualify() {
    let (primary, standby) = pair();
    let bench = site([&standby, &primary], "");
    grant(&bench, [&standby, &primary]);
    primary.psql("postgres", "REVOKE pg_read_all_stats FROM backup");
    arrives(&standby, &primary);
    is_refused(&bench, &["GRANT pg_read_all_stats TO backup;"]);
    let of_standby = standby.socket().display().to_string();
    drop(standby);
    is_refused(&bench, &["cannot log in", &of_standby, "it is no replica"]);
}
