//! What a capture holds: everything, as of one moment, whatever writers do meanwhile.

use std::sync::Arc;
use std::time::Duration;

use lifeboat::source::{Answer, GapKind, Question};

use crate::bench::{Bench, Captured, Kept, SHOP, held, settings};
use crate::servers::mariadb::{Server, Writers};

#[test]
fn dump_and_fingerprint_are_of_one_moment_while_writers_write() {
    let server = Server::start();
    server.sql(SHOP);
    let writers = Writers::start(&server, 3);
    let before = server.count("shop.paid");

    let captured = Captured::of(&server);

    let after = server.count("shop.paid");
    drop(writers);
    drop(server);
    let parts = &captured.capture.fingerprint.parts;
    let rows = parts["shop: table paid"].rows;
    assert!(before < rows && rows < after, "nobody wrote: {before} {rows} {after}");
    let moment = &captured.capture.server.as_ref().unwrap().moment;
    assert!(moment.binlog.as_ref().unwrap().starts_with("bin.0"), "{moment:?}");
    assert!(moment.held_ms < 2500, "commits waited {} ms", moment.held_ms);
    // Each transaction touches both tables: their dumps agree with each other.
    assert!(held(&captured.judged()) > 2000);
}

#[test]
fn what_drills_ask_is_answered_in_the_captured_moment_and_a_slip_costs_no_backup() {
    let server = Server::start();
    server.sql(SHOP);
    let writers = Writers::start(&server, 3);
    let question = |database: Option<&str>, query: &str| Question {
        database: database.map(str::to_owned),
        query: query.to_owned(),
        limit: Duration::from_secs(5),
    };
    let questions = vec![
        question(Some("shop"), "SELECT count(*) FROM paid;"),
        question(None, "SELECT count(*) FROM paid"),
        question(None, "SELECT count(*) FROM gone"),
        question(None, "DROP TABLE paid"),
        question(None, "SELECT 'canary'"),
        question(Some("nowhere"), "SELECT 1"),
        question(None, "SELECT SLEEP(60)"),
    ];
    let bench = Bench::asking(questions);
    let sink = Kept::default();
    let before = server.count("shop.paid");

    let capture = bench.capture(&settings(&server), &sink).unwrap();

    let after = server.count("shop.paid");
    drop(writers);
    let rows = capture.fingerprint.parts["shop: table paid"].rows;
    assert!(before < rows && rows < after, "nobody wrote: {before} {rows} {after}");
    let answers: Vec<&Answer> = capture.answers.iter().map(|asked| &asked.answer).collect();
    let number = Answer::Number(rows.to_string());
    assert_eq!(answers[..2], [&number, &number]);
    let why = |place: usize| match answers[place] {
        Answer::None(why) => why.clone(),
        other => panic!("{other:?}"),
    };
    assert!(why(2).contains("1146"), "{answers:?}");
    assert!(why(3).contains("1064"), "{answers:?}");
    assert_eq!(why(4), "the answer was no number");
    assert!(why(5).contains("1049"), "{answers:?}");
    assert!(why(6).contains("1969"), "{answers:?}");
    assert!(!format!("{answers:?}").contains("canary"));
}

#[test]
fn a_server_without_a_binary_log_is_captured_under_the_lock_alone() {
    let server = Server::start_with(&["--skip-log-bin"]);
    server.sql(SHOP);
    let writers = Writers::start(&server, 2);

    let captured = Captured::of(&server);

    drop(writers);
    drop(server);
    assert_eq!(captured.capture.server.as_ref().unwrap().moment.binlog, None);
    assert!(held(&captured.judged()) > 2000);
}

