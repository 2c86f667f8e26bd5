//! The fingerprint of a restored copy.

use std::collections::BTreeSet;

use lifeboat::source::Fingerprint;
use lifeboat::source::postgres::{fingerprint, schema};
use tokio::runtime::Runtime;

use crate::servers::postgres::Server;

pub const EVERYTHING: &str = concat!(include_str!("everything.sql"), include_str!("rare.sql"));

/// The fingerprint of `shop`, with what the whole server shares.
pub fn of(server: &Server) -> Fingerprint {
    let runtime = Runtime::new().unwrap();
    let _inside = runtime.enter();
    let mut session = server.session("shop");
    let mut found = fingerprint(&mut session).unwrap();
    found.schema.extend(schema::of_cluster(&mut session).unwrap());
    found
}

/// A server with one of everything.
pub fn with_everything(major: u32) -> Server {
    let server = Server::start(major);
    server.psql("postgres", "CREATE DATABASE shop");
    server.psql("shop", EVERYTHING);
    server
}

/// The same, and another one that was restored from its dump.
fn both(major: u32) -> (Server, Server) {
    let (source, copy) = (with_everything(major), Server::start(major));
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
