//! What ends a capture: no snapshot comes of it, the error names the thing, and nobody waits for us.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use lifeboat::policy::sources::ServerSettings;

use crate::bench::{Bench, Kept, dumper, dumper_is, settings, start};
use crate::engine::{self, DUMPER, SHOP};
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
    server.sql("SET lock_wait_timeout = 5; INSERT INTO shop.paid (total) VALUES (1)");
    assert!(begun.elapsed() < Duration::from_secs(5), "a writer waited {:?}", begun.elapsed());
}

#[test]
fn a_server_that_is_killed_or_hangs_up_midway_leaves_no_capture() {
    let server = Arc::new(shop());
    let at = server.clone();
    let killed = Kept::with_fault(move || at.signal("KILL"));
    let refused = Bench::default().refusal(&settings(&server), &killed);
    assert!(refused.contains(server.socket().to_str().unwrap()), "{refused}");

    let server = Arc::new(shop());
    server.sql(
        "USE shop; INSERT INTO orders (total, note)
           SELECT a.id, REPEAT('long', 50) FROM orders a JOIN paid b ON b.id <= 20",
    );
    let at = server.clone();
    let hung_up = Kept::with_fault(move || {
        let sessions = "SELECT GROUP_CONCAT('KILL ', id SEPARATOR '; ')
           FROM information_schema.PROCESSLIST WHERE id <> CONNECTION_ID() AND command <> 'Daemon'";
        let kill = at.sql(sessions);
        at.sql(kill.trim());
    });
    let refused = Bench::default().refusal(&settings(&server), &hung_up);
    assert!(refused.contains("lost") || refused.contains("killed"), "{refused}");
    assert_released(&server);
}

#[test]
fn a_lock_that_is_not_granted_in_time_is_told_and_leaves_no_capture() {
    let server = shop();
    let mut holder = server.client("root").spawn().unwrap();
    let mut pipe = holder.stdin.take().unwrap();
    std::io::Write::write_all(&mut pipe, engine::LOCKS.as_bytes()).unwrap();
    let stage = "SELECT COUNT(*) FROM information_schema.PROCESSLIST
      WHERE command = 'Sleep' AND id <> CONNECTION_ID()";
    while server.sql(stage).trim() == "0" {}
    let (sink, begun) = (Kept::default(), Instant::now());

    let refused = Bench::default().refusal(&settings(&server), &sink);

    assert!(refused.contains("was not granted in time"), "{refused}");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert!(sink.files.lock().unwrap().is_empty());
    drop(pipe);
    holder.wait().unwrap();
    assert_released(&server);
}

#[test]
fn a_dump_that_does_not_begin_in_time_is_given_up_and_writers_go_on() {
    let server = Arc::new(shop());
    let folder = tempfile::tempdir().unwrap();
    dumper_is(folder.path(), "#!/bin/sh\nexec sleep 60\n");
    let at = server.clone();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let writer = std::thread::spawn(move || {
        let mut longest = Duration::ZERO;
        while stopped.try_recv().is_err() {
            let begun = Instant::now();
            at.sql("INSERT INTO shop.paid (total) VALUES (1)");
            longest = longest.max(begun.elapsed());
        }
        longest
    });

    let refused = Bench::with_programs(folder.path()).refusal(&settings(&server), &Kept::default());

    stop.send(()).unwrap();
    let longest = writer.join().unwrap();
    assert!(refused.contains("commits would have to wait longer than 2 s"), "{refused}");
    assert!(longest > Duration::from_secs(1), "nobody was ever held: {longest:?}");
    assert!(longest < Duration::from_secs(4), "a writer waited {longest:?}");
    assert_released(&server);
}

#[test]
fn a_client_that_lies_and_exits_0_is_found_out() {
    // What it says while it begins is kept; its output is spoilt on the way.
    for (lie, told) in [
        ("head -c 20000; cat >/dev/null", "the dump ends before its end"),
        ("grep -av '^-- Dump completed'", "the dump ends before its end"),
        (
            &*format!("sed '{}'", engine::WITHOUT_A_ROW),
            "it has 1999 rows of shop: table orders, the server 2000",
        ),
        ("sed 's/`notes`/`toes`/'", "it lacks shop: table notes"),
        (&*format!("sed '{}'", engine::OTHER_POSITION), "it is of another moment"),
        ("cat; exit 3", &*format!("{DUMPER} ended with exit status: 3")),
        (
            "cat; echo \"Error: 'SELECT denied' when trying to dump some of it\" >&2",
            &*format!("{DUMPER} complained: Error: 'SELECT denied' when trying to dump some of it"),
        ),
        ("cat >/dev/null", "the dump ends before its end"),
    ] {
        let server = shop();
        let folder = tempfile::tempdir().unwrap();
        let script = format!("#!/bin/sh\n{} \"$@\" | ({lie})\n", dumper().display());
        dumper_is(folder.path(), &script);

        let refused =
            Bench::with_programs(folder.path()).refusal(&settings(&server), &Kept::default());

        assert!(refused.contains(told), "{lie}: {refused}");
        assert_released(&server);
    }
}