#[test]
fn everything_of_several_databases_comes_back_whatever_it_is_called() {
    let server = Server::start();
    server.sql(SHOP);
    server.sql(
        "CREATE DATABASE `a/b%20``c'd` COLLATE latin1_german1_ci; USE `a/b%20``c'd`;
         CREATE TABLE `t``1\nx` (`c,1` INT, `näme` VARCHAR(20)
           CHARACTER SET latin1 COLLATE latin1_bin, KEY `k)` (`c,1`));
         CREATE TABLE `empty\n(` (a INT); INSERT INTO `t``1\nx` VALUES (1, 'ä'), (NULL, NULL), (1, '');
         CREATE VIEW across AS SELECT id FROM shop.large;
         USE shop; CREATE VIEW back AS SELECT * FROM `a/b%20``c'd`.across;
         CREATE TABLE kinds (id INT PRIMARY KEY, b BIT(10), g GEOMETRY, j JSON, e ENUM('a','b'),
           s SET('x','y'), bl LONGBLOB, t TIME(3), ts TIMESTAMP(6) NULL, y YEAR, u UUID, i4 INET4,
           i6 INET6, bin BINARY(4), stored INT AS (id + 1) STORED, virtually INT AS (id + 2),
           hidden INT INVISIBLE DEFAULT 5, z INT(6) ZEROFILL, big BIGINT UNSIGNED, fixed FLOAT(7,2));
         INSERT INTO kinds (id, b, g, j, e, s, bl, t, ts, y, u, i4, i6, bin, z, big, fixed) VALUES
           (1, b'1010101', ST_GeomFromText('POINT(1 2)'), '{\"a\": 1}', 'a', 'x,y', 0x00FF270A5C,
            '-12:00:01.123', '2026-01-01 00:00:00.123456', 2026, UUID(), '1.2.3.4', '::1', 'ab', 7,
            18446744073709551615, 1234.56);
         INSERT INTO kinds (id) VALUES (2);
         CREATE TABLE past (a INT) WITH SYSTEM VERSIONING; INSERT INTO past VALUES (1), (2);
         UPDATE past SET a = 3 WHERE a = 2; DELETE FROM past WHERE a = 1;
         CREATE TABLE periods (a INT, since TIMESTAMP(6) GENERATED ALWAYS AS ROW START,
           till TIMESTAMP(6) GENERATED ALWAYS AS ROW END, PERIOD FOR SYSTEM_TIME (since, till))
           WITH SYSTEM VERSIONING; INSERT INTO periods (a) VALUES (1); UPDATE periods SET a = 2;
         CREATE TABLE parted (a INT) PARTITION BY HASH (a) PARTITIONS 3; INSERT INTO parted VALUES (1);
         CREATE TABLE bare (a INT AS (1) VIRTUAL); INSERT INTO bare VALUES ();",
    );
    let all =
        lifeboat::policy::sources::ServerSettings { databases: Vec::new(), ..settings(&server) };

    let captured = Captured::with(&server, &all);

    drop(server);
    let parts = &captured.capture.fingerprint.parts;
    assert_eq!(parts["shop: table past"].rows, 3, "rows that were among them");
    let outcome = captured.judged();
    assert!(held(&outcome) > 2000);
}

#[test]
fn what_a_dump_rounds_and_what_no_transaction_holds_is_told_and_a_drill_of_it_holds() {
    let server = Server::start();
    server.sql(SHOP);
    server.sql(
        "USE shop; CREATE TABLE measures (id INT PRIMARY KEY, weight FLOAT);
         INSERT INTO measures VALUES (1, 4791065.5), (2, 0.1), (3, 1e-30);
         CREATE TABLE sessions (a INT) ENGINE=MEMORY; INSERT INTO sessions VALUES (1);
         CREATE TABLE old (a INT) ENGINE=MyISAM; INSERT INTO old VALUES (1), (2);
         CREATE TABLE busy (a INT) ENGINE=MyISAM;
         CREATE DATABASE forgotten; CREATE TABLE forgotten.t (a INT);
         GRANT SELECT ON forgotten.t TO clerk@'%'; CREATE TABLE gone (a INT);
         GRANT SELECT ON shop.gone TO clerk@'%'; DROP TABLE gone;",
    );
    let facts = Bench::default().probe(&settings(&server)).unwrap();
    let warned = facts.warnings.join("\n");
    for word in ["measures.weight", "sessions", "table old", "table busy", "forgotten"] {
        assert!(warned.contains(word), "{word}: {warned}");
    }
    // Writes of the past are told from those of now by the second.
    std::thread::sleep(Duration::from_millis(3200));
    server.sql("INSERT INTO shop.busy VALUES (1)");

    let captured = Captured::of(&server);

    let gaps = captured.capture.gaps();
    let named = |kind: GapKind| -> Vec<String> {
        gaps.iter().filter(|gap| gap.kind == kind).flat_map(|gap| gap.names.clone()).collect()
    };
    assert_eq!(named(GapKind::RoundedFloats), ["measures.weight"]);
    assert_eq!(named(GapKind::UnheldRows), ["sessions", "shop: table busy"]);
    assert_eq!(named(GapKind::Databases), ["forgotten"]);
    assert_eq!(named(GapKind::GrantsElsewhere), ["`forgotten`.`t`", "`shop`.`gone`"]);
    let parts = &captured.capture.fingerprint.parts;
    assert_eq!(parts["shop: table old"].rows, 2, "nobody wrote it");
    assert!(!parts.contains_key("shop: table busy") && !parts.contains_key("shop: table sessions"));
    drop(server);
    assert!(held(&captured.judged()) > 2000);
}

