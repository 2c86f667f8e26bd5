//! What ends a capture: no snapshot comes of it, and the error names the thing.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

use lifeboat::ground::secret::SecretRef;
use lifeboat::policy::Engine;
use lifeboat::source::postgres::Engines;

use crate::bench::{Bench, Kept, settings};
use crate::servers::postgres::{Server, bin};

/// A server whose database `shop` has a table so long that a dump of it is under way for a while,
/// and one after it.
fn shop(major: u32) -> Server {
    let server = Server::start(major);
    server.psql("postgres", "CREATE DATABASE shop");
    server.psql(
        "shop",
        "CREATE TABLE a_long AS SELECT n, repeat(md5(n::text), 10) AS text
           FROM generate_series(1, 60000) n;
         CREATE TABLE b_later AS SELECT n FROM generate_series(1, 100) n;
         CREATE TABLE c_last AS SELECT n FROM generate_series(1, 100) n;
         CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1';
         CREATE ROLE backup LOGIN BYPASSRLS; GRANT pg_read_all_data TO backup;",
    );
    server
}

/// Longer than anything here takes on a busy machine.
const PATIENT: Duration = Duration::from_secs(60);

/// What a capture of `shop` says that is disturbed by `fault` while it dumps, and that gives the
/// server `patience` for each answer.
fn disturbed(patience: Duration, fault: impl FnOnce(&Server) + Send + 'static) -> String {
    let server = std::sync::Arc::new(shop(15));
    let mut wanted = settings(&server);
    (wanted.databases, wanted.user) = (vec!["shop".to_owned()], "backup".to_owned());
    wanted.statement_deadline = patience;
    let at = server.clone();
    let begun = Instant::now();
    let refused = Bench::default().refusal(&wanted, &Kept::with_fault(move || fault(&at)));
    assert!(begun.elapsed() < PATIENT, "{:?}: {refused}", begun.elapsed());
    refused
}

#[test]
fn a_server_that_is_killed_stopped_or_hangs_up_ends_the_capture_in_time() {
    let killed = disturbed(PATIENT, |server| server.signal("QUIT"));
    assert!(killed.contains("shop"), "{killed}");

    let stopped = disturbed(Duration::from_secs(3), |server| {
        for process in server.processes() {
            server.signal_process(process, "STOP");
        }
    });
    assert!(stopped.contains("shop") && stopped.contains(" 3 s"), "{stopped}");

    let hung_up = disturbed(PATIENT, |server| {
        server.psql(
            "postgres",
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE usename = 'backup' AND query ~* 'copy'",
        );
    });
    assert!(hung_up.contains("shop"), "{hung_up}");
}

#[test]
fn a_privilege_that_is_revoked_and_a_schema_that_changes_midway_are_told() {
    let revoked = disturbed(PATIENT, |server| {
        server.psql("shop", "REVOKE pg_read_all_data FROM backup");
    });
    // Fingerprint and dump both stumble over it; whichever comes first tells.
    assert!(revoked.contains("permission denied for table"), "{revoked}");

    let changed = disturbed(PATIENT, |server| {
        server.psql(
            "shop",
            "CREATE OR REPLACE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 2'",
        );
    });
    assert!(changed.contains("changed while it was dumped"), "{changed}");
    assert!(changed.contains("function public.one()"), "{changed}");
}

#[test]
fn tables_that_come_go_and_are_emptied_midway_leave_the_capture_of_its_moment() {
    let server = std::sync::Arc::new(shop(15));
    let mut wanted = settings(&server);
    wanted.databases = vec!["shop".to_owned()];
    let at = server.clone();
    let sink = Kept::with_fault(move || {
        at.psql("shop", "CREATE TABLE d_new AS SELECT 1; INSERT INTO b_later VALUES (0)");
        let emptied = at.psql_as("postgres", "shop", "SET lock_timeout = 100; TRUNCATE c_last");
        assert!(emptied.unwrap_err().contains("lock timeout"));
    });

    let captured = Bench::default().capture(&wanted, &sink).unwrap();

    let parts = &captured.fingerprint.parts;
    assert_eq!(parts["shop: table public.b_later"].rows, 100);
    assert_eq!(parts["shop: table public.c_last"].rows, 100);
    assert!(!parts.contains_key("shop: table public.d_new"), "{:?}", parts.keys());
}

