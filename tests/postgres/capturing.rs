//! What a capture holds: everything, of one moment, and nothing that was hidden.

use std::process::{Command, Stdio};
use std::time::Duration;

use lifeboat::source::postgres::{fingerprint, schema};
use lifeboat::source::{Answer, Capture, Fingerprint, Kind, Question};
use tokio::runtime::Runtime;

use crate::bench::{Bench, Kept, settings};
use crate::fingerprint::{EVERYTHING, differences};
use crate::servers::postgres::{SUPERUSER, Server, bin};

/// Restores what was captured on another server of the same version.
pub fn restore(capture: &Capture, sink: &Kept) -> Server {
    let cluster = capture.cluster.as_ref().unwrap();
    let copy = Server::start(cluster.major);
    let globals = String::from_utf8(sink.file("globals.sql")).unwrap();
    copy.psql("postgres", &globals.replace("CREATE ROLE postgres;", ""));
    for database in &cluster.databases {
        let file = lifeboat::source::postgres::file_of(&database.name);
        let path = copy.socket().join("dump");
        std::fs::write(&path, sink.file(&file)).unwrap();
        let path = path.to_str().unwrap();
        let made = if database.name == "postgres" { &["--clean"][..] } else { &[] };
        let into = ["--exit-on-error", "--create", "-d", "template1", path];
        copy.run("pg_restore", &[made, &into].concat());
    }
    copy
}

/// The fingerprint of `databases` and of what they share.
pub fn of(server: &Server, databases: &[&str]) -> Fingerprint {
    let runtime = Runtime::new().unwrap();
    let _inside = runtime.enter();
    let mut all = Fingerprint::empty(Kind::Postgres);
    for database in databases {
        let mut session = server.session(database);
        let found = fingerprint(&mut session).unwrap();
        all.parts.extend(found.parts);
        all.schema.extend(found.schema);
        all.schema.extend(schema::of_cluster(&mut session).unwrap());
    }
    all
}

