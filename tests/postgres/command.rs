//! The whole way through the command line: backed up, restored, refused.

use std::fs;
use std::process::{Command, Stdio};

use crate::fingerprint::EVERYTHING;
use crate::household::{Bench, PASSWORD, Ran};
use crate::servers::postgres::{Server, bin};

const CANARY: &str = "canary-of-the-database";

/// A household whose policy has a database server, too, whose login has exactly the grants that
/// `lifeboat grants` prints, and a password.
fn household() -> (Bench, Server) {
    let server = Server::start(15);
    server.psql("postgres", "CREATE DATABASE shop");
    server.psql("shop", "CREATE TABLE t AS SELECT n FROM generate_series(1, 50000) n");
    let bench = Bench::new();
    bench.write("keys/database", format!("{CANARY}\n"));
    let policy = fs::read_to_string(bench.path("policies/shop.toml")).unwrap();
    let host = server.socket().display();
    bench.write(
        "policies/shop.toml",
        format!(
            "{policy}
[[source]]
name = \"ledger\"
kind = \"postgres\"
host = \"{host}\"
user = \"backup\"
password = {{ file = \"keys/database\" }}
databases = [\"shop\"]
"
        ),
    );
    let grants = bench.run(&["grants", "shop", "--json"]).exits(0).json();
    let statements = grants["sources"][2]["statements"].as_array().unwrap().iter();
    let statements: Vec<&str> = statements.map(|one| one.as_str().unwrap()).collect();
    server.psql("postgres", &statements.join("\n"));
    server.psql("postgres", &format!("ALTER ROLE backup PASSWORD '{CANARY}'"));
    server.allow("local all backup scram-sha-256\nlocal all all trust\n");
    (bench, server)
}

#[test]
fn a_servers_dump_is_restored_as_a_file_and_its_password_is_nowhere() {
    let (bench, server) = household();
    let trace = bench.path("trace");
    let mut said = String::new();
    for arguments in [
        &["validate"][..],
        &["doctor"],
        &["backup", "shop", "-vv"],
        &["verify", "shop"],
        &["restore", "shop", "--to", "back", "-vv"],
        &["ledger", "log", "shop"],
        &["ledger", "verify", "shop"],
    ] {
        let ran = traced(&bench, arguments, &trace).exits(0);
        said += &(ran.stdout + &ran.stderr);
    }
    assert!(said.contains("PostgreSQL 15."), "{said}");

    let dump = bench.path("back/ledger/databases/shop.dump");
    let list = Command::new(bin(15).join("pg_restore")).arg("-l").arg(&dump).output().unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    assert!(list.contains("TABLE DATA public t"), "{list}");
    let globals = fs::read_to_string(bench.path("back/ledger/globals.sql")).unwrap();
    assert!(globals.contains("CREATE ROLE backup;"), "{globals}");
    let programs = fs::read_to_string(&trace).unwrap();
    assert!(programs.contains("/pg_dump\"") && programs.contains("/pg_dumpall\""), "{programs}");
    let visible = [("argv and environment", programs), ("output", said), ("log", server.log())];
    for (place, text) in visible {
        assert!(!text.contains(CANARY), "the password stands in {place}");
    }
    for file in ["state", "store", "back", "scratch"].iter().flat_map(|name| bench.files(name)) {
        let bytes = fs::read(&file).unwrap_or_default();
        let found = bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes());
        assert!(!found, "the password stands in {}", file.display());
    }
}

#[test]
fn a_busy_server_with_one_of_everything_is_drilled_to_a_pass() {
    let (bench, server) = household();
    server.psql("shop", EVERYTHING);
    let objects = "SELECT format('GRANT SELECT ON LARGE OBJECT %s TO backup;', oid)
                   FROM pg_largeobject_metadata";
    server.psql("shop", &server.psql("shop", objects));
    server.run("pgbench", &["-i", "-q", "-s", "1", "shop"]);
    let mut writers = Command::new(bin(15).join("pgbench"))
        .args(["-n", "-c", "2", "-T", "120", "-U", "postgres", "-h"])
        .arg(server.socket())
        .arg("shop")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let check = "
[[check]]
name = \"tellers are there\"
source = \"ledger\"
query = \"SELECT count(*) FROM pgbench_tellers\"
expect = \"= 10\"
";
    let drill = fs::read_to_string(bench.path("drills/weekly.toml")).unwrap();
    bench.write("drills/weekly.toml", format!("{drill}{check}"));
    let written = || server.psql("shop", "SELECT count(*) FROM pgbench_history");
    while written().trim() == "0" {}

    bench.run(&["backup", "shop"]).exits(0);
    let then = written();
    while written() == then {}
    writers.kill().unwrap();
    writers.wait().unwrap();
    let drilled = bench.run(&["drill", "shop", "--json"]).exits(0).json();

    assert_eq!(drilled["verdict"], "pass", "{drilled:#}");
    assert_eq!(drilled["parts"]["intact"], "yes", "{drilled:#}");
}

#[test]
fn a_run_that_cannot_capture_a_server_publishes_nothing_of_the_other_sources_either() {
    let (bench, server) = household();
    bench.run(&["backup", "shop"]).exits(0);
    let before = bench.run(&["snapshots", "shop", "--json"]).exits(0).json();
    server
        .psql("shop", "CREATE TABLE hidden (a int); ALTER TABLE hidden ENABLE ROW LEVEL SECURITY");
    server.psql("postgres", "ALTER ROLE backup NOBYPASSRLS");

    let refused = bench.run(&["backup", "shop"]).exits(1);

    assert!(refused.stderr.contains("public.hidden"), "{}", refused.stderr);
    assert!(refused.stderr.contains("ALTER ROLE \"backup\" BYPASSRLS;"), "{}", refused.stderr);
    bench.write("keys/database", "canary-wrong\n".to_owned());
    let refused = bench.run(&["backup", "shop"]).exits(1);
    assert!(refused.stderr.contains("password authentication failed"), "{}", refused.stderr);
    assert!(!refused.stderr.contains("canary"), "{}", refused.stderr);
    let doctor = bench.run(&["doctor"]).exits(1);
    assert!(doctor.stdout.contains("cannot log in"), "{}", doctor.stdout);
    assert_eq!(bench.run(&["snapshots", "shop", "--json"]).exits(0).json(), before);
    let log = bench.run(&["ledger", "log", "shop"]).exits(0).stdout;
    assert_eq!(log.matches("aborted").count(), 2, "{log}");
    assert!(!log.contains("canary") && !log.contains(PASSWORD), "{log}");
}

/// Runs the binary; every program that it starts, with arguments and environment, goes to `trace`.
fn traced(bench: &Bench, arguments: &[&str], trace: &std::path::Path) -> Ran {
    let inner = bench.command(arguments);
    Command::new("strace")
        .args(["-f", "-s", "4096", "-v", "-e", "trace=execve", "-A", "-o"])
        .arg(trace)
        .arg(inner.get_program())
        .args(inner.get_args())
        .current_dir(bench.path("."))
        .output()
        .unwrap()
        .into()
}
