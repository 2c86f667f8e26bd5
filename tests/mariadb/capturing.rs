//! What a capture holds: everything, as of one moment, whatever writers do meanwhile.

use std::sync::Arc;
use std::time::Duration;

use lifeboat::source::{Answer, GapKind, Question};

use crate::bench::{Bench, Captured, Kept, held, settings, start, start_with};
use crate::engine::{EVERYTHING, HEAD, ROWS, SHOP, SLOW, TOO_SLOW};
use crate::servers::mariadb::Writers;

#[test]
fn dump_and_fingerprint_are_of_one_moment_while_writers_write() {
    let server = start();
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
    let server = start();
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
        question(None, SLOW),
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
    assert!(why(6).contains(TOO_SLOW), "{answers:?}");
    assert!(!format!("{answers:?}").contains("canary"));
}

#[test]
fn a_server_without_a_binary_log_is_captured_under_the_lock_alone() {
    let server = start_with(&["--skip-log-bin"]);
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
    let server = start();
    server.sql(SHOP);
    server.sql(EVERYTHING);
    let all =
        lifeboat::policy::sources::ServerSettings { databases: Vec::new(), ..settings(&server) };

    let captured = Captured::with(&server, &all);

    drop(server);
    let parts = &captured.capture.fingerprint.parts;
    for (table, rows) in ROWS {
        assert_eq!(parts[*table].rows, *rows, "{table}");
    }
    let outcome = captured.judged();
    assert!(held(&outcome) > 2000);
}

#[test]
fn what_a_dump_rounds_and_what_no_transaction_holds_is_told_and_a_drill_of_it_holds() {
    let server = start();
    server.sql(SHOP);
    server.sql(
        "USE shop; CREATE TABLE measures (id INT PRIMARY KEY, weight FLOAT);
         INSERT INTO measures VALUES (1, 4791065.5), (2, 0.1), (3, 1e-30);
         CREATE TABLE sessions (a INT) ENGINE=MEMORY; INSERT INTO sessions VALUES (1);
         CREATE TABLE old (a INT) ENGINE=MyISAM; INSERT INTO old VALUES (1), (2);
         CREATE TABLE busy (a INT) ENGINE=MyISAM;
         CREATE TABLE whole (a INT) ENGINE=MERGE UNION=(old);
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
    assert_eq!(named(GapKind::ForeignRows), ["whole"], "the dumping program skips it");
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
        let server = Arc::new(start_with(&["--skip-log-bin"]));
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
    let server = Arc::new(start_with(&["--skip-log-bin"]));
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
    let server = start();
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
        assert!(text.starts_with(HEAD), "{text:.200}");
        assert_eq!(text.matches("-- Current Database: ").count(), 1, "{name}");
    }
    assert!(sink.file("views.sql").contains("VIEW `large`"));
    assert!(sink.file("views.sql").contains("-- Dump completed"));
    assert!(!sink.file("grants.sql").contains("canary-user-password"));
}
