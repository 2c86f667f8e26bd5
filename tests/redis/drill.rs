//! Redis from a policy to a verdict, through the built binary.

use serde_json::Value;
use std::fs;

use super::at_hand::everything;
use super::bench::{Bench, files_below};
use super::servers::redis::Server;

const SECRET: &str = "canary-login-password";

/// A site whose policy protects a server, with checks and controls.
fn shop(server: &Server) -> Bench {
    let bench = Bench::new();
    server.run(&format!("ACL SETUSER backup reset on >{SECRET} +psync +replconf +info"));
    bench.write("keys/login", format!("{SECRET}\n"));
    bench.protect(&format!(
        r#"[[source]]
name = "cache"
kind = "redis"
host = "{}"
user = "backup"
password = {{ file = "keys/login" }}
"#,
        server.socket().display()
    ));
    bench.check(
        r#"[[check]]
name = "the list is whole"
source = "cache"
query = "LLEN longlist"
expect = "= 300"

[[check]]
name = "the other database is there"
source = "cache"
database = "3"
query = "GET elsewhere"
expect = "= 1"
"#,
    );
    bench
}

#[test]
fn a_drill_passes_its_controls_are_found_and_no_secret_shows() {
    let server = Server::start();
    everything(&server);
    server.run("SET cart:17 canary-value");
    let bench = shop(&server);
    let doctor = bench.run(&["doctor"]).exits(0).stdout;
    assert!(doctor.contains("Redis 7.0"), "{doctor}");
    bench.backup();
    // The drill asks the bucket alone.
    drop(server);

    let told = bench.passes_and_shows_none_of(&[SECRET, "canary-value", "cart:17"]);

    assert!(told.contains("bubblewrap") && told.contains("keys"), "{told}");
}

#[test]
fn a_restored_file_is_one_that_a_server_starts_on() {
    let server = Server::start();
    everything(&server);
    let digest = server.session().ask(&[b"DBSIZE"]).unwrap();
    let bench = shop(&server);
    bench.backup();
    let to = bench.path("back");

    let told = bench.run(&["restore", "shop", "--to", to.to_str().unwrap()]).exits(0).stdout;

    assert!(told.contains("is a Redis server") && told.contains("dump.rdb"), "{told}");
    let again = Server::on(&to.join("cache/dump.rdb"), &[]);
    assert_eq!(again.session().ask(&[b"DBSIZE"]).unwrap(), digest);
}

#[test]
fn a_check_that_does_not_hold_fails_and_a_stale_point_is_not_the_latest() {
    let server = Server::start();
    everything(&server);
    let bench = shop(&server);
    let stale = bench.backup()["snapshot"].as_str().unwrap().to_owned();
    server.run("RPOP longlist");
    let latest = bench.backup()["snapshot"].as_str().unwrap().to_owned();

    let (code, report) = bench.drill();

    assert_eq!((code, &report["verdict"]), (4, &Value::from("fail")), "{report:#}");
    assert!(report.to_string().contains("the list is whole"), "{report:#}");
    // The newer point is taken away and the older one stands in its place.
    let (stale, latest) = (find(&bench, &stale), find(&bench, &latest));
    fs::remove_file(&latest).unwrap();
    fs::copy(&stale, &latest).unwrap();
    let (code, report) = bench.drill();
    assert_ne!(report["verdict"], "pass", "{code} {report:#}");
}

fn find(bench: &Bench, id: &str) -> std::path::PathBuf {
    let mut found = files_below(&bench.repository().join("snapshots")).into_iter();
    let is_it =
        |path: &std::path::PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with(id);
    found.find(is_it).unwrap()
}

#[test]
fn a_server_killed_while_it_sends_makes_no_snapshot_and_a_rerun_does() {
    let mut server = super::refusing::slow();
    let bench = shop(&server);
    let mut backup = bench.command(&["backup", "shop", "--json"]);
    let backup = backup.stderr(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let backup = backup.spawn().unwrap();
    super::refusing::wait_until_it_sends(&server);
    server.kill();

    let ran = super::bench::Ran::from(backup.wait_with_output().unwrap()).exits(1);

    assert!(ran.stderr.contains("ended the transfer early"), "{}", ran.stderr);
    let snapshots = bench.run(&["snapshots", "shop", "--json"]).exits(0).json();
    assert_eq!(snapshots, Value::Array(Vec::new()));
    let again = Server::start();
    everything(&again);
    let policy = fs::read_to_string(bench.path("policies/shop.toml")).unwrap();
    let moved = policy
        .replace(&server.socket().display().to_string(), &again.socket().display().to_string());
    again.run(&format!("ACL SETUSER backup reset on >{SECRET} +psync +replconf +info"));
    bench.write("policies/shop.toml", moved);
    bench.backup();
    let (code, report) = bench.drill();
    assert_eq!((code, &report["verdict"]), (0, &Value::from("pass")), "{report:#}");
}

#[test]
fn a_user_that_may_not_and_a_server_that_is_away_have_different_hints() {
    let server = Server::start();
    let bench = shop(&server);
    server.run("ACL SETUSER backup -psync");

    let refused = bench.run(&["backup", "shop"]).exits(1).stderr;
    server.run("ACL SETUSER backup off");
    let unknown = bench.run(&["backup", "shop"]).exits(1).stderr;
    drop(server);
    let away = bench.run(&["backup", "shop"]).exits(1).stderr;

    assert!(refused.contains("`lifeboat grants` prints"), "{refused}");
    assert!(unknown.contains("hint: look at `user` and `password`"), "{unknown}");
    assert!(away.contains("hint: is the server up?"), "{away}");
}