#[test]
fn a_definition_that_changes_midway_is_noticed_and_everything_is_dumped_again() {
    for change in [
        "ALTER TABLE shop.notes ADD COLUMN more INT DEFAULT 7",
        "DROP PROCEDURE shop.refund",
        "CREATE TABLE shop.another AS SELECT 1 AS a",
        "RENAME TABLE shop.notes TO shop.words",
        "CREATE USER newcomer@localhost",
    ] {
        // With a binary log a definition would wait for the dump to end, and this one for it.
        let server = Arc::new(Server::start_with(&["--skip-log-bin"]));
        server.sql(SHOP);
        let at = server.clone();
        let sink = Kept::with_fault(move || {
            // Tables are told by the second in which they were made.
            std::thread::sleep(Duration::from_millis(1100));
            at.sql(change);
        });

        let capture = Bench::default().capture(&settings(&server), &sink).unwrap();

        let moment = capture.server.as_ref().unwrap().moment.clone();
        assert_eq!((moment.repeats, *sink.beginnings.lock().unwrap()), (1, 1), "{change}");
        let schema = &capture.fingerprint.schema;
        let is_old = schema.contains_key("shop: procedure refund")
            && schema.contains_key("shop: table notes")
            && !schema.contains_key("shop: table another")
            && !schema.contains_key("user `newcomer`@`localhost`");
        assert!(!is_old || !change.starts_with("CREATE"), "{change}: {:?}", schema.keys());
        assert!(sink.file("databases/shop.sql").contains("CREATE TABLE `orders`"));
    }
}

#[test]
fn a_table_that_is_emptied_midway_is_captured_as_of_one_moment_all_the_same() {
    let server = Arc::new(Server::start_with(&["--skip-log-bin"]));
    server.sql(SHOP);
    let at = server.clone();
    let sink = Kept::with_fault(move || drop(at.sql("TRUNCATE TABLE shop.notes")));

    let capture = Bench::default().capture(&settings(&server), &sink).unwrap();

    let repeats = capture.server.as_ref().unwrap().moment.repeats;
    let rows = capture.fingerprint.parts["shop: table notes"].rows;
    let words = sink.file("databases/shop.sql").matches("INSERT INTO `notes`").count();
    assert!([(0, 2, 1), (1, 0, 0)].contains(&(repeats, rows, words)), "{repeats} {rows} {words}");
}

#[test]
fn each_dump_stands_by_itself_and_the_password_shows_nowhere() {
    let server = Server::start();
    server.sql(SHOP);
    server.sql("CREATE DATABASE crm; CREATE TABLE crm.t (a INT)");
    let sink = Kept::default();
    let wanted = lifeboat::policy::sources::ServerSettings {
        databases: vec!["crm".to_owned(), "shop".to_owned()],
        ..settings(&server)
    };
    Bench::default().capture(&wanted, &sink).unwrap();

    let files: Vec<String> = sink.files.lock().unwrap().keys().cloned().collect();

    assert_eq!(files, ["databases/crm.sql", "databases/shop.sql", "grants.sql", "views.sql"]);
    for name in &files[..2] {
        let text = sink.file(name);
        assert!(text.starts_with("/*M!999999\\- enable the sandbox mode */"), "{text:.200}");
        assert_eq!(text.matches("-- Current Database: ").count(), 1, "{name}");
    }
    assert!(sink.file("views.sql").contains("VIEW `large`"));
    assert!(sink.file("views.sql").contains("-- Dump completed"));
    assert!(!sink.file("grants.sql").contains("canary-user-password"));
}
