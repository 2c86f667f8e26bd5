//! Servers and databases that are not the usual ones: encodings, standbys, TLS, the newest version.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use lifeboat::policy::sources::Tls;

use crate::bench::{Bench, Kept, settings};
use crate::capturing::{of, restore};
use crate::fingerprint::{EVERYTHING, differences};
use crate::servers::postgres::Server;

#[test]
fn databases_of_other_encodings_and_collations_come_back_equal() {
    let server = Server::start(15);
    let names = ["latin", "bytes", "icu"];
    server.psql(
        "postgres",
        "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C';
         CREATE DATABASE bytes TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C';
         CREATE DATABASE icu TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'de'",
    );
    for name in ["latin", "icu"] {
        server.psql(
            name,
            "CREATE SCHEMA \"größe\"; CREATE TABLE \"größe\".\"straße\" (\"maß\" text);
             INSERT INTO \"größe\".\"straße\" VALUES ('ä'), ('a'), ('Ä');
             CREATE SEQUENCE \"größe\".zähler START 7",
        );
    }
    server.psql("bytes", "CREATE TABLE t (a text); INSERT INTO t VALUES (E'\\xff\\xfe')");
    server.psql(
        "icu",
        "CREATE COLLATION blind (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
         CREATE TABLE b (a text COLLATE blind); INSERT INTO b VALUES ('Ab')",
    );
    let mut wanted = settings(&server);
    wanted.databases = names.map(str::to_owned).to_vec();
    let sink = Kept::default();

    let captured = Bench::default().capture(&wanted, &sink).unwrap();

    let cluster = captured.cluster.clone().unwrap();
    let told = cluster.databases.iter().map(|one| (one.encoding.as_str(), one.provider));
    assert_eq!(told.collect::<Vec<_>>(), [("LATIN1", 'c'), ("SQL_ASCII", 'c'), ("UTF8", 'i')]);
    assert_eq!(cluster.databases[2].locale.as_deref(), Some("de"));
    assert_eq!(captured.fingerprint.parts["latin: table größe.straße"].rows, 3);
    let copy = restore(&captured, &sink);
    let restored = of(&copy, &names);
    assert_eq!(differences(&captured.fingerprint, &restored), Vec::<String>::new());
    copy.psql("icu", "UPDATE b SET a = 'aB'");
    let changed = differences(&captured.fingerprint, &of(&copy, &names));
    assert_eq!(changed, ["icu: table public.b"]);
}

#[test]
fn what_only_the_newest_version_has_comes_back_equal() {
    let server = Server::start(18);
    server.psql("postgres", "CREATE DATABASE shop");
    server.psql(
        "shop",
        "CREATE EXTENSION btree_gist;
         CREATE TABLE parent (a int CONSTRAINT told NOT NULL, b int GENERATED ALWAYS AS (1 / a) VIRTUAL,
           c int CHECK (c > 0) NOT ENFORCED);
         CREATE TABLE child (d int) INHERITS (parent);
         INSERT INTO parent (a, c) VALUES (0, -1), (1, 2);
         CREATE TABLE stays (room int, during daterange,
           PRIMARY KEY (room, during WITHOUT OVERLAPS));
         INSERT INTO stays VALUES (1, '[2026-01-01,2026-01-05)');
         ALTER TABLE child ADD CONSTRAINT later CHECK (d > 0) NOT VALID;
         ALTER TABLE child ADD CONSTRAINT much_later NOT NULL d NOT VALID;
         CREATE TABLE leaf (a int CONSTRAINT must NOT NULL, b int UNIQUE REFERENCES leaf (b)
           NOT ENFORCED);
         CREATE DOMAIN sure AS int CONSTRAINT there NOT NULL;
         CREATE FUNCTION two() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 2; END;",
    );
    let mut wanted = settings(&server);
    wanted.databases = vec!["shop".to_owned()];
    let sink = Kept::default();

    let captured = Bench::default().capture(&wanted, &sink).unwrap();

    let restored = of(&restore(&captured, &sink), &["shop"]);
    assert_eq!(differences(&captured.fingerprint, &restored), Vec::<String>::new());
    assert_eq!(restored.parts["shop: table public.parent"].rows, 2);
}