#[test]
fn a_login_that_does_not_see_everything_is_refused_with_what_mends_it() {
    let server = shop();
    server.sql("CREATE USER backup@localhost; GRANT SELECT ON shop.* TO backup@localhost");
    let wanted = ServerSettings { user: "backup".to_owned(), ..settings(&server) };

    let refused = Bench::default().refusal(&wanted, &Kept::default());

    assert!(refused.contains(engine::LACKS), "{refused}");
    let (_, remedy) = refused.split_once("An administrator mends it: ").unwrap();
    server.sql(remedy);
    let capture = Bench::default().capture(&wanted, &Kept::default()).unwrap();
    assert!(capture.fingerprint.schema.contains_key("shop: trigger stamped"));
}

#[test]
fn what_grants_prints_is_enough_and_no_more_than_reading() {
    let server = shop();
    let wanted = ServerSettings { user: "reader".to_owned(), ..settings(&server) };
    let statements = lifeboat::source::Source::grants(&Bench::default().source(&wanted)).statements;
    // Nobody here is called so.
    server.sql(&statements.join("\n").replace(engine::BY_SOCKET, ""));

    let capture = Bench::default().capture(&wanted, &Kept::default()).unwrap();

    assert!(capture.fingerprint.parts.contains_key("shop: table orders"));
    for forbidden in [
        "INSERT INTO shop.paid (total) VALUES (1)",
        "DROP TABLE shop.paid",
        "CREATE USER more@localhost",
        engine::RENAMES_ACCOUNTS,
    ] {
        assert!(server.sql_as("reader", forbidden).is_err(), "{forbidden}");
    }
}

#[test]
fn a_view_that_lost_its_table_or_function_is_foreseen_and_named_in_one_sentence() {
    let server = shop();
    server.sql(
        "USE shop; CREATE TABLE gone (a INT); CREATE VIEW orphan AS SELECT a FROM gone;
         DROP TABLE gone; CREATE VIEW legacy AS SELECT doubled(id) FROM paid;
         DROP FUNCTION doubled; CREATE USER reader@localhost",
    );
    let wanted = ServerSettings { user: "reader".to_owned(), ..settings(&server) };
    let statements = lifeboat::source::Source::grants(&Bench::default().source(&wanted)).statements;
    server.sql(&statements.join("\n").replace(engine::BY_SOCKET, ""));

    let refused = Bench::default().refusal(&wanted, &Kept::default());

    for told in ["shop.orphan (", "shop.legacy (", "DROP VIEW"] {
        assert!(refused.contains(told), "{told}: {refused}");
    }
    assert!(!refused.contains('\n') && !refused.contains("Connecting"), "{refused}");
    let foreseen = Bench::default().probe(&wanted).unwrap_err();
    assert_eq!(lifeboat::ground::causes::chain(&foreseen), refused);
    server.sql("DROP VIEW shop.orphan; DROP VIEW shop.legacy");
    Bench::default().capture(&wanted, &Kept::default()).unwrap();
}

#[test]
fn a_database_that_is_not_there_is_said_to_be_missing_and_not_forbidden() {
    let server = shop();
    server.sql("CREATE USER reader@localhost");
    let mut wanted = ServerSettings { user: "reader".to_owned(), ..settings(&server) };
    let statements = lifeboat::source::Source::grants(&Bench::default().source(&wanted)).statements;
    server.sql(&statements.join("\n").replace(engine::BY_SOCKET, ""));
    wanted.databases = vec!["shpo".to_owned()];

    let refused = Bench::default().refusal(&wanted, &Kept::default());

    assert!(refused.contains("there is no database shpo; the login sees: shop"), "{refused}");
}

#[test]
fn an_interrupt_ends_a_capture_and_what_it_started() {
    let server = Arc::new(shop());
    let bench = Bench::default();
    let interrupted = bench.interrupted.clone();
    let sink = Kept::with_fault(move || interrupted.store(true, Ordering::Relaxed));

    let refused = bench.refusal(&settings(&server), &sink);

    assert!(refused.contains("interrupted"), "{refused}");
    assert_released(&server);
}
