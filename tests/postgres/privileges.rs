//! What is hidden from a login is told before anything is dumped.

use crate::bench::{Bench, Kept, settings};
use crate::capturing::{of, restore};
use crate::fingerprint::{EVERYTHING, differences};
use crate::servers::postgres::Server;
use lifeboat::source::GapKind;

#[test]
fn each_thing_that_is_hidden_is_named_with_what_mends_it() {
    let server = Server::start(15);
    server.psql("postgres", "CREATE DATABASE shop");
    server.psql("shop", EVERYTHING);
    server.psql("postgres", "CREATE ROLE backup LOGIN");
    let mut wanted = settings(&server);
    (wanted.databases, wanted.user) = (vec!["shop".to_owned()], "backup".to_owned());
    let refusal = || Bench::default().refusal(&wanted, &Kept::default());

    let refused = refusal();
    for what in ["schema sales cannot be used", "table sales.wide", "sequence sales.numbers"] {
        assert!(refused.contains(what), "{what}: {refused}");
    }
    assert!(refused.contains("GRANT pg_read_all_data TO \"backup\";"), "{refused}");
    server.psql("postgres", "GRANT pg_read_all_data TO backup");

    let refused = refusal();
    assert!(refused.contains("table sales.secrets has row-level security"), "{refused}");
    assert!(refused.contains("ALTER ROLE \"backup\" BYPASSRLS;"), "{refused}");
    server.psql("postgres", "ALTER ROLE backup BYPASSRLS");

    let refused = refusal();
    assert!(refused.contains("large object 70002"), "{refused}");
    let remedy = refused.split("mends it: ").nth(1).unwrap();
    assert!(remedy.starts_with("GRANT SELECT ON LARGE OBJECT 70001, 70002"), "{refused}");
    server.psql("shop", remedy);

    let sink = Kept::default();
    let captured = Bench::default().capture(&wanted, &sink).unwrap();
    assert_eq!(captured.fingerprint.parts["shop: table sales.secrets"].rows, 2);
    assert_eq!(captured.fingerprint.parts["shop: large objects"].rows, 4);
    let gaps = captured.gaps();
    let mappings = gaps.iter().find(|gap| gap.kind == GapKind::UserMappings);
    assert_eq!(mappings.unwrap().database.as_deref(), Some("shop"), "{gaps:?}");
    // `pg_read_all_data` reads their hashes, too.
    assert!(!gaps.iter().any(|gap| gap.kind == GapKind::RolePasswords), "{gaps:?}");
    let restored = of(&restore(&captured, &sink), &["shop"]);
    assert_eq!(differences(&captured.fingerprint, &restored), Vec::<String>::new());
}

#[test]
fn a_server_of_a_version_without_programs_here_is_refused_with_a_hint() {
    let server = Server::start(17);
    let mut bench = Bench::default();
    bench.engines = lifeboat::source::postgres::Engines::default();

    let refused = bench.refusal(&settings(&server), &Kept::default());

    assert!(refused.contains("PostgreSQL 17"), "{refused}");
    assert!(refused.contains("install postgresql-17"), "{refused}");
}