#[test]
fn a_table_that_somebody_keeps_locked_is_named() {
    let server = shop(15);
    let mut holder = std::process::Command::new(bin(15).join("psql"))
        .args(["-X", "-U", "postgres", "-d", "shop", "-h"])
        .arg(server.socket())
        .args(["-c", "BEGIN; LOCK TABLE b_later; SELECT pg_sleep(60)"])
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let held = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted";
    while server.psql("shop", held).trim() == "0" {}
    let mut wanted = settings(&server);
    wanted.lock_timeout = Duration::from_millis(300);

    let refused = Bench::default().refusal(&wanted, &Kept::default());

    holder.kill().unwrap();
    holder.wait().unwrap();
    assert!(refused.contains("b_later") && refused.contains("lock timeout"), "{refused}");
}

/// A folder with the programs of 17, but a `name` that runs `script` instead.
fn fake(folder: &Path, name: &str, script: &str) -> Engines {
    for program in fs::read_dir(bin(17)).unwrap() {
        let program = program.unwrap();
        if program.file_name() != name {
            symlink(program.path(), folder.join(program.file_name())).unwrap();
        }
    }
    let fake = folder.join(name);
    let real = bin(17).join(name);
    fs::write(&fake, format!("#!/bin/bash\nreal={}\n{script}\n", real.display())).unwrap();
    fs::set_permissions(&fake, fs::Permissions::from_mode(0o755)).unwrap();
    Engines::of(&[Engine::Postgres { major: 17, path: folder.to_owned() }])
}

