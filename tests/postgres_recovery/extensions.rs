//! What a dump carries of extensions' objects: grants, and rows that are configuration.

use std::env::consts;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use lifeboat::policy::Engine;
use lifeboat::source::postgres::Engines;
use tempfile::TempDir;

use crate::bench::{Bench, held, places};
use crate::servers::postgres::{Server, bin};

/// Granted on objects of extensions that the server's own and another superuser made, before and
/// after default privileges were in force, and on what came with the server.
const GRANTED: &str = "
    CREATE ROLE clerk; CREATE ROLE other SUPERUSER; CREATE TABLE t AS SELECT 1 AS a;
    CREATE EXTENSION hstore;
    ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO clerk;
    CREATE EXTENSION pg_stat_statements;
    SET ROLE other; CREATE EXTENSION citext; RESET ROLE;
    CREATE EXTENSION postgres_fdw;
    GRANT EXECUTE ON FUNCTION akeys(hstore) TO clerk WITH GRANT OPTION;
    REVOKE USAGE ON TYPE hstore FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION pg_stat_statements_reset TO clerk;
    REVOKE SELECT ON pg_stat_statements FROM PUBLIC;
    GRANT UPDATE (query) ON pg_stat_statements TO clerk;
    REVOKE EXECUTE ON FUNCTION citext_eq(citext, citext) FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION citext_eq(citext, citext) TO clerk;
    GRANT USAGE ON FOREIGN DATA WRAPPER postgres_fdw TO clerk;
    REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC;
    REVOKE EXECUTE ON FUNCTION pg_catalog.pg_sleep(double precision) FROM PUBLIC;
    GRANT CREATE ON SCHEMA pg_catalog TO clerk;
    GRANT SELECT (rolname) ON pg_catalog.pg_authid TO clerk";

#[test]
fn a_grant_on_what_an_extension_or_the_server_brought_is_missed_where_it_is_lost() {
    for major in [15, 17, 18] {
        held(&Bench::capture(major, &[("shop", GRANTED)]).judged());
    }
    let lies = [
        (
            "REVOKE EXECUTE ON FUNCTION akeys(hstore) FROM clerk",
            "function public.akeys(public.hstore)",
        ),
        ("GRANT USAGE ON TYPE hstore TO PUBLIC", "type public.hstore"),
        ("GRANT SELECT ON pg_stat_statements TO PUBLIC", "view public.pg_stat_statements"),
        (
            "REVOKE UPDATE (query) ON pg_stat_statements FROM clerk",
            "view column public.pg_stat_statements.query",
        ),
        (
            "REVOKE EXECUTE ON FUNCTION citext_eq(citext, citext) FROM clerk",
            "function public.citext_eq(public.citext,public.citext)",
        ),
        (
            "REVOKE USAGE ON FOREIGN DATA WRAPPER postgres_fdw FROM clerk",
            "foreign-data wrapper postgres_fdw",
        ),
        ("GRANT USAGE ON LANGUAGE plpgsql TO PUBLIC", "language plpgsql"),
        (
            "GRANT EXECUTE ON FUNCTION pg_catalog.pg_sleep(double precision) TO PUBLIC",
            "function pg_catalog.pg_sleep(double precision)",
        ),
        ("REVOKE CREATE ON SCHEMA pg_catalog FROM clerk", "schema pg_catalog"),
        (
            "REVOKE SELECT (rolname) ON pg_catalog.pg_authid FROM clerk",
            "table column pg_catalog.pg_authid.rolname",
        ),
    ];
    let bench = Bench::capture_changed(15, &[("shop", GRANTED)], |server| {
        for (lie, _) in lies {
            server.psql("shop", lie);
        }
    });

    let found = places(&bench.judged());

    for (lie, place) in lies {
        let place = format!("shop: grant on {place}");
        assert!(found.contains(&place), "{lie}: {found:?}");
    }
}

#[test]
fn a_row_that_an_extension_marked_as_configuration_is_missed_where_it_is_lost() {
    let programs = programs_with_rates();
    let shared = programs.path().join("usr/share/postgresql/18");
    let path = format!("extension_control_path={}:$system", shared.display());
    let script = "CREATE EXTENSION rates; INSERT INTO rates VALUES ('ours', true), ('mine', true);
                  SELECT nextval('numbers'); CREATE TABLE t AS SELECT 1 AS a";
    let change = "DELETE FROM rates WHERE name = 'mine'; SELECT setval('numbers', 7)";
    let lost = ["shop: sequence public.numbers", "shop: table public.rates"];
    for (lie, missed) in [("", None), (change, Some(lost))] {
        let server = Server::start_with(18, &[&path]);
        let mut bench = Bench::capture_of(server, &[("shop", script)], |server| {
            server.psql("shop", lie);
        });
        let path = programs.path().join("usr/lib/postgresql/18/bin");
        bench.engines = Engines::of(&[Engine::Postgres { major: 18, path }]);

        let outcome = bench.judged();

        match missed {
            None => assert_eq!(held(&outcome), 4, "{outcome:?}"),
            Some(lost) => assert_eq!(places(&outcome), lost),
        }
    }
}

/// What a recovery runs.
const PROGRAMS: [&str; 6] = ["initdb", "postgres", "pg_restore", "psql", "pg_amcheck", "pg_config"];

/// A copy of the programs of 18 with an extension of our own; others use the folder itself.
fn programs_with_rates() -> TempDir {
    // A cage has a /tmp of its own.
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let usr = bin(18).ancestors().nth(4).map(Path::to_owned).unwrap();
    let copied = Command::new("cp").arg("-a").arg(usr).arg(folder.path()).status().unwrap();
    assert!(copied.success());
    // They load libraries by absolute paths, as tests/tools made them.
    let libraries = folder.path().join("usr/lib").join(format!("{}-linux-gnu", consts::ARCH));
    let is_loader = |path: &PathBuf| path.to_string_lossy().contains("/ld-linux-");
    let loader = fs::read_dir(&libraries).unwrap().map(|file| file.unwrap().path()).find(is_loader);
    for name in PROGRAMS {
        let mut patch = Command::new("patchelf");
        patch.arg("--set-interpreter").arg(loader.as_ref().unwrap()).arg("--force-rpath");
        patch.arg("--set-rpath").arg(&libraries);
        let program = folder.path().join("usr/lib/postgresql/18/bin").join(name);
        assert!(patch.arg(program).status().unwrap().success(), "{name}");
    }
    let extension = folder.path().join("usr/share/postgresql/18/extension");
    let control = "default_version = '1.0'\nrelocatable = false\n";
    fs::write(extension.join("rates.control"), control).unwrap();
    fs::write(
        extension.join("rates--1.0.sql"),
        "CREATE TABLE rates (name text, own bool); INSERT INTO rates VALUES ('built in', false);
         CREATE SEQUENCE numbers;
         SELECT pg_extension_config_dump('rates', 'WHERE own');
         SELECT pg_extension_config_dump('numbers', '');",
    )
    .unwrap();
    folder
}
