//! The fingerprint: equal after a restore, different after any change.

use std::collections::BTreeSet;

use lifeboat::source::Fingerprint;
use lifeboat::source::postgres::{fingerprint, schema};
use tokio::runtime::Runtime;

use crate::servers::postgres::Server;

pub const EVERYTHING: &str = include_str!("everything.sql");

/// The fingerprint of `shop`, with what the whole server shares.
fn of(server: &Server) -> Fingerprint {
    let runtime = Runtime::new().unwrap();
    let _inside = runtime.enter();
    let mut session = server.session("shop");
    let mut found = fingerprint(&mut session).unwrap();
    found.schema.extend(schema::of_cluster(&mut session).unwrap());
    found
}

/// A server with one of everything, and another one that was restored from its dump.
fn both(major: u32) -> (Server, Server) {
    let (source, copy) = (Server::start(major), Server::start(major));
    source.psql("postgres", "CREATE DATABASE shop");
    source.psql("shop", EVERYTHING);
    let globals = source.run("pg_dumpall", &["--globals-only"]);
    let globals = String::from_utf8(globals).unwrap().replace("CREATE ROLE postgres;", "");
    copy.psql("postgres", &globals);
    let dump = source.socket().join("shop.dump");
    let dump = dump.to_str().unwrap();
    let left_out = ["--no-unlogged-table-data", "--no-subscriptions", "--no-tablespaces"];
    source.run("pg_dump", &[&["-Fc", "-Z0", "-f", dump], &left_out[..], &["shop"]].concat());
    copy.run("pg_restore", &["--exit-on-error", "--create", "-d", "postgres", dump]);
    (source, copy)
}

/// What differs between two fingerprints, by name.
pub fn differences(before: &Fingerprint, after: &Fingerprint) -> Vec<String> {
    let names: BTreeSet<&String> = before.schema.keys().chain(after.schema.keys()).collect();
    let schema =
        names.into_iter().filter(|name| before.schema.get(*name) != after.schema.get(*name));
    let names: BTreeSet<&String> = before.parts.keys().chain(after.parts.keys()).collect();
    let parts = names.into_iter().filter(|name| before.parts.get(*name) != after.parts.get(*name));
    schema.chain(parts).cloned().collect()
}

#[test]
fn a_restored_copy_of_everything_has_the_same_fingerprint_on_every_version() {
    for major in [15, 17, 18] {
        let (source, copy) = both(major);

        let (was, is) = (of(&source), of(&copy));

        assert_eq!(differences(&was, &is), Vec::<String>::new(), "PostgreSQL {major}");
        assert_eq!(was.parts["shop: table sales.wide"].rows, 501);
        assert_eq!(was.parts["shop: large objects"].rows, 4);
        assert!(!was.parts.contains_key("shop: table sales.cache"), "{:?}", was.parts.keys());
    }
}

#[test]
fn every_single_change_is_seen_and_named() {
    let (source, _copy) = both(15);
    let cases = [
        ("UPDATE sales.wide SET c = 1.00 WHERE id = 1", "shop: table sales.wide"),
        ("UPDATE sales.wide SET g = NULL WHERE id = 1", "shop: table sales.wide"),
        ("UPDATE sales.wide SET g = '' WHERE id = 1", "shop: table sales.wide"),
        ("UPDATE sales.wide SET aa = 'sad' WHERE id = 2", "shop: table sales.wide"),
        ("UPDATE sales.wide SET r = '{\"b\": 1, \"a\": 2}' WHERE id = 1", "shop: table sales.wide"),
        ("DELETE FROM sales.orders_25 WHERE id = 1", "shop: table sales.orders_25"),
        ("SELECT lo_put(70002, 1048575, '\\xaa')", "shop: large objects"),
        ("SELECT lo_put(70004, 1048576, '\\xaa')", "shop: large objects"),
        ("SELECT lo_unlink(70003)", "shop: large objects"),
        ("DROP INDEX sales.wide_moods", "shop: index sales.wide_moods"),
        (
            "CREATE OR REPLACE VIEW sales.dear AS SELECT id, ab FROM sales.wide",
            "shop: view sales.dear",
        ),
        ("REFRESH MATERIALIZED VIEW sales.unseen", "shop: materialized view sales.unseen"),
        ("DROP TRIGGER stamped ON sales.r", "shop: trigger stamped on sales.r"),
        ("DROP EVENT TRIGGER watch", "shop: event trigger watch"),
        ("DROP RULE quiet ON sales.r", "shop: rule quiet on sales.r"),
        ("DROP POLICY own ON sales.secrets", "shop: policy own on sales.secrets"),
        ("ALTER TABLE sales.secrets DISABLE ROW LEVEL SECURITY", "shop: table sales.secrets"),
        (
            "CREATE OR REPLACE PROCEDURE sales.go(INOUT n int) LANGUAGE sql AS 'SELECT n + 2'",
            "shop: procedure sales.go(INOUT n integer)",
        ),
        ("GRANT EXECUTE ON FUNCTION sales.twice TO clerk", "shop: function sales.twice(n integer)"),
        ("DROP AGGREGATE sales.product(numeric)", "shop: aggregate sales.product(numeric)"),
        ("ALTER SEQUENCE sales.numbers INCREMENT 6", "shop: sequence sales.numbers"),
        ("REVOKE SELECT (a) ON sales.wide FROM clerk", "shop: table sales.wide"),
        ("ALTER TABLE sales.parent ALTER b DROP NOT NULL", "shop: table sales.parent"),
        ("ALTER TYPE sales.mood ADD VALUE 'glad'", "shop: type sales.mood"),
        ("ALTER DOMAIN sales.price SET DEFAULT 1", "shop: domain sales.price"),
        ("DROP CAST (sales.mood AS text)", "shop: cast (sales.mood as text)"),
        (
            "DROP OPERATOR sales.=== (sales.pair, sales.pair)",
            "shop: operator sales.===(sales.pair,sales.pair)",
        ),
        ("DROP STATISTICS sales.wide_stats", "shop: statistics sales.wide_stats"),
        ("DROP PUBLICATION news", "shop: publication news"),
        ("COMMENT ON COLUMN sales.wide.a IS 'tiny'", "shop: comment on table column sales.wide.a"),
        ("ALTER DATABASE shop SET timezone = 'UTC'", "shop: database"),
        ("REVOKE CONNECT ON DATABASE shop FROM clerk", "shop: database"),
        (
            "ALTER DEFAULT PRIVILEGES IN SCHEMA sales GRANT INSERT ON TABLES TO clerk",
            "shop: default privileges of postgres",
        ),
        (
            "GRANT EXECUTE ON FUNCTION pg_catalog.pg_sleep(double precision) TO PUBLIC",
            "shop: grant on function pg_catalog.pg_sleep(double precision)",
        ),
        ("ALTER ROLE clerk CREATEDB", "role clerk"),
        ("CREATE ROLE stranger", "role stranger"),
        (
            "REVOKE clerk FROM \"boss's \"\"role\"\"\"",
            "membership of \"boss's \"\"role\"\"\" in clerk",
        ),
        ("ALTER ROLE clerk RESET work_mem", "role clerk"),
    ];
    let mut before = of(&source);
    let mut wrong = Vec::new();
    for (change, place) in cases {
        source.psql("shop", change);
        let after = of(&source);
        let found = differences(&before, &after);
        if !found.iter().any(|object| object == place) || found.len() > 3 {
            wrong.push(format!("{change}: {found:?} instead of {place}"));
        }
        before = after;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
