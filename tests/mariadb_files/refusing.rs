//! What ends a capture of files: no snapshot comes of it, the error names the thing, and nobody waits.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::bench::{Bench, Kept, start_with};
use crate::capturing::{all, copier_is, start};
use crate::engine::{self, SHOP};
use crate::servers::mariadb::Server;

fn shop() -> Server {
    let server = start();
    server.sql(SHOP);
    server
}

/// Fails where a write waits for anybody.
#[track_caller]
fn assert_released(server: &Server) {
    let begun = Instant::now();
    server.sql(
        "SET lock_wait_timeout = 5; INSERT INTO shop.paid (total) VALUES (1);
         ALTER TABLE shop.paid COMMENT 'nobody waits'",
    );
    assert!(begun.elapsed() < Duration::from_secs(5), "a writer waited {:?}", begun.elapsed());
}

#[test]
fn a_server_whose_log_does_not_tell_everything_is_refused_with_what_to_set() {
    let refused = |server: &Server| Bench::by_files().refusal(&all(server), &Kept::default());
    let silent = start_with(&["--skip-log-bin"]);
    silent.sql("CREATE DATABASE shop");
    let told = refused(&silent);
    assert!(told.contains("set log_bin and binlog_format=ROW"), "{told}");
    let probed = Bench::by_files().probe(&all(&silent)).unwrap_err().to_string();
    assert!(probed.contains("it writes no binary log"), "doctor: {probed}");
    drop(silent);

    let server = start_with(&["--log-bin=bin", "--binlog-format=ROW", "--binlog-ignore-db=crm"]);
    server.sql(SHOP);
    let told = refused(&server);
    assert!(told.contains("leaves databases out (binlog-do-db"), "{told}");
    server.sql("SET GLOBAL binlog_format = MIXED");
    let told = refused(&server);
    assert!(
        told.contains("its binlog_format is MIXED") && told.contains("binlog_format=ROW"),
        "{told}"
    );
}

#[test]
fn tables_that_stand_elsewhere_are_refused_by_name() {
    let (server, elsewhere) = (shop(), tempfile::tempdir().unwrap());
    let folder = elsewhere.path().display();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    fs::set_permissions(elsewhere.path(), open).unwrap();
    server.sql(&format!("CREATE TABLE shop.far (a INT) DATA DIRECTORY='{folder}'"));

    let told = Bench::by_files().refusal(&all(&server), &Kept::default());

    assert!(told.contains("outside of its data folder") && told.contains("shop/far"), "{told}");
}

#[test]
fn what_copies_is_missing_and_named_with_its_package() {
    let (server, folder) = (shop(), tempfile::tempdir().unwrap());
    copier_is(folder.path(), "exit 0");
    fs::remove_file(folder.path().join("bin/mariadb-backup")).unwrap();

    let told = Bench::by_files_with(folder.path()).refusal(&all(&server), &Kept::default());

    assert!(told.contains("install mariadb-backup"), "{told}");
}

#[test]
fn a_server_that_is_killed_midway_leaves_no_capture() {
    let server = Arc::new(shop());
    let at = server.clone();
    let killed = Kept::with_fault(move || at.signal("KILL"));

    let told = Bench::by_files().refusal(&all(&server), &killed);

    assert!(told.contains("the copy of the server's files"), "{told}");
}

#[test]
fn a_lock_that_is_not_granted_in_time_ends_the_copy_and_nobody_waits() {
    let server = shop();
    let mut holder = server.client("root").spawn().unwrap();
    let mut pipe = holder.stdin.take().unwrap();
    std::io::Write::write_all(&mut pipe, engine::LOCKS.as_bytes()).unwrap();
    let stage = "SELECT COUNT(*) FROM information_schema.PROCESSLIST
      WHERE command = 'Sleep' AND id <> CONNECTION_ID()";
    while server.sql(stage).trim() == "0" {}
    let begun = Instant::now();

    let told = Bench::by_files().refusal(&all(&server), &Kept::default());

    assert!(told.contains("was not granted in time"), "{told}");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    drop(pipe);
    holder.wait().unwrap();
    assert_released(&server);
}

#[test]
fn a_capture_that_is_interrupted_midway_ends_what_copies() {
    let server = Arc::new(shop());
    let bench = Bench::by_files();
    let interrupted = bench.interrupted.clone();
    let sink = Kept::with_fault(move || interrupted.store(true, Ordering::Relaxed));

    let told = bench.refusal(&all(&server), &sink);

    assert!(told.contains("interrupted"), "{told}");
    assert_released(&server);
}

/// Leaves a file out of a stream, or its last chunk.
const WITHOUT: &str = r#"perl -e '
my ($lost, $kind) = @ARGV; binmode STDIN; binmode STDOUT; local $/;
my ($all, $at) = (<STDIN>, 0);
while ($at < length $all) {
  my ($type, $length) = (substr($all, $at + 9, 1), unpack("V", substr($all, $at + 10, 4)));
  my ($path, $size) = (substr($all, $at + 14, $length), 14 + $length);
  $size += 20 + unpack("Q<", substr($all, $at + $size, 8)) if $type eq "P";
  print substr($all, $at, $size) unless $path eq $lost && ($kind eq "*" || $kind eq $type);
  $at += $size;
}'"#;

#[test]
fn a_program_that_lies_and_exits_0_is_found_out() {
    let server = shop();
    let without = |path: &str, kind: &str| format!("real \"$@\" | {WITHOUT} '{path}' '{kind}'");
    for (lie, told) in [
        ("exit 0".to_owned(), "it ended without saying that all went well"),
        ("echo 'completed OK!' >&2".to_owned(), "it lacks xtrabackup_checkpoints"),
        (
            "real \"$@\" | head -c 300000; echo 'completed OK!' >&2; exit 0".to_owned(),
            "within a chunk",
        ),
        ("real \"$@\" 2>/dev/null".to_owned(), "it ended without saying that all went well"),
        ("real \"$@\"; exit 3".to_owned(), "ended with exit status: 3"),
        ("real \"$@\" | sed 's/order/Order/'".to_owned(), "do not fit their checksum"),
        (without("ib_logfile0", "E"), "it ends in the midst of ib_logfile0"),
        (without("ib_logfile0", "*"), "it lacks ib_logfile0"),
        (without("xtrabackup_binlog_info", "*"), "it lacks xtrabackup_binlog_info"),
        (without("mysql/gtid_slave_pos.ibd", "*"), "it lacks mysql/gtid_slave_pos.ibd"),
        ("real \"$@\" | sed 's/bin.000001/bin.000009/'".to_owned(), "do not fit their checksum"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        copier_is(folder.path(), &lie);

        let refused = Bench::by_files_with(folder.path()).refusal(&all(&server), &Kept::default());

        assert!(refused.contains(told), "{lie}: {refused}");
    }
    assert_released(&server);
}

#[test]
fn a_log_that_was_purged_meanwhile_is_told() {
    let (server, folder) = (shop(), tempfile::tempdir().unwrap());
    let client =
        format!("mariadb --no-defaults --user=root --socket={}", server.socket().display());
    let purge = "FLUSH BINARY LOGS; FLUSH BINARY LOGS; PURGE BINARY LOGS TO \"bin.000003\"";
    copier_is(
        folder.path(),
        &format!("real \"$@\" || exit $?\n{client} -e '{purge}'; echo 'completed OK!' >&2"),
    );

    let told = Bench::by_files_with(folder.path()).refusal(&all(&server), &Kept::default());

    assert!(told.contains("does not list bin.000001 among its binary logs"), "{told}");
}