#[test]
fn a_pg_dump_that_lies_and_exits_0_is_found_out() {
    let server = shop(17);
    server.psql(
        "shop",
        "SELECT lo_from_bytea(0, 'x'); CREATE SEQUENCE numbers; SELECT nextval('numbers')",
    );
    let cases = [
        (r#"exec "$real" --exclude-table-data=c_last "$@""#, "table public.c_last"),
        (r#"exec "$real" --exclude-table=c_last "$@""#, "table public.c_last"),
        (r#"exec "$real" --schema-only "$@""#, "table public.a_long"),
        (r#"exec "$real" --no-large-objects "$@""#, "large objects"),
        (r#"exec "$real" --exclude-table=numbers "$@""#, "sequence public.numbers"),
        (r#""$real" "$@" | head -c 3000000; exit 0"#, "a_long"),
        (r#""$real" "$@" | head -c -20; exit 0"#, "not whole"),
        (r#"exec "$real" --compress=gzip:9 "$@" --compress=gzip:9"#, "compressed"),
        (r#"exec "$real" "$@" --format=plain"#, "no archive"),
        ("exit 0", "not whole"),
        (r#""$real" "$@"; echo broken pipe of fate >&2; exit 1"#, "broken pipe of fate"),
        ("sleep 60", "said nothing"),
    ];
    for (script, said) in cases {
        let folder = tempfile::tempdir().unwrap();
        let mut bench = Bench::default();
        bench.engines = fake(folder.path(), "pg_dump", script);
        let mut wanted = settings(&server);
        wanted.databases = vec!["shop".to_owned()];
        if script.starts_with("sleep") {
            wanted.statement_deadline = Duration::from_secs(2);
        }

        let refused = bench.refusal(&wanted, &Kept::default());

        assert!(refused.contains(said), "{script}: {refused}");
    }
}

#[test]
fn a_pg_dumpall_that_is_cut_short_or_says_nothing_is_found_out() {
    let server = shop(17);
    let cases = [
        (r#""$real" "$@" | head -c -40; exit 0"#, "ends before its end"),
        ("exit 0", "ends before its end"),
        ("echo strings of fate >&2; exit 1", "strings of fate"),
        ("sleep 60", "killed after 2 s"),
    ];
    for (script, said) in cases {
        let folder = tempfile::tempdir().unwrap();
        let mut bench = Bench::default();
        bench.engines = fake(folder.path(), "pg_dumpall", script);
        let mut wanted = settings(&server);
        if script.starts_with("sleep") {
            wanted.statement_deadline = Duration::from_secs(2);
        }

        let refused = bench.refusal(&wanted, &Kept::default());

        assert!(refused.contains("globals.sql") && refused.contains(said), "{script}: {refused}");
    }
}

#[test]
fn a_dump_that_saw_another_moment_is_found_out() {
    let server = shop(17);
    server.psql("shop", "CREATE SEQUENCE numbers; SELECT nextval('numbers')");
    let cases = [
        // Another snapshot: the table has a row more in it.
        (
            r#"psql -X -q -c 'INSERT INTO c_last VALUES (0)'; exec "$real" "${@/--snapshot=*/--no-comments}""#,
            "101 rows of table public.c_last",
        ),
        (
            r#"psql -X -q -c "CREATE OR REPLACE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 3'" >&2; exec "$real" "$@""#,
            "function public.one()",
        ),
        (
            r#"psql -X -q -c "SELECT nextval('numbers')" >&2; "$real" "$@"; psql -X -q -c "SELECT setval('numbers', 1)" >&2"#,
            "numbers",
        ),
    ];
    for (script, said) in cases {
        let folder = tempfile::tempdir().unwrap();
        let mut bench = Bench::default();
        bench.engines = fake(folder.path(), "pg_dump", script);
        let mut wanted = settings(&server);
        wanted.databases = vec!["shop".to_owned()];

        let refused = bench.refusal(&wanted, &Kept::default());

        assert!(refused.contains(said), "{script}: {refused}");
    }
}

#[test]
fn a_password_that_is_wrong_or_missing_is_told_and_a_right_one_shows_nowhere() {
    const CANARY: &str = "canary:of\\a pass'word";
    let server = std::sync::Arc::new(shop(15));
    server.psql("postgres", "ALTER ROLE backup PASSWORD 'canary:of\\a pass''word'");
    server.allow("local all backup scram-sha-256\nlocal all all trust\n");
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("password");
    let mut wanted = settings(&server);
    (wanted.databases, wanted.user) = (vec!["shop".to_owned()], "backup".to_owned());
    let missing = Bench::default().refusal(&wanted, &Kept::default());
    assert!(missing.contains("cannot log in"), "{missing}");
    fs::write(&secret, "canary-wrong").unwrap();
    wanted.password = Some(SecretRef::File(secret.clone()));
    let wrong = Bench::default().refusal(&wanted, &Kept::default());
    assert!(wrong.contains("password authentication failed"), "{wrong}");
    // Nor a line number of the server's own source text.
    assert!(wrong.ends_with("(SQLSTATE 28P01)"), "{wrong}");
    assert!(!wrong.contains("canary"), "{wrong}");

    fs::write(&secret, CANARY).unwrap();
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let into = seen.clone();
    let sink = Kept::with_fault(move || into.lock().unwrap().extend(everything_visible()));
    let captured = Bench::default().capture(&wanted, &sink).unwrap();

    let seen = seen.lock().unwrap();
    assert!(seen.iter().any(|text| text.contains("pg_dump\0")), "no pg_dump was seen");
    assert!(!seen.iter().any(|text| text.contains("canary")), "the password is visible");
    let told = serde_json::to_string(&captured).unwrap();
    assert!(!told.contains("canary"), "{told}");
    assert!(!server.log().contains("canary:of"), "{}", server.log());
}

/// Arguments and environment of every process but this one.
fn everything_visible() -> Vec<String> {
    let processes = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse::<u32>().ok());
    let others = processes.filter(|pid| *pid != std::process::id());
    others
        .flat_map(|pid| ["cmdline", "environ"].map(|what| format!("/proc/{pid}/{what}")))
        .filter_map(|path| Some(String::from_utf8_lossy(&fs::read(path).ok()?).into_owned()))
        .collect()
}

#[test]
fn an_interrupted_capture_ends_at_once_and_leaves_no_program_behind() {
    let server = shop(15);
    let bench = Bench::default();
    let interrupted = bench.interrupted.clone();
    let sink = Kept::with_fault(move || {
        interrupted.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    let mut wanted = settings(&server);
    wanted.databases = vec!["shop".to_owned()];

    let refused = bench.refusal(&wanted, &sink);

    assert!(refused.contains("interrupted"), "{refused}");
    let socket = server.socket().to_str().unwrap().to_owned();
    let left = everything_visible().into_iter().filter(|text| text.starts_with("PATH=/usr/bin"));
    let left: Vec<_> = left.filter(|text| text.contains(&format!("PGHOST={socket}"))).collect();
    assert!(left.is_empty(), "{left:?}");
}