#[test]
fn a_hot_standby_is_captured_like_its_primary() {
    let primary = Server::start(15);
    primary.psql("postgres", "CREATE DATABASE shop");
    primary.psql("shop", EVERYTHING);
    let standby = primary.standby();
    primary.psql("shop", "INSERT INTO sales.r VALUES ('late')");
    let arrived = "SELECT count(*) FROM sales.r WHERE r = 'late'";
    while standby.psql("shop", arrived).trim() == "0" {}
    let mut wanted = settings(&standby);
    wanted.databases = vec!["shop".to_owned()];
    let sink = Kept::default();

    let captured = Bench::default().capture(&wanted, &sink).unwrap();

    assert!(captured.cluster.as_ref().unwrap().server.is_standby);
    let live = of(&primary, &["shop"]);
    assert_eq!(differences(&captured.fingerprint, &live), Vec::<String>::new());
    let restored = of(&restore(&captured, &sink), &["shop"]);
    assert_eq!(differences(&captured.fingerprint, &restored), Vec::<String>::new());
}

#[test]
fn of_an_extensions_tables_only_its_configuration_is_captured() {
    let folder = tempfile::tempdir().unwrap();
    let extension = folder.path().join("extension");
    fs::create_dir(&extension).unwrap();
    for path in [folder.path(), &extension] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    fs::write(extension.join("rates.control"), "default_version = '1.0'\nrelocatable = false\n")
        .unwrap();
    fs::write(
        extension.join("rates--1.0.sql"),
        "CREATE TABLE rates (name text, own bool); INSERT INTO rates VALUES ('built in', false);
         CREATE TABLE internal (a int); INSERT INTO internal VALUES (1);
         CREATE SEQUENCE numbers; CREATE SEQUENCE hidden; CREATE VIEW shown AS SELECT 1 AS one;
         SELECT pg_extension_config_dump('rates', 'WHERE own');
         SELECT pg_extension_config_dump('numbers', '');",
    )
    .unwrap();
    let path = format!("extension_control_path={}:$system", folder.path().display());
    let server = Server::start_with(18, &[&path]);
    server.psql("postgres", "CREATE DATABASE shop; CREATE ROLE backup LOGIN");
    server.psql(
        "shop",
        "CREATE EXTENSION rates; INSERT INTO rates VALUES ('ours', true), ('mine', true);
         SELECT nextval('numbers'); SELECT nextval('hidden');
         GRANT SELECT ON rates, numbers TO backup",
    );
    let mut wanted = settings(&server);
    (wanted.databases, wanted.user) = (vec!["shop".to_owned()], "backup".to_owned());

    let captured = Bench::default().capture(&wanted, &Kept::default()).unwrap();

    let parts = captured.fingerprint.parts.iter().map(|(name, part)| (&**name, part.rows));
    assert_eq!(
        parts.collect::<Vec<_>>(),
        [("shop: sequence public.numbers", 1), ("shop: table public.rates", 2)]
    );
    let schema = &captured.fingerprint.schema;
    assert!(schema.contains_key("shop: extension rates"), "{:?}", schema.keys());
    assert!(!schema.contains_key("shop: view public.shown"), "{:?}", schema.keys());
}

#[test]
fn a_connection_with_tls_is_made_only_to_the_server_that_the_authority_vouches_for() {
    let keys = tempfile::tempdir().unwrap();
    let make = |name: &str, signed: &[&str]| {
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout"])
            .args([format!("{name}.key"), "-out".to_owned(), format!("{name}.pem")])
            .args(signed)
            .current_dir(keys.path())
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    };
    make("authority", &["-subj", "/CN=authority"]);
    make("stranger", &["-subj", "/CN=authority"]);
    let leaf = ["-subj", "/CN=localhost", "-addext", "basicConstraints=critical,CA:FALSE"];
    let name = ["-addext", "subjectAltName=DNS:localhost"];
    let signed = ["-CA", "authority.pem", "-CAkey", "authority.key"];
    make("server", &[&leaf[..], &name, &signed].concat());
    let server = Server::start_with_tls(15, &keys.path().join("server"));
    server.psql("postgres", "CREATE ROLE remote LOGIN SUPERUSER PASSWORD 'word'");
    server.allow("local all all trust\nhostssl all remote 127.0.0.1/32 scram-sha-256\n");
    let secret = keys.path().join("password");
    fs::write(&secret, "word").unwrap();
    let mut wanted = settings(&server);
    (wanted.host, wanted.port) = ("localhost".to_owned(), server.port());
    wanted.user = "remote".to_owned();
    wanted.password = Some(lifeboat::ground::secret::SecretRef::File(secret));
    let ca = |name: &str| Tls::Verify { ca: keys.path().join(name) };

    for tls in [Tls::Require, ca("authority.pem")] {
        wanted.tls = tls;
        Bench::default().capture(&wanted, &Kept::default()).unwrap();
    }
    for tls in [Tls::Off, ca("stranger.pem")] {
        wanted.tls = tls;
        let refused = Bench::default().refusal(&wanted, &Kept::default());
        assert!(refused.contains("cannot log in"), "{refused}");
    }
}