#[test]
fn a_busy_server_is_captured_as_of_one_moment() {
    let server = Server::start(15);
    server.psql("postgres", "CREATE DATABASE shop");
    server.psql("shop", EVERYTHING);
    server.run("pgbench", &["-i", "-q", "-s", "2", "shop"]);
    let mut writers = Command::new(bin(15).join("pgbench"))
        .args(["-n", "-c", "2", "-T", "60", "-h"])
        .arg(server.socket())
        .args(["-U", SUPERUSER, "shop"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let sink = Kept::default();
    let mut wanted = settings(&server);
    wanted.databases = vec!["shop".to_owned()];

    let written = || server.psql("shop", "SELECT count(*) FROM pgbench_history");
    while written().trim() == "0" {}
    let question = |database: Option<&str>, query: &str| Question {
        database: database.map(str::to_owned),
        query: query.to_owned(),
        limit: Duration::from_secs(1),
    };
    let questions = vec![
        question(Some("shop"), "SELECT count(*) FROM pgbench_history;"),
        question(None, "SELECT count(*) FROM gone"),
        question(None, "SELECT count(*) FROM pgbench_history WHERE bid = 'canary'::text::int"),
        question(None, "DROP TABLE pgbench_history"),
        question(None, "SELECT pg_sleep(60)"),
        question(None, "SELECT count(*) FROM pgbench_history"),
    ];
    let captured = Bench::asking(questions).capture(&wanted, &sink);
    let before = written();
    while written() == before {}
    writers.kill().unwrap();
    writers.wait().unwrap();
    let captured = captured.unwrap();

    assert_eq!(captured.kind, Kind::Postgres);
    assert!(captured.engine.starts_with("PostgreSQL 15."), "{}", captured.engine);
    assert!(captured.started <= captured.consistent_time && captured.skipped.is_empty());
    let kept: usize = sink.files.lock().unwrap().values().map(Vec::len).sum();
    assert_eq!((captured.entries, captured.bytes), (2, kept as u64));
    let rows = captured.fingerprint.parts["shop: table public.pgbench_history"].rows;
    let answers: Vec<&Answer> = captured.answers.iter().map(|asked| &asked.answer).collect();
    // Whatever was refused in between, the last one sees the same moment.
    let number = Answer::Number(rows.to_string());
    assert_eq!([answers[0], answers[5]], [&number, &number]);
    for (place, code) in [(1, "42P01"), (2, "22P02"), (3, "42601"), (4, "57014")] {
        let Answer::None(why) = answers[place] else { panic!("{answers:?}") };
        assert!(why.contains(code) && !why.contains("canary"), "{why}");
    }
    let live = of(&server, &["shop"]);
    assert_ne!(differences(&captured.fingerprint, &live), Vec::<String>::new(), "nobody wrote");
    let copy = restore(&captured, &sink);
    let restored = of(&copy, &["shop"]);
    assert_eq!(differences(&captured.fingerprint, &restored), Vec::<String>::new());
    assert_eq!(restored.parts["shop: table public.pgbench_accounts"].rows, 200_000);
}

#[test]
fn every_version_is_captured_with_its_own_programs_and_names_what_is_left_out() {
    for major in [17, 18] {
        let server = Server::start_with(major, &["wal_level=logical"]);
        server.psql("postgres", "CREATE DATABASE shop");
        server.psql("shop", EVERYTHING);
        let far = "CREATE SUBSCRIPTION far CONNECTION 'host=/nowhere password=canary' \
                   PUBLICATION news WITH (connect = false)";
        server.psql("shop", far);
        server.psql(
            "shop",
            "COMMENT ON SUBSCRIPTION far IS 'away'; ALTER ROLE ALL SET work_mem = '9MB';
             CREATE FUNCTION pg_catalog.stray() RETURNS int LANGUAGE sql AS 'SELECT 1';
             COMMENT ON FUNCTION pg_catalog.stray() IS 'lost';
             CREATE TABLE sales.debtor (id int PRIMARY KEY);
             CREATE TABLE sales.debt (id int CONSTRAINT of_debtor REFERENCES sales.debtor);
             ALTER TABLE sales.debt DISABLE TRIGGER ALL;
             GRANT pg_read_all_data TO pg_monitor; REVOKE pg_read_all_stats FROM pg_monitor",
        );
        let sink = Kept::default();

        let captured = Bench::default().capture(&settings(&server), &sink).unwrap();

        let cluster = captured.cluster.clone().unwrap();
        assert_eq!((cluster.major, cluster.superuser.as_str()), (major, SUPERUSER));
        let names: Vec<_> = cluster.databases.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["postgres", "shop"]);
        assert_eq!(cluster.databases[1].encoding, "UTF8");
        assert!(cluster.databases[1].extensions.iter().any(|one| one.name == "pg_trgm"));
        assert!(cluster.server.page_checksums);
        let gaps = captured.gaps();
        let gaps: Vec<String> = gaps.iter().map(ToString::to_string).collect();
        for what in [
            "settings made by ALTER ROLE ALL: work_mem",
            "shop: rows of the unlogged tables sales.cache",
            "shop: rows of the foreign tables sales.distant",
            "shop: rows, which a restore computes anew, of the views sales.long, sales.totals",
            "shop: the subscriptions far",
            "shop: what default privileges granted on what an extension made: view sales.pg_stat",
            "switched the triggers of the constraints of_debtor on sales.debt",
            "initdb did not make so: pg_monitor in pg_read_all_data, pg_monitor in pg_read_all_stats",
            "did not come with the server: function pg_catalog.stray()",
        ] {
            assert!(gaps.iter().any(|gap| gap.contains(what)), "{what} in {gaps:?}");
        }
        let copy = restore(&captured, &sink);
        let restored = of(&copy, &["postgres", "shop"]);
        assert_eq!(differences(&captured.fingerprint, &restored), Vec::<String>::new());
    }
}

#[test]
fn names_that_want_to_be_something_else_are_names() {
    let server = Server::start(15);
    let names = ["a=b dbname=x", "-Fp", "it's \"\\\" \n 50%/../x", "ünï", "postgres://x"];
    for name in names {
        let quoted = name.replace('"', "\"\"");
        server.psql("postgres", &format!("CREATE DATABASE \"{quoted}\""));
        let make = format!(
            "CREATE SCHEMA \"{quoted}\"; CREATE TABLE \"{quoted}\".\"{quoted}\" (\"{quoted}\" text);
             INSERT INTO \"{quoted}\".\"{quoted}\" VALUES ('\\.'), (E'\\n\\\\.\\n'), (NULL);
             CREATE SEQUENCE \"{quoted}\".\"s, 1, {quoted}\"; CREATE ROLE \"{quoted}\";
             ALTER TABLE \"{quoted}\".\"{quoted}\" OWNER TO \"{quoted}\";"
        );
        server.psql(name, &make);
    }
    let (bench, sink) = (Bench::default(), Kept::default());
    let mut wanted = settings(&server);
    wanted.databases = names.map(str::to_owned).to_vec();

    let captured = bench.capture(&wanted, &sink).unwrap();

    let copy = restore(&captured, &sink);
    let restored = of(&copy, &names);
    assert_eq!(differences(&captured.fingerprint, &restored), Vec::<String>::new());
    for name in names {
        let readable = lifeboat::source::postgres::names::readable(name);
        let part = format!("{readable}: table {readable}.{readable}");
        assert_eq!(captured.fingerprint.parts[&part].rows, 3, "{name}");
    }
}

#[test]
fn tables_whose_names_would_read_alike_are_parts_of_their_own() {
    let server = Server::start(15);
    server.psql("postgres", "CREATE DATABASE shop");
    server.psql(
        "shop",
        r#"CREATE SCHEMA a; CREATE SCHEMA "a.b";
           CREATE TABLE a."b.t" AS SELECT generate_series(1, 2);
           CREATE TABLE "a.b".t AS SELECT 1"#,
    );
    let (bench, sink) = (Bench::default(), Kept::default());
    let mut wanted = settings(&server);
    wanted.databases = vec!["shop".to_owned()];

    let captured = bench.capture(&wanted, &sink).unwrap();

    let rows: Vec<_> =
        captured.fingerprint.parts.iter().map(|(name, one)| (&**name, one.rows)).collect();
    assert_eq!(rows, [(r#"shop: table "a.b".t"#, 1), (r#"shop: table a."b.t""#, 2)]);
}

#[test]
fn doctor_names_databases_that_nobody_protects() {
    let server = Server::start(15);
    server.psql("postgres", "CREATE DATABASE shop");
    let mut wanted = settings(&server);
    wanted.databases = vec!["shop".to_owned()];

    let facts = Bench::default().probe(&wanted).unwrap();

    assert!(facts.engine.starts_with("PostgreSQL 15."), "{}", facts.engine);
    assert!(facts.scratch_bytes > 10 << 20, "{}", facts.scratch_bytes);
    let warnings = facts.warnings.join("\n");
    let named = "the databases that `databases` does not name: postgres";
    assert!(warnings.contains(named), "{warnings}");

    wanted.databases = vec!["shpo".to_owned()];
    let refused = lifeboat::ground::causes::chain(&Bench::default().probe(&wanted).unwrap_err());
    assert!(refused.contains("shpo"), "{refused}");
}

#[test]
fn an_operator_that_a_database_puts_before_the_servers_own_is_never_run() {
    let server = Server::start(15);
    server.psql("postgres", "CREATE DATABASE shop");
    server.psql(
        "shop",
        "CREATE FUNCTION public.evil(text, text) RETURNS boolean LANGUAGE plpgsql
           AS $$BEGIN RAISE EXCEPTION 'canary was run'; END$$;
         CREATE OPERATOR public.= (FUNCTION = public.evil, LEFTARG = text, RIGHTARG = text);
         ALTER DATABASE shop SET search_path = public, pg_catalog;",
    );
    let hostile = server.psql_as(SUPERUSER, "shop", "SELECT 'a'::text = 'a'::text");
    assert!(hostile.unwrap_err().contains("canary was run"));
    let before = server.log().matches("canary was run").count();
    let mut wanted = settings(&server);
    wanted.databases = vec!["shop".to_owned()];

    Bench::default().capture(&wanted, &Kept::default()).unwrap();

    assert_eq!(server.log().matches("canary was run").count(), before);
}
