//! `lifeboat grants`: exactly what is printed is enough, and it is no more than reading.

use std::time::Duration;

use lifeboat::policy::sources::ServerSettings;
use lifeboat::source::Source;
use lifeboat::source::postgres::Postgres;
use lifeboat::source::postgres::names::readable;

use crate::bench::{Bench, Kept, engines, settings};
use crate::fingerprint::EVERYTHING;
use crate::servers::postgres::Server;

fn printed(settings: &ServerSettings) -> String {
    let source = Postgres::new("orders".parse().unwrap(), settings.clone(), engines());
    source.grants().statements.join("\n") + "\n"
}

#[test]
fn a_capture_works_with_exactly_what_grants_prints_and_can_only_read() {
    for (major, user) in [(15, "backup"), (18, "it's \"odd\" %s\\")] {
        let server = Server::start(major);
        let odd = "odd \"db\" '\\";
        server.psql("postgres", "CREATE DATABASE shop; CREATE DATABASE \"odd \"\"db\"\" '\\\"");
        for database in ["shop", odd] {
            server.psql("postgres", "REVOKE CONNECT ON DATABASE shop FROM PUBLIC");
            if database == "shop" {
                server.psql(database, EVERYTHING);
            } else {
                server.psql(database, "SELECT lo_from_bytea(7, 'x'); CREATE TABLE t (a int)");
            }
        }
        let mut wanted = settings(&server);
        (wanted.user, wanted.lock_timeout) = (user.to_owned(), Duration::from_secs(5));
        wanted.databases = vec!["shop".to_owned(), odd.to_owned()];
        let without = Bench::default().refusal(&wanted, &Kept::default());
        assert!(without.contains("cannot log in"), "{without}");

        for _ in 0..2 {
            server.psql("postgres", &printed(&wanted));
        }

        let captured = Bench::default().capture(&wanted, &Kept::default()).unwrap();
        assert_eq!(captured.fingerprint.parts["shop: large objects"].rows, 4);
        assert_eq!(captured.fingerprint.parts["shop: table sales.wide"].rows, 501);
        assert!(
            captured.fingerprint.parts.contains_key(&format!("{}: large objects", readable(odd)))
        );
        for write in [
            "INSERT INTO sales.r VALUES ('x')",
            "CREATE TABLE sales.mine (a int)",
            "CREATE ROLE mine",
            "SELECT nextval('sales.numbers')",
            "SELECT lo_unlink(70001)",
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() \
             AND usename = 'postgres'",
            "COPY sales.r TO PROGRAM 'cat'",
        ] {
            let done = server.psql_as(user, "shop", write);
            let is_nothing = done.as_ref().is_ok_and(|said| said.trim().is_empty());
            assert!(done.is_err() || is_nothing, "{write}: {done:?}");
        }
    }
}

#[test]
fn a_policy_of_all_databases_is_granted_all_of_them() {
    let server = Server::start(15);
    server.psql("postgres", "CREATE DATABASE shop; REVOKE CONNECT ON DATABASE shop FROM PUBLIC");
    let mut wanted = settings(&server);
    wanted.user = "backup".to_owned();

    server.psql("postgres", &printed(&wanted));

    let captured = Bench::default().capture(&wanted, &Kept::default()).unwrap();
    let names: Vec<_> =
        captured.cluster.unwrap().databases.into_iter().map(|one| one.name).collect();
    assert_eq!(names, ["postgres", "shop"]);
}
